//! The library's own threads: few, named, short-lived, with all signals blocked, and shared by
//! every client of the process.
//!
//! Fetches run on a pool: those that somebody waits for go first, background renewals use a few
//! threads only. One more thread tells events while there are any, one watches the clock while
//! something is scheduled. A forked child has none of them and starts its own when needed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use crate::clock::{BootTime, Clock};
use crate::events::EventQueue;
use crate::fork::{Locked, Mailbox, Process};
use crate::sync::{Mutex, global, thread};

/// Most fetches at a time, and how many of them may be background renewals.
const MOST_RUNNING: usize = 64;
const MOST_BACKGROUND: usize = 8;
/// Threads that call functions of callers whose wait has ended; they are not held back by fetches.
const MOST_CALLING: usize = 8;
/// Threads that fetches have store operations done by; one whose operation hangs stays taken.
const MOST_STORING: usize = 8;
/// How long a thread stays when there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// As much as Rust's own threads have: a program's callbacks run here, and glibc takes the program's
/// thread-local variables out of it. It is address space; memory is taken when it is touched.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Starts a thread that takes no signals: a host program's handlers must not run on it.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_boxed(name, Box::new(body))
}

/// Boxed, because the standard library makes several kilobytes of each kind of thread.
fn spawn_boxed(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
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

/// Something to be done by a thread of the pool, once.
pub(crate) struct Job {
    body: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// After this long it no longer counts as running: it may hang where no limit reaches.
    longest: Duration,
}

impl Job {
    pub(crate) fn new(longest: Duration, body: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Arc::new(Self { body: Mutex::new(Some(Box::new(body))), longest })
    }

    fn take(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_open(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// What a job is for: who goes first, and how many may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Calls functions of callers whose wait has ended.
    Call,
    /// An operation on a token store, which a fetch waits for.
    Store,
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
}

type Desk = Arc<Mailbox<Assignment>>;

#[derive(Default)]
struct Pool {
    process: Process,
    calls: VecDeque<Arc<Job>>,
    stores: VecDeque<Arc<Job>>,
    awaited: VecDeque<Arc<Job>>,
    background: VecDeque<Arc<Job>>,
    running: Vec<Running>,
    idle: Vec<Desk>,
    next_id: u64,
}

global! {
    static POOL: Locked<Pool> = Locked::new(Pool {
        process: Process::FIRST,
        calls: VecDeque::new(),
        stores: VecDeque::new(),
        awaited: VecDeque::new(),
        background: VecDeque::new(),
        running: Vec::new(),
        idle: Vec::new(),
        next_id: 0,
    });
}

/// Hands a job to the pool. Fails only if no thread can be started and none is there.
pub(crate) fn submit(job: &Arc<Job>, rank: Rank) -> io::Result<()> {
    let forgotten = {
        let mut pool = POOL.lock();
        let forgotten = pool.renew();
        pool.queue(rank).push_back(job.clone());
        forgotten
    };
    drop(forgotten);
    start_waiting_jobs()
}

/// Somebody now waits for a background job: if it has not begun, it goes to the front rank.
pub(crate) fn hasten(job: &Arc<Job>) {
    if job.is_open() {
        // It stands in both queues then; whoever comes second finds it taken. If no thread can
        // be started, it still stands where it stood.
        let _ = submit(job, Rank::Awaited);
    }
}

/// Nobody waits for a store's job any more: if it has not begun, it never will.
pub(crate) fn cancel(job: &Arc<Job>) {
    let body = job.take();
    POOL.lock().stores.retain(|other| !Arc::ptr_eq(other, job));
    drop(body);
}

/// Starts what may start now. Also to be called when a running job is given up.
pub(crate) fn start_waiting_jobs() -> io::Result<()> {
    loop {
        let next = {
            let mut pool = POOL.lock();
            pool.assign().map(|assignment| (assignment, pool.idle.pop()))
        };
        match next {
            None => return Ok(()),
            Some((assignment, Some(desk))) => {
                desk.put(assignment);
            }
            Some((assignment, None)) => {
                if !start_worker(assignment)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a thread was started. If not, one that runs will come to the job.
fn start_worker(assignment: Assignment) -> io::Result<bool> {
    let (id, rank, job) = (assignment.id, assignment.rank, assignment.job.clone());
    let Err(error) = spawn("tu-token", move || work(assignment)) else { return Ok(true) };
    let mut pool = POOL.lock();
    pool.running.retain(|running| running.id != id);
    if pool.running.is_empty() && pool.idle.is_empty() {
        return Err(error);
    }
    pool.queue(rank).push_front(job);
    Ok(false)
}

fn work(first: Assignment) {
    let process = Process::this();
    let desk = Desk::default();
    let mut assignment = first;
    loop {
        if let Some(body) = assignment.job.take() {
            // A panic is a bug of ours; it must not take the thread's place in the pool with it.
            let _ = catch_unwind(AssertUnwindSafe(body));
        }
        if !process.is_this() {
            // A callback forked, and this is the child: its pool has threads of its own.
            return;
        }
        let done = assignment.id;
        drop(assignment);
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
            return Some(next);
        }
        pool.idle.push(desk.clone());
    }
    let clock = Clock::System;
    if let Some(next) = desk.take(&clock, clock.now().after(IDLE)) {
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
    desk.take(&clock, BootTime::from_nanos(u64::MAX))
}

impl Pool {
    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Arc<Job>> {
        match rank {
            Rank::Call => &mut self.calls,
            Rank::Store => &mut self.stores,
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
        let may_run = |rank: Rank| match rank {
            Rank::Call => count(rank) < MOST_CALLING,
            Rank::Store => count(rank) < MOST_STORING,
            Rank::Awaited => fetches < MOST_RUNNING,
            Rank::Background => fetches < MOST_RUNNING && count(rank) < MOST_BACKGROUND,
        };
        let (rank, job) = [Rank::Call, Rank::Store, Rank::Awaited, Rank::Background]
            .into_iter()
            .filter(|rank| may_run(*rank))
            .find_map(|rank| next_open(self.queue(rank)).map(|job| (rank, job)))?;
        self.next_id += 1;
        let id = self.next_id;
        self.running.push(Running { id, rank, counts_until: now.after(job.longest) });
        Some(Assignment { job, id, rank })
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

// --- the clock watcher ---------------------------------------------------------------------

struct Timer {
    at: BootTime,
    sequence: u64,
    body: Box<dyn FnOnce() + Send>,
    is_wanted: Box<dyn Fn() -> bool + Send>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

struct Timers {
    process: Process,
    sequence: u64,
    waiting: BinaryHeap<Reverse<Timer>>,
    /// The watcher's bell, while there is a watcher.
    bell: Option<Arc<Mailbox<()>>>,
}

global! {
    static TIMERS: Locked<Timers> =
        Locked::new(Timers {
            process: Process::FIRST,
            sequence: 0,
            waiting: BinaryHeap::new(),
            bell: None,
        });
}

/// Does something short with `owner` at a point in boot time, on the clock watcher's thread; nothing
/// if it has gone by then.
pub(crate) fn at<T: Send + Sync + 'static>(
    at: BootTime,
    owner: Weak<T>,
    body: impl FnOnce(Arc<T>) + Send + 'static,
) {
    let watched = owner.clone();
    let is_wanted = Box::new(move || watched.strong_count() > 0);
    let body = Box::new(move || {
        if let Some(owner) = owner.upgrade() {
            body(owner);
        }
    });
    let mut forgotten = BinaryHeap::new();
    let (bell, is_new) = {
        let mut timers = TIMERS.lock();
        if timers.process.adopt() {
            timers.bell = None;
            forgotten = std::mem::take(&mut timers.waiting);
        }
        timers.sequence += 1;
        let sequence = timers.sequence;
        timers.waiting.push(Reverse(Timer { at, sequence, body, is_wanted }));
        let is_new = timers.bell.is_none();
        (timers.bell.get_or_insert_with(Arc::default).clone(), is_new)
    };
    drop(forgotten);
    if !is_new {
        bell.put(());
    } else if spawn("tu-clock", move || watch(&bell)).is_err() {
        // The next timer tries again; until then, whoever waits has a time limit of its own.
        TIMERS.lock().bell = None;
    }
}

fn watch(bell: &Mailbox<()>) {
    let clock = Clock::System;
    loop {
        let now = clock.now();
        let (due, next, unwanted) = {
            let mut timers = TIMERS.lock();
            let unwanted = timers.take_unwanted();
            match timers.waiting.peek() {
                None => {
                    timers.bell = None;
                    return;
                }
                Some(Reverse(first)) if first.at <= now => {
                    (timers.waiting.pop().map(|Reverse(timer)| timer.body), now, unwanted)
                }
                Some(Reverse(first)) => (None, first.at, unwanted),
            }
        };
        drop(unwanted);
        match due {
            Some(body) => drop(catch_unwind(AssertUnwindSafe(body))),
            // Not longer than an idle thread may stay: those who set timers may go meanwhile.
            None => drop(bell.take(&clock, next.min(now.after(IDLE)))),
        }
    }
}

impl Timers {
    /// Takes out the timers whose owners have gone, once the first is one of them.
    fn take_unwanted(&mut self) -> Vec<Reverse<Timer>> {
        let is_wanted = |Reverse(timer): &Reverse<Timer>| (timer.is_wanted)();
        if self.waiting.peek().is_none_or(is_wanted) {
            return Vec::new();
        }
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(is_wanted);
        self.waiting = wanted.into();
        unwanted
    }
}

// --- the teller of events ------------------------------------------------------------------

struct Teller {
    process: Process,
    ready: VecDeque<Arc<EventQueue>>,
    /// The queue that is being told.
    telling: Option<Arc<EventQueue>>,
    bell: Option<Arc<Mailbox<()>>>,
}

global! {
    static TELLER: Locked<Teller> =
        Locked::new(Teller {
            process: Process::FIRST,
            ready: VecDeque::new(),
            telling: None,
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

/// Has a queue's events told, by the one thread that does.
pub(crate) fn dispatch(queue: Arc<EventQueue>) {
    forget_parents_events();
    let (bell, is_new) = {
        let mut teller = TELLER.lock();
        teller.ready.push_back(queue);
        let is_new = teller.bell.is_none();
        (teller.bell.get_or_insert_with(Arc::default).clone(), is_new)
    };
    if !is_new {
        bell.put(());
    } else if spawn("tu-events", move || tell(&bell)).is_err() {
        let untold = {
            let mut teller = TELLER.lock();
            teller.bell = None;
            std::mem::take(&mut teller.ready)
        };
        untold.iter().for_each(|queue| queue.stays_untold());
    }
}

fn tell(bell: &Mailbox<()>) {
    let clock = Clock::System;
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
        if bell.take(&clock, clock.now().after(IDLE)).is_none() {
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
    use std::sync::Mutex;
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
