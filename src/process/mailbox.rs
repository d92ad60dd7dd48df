//! Where threads wait for what another one delivers. Lock-free, so a child cannot find it locked.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::Duration;

use once_cell::race::OnceBox;

use super::Process;
use super::bell::Bell;
use super::gate;
use crate::clock::{BootTime, Clock};
use crate::sync::atomic::AtomicPtr;

/// A slot for one value; putting and taking are each one atomic step.
pub(crate) struct Parcel<T> {
    thing: AtomicPtr<T>,
    _owned: PhantomData<std::sync::Mutex<T>>,
}

impl<T> Default for Parcel<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> Parcel<T> {
    pub(crate) const fn empty() -> Self {
        Self { thing: AtomicPtr::new(std::ptr::null_mut()), _owned: PhantomData }
    }

    pub(crate) fn new(thing: T) -> Self {
        Self { thing: AtomicPtr::new(Box::into_raw(Box::new(thing))), _owned: PhantomData }
    }

    /// Stores the value unless the slot is full; returns whether it did.
    pub(crate) fn put(&self, thing: T) -> bool {
        if !self.is_empty() {
            return false;
        }
        let none = std::ptr::null_mut();
        let new = Box::into_raw(Box::new(thing));
        let put = self.thing.compare_exchange(none, new, Ordering::SeqCst, Ordering::SeqCst);
        if put.is_err() {
            // SAFETY: it was just a box, and no other thread has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
        put.is_ok()
    }

    pub(crate) fn take(&self) -> Option<T> {
        let thing = self.thing.swap(std::ptr::null_mut(), Ordering::SeqCst);
        // SAFETY: a non-null pointer comes from a box, and the swap lets only one thread take it
        // out.
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

/// A slot on which one thread waits for one value. It belongs to the process that created it.
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
    /// Stores the value unless the mailbox is full; returns whether it did.
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

    /// Takes the value, waiting for it until `until` by the boot clock. Returns at once in a child
    /// of the process that created the mailbox: no thread there will ever deliver.
    pub(crate) fn take(&self, clock: &Clock, until: BootTime) -> Option<T> {
        wait(&self.bell, self.process, clock, until, || self.content.take())
    }
}

/// Where any number of threads wait for one value that all of them see. They sleep on one bell: one
/// system call wakes them, and a woken thread neither takes a lock nor writes what the others read.
/// It belongs to the process that created it.
pub(crate) struct Board<T> {
    posted: OnceBox<T>,
    bell: Bell,
    process: Process,
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self { posted: OnceBox::new(), bell: Bell::default(), process: Process::this() }
    }
}

impl<T> Board<T> {
    /// Shows the value to all that wait and will wait. Only the first one posted counts.
    pub(crate) fn post(&self, thing: T) {
        if self.posted.set(Box::new(thing)).is_ok() {
            self.bell.ring();
        }
    }

    /// The value, waited for like that of [`Mailbox::take`].
    pub(crate) fn read(&self, clock: &Clock, until: BootTime) -> Option<&T> {
        wait(&self.bell, self.process, clock, until, || self.posted.get())
    }
}

/// Waits until there is something to get. The bell is rung after that has been put there.
fn wait<T>(
    bell: &Bell,
    process: Process,
    clock: &Clock,
    until: BootTime,
    get: impl Fn() -> Option<T>,
) -> Option<T> {
    let mut opened = None;
    loop {
        let seen = bell.rings();
        if let Some(thing) = get() {
            return Some(thing);
        }
        let left = until.until(clock.now());
        if left.is_zero() || !process.is_this() {
            return None;
        }
        opened = opened.or_else(gate::open_to_wait);
        bell.wait(seen, left.min(longest_nap(clock)));
    }
}

/// Sleeps are measured by a clock that stops during suspend, so a long wait rereads the boot clock
/// at least once a minute; a clock that a test controls is polled.
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
    fn a_mailbox_holds_one_value() {
        let mailbox = Mailbox::default();
        assert!(mailbox.is_empty());
        assert!(mailbox.put(1));
        assert!(!mailbox.put(2));
        assert_eq!(mailbox.take(&Clock::System, BootTime::ZERO), Some(1));
        assert_eq!(mailbox.take(&Clock::System, BootTime::ZERO), None);
    }

    #[test]
    fn a_delivery_from_another_thread_ends_the_wait() {
        let mailbox = Mailbox::default();
        std::thread::scope(|scope| {
            scope.spawn(|| mailbox.put("here"));
            let end = Clock::System.now().after(Duration::from_secs(30));
            assert_eq!(mailbox.take(&Clock::System, end), Some("here"));
        });
    }

    #[test]
    fn all_threads_see_what_is_posted_first() {
        let board = Board::default();
        let end = Clock::System.now().after(Duration::from_secs(600));
        std::thread::scope(|scope| {
            let readers = [(); 8].map(|()| scope.spawn(|| board.read(&Clock::System, end)));
            std::thread::sleep(Duration::from_millis(20));
            board.post("first");
            board.post("second");
            for reader in readers {
                assert_eq!(reader.join().unwrap(), Some(&"first"));
            }
        });
        assert_eq!(board.read(&Clock::System, BootTime::ZERO), Some(&"first"));
        assert_eq!(Board::<()>::default().read(&Clock::System, BootTime::ZERO), None);
    }

    #[test]
    #[cfg(not(feature = "__shuttle"))]
    fn a_parents_mailbox_is_not_waited_on() {
        let parents = Mailbox::<()> { process: Process::parent(), ..Mailbox::default() };
        assert_eq!(parents.take(&Clock::System, BootTime::from_nanos(u64::MAX)), None);
        let parents = Board::<()> { process: Process::parent(), ..Board::default() };
        assert_eq!(parents.read(&Clock::System, BootTime::from_nanos(u64::MAX)), None);
    }
}
