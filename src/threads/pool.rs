//! The pool: threads that run queued jobs in the order of their ranks.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dispatcher::release_closed;
use super::job::Job;
use super::rank::{RANKS, Rank, Row, TABLE, WithoutThread};
use super::spawn::spawn;
use super::{IDLE, LACKING, MAX_START_PAUSE, NEVER, catch_up, lack_threads, timers};
use crate::clock::{BootTime, Clock};
use crate::process::{Inherited, Locked, Mailbox, Process};
use crate::sync::global;

/// First pause between two attempts to start a thread that jobs need; doubles each time. Short at
/// first: the usual shortage is a burst of other threads that are about to end.
const FIRST_START_PAUSE: Duration = Duration::from_millis(50);
/// After this long without a thread the clock watcher itself calls the functions of callers whose
/// wait has ended: they may hold it up, but they have waited long enough.
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
    /// Its thread exists. Until it is set, starting one may still fail.
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
    /// By rank.
    queues: [VecDeque<Arc<Job>>; RANKS],
    running: Vec<Running>,
    idle: Vec<Desk>,
    next_id: u64,
    shortage: Option<Shortage>,
}

global! {
    static POOL: Locked<Pool> = Locked::empty();
}

/// The parent's threads and jobs do not exist in a child.
impl Inherited for Pool {
    type Remains = Self;

    fn adopt(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// Submits a job. Fails only if no thread can be started and none exists; the job has then been
/// refused. (Another thread that fails to start one at the same moment may also refuse it,
/// unreported here.) A job of a rank that is kept is never refused.
pub(crate) fn submit(job: &Arc<Job>, rank: Rank) -> io::Result<()> {
    enqueue(job, rank);
    match start_threads() {
        Err(error) if refuse_queued(&error, Some(job)) => Err(error),
        _ => Ok(()),
    }
}

/// Refuses the queued jobs that may be refused and that no existing thread will get to: nothing
/// would ever run them. Others may have queued them, relying on the start that just failed. Returns
/// whether `ours` is one of them.
fn refuse_queued(error: &io::Error, ours: Option<&Arc<Job>>) -> bool {
    let (refused, events_wait) = {
        let mut pool = POOL.lock();
        (pool.take_refusable(), pool.waits(Rank::Events))
    };
    if events_wait {
        release_closed();
    }
    let mut is_ours_refused = false;
    for job in refused {
        let is_refused = job.refuse(error);
        is_ours_refused |= is_refused && ours.is_some_and(|ours| Arc::ptr_eq(ours, &job));
    }
    try_again_later();
    is_ours_refused
}

/// Submits a job that is kept, or whose refusal needs no report.
pub(crate) fn submit_kept(job: &Arc<Job>, rank: Rank) {
    let _ = submit(job, rank);
}

/// Whether callers' functions wait for a thread.
pub(crate) fn calls_wait() -> bool {
    POOL.lock().waits(Rank::Call)
}

/// Queues a job without starting a thread. Enough on a thread of the pool, which gets to it after
/// its current job.
pub(crate) fn enqueue(job: &Arc<Job>, rank: Rank) {
    queue(job, job.submitted(rank));
}

fn queue(job: &Arc<Job>, rank: Rank) {
    POOL.lock().queue(rank).push_back(job.clone());
}

/// A caller now waits for a job: if it has not begun, it moves to the rank of awaited jobs. It may
/// not even have been submitted yet.
pub(crate) fn hasten(job: &Arc<Job>) {
    if let Some(rank) = job.awaited() {
        // It is now in both queues; the second thread to reach it finds it taken.
        queue(job, rank);
        start_waiting_jobs();
    }
}

/// No fetch waits for this store job any more: if it has not begun, it never will.
pub(crate) fn cancel(job: &Arc<Job>) {
    let body = job.take();
    POOL.lock().queue(Rank::Store).retain(|other| !Arc::ptr_eq(other, job));
    drop(body);
}

/// Starts the jobs that may start now. Also called when a running job is given up.
pub(crate) fn start_waiting_jobs() {
    if let Err(error) = start_threads() {
        refuse_queued(&error, None);
    }
}

/// Returns an error if a job waits for a thread that cannot be started.
fn start_threads() -> io::Result<()> {
    loop {
        let next = {
            let mut pool = POOL.lock();
            pool.assign().map(|assignment| {
                let desk = pool.idle.pop();
                if desk.is_some() {
                    pool.has_thread(assignment.id);
                }
                (assignment, desk)
            })
        };
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
        // A worker has become idle meanwhile. It has already checked the queues.
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

/// Has the clock watcher retry the start that failed.
fn try_again_later() {
    let shortage = POOL.lock().shortage;
    if let Some(shortage) = shortage {
        timers::alarm_of_the_library(Clock::System.now().after(shortage.pause), try_again);
    }
}

/// Runs on the clock watcher's thread.
pub(super) fn try_again() {
    let Err(error) = start_threads() else { return };
    let is_long = {
        let mut pool = POOL.lock();
        let Some(shortage) = &mut pool.shortage else { return };
        shortage.pause = MAX_START_PAUSE.min(2 * shortage.pause);
        Clock::System.now() >= shortage.since.after(PATIENCE)
    };
    refuse_queued(&error, None);
    if let Some(call) = is_long.then(next_call).flatten() {
        timers::step_aside(|| stand_in(call));
    }
}

fn next_call() -> Option<Arc<Job>> {
    let mut pool = POOL.lock();
    next_open(pool.queue(Rank::Call))
}

/// Calls functions for want of worker threads. Runs on the clock watcher's thread.
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
            // A callback forked, and this is the child, whose pool has threads of its own.
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

/// A worker's next job, or `None` after it has been idle for a while.
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
    // Another thread took the desk in the meantime and is about to put a job on it. However long
    // that takes (the system may be suspended): a job on an abandoned desk would never run.
    desk.take(&Clock::System, NEVER)
}

/// Waits for an assignment on an idle thread; `None` after a while without one. During a shortage
/// of threads it stays and retries: it may be the library's only thread.
fn rest(desk: &Desk) -> Option<Assignment> {
    let clock = Clock::System;
    let leaves_at = clock.now().after(IDLE);
    loop {
        let now = clock.now();
        let is_lacking = LACKING.load(Ordering::Relaxed);
        if now >= leaves_at && !is_lacking {
            return None;
        }
        let until = if is_lacking { now.after(MAX_START_PAUSE) } else { leaves_at };
        if let Some(next) = desk.take(&clock, until) {
            return Some(next);
        }
        catch_up();
    }
}

impl Pool {
    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Arc<Job>> {
        &mut self.queues[rank as usize]
    }

    fn waits(&self, rank: Rank) -> bool {
        self.queues[rank as usize].iter().any(|job| job.is_open())
    }

    /// Chooses the next job that may run and counts it as running.
    fn assign(&mut self) -> Option<Assignment> {
        let now = Clock::System.now();
        let next = TABLE.iter().find_map(|row| {
            let may_run = !self.queue(row.rank).is_empty() && self.may_run(row, now);
            let job = may_run.then(|| next_open(self.queue(row.rank))).flatten()?;
            Some((row.rank, job))
        });
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

    fn may_run(&self, row: &Row, now: BootTime) -> bool {
        row.limits.iter().all(|limit| {
            let counts = |running: &&Running| {
                limit.of.contains(&running.rank) && (limit.with_hung || now < running.counts_until)
            };
            self.running.iter().filter(counts).count() < limit.most
        })
    }

    fn has_thread(&mut self, id: u64) {
        self.shortage = None;
        if let Some(running) = self.running.iter_mut().find(|running| running.id == id) {
            running.has_thread = true;
        }
    }

    /// Whether a thread exists that will get to the queued jobs. One that hangs may never.
    fn has_threads(&self) -> bool {
        let now = Clock::System.now();
        let comes = |running: &Running| running.has_thread && now < running.counts_until;
        !self.idle.is_empty() || self.running.iter().any(comes)
    }

    /// Takes the jobs out of their queues that are refused for want of a thread.
    fn take_refusable(&mut self) -> Vec<Arc<Job>> {
        let has_threads = self.has_threads();
        let is_refused = |row: &Row| match row.without_thread {
            WithoutThread::Kept => false,
            WithoutThread::Refused => !has_threads,
            WithoutThread::RefusedAtOnce => true,
        };
        let queues = TABLE.iter().zip(&mut self.queues).filter(|(row, _)| is_refused(row));
        let refused = queues.flat_map(|(_, queue)| std::mem::take(queue)).collect();
        if self.queues.iter().all(VecDeque::is_empty) {
            self.shortage = None;
        }
        refused
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
    fn a_panic_in_a_job_does_not_affect_others() {
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

    // --- the table at work ------------------------------------------------------------------

    fn job(longest: Duration) -> Arc<Job> {
        Job::new(longest, || {})
    }

    /// Queues this many jobs of each rank.
    fn fill(pool: &mut Pool, counts: &[(Rank, usize)], longest: Duration) {
        for (rank, count) in counts {
            pool.queue(*rank).extend((0..*count).map(|_| job(longest)));
        }
    }

    /// The jobs assigned, in order, as runs of (rank, count).
    fn assigned(pool: &mut Pool) -> Vec<(Rank, usize)> {
        let mut runs: Vec<(Rank, usize)> = Vec::new();
        while let Some(assignment) = pool.assign() {
            match runs.last_mut() {
                Some((rank, count)) if *rank == assignment.rank => *count += 1,
                _ => runs.push((assignment.rank, 1)),
            }
        }
        runs
    }

    #[test]
    fn continued_fetches_come_first_and_count_as_fetches() {
        use Rank::{Awaited, Background, Continued, ContinuedRenewal};
        let mut pool = Pool::default();
        let counts = [(Background, 20), (Awaited, 100), (ContinuedRenewal, 5), (Continued, 10)];
        fill(&mut pool, &counts, Duration::MAX);
        assert_eq!(assigned(&mut pool), [(Continued, 10), (ContinuedRenewal, 5), (Awaited, 49)]);
        // A fetch has to end before another begins, and continued ones are first again.
        fill(&mut pool, &[(Continued, 1)], Duration::MAX);
        assert_eq!(assigned(&mut pool), []);
        pool.running.pop();
        assert_eq!(assigned(&mut pool), [(Continued, 1)]);
    }

    #[test]
    fn renewals_have_few_threads_even_when_continued() {
        use Rank::{Background, Call, ContinuedRenewal};
        let mut pool = Pool::default();
        fill(&mut pool, &[(Background, 20), (ContinuedRenewal, 3), (Call, 9)], Duration::MAX);
        assert_eq!(assigned(&mut pool), [(Call, 8), (ContinuedRenewal, 3), (Background, 5)]);
    }

    #[test]
    fn hung_jobs_free_their_place_but_hung_reads_are_bounded() {
        use Rank::{Awaited, Read, Store};
        let mut pool = Pool::default();
        fill(&mut pool, &[(Read, 100), (Store, 9), (Awaited, 100)], Duration::ZERO);
        assert_eq!(assigned(&mut pool), [(Store, 9), (Read, 64), (Awaited, 100)]);
    }

    #[test]
    fn kept_jobs_stay_when_there_is_no_thread() {
        let mut pool = Pool::default();
        TABLE.iter().for_each(|row| fill(&mut pool, &[(row.rank, 1)], Duration::MAX));
        let shortage = Shortage { since: BootTime::ZERO, pause: FIRST_START_PAUSE };
        pool.shortage = Some(shortage);
        assert_eq!(pool.take_refusable().len(), 5);
        let waiting = TABLE.iter().map(|row| row.rank).filter(|rank| !pool.queue(*rank).is_empty());
        use Rank::{Call, Continued, ContinuedRenewal, Events};
        assert_eq!(waiting.collect::<Vec<_>>(), [Call, Events, Continued, ContinuedRenewal]);
        assert!(pool.shortage.is_some());
        pool.queues = Default::default();
        pool.take_refusable();
        assert!(pool.shortage.is_none());
    }

    #[test]
    fn what_a_fetch_needs_at_once_is_refused_even_while_other_threads_are_busy() {
        use Rank::{Awaited, Resolve};
        let mut pool = Pool::default();
        fill(&mut pool, &[(Awaited, 1)], Duration::MAX);
        let busy = pool.assign().unwrap();
        pool.has_thread(busy.id);
        fill(&mut pool, &[(Awaited, 1), (Resolve, 2)], Duration::MAX);
        assert_eq!(pool.take_refusable().len(), 2);
        assert_eq!(pool.queue(Awaited).len(), 1);
        // A thread that hangs does not count.
        pool.running[0].counts_until = BootTime::ZERO;
        assert_eq!(pool.take_refusable().len(), 1);
    }

    #[test]
    fn a_hastening_counts_before_and_after_the_job_is_submitted() {
        use Rank::{Awaited, Background, Continued, ContinuedRenewal, Store};
        for (rank, awaited) in [(Background, Awaited), (ContinuedRenewal, Continued)] {
            let early = job(Duration::MAX);
            assert_eq!(early.awaited(), None);
            assert_eq!(early.submitted(rank), awaited);
            let late = job(Duration::MAX);
            assert_eq!(late.submitted(rank), rank);
            assert_eq!(late.awaited(), Some(awaited));
            assert_eq!(late.awaited(), None, "it was queued twice");
        }
        let other = job(Duration::MAX);
        assert_eq!(other.submitted(Store), Store);
        assert_eq!(other.awaited(), None);
    }
}
