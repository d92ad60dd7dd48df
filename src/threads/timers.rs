//! The clock watcher: one thread that runs short actions at points in boot time.
//!
//! It starts with the first timer and ends after a while without any. If the thread cannot be
//! started, timers stay queued and [`super::catch_up`] retries. A promise that only the watcher can
//! keep requires a [`ClockHold`]: the watcher stays while one exists.
//!
//! Obsolete timers do not pile up: an alarm replaces the previous one set for the same purpose, and
//! whenever the number of timers has doubled, those whose owners are gone are dropped.
//!
//! Decisions an owner makes in one order may be carried out by its threads in another. So an alarm
//! carries the number of the step it was decided in, and the highest step wins, whichever arrives
//! last. An alarm set to [`NEVER`] is cancelled, and is kept on record: a lower step may still be
//! on its way.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use super::spawn::spawn;
use super::{IDLE, lack_threads};
use crate::clock::{BootTime, Clock};
use crate::leftovers::{Depth, wipe_thread};
use crate::process::{Inherited, Locked, Mailbox, Process};
use crate::sync::global;

/// The time of an alarm that never rings.
pub(crate) const NEVER: BootTime = BootTime::from_nanos(u64::MAX);

/// Below this number of timers, obsolete ones are not searched for.
const FEW: usize = 64;

/// What a timer does. Neither method may run foreign code: the first is called under the lock, the
/// second would delay every other timer.
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

/// The owner's address, and a number that tells its alarms apart.
type Purpose = (usize, u64);

/// The library's own alarm, which has no owner.
const OF_THE_LIBRARY: Purpose = (0, 0);
/// The alarm of [`alarm_for_answers`]; it has no owner either.
const OF_ANSWERS: Purpose = (0, 1);

/// When a timer is due. The number orders timers due at the same time as they were set.
type Due = (BootTime, u64);

struct Timer {
    alarm: Option<Alarm>,
    action: Box<dyn Action>,
}

#[derive(Clone, Copy)]
struct Alarm {
    purpose: Purpose,
    step: u64,
}

impl Alarm {
    /// An alarm of which the earliest setting always wins.
    fn without_steps(purpose: Purpose) -> Self {
        Self { purpose, step: 0 }
    }
}

#[derive(Clone)]
struct Watcher {
    bell: Arc<Mailbox<()>>,
    /// Its thread has been started. Until it is set, the start may still fail.
    is_there: bool,
}

#[derive(Default)]
struct Timers {
    last: u64,
    waiting: BTreeMap<Due, Timer>,
    /// The alarm set for each purpose: the step it was set in, and its key in `waiting`.
    alarms: BTreeMap<Purpose, (u64, Due)>,
    /// Number of timers at which obsolete ones are searched for, if above [`FEW`].
    many: usize,
    watcher: Option<Watcher>,
    /// Number of [`ClockHold`]s.
    holds: usize,
}

global! {
    static TIMERS: Locked<Timers> = Locked::empty();
}

/// The parent's timers and holds are the parent's.
impl Inherited for Timers {
    type Remains = Self;

    fn adopt(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// Runs a short action with `owner` at a point in boot time, on the clock watcher's thread; does
/// nothing if the owner is gone by then.
pub(crate) fn at<T: Send + Sync + 'static>(
    at: BootTime,
    owner: Weak<T>,
    body: impl FnOnce(Arc<T>) + Send + 'static,
) {
    set(at, None, Box::new(ForOwner { owner, body }));
}

/// The same for a recurring action of an owner, identified by a number. An alarm replaces the
/// previous one if it was decided in a higher `step`, whether it is due sooner or later; [`NEVER`]
/// cancels it. Within the same step the earlier one wins.
///
/// Once it has rung its step is forgotten: a lower step that arrives even later rings too. So the
/// body has to check what is to be done by then.
pub(crate) fn alarm<T: Send + Sync + 'static>(
    at: BootTime,
    owner: Weak<T>,
    number: u64,
    step: u64,
    body: impl FnOnce(Arc<T>) + Send + 'static,
) {
    let purpose = (Weak::as_ptr(&owner) as usize, number);
    set(at, Some(Alarm { purpose, step }), Box::new(ForOwner { owner, body }));
}

/// The library's own alarm.
pub(super) fn alarm_of_the_library(at: BootTime, body: fn()) {
    set(at, Some(Alarm::without_steps(OF_THE_LIBRARY)), Box::new(body));
}

/// The alarm for asynchronous callers' functions.
pub(crate) fn alarm_for_answers(at: BootTime, body: fn()) {
    set(at, Some(Alarm::without_steps(OF_ANSWERS)), Box::new(body));
}

/// The library's alarm, set only if the watcher is running. Starts no thread, so it is safe to call
/// after a failed start.
pub(super) fn alarm_if_watched(at: BootTime, body: fn()) {
    let (unwanted, bell);
    {
        let mut timers = TIMERS.lock();
        let Some(watcher) = timers.watcher.clone().filter(|watcher| watcher.is_there) else {
            return;
        };
        let alarm = Some(Alarm::without_steps(OF_THE_LIBRARY));
        let is_first;
        (unwanted, is_first) = timers.set(at, Timer { alarm, action: Box::new(body) });
        bell = Some(watcher.bell).filter(|_| is_first);
    }
    drop(unwanted);
    if let Some(bell) = bell {
        bell.put(());
    }
}

fn set(at: BootTime, alarm: Option<Alarm>, action: Box<dyn Action>) {
    let (unwanted, is_first, must_ring);
    {
        let mut timers = TIMERS.lock();
        (unwanted, is_first) = timers.set(at, Timer { alarm, action });
        must_ring = at < NEVER && (is_first || timers.watcher.is_none());
    }
    drop(unwanted);
    if must_ring {
        // Without a watcher the timer waits until there is one.
        let _ = ring(false);
    }
}

/// Restarts the watcher if timers wait and it is gone.
pub(super) fn catch_up() {
    let is_needed = {
        let timers = TIMERS.lock();
        timers.next_due().is_some() && timers.watcher.is_none()
    };
    if is_needed {
        let _ = ring(false);
    }
}

/// While one exists, the watcher runs: timers will fire on time.
pub(crate) struct ClockHold(Process);

impl ClockHold {
    /// Fails if the watcher is not running and cannot be started. Cheap if it is running.
    pub(crate) fn take() -> io::Result<Self> {
        let is_watched = {
            let mut timers = TIMERS.lock();
            timers.holds += 1;
            timers.watcher.as_ref().is_some_and(|watcher| watcher.is_there)
        };
        let hold = Self(Process::this());
        if !is_watched {
            ring(true)?;
        }
        Ok(hold)
    }
}

impl Drop for ClockHold {
    fn drop(&mut self) {
        if let Some(mut timers) = TIMERS.lock_in(self.0) {
            timers.holds = timers.holds.saturating_sub(1);
        }
    }
}

/// Wakes the watcher, or starts it. With `surely`, a watcher that another thread is only about to
/// start (which may fail) does not suffice.
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

/// Runs something that may block on the watcher's thread. Meanwhile this thread is not the watcher;
/// another one starts as soon as a thread is available.
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
            // If an action forked and this is the child, the child has a watcher of its own.
            let Some(mut timers) = TIMERS.lock_in(process) else { return };
            let mut unwanted = Vec::new();
            (timers.next_step(bell, now, &mut leaves_at, &mut unwanted), unwanted)
        };
        drop(unwanted);
        match step {
            Step::Leave => return,
            Step::Act(timer) => {
                drop(catch_unwind(AssertUnwindSafe(|| timer.action.act())));
                wipe_thread(Depth::Deep);
            }
            Step::Wait(until) => drop(bell.take(&clock, until)),
        }
    }
}

impl Timers {
    /// Adds a timer. Returns the timers it replaces and the obsolete ones, to be dropped after the
    /// lock is released, and whether the new timer is due first.
    fn set(&mut self, at: BootTime, timer: Timer) -> (Vec<Timer>, bool) {
        let mut unwanted = Vec::new();
        if let Some(alarm) = timer.alarm {
            match self.alarms.get(&alarm.purpose).copied() {
                Some((step, due)) if alarm.step < step || alarm.step == step && due.0 <= at => {
                    return (vec![timer], false);
                }
                Some((_, due)) => unwanted.extend(self.waiting.remove(&due)),
                None => {}
            }
        }
        if self.waiting.len() >= FEW.max(self.many) {
            unwanted.append(&mut self.take_unwanted());
        }
        self.last += 1;
        let due = (at, self.last);
        if let Some(alarm) = timer.alarm {
            self.alarms.insert(alarm.purpose, (alarm.step, due));
        }
        self.waiting.insert(due, timer);
        let is_first = self.waiting.first_key_value().is_some_and(|(first, _)| *first == due);
        (unwanted, is_first)
    }

    /// When the next timer is due.
    fn next_due(&self) -> Option<BootTime> {
        self.waiting.first_key_value().map(|(due, _)| due.0).filter(|due| *due < NEVER)
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
        self.many = 2 * self.waiting.len();
        unwanted
    }

    /// What the watcher with this mailbox does now.
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
            if is_wanted && due == NEVER {
                break;
            }
            if is_wanted && due > now {
                *leaves_at = None;
                // Not longer than an idle thread may stay: the owners of timers may go meanwhile.
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
}

/// Forgets the alarm of a timer that was taken out.
fn forget(alarms: &mut BTreeMap<Purpose, (u64, Due)>, timer: Timer) -> Timer {
    if let Some(alarm) = timer.alarm {
        alarms.remove(&alarm.purpose);
    }
    timer
}

/// The number of timers.
#[cfg(all(test, not(feature = "__shuttle")))]
pub(crate) fn timers_waiting() -> usize {
    TIMERS.lock().waiting.len()
}

#[cfg(all(test, not(feature = "__shuttle")))]
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

    /// The earlier of two rings; its owner then checks what is to be done.
    #[test]
    fn an_alarm_replaces_a_later_one() {
        let rung = Arc::new(Mutex::new(Vec::<u64>::new()));
        let done = Arc::new(Mailbox::default());
        let now = Clock::System.now();
        let set = |ms: u64, number| {
            let done = done.clone();
            let at = now.after(Duration::from_millis(ms));
            alarm(at, Arc::downgrade(&rung), number, 0, move |rung| {
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

    // --- in steps ---------------------------------------------------------------------------

    /// The times at which alarms ring that are set for one purpose, given as (time, step) in the
    /// order they are set.
    fn rings(settings: &[(u64, u64)]) -> Vec<BootTime> {
        let owner = Arc::new(());
        let mut timers = Timers::default();
        for (seconds, step) in settings {
            let alarm = Alarm { purpose: (1, 2), step: *step };
            let action = Box::new(ForOwner { owner: Arc::downgrade(&owner), body: drop });
            timers.set(due(*seconds), Timer { alarm: Some(alarm), action });
            assert_eq!((timers.waiting.len(), timers.alarms.len()), (1, 1));
        }
        timers.waiting.keys().map(|due| due.0).filter(|due| *due < NEVER).collect()
    }

    fn due(seconds: u64) -> BootTime {
        match seconds {
            CANCELLED => NEVER,
            _ => BootTime::ZERO.after(Duration::from_secs(seconds)),
        }
    }

    const CANCELLED: u64 = u64::MAX;

    #[test]
    fn the_highest_step_wins_in_any_order_of_arrival() {
        assert_eq!(rings(&[(10, 5), (20, 4)]), [due(10)]);
        assert_eq!(rings(&[(20, 5), (10, 4)]), [due(20)]);
        assert_eq!(rings(&[(20, 4), (10, 5)]), [due(10)]);
        assert_eq!(rings(&[(10, 4), (20, 5)]), [due(20)]);
        assert_eq!(rings(&[(30, 6), (10, 4), (20, 5)]), [due(30)]);
    }

    #[test]
    fn within_one_step_the_earlier_alarm_wins() {
        assert_eq!(rings(&[(10, 5), (20, 5)]), [due(10)]);
        assert_eq!(rings(&[(20, 5), (10, 5)]), [due(10)]);
    }

    #[test]
    fn a_cancelled_alarm_rings_only_if_a_later_step_sets_it() {
        assert_eq!(rings(&[(10, 4), (CANCELLED, 5)]), []);
        assert_eq!(rings(&[(CANCELLED, 5), (10, 4)]), []);
        assert_eq!(rings(&[(10, 6), (CANCELLED, 5)]), [due(10)]);
        assert_eq!(rings(&[(CANCELLED, 5), (10, 6)]), [due(10)]);
    }

    /// The watcher ends although cancelled alarms are on record, and restarts for the next one.
    #[test]
    fn the_clock_is_not_watched_for_cancelled_alarms() {
        let owner = Arc::new(());
        let mut timers = Timers::default();
        let bell = Arc::default();
        let next_step = |timers: &mut Timers, seconds, leaves_at| {
            timers.next_step(&bell, due(seconds), &mut { leaves_at }, &mut Vec::new())
        };
        let set = |timers: &mut Timers, seconds, step| {
            let alarm = Some(Alarm { purpose: (1, 2), step });
            let action = Box::new(ForOwner { owner: Arc::downgrade(&owner), body: drop });
            timers.set(due(seconds), Timer { alarm, action }).1
        };
        assert!(set(&mut timers, 10, 1));
        assert!(matches!(next_step(&mut timers, 1, None), Step::Wait(until) if until == due(10)));
        set(&mut timers, CANCELLED, 2);
        assert_eq!(timers.next_due(), None);
        assert!(matches!(next_step(&mut timers, 11, Some(due(11))), Step::Leave));
        assert!(set(&mut timers, 20, 3));
        assert!(matches!(next_step(&mut timers, 20, None), Step::Act(_)));
        assert!(timers.waiting.is_empty() && timers.alarms.is_empty());
    }

    /// The address of an owner that is gone may be reused by one whose steps start again.
    #[test]
    fn a_cancelled_alarm_keeps_its_owners_address_reserved() {
        let number = 1;
        for round in 0..100 {
            let owner = Arc::new(round);
            alarm(NEVER, Arc::downgrade(&owner), number, 9, drop);
            drop(owner);
            let next = Arc::new(round);
            let rung = Arc::new(Mailbox::default());
            let told = rung.clone();
            alarm(Clock::System.now(), Arc::downgrade(&next), number, 0, move |_| {
                told.put(());
            });
            assert!(rung.take(&Clock::System, end()).is_some());
        }
    }

    #[test]
    fn the_watcher_stays_while_it_is_held() {
        let bell = Arc::default();
        let watcher = Some(Watcher { bell: Arc::clone(&bell), is_there: true });
        for (holds, stays) in [(1, true), (0, false)] {
            let mut timers = Timers { holds, watcher: watcher.clone(), ..Timers::default() };
            let step = timers.next_step(&bell, due(20), &mut Some(due(10)), &mut Vec::new());
            assert_eq!(matches!(step, Step::Wait(_)), stays);
        }
    }
}
