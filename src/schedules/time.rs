//! The boot clock of a scenario, and waits that it ends.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::rand::RngCore;
use shuttle::sync::MutexGuard;
use shuttle::thread;

use crate::clock::{BootTime, Clock};
use crate::process::Mailbox;

/// The task id of the clock's thread: the first that a scenario's main thread starts.
pub(super) const TASK: usize = 1;

/// Start of a scenario. Not zero, so that "a while ago" can be expressed.
const START: BootTime = BootTime::from_nanos(1_000_000_000_000);

/// A restless clock uses one of this many opportunities to move: otherwise nothing would ever be in
/// time.
const OPPORTUNITIES: u32 = 16;

// All of a scenario's threads run on one thread of the machine.
std::thread_local! {
    static NOW: Cell<BootTime> = const { Cell::new(START) };
    static SLEEPERS: RefCell<Sleepers> = const { RefCell::new(Sleepers::NONE) };
    static RESTLESS: Cell<bool> = const { Cell::new(false) };
    /// Whether no other thread can run.
    static ALONE: Cell<bool> = const { Cell::new(false) };
    /// Whether the clock's thread is about to wake sleepers that are due.
    static RINGING: Cell<bool> = const { Cell::new(false) };
}

/// The sleeping threads, and until when they sleep.
struct Sleepers {
    sleeping: Vec<Sleeper>,
    last: u64,
}

struct Sleeper {
    number: u64,
    until: BootTime,
    bell: Arc<shuttle::sync::Condvar>,
}

impl Sleepers {
    const NONE: Self = Self { sleeping: Vec::new(), last: 0 };

    fn add(&mut self, until: BootTime, bell: Arc<shuttle::sync::Condvar>) -> u64 {
        self.last += 1;
        self.sleeping.push(Sleeper { number: self.last, until, bell });
        self.last
    }

    fn remove(&mut self, number: u64) {
        self.sleeping.retain(|sleeper| sleeper.number != number);
    }

    /// Moves the clock to the next wake-up time. Returns the sleepers to wake.
    fn turn(&self) -> Vec<Arc<shuttle::sync::Condvar>> {
        let next = self.sleeping.iter().map(|sleeper| sleeper.until).min();
        NOW.set(NOW.get().max(next.unwrap_or_default()));
        let due = self.sleeping.iter().filter(|sleeper| sleeper.until <= NOW.get());
        due.map(|sleeper| sleeper.bell.clone()).collect()
    }
}

/// Resets and starts the clock. Call this first, on the main thread.
pub(super) fn start(restless: bool) {
    NOW.set(START);
    RESTLESS.set(restless);
    RINGING.set(false);
    drop(SLEEPERS.replace(Sleepers::NONE));
    let clock = thread::spawn(run);
    assert_eq!(usize::from(clock.thread().id()), TASK);
}

fn run() {
    let mut opportunities = 0;
    loop {
        opportunities += 1;
        if ALONE.get() || (RESTLESS.get() && opportunities % OPPORTUNITIES == 0) {
            let due = SLEEPERS.with_borrow(Sleepers::turn);
            if due.is_empty() && ALONE.get() {
                // Either all threads have ended, or none can ever run again: shuttle reports that.
                return;
            }
            RINGING.set(true);
            due.iter().for_each(|bell| bell.notify_all());
            RINGING.set(false);
        }
        thread::yield_now();
    }
}

/// Whether the clock may move while other threads can run.
pub(super) fn is_restless() -> bool {
    RESTLESS.get()
}

pub(super) fn set_alone(alone: bool) {
    ALONE.set(alone);
}

pub(super) fn is_ringing() -> bool {
    RINGING.get()
}

pub(crate) fn now() -> BootTime {
    NOW.get()
}

/// The time since the scenario started.
pub(super) fn elapsed() -> Duration {
    now().since(START)
}

/// Sleeps until this time after the start.
pub(super) fn sleep_until(at: Duration) {
    Mailbox::<()>::default().take(&Clock::System, START.after(at));
}

pub(super) fn sleep(duration: Duration) {
    sleep_until(elapsed() + duration);
}

/// A point in time, as used by the gate to limit its wait.
pub(crate) struct Instant(BootTime);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        now().since(self.0)
    }
}

/// A random number that the schedule decides.
pub(crate) fn chance() -> f64 {
    (shuttle::rand::thread_rng().next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A condition variable with timeouts, which shuttle's does not have.
#[derive(Debug, Default)]
pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        longest: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        let until = now().after(longest);
        let number = SLEEPERS.with_borrow_mut(|sleepers| sleepers.add(until, self.0.clone()));
        let woken = self.0.wait(guard);
        SLEEPERS.with_borrow_mut(|sleepers| sleepers.remove(number));
        woken
            .map(|guard| (guard, ()))
            .map_err(|poisoned| PoisonError::new((poisoned.into_inner(), ())))
    }
}
