//! What a forked child does with a value it inherits.

use std::ops::{Deref, DerefMut};

/// A value that defines what happens to it in a forked child. Every value behind a lock of the
/// library must implement it (see [`Locked`](super::Locked)).
pub(crate) trait Inherited {
    /// What belonged to the parent only.
    type Remains;

    /// Makes the value this process's own. Called once, by the first thread of the process to take
    /// the lock, under that lock. The return value is dropped after the lock is released, because
    /// its destructor may run foreign code or take the same lock. What a child must not even drop
    /// is leaked in here.
    fn adopt(&mut self) -> Self::Remains;
}

/// A lock without a value.
impl Inherited for () {
    type Remains = ();

    fn adopt(&mut self) {}
}

/// Has the same meaning in every process: a child keeps it unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AnyProcess<T>(pub(crate) T);

impl<T> Inherited for AnyProcess<T> {
    type Remains = ();

    fn adopt(&mut self) {}
}

/// Belongs to one process: a child starts with an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneProcess<T>(pub(crate) T);

impl<T: Default> Inherited for OneProcess<T> {
    type Remains = T;

    fn adopt(&mut self) -> T {
        std::mem::take(&mut self.0)
    }
}

impl<T> Deref for AnyProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for AnyProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for OneProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for OneProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(all(test, unix, not(feature = "__shuttle")))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, Weak};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::{Kept, Locked, Process};

    /// Its remains take the same lock when they are dropped.
    #[derive(Default)]
    struct Probe {
        is_whole: bool,
        adopted: usize,
        dropped: Arc<AtomicUsize>,
        place: Weak<Locked<Probe>>,
    }

    struct Left {
        adopted: usize,
        dropped: Arc<AtomicUsize>,
        place: Weak<Locked<Probe>>,
    }

    impl Inherited for Probe {
        type Remains = Left;

        fn adopt(&mut self) -> Left {
            self.adopted += 1;
            let (dropped, place) = (self.dropped.clone(), self.place.clone());
            Left { adopted: self.adopted, dropped, place }
        }
    }

    impl Drop for Left {
        fn drop(&mut self) {
            let place = self.place.upgrade().expect("it is alive: its lock was just taken");
            assert_eq!(place.lock().adopted, self.adopted);
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn probe(place: fn(Probe) -> Locked<Probe>) -> (Arc<Locked<Probe>>, Arc<AtomicUsize>) {
        let dropped = Arc::<AtomicUsize>::default();
        let of_probe = dropped.clone();
        let made = Arc::new_cyclic(|this| {
            let dropped = of_probe;
            place(Probe { is_whole: true, adopted: 0, dropped, place: this.clone() })
        });
        (made, dropped)
    }

    /// Forks and returns whether `body` succeeded in the child.
    fn in_child(body: impl FnOnce()) -> bool {
        // Without them the child would not know that it is one, unless another test had installed them.
        crate::process::install_handlers();
        // SAFETY: the child does little, and ends without unwinding into the test runner.
        match unsafe { libc::fork() } {
            0 => {
                let outcome = catch_unwind(AssertUnwindSafe(body));
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(outcome.is_err())) }
            }
            child => ended_well(child),
        }
    }

    /// Whether a child ends well. One that hangs is killed.
    fn ended_well(child: libc::pid_t) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        let mut status = -1;
        loop {
            // SAFETY: the child is this process's own, and `status` outlives the call.
            if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child {
                return status == 0;
            }
            if Instant::now() > end {
                // SAFETY: the child was not reaped yet, so its pid was not reused.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_value_of_this_process_is_not_adopted() {
        let (value, dropped) = probe(Locked::new);
        assert_eq!((value.lock().adopted, dropped.load(Ordering::SeqCst)), (0, 0));
        let empty = Locked::<OneProcess<Vec<u8>>>::empty();
        empty.lock().push(1);
        assert_eq!(**empty.lock(), [1]);
    }

    #[test]
    fn a_parents_value_is_adopted_once_before_it_is_seen() {
        let (value, dropped) = probe(Locked::inherited);
        for _ in 0..3 {
            let guard = value.lock();
            assert_eq!((guard.adopted, dropped.load(Ordering::SeqCst)), (1, 1));
        }
    }

    #[test]
    fn threads_that_race_for_a_parents_value_adopt_it_once() {
        for _ in 0..200 {
            let (value, dropped) = probe(Locked::inherited);
            let start = Barrier::new(2);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        start.wait();
                        assert_eq!(value.lock().adopted, 1);
                    });
                }
            });
            assert_eq!(dropped.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn each_child_adopts_for_itself() {
        let (value, dropped) = probe(Locked::new);
        let check = |adopted| {
            let guard = value.lock();
            // On a busy machine the child may have started with an empty value.
            assert!(guard.adopted == adopted || !guard.is_whole);
        };
        check(0);
        let is_fine = in_child(|| {
            check(1);
            check(1);
            assert!(in_child(|| check(2)));
        });
        assert!(is_fine);
        check(0);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn lock_in_returns_none_in_another_process() {
        let (value, _) = probe(Locked::new);
        let here = Process::this();
        assert!(value.lock_in(here).is_some());
        assert!(in_child(|| {
            assert!(value.lock_in(here).is_none());
            assert!(value.lock_in(Process::this()).is_some());
        }));
    }

    #[test]
    fn kept_values_are_adopted_too() {
        let kept = Kept::new(OneProcess(vec!["the parent's"]));
        let for_all = Kept::new(AnyProcess(vec!["for all"]));
        assert!(in_child(|| {
            assert!(kept.lock().is_empty());
            kept.lock().push("the child's");
            assert_eq!(**kept.lock(), ["the child's"]);
            assert_eq!(**for_all.lock(), ["for all"]);
        }));
        assert_eq!(**kept.lock(), ["the parent's"]);
    }
}
