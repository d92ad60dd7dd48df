//! Where one thread waits for what another one brings. No lock, so nothing to be found held.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Process;
use super::bell::Bell;
use super::gate;
use crate::clock::{BootTime, Clock};
use crate::sync::atomic::AtomicPtr;

/// Room for one thing, that threads put in and take out in one step.
pub(crate) struct Parcel<T> {
    thing: AtomicPtr<T>,
    _owned: PhantomData<std::sync::Mutex<T>>,
}

impl<T> Default for Parcel<T> {
    fn default() -> Self {
        Self { thing: AtomicPtr::new(std::ptr::null_mut()), _owned: PhantomData }
    }
}

impl<T> Parcel<T> {
    pub(crate) fn new(thing: T) -> Self {
        Self { thing: AtomicPtr::new(Box::into_raw(Box::new(thing))), _owned: PhantomData }
    }

    /// Puts something in, unless something is in already.
    pub(crate) fn put(&self, thing: T) -> bool {
        if !self.is_empty() {
            return false;
        }
        let none = std::ptr::null_mut();
        let new = Box::into_raw(Box::new(thing));
        let put = self.thing.compare_exchange(none, new, Ordering::SeqCst, Ordering::SeqCst);
        if put.is_err() {
            // SAFETY: it was a box a moment ago, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
        put.is_ok()
    }

    pub(crate) fn take(&self) -> Option<T> {
        let thing = self.thing.swap(std::ptr::null_mut(), Ordering::SeqCst);
        // SAFETY: what stands there is a box's, and only one can have taken it out.
        (!thing.is_null()).then(|| *unsafe { Box::from_raw(thing) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.thing.load(Ordering::SeqCst).is_null()
    }
}

impl<T> Drop for Parcel<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A place where one thread waits for one thing. It belongs to the process that made it.
pub(crate) struct Mailbox<T> {
    content: Parcel<T>,
    bell: Bell,
    process: Process,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { content: Parcel::default(), bell: Bell::default(), process: Process::this() }
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("is_empty", &self.content.is_empty()).finish()
    }
}

impl<T> Mailbox<T> {
    /// Puts something in, unless something is in already.
    pub(crate) fn put(&self, thing: T) -> bool {
        let is_put = self.content.put(thing);
        if is_put {
            self.bell.ring();
        }
        is_put
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Takes what is in, or waits for it until `until` by the boot clock. In a child of the process
    /// that made it nobody will ever put something in, and the wait is over at once.
    pub(crate) fn take(&self, clock: &Clock, until: BootTime) -> Option<T> {
        let mut opened = None;
        loop {
            let seen = self.bell.rings();
            if let Some(thing) = self.content.take() {
                return Some(thing);
            }
            let left = until.until(clock.now());
            if left.is_zero() || !self.process.is_this() {
                return None;
            }
            opened = opened.or_else(gate::open_to_wait);
            self.bell.wait(seen, left.min(longest_nap(clock)));
        }
    }
}

/// The clock that a sleep is measured by stops in suspend, so a long wait looks at the boot clock at
/// least once a minute; a clock that a test turns is looked at all the time.
fn longest_nap(clock: &Clock) -> Duration {
    match clock {
        Clock::System if cfg!(not(feature = "test-clock")) => Duration::from_secs(60),
        _ => Duration::from_millis(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_holds_one_thing() {
        let mailbox = Mailbox::default();
        assert!(mailbox.is_empty());
        assert!(mailbox.put(1));
        assert!(!mailbox.put(2));
        assert_eq!(mailbox.take(&Clock::System, BootTime::ZERO), Some(1));
        assert_eq!(mailbox.take(&Clock::System, BootTime::ZERO), None);
    }

    #[test]
    fn what_another_thread_puts_in_ends_the_wait() {
        let mailbox = Mailbox::default();
        std::thread::scope(|scope| {
            scope.spawn(|| mailbox.put("here"));
            let end = Clock::System.now().after(Duration::from_secs(30));
            assert_eq!(mailbox.take(&Clock::System, end), Some("here"));
        });
    }

    #[test]
    #[cfg(not(feature = "__shuttle"))]
    fn a_parents_mailbox_is_not_waited_on() {
        let parents = Mailbox::<()> { process: Process::parent(), ..Mailbox::default() };
        assert_eq!(parents.take(&Clock::System, BootTime::from_nanos(u64::MAX)), None);
    }
}
