//! Locks that survive `fork()`.
//!
//! A child inherits memory but only the thread that forked; a lock that another thread held stays
//! held for ever. So every lock of the library is taken inside a *gate*, for nanoseconds and never
//! two at a time, and `pthread_atfork` closes the gate around each fork: when the child begins, no
//! lock of ours is held and nothing is half changed. What only makes sense in the parent (threads,
//! fetches under way, waiting callers) is told apart by the *generation*, which each child counts
//! up, and is let go when it is next met.
//!
//! Waiting never happens inside the gate: a waiting thread sleeps on a [`Mailbox`] of its own,
//! which no other process will ever look at.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::sync::atomic::AtomicU32;
use crate::sync::{Condvar, Mutex, MutexGuard, global, thread};

/// How many forks lie between the process that loaded the library and this one.
static GENERATION: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

global! {
    /// Threads inside the gate, and the bit that keeps others out while a fork is under way.
    static GATE: AtomicU32 = AtomicU32::new(0);
}
const CLOSED: u32 = 1 << 31;

/// Tells this process from its parent and from its children. One load on the hot path.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Whose a piece of state is. A forked child finds its parent's, and makes it its own when it first
/// meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The process that loaded the library: whose statics are as long as nobody has met them.
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn this() -> Self {
        Self(generation())
    }

    #[inline]
    pub(crate) fn is_this(self) -> bool {
        self == Self::this()
    }

    /// Makes the state this process's own. Whether it was the parent's, so that what only makes
    /// sense there is to be let go.
    pub(crate) fn adopt(&mut self) -> bool {
        std::mem::replace(self, Self::this()) != Self::this()
    }

    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn parent() -> Self {
        Self(generation().wrapping_sub(1))
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::FIRST
    }
}

struct Pass;

impl Pass {
    fn enter() -> Pass {
        #[cfg(debug_assertions)]
        nesting::enter();
        let mut state = GATE.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                // A fork is under way on another thread; it takes micro- to milliseconds.
                thread::sleep(Duration::from_micros(50));
                state = GATE.load(Ordering::Relaxed);
                continue;
            }
            match GATE.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Pass,
                Err(now) => state = now,
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::Release);
        #[cfg(debug_assertions)]
        nesting::leave();
    }
}

/// Two locks at a time could deadlock with a fork between them; debug builds check for it.
#[cfg(debug_assertions)]
mod nesting {
    use std::cell::Cell;

    crate::sync::thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

    pub(super) fn enter() {
        INSIDE.with(|inside| assert!(!inside.replace(true), "two locks of tu-token at a time"));
    }

    pub(super) fn leave() {
        INSIDE.with(|inside| inside.set(false));
    }
}

/// A value behind a lock that no forked child finds held.
pub(crate) struct Locked<T>(Mutex<T>);

/// The value, while the lock is held. Short: no system call, no second lock, no foreign code.
pub(crate) struct Guard<'a, T> {
    value: MutexGuard<'a, T>,
    _pass: Pass,
}

impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let pass = Pass::enter();
        // A panic under the lock was a bug, contained elsewhere; the state machines keep no
        // invariant that spans two statements, so going on is better than poisoning a client.
        Guard { value: self.0.lock().unwrap_or_else(PoisonError::into_inner), _pass: pass }
    }

    #[cfg(all(test, feature = "shuttle"))]
    pub(crate) fn is_held(&self) -> bool {
        self.0.try_lock().is_err()
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

/// Installs the fork handlers, once a process. Needed before the first thread of ours or lock that
/// matters; calling it again does nothing.
pub(crate) fn install_handlers() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // Not `Once`: a child forked while another thread is inside one would wait for ever.
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    #[cfg(unix)]
    // SAFETY: the three functions only touch atomics and a thread-local number (and sleep), which
    // is allowed around fork, and they stay mapped: the shared library is linked with `nodelete`.
    unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork_in_parent),
            Some(after_fork_in_child),
        );
    }
}

#[cfg(unix)]
extern "C" fn before_fork() {
    // Close the gate (another thread may be forking too) ...
    while GATE.fetch_or(CLOSED, Ordering::Acquire) & CLOSED != 0 {
        thread::sleep(Duration::from_micros(50));
    }
    // ... and let everybody out.
    while GATE.load(Ordering::Acquire) != CLOSED {
        thread::yield_now();
    }
}

#[cfg(unix)]
extern "C" fn after_fork_in_parent() {
    GATE.fetch_and(!CLOSED, Ordering::Release);
}

#[cfg(unix)]
extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    crate::callback::forked();
    GATE.store(0, Ordering::Release);
}

/// What happens around a fork, on the parent's side; `at_fork` runs where the child would be made.
#[cfg(all(test, unix, feature = "shuttle"))]
pub(crate) fn fork_around(at_fork: impl FnOnce()) {
    before_fork();
    at_fork();
    after_fork_in_parent();
}

/// A place where one thread waits for one thing.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    content: Mutex<Option<T>>,
    arrived: Condvar,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { content: Mutex::new(None), arrived: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    /// Puts something in, unless something is in already.
    pub(crate) fn put(&self, thing: T) -> bool {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if content.is_some() {
            return false;
        }
        *content = Some(thing);
        self.arrived.notify_one();
        true
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes what is in, or waits for it until `until` by the boot clock.
    pub(crate) fn take(&self, clock: &Clock, until: BootTime) -> Option<T> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(thing) = content.take() {
                return Some(thing);
            }
            let left = until.until(clock.now());
            if left.is_zero() {
                return None;
            }
            let nap = left.min(longest_nap(clock));
            content =
                self.arrived.wait_timeout(content, nap).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A condition variable's clock stops in suspend, so a long wait looks at the boot clock at least
/// once a minute; a clock that a test turns is looked at all the time.
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
    #[cfg(debug_assertions)]
    fn two_locks_at_a_time_are_noticed() {
        let (one, two) = (Locked::new(1), Locked::new(2));
        let nested = std::panic::catch_unwind(|| {
            let _outer = one.lock();
            let _inner = two.lock();
        });
        assert!(nested.is_err());
    }
}
