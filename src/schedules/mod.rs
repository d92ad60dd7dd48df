//! Concurrency tests: scenarios explored under thousands of thread schedules.
//!
//! ```text
//! cargo test --features __shuttle --lib schedules
//! ```
//!
//! With this feature, the library's locks, condition variables, atomics and threads (see `sync.rs`)
//! are those of the [`shuttle`] crate. All threads of a scenario then run on one thread of the
//! machine, and at each use of a lock or an atomic a scheduler chooses which one runs next. Each
//! scenario runs under two schedulers: a random one, and one that preempts rarely but anywhere
//! (PCT). A failure is printed with its schedule.
//!
//! - `TU_TOKEN_SCHEDULES=20000`: the number of schedules per scenario and scheduler, instead of
//!   1000
//! - `SHUTTLE_RANDOM_SEED=7`: other schedules than the usual ones, which are the same in every run
//! - `TU_TOKEN_REPLAY=9101...`: only the schedule that was printed; name the test as well
//!
//! **Time.** Time is virtual. The boot clock stands still while any thread can run, and jumps to
//! the next wake-up time when none can ([`Time::Quiet`]). So events at the same time race, and a
//! lost wake-up shows: the sleeper sleeps until its time limit, and the scenario notices that time
//! has passed. With [`Time::Restless`] the clock may jump at any time, as it appears to a thread
//! that the machine does not run.
//!
//! **What is real.** Everything except the transport of requests, which a scenario scripts
//! ([`stage`]): the pool, the clock watcher and the event dispatcher run unchanged.
//!
//! **How they are checked.** Deliberate faults are found: `faults.md` lists them, and `make faults`
//! checks each.
//!
//! **What this does not show.** Shuttle runs all threads in one sequentially consistent order, so
//! it finds no bug that needs a weak memory ordering. The only code that depends on orderings, the
//! sequence lock, is explored with [`loom`] as well ([`memory`]). A forked child is not modelled,
//! only the parent's side of a fork. `once_cell` and `Arc` are not instrumented.

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
    /// Only when no thread can run.
    Quiet,
    /// At any time.
    Restless,
}

/// Schedules per scenario and scheduler.
const SCHEDULES: usize = 1000;
/// Any number: every run has the same schedules.
const SEED: u64 = 20;
/// How often PCT preempts.
const PREEMPTIONS: usize = 4;

/// Runs a scenario under many schedules, with a clock that stands still while any thread can run.
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
            // Threads that sleep until the same time are woken at the same time.
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
