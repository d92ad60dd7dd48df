//! The library's own threads: few, named, short-lived, with all signals blocked, and shared by all
//! clients of the process.
//!
//! All but one form a pool ([`pool`]): they fetch, read files, access stores, resolve names, call
//! the program's functions and deliver events to it ([`dispatcher`]). A table defines their
//! priorities and limits ([`rank`]). One more thread watches the clock while something is scheduled
//! ([`timers`]). A forked child has none of them and starts its own when needed.
//!
//! Starting a thread may fail: a process limit, no memory. Nothing is lost by that. Work that
//! cannot start is refused to the one who requested it, or stays queued until there is a thread:
//! the clock watcher retries, and so does every thread of the library between jobs and every caller
//! who has to wait ([`catch_up`]).

mod dispatcher;
mod job;
mod pool;
mod rank;
mod spawn;
mod timers;

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::sync::atomic::AtomicBool;
use crate::sync::global;
pub(crate) use dispatcher::{
    Queue, dispatch, dispatch_or_release, forget_parents_events, leave_line,
};
pub(crate) use job::Job;
pub(crate) use pool::{
    calls_wait, cancel, enqueue, hasten, start_waiting_jobs, submit, submit_kept,
};
pub(crate) use rank::Rank;
#[cfg(all(test, not(feature = "__shuttle")))]
pub(crate) use timers::timers_waiting;
pub(crate) use timers::{ClockHold, NEVER, alarm, alarm_for_answers, at};

/// How long a thread stays idle before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to start a thread that queued work needs.
const MAX_START_PAUSE: Duration = Duration::from_secs(1);

global! {
    /// Queued work needs a thread that could not be started.
    static LACKING: AtomicBool = AtomicBool::new(false);
}

/// Has the clock watcher, if it is running, or an idle worker retry.
fn lack_threads() {
    LACKING.store(true, Ordering::Release);
    timers::alarm_if_watched(Clock::System.now().after(MAX_START_PAUSE), pool::try_again);
}

/// Retries to start threads that could not be started before. Free if there are none.
pub(crate) fn catch_up() {
    if LACKING.load(Ordering::Relaxed) && LACKING.swap(false, Ordering::AcqRel) {
        timers::catch_up();
        pool::start_waiting_jobs();
    }
}

/// Writes a line to stderr, bypassing the standard library's lock, which a forked child may have
/// inherited locked. A line that cannot be written is dropped.
pub(crate) fn write_to_stderr(line: &str) {
    #[cfg(unix)]
    {
        use std::io::Write;
        use std::os::fd::FromRawFd;
        if stderr_is_a_connection() {
            return;
        }
        // SAFETY: the descriptor is only borrowed: the file is never dropped, so never closed.
        let mut stderr = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(2) });
        let _ = stderr.write_all(format!("{line}\n").as_bytes());
    }
    #[cfg(not(unix))]
    eprintln!("{line}");
}

/// In a program that has closed its stderr, the next connection receives the number 2: perhaps one
/// to the token endpoint, in the middle of a request. A log may be a socket too, but a local one.
#[cfg(unix)]
fn stderr_is_a_connection() -> bool {
    // SAFETY: plain data for which zeros are valid. The call writes at most `length` bytes to it.
    let (status, family) = unsafe {
        let mut name: libc::sockaddr = std::mem::zeroed();
        let mut length = std::mem::size_of_val(&name) as libc::socklen_t;
        (libc::getsockname(2, &mut name, &mut length), name.sa_family)
    };
    status == 0 && matches!(i32::from(family), libc::AF_INET | libc::AF_INET6)
}
