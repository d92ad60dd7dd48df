//! The locks, atomics and threads that the library uses: the standard library's.
//!
//! In unit tests built with the feature `__shuttle` they are the schedule explorer's instead (see
//! `schedules`): each use of them is a point where another thread may run. Files that share state
//! between threads import these names from here; `Arc`, orderings and poison errors are the same in
//! both builds and come from the standard library.

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

        /// Threads that wait at the gate or at a lock sleep to let others run. It takes no time
        /// here.
        pub(crate) fn sleep(_: std::time::Duration) {
            yield_now();
        }
    }

    /// A `static` that is recreated for each execution, because tests run in parallel.
    macro_rules! global {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
            shuttle::lazy_static! { $(#[$attribute])* static ref $name: $type = $value; }
        };
    }
    pub(crate) use global;
}

#[cfg(all(test, feature = "__shuttle"))]
pub(crate) use explored::*;

/// Non-test builds use the standard library's, whichever features they are built with.
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
