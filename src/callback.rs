//! A function of the program: called by threads of ours, let go once in every process.
//!
//! Reference counts alone cannot do that. A forked child has the parent's counts but not the
//! parent's threads, so whatever these held stays counted for ever and nothing would ever be let
//! go. So it is counted who *owns* the function (configurations and clients, which the child has
//! too) and, apart from that, how many calls of it are running, which begins anew in a child.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::fork::{self, Locked, Process};
use crate::sync::atomic::AtomicUsize;
use crate::sync::{global, thread_local};

/// One owner of a function. The function is dropped when the last owner has gone and the last call
/// has ended, by whichever thread that is.
pub(crate) struct Callback<F> {
    inner: Arc<Inner<F>>,
}

/// Can call a function as long as it has an owner, and owns nothing.
pub(crate) struct Callable<F> {
    inner: Arc<Inner<F>>,
}

struct Inner<F> {
    state: Locked<State<F>>,
}

struct State<F> {
    function: Option<NonNull<F>>,
    owners: usize,
    running: usize,
    process: Process,
}

// SAFETY: the pointer is a box's: it is owned here, and calls share the function by reference.
unsafe impl<F: Send + Sync> Send for State<F> {}

impl<F> Callback<F> {
    pub(crate) fn new(function: F) -> Self {
        fork::install_handlers();
        let state = State {
            function: Some(NonNull::from(Box::leak(Box::new(function)))),
            owners: 1,
            running: 0,
            process: Process::this(),
        };
        Self { inner: Arc::new(Inner { state: Locked::new(state) }) }
    }

    pub(crate) fn callable(&self) -> Callable<F> {
        Callable { inner: self.inner.clone() }
    }
}

impl<F> Clone for Callback<F> {
    fn clone(&self) -> Self {
        self.inner.state.lock().owners += 1;
        Self { inner: self.inner.clone() }
    }
}

impl<F> Drop for Callback<F> {
    fn drop(&mut self) {
        let unused = {
            let mut state = self.inner.state.lock();
            state.renew(self.inner.address());
            state.owners -= 1;
            state.take_unused()
        };
        drop(unused);
    }
}

impl<F> Callable<F> {
    /// Calls the function, not under a lock; `None` if it has been let go.
    pub(crate) fn call<R>(&self, with: impl FnOnce(&F) -> R) -> Option<R> {
        let running = Running::begin(&self.inner)?;
        // SAFETY: the function is not dropped while a call of it is counted.
        Some(with(unsafe { running.function.as_ref() }))
    }
}

impl<F> Inner<F> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl<F> State<F> {
    /// In a forked child the parent's calls have no thread; only that one goes on which forked.
    fn renew(&mut self, address: usize) {
        if self.process.adopt() {
            self.running = usize::from(CALLED_AT_FORK.load(Ordering::Relaxed) == address);
        }
    }

    fn take_unused(&mut self) -> Option<Box<F>> {
        let function = self.function.take_if(|_| self.owners == 0 && self.running == 0)?;
        // SAFETY: it came from a box, is taken out once, and nobody can get at it any more.
        Some(unsafe { Box::from_raw(function.as_ptr()) })
    }
}

thread_local! {
    /// Whose function runs on this thread. (Ours never call one from within another.)
    static CALLED: Cell<usize> = const { Cell::new(0) };
}

global! {
    /// The same of the thread that forked, for its child.
    static CALLED_AT_FORK: AtomicUsize = AtomicUsize::new(0);
}

/// In a new child, before anything else of ours.
pub(crate) fn forked() {
    CALLED_AT_FORK.store(CALLED.try_with(Cell::get).unwrap_or_default(), Ordering::Relaxed);
}

/// A call, counted until it ends, be it by a panic.
struct Running<'a, F> {
    inner: &'a Inner<F>,
    function: NonNull<F>,
    outer: usize,
}

impl<'a, F> Running<'a, F> {
    fn begin(inner: &'a Inner<F>) -> Option<Self> {
        let mut state = inner.state.lock();
        state.renew(inner.address());
        let function = state.function?;
        state.running += 1;
        Some(Self { inner, function, outer: CALLED.with(|called| called.replace(inner.address())) })
    }
}

impl<F> Drop for Running<'_, F> {
    fn drop(&mut self) {
        CALLED.with(|called| called.set(self.outer));
        let unused = {
            let mut state = self.inner.state.lock();
            state.renew(self.inner.address());
            state.running = state.running.saturating_sub(1);
            state.take_unused()
        };
        drop(unused);
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    struct Dropped(Arc<AtomicUsize>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Callback<Dropped>, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (Callback::new(Dropped(drops.clone())), drops)
    }

    #[test]
    fn the_last_owner_lets_it_go() {
        let (first, drops) = counted();
        let (second, callable) = (first.clone(), first.callable());
        drop(first);
        assert_eq!(callable.call(|_| drops.load(Ordering::SeqCst)), Some(0));
        drop(second);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(callable.call(|_| ()).is_none());
    }

    #[test]
    fn a_call_that_runs_holds_it() {
        let (owner, drops) = counted();
        let callable = owner.callable();
        let during = callable.call(|_| {
            drop(owner);
            drops.load(Ordering::SeqCst)
        });
        assert_eq!((during, drops.load(Ordering::SeqCst)), (Some(0), 1));
    }

    #[test]
    fn a_call_that_panics_ends_all_the_same() {
        let (owner, drops) = counted();
        let callable = owner.callable();
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            callable.call(|_| panic!("on purpose"));
        }));
        assert!(panics.is_err());
        drop(owner);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn calls_of_a_parent_do_not_hold_it_in_the_child() {
        let (owner, drops) = counted();
        // As if another thread's call had been running when this process was forked.
        owner.inner.state.lock().running = 1;
        owner.inner.state.lock().process = Process::parent();
        drop(owner);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}
