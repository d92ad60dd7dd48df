//! The gate that locks are taken in, and what happens around a fork.
//!
//! One word counts the threads inside and the forks under way; each thread has a word of the same
//! form with its own part. So a fork knows whom to wait for: not for the thread that forks, which
//! is inside if a signal handler forks that interrupted it there. Both words carry the generation
//! that they belong to. A child begins them anew, and a thread that goes on in it, back from that
//! handler, finds by the generation that what it had counted is no longer there.
//!
//! A fork sleeps while it waits. It never spins and never calls `sched_yield`: under `SCHED_FIFO`
//! the thread that is waited for may be an ordinary one of the same processor.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::{callback, locked};
use crate::sync::atomic::AtomicU64;
use crate::sync::{Instant, global, thread, thread_local};

/// The longest that one fork waits, for everything together. The bindings' languages have waits of
/// their own around a fork; all of them are to stay below 100 ms.
pub(crate) const LONGEST: Duration = Duration::from_millis(50);
/// So much of it for calls of the C library. What is left is for those inside the gate.
const LONGEST_FOR_LIBRARY: Duration = Duration::from_millis(30);

/// Between two looks at the gate: the first pause, doubling to the last.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// How many forks lie between the process that loaded the library and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Calls of the C library under way that hold locks of its own.
static IN_LIBRARY: AtomicU32 = AtomicU32::new(0);
/// A process that this one descends from was forked during such a call.
static FORKED_IN_LIBRARY: AtomicBool = AtomicBool::new(false);

/// The process that forks.
static FORKING: AtomicU32 = AtomicU32::new(0);

global! {
    static GATE: AtomicU64 = AtomicU64::new(0);
}

thread_local! {
    /// This thread's part of the gate's count. Signal handlers count as well: hence an atomic.
    static OWN: std::sync::atomic::AtomicU64 = const { std::sync::atomic::AtomicU64::new(0) };
    /// What this thread found when it was about to fork. The thread's own memory: what others write
    /// during the fork may reach the child or not.
    static AT_FORK: Cell<Found> = const { Cell::new(Found { inside: false, in_library: false }) };
    /// Forks of this thread that have begun and whose end is to come: more than one if a signal
    /// handler forks in the middle of a fork.
    static BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// Who was still there at a fork.
#[derive(Clone, Copy)]
struct Found {
    inside: bool,
    in_library: bool,
}

/// From the lowest bit: threads inside, forks under way, and the generation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Count(u64);

const PASS: u64 = 1;
const FORK: u64 = 1 << 20;
const FORKS: u64 = (1 << 12) - 1;

impl Count {
    const fn none(generation: u32) -> Self {
        Self((generation as u64) << 32)
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn forks(self) -> u64 {
        (self.0 / FORK) & FORKS
    }

    const fn passes(self) -> u64 {
        self.0 % FORK
    }

    /// The same plus or minus one unit, if it is still of that generation.
    fn plus(self, unit: u64, generation: u32) -> Option<u64> {
        (self.generation() == generation).then(|| self.0 + unit)
    }

    fn minus(self, unit: u64, generation: u32) -> Option<u64> {
        (self.generation() == generation).then(|| self.0 - unit)
    }

    fn gate() -> Self {
        Self(GATE.load(Ordering::Acquire))
    }

    fn own() -> Self {
        let own = Self(OWN.with(|own| own.load(Ordering::Relaxed)));
        // A thread that has not been here since its process was forked.
        if own.generation() == generation() { own } else { Self::none(generation()) }
    }
}

/// Changes this thread's word, unless the process has been forked in between.
fn change_own(change: impl Fn(Count) -> Option<u64>) {
    OWN.with(|own| {
        let _ = own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| change(Count(now)));
    });
}

fn change_gate(change: impl Fn(Count) -> Option<u64>) {
    // Refused in a child: there the gate is new.
    let _ = GATE.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| change(Count(now)));
}

/// Tells this process from its parent and from its children. One load on the hot path.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Sleeps that become longer, so that whoever is waited for gets to run.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    pub(super) fn sleep(&mut self) {
        thread::sleep(self.0);
        self.0 = (self.0 * 2).min(LAST_PAUSE);
    }
}

/// A thread's stay inside the gate.
pub(super) struct Pass {
    generation: u32,
}

impl Pass {
    pub(super) fn enter() -> Self {
        #[cfg(debug_assertions)]
        assert!(Count::own().passes() == 0, "two locks of tu-token at a time");
        let mut pause = Pause::default();
        loop {
            let now = Count(GATE.load(Ordering::Relaxed));
            if now.forks() == 0 || forks_itself() {
                // In its own count first, and out of it last: a signal handler that forks in between
                // waits for nobody in vain, and begins a new epoch, as if it had been inside.
                let generation = now.generation();
                count_own_from(generation);
                change_own(|own| own.plus(PASS, generation));
                let entered = now.0 + PASS;
                // Release, for what is to be seen by a fork that finds this thread inside.
                let put =
                    GATE.compare_exchange(now.0, entered, Ordering::AcqRel, Ordering::Relaxed);
                if put.is_ok() {
                    return Self { generation };
                }
                change_own(|own| own.minus(PASS, generation));
            } else {
                // A fork is under way on another thread; it takes micro- to milliseconds.
                pause.sleep();
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        change_gate(|gate| gate.minus(PASS, self.generation));
        change_own(|own| own.minus(PASS, self.generation));
    }
}

/// Begins this thread's word anew if it is of an earlier process.
fn count_own_from(generation: u32) {
    OWN.with(|own| {
        let now = own.load(Ordering::Relaxed);
        if Count(now).generation() != generation && self::generation() == generation {
            let none = Count::none(generation).0;
            let _ = own.compare_exchange(now, none, Ordering::Relaxed, Ordering::Relaxed);
        }
    });
}

/// Whether it is this very thread that forks: handlers of the program's that run between ours may
/// call the library. In the child such a handler may come before ours, which is then due.
fn forks_itself() -> bool {
    if Count::own().forks() == 0 {
        return false;
    }
    if FORKING.load(Ordering::Relaxed) != std::process::id() {
        after_fork_in_child();
    }
    true
}

/// A call of the C library that takes locks of its own, counted until this is dropped. A fork waits
/// for it, and the child of one that waited in vain is told.
pub(crate) struct InLibrary {
    generation: u32,
}

impl InLibrary {
    pub(crate) fn enter() -> Self {
        // Through the gate: while a fork is under way, no such call begins.
        let _pass = Pass::enter();
        IN_LIBRARY.fetch_add(1, Ordering::AcqRel);
        Self { generation: generation() }
    }
}

impl Drop for InLibrary {
    fn drop(&mut self) {
        if self.generation == generation() {
            IN_LIBRARY.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Whether a process that this one descends from was forked while another thread was in the C
/// library: then locks of that may be held here for ever.
pub(crate) fn was_forked_in_library() -> bool {
    FORKED_IN_LIBRARY.load(Ordering::Relaxed)
}

/// A call of that kind has ended in this very process: none is held here.
pub(crate) fn is_out_of_library() {
    FORKED_IN_LIBRARY.store(false, Ordering::Relaxed);
}

/// Installs the fork handlers, once a process. Needed before the first thread of ours or lock that
/// matters; calling it again does nothing.
pub(crate) fn install_handlers() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // Not `Once`: a child forked while another thread is inside one would wait for ever.
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    #[cfg(unix)]
    // SAFETY: the three functions only touch atomics and thread-local numbers (and sleep), which is
    // allowed around fork, and they stay mapped: the shared library is linked with `nodelete`.
    unsafe {
        libc::pthread_atfork(
            Some(before_fork),
            Some(after_fork_in_parent),
            Some(after_fork_in_child),
        );
    }
}

/// One fork's time for waiting.
struct Patience {
    begun: Instant,
    longest: Duration,
    pause: Pause,
}

impl Patience {
    fn new(longest: Duration) -> Self {
        Self { begun: Instant::now(), longest, pause: Pause::default() }
    }

    /// Sleeps while `is_wanted`, until there is nothing to wait for or `longest` has passed.
    fn wait_while(&mut self, longest: Duration, mut is_wanted: impl FnMut() -> bool) {
        let longest = longest.min(self.longest);
        while is_wanted() && self.begun.elapsed() < longest {
            self.pause.sleep();
        }
        self.pause = Pause::default();
    }
}

fn others_inside() -> bool {
    Count::gate().passes() > Count::own().passes()
}

/// Closes the gate unless another thread has closed it.
fn close_alone(generation: u32) -> bool {
    let others = |gate: Count| gate.forks() >= Count::own().forks();
    GATE.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| {
        Count(now).plus(FORK, generation).filter(|_| !others(Count(now)))
    })
    .is_ok()
}

fn in_library() -> bool {
    IN_LIBRARY.load(Ordering::Acquire) > 0
}

extern "C" fn before_fork() {
    close(LONGEST);
}

fn close(longest: Duration) {
    let mut patience = Patience::new(longest);
    // While the gate is open, so that a call which takes long holds up nobody else.
    patience.wait_while(LONGEST_FOR_LIBRARY, in_library);
    let generation = generation();
    count_own_from(generation);
    // First: then it never looks as if a fork of this thread were another's.
    change_own(|own| own.plus(FORK, generation));
    // One fork at a time as a rule, so that those who stand at the gate get in between.
    let mut is_closed = false;
    patience.wait_while(LONGEST, || {
        is_closed = is_closed || close_alone(generation);
        !is_closed
    });
    if !is_closed {
        change_gate(|gate| gate.plus(FORK, generation));
    }
    patience.wait_while(LONGEST, others_inside);
    let inside = others_inside();
    // Whoever is inside may be on its way into the library.
    let found = Found { inside, in_library: inside || in_library() };
    AT_FORK.with(|at_fork| at_fork.set(found));
    FORKING.store(std::process::id(), Ordering::Relaxed);
    BEGUN.with(|begun| begun.set(begun.get() + 1));
}

extern "C" fn after_fork_in_parent() {
    BEGUN.with(|begun| begun.set(begun.get().saturating_sub(1)));
    let generation = generation();
    // Not if this is the child of a fork that a signal handler made in the middle of this one.
    if Count::own().forks() > 0 {
        change_own(|own| own.minus(FORK, generation));
        change_gate(|gate| gate.minus(FORK, generation));
    }
}

extern "C" fn after_fork_in_child() {
    if BEGUN.with(Cell::get) == 0 {
        // It was done already, for a handler of the program's that came first.
        return;
    }
    BEGUN.with(|begun| begun.set(begun.get() - 1));
    let own = Count::own();
    let found = AT_FORK.with(Cell::get);
    if found.inside || own.passes() > 0 {
        locked::begin_epoch();
    }
    if found.in_library {
        FORKED_IN_LIBRARY.store(true, Ordering::Relaxed);
    }
    IN_LIBRARY.store(0, Ordering::Relaxed);
    callback::forked();
    let none = Count::none(generation().wrapping_add(1));
    GENERATION.store(none.generation(), Ordering::Relaxed);
    OWN.with(|own| own.store(none.0, Ordering::Relaxed));
    GATE.store(none.0, Ordering::Release);
}

/// The gate is open while this lives, though this thread forks.
pub(super) struct Opened;

/// To be called by who is about to wait for another thread. If that is a handler of the program's
/// while its thread forks, nobody else could go on.
pub(super) fn open_to_wait() -> Option<Opened> {
    (Count::own().forks() > 0 && forks_itself() && Count::own().forks() > 0).then(|| {
        after_fork_in_parent();
        Opened
    })
}

impl Drop for Opened {
    fn drop(&mut self) {
        before_fork();
    }
}

/// What happens around a fork, on the parent's side; `at_fork` runs where the child would be made.
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) fn fork_around(at_fork: impl FnOnce()) {
    close(LONGEST);
    assert!(!AT_FORK.with(Cell::get).inside);
    at_fork();
    after_fork_in_parent();
}

/// The same by a fork that waits for nobody. Told whether its child would begin empty.
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) fn fork_without_waiting(at_fork: impl FnOnce(bool)) {
    close(Duration::ZERO);
    at_fork(AT_FORK.with(Cell::get).inside);
    after_fork_in_parent();
}
