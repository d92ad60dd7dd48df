//! Values behind a lock that a forked child never finds held.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU32, Ordering};

use super::gate::{self, Pass, Pause};
use super::queue::Queue;
use super::{Inherited, Process};
use crate::sync::atomic::AtomicPtr;
use crate::sync::{Mutex, MutexGuard};

/// Attempts to take a contended lock before sleeping: it is held for nanoseconds.
const LOOKS: usize = 100;

#[cfg(not(all(test, feature = "__shuttle")))]
mod epochs {
    use super::{AtomicU32, Ordering};

    /// Counts the forks, between the process that loaded the library and this one, that left a
    /// thread inside the gate. Starts at 1: for a lock, 0 means "never taken".
    static EPOCH: AtomicU32 = AtomicU32::new(1);

    pub(super) fn this() -> u32 {
        EPOCH.load(Ordering::Relaxed)
    }

    pub(super) fn begin() {
        EPOCH.fetch_add(1, Ordering::Relaxed);
    }
}

/// All threads of a scenario run on one OS thread, and several scenarios run in parallel.
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

/// Called in a child that cannot trust what is behind locks: from now on each one starts empty.
pub(super) fn begin_epoch() {
    epochs::begin();
}

#[cfg(all(test, feature = "__shuttle"))]
pub(crate) fn begin_epoch_in_scenario() {
    begin_epoch();
}

/// A value behind a lock that a forked child never finds held; the child adopts the value before it
/// sees it.
///
/// In a child whose parent could not wait for its threads, the value is not read: a change to it
/// may be left half done. An empty one, `T::default()`, with a lock of its own, takes its place,
/// and the old one is leaked: a thread that reached the child through a signal handler may still
/// hold it.
pub(crate) struct Locked<T> {
    /// `None`: the first thread to take the lock creates an empty value.
    first: ManuallyDrop<Option<Slot<T>>>,
    /// The replacement made in the latest such child; null if there is none.
    later: AtomicPtr<Slot<T>>,
}

struct Slot<T> {
    /// The epoch it was first taken in; 0: never, so it cannot be half changed.
    epoch: AtomicU32,
    /// Generation that owns the value. Guarded by the lock, but outside it, where padding leaves
    /// room.
    process: AtomicU32,
    queue: Queue,
    value: Mutex<T>,
}

/// Access to the value while the lock is held. Keep it short: no system call, no second lock, no
/// foreign code.
pub(crate) struct Guard<'a, T> {
    value: MutexGuard<'a, T>,
    _pass: Pass,
    /// Last: it may wake a thread, outside the gate.
    _next: Next<'a>,
}

/// Lets in the next one that waits for the lock, when this is dropped.
struct Next<'a>(&'a Queue);

impl Drop for Next<'_> {
    fn drop(&mut self) {
        self.0.let_next();
    }
}

impl<T> Slot<T> {
    fn new(value: T, epoch: u32) -> Self {
        let (epoch, process) = (AtomicU32::new(epoch), AtomicU32::new(gate::generation()));
        Self { epoch, process, queue: Queue::default(), value: Mutex::new(value) }
    }

    fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }
}

impl<T> Locked<T> {
    /// Starts without a value: an empty one is created when the lock is first taken.
    pub(crate) const fn empty() -> Self {
        Self::around(None)
    }

    const fn around(first: Option<Slot<T>>) -> Self {
        let later = AtomicPtr::new(std::ptr::null_mut());
        Self { first: ManuallyDrop::new(first), later }
    }

    #[cfg(all(test, feature = "__shuttle"))]
    pub(crate) fn is_held(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.value.try_lock().is_err())
    }
}

impl<T: Inherited + Default> Locked<T> {
    /// Wraps a value of this process.
    pub(crate) fn new(value: T) -> Self {
        Self::around(Some(Slot::new(value, 0)))
    }

    /// Wraps a value as if inherited from the parent.
    #[cfg(test)]
    pub(crate) fn inherited(value: T) -> Self {
        let found = Self::new(value);
        let parent = gate::generation().wrapping_sub(1);
        found.first.as_ref().unwrap().process.store(parent, Ordering::Relaxed);
        found
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let mut pause = Pause::default();
        let mut looks = LOOKS;
        loop {
            self.mark();
            let pass = Pass::enter();
            let slot = self.slot();
            // Having waited once, it lines up first: it may not be the only one that waits.
            let place = (looks != LOOKS).then(|| slot.queue.line_up());
            let Some(value) = try_lock(&slot.value, looks) else {
                // Sleeps outside the gate: a fork need not wait for threads that only wait. And if
                // this thread reaches a child through a signal handler, it finds the child's lock.
                drop(pass);
                if let Some(place) = place {
                    slot.queue.sleep(place, &mut pause);
                }
                looks = 1;
                continue;
            };
            let mut guard = Guard { value, _pass: pass, _next: Next(&slot.queue) };
            // Read under the lock: a signal handler may have forked at any time before.
            let this = gate::generation();
            if slot.process.load(Ordering::Relaxed) == this {
                return guard;
            }
            let remains = guard.adopt();
            slot.process.store(this, Ordering::Relaxed);
            drop(guard);
            drop(remains);
        }
    }

    /// Locks only in `process`; in a child of it returns `None`, and adopts nothing.
    pub(crate) fn lock_in(&self, process: Process) -> Option<Guard<'_, T>> {
        // Checked again under the lock, where it cannot change.
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

    /// The slot of this epoch. Called inside the gate.
    fn slot(&self) -> &Slot<T> {
        let epoch = epochs::this();
        loop {
            let later = self.later.load(Ordering::Acquire);
            // SAFETY: a non-null pointer comes from a box, is fully initialized, and is freed when
            // `self` is dropped, or never.
            let slot = unsafe { later.as_ref() }.or(self.first.as_ref());
            if let Some(slot) = slot.filter(|slot| slot.epoch() == epoch) {
                return slot;
            }
            let new = Box::into_raw(Box::new(Slot::new(T::default(), epoch)));
            let put = self.later.compare_exchange(later, new, Ordering::AcqRel, Ordering::Acquire);
            if put.is_err() {
                // SAFETY: it was just a box, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

fn try_lock<T>(mutex: &Mutex<T>, looks: usize) -> Option<MutexGuard<'_, T>> {
    for _ in 0..looks {
        match mutex.try_lock() {
            Ok(value) => return Some(value),
            // A panic under the lock is a bug, contained elsewhere; the state machines keep no
            // invariant across two statements, so continuing is better than poisoning a client.
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
        let is_whole = |first: &Slot<T>| first.epoch() == 0 || first.epoch() == this;
        if self.first.as_ref().is_some_and(is_whole) {
            // SAFETY: `&mut self`: no one else uses it, and it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.first) };
        }
        let later = self.later.load(Ordering::Acquire);
        // SAFETY: a non-null pointer comes from a box and is fully initialized; no one else uses
        // it.
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
