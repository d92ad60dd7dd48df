//! The one door through which threads of the library's enter the interpreter.
//!
//! Two things must not find such a thread inside.
//!
//! *The end of the interpreter* stops it wherever it is: up to Python 3.13 by `pthread_exit`, which
//! unwinds Rust's frames too, and maybe with the lock of a file that the end of the interpreter
//! wants itself. So the door is closed before, whoever is inside is waited for, and who comes later
//! is told that there is no way in any more.
//!
//! *A fork* leaves the child what the thread held: the GIL, the lock of a log handler, the one of
//! the list of thread states. So nobody comes in while a fork is under way, and whoever is inside
//! may leave. A program can fork by Python or by C, with the GIL or without: it is
//! `pthread_atfork` that sees all of them.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Threads of the library's that are inside, or on their way in or out.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// Those of them that make or drop a thread state just now, for which they need no GIL.
static CHANGING: AtomicU32 = AtomicU32::new(0);
/// Forks that are under way: nobody comes in.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Those that have waited long enough: nobody makes or drops a thread state either.
static FORKS_NOW: AtomicU32 = AtomicU32::new(0);
/// The interpreter is about to end, or has ended.
static ENDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is inside: what it runs may fork.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is in a fork of Python's, which has waited already.
    static HAS_WAITED: Cell<bool> = const { Cell::new(false) };
}

const NAP: Duration = Duration::from_micros(50);
/// A function of the program may take its time.
const LONGEST_WAIT_AT_END: Duration = Duration::from_secs(1);
/// With the next one: what the core leaves of the 100 ms that all waiting of a fork may take.
const LONGEST_WAIT_OF_FORK: Duration = Duration::from_millis(40);
#[cfg(unix)]
const LONGEST_WAIT_FOR_CHANGES: Duration = Duration::from_millis(10);

/// Being inside.
pub(crate) struct Pass(());

impl Pass {
    /// Enters, once no fork is under way. `None`: the interpreter is about to end.
    pub(crate) fn enter() -> Option<Self> {
        loop {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if ENDING.load(Ordering::SeqCst) {
                subtract_one(&INSIDE);
                return None;
            }
            if FORKS.load(Ordering::SeqCst) == 0 {
                IS_INSIDE.set(true);
                return Some(Self(()));
            }
            subtract_one(&INSIDE);
            thread::sleep(NAP);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        IS_INSIDE.set(false);
        subtract_one(&INSIDE);
    }
}

/// Making or dropping a thread state.
pub(crate) struct Change(());

impl Change {
    /// Begins once no fork is just being made. Only for a thread that does not hold the GIL.
    pub(crate) fn begin() -> Self {
        loop {
            CHANGING.fetch_add(1, Ordering::SeqCst);
            if FORKS_NOW.load(Ordering::SeqCst) == 0 {
                return Self(());
            }
            subtract_one(&CHANGING);
            thread::sleep(NAP);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        subtract_one(&CHANGING);
    }
}

/// The interpreter is about to end: nobody comes in any more, and who is inside may leave.
pub(crate) fn at_exit(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| wait_for_others(LONGEST_WAIT_AT_END));
}

/// What the interpreter does before a fork that it makes itself.
pub(crate) fn before_fork(py: Python<'_>) {
    FORKS.fetch_add(1, Ordering::SeqCst);
    HAS_WAITED.set(true);
    py.detach(|| wait_for_others(LONGEST_WAIT_OF_FORK));
}

/// What it does afterwards, in the parent.
pub(crate) fn after_fork_in_parent() {
    if HAS_WAITED.replace(false) {
        subtract_one(&FORKS);
    }
}

/// Until nobody else is inside.
fn wait_for_others(longest: Duration) {
    let own = u32::from(IS_INSIDE.get());
    wait_until(longest, || INSIDE.load(Ordering::SeqCst) <= own);
}

fn wait_until(longest: Duration, is_so: impl Fn() -> bool) {
    if is_so() {
        return;
    }
    let began = Instant::now();
    while !is_so() && began.elapsed() < longest {
        thread::sleep(NAP);
    }
}

/// A forked child counts anew; what its only thread counted before, it takes back later.
fn subtract_one(count: &AtomicU32) {
    let less = |count: u32| count.checked_sub(1);
    let _ = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

/// Has forks wait, by whomever they are made. `pthread_atfork` calls what was given to it last
/// first: this is to be called when the core's own handlers are there, because a thread inside the
/// interpreter may need the core to leave.
#[cfg(unix)]
pub(crate) fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.swap(true, Ordering::SeqCst) {
        return;
    }
    holder::find();
    // SAFETY: the three functions stay mapped, since Python unloads no module, and touch atomics
    // and thread-local values without a destructor; the first one also the GIL.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

#[cfg(not(unix))]
pub(crate) fn watch_forks() {}

#[cfg(unix)]
extern "C" fn prepare() {
    if !HAS_WAITED.get() {
        FORKS.fetch_add(1, Ordering::SeqCst);
        let own = u32::from(IS_INSIDE.get());
        if INSIDE.load(Ordering::SeqCst) > own {
            // They may need the GIL to leave.
            let _released = holder::Released::from_this_thread();
            wait_for_others(LONGEST_WAIT_OF_FORK);
        }
    }
    FORKS_NOW.fetch_add(1, Ordering::SeqCst);
    wait_until(LONGEST_WAIT_FOR_CHANGES, || CHANGING.load(Ordering::SeqCst) == 0);
}

#[cfg(unix)]
extern "C" fn parent() {
    subtract_one(&FORKS_NOW);
    // Python says by itself when a fork of its own is over.
    if !HAS_WAITED.get() {
        subtract_one(&FORKS);
    }
}

/// A child has none of the others' threads, nor their forks.
#[cfg(unix)]
extern "C" fn child() {
    HAS_WAITED.set(false);
    INSIDE.store(u32::from(IS_INSIDE.get()), Ordering::SeqCst);
    for count in [&CHANGING, &FORKS, &FORKS_NOW] {
        count.store(0, Ordering::SeqCst);
    }
}

/// Who holds the GIL.
#[cfg(unix)]
mod holder {
    use std::mem;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::ffi;

    /// The function that tells the thread state of the GIL's holder; it was made public, and got
    /// another name, in Python 3.13. The limited API has it nowhere.
    static CURRENT: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

    pub(super) fn find() {
        for name in [c"PyThreadState_GetUnchecked", c"_PyThreadState_UncheckedGet"] {
            // SAFETY: the name ends with a NUL.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            if !found.is_null() {
                return CURRENT.store(found, Ordering::Relaxed);
            }
        }
    }

    /// The GIL, let go by the thread that held it, until this is dropped.
    pub(super) struct Released(*mut ffi::PyThreadState);

    impl Released {
        /// `None` if this thread does not hold it, or that cannot be known.
        pub(super) fn from_this_thread() -> Option<Self> {
            let current = CURRENT.load(Ordering::Relaxed);
            if current.is_null() {
                return None;
            }
            // SAFETY: the functions of both names have this type; each may be called by any thread,
            // and so may the other one.
            let (current, own) = unsafe {
                let current: unsafe extern "C" fn() -> *mut ffi::PyThreadState =
                    mem::transmute(current);
                (current(), ffi::PyGILState_GetThisThreadState())
            };
            if own.is_null() || current != own {
                return None;
            }
            // SAFETY: this thread holds it.
            Some(Self(unsafe { ffi::PyEval_SaveThread() }))
        }
    }

    impl Drop for Released {
        fn drop(&mut self) {
            // SAFETY: it is this thread's state, which holds nothing.
            unsafe { ffi::PyEval_RestoreThread(self.0) };
        }
    }
}
