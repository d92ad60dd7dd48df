//! Values behind a lock that survive every fork.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;

use super::{Guard, Inherited, Locked, Process};
use crate::sync::atomic::AtomicPtr;

/// A value behind a lock that must not be lost at a fork, even one that could not wait: it is never
/// modified in place, but replaced by a modified copy in one atomic step. For small values that
/// rarely change.
pub(crate) struct Kept<T> {
    turn: Locked<()>,
    current: AtomicPtr<Owned<T>>,
    _owned: PhantomData<std::sync::Mutex<T>>,
}

/// A value and the process that owns it, replaced together in one step.
#[derive(Clone)]
struct Owned<T> {
    process: Process,
    value: T,
}

/// Access to the value while the lock is held; a change takes effect when the guard is dropped.
pub(crate) struct KeptGuard<'a, T> {
    kept: &'a Kept<T>,
    changed: Option<Box<Owned<T>>>,
    turn: ManuallyDrop<Guard<'a, ()>>,
}

impl<T: Inherited + Clone> Kept<T> {
    /// Wraps a value of this process.
    pub(crate) fn new(value: T) -> Self {
        let owned = Box::new(Owned { process: Process::this(), value });
        Self {
            turn: Locked::new(()),
            current: AtomicPtr::new(Box::into_raw(owned)),
            _owned: PhantomData,
        }
    }

    /// Locks the value, after adopting it if it was the parent's.
    pub(crate) fn lock(&self) -> KeptGuard<'_, T> {
        loop {
            let turn = ManuallyDrop::new(self.turn.lock());
            let mut guard = KeptGuard { kept: self, changed: None, turn };
            // Read under the lock: a signal handler may have forked at any time before.
            let this = Process::this();
            if guard.owned().process == this {
                return guard;
            }
            let owned = guard.change();
            let remains = owned.value.adopt();
            owned.process = this;
            drop(guard);
            drop(remains);
        }
    }
}

impl<T> KeptGuard<'_, T> {
    fn owned(&self) -> &Owned<T> {
        match &self.changed {
            Some(changed) => changed,
            // SAFETY: the pointer is a valid box; only the holder of the lock replaces it and then
            // drops it, and this guard holds the lock.
            None => unsafe { &*self.kept.current.load(Ordering::Acquire) },
        }
    }
}

impl<T: Clone> KeptGuard<'_, T> {
    fn change(&mut self) -> &mut Owned<T> {
        let current = &self.kept.current;
        // SAFETY: as above.
        let copy = || Box::new(unsafe { &*current.load(Ordering::Acquire) }.clone());
        self.changed.get_or_insert_with(copy)
    }
}

impl<T> Deref for KeptGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.owned().value
    }
}

impl<T: Clone> DerefMut for KeptGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.change().value
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
        // After the lock is released: the old value's destructor may be the program's.
        if let Some(former) = former {
            // SAFETY: it was a box, and it is no longer reachable from elsewhere.
            drop(unsafe { Box::from_raw(former) });
        }
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is a valid box, and `&mut self` means that no one else uses it.
        drop(unsafe { Box::from_raw(self.current.load(Ordering::Acquire)) });
    }
}
