//! Values behind a lock that are not lost, whatever happens at a fork.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;

use super::{Guard, Inherited, Locked, Process};
use crate::sync::atomic::AtomicPtr;

/// A value behind a lock that may not be lost, whatever happens at a fork: it is never changed, but
/// replaced by a changed copy, in one step. For what is small and seldom changed.
pub(crate) struct Kept<T> {
    turn: Locked<()>,
    current: AtomicPtr<Owned<T>>,
    _owned: PhantomData<std::sync::Mutex<T>>,
}

/// A value, and whose it is: both are replaced in one step.
#[derive(Clone)]
struct Owned<T> {
    process: Process,
    value: T,
}

/// The value, while the lock is held; a change counts from the end of that on.
pub(crate) struct KeptGuard<'a, T> {
    kept: &'a Kept<T>,
    changed: Option<Box<Owned<T>>>,
    turn: ManuallyDrop<Guard<'a, ()>>,
}

impl<T: Inherited + Clone> Kept<T> {
    /// Around a value of this process's.
    pub(crate) fn new(value: T) -> Self {
        let owned = Box::new(Owned { process: Process::this(), value });
        Self {
            turn: Locked::new(()),
            current: AtomicPtr::new(Box::into_raw(owned)),
            _owned: PhantomData,
        }
    }

    /// The value, made this process's own before, if it was its parent's.
    pub(crate) fn lock(&self) -> KeptGuard<'_, T> {
        loop {
            let turn = ManuallyDrop::new(self.turn.lock());
            let mut guard = KeptGuard { kept: self, changed: None, turn };
            // Behind the lock: a signal handler may have forked at any moment before.
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
            // SAFETY: what stands there is a whole box; it is replaced, and then dropped, by the
            // holder of the lock alone, and that is this guard.
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
