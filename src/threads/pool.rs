//! The pool: threads that come to what is queued for them, by its rank.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, Rank};
use super::spawn::spawn;
use super::teller::tell_what_stands_in_line;
use super::{MAX_START_PAUSE, NEVER, catch_up, lack_threads, rest, timers};
use crate::clock::{BootTime, Clock};
use crate::process::{Locked, Mailbox, Process};
use crate::sync::global;

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
/// Pauses between two tries to start a thread that jobs wait for; they double. Short at first: the
/// usual shortage is a burst of other threads that are just about to end.
const FIRST_START_PAUSE: Duration = Duration::from_millis(50);
/// After so long without a thread the clock watcher itself calls the functions of callers whose wait
/// has ended: they may hold it up, but they have waited long enough.
const PATIENCE: Duration = Duration::from_secs(1);

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
pub(super) fn try_again() {
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
    desk.take(&Clock::System, NEVER)
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
}
