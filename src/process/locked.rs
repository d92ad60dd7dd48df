//! Values behind a lock that no forked child finds held.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU32, Ordering};

use super::gate::{Pass, Pause};
use crate::sync::atomic::AtomicPtr;
use crate::sync::{Mutex, MutexGuard};

/// Looks at a lock that another thread has, before it is slept for: it is held for nanoseconds.
const LOOKS: usize = 100;

#[cfg(not(all(test, feature = "shuttle")))]
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
#[cfg(all(test, feature = "shuttle"))]
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

#[cfg(all(test, feature = "shuttle"))]
pub(crate) fn begin_epoch_in_scenario() {
    begin_epoch();
}

/// A value behind a lock that no forked child finds held.
///
/// In a child whose parent's threads could not be waited for, the value is not looked at: there may
/// be nobody left to finish a change of it. An empty one, `T::default()`, takes its place, with a
/// lock of its own, and the former one stays where it is, for ever: a thread that came into the
/// child from a signal handler may still hold it.
pub(crate) struct Locked<T> {
    first: ManuallyDrop<Place<T>>,
    /// What took its place, in the last such child; null if nothing did.
    later: AtomicPtr<Place<T>>,
}

struct Place<T> {
    /// The epoch it was first taken in; 0: never yet, so nobody can have changed it half.
    epoch: AtomicU32,
    value: Mutex<T>,
}

/// The value, while the lock is held. Short: no system call, no second lock, no foreign code.
pub(crate) struct Guard<'a, T> {
    value: MutexGuard<'a, T>,
    _pass: Pass,
}

impl<T> Place<T> {
    const fn new(value: T, epoch: u32) -> Self {
        Self { epoch: AtomicU32::new(epoch), value: Mutex::new(value) }
    }

    fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            first: ManuallyDrop::new(Place::new(value, 0)),
            later: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    #[cfg(all(test, feature = "shuttle"))]
    pub(crate) fn is_held(&self) -> bool {
        self.first.value.try_lock().is_err()
    }
}

impl<T: Default> Locked<T> {
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let mut pause = Pause::default();
        loop {
            self.mark();
            let pass = Pass::enter();
            if let Some(value) = try_lock(&self.place().value) {
                return Guard { value, _pass: pass };
            }
            // Outside the gate: a fork need not wait for those who only wait. And if this thread
            // comes into a child, out of a signal handler, it finds the child's lock.
            drop(pass);
            pause.sleep();
        }
    }

    /// Marks the first use. Before the gate, so that a fork that finds this thread inside has seen
    /// the mark.
    fn mark(&self) {
        let mark = &self.first.epoch;
        if mark.load(Ordering::Relaxed) == 0 {
            let this = epochs::this();
            let _ = mark.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The place of this epoch. Inside the gate.
    fn place(&self) -> &Place<T> {
        let epoch = epochs::this();
        loop {
            let later = self.later.load(Ordering::Acquire);
            // SAFETY: a place that stands there was a box, is whole, and is freed when this is
            // dropped, or never.
            let place = unsafe { later.as_ref() }.unwrap_or(&self.first);
            if place.epoch() == epoch {
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
            Err(TryLockError::WouldBlock) if cfg!(all(test, feature = "shuttle")) => return None,
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
    None
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        let this = epochs::this();
        if matches!(self.first.epoch(), 0) || self.first.epoch() == this {
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

/// A value behind a lock that may not be lost, whatever happens at a fork: it is never changed, but
/// replaced by a changed copy, in one step. For what is small and seldom changed.
pub(crate) struct Kept<T> {
    turn: Locked<()>,
    current: AtomicPtr<T>,
    _owned: PhantomData<std::sync::Mutex<T>>,
}

/// The value, while the lock is held; a change counts from the end of that on.
pub(crate) struct KeptGuard<'a, T> {
    kept: &'a Kept<T>,
    changed: Option<Box<T>>,
    turn: ManuallyDrop<Guard<'a, ()>>,
}

impl<T: Clone> Kept<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            turn: Locked::new(()),
            current: AtomicPtr::new(Box::into_raw(Box::new(value))),
            _owned: PhantomData,
        }
    }

    pub(crate) fn lock(&self) -> KeptGuard<'_, T> {
        KeptGuard { kept: self, changed: None, turn: ManuallyDrop::new(self.turn.lock()) }
    }
}

impl<T> Deref for KeptGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.changed {
            Some(changed) => changed,
            // SAFETY: what stands there is a whole box; it is replaced, and then dropped, by the
            // holder of the lock alone, and that is this guard.
            None => unsafe { &*self.kept.current.load(Ordering::Acquire) },
        }
    }
}

impl<T: Clone> DerefMut for KeptGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        let current = &self.kept.current;
        // SAFETY: as above.
        let copy = || Box::new(unsafe { &*current.load(Ordering::Acquire) }.clone());
        self.changed.get_or_insert_with(copy)
    }
}

impl<T> Drop for KeptGuard<'_, T> {
    fn drop(&mut self) {
        let former = self
            .changed
            .take()
            .map(|changed| self.kept.current.swap(Box::into_raw(changed), Ordering::AcqRel));
        // SAFETY: it is not used again.
        unsafe { ManuallyDrop::drop(&mut self.turn) };
        // After the lock: what goes may have a drop of the program's.
        if let Some(former) = former {
            // SAFETY: it was a box, and nobody can get at it any more.
            drop(unsafe { Box::from_raw(former) });
        }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: what stands there is a whole box, and nobody uses it any more.
        drop(unsafe { Box::from_raw(self.current.load(Ordering::Acquire)) });
    }
}
