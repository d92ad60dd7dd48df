//! The teller of events: one thread at a time hands them out, in the order in which they came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::job::Job;
use super::pool::{start_waiting_jobs, submit_owed};
use super::rank::Rank;
use crate::process::{Inherited, Locked, Process};
use crate::sync::global;

/// What has something to tell: the events of one client.
pub(crate) trait Queue: Send + Sync {
    /// Tells everything that waits.
    fn hand_out(&self);

    /// In a forked child: lets go of what the parent has to tell.
    fn forget_parents(&self);

    /// There is no thread that would tell what waits.
    fn cannot_be_told(self: Arc<Self>);
}

#[derive(Default)]
struct Teller {
    ready: VecDeque<Arc<dyn Queue>>,
    /// The queue that is being told.
    telling: Option<Arc<dyn Queue>>,
    /// Whether some queue in line holds its callback for that alone.
    has_last: bool,
    /// Somebody tells, or will as soon as there is a thread.
    is_asked: bool,
}

global! {
    static TELLER: Locked<Teller> = Locked::empty();
}

impl Inherited for Teller {
    type Remains = ParentsLine;

    fn adopt(&mut self) -> ParentsLine {
        ParentsLine(std::mem::take(self))
    }
}

/// What the parent has to tell, and tells. The parent's teller may hold a queue whose client has
/// gone: nobody else lets go of what is in it.
struct ParentsLine(Teller);

impl Drop for ParentsLine {
    fn drop(&mut self) {
        let queues = self.0.ready.iter().chain(&self.0.telling);
        queues.for_each(|queue| queue.forget_parents());
    }
}

/// In a forked child: lets go of the events that its parent has to tell.
pub(crate) fn forget_parents_events() {
    drop(TELLER.lock());
}

/// Has a queue's events told, in their turn. If there is no thread for that, they stay in line until
/// there is.
pub(crate) fn dispatch(queue: Arc<dyn Queue>) {
    let is_asked = {
        let mut teller = TELLER.lock();
        teller.ready.push_back(queue);
        std::mem::replace(&mut teller.is_asked, true)
    };
    if !is_asked {
        submit_owed(&Job::new(Duration::MAX, tell), Rank::Tell);
    }
}

/// The same for a queue in line that holds its callback for that alone: it leaves the line rather
/// than to stay in it.
pub(crate) fn dispatch_the_last() {
    TELLER.lock().has_last = true;
    start_waiting_jobs();
}

/// No thread can be had to tell what stands in line.
pub(super) fn let_go_of_the_last() {
    let in_line = {
        let mut teller = TELLER.lock();
        let has_last = std::mem::take(&mut teller.has_last);
        if has_last { teller.ready.clone() } else { VecDeque::new() }
    };
    in_line.into_iter().for_each(|queue| queue.cannot_be_told());
}

/// Takes a queue out of the line. Whether it stood there.
pub(crate) fn leave_line(queue: *const ()) -> bool {
    let mut teller = TELLER.lock();
    let place = teller.ready.iter().position(|other| Arc::as_ptr(other).cast() == queue);
    // The caller has one more of it: nothing is dropped under the lock.
    place.and_then(|place| teller.ready.remove(place)).is_some()
}

/// Tells what stands in line until nothing does. One such job runs at a time.
fn tell() {
    let process = Process::this();
    loop {
        let (next, told) = {
            // If a callback forked and this is the child, its events are told by a thread of its own.
            let Some(mut teller) = TELLER.lock_in(process) else { return };
            let next = teller.ready.pop_front();
            teller.is_asked = next.is_some();
            (next.clone(), std::mem::replace(&mut teller.telling, next))
        };
        // A callback's end may panic, too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(told)));
        let Some(queue) = next else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| queue.hand_out()));
    }
}
