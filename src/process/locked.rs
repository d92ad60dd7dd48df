//! Values behind a lock that no forked child finds held.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU32, Ordering};

use super::gate::{self, Pass, Pause};
use super::{Inherited, Process};
use crate::sync::atomic::AtomicPtr;
use crate::sync::{Mutex, MutexGuard};

/// Looks at a lock that another thread has, before it is slept for: it is held for nanoseconds.
const LOOKS: usize = 100;

#[cfg(not(all(test, feature = "__shuttle")))]
mod epochs {
    use super::{AtomicU32, Ordering};

    /// Counts the forks, between the process that loaded the library and this one, that left
    /// somebody inside the gate. From 1: in a lock's mark, 0 is "never taken".
    static EPOCH: AtomicU32 = AtomicU32::new(1);

    pub(super) fn this() -> u32 {
        EPOCH.load(Ordering::Relaxed)
    }

    pub(super) fn begin() {
        EPOCH.fetch_add(1, Ordering::Relaxed);
    }
}

/// All threads of a scenario run on one thread of the machine, and scenarios side by side.
#[cfg(all(test, feature = "__shuttle"))]
mod epochs {
    use std::cell::Cell;

    std::thread_local!(static EPOCH: Cell<u32> = const { Cell::new(1) });

    pub(super) fn this() -> u32 {
        EPOCH.get()
    }

    pub(super) fn begin() {
        EPOCH.set(EPOCH.get() + 1);
    }
}

/// In a child that cannot trust what is behind locks: from now on each begins anew.
pub(super) fn begin_epoch() {
    epochs::begin();
}

#[cfg(all(test, feature = "__shuttle"))]
pub(crate) fn begin_epoch_in_scenario() {
    begin_epoch();
}

/// A value behind a lock that no forked child finds held, and that is the child's own when the child
/// gets to see it.
///
/// In a child whose parent's threads could not be waited for, the value is not looked at: there may
/// be nobody left to finish a change of it. An empty one, `T::default()`, takes its place, with a
/// lock of its own, and the former one stays where it is, for ever: a thread that came into the
/// child from a signal handler may still hold it.
pub(crate) struct Locked<T> {
    /// `None`: whoever takes the lock first begins with an empty value.
    first: ManuallyDrop<Option<Place<T>>>,
    /// What took its place, in the last such child; null if nothing did.
    later: AtomicPtr<Place<T>>,
}

struct Place<T> {
    /// The epoch it was first taken in; 0: never yet, so nobody can have changed it half.
    epoch: AtomicU32,
    /// Whose the value is. Under the lock, but in front of it, where there is room for it.
    process: AtomicU32,
    value: Mutex<T>,
}

/// The value, while the lock is held. Short: no system call, no second lock, no foreign code.
pub(crate) struct Guard<'a, T> {
    value: MutexGuard<'a, T>,
    _pass: Pass,
}

impl<T> Place<T> {
    fn new(value: T, epoch: u32) -> Self {
        let (epoch, process) = (AtomicU32::new(epoch), AtomicU32::new(gate::generation()));
        Self { epoch, process, value: Mutex::new(value) }
    }

    fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl<T: Inherited> Place<T> {
    /// Under the lock. What is left of the parent's, if the value was that.
    fn adopt(&self, value: &mut T) -> Option<T::Remains> {
        // Behind the lock: a signal handler may have forked at any moment before.
        let this = gate::generation();
        (self.process.load(Ordering::Relaxed) != this).then(|| {
            let remains = value.adopt();
            self.process.store(this, Ordering::Relaxed);
            remains
        })
    }
}

impl<T> Locked<T> {
    /// Around an empty value, which is made, and made the process's, when the lock is first taken.
    pub(crate) const fn empty() -> Self {
        Self::around(None)
    }

    const fn around(first: Option<Place<T>>) -> Self {
        let later = AtomicPtr::new(std::ptr::null_mut());
        Self { first: ManuallyDrop::new(first), later }
    }

    #[cfg(all(test, feature = "__shuttle"))]
    pub(crate) fn is_held(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.value.try_lock().is_err())
    }
}

impl<T: Inherited + Default> Locked<T> {
    /// Around a value of this process's.
    pub(crate) fn new(value: T) -> Self {
        Self::around(Some(Place::new(value, 0)))
    }

    /// The same around one that this process finds: its parent's.
    #[cfg(test)]
    pub(crate) fn inherited(value: T) -> Self {
        let found = Self::new(value);
        let parent = gate::generation().wrapping_sub(1);
        found.first.as_ref().unwrap().process.store(parent, Ordering::Relaxed);
        found
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let mut pause = Pause::default();
        loop {
            self.mark();
            let pass = Pass::enter();
            let place = self.place();
            let Some(mut value) = try_lock(&place.value) else {
                // Outside the gate: a fork need not wait for those who only wait. And if this thread
                // comes into a child, out of a signal handler, it finds the child's lock.
                drop(pass);
                pause.sleep();
                continue;
            };
            let remains = place.adopt(&mut value);
            let guard = Guard { value, _pass: pass };
            if remains.is_none() {
                return guard;
            }
            drop(guard);
            drop(remains);
        }
    }

    /// The same in one process alone: in a child of it, `None`, and nothing is adopted for that.
    pub(crate) fn lock_in(&self, process: Process) -> Option<Guard<'_, T>> {
        // Once more under the lock: there it stays so.
        process.is_this().then(|| self.lock()).filter(|_| process.is_this())
    }

    /// Marks the first use. Before the gate, so that a fork that finds this thread inside has seen
    /// the mark.
    fn mark(&self) {
        let Some(first) = self.first.as_ref() else { return };
        if first.epoch() == 0 {
            let this = epochs::this();
            let _ = first.epoch.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The place of this epoch. Inside the gate.
    fn place(&self) -> &Place<T> {
        let epoch = epochs::this();
        loop {
            let later = self.later.load(Ordering::Acquire);
            // SAFETY: a place that stands there was a box, is whole, and is freed when this is
            // dropped, or never.
            let place = unsafe { later.as_ref() }.or(self.first.as_ref());
            if let Some(place) = place.filter(|place| place.epoch() == epoch) {
                return place;
            }
            let new = Box::into_raw(Box::new(Place::new(T::default(), epoch)));
            let put = self.later.compare_exchange(later, new, Ordering::AcqRel, Ordering::Acquire);
            if put.is_err() {
                // SAFETY: it was a box a moment ago, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..LOOKS {
        match mutex.try_lock() {
            Ok(value) => return Some(value),
            // A panic under the lock was a bug, contained elsewhere; the state machines keep no
            // invariant that spans two statements, so going on is better than poisoning a client.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if cfg!(all(test, feature = "__shuttle")) => return None,
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
    None
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        let this = epochs::this();
        let is_whole = |first: &Place<T>| first.epoch() == 0 || first.epoch() == this;
        if self.first.as_ref().is_some_and(is_whole) {
            // SAFETY: nobody uses it any more, and it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.first) };
        }
        let later = self.later.load(Ordering::Acquire);
        // SAFETY: a place that stands there was a box and is whole; nobody uses it any more.
        if unsafe { later.as_ref() }.is_some_and(|later| later.epoch() == this) {
            // SAFETY: the same.
            drop(unsafe { Box::from_raw(later) });
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
