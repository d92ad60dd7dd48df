//! The library's own threads: few, named, short-lived, with all signals blocked, and shared by
//! every client of the process.
//!
//! Fetches run on a pool ([`pool`]): those that somebody waits for go first, background renewals use
//! a few threads only. One more thread tells events while there are any ([`teller`]), one watches the
//! clock while something is scheduled ([`timers`]). A forked child has none of them and starts its own
//! when needed.
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
use crate::process::Mailbox;
use crate::sync::atomic::AtomicBool;
use crate::sync::global;
pub(crate) use job::Job;
pub(crate) use pool::{
    calls_wait, cancel, enqueue, hasten, start_waiting_jobs, submit, submit_owed,
};
pub(crate) use rank::Rank;
pub(crate) use spawn::spawn;
pub(crate) use teller::{dispatch, dispatch_the_last, forget_parents_events, leave_line};
#[cfg(all(test, not(feature = "shuttle")))]
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
        teller::tell_what_stands_in_line();
    }
}

/// What an idle thread is given; `None` after a while without anything. While something lacks a
/// thread it stays, and tries again: it may be the only one of ours that is there.
fn rest<T>(mailbox: &Mailbox<T>) -> Option<T> {
    let clock = Clock::System;
    let leaves_at = clock.now().after(IDLE);
    loop {
        let now = clock.now();
        let is_lacking = LACKING.load(Ordering::Relaxed);
        if now >= leaves_at && !is_lacking {
            return None;
        }
        let until = if is_lacking { now.after(MAX_START_PAUSE) } else { leaves_at };
        if let Some(thing) = mailbox.take(&clock, until) {
            return Some(thing);
        }
        catch_up();
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
