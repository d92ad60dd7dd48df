//! The teller of events: one thread that hands them out, in the order in which they came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::spawn::spawn;
use super::{lack_threads, rest};
use crate::events::EventQueue;
use crate::process::{Inherited, Locked, Mailbox, Process};
use crate::sync::global;

#[derive(Default)]
struct Teller {
    ready: VecDeque<Arc<EventQueue>>,
    /// The queue that is being told.
    telling: Option<Arc<EventQueue>>,
    /// Whether some queue in line holds its callback for that alone.
    has_last: bool,
    bell: Option<Arc<Mailbox<()>>>,
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

/// Has a queue's events told, by the one thread that does. If there is none and none can be started,
/// they stay in line until there is.
pub(crate) fn dispatch(queue: Arc<EventQueue>) {
    TELLER.lock().ready.push_back(queue);
    start_teller();
}

/// The same for a queue in line that holds its callback for that alone: it leaves the line rather
/// than to stay in it.
pub(crate) fn dispatch_the_last() {
    TELLER.lock().has_last = true;
    start_teller();
}

fn start_teller() {
    let (bell, is_new) = {
        let mut teller = TELLER.lock();
        let is_new = teller.bell.is_none();
        (teller.bell.get_or_insert_with(Arc::default).clone(), is_new)
    };
    if !is_new {
        bell.put(());
    } else if spawn("tu-events", move || tell(&bell)).is_err() {
        lack_threads();
        let in_line = {
            let mut teller = TELLER.lock();
            teller.bell = None;
            let has_last = std::mem::take(&mut teller.has_last);
            if has_last { teller.ready.clone() } else { VecDeque::new() }
        };
        in_line.iter().for_each(EventQueue::cannot_be_told);
    }
}

/// Takes a queue out of the line. Whether it stood there.
pub(crate) fn leave_line(queue: &Arc<EventQueue>) -> bool {
    let mut teller = TELLER.lock();
    let place = teller.ready.iter().position(|other| Arc::ptr_eq(other, queue));
    // The caller has one more of it: nothing is dropped under the lock.
    place.and_then(|place| teller.ready.remove(place)).is_some()
}

pub(super) fn tell_what_stands_in_line() {
    let is_needed = {
        let teller = TELLER.lock();
        teller.bell.is_none() && !teller.ready.is_empty()
    };
    if is_needed {
        start_teller();
    }
}

fn tell(bell: &Mailbox<()>) {
    let process = Process::this();
    loop {
        let (next, told) = {
            // If a callback forked and this is the child, its events are told by a thread of its own.
            let Some(mut teller) = TELLER.lock_in(process) else { return };
            let next = teller.ready.pop_front();
            (next.clone(), std::mem::replace(&mut teller.telling, next))
        };
        drop(told);
        if let Some(queue) = next {
            // A callback's end may panic too.
            let _ = catch_unwind(AssertUnwindSafe(|| queue.hand_out()));
            continue;
        }
        if rest(bell).is_none() {
            let mut teller = TELLER.lock();
            if teller.ready.is_empty() {
                teller.bell = None;
                return;
            }
        }
    }
}
