//! What threads may do in any order, tried out in thousands of orders.
//!
//! ```text
//! cargo test --features __shuttle --lib schedules
//! ```
//!
//! Built so, the library's locks, condition variables, atomics and threads (see `sync.rs`) are those
//! of the [`shuttle`] crate: all threads of a scenario run on one thread of the machine, and at each
//! use of a lock or an atomic a scheduler says who goes on. Each scenario here runs under two of
//! them: one that chooses by chance, and one that preempts rarely but at any place (PCT). What
//! fails is printed with its schedule.
//!
//! - `TU_TOKEN_SCHEDULES=20000`: so many schedules per scenario and scheduler, in place of 1000
//! - `SHUTTLE_RANDOM_SEED=7`: others than the usual ones, which are the same in every run
//! - `TU_TOKEN_REPLAY=9101...`: the one schedule that was printed; name the test as well
//!
//! **Time.** Nothing here takes any. The boot clock stands still while any thread can go on, and
//! jumps to the next point that somebody sleeps for when none can ([`Time::Quiet`]). So whatever
//! ends at the same time races, and a wake-up that was lost shows: the sleeper oversleeps until
//! its time limit, and the scenario sees that time has passed. With [`Time::Restless`] the clock
//! may jump whenever it likes, as it may for a thread that the machine does not let run.
//!
//! **What is real.** Everything but the transport of a request, which a scenario scripts
//! ([`stage`]): the pool, the clock watcher and the teller of events run as they are.
//!
//! **What they are worth.** Faults that are put in on purpose are found: `faults.md` has the list,
//! `make faults` does it again.
//!
//! **What this does not show.** Shuttle has one order for all threads: it finds no bug that needs a
//! weak memory ordering. The one place that depends on orderings, the sequence lock, is explored by
//! [`loom`] as well ([`memory`]). A forked child is not modelled, only what its parent does around
//! the fork. `once_cell` and `Arc` are taken as they are.

mod answers;
mod credentials;
mod endings;
mod events;
mod flights;
mod gate;
mod limits;
mod memory;
mod mixtures;
mod pool;
mod replacements;
pub(crate) mod shortage;
mod shortages;
mod stage;
pub(crate) mod time;

use std::sync::Arc;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, MaxSteps, Runner};

/// When the clock moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// When no thread can go on.
    Quiet,
    /// At any time.
    Restless,
}

/// Schedules per scenario and scheduler.
const SCHEDULES: usize = 1000;
/// Any number: the same schedules in every run.
const SEED: u64 = 20;
/// How often PCT preempts.
const PREEMPTIONS: usize = 4;

/// Runs a scenario under many schedules, with a clock that stands still while anybody can go on.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_in(Time::Quiet, scenario);
}

fn explore_in(time: Time, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if let Ok(printed) = std::env::var("TU_TOKEN_REPLAY") {
        let schedule: String = printed.split_whitespace().collect();
        return run(time, ReplayScheduler::new_from_encoded(&schedule), scenario);
    }
    let schedules = std::env::var("TU_TOKEN_SCHEDULES")
        .map_or(SCHEDULES, |text| text.parse().expect("TU_TOKEN_SCHEDULES is a number"));
    run(time, RandomScheduler::new_from_seed(SEED, schedules), scenario.clone());
    run(time, PctScheduler::new_from_seed(SEED, PREEMPTIONS, schedules), scenario);
}

fn run<F>(time: Time, scheduler: impl Scheduler + 'static, scenario: Arc<F>)
where
    F: Fn() + Send + Sync + 'static,
{
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    Runner::new(Paced { scheduler, time }, config).run(move || {
        time::start(time == Time::Restless);
        shortage::end();
        scenario();
    });
}

/// Lets the clock's thread run only when it may.
struct Paced<S> {
    scheduler: S,
    time: Time,
}

impl<S: Scheduler> Scheduler for Paced<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.scheduler.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let is_clock = |task: &&Task| task.id() == TaskId::from(time::TASK);
        let (clock, others): (Vec<&Task>, Vec<&Task>) =
            runnable.iter().partition(|task| is_clock(task));
        time::set_alone(others.is_empty());
        let may_go_on = match self.time {
            // Whoever sleeps until the same point in time is woken at the same time.
            _ if time::is_ringing() => &clock,
            Time::Quiet if !others.is_empty() => &others,
            _ => runnable,
        };
        self.scheduler.next_task(may_go_on, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}
