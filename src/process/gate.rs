//! The gate that locks are taken in, and the fork handlers.
//!
//! One word counts the threads inside and the forks in progress; each thread has a word of the same
//! layout with its own share. So a fork knows which threads to wait for: all but the forking thread
//! itself, which is inside if the fork comes from a signal handler that interrupted it there. Both
//! words carry the generation they belong to. A child resets them, and a thread that continues in
//! the child after such a handler sees from the generation that its share is no longer counted.
//!
//! A waiting fork sleeps. It never spins or calls `sched_yield`: under `SCHED_FIFO` the thread it
//! waits for may be an ordinary one on the same processor.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::{callback, locked};
use crate::clock;
use crate::sync::atomic::AtomicU64;
use crate::sync::{Instant, global, thread, thread_local};

/// Upper bound on the total wait of one fork. The runtimes of the bindings' languages have waits of
/// their own around a fork; together they should stay below 100 ms.
pub(crate) const LONGEST: Duration = Duration::from_millis(50);
/// The part of it available to calls into the C library; the rest is for threads inside the gate.
const LONGEST_FOR_C_LIBRARY: Duration = Duration::from_millis(30);

/// Pauses between two checks of the gate: the first one, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// The number of forks between the process that loaded the library and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Calls in progress into C library functions that take locks of their own.
static IN_C_LIBRARY: AtomicU32 = AtomicU32::new(0);
/// An ancestor of this process forked while such a call was in progress.
static FORKED_IN_C_LIBRARY: AtomicBool = AtomicBool::new(false);

/// The pid of the process that forks.
static FORKING: AtomicU32 = AtomicU32::new(0);

global! {
    static GATE: AtomicU64 = AtomicU64::new(0);
}

thread_local! {
    /// This thread's share of the gate's count. Atomic, because signal handlers use it too.
    static OWN: std::sync::atomic::AtomicU64 = const { std::sync::atomic::AtomicU64::new(0) };
    /// What this thread found when it was about to fork. Kept in the thread's own memory: what
    /// other threads write during the fork may or may not reach the child.
    static AT_FORK: Cell<Found> = const { Cell::new(Found { inside: false, in_c_library: false }) };
    /// Forks of this thread that have begun and not ended: more than one if a signal handler forks
    /// in the middle of a fork.
    static BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// What could not be waited for at a fork.
#[derive(Clone, Copy)]
struct Found {
    inside: bool,
    in_c_library: bool,
}

/// From the lowest bit: threads inside, forks in progress, and the generation.
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

    /// Plus one unit, if the count is still of that generation.
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
        // This thread has not entered the gate since its process was forked.
        if own.generation() == generation() { own } else { Self::none(generation()) }
    }
}

/// Updates this thread's word, unless the process has been forked in between.
fn change_own(change: impl Fn(Count) -> Option<u64>) {
    OWN.with(|own| {
        let _ = own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| change(Count(now)));
    });
}

fn change_gate(change: impl Fn(Count) -> Option<u64>) {
    // No effect in a child, whose gate is new.
    let _ = GATE.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| change(Count(now)));
}

/// Tells this process from its parent and from its children. One load on the hot path.
#[inline(always)]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Where that is, for as long as the library is loaded.
#[cfg(feature = "capi")]
pub(crate) fn generation_place() -> *const u32 {
    GENERATION.as_ptr()
}

/// Sleeps of increasing length, so that the thread waited for gets to run.
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

/// A thread's presence inside the gate.
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
                // The own count is raised first and lowered last: a fork by a signal handler in
                // between does not wait in vain, and starts a new epoch as if the thread had been
                // inside.
                let generation = now.generation();
                count_own_from(generation);
                change_own(|own| own.plus(PASS, generation));
                let entered = now.0 + PASS;
                // Release, so that a fork that finds this thread inside sees its earlier writes.
                let put =
                    GATE.compare_exchange(now.0, entered, Ordering::AcqRel, Ordering::Relaxed);
                if put.is_ok() {
                    return Self { generation };
                }
                change_own(|own| own.minus(PASS, generation));
            } else {
                // Another thread is forking; that takes micro- to milliseconds.
                opening::wait(|| Count(GATE.load(Ordering::Relaxed)).forks() > 0, &mut pause);
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

/// Resets this thread's word if it is of an earlier process.
fn count_own_from(generation: u32) {
    OWN.with(|own| {
        let now = own.load(Ordering::Relaxed);
        if Count(now).generation() != generation && self::generation() == generation {
            let none = Count::none(generation).0;
            let _ = own.compare_exchange(now, none, Ordering::Relaxed, Ordering::Relaxed);
        }
    });
}

/// Whether this thread is forking: other `pthread_atfork` handlers that run between the library's
/// may call the library. In the child such a handler may run before the library's; then the
/// latter's work is done here.
fn forks_itself() -> bool {
    if !is_forking() {
        return false;
    }
    if FORKING.load(Ordering::Relaxed) != std::process::id() {
        after_fork_in_child();
    }
    true
}

/// Whether this thread is in the middle of a fork.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(super) fn is_forking() -> bool {
    Count::own().forks() > 0
}

/// A call into the C library that takes locks of its own, counted until this is dropped. A fork
/// waits for it, and records for the child if it waited in vain.
pub(crate) struct InCLibrary {
    generation: u32,
}

impl InCLibrary {
    pub(crate) fn enter() -> Self {
        // Through the gate: no such call begins while a fork is in progress.
        let _pass = Pass::enter();
        IN_C_LIBRARY.fetch_add(1, Ordering::AcqRel);
        Self { generation: generation() }
    }
}

impl Drop for InCLibrary {
    fn drop(&mut self) {
        if self.generation == generation() {
            IN_C_LIBRARY.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Whether an ancestor of this process forked while another thread was in the C library: its locks
/// may then be held forever in this process.
pub(crate) fn was_forked_in_c_library() -> bool {
    FORKED_IN_C_LIBRARY.load(Ordering::Relaxed)
}

/// Such a call has ended in this process: the locks it takes are not held here.
pub(crate) fn left_c_library() {
    FORKED_IN_C_LIBRARY.store(false, Ordering::Relaxed);
}

/// Installs the fork handlers, once per process. Must precede the library's first thread and the
/// first lock that matters; further calls do nothing.
pub(crate) fn install_handlers() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // Not `Once`: a child forked while another thread is inside one would wait forever.
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

/// The wait budget of one fork.
struct Patience {
    begun: Instant,
    longest: Duration,
    pause: Pause,
}

impl Patience {
    fn new(longest: Duration) -> Self {
        Self { begun: Instant::now(), longest, pause: Pause::default() }
    }

    /// Sleeps while `is_wanted`, at most until `longest` has passed since the fork began.
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

fn in_c_library() -> bool {
    IN_C_LIBRARY.load(Ordering::Acquire) > 0
}

extern "C" fn before_fork() {
    close(LONGEST);
}

fn close(longest: Duration) {
    let mut patience = Patience::new(longest);
    // While the gate is still open, so that a long call holds up no other thread.
    patience.wait_while(LONGEST_FOR_C_LIBRARY, in_c_library);
    let generation = generation();
    count_own_from(generation);
    // First, so that a fork of this thread never looks like another thread's.
    change_own(|own| own.plus(FORK, generation));
    // Normally one fork at a time, so that threads waiting at the gate get in between.
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
    // A thread inside may be about to call into the C library.
    let found = Found { inside, in_c_library: inside || in_c_library() };
    AT_FORK.with(|at_fork| at_fork.set(found));
    FORKING.store(std::process::id(), Ordering::Relaxed);
    BEGUN.with(|begun| begun.set(begun.get() + 1));
}

extern "C" fn after_fork_in_parent() {
    BEGUN.with(|begun| begun.set(begun.get().saturating_sub(1)));
    let generation = generation();
    // Not in the child of a fork that a signal handler made in the middle of this one.
    if Count::own().forks() > 0 {
        change_own(|own| own.minus(FORK, generation));
        change_gate(|gate| gate.minus(FORK, generation));
        opening::tell();
    }
}

extern "C" fn after_fork_in_child() {
    if BEGUN.with(Cell::get) == 0 {
        // Already done, for another handler that ran first.
        return;
    }
    BEGUN.with(|begun| begun.set(begun.get() - 1));
    let own = Count::own();
    let found = AT_FORK.with(Cell::get);
    if found.inside || own.passes() > 0 {
        locked::begin_epoch();
    }
    if found.in_c_library {
        FORKED_IN_C_LIBRARY.store(true, Ordering::Relaxed);
    }
    IN_C_LIBRARY.store(0, Ordering::Relaxed);
    callback::forked();
    clock::forked();
    let none = Count::none(generation().wrapping_add(1));
    GENERATION.store(none.generation(), Ordering::Relaxed);
    OWN.with(|own| own.store(none.0, Ordering::Relaxed));
    GATE.store(none.0, Ordering::Release);
    // A signal handler of a thread that was about to wait may have forked.
    opening::tell();
}

/// Where threads wait until the gate is open. If thousands looked by the clock, they would leave no
/// time to the thread that forks.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(all(test, feature = "__shuttle"))))]
mod opening {
    use super::{LONGEST, Pause};
    use crate::process::bell::Bell;

    static BELL: Bell = Bell::new();

    pub(super) fn wait(is_closed: impl FnOnce() -> bool, _: &mut Pause) {
        let seen = BELL.rings();
        if is_closed() {
            BELL.wait(seen, LONGEST);
        }
    }

    pub(super) fn tell() {
        BELL.ring();
    }
}

/// Elsewhere a bell has a mutex, which a child could find locked.
#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    not(all(test, feature = "__shuttle"))
)))]
mod opening {
    use super::Pause;

    pub(super) fn wait(_: impl FnOnce() -> bool, pause: &mut Pause) {
        pause.sleep();
    }

    pub(super) fn tell() {}
}

/// Opens the gate while it lives, although this thread is forking.
pub(super) struct Opened;

/// Called before waiting for another thread. If the caller is another fork handler on the forking
/// thread, no other thread could proceed.
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

/// The parent's side of a fork; `at_fork` runs where the child would be created.
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) fn fork_around(at_fork: impl FnOnce()) {
    close(LONGEST);
    assert!(!AT_FORK.with(Cell::get).inside);
    at_fork();
    after_fork_in_parent();
}

/// The same for a fork that does not wait. `at_fork` receives whether the child would start empty.
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) fn fork_without_waiting(at_fork: impl FnOnce(bool)) {
    close(Duration::ZERO);
    at_fork(AT_FORK.with(Cell::get).inside);
    after_fork_in_parent();
}
