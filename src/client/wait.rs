//! Waiters, cancelling, and callbacks.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::error::{Error, ErrorKind};
use crate::process::{self, Board, Inherited, Locked, Mailbox, OneProcess};
use crate::sync::atomic::AtomicBool;
use crate::sync::global;
use crate::threads::{self, Job, Rank};
use crate::token::Token;

/// If a callback takes longer, another thread calls those behind it.
const HELP_AFTER: Duration = Duration::from_millis(100);

/// The result of a wait.
#[derive(Clone)]
pub(crate) enum Outcome {
    Token(Arc<Token>),
    Failed(Error),
    /// Time to ask again.
    AskAgain,
}

type Call = Box<dyn FnOnce(Outcome) + Send>;

enum Waits {
    /// A sleeping thread.
    Thread(Mailbox<Outcome>),
    /// A callback. In a forked child it is only dropped: the wait belongs to the parent.
    Call(Locked<OneProcess<Option<Call>>>),
}

/// Where threads wait together for the same fetch. Only those that cannot be cancelled: one of them
/// alone cannot be woken.
pub(crate) type Crowd = Board<Outcome>;

/// The waits that the end of a fetch ends.
#[derive(Default)]
pub(crate) struct Waiters {
    /// Each thread in it holds a reference.
    crowd: Option<Arc<Crowd>>,
    single: Vec<Arc<Waiter>>,
}

impl Waiters {
    /// Adds a thread to the crowd.
    pub(super) fn join(&mut self) -> Arc<Crowd> {
        self.crowd.get_or_insert_default().clone()
    }

    /// Adds a waiter; before the list grows, waiters that are done are removed.
    pub(super) fn add(&mut self, waiter: Arc<Waiter>) {
        if self.single.len() == self.single.capacity() {
            self.single.retain(|waiter| waiter.is_open());
        }
        self.single.push(waiter);
    }

    /// Whether any thread or callback still waits.
    pub(super) fn are_there(&self) -> bool {
        let is_crowded = |crowd: &Arc<Crowd>| Arc::strong_count(crowd) > 1;
        self.crowd.as_ref().is_some_and(is_crowded)
            || self.single.iter().any(|waiter| waiter.is_open())
    }
}

/// One caller's wait. Whatever comes first ends it, once.
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

    /// Whether ending the wait runs foreign code.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self.how, Waits::Call(_))
    }

    /// Ends the wait, unless it has already ended.
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
                // A callback that panics must not prevent the others.
                let _ = catch_unwind(AssertUnwindSafe(|| call.map(|call| call(outcome))));
            }
        }
    }

    /// Sleeps until the wait has ended, or until `until`. For [`Waiter::thread`].
    pub(crate) fn sleep(&self, clock: &Clock, until: BootTime) -> Option<Outcome> {
        match &self.how {
            Waits::Thread(mailbox) => mailbox.take(clock, until),
            Waits::Call(_) => None,
        }
    }

    /// The caller leaves; later results are discarded. Returns a result that has just arrived.
    pub(crate) fn leave(&self) -> Option<Outcome> {
        let was_open = self.open.swap(false, Ordering::AcqRel);
        match &self.how {
            // The thread that closed it is about to deliver the outcome, or has done so. (In a
            // child of the waiting process no thread will, and this does not wait.)
            Waits::Thread(mailbox) if !was_open => {
                mailbox.take(&Clock::System, BootTime::from_nanos(u64::MAX))
            }
            Waits::Thread(_) => None,
            Waits::Call(call) => {
                // Drop the callback now: later the waiter may be dropped under a lock.
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
    /// The waits to end. A forked child does not own its parent's.
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

    /// Ends the waiter when this is triggered, or now if it has been.
    pub(crate) fn watch(&self, waiter: &Arc<Waiter>) {
        {
            let mut waiters = self.state.waiters.lock();
            if waiters.len() == waiters.capacity() {
                // About to grow: first drop waiters that are gone. (They are not upgraded: dropping
                // one here could run foreign code under the lock.)
                waiters.retain(|waiter| waiter.strong_count() > 0);
            }
            waiters.push(Arc::downgrade(waiter));
        }
        if self.is_triggered() {
            end_with(vec![waiter.clone()], cancelled());
        }
    }
}

/// Ends the waits for a fetch. `soon`: as for [`end`].
pub(super) fn end_all(waiters: Waiters, outcome: Outcome, soon: bool) {
    if let Some(crowd) = waiters.crowd {
        crowd.post(outcome.clone());
    }
    end(waiters.single, outcome, soon);
}

/// Ends waits. Callbacks run on a worker thread, never on this one, because they may take long.
/// `soon`: this is a worker thread, and it gets to them when it has finished its current work.
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
    // These callbacks must run: a call that accepts one keeps the clock watcher until then.
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

/// If a callback blocks those behind it, or they have no thread yet, another thread continues with
/// them, within the limit. Runs on the clock watcher's thread.
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

/// Drops the callbacks that a forked child inherited from its parent.
pub(crate) fn drop_parents_callbacks() {
    drop(CALLBACKS.lock());
}

type Batch = VecDeque<(Arc<Waiter>, Outcome)>;

/// Callbacks waiting to be called. They are kept here rather than by the threads that call them, so
/// that a forked child finds and drops those that its parent's threads hold.
#[derive(Default)]
struct CallbackQueue {
    /// By id, ascending.
    batches: Vec<(u64, Batch)>,
    last: u64,
}

impl Inherited for CallbackQueue {
    type Remains = Vec<(u64, Batch)>;

    /// (Ids are not reused: a thread that runs a parent's batch may exist in the child.)
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

    /// The batches with callbacks that no thread has started to call.
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
    fn finished_waits_do_not_pile_up() {
        let cancel = Cancel::new();
        for _ in 0..10_000 {
            cancel.watch(&Waiter::thread());
        }
        assert!(cancel.state.waiters.lock().capacity() < 100);
    }
}
