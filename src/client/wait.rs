//! Those who wait for a fetch, and how a wait is cancelled.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::error::{Error, ErrorKind};
use crate::process::{self, Inherited, Locked, Mailbox, OneProcess};
use crate::sync::atomic::AtomicBool;
use crate::sync::global;
use crate::threads::{self, Job, Rank};
use crate::token::Token;

/// After so long a function that is called keeps no others waiting: another thread calls them.
const HELP_AFTER: Duration = Duration::from_millis(100);

/// What a wait ends with.
#[derive(Clone)]
pub(crate) enum Outcome {
    Token(Arc<Token>),
    Failed(Error),
    /// It is time to ask again.
    AskAgain,
}

type Call = Box<dyn FnOnce(Outcome) + Send>;

enum Waits {
    /// A thread sleeps on it.
    Thread(Mailbox<Outcome>),
    /// A function is called. A child has no part in its parent's waits: there it is only dropped.
    Call(Locked<OneProcess<Option<Call>>>),
}

/// One caller's wait. It ends once, by whatever comes first.
pub(crate) struct Waiter {
    how: Waits,
    open: AtomicBool,
}

impl Waiter {
    pub(crate) fn thread() -> Arc<Self> {
        Self::new(Waits::Thread(Mailbox::default()))
    }

    pub(crate) fn call(function: impl FnOnce(Outcome) + Send + 'static) -> Arc<Self> {
        Self::new(Waits::Call(Locked::new(OneProcess(Some(Box::new(function))))))
    }

    fn new(how: Waits) -> Arc<Self> {
        Arc::new(Self { how, open: AtomicBool::new(true) })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether ending the wait would run foreign code.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self.how, Waits::Call(_))
    }

    /// Ends the wait, unless it has ended.
    pub(crate) fn complete(&self, outcome: Outcome) {
        if !self.open.swap(false, Ordering::AcqRel) {
            return;
        }
        match &self.how {
            Waits::Thread(mailbox) => {
                mailbox.put(outcome);
            }
            Waits::Call(call) => {
                let call = call.lock().take();
                // One that panics must not take the others with it.
                let _ = catch_unwind(AssertUnwindSafe(|| call.map(|call| call(outcome))));
            }
        }
    }

    /// Sleeps until the wait has ended, or until a point in time. For [`Waiter::thread`].
    pub(crate) fn sleep(&self, clock: &Clock, until: BootTime) -> Option<Outcome> {
        match &self.how {
            Waits::Thread(mailbox) => mailbox.take(clock, until),
            Waits::Call(_) => None,
        }
    }

    /// The caller has gone; whatever comes later is for nobody. What came just now is returned.
    pub(crate) fn leave(&self) -> Option<Outcome> {
        let was_open = self.open.swap(false, Ordering::AcqRel);
        match &self.how {
            // Whoever closed it is about to put the outcome in, or has done so.
            // (In a child of the process that it waits in nobody will, and this does not wait.)
            Waits::Thread(mailbox) if !was_open => {
                mailbox.take(&Clock::System, BootTime::from_nanos(u64::MAX))
            }
            Waits::Thread(_) => None,
            Waits::Call(call) => {
                // The function goes now: later, the waiter may be dropped under a lock.
                let call = call.lock().take();
                drop(call);
                None
            }
        }
    }
}

/// Cancels waits: every call that uses it returns [`ErrorKind::Cancelled`]; the fetch continues.
/// One-shot; may be shared by any number of calls and threads; not carried over a fork.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use tu_token::{Cancel, ErrorKind, GetOptions};
///
/// let cancel = Cancel::new();
/// cancel.trigger();
/// let options = GetOptions { cancel: Some(&cancel), ..GetOptions::default() };
/// assert_eq!(client.get(&options).unwrap_err().kind(), ErrorKind::Cancelled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<CancelState>,
}

struct CancelState {
    triggered: AtomicBool,
    /// The waits that this would end. A forked child has no part in its parent's.
    waiters: Locked<OneProcess<Vec<Weak<Waiter>>>>,
}

impl Default for CancelState {
    fn default() -> Self {
        Self { triggered: AtomicBool::new(false), waiters: Locked::new(OneProcess::default()) }
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("triggered", &self.is_triggered()).finish()
    }
}

impl Cancel {
    /// Creates a cancel, not yet triggered.
    ///
    /// ```
    /// assert!(!tu_token::Cancel::new().is_triggered());
    /// ```
    pub fn new() -> Self {
        process::install_handlers();
        Self::default()
    }

    /// Makes every current and future call that uses it return [`ErrorKind::Cancelled`].
    ///
    /// ```
    /// let cancel = tu_token::Cancel::new();
    /// cancel.trigger();
    /// assert!(cancel.is_triggered());
    /// ```
    pub fn trigger(&self) {
        self.state.triggered.store(true, Ordering::SeqCst);
        let waiters = std::mem::take(&mut self.state.waiters.lock().0);
        let waiters = waiters.into_iter().filter_map(|waiter| waiter.upgrade()).collect();
        end_with(waiters, cancelled());
    }

    /// Whether it has been triggered.
    ///
    /// ```
    /// let cancel = tu_token::Cancel::new();
    /// cancel.clone().trigger(); // a clone is the same cancel
    /// assert!(cancel.is_triggered());
    /// ```
    pub fn is_triggered(&self) -> bool {
        self.state.triggered.load(Ordering::SeqCst)
    }

    /// Has the waiter end when this is triggered, or now if it has been.
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>) {
        {
            let mut waiters = self.state.waiters.lock();
            if waiters.len() == waiters.capacity() {
                // About to grow: forget those that are over instead, if there are any. (They are
                // not looked into: dropping one here could run foreign code under the lock.)
                waiters.retain(|waiter| waiter.strong_count() > 0);
            }
            waiters.push(Arc::downgrade(waiter));
        }
        if self.is_triggered() {
            end_with(vec![waiter.clone()], cancelled());
        }
    }
}

/// Ends waits. Functions are called on a thread of the pool, never on this one: they may take their
/// time. `soon`: this is such a thread, and comes to them when it has done what it does.
pub(super) fn end(waiters: Vec<Arc<Waiter>>, outcome: Outcome, soon: bool) {
    let (calls, threads): (Vec<_>, Vec<_>) =
        waiters.into_iter().partition(|waiter| waiter.is_call());
    // Threads first.
    for waiter in threads {
        waiter.complete(outcome.clone());
    }
    if calls.is_empty() {
        return;
    }
    let job = batch_job(CallbackQueue::add(calls, &outcome));
    // They are owed: whoever takes on such a call sees to it that the clock is watched until then.
    help_later();
    match soon {
        true => threads::enqueue(&job, Rank::Call),
        false => threads::submit_kept(&job, Rank::Call),
    }
}

/// Ends waits with an error.
pub(super) fn end_with(waiters: Vec<Arc<Waiter>>, error: Error) {
    end(waiters, Outcome::Failed(error), false);
}

fn batch_job(batch: u64) -> Arc<Job> {
    Job::new(Duration::from_secs(1), move || CallbackQueue::run(batch))
}

fn help_later() {
    threads::alarm_for_answers(Clock::System.now().after(HELP_AFTER), help);
}

/// A function keeps those behind it waiting, or has no thread yet: if there may be one more, it goes
/// on with them. On the clock watcher's thread.
fn help() {
    let unfinished = CALLBACKS.lock().unfinished();
    if unfinished.is_empty() {
        return;
    }
    if threads::calls_wait() {
        threads::start_waiting_jobs();
    } else {
        for batch in unfinished {
            threads::submit_kept(&batch_job(batch), Rank::Call);
        }
    }
    help_later();
}

/// Lets go of what a forked child inherits of its parent's answers.
pub(crate) fn drop_parents_callbacks() {
    drop(CALLBACKS.lock());
}

type Batch = VecDeque<(Arc<Waiter>, Outcome)>;

/// Functions on their way to being called. They are kept here, and not by the threads that call
/// them, so that a forked child finds and drops those that its parent's threads hold.
#[derive(Default)]
struct CallbackQueue {
    /// By their numbers, which rise.
    batches: Vec<(u64, Batch)>,
    last: u64,
}

impl Inherited for CallbackQueue {
    type Remains = Vec<(u64, Batch)>;

    /// (A number is not given twice: one who calls the parent's may have come along.)
    fn adopt(&mut self) -> Self::Remains {
        std::mem::take(&mut self.batches)
    }
}

global! {
    static CALLBACKS: Locked<CallbackQueue> = Locked::empty();
}

impl CallbackQueue {
    fn add(waiters: Vec<Arc<Waiter>>, outcome: &Outcome) -> u64 {
        let batch = waiters.into_iter().map(|waiter| (waiter, outcome.clone())).collect();
        let mut queue = CALLBACKS.lock();
        queue.last += 1;
        let id = queue.last;
        queue.batches.push((id, batch));
        id
    }

    fn run(batch: u64) {
        loop {
            let next = CALLBACKS.lock().next(batch);
            let Some((waiter, outcome)) = next else { return };
            waiter.complete(outcome);
        }
    }

    fn next(&mut self, id: u64) -> Option<(Arc<Waiter>, Outcome)> {
        let at = self.batches.binary_search_by_key(&id, |(number, _)| *number).ok()?;
        let next = self.batches[at].1.pop_front();
        if next.is_none() {
            self.batches.remove(at);
        }
        next
    }

    /// Those with functions that nobody has begun to call.
    fn unfinished(&self) -> Vec<u64> {
        let is_open = |(_, batch): &&(u64, Batch)| !batch.is_empty();
        self.batches.iter().filter(is_open).map(|(id, _)| *id).collect()
    }
}

pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the wait for a token was cancelled by the program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_once() {
        let waiter = Waiter::thread();
        waiter.complete(Outcome::Failed(cancelled()));
        waiter.complete(Outcome::Failed(Error::new(ErrorKind::Closed, "late")));
        let outcome = waiter.sleep(&Clock::System, BootTime::ZERO);
        assert!(
            matches!(outcome, Some(Outcome::Failed(error)) if error.kind() == ErrorKind::Cancelled)
        );
        assert!(waiter.sleep(&Clock::System, BootTime::ZERO).is_none());
    }

    #[test]
    fn a_cancel_ends_present_and_future_waits() {
        let cancel = Cancel::new();
        let (now, later) = (Waiter::thread(), Waiter::thread());
        cancel.watch(&now);
        assert!(now.is_open());
        cancel.trigger();
        assert!(!now.is_open());
        cancel.watch(&later);
        assert!(!later.is_open());
    }

    #[test]
    fn waits_that_are_over_do_not_pile_up() {
        let cancel = Cancel::new();
        for _ in 0..10_000 {
            cancel.watch(&Waiter::thread());
        }
        assert!(cancel.state.waiters.lock().capacity() < 100);
    }
}
