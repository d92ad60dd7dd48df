//! The event dispatcher: one thread at a time delivers events, in the order in which they arrived.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::job::Job;
use super::pool::{start_waiting_jobs, submit_kept};
use super::rank::Rank;
use crate::process::{Inherited, Locked, Process};
use crate::sync::global;

/// A source of events: one client's queue.
pub(crate) trait Queue: Send + Sync {
    /// Delivers all waiting events.
    fn deliver(&self);

    /// In a forked child: drops the parent's waiting events.
    fn forget_parents(&self);

    /// No thread can be started to deliver the waiting events.
    fn release_undeliverable(self: Arc<Self>);
}

#[derive(Default)]
struct Dispatcher {
    ready: VecDeque<Arc<dyn Queue>>,
    /// The queue whose events are being delivered.
    current: Option<Arc<dyn Queue>>,
    /// A queue in line keeps a closed client's callback alive only for its last events.
    has_closed: bool,
    /// The job is running or queued.
    has_job: bool,
}

global! {
    static DISPATCHER: Locked<Dispatcher> = Locked::empty();
}

impl Inherited for Dispatcher {
    type Remains = ParentsQueues;

    fn adopt(&mut self) -> ParentsQueues {
        ParentsQueues(std::mem::take(self))
    }
}

/// The parent's queues, which the parent delivers. The parent's dispatcher may hold the last
/// reference to a queue whose client is gone: nothing else releases its events.
struct ParentsQueues(Dispatcher);

impl Drop for ParentsQueues {
    fn drop(&mut self) {
        let queues = self.0.ready.iter().chain(&self.0.current);
        queues.for_each(|queue| queue.forget_parents());
    }
}

/// In a forked child: drops the events that its parent has to deliver.
pub(crate) fn forget_parents_events() {
    drop(DISPATCHER.lock());
}

/// Puts a queue in line to have its events delivered. If no thread can be started, it stays in line
/// until one can.
pub(crate) fn dispatch(queue: Arc<dyn Queue>) {
    let has_job = {
        let mut dispatcher = DISPATCHER.lock();
        dispatcher.ready.push_back(queue);
        std::mem::replace(&mut dispatcher.has_job, true)
    };
    if !has_job {
        submit_kept(&Job::new(Duration::MAX, deliver), Rank::Events);
    }
}

/// A queue in line keeps a closed client's callback alive. If no thread can be started for it now,
/// it leaves the line and releases the callback.
pub(crate) fn dispatch_or_release() {
    DISPATCHER.lock().has_closed = true;
    start_waiting_jobs();
}

/// No thread can be started to deliver what is in line.
pub(super) fn release_closed() {
    let in_line = {
        let mut dispatcher = DISPATCHER.lock();
        let has_closed = std::mem::take(&mut dispatcher.has_closed);
        if has_closed { dispatcher.ready.clone() } else { VecDeque::new() }
    };
    in_line.into_iter().for_each(|queue| queue.release_undeliverable());
}

/// Takes a queue out of the line; returns whether it was in it.
pub(crate) fn leave_line(queue: *const ()) -> bool {
    let mut dispatcher = DISPATCHER.lock();
    let place = dispatcher.ready.iter().position(|other| Arc::as_ptr(other).cast() == queue);
    // The caller holds another reference: nothing is dropped under the lock.
    place.and_then(|place| dispatcher.ready.remove(place)).is_some()
}

/// Delivers events until no queue is in line. At most one such job runs at a time.
fn deliver() {
    let process = Process::this();
    loop {
        let (next, delivered) = {
            // If a callback forked and this is the child, a thread of its own delivers its events.
            let Some(mut dispatcher) = DISPATCHER.lock_in(process) else { return };
            let next = dispatcher.ready.pop_front();
            dispatcher.has_job = next.is_some();
            (next.clone(), std::mem::replace(&mut dispatcher.current, next))
        };
        // A callback's destructor may panic, too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(delivered)));
        let Some(queue) = next else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| queue.deliver()));
    }
}
