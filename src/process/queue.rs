//! Where threads sleep that find a lock taken.
//!
//! The lock is held for nanoseconds, unless its holder is kept from running. Then many may come to
//! wait: if each looked again by the clock, ten thousand would leave no time to the holder. So each
//! release wakes one of them, as that of a mutex of the C library does. (That one cannot be used:
//! its waiters would sleep inside the gate, and a fork would wait for them.)

pub(super) use here::Queue;

#[cfg(any(target_os = "linux", target_os = "android", all(test, feature = "__shuttle")))]
mod here {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::process::bell::Bell;
    use crate::process::gate::{self, Pause};
    use crate::sync::atomic::AtomicBool;

    /// A thread that was woken may be kept from running, too: then the next looks by itself.
    const LONGEST: Duration = Duration::from_millis(200);

    /// A child may inherit one: nobody sleeps in it there, and the first release wakes in vain.
    #[derive(Default)]
    pub(in super::super) struct Queue {
        /// Whether a thread may sleep here. One that has slept sets it again, because others may be
        /// behind it.
        is_wanted: AtomicBool,
        bell: Bell,
    }

    impl Queue {
        /// Asks to be woken. If the lock is still held afterwards, [`Self::sleep`] ends when it has
        /// been released.
        pub(in super::super) fn line_up(&self) -> u32 {
            let seen = self.bell.rings();
            self.is_wanted.swap(true, Ordering::AcqRel);
            seen
        }

        pub(in super::super) fn sleep(&self, seen: u32, pause: &mut Pause) {
            // A thread that forks lets nobody in who could wake it.
            if gate::is_forking() {
                pause.sleep();
            } else {
                self.bell.wait(seen, LONGEST);
            }
        }

        /// The lock has been released. Either this sees that a thread lines up, or that thread sees
        /// the lock free.
        pub(in super::super) fn let_next(&self) {
            if self.is_wanted.swap(false, Ordering::AcqRel) {
                self.bell.ring_for_one();
            }
        }
    }
}

/// Elsewhere a bell has a mutex itself, which a child could find locked.
#[cfg(not(any(target_os = "linux", target_os = "android", all(test, feature = "__shuttle"))))]
mod here {
    use crate::process::gate::Pause;

    #[derive(Default)]
    pub(in super::super) struct Queue(());

    impl Queue {
        pub(in super::super) fn line_up(&self) -> u32 {
            0
        }

        pub(in super::super) fn sleep(&self, _: u32, pause: &mut Pause) {
            pause.sleep();
        }

        pub(in super::super) fn let_next(&self) {}
    }
}
