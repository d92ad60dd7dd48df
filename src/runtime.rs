//! The library's own threads: few, named, short-lived, with all signals blocked, and shared by
//! every client of the process.
//!
//! Fetches run on a pool: those that somebody waits for go first, background renewals use a few
//! threads only. One more thread tells events while there are any, one watches the clock while
//! something is scheduled ([`timers`]). A forked child has none of them and starts its own when
//! needed.
//!
//! The system may have no thread to give: a limit on processes, no memory. Nothing is lost by that.
//! What cannot be begun is told to whoever asked for it, or stays where it is and is begun as soon as
//! there is a thread: the clock watcher tries again, every thread of ours does when it has done
//! something, and so does every caller who has to wait ([`catch_up`]).

mod timers;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::events::EventQueue;
use crate::fork::{Locked, Mailbox, Parcel, Process};
use crate::sync::atomic::AtomicBool;
use crate::sync::{global, thread};
#[cfg(all(test, not(feature = "shuttle")))]
pub(crate) use timers::timers_waiting;
pub(crate) use timers::{ClockHold, alarm, alarm_for_answers, at};

/// Most fetches at a time, and how many of them may be background renewals.
const MOST_RUNNING: usize = 64;
const MOST_BACKGROUND: usize = 8;
/// Threads that call functions of callers whose wait has ended; they are not held back by fetches.
const MOST_CALLING: usize = 8;
/// Threads that fetches have store operations done by; one whose operation hangs stays taken.
const MOST_STORING: usize = 8;
/// Threads that read files and call credentials functions, so that one that hangs is in nobody's way;
/// and how many there may be with those that have hung for so long that they no longer count.
const MOST_READING: usize = 8;
const MOST_READING_AND_HUNG: usize = 64;
/// How long a thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// Pauses between two tries to start a thread that jobs wait for; they double. Short at first: the
/// usual shortage is a burst of other threads that are just about to end.
const FIRST_START_PAUSE: Duration = Duration::from_millis(50);
const MAX_START_PAUSE: Duration = Duration::from_secs(1);
/// After so long without a thread the clock watcher itself calls the functions of callers whose wait
/// has ended: they may hold it up, but they have waited long enough.
const PATIENCE: Duration = Duration::from_secs(1);
/// As much as Rust's own threads have: a program's callbacks run here, and glibc takes the program's
/// thread-local variables out of it. It is address space; memory is taken when it is touched.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Starts a thread that takes no signals: a host program's handlers must not run on it.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_boxed(name, Box::new(body))
}

/// Boxed, because the standard library makes several kilobytes of each kind of thread.
fn spawn_boxed(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    #[cfg(all(test, feature = "shuttle"))]
    if crate::schedules::shortage::refuses(name) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    #[cfg(unix)]
    let _blocked = SignalsBlocked::new();
    builder.spawn(body).map(drop)
}

/// Blocks all signals of the calling thread; a thread started meanwhile inherits that.
#[cfg(unix)]
struct SignalsBlocked(libc::sigset_t);

#[cfg(unix)]
impl SignalsBlocked {
    fn new() -> Self {
        // SAFETY: both sets are plain data that the calls fill in before they are read.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self(before)
        }
    }
}

#[cfg(unix)]
impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `new`; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

global! {
    /// Something waits for a thread that could not be started.
    static LACKING: AtomicBool = AtomicBool::new(false);
}

/// The clock watcher, if it is there, tries again; so does a thread that is idle.
fn lack_threads() {
    LACKING.store(true, Ordering::Release);
    timers::alarm_if_watched(Clock::System.now().after(MAX_START_PAUSE), try_again);
}

/// Tries again to start threads that could not be started before. Costs nothing if there are none.
pub(crate) fn catch_up() {
    if LACKING.load(Ordering::Relaxed) && LACKING.swap(false, Ordering::AcqRel) {
        timers::catch_up();
        start_waiting_jobs();
        tell_what_stands_in_line();
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

// --- the pool ------------------------------------------------------------------------------

/// Told that there is a thread, on which it may take its time, or why there is none.
type Body = Box<dyn FnOnce(Result<(), &io::Error>) + Send>;

/// Something to be done by a thread of the pool, once.
pub(crate) struct Job {
    body: Parcel<Body>,
    /// After this long it no longer counts as running: it may hang where no limit reaches.
    longest: Duration,
}

impl Job {
    pub(crate) fn new(longest: Duration, body: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Self::or_refused(longest, move |there_is_a_thread| {
            if there_is_a_thread.is_ok() {
                body();
            }
        })
    }

    /// The same for what has to be told if it is not done: once, with why no thread can be had, by
    /// whichever thread finds that out.
    pub(crate) fn or_refused(
        longest: Duration,
        body: impl FnOnce(Result<(), &io::Error>) + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { body: Parcel::new(Box::new(body)), longest })
    }

    fn take(&self) -> Option<Body> {
        self.body.take()
    }

    /// Does it, unless it has been done, or refused.
    fn run(&self) {
        if let Some(body) = self.take() {
            // A panic is a bug of ours; it must not take the thread's place in the pool with it.
            let _ = catch_unwind(AssertUnwindSafe(|| body(Ok(()))));
        }
    }

    /// Whether it was neither done nor refused before.
    fn refuse(&self, error: &io::Error) -> bool {
        let body = self.take();
        let is_open = body.is_some();
        if let Some(body) = body {
            body(Err(error));
        }
        is_open
    }

    fn is_open(&self) -> bool {
        !self.body.is_empty()
    }
}

/// What a job is for: who goes first, and how many may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Calls functions of callers whose wait has ended.
    Call,
    /// An operation on a token store, which a fetch waits for.
    Store,
    /// A file or a credentials function, which a fetch or the making of a client waits for.
    Read,
    /// A fetch that somebody waits for.
    Awaited,
    /// A renewal.
    Background,
}

struct Assignment {
    job: Arc<Job>,
    id: u64,
    rank: Rank,
}

struct Running {
    id: u64,
    rank: Rank,
    counts_until: BootTime,
    /// There is a thread for it. Before, none may be had.
    has_thread: bool,
}

/// Jobs wait for a thread that could not be started.
#[derive(Clone, Copy)]
struct Shortage {
    since: BootTime,
    pause: Duration,
}

type Desk = Arc<Mailbox<Assignment>>;

#[derive(Default)]
struct Pool {
    process: Process,
    calls: VecDeque<Arc<Job>>,
    stores: VecDeque<Arc<Job>>,
    reads: VecDeque<Arc<Job>>,
    awaited: VecDeque<Arc<Job>>,
    background: VecDeque<Arc<Job>>,
    running: Vec<Running>,
    idle: Vec<Desk>,
    next_id: u64,
    shortage: Option<Shortage>,
}

global! {
    static POOL: Locked<Pool> = Locked::new(Pool {
        process: Process::FIRST,
        calls: VecDeque::new(),
        stores: VecDeque::new(),
        reads: VecDeque::new(),
        awaited: VecDeque::new(),
        background: VecDeque::new(),
        running: Vec::new(),
        idle: Vec::new(),
        next_id: 0,
        shortage: None,
    });
}

/// Hands a job to the pool. Fails only if no thread can be started and none is there; then the job
/// has been refused. (It may be so, too, by another thread that fails to start one for it just now.)
pub(crate) fn submit(job: &Arc<Job>, rank: Rank) -> io::Result<()> {
    enqueue(job, rank);
    let Err(error) = start_threads() else { return Ok(()) };
    let has_threads = {
        let mut pool = POOL.lock();
        let has_threads = pool.has_threads();
        if !has_threads {
            pool.queue(rank).retain(|other| !Arc::ptr_eq(other, job));
        }
        has_threads
    };
    let is_refused = !has_threads && job.refuse(&error);
    refuse_what_waits(&error);
    if is_refused { Err(error) } else { Ok(()) }
}

/// Nobody is left to wait for a thread that nobody starts: jobs that need not be done are refused,
/// unless there is a thread that will come to them. Others may have queued them, and rely on the
/// start that just failed.
fn refuse_what_waits(error: &io::Error) {
    let refused = POOL.lock().take_refused();
    for job in refused {
        job.refuse(error);
    }
    try_again_later();
}

/// The same for a job that has to be done, however long it takes until there is a thread for it.
pub(crate) fn submit_owed(job: &Arc<Job>, rank: Rank) {
    enqueue(job, rank);
    start_waiting_jobs();
}

/// Whether functions wait for a thread that calls them.
pub(crate) fn calls_wait() -> bool {
    let pool = POOL.lock();
    pool.process.is_this() && pool.calls.iter().any(|job| job.is_open())
}

/// Queues a job and starts nothing. Enough on a thread of the pool, which comes to it when it has done
/// what it does.
pub(crate) fn enqueue(job: &Arc<Job>, rank: Rank) {
    let forgotten = {
        let mut pool = POOL.lock();
        let forgotten = pool.renew();
        pool.queue(rank).push_back(job.clone());
        forgotten
    };
    drop(forgotten);
}

/// Somebody now waits for a background job: if it has not begun, it goes to the front rank.
pub(crate) fn hasten(job: &Arc<Job>) {
    if job.is_open() {
        // It stands in both queues then; whoever comes second finds it taken.
        submit_owed(job, Rank::Awaited);
    }
}

/// Nobody waits for a store's job any more: if it has not begun, it never will.
pub(crate) fn cancel(job: &Arc<Job>) {
    let body = job.take();
    POOL.lock().stores.retain(|other| !Arc::ptr_eq(other, job));
    drop(body);
}

/// Starts what may start now. Also to be called when a running job is given up.
pub(crate) fn start_waiting_jobs() {
    if let Err(error) = start_threads() {
        refuse_what_waits(&error);
    }
}

/// The error: a job waits for a thread that cannot be started.
fn start_threads() -> io::Result<()> {
    loop {
        let forgotten;
        let next = {
            let mut pool = POOL.lock();
            forgotten = pool.renew();
            pool.assign().map(|assignment| {
                let desk = pool.idle.pop();
                if desk.is_some() {
                    pool.has_thread(assignment.id);
                }
                (assignment, desk)
            })
        };
        drop(forgotten);
        match next {
            None => return Ok(()),
            Some((assignment, Some(desk))) => {
                desk.put(assignment);
            }
            Some((assignment, None)) => start_worker(assignment)?,
        }
    }
}

fn start_worker(assignment: Assignment) -> io::Result<()> {
    let (id, rank, job) = (assignment.id, assignment.rank, assignment.job.clone());
    let Err(error) = spawn("tu-token", move || work(assignment)) else {
        POOL.lock().has_thread(id);
        return Ok(());
    };
    let mut pool = POOL.lock();
    if let Some(desk) = pool.idle.pop() {
        // One has become idle meanwhile. It has looked for jobs already.
        pool.has_thread(id);
        drop(pool);
        desk.put(Assignment { job, id, rank });
        return Ok(());
    }
    pool.running.retain(|running| running.id != id);
    pool.queue(rank).push_front(job);
    let shortage = Shortage { since: Clock::System.now(), pause: FIRST_START_PAUSE };
    pool.shortage.get_or_insert(shortage);
    drop(pool);
    lack_threads();
    Err(error)
}

/// Has the clock watcher try to start the thread that could not be started.
fn try_again_later() {
    let shortage = POOL.lock().shortage;
    if let Some(shortage) = shortage {
        timers::alarm_of_the_library(Clock::System.now().after(shortage.pause), try_again);
    }
}

/// On the clock watcher's thread.
fn try_again() {
    tell_what_stands_in_line();
    let Err(error) = start_threads() else { return };
    let is_long = {
        let mut pool = POOL.lock();
        let Some(shortage) = &mut pool.shortage else { return };
        shortage.pause = MAX_START_PAUSE.min(2 * shortage.pause);
        Clock::System.now() >= shortage.since.after(PATIENCE)
    };
    refuse_what_waits(&error);
    if let Some(call) = is_long.then(next_call).flatten() {
        timers::step_aside(|| stand_in(call));
    }
}

fn next_call() -> Option<Arc<Job>> {
    let mut pool = POOL.lock();
    next_open(&mut pool.calls)
}

/// Calls functions in the place of the threads that cannot be had. On the thread that watched the
/// clock.
fn stand_in(first: Arc<Job>) {
    let process = Process::this();
    let mut next = Some(first);
    while let Some(call) = next {
        call.run();
        if !process.is_this() || start_threads().is_ok() {
            return;
        }
        next = next_call();
    }
}

fn work(first: Assignment) {
    let process = Process::this();
    let desk = Desk::default();
    let mut assignment = first;
    loop {
        assignment.job.run();
        if !process.is_this() {
            // A callback forked, and this is the child: its pool has threads of its own.
            return;
        }
        let done = assignment.id;
        drop(assignment);
        catch_up();
        assignment = match next_assignment(done, &desk) {
            Some(next) => next,
            None => return,
        };
    }
}

/// What a worker does next: the job it is given, or `None` after a while without any.
fn next_assignment(done: u64, desk: &Desk) -> Option<Assignment> {
    {
        let mut pool = POOL.lock();
        pool.running.retain(|running| running.id != done);
        if let Some(next) = pool.assign() {
            pool.has_thread(next.id);
            return Some(next);
        }
        pool.idle.push(desk.clone());
    }
    if let Some(next) = rest(desk) {
        return Some(next);
    }
    {
        let mut pool = POOL.lock();
        let before = pool.idle.len();
        pool.idle.retain(|other| !Arc::ptr_eq(other, desk));
        if pool.idle.len() < before {
            return None;
        }
    }
    // Somebody took the desk in the meantime and is about to put a job on it. However long that
    // takes, in a suspend perhaps: a job on a desk that was left would never be done.
    desk.take(&Clock::System, BootTime::from_nanos(u64::MAX))
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

impl Pool {
    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Arc<Job>> {
        match rank {
            Rank::Call => &mut self.calls,
            Rank::Store => &mut self.stores,
            Rank::Read => &mut self.reads,
            Rank::Awaited => &mut self.awaited,
            Rank::Background => &mut self.background,
        }
    }

    /// Chooses the next job that may run and counts it as running.
    fn assign(&mut self) -> Option<Assignment> {
        let now = Clock::System.now();
        let ranks: Vec<Rank> = self
            .running
            .iter()
            .filter(|running| now < running.counts_until)
            .map(|running| running.rank)
            .collect();
        let count = |rank: Rank| ranks.iter().filter(|other| **other == rank).count();
        let fetches = count(Rank::Awaited) + count(Rank::Background);
        let reading_and_hung =
            self.running.iter().filter(|running| running.rank == Rank::Read).count();
        let may_run = |rank: Rank| match rank {
            Rank::Call => count(rank) < MOST_CALLING,
            Rank::Store => count(rank) < MOST_STORING,
            Rank::Read => count(rank) < MOST_READING && reading_and_hung < MOST_READING_AND_HUNG,
            Rank::Awaited => fetches < MOST_RUNNING,
            Rank::Background => fetches < MOST_RUNNING && count(rank) < MOST_BACKGROUND,
        };
        let next = [Rank::Call, Rank::Store, Rank::Read, Rank::Awaited, Rank::Background]
            .into_iter()
            .filter(|rank| may_run(*rank))
            .find_map(|rank| next_open(self.queue(rank)).map(|job| (rank, job)));
        let Some((rank, job)) = next else {
            self.shortage = None;
            return None;
        };
        self.next_id += 1;
        let id = self.next_id;
        let counts_until = now.after(job.longest);
        self.running.push(Running { id, rank, counts_until, has_thread: false });
        Some(Assignment { job, id, rank })
    }

    fn has_thread(&mut self, id: u64) {
        self.shortage = None;
        if let Some(running) = self.running.iter_mut().find(|running| running.id == id) {
            running.has_thread = true;
        }
    }

    /// Whether there is a thread that will come to what waits.
    fn has_threads(&self) -> bool {
        !self.idle.is_empty() || self.running.iter().any(|running| running.has_thread)
    }

    /// If there is none: what need not be done leaves its queue.
    fn take_refused(&mut self) -> Vec<Arc<Job>> {
        if self.has_threads() {
            return Vec::new();
        }
        if self.calls.is_empty() {
            self.shortage = None;
        }
        let queues = [&mut self.stores, &mut self.reads, &mut self.awaited, &mut self.background];
        queues.into_iter().flat_map(std::mem::take).collect()
    }

    /// In a forked child: lets go of the parent's threads and jobs.
    fn renew(&mut self) -> Option<Pool> {
        let process = Process::this();
        self.process.adopt().then(|| std::mem::replace(self, Pool { process, ..Pool::default() }))
    }
}

fn next_open(queue: &mut VecDeque<Arc<Job>>) -> Option<Arc<Job>> {
    while let Some(job) = queue.pop_front() {
        if job.is_open() {
            return Some(job);
        }
    }
    None
}

// --- the teller of events ------------------------------------------------------------------

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

fn tell_what_stands_in_line() {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn end() -> BootTime {
        Clock::System.now().after(Duration::from_secs(30))
    }

    #[test]
    fn jobs_run_once_even_when_hastened() {
        let runs = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(Mailbox::default());
        for round in 0..50 {
            let (runs, done) = (runs.clone(), done.clone());
            let job = Job::new(Duration::from_secs(60), move || {
                if runs.fetch_add(1, Ordering::SeqCst) == 49 {
                    done.put(());
                }
            });
            submit(&job, if round % 2 == 0 { Rank::Background } else { Rank::Awaited }).unwrap();
            hasten(&job);
        }
        assert!(done.take(&Clock::System, end()).is_some());
        assert_eq!(runs.load(Ordering::SeqCst), 50);
    }

    #[test]
    fn a_panic_in_a_job_does_no_harm() {
        let done = Arc::new(Mailbox::default());
        let panics = Job::new(Duration::from_secs(60), || panic!("on purpose"));
        submit(&panics, Rank::Awaited).unwrap();
        let told = done.clone();
        let tells = Job::new(Duration::from_secs(60), move || {
            told.put(());
        });
        submit(&tells, Rank::Call).unwrap();
        assert!(done.take(&Clock::System, end()).is_some());
    }

    #[test]
    fn threads_of_ours_take_no_signals() {
        let mask = Arc::new(Mailbox::default());
        let told = mask.clone();
        spawn("tu-test", move || {
            // SAFETY: the set is plain data that the call fills in; nothing is changed.
            let blocked = unsafe {
                let mut set = std::mem::zeroed();
                libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
                libc::sigismember(&set, libc::SIGINT) == 1
            };
            told.put(blocked);
        })
        .unwrap();
        assert_eq!(mask.take(&Clock::System, end()), Some(true));
    }
}
