//! A wake-up signal that threads sleep on.
//!
//! On Linux it is a bare futex: the sleep also ends after a signal handler has run. If that handler
//! forked, the thread may now be in the child, where its wait is over (see `mailbox`). A condition
//! variable would continue sleeping there, or wait for its mutex forever.

pub(super) use here::Bell;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(all(test, feature = "__shuttle"))))]
mod here {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// A count of rings.
    #[derive(Debug, Default)]
    pub(crate) struct Bell(AtomicU32);

    /// The layout of the kernel's `futex`, which may differ from the C library's `timespec`.
    #[repr(C)]
    struct Timespec {
        seconds: libc::c_long,
        nanos: libc::c_long,
    }

    impl Bell {
        pub(crate) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }

        pub(crate) fn rings(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }

        /// Wakes all that sleep.
        pub(crate) fn ring(&self) {
            self.wake(libc::c_int::MAX);
        }

        /// Wakes one of those that sleep.
        pub(crate) fn ring_for_one(&self) {
            self.wake(1);
        }

        fn wake(&self, sleepers: libc::c_int) {
            self.0.fetch_add(1, Ordering::SeqCst);
            let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the kernel uses the address only as a key and does not read from it.
            unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, sleepers) };
        }

        /// Sleeps until the count moves beyond `seen`, a signal handler has run, or `longest` has
        /// passed; may return early.
        pub(crate) fn wait(&self, seen: u32, longest: Duration) {
            let timeout = Timespec {
                seconds: libc::c_long::try_from(longest.as_secs()).unwrap_or(libc::c_long::MAX),
                nanos: longest.subsec_nanos() as libc::c_long,
            };
            let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the counter and the timeout outlive the call, which only reads them.
            unsafe {
                libc::syscall(libc::SYS_futex, self.0.as_ptr(), operation, seen, &raw const timeout)
            };
        }
    }
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    not(all(test, feature = "__shuttle"))
)))]
mod here {
    use std::sync::PoisonError;
    #[cfg(not(all(test, feature = "__shuttle")))]
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    #[cfg(all(test, feature = "__shuttle"))]
    use crate::sync::{Condvar, Mutex};

    /// A count of rings.
    #[derive(Debug)]
    pub(crate) struct Bell {
        rings: Mutex<u32>,
        rung: Condvar,
    }

    impl Default for Bell {
        fn default() -> Self {
            Self { rings: Mutex::new(0), rung: Condvar::new() }
        }
    }

    impl Bell {
        pub(crate) fn rings(&self) -> u32 {
            *self.rings.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Wakes all that sleep.
        pub(crate) fn ring(&self) {
            let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            *rings = rings.wrapping_add(1);
            self.rung.notify_all();
        }

        /// Wakes one of those that sleep.
        #[cfg(all(test, feature = "__shuttle"))]
        pub(crate) fn ring_for_one(&self) {
            let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            *rings = rings.wrapping_add(1);
            self.rung.notify_one();
        }

        /// Sleeps until the count moves beyond `seen` or `longest` has passed; may return early.
        pub(crate) fn wait(&self, seen: u32, longest: Duration) {
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            if *rings == seen {
                drop(self.rung.wait_timeout(rings, longest));
            }
        }
    }
}
