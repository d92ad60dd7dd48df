//! The locks, atomics and threads that the library is made of: the standard library's.
//!
//! In one kind of test build, that of the unit tests with the feature `__shuttle`, they are the
//! explorer's instead (see `schedules`): every use of them is then a point where another thread may
//! go on. Files that share something between threads take these names from here; `Arc`, orderings
//! and poison errors are the same on both sides and come from the standard library everywhere.

#[cfg(not(all(test, feature = "__shuttle")))]
mod real {
    pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
    pub(crate) use std::time::Instant;
    pub(crate) use std::{thread, thread_local};

    /// A `static` that threads share.
    macro_rules! global {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$attribute])*
            static $name: $type = $value;
        };
    }
    pub(crate) use global;
}

#[cfg(not(all(test, feature = "__shuttle")))]
pub(crate) use real::*;

#[cfg(all(test, feature = "__shuttle"))]
mod explored {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
    pub(crate) use shuttle::thread_local;

    pub(crate) use crate::schedules::time::{Condvar, Instant};

    pub(crate) mod thread {
        pub(crate) use shuttle::thread::{Builder, yield_now};

        /// Who stands at the gate, or at a lock, sleeps to let others go on. That takes no time here.
        pub(crate) fn sleep(_: std::time::Duration) {
            yield_now();
        }
    }

    /// A `static` that is made anew for each execution: tests run side by side.
    macro_rules! global {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            shuttle::lazy_static! { $(#[$attribute])* static ref $name: $type = $value; }
        };
    }
    pub(crate) use global;
}

#[cfg(all(test, feature = "__shuttle"))]
pub(crate) use explored::*;

/// Whatever is not a test has the standard library's own, whichever features it is built with.
#[cfg(not(test))]
const _: () = {
    const fn is_std(
        _: fn(Mutex<u8>) -> std::sync::Mutex<u8>,
        _: fn(atomic::AtomicU64) -> std::sync::atomic::AtomicU64,
        _: fn(thread::Builder) -> std::thread::Builder,
    ) {
    }
    is_std(|mutex| mutex, |atomic| atomic, |builder| builder);
};
