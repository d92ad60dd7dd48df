//! A function of the program: called by the library's threads, released once in every process.
//!
//! Reference counts alone cannot do that. A forked child inherits the parent's counts but not its
//! threads, so references held by those threads would stay counted forever and nothing would ever
//! be released. So two things are counted separately: the *owners* of the function (configurations
//! and clients, which exist in the child too) and the calls in progress, a count that restarts in a
//! child.
//!
//! Both counts are in one word, without a lock: a child always finds them consistent.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::gate;
use crate::sync::atomic::{AtomicU64, AtomicUsize};
use crate::sync::{global, thread_local};

/// One owner of a function. The function is dropped when the last owner is gone and the last call
/// has ended, by whichever thread is last.
pub(crate) struct Callback<F> {
    inner: Arc<Inner<F>>,
}

/// Can call a function as long as it has an owner, without owning it.
pub(crate) struct Callable<F> {
    inner: Arc<Inner<F>>,
}

struct Inner<F> {
    /// From a box; valid until it has no owners and no calls in progress.
    function: NonNull<F>,
    users: AtomicU64,
    _owned: PhantomData<F>,
}

// SAFETY: the pointer is an owned box, and calls share the function only by reference.
unsafe impl<F: Send + Sync> Send for Inner<F> {}
// SAFETY: the same.
unsafe impl<F: Send + Sync> Sync for Inner<F> {}

/// From the highest bit: the number of owners, the number of calls in progress, and the generation
/// these calls belong to (its low bits: enough to tell a process from its ancestors).
#[derive(Clone, Copy)]
struct Users(u64);

const OWNER: u64 = 1 << 40;
const CALL: u64 = 1 << 16;
const CALLS: u64 = (1 << 24) - 1;

impl Users {
    fn new(owners: u64, calls: u64, generation: u32) -> Self {
        Self(owners * OWNER + calls * CALL + u64::from(generation as u16))
    }

    fn owners(self) -> u64 {
        self.0 / OWNER
    }

    fn calls(self) -> u64 {
        (self.0 / CALL) & CALLS
    }

    /// No owners and no calls in progress: the function has been dropped, exactly once.
    fn is_none(self) -> bool {
        self.0 / CALL == 0
    }

    /// In a forked child the parent's calls have no thread; only a call on the thread that forked
    /// continues.
    fn here(self, address: usize) -> Self {
        let generation = gate::generation();
        if self.0 as u16 == generation as u16 {
            return self;
        }
        let continues = CALLED_AT_FORK.load(Ordering::Relaxed) == address;
        Self::new(self.owners(), u64::from(continues), generation)
    }
}

impl<F> Callback<F> {
    pub(crate) fn new(function: F) -> Self {
        gate::install_handlers();
        let inner = Inner {
            function: NonNull::from(Box::leak(Box::new(function))),
            users: AtomicU64::new(Users::new(1, 0, gate::generation()).0),
            _owned: PhantomData,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn callable(&self) -> Callable<F> {
        Callable { inner: self.inner.clone() }
    }
}

impl<F> Clone for Callback<F> {
    fn clone(&self) -> Self {
        self.inner.change(|users| users.0 + OWNER);
        Self { inner: self.inner.clone() }
    }
}

impl<F> Drop for Callback<F> {
    fn drop(&mut self) {
        self.inner.leave(|users| users.0 - OWNER);
    }
}

impl<F> Callable<F> {
    /// Calls the function, not under a lock; `None` if it has been released.
    pub(crate) fn call<R>(&self, with: impl FnOnce(&F) -> R) -> Option<R> {
        let running = Running::begin(&self.inner)?;
        // SAFETY: the function is not dropped while a call of it is counted.
        Some(with(unsafe { running.inner.function.as_ref() }))
    }
}

impl<F> Inner<F> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Updates the counts. Returns the new ones, or `None` if the function has been dropped.
    fn change(&self, change: impl Fn(Users) -> u64) -> Option<Users> {
        let mut now = self.users.load(Ordering::Acquire);
        while !Users(now).is_none() {
            let changed = change(Users(now).here(self.address()));
            match self.users.compare_exchange(now, changed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Users(changed)),
                Err(other) => now = other,
            }
        }
        None
    }

    /// Removes an owner or a call; drops the function if it was the last.
    fn leave(&self, change: impl Fn(Users) -> u64) {
        if self.change(change).is_some_and(Users::is_none) {
            // SAFETY: it came from a box; the counts reach zero once, and never change after that.
            drop(unsafe { Box::from_raw(self.function.as_ptr()) });
        }
    }
}

thread_local! {
    /// Address of the function running on this thread. (The library never nests such calls.)
    static CALLED: Cell<usize> = const { Cell::new(0) };
}

global! {
    /// The same for the thread that forked, read by its child.
    static CALLED_AT_FORK: AtomicUsize = AtomicUsize::new(0);
}

/// Runs in a new child before any other code of the library.
pub(super) fn forked() {
    CALLED_AT_FORK.store(CALLED.try_with(Cell::get).unwrap_or_default(), Ordering::Relaxed);
}

/// A call in progress, counted until it ends, by a panic too.
struct Running<'a, F> {
    inner: &'a Inner<F>,
    _mark: Mark,
}

/// Marks this thread for a little longer than the call is counted: a fork in between makes the
/// child count one call too many, never one too few.
struct Mark(usize);

impl Mark {
    fn new(address: usize) -> Self {
        Self(CALLED.with(|called| called.replace(address)))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        CALLED.with(|called| called.set(self.0));
    }
}

impl<'a, F> Running<'a, F> {
    fn begin(inner: &'a Inner<F>) -> Option<Self> {
        let mark = Mark::new(inner.address());
        inner.change(|users| users.0 + CALL)?;
        Some(Self { inner, _mark: mark })
    }
}

impl<F> Drop for Running<'_, F> {
    fn drop(&mut self) {
        self.inner.leave(|users| users.0 - CALL.min(users.calls() * CALL));
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
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
    fn the_last_owner_releases_it() {
        let (first, drops) = counted();
        let (second, callable) = (first.clone(), first.callable());
        drop(first);
        assert_eq!(callable.call(|_| drops.load(Ordering::SeqCst)), Some(0));
        drop(second);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(callable.call(|_| ()).is_none());
    }

    #[test]
    fn a_running_call_keeps_it_alive() {
        let (owner, drops) = counted();
        let callable = owner.callable();
        let during = callable.call(|_| {
            drop(owner);
            drops.load(Ordering::SeqCst)
        });
        assert_eq!((during, drops.load(Ordering::SeqCst)), (Some(0), 1));
    }

    #[test]
    fn a_call_that_panics_is_counted_out() {
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
    fn calls_of_the_parent_do_not_keep_it_alive_in_the_child() {
        let (owner, drops) = counted();
        // As if another thread's call had been in progress when this process was forked.
        let parents = Users::new(1, 1, gate::generation().wrapping_sub(1));
        owner.inner.users.store(parents.0, Ordering::SeqCst);
        drop(owner);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}
