//! The clock watcher: one thread that does something short at points in boot time.
//!
//! It comes with the first timer and leaves when there has been none for a while. When the system
//! has no thread to give, timers stay where they are, and [`super::catch_up`] tries again. Whoever
//! makes a promise that only the watcher can keep takes a [`ClockHold`] first: while one lives the
//! watcher is there.
//!
//! Timers that nobody needs any more do not pile up: an alarm takes the place of the one that was
//! set for the same purpose before, and whenever the timers have doubled in number those are thrown
//! away whose owners have gone.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::spawn::spawn;
use super::{IDLE, lack_threads};
use crate::clock::{BootTime, Clock};
use crate::process::{Locked, Mailbox, Process};
use crate::sync::global;

/// Up to so many timers nobody looks for those that are not wanted any more.
const FEW: usize = 64;

/// What a timer does. Neither may run foreign code: the first is asked under the lock, the second
/// would hold up every other timer.
trait Action: Send {
    fn is_wanted(&self) -> bool;
    fn act(self: Box<Self>);
}

struct ForOwner<T, F> {
    owner: Weak<T>,
    body: F,
}

impl<T: Send + Sync, F: FnOnce(Arc<T>) + Send> Action for ForOwner<T, F> {
    fn is_wanted(&self) -> bool {
        self.owner.strong_count() > 0
    }

    fn act(self: Box<Self>) {
        if let Some(owner) = self.owner.upgrade() {
            (self.body)(owner);
        }
    }
}

impl Action for fn() {
    fn is_wanted(&self) -> bool {
        true
    }

    fn act(self: Box<Self>) {
        self();
    }
}

/// What an alarm is for: whose it is, and which of its owner's.
type Purpose = (usize, u64);

/// The purpose of the library's own alarm, which has no owner.
const OF_THE_LIBRARY: Purpose = (0, 0);
/// Another one without an owner.
const OF_ANSWERS: Purpose = (0, 1);

/// When a timer is due. The number tells those apart that are due together, in the order in which
/// they were set.
type Due = (BootTime, u64);

struct Timer {
    purpose: Option<Purpose>,
    action: Box<dyn Action>,
}

#[derive(Clone)]
struct Watcher {
    bell: Arc<Mailbox<()>>,
    /// Its thread has been started. Before, that may still fail.
    is_there: bool,
}

#[derive(Default)]
struct Timers {
    process: Process,
    last: u64,
    waiting: BTreeMap<Due, Timer>,
    alarms: BTreeMap<Purpose, Due>,
    /// With so many timers, those that are not wanted any more are looked for.
    many: usize,
    watcher: Option<Watcher>,
    /// How many promises need the watcher.
    holds: usize,
}

global! {
    static TIMERS: Locked<Timers> =
        Locked::new(Timers {
            process: Process::FIRST,
            last: 0,
            waiting: BTreeMap::new(),
            alarms: BTreeMap::new(),
            many: FEW,
            watcher: None,
            holds: 0,
        });
}

/// Does something short with `owner` at a point in boot time, on the clock watcher's thread; nothing
/// if it has gone by then.
pub(crate) fn at<T: Send + Sync + 'static>(
    at: BootTime,
    owner: Weak<T>,
    body: impl FnOnce(Arc<T>) + Send + 'static,
) {
    set(at, None, Box::new(ForOwner { owner, body }));
}

/// The same for what an owner does again and again, told apart by a number: an alarm takes the place
/// of the one before. If that one would have rung earlier it still does, and the body has to look
/// what is to be done by then.
pub(crate) fn alarm<T: Send + Sync + 'static>(
    at: BootTime,
    owner: Weak<T>,
    number: u64,
    body: impl FnOnce(Arc<T>) + Send + 'static,
) {
    let purpose = (Weak::as_ptr(&owner) as usize, number);
    set(at, Some(purpose), Box::new(ForOwner { owner, body }));
}

/// The library's own alarm.
pub(super) fn alarm_of_the_library(at: BootTime, body: fn()) {
    set(at, Some(OF_THE_LIBRARY), Box::new(body));
}

/// The alarm of functions that are being called.
pub(crate) fn alarm_for_answers(at: BootTime, body: fn()) {
    set(at, Some(OF_ANSWERS), Box::new(body));
}

/// The same if the watcher is there. Starts nothing, so a start that failed may set it.
pub(super) fn alarm_if_watched(at: BootTime, body: fn()) {
    let (unwanted, bell);
    {
        let mut timers = TIMERS.lock();
        let is_ours = timers.process.is_this();
        let Some(watcher) = timers.watcher.clone().filter(|watcher| is_ours && watcher.is_there)
        else {
            return;
        };
        let purpose = Some(OF_THE_LIBRARY);
        let is_first;
        (unwanted, is_first) = timers.set(at, Timer { purpose, action: Box::new(body) });
        bell = Some(watcher.bell).filter(|_| is_first);
    }
    drop(unwanted);
    if let Some(bell) = bell {
        bell.put(());
    }
}

fn set(at: BootTime, purpose: Option<Purpose>, action: Box<dyn Action>) {
    let (forgotten, unwanted, is_first, must_ring);
    {
        let mut timers = TIMERS.lock();
        forgotten = timers.renew();
        (unwanted, is_first) = timers.set(at, Timer { purpose, action });
        must_ring = is_first || timers.watcher.is_none();
    }
    drop((forgotten, unwanted));
    if must_ring {
        // Without a watcher it waits until there is one.
        let _ = ring(false);
    }
}

/// Has the watcher stay, or come back, for the timers that wait.
pub(super) fn catch_up() {
    let (forgotten, is_needed);
    {
        let mut timers = TIMERS.lock();
        forgotten = timers.renew();
        is_needed = !timers.waiting.is_empty() && timers.watcher.is_none();
    }
    drop(forgotten);
    if is_needed {
        let _ = ring(false);
    }
}

/// While it lives, the clock is watched: what is promised to happen in time will happen.
pub(crate) struct ClockHold(Process);

impl ClockHold {
    /// Fails if there is no watcher and no thread can be started for it.
    pub(crate) fn take() -> io::Result<Self> {
        let forgotten = {
            let mut timers = TIMERS.lock();
            let forgotten = timers.renew();
            timers.holds += 1;
            forgotten
        };
        drop(forgotten);
        let hold = Self(Process::this());
        ring(true)?;
        Ok(hold)
    }
}

impl Drop for ClockHold {
    fn drop(&mut self) {
        if self.0.is_this() {
            let mut timers = TIMERS.lock();
            if timers.process == self.0 {
                timers.holds = timers.holds.saturating_sub(1);
            }
        }
    }
}

/// Wakes the watcher, or starts it. `surely`: one that another thread is about to start, which may
/// fail, is not enough.
fn ring(surely: bool) -> io::Result<()> {
    let bell = {
        let mut timers = TIMERS.lock();
        match timers.watcher.clone() {
            Some(watcher) if watcher.is_there || !surely => {
                drop(timers);
                watcher.bell.put(());
                return Ok(());
            }
            Some(_) => Arc::default(),
            None => {
                let bell = Arc::<Mailbox<()>>::default();
                timers.watcher = Some(Watcher { bell: bell.clone(), is_there: false });
                bell
            }
        }
    };
    let watched = bell.clone();
    let started = spawn("tu-clock", move || watch(&watched));
    let mut timers = TIMERS.lock();
    let is_ours = |watcher: &Watcher| Arc::ptr_eq(&watcher.bell, &bell);
    match started {
        Ok(()) => {
            if let Some(ours) = timers.watcher.as_mut().filter(|watcher| is_ours(watcher)) {
                ours.is_there = true;
            }
            Ok(())
        }
        Err(error) => {
            timers.watcher.take_if(|watcher| is_ours(watcher) && !watcher.is_there);
            match &timers.watcher {
                Some(other) if other.is_there => Ok(()),
                _ => {
                    drop(timers);
                    lack_threads();
                    Err(error)
                }
            }
        }
    }
}

/// Does something on the watcher's thread that may take its time. Meanwhile this is not the watcher:
/// another one comes as soon as a thread can be had for it.
pub(super) fn step_aside(body: impl FnOnce()) {
    TIMERS.lock().watcher = None;
    lack_threads();
    body();
}

enum Step {
    Act(Timer),
    Wait(BootTime),
    Leave,
}

fn watch(bell: &Arc<Mailbox<()>>) {
    let clock = Clock::System;
    let process = Process::this();
    let mut leaves_at = None;
    loop {
        let now = clock.now();
        let (step, unwanted) = {
            let mut timers = TIMERS.lock();
            if !process.is_this() {
                // A function forked, and this is the child: it has a watcher of its own.
                return;
            }
            let mut unwanted = Vec::new();
            (timers.next_step(bell, now, &mut leaves_at, &mut unwanted), unwanted)
        };
        drop(unwanted);
        match step {
            Step::Leave => return,
            Step::Act(timer) => drop(catch_unwind(AssertUnwindSafe(|| timer.action.act()))),
            Step::Wait(until) => drop(bell.take(&clock, until)),
        }
    }
}

impl Timers {
    /// Adds a timer. What it takes the place of, and what nobody wants any more: to be dropped when
    /// the lock is free; and whether this one is the next that is due.
    fn set(&mut self, at: BootTime, timer: Timer) -> (Vec<Timer>, bool) {
        let mut unwanted = Vec::new();
        if let Some(purpose) = timer.purpose {
            match self.alarms.get(&purpose).copied() {
                Some(due) if due.0 <= at => return (vec![timer], false),
                Some(due) => unwanted.extend(self.waiting.remove(&due)),
                None => {}
            }
        }
        if self.waiting.len() >= self.many {
            unwanted.append(&mut self.take_unwanted());
        }
        self.last += 1;
        let due = (at, self.last);
        if let Some(purpose) = timer.purpose {
            self.alarms.insert(purpose, due);
        }
        self.waiting.insert(due, timer);
        let is_first = self.waiting.first_key_value().is_some_and(|(first, _)| *first == due);
        (unwanted, is_first)
    }

    fn take_unwanted(&mut self) -> Vec<Timer> {
        let is_unwanted = |(_, timer): &(&Due, &Timer)| !timer.action.is_wanted();
        let unwanted: Vec<Due> =
            self.waiting.iter().filter(is_unwanted).map(|(due, _)| *due).collect();
        let unwanted: Vec<Timer> = unwanted
            .into_iter()
            .filter_map(|due| self.waiting.remove(&due))
            .map(|timer| forget(&mut self.alarms, timer))
            .collect();
        self.many = FEW.max(2 * self.waiting.len());
        unwanted
    }

    /// What the watcher with this bell does now.
    fn next_step(
        &mut self,
        bell: &Arc<Mailbox<()>>,
        now: BootTime,
        leaves_at: &mut Option<BootTime>,
        unwanted: &mut Vec<Timer>,
    ) -> Step {
        match &self.watcher {
            Some(watcher) if watcher.is_there && !Arc::ptr_eq(&watcher.bell, bell) => {
                return Step::Leave;
            }
            _ => self.watcher = Some(Watcher { bell: bell.clone(), is_there: true }),
        }
        while let Some(first) = self.waiting.first_entry() {
            let (is_wanted, due) = (first.get().action.is_wanted(), first.key().0);
            if is_wanted && due > now {
                *leaves_at = None;
                // Not longer than an idle thread may stay: those who set timers may go meanwhile.
                return Step::Wait(due.min(now.after(IDLE)));
            }
            let timer = first.remove();
            let timer = forget(&mut self.alarms, timer);
            if is_wanted {
                *leaves_at = None;
                return Step::Act(timer);
            }
            unwanted.push(timer);
        }
        if self.holds > 0 {
            *leaves_at = None;
            return Step::Wait(now.after(IDLE));
        }
        let until = *leaves_at.get_or_insert(now.after(IDLE));
        if now < until {
            return Step::Wait(until);
        }
        self.watcher = None;
        Step::Leave
    }

    /// In a forked child: lets go of what the parent's watcher was to do.
    fn renew(&mut self) -> BTreeMap<Due, Timer> {
        if !self.process.adopt() {
            return BTreeMap::new();
        }
        self.watcher = None;
        self.holds = 0;
        self.many = FEW;
        self.alarms.clear();
        std::mem::take(&mut self.waiting)
    }
}

/// What is left to do about a timer that has been taken out.
fn forget(alarms: &mut BTreeMap<Purpose, Due>, timer: Timer) -> Timer {
    if let Some(purpose) = timer.purpose {
        alarms.remove(&purpose);
    }
    timer
}

/// How many timers there are.
#[cfg(all(test, not(feature = "shuttle")))]
pub(crate) fn timers_waiting() -> usize {
    TIMERS.lock().waiting.len()
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    fn end() -> BootTime {
        Clock::System.now().after(Duration::from_secs(30))
    }

    #[test]
    fn timers_ring_in_order() {
        let order = Arc::new(Mutex::new(Vec::<u64>::new()));
        let done = Arc::new(Mailbox::default());
        let now = Clock::System.now();
        for ms in [30, 10, 20] {
            let done = done.clone();
            at(now.after(Duration::from_millis(ms)), Arc::downgrade(&order), move |order| {
                order.lock().unwrap().push(ms);
                if ms == 30 {
                    done.put(());
                }
            });
        }
        assert!(done.take(&Clock::System, end()).is_some());
        assert_eq!(*order.lock().unwrap(), [10, 20, 30]);
    }

    /// The earlier of two rings, and then whoever set them looks what is to be done.
    #[test]
    fn an_alarm_takes_the_place_of_a_later_one() {
        let rung = Arc::new(Mutex::new(Vec::<u64>::new()));
        let done = Arc::new(Mailbox::default());
        let now = Clock::System.now();
        let set = |ms: u64, number| {
            let done = done.clone();
            let at = now.after(Duration::from_millis(ms));
            alarm(at, Arc::downgrade(&rung), number, move |rung| {
                rung.lock().unwrap().push(ms);
                if ms == 100 {
                    done.put(());
                }
            });
        };
        [40, 20, 60].into_iter().for_each(|ms| set(ms, 1));
        set(100, 2);
        assert!(done.take(&Clock::System, end()).is_some());
        assert_eq!(*rung.lock().unwrap(), [20, 100]);
    }
}
