//! The library's own threads: few, named, short-lived, with all signals blocked, and shared by
//! every client of the process.
//!
//! All but one of them are a pool ([`pool`]): they fetch, read, ask stores, look up names, call the
//! program's functions and tell it events ([`teller`]), and a table says who goes first and how many
//! there may be of each ([`rank`]). One more watches the clock while something is scheduled
//! ([`timers`]). A forked child has none of them and starts its own when needed.
//!
//! The system may have no thread to give: a limit on processes, no memory. Nothing is lost by that.
//! What cannot be begun is told to whoever asked for it, or stays where it is and is begun as soon as
//! there is a thread: the clock watcher tries again, every thread of ours does when it has done
//! something, and so does every caller who has to wait ([`catch_up`]).

mod job;
mod pool;
mod rank;
mod spawn;
mod teller;
mod timers;

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::sync::atomic::AtomicBool;
use crate::sync::global;
pub(crate) use job::Job;
pub(crate) use pool::{
    calls_wait, cancel, enqueue, hasten, start_waiting_jobs, submit, submit_owed,
};
pub(crate) use rank::Rank;
pub(crate) use teller::{Queue, dispatch, dispatch_the_last, forget_parents_events, leave_line};
#[cfg(all(test, not(feature = "__shuttle")))]
pub(crate) use timers::timers_waiting;
pub(crate) use timers::{ClockHold, NEVER, alarm, alarm_for_answers, at};

/// How long a thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// The longest pause between two tries to start a thread that something waits for.
const MAX_START_PAUSE: Duration = Duration::from_secs(1);

global! {
    /// Something waits for a thread that could not be started.
    static LACKING: AtomicBool = AtomicBool::new(false);
}

/// The clock watcher, if it is there, tries again; so does a thread that is idle.
fn lack_threads() {
    LACKING.store(true, Ordering::Release);
    timers::alarm_if_watched(Clock::System.now().after(MAX_START_PAUSE), pool::try_again);
}

/// Tries again to start threads that could not be started before. Costs nothing if there are none.
pub(crate) fn catch_up() {
    if LACKING.load(Ordering::Relaxed) && LACKING.swap(false, Ordering::AcqRel) {
        timers::catch_up();
        pool::start_waiting_jobs();
    }
}

/// Writes a line to stderr past the standard library's lock, which a forked child may have inherited
/// held. A line that cannot be written is lost.
pub(crate) fn write_to_stderr(line: &str) {
    #[cfg(unix)]
    {
        use std::io::Write;
        use std::os::fd::FromRawFd;
        // SAFETY: the descriptor is only borrowed: the file is never dropped, so never closed.
        let mut stderr = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(2) });
        let _ = stderr.write_all(format!("{line}\n").as_bytes());
    }
    #[cfg(not(unix))]
    eprintln!("{line}");
}
