//! The teller of events: one thread that hands them out, in the order in which they came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::spawn::spawn;
use super::{lack_threads, rest};
use crate::events::EventQueue;
use crate::process::{Locked, Mailbox, Process};
use crate::sync::global;

#[derive(Default)]
struct Teller {
    process: Process,
    ready: VecDeque<Arc<EventQueue>>,
    /// The queue that is being told.
    telling: Option<Arc<EventQueue>>,
    /// Whether some queue in line holds its callback for that alone.
    has_last: bool,
    bell: Option<Arc<Mailbox<()>>>,
}

global! {
    static TELLER: Locked<Teller> =
        Locked::new(Teller {
            process: Process::FIRST,
            ready: VecDeque::new(),
            telling: None,
            has_last: false,
            bell: None,
        });
}

/// In a forked child: lets go of the events that its parent has to tell.
pub(crate) fn forget_parents_events() {
    let forgotten = {
        let mut teller = TELLER.lock();
        if !teller.process.adopt() {
            return;
        }
        teller.bell = None;
        let telling = teller.telling.take();
        std::mem::take(&mut teller.ready).into_iter().chain(telling)
    };
    forgotten.for_each(|queue| queue.forget_parents());
}

/// Has a queue's events told, by the one thread that does. If there is none and none can be started,
/// they stay in line until there is.
pub(crate) fn dispatch(queue: Arc<EventQueue>) {
    forget_parents_events();
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
    forget_parents_events();
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
            let mut teller = TELLER.lock();
            if !process.is_this() {
                // A callback forked, and this is the child: its events are told by a thread of its
                // own.
                return;
            }
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
