//! The only way for the library's threads into the interpreter.
//!
//! Two operations must not find such a thread inside.
//!
//! *Interpreter shutdown* stops the thread wherever it is: up to Python 3.13 with `pthread_exit`, which
//! unwinds Rust frames as well, and possibly while it holds a lock, such as a file's, that shutdown
//! itself needs. So before shutdown the door closes, threads inside get time to leave, and later ones
//! are turned away.
//!
//! *A fork* leaves the child with the locks that the thread held: the GIL, a log handler's lock, the
//! lock of the list of thread states. So no thread enters while a fork is in progress, and threads
//! inside get time to leave. A program can fork from Python or from C, with or without the GIL; only
//! `pthread_atfork` sees all of these forks.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Library threads that are inside, entering or leaving.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// Those of them that are creating or deleting a thread state, which needs no GIL.
static CHANGING: AtomicU32 = AtomicU32::new(0);
/// Forks in progress: no thread may enter.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Forks that have finished waiting: no thread may create or delete a thread state either.
static FORKS_NOW: AtomicU32 = AtomicU32::new(0);
/// The interpreter is ending or has ended.
static ENDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is inside: the code it runs may fork.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is in a fork made by Python, which has already waited.
    static HAS_WAITED: Cell<bool> = const { Cell::new(false) };
}

const NAP: Duration = Duration::from_micros(50);
/// Callbacks of the program may take longer than this.
const MAX_WAIT_AT_END: Duration = Duration::from_secs(1);
/// Together with the next one, the share that the core leaves of the 100 ms that a fork may wait.
const MAX_WAIT_OF_FORK: Duration = Duration::from_millis(40);
#[cfg(unix)]
const MAX_WAIT_FOR_CHANGES: Duration = Duration::from_millis(10);

/// Held while a thread is inside.
pub(crate) struct Pass(());

impl Pass {
    /// Enters once no fork is in progress. `None` means that the interpreter is ending.
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

/// Held while a thread creates or deletes a thread state.
pub(crate) struct Change(());

impl Change {
    /// Begins once no fork is about to happen. Only for a thread that does not hold the GIL.
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

/// Closes the door before the interpreter ends, and waits for threads inside to leave.
pub(crate) fn at_exit(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| wait_for_others(MAX_WAIT_AT_END));
}

/// Called by the interpreter before it forks.
pub(crate) fn before_fork(py: Python<'_>) {
    FORKS.fetch_add(1, Ordering::SeqCst);
    HAS_WAITED.set(true);
    py.detach(|| wait_for_others(MAX_WAIT_OF_FORK));
}

/// Called by the interpreter after it has forked, in the parent.
pub(crate) fn after_fork_in_parent() {
    if HAS_WAITED.replace(false) {
        subtract_one(&FORKS);
    }
}

/// Waits until no other thread is inside.
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

/// Subtracts one, but not below 0: a forked child resets the counts, and its only thread may later
/// subtract what it had added before.
fn subtract_one(count: &AtomicU32) {
    let less = |count: u32| count.checked_sub(1);
    let _ = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}

/// Makes all forks wait, whether made by Python or C. `pthread_atfork` calls the prepare handlers in
/// reverse order of registration, so this must be called after the core has registered its own: a
/// thread inside the interpreter may need the core in order to leave.
#[cfg(unix)]
pub(crate) fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.swap(true, Ordering::SeqCst) {
        return;
    }
    holder::find();
    // SAFETY: the functions stay mapped, because Python does not unload modules. They use only
    // atomics and thread-local values without destructors; the first also releases the GIL.
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
            // The threads inside may need the GIL to leave.
            let _released = holder::Released::from_this_thread();
            wait_for_others(MAX_WAIT_OF_FORK);
        }
    }
    FORKS_NOW.fetch_add(1, Ordering::SeqCst);
    wait_until(MAX_WAIT_FOR_CHANGES, || CHANGING.load(Ordering::SeqCst) == 0);
}

#[cfg(unix)]
extern "C" fn parent() {
    subtract_one(&FORKS_NOW);
    // For forks made by Python, `after_fork_in_parent` does this.
    if !HAS_WAITED.get() {
        subtract_one(&FORKS);
    }
}

/// The child has neither the other threads nor their forks.
#[cfg(unix)]
extern "C" fn child() {
    HAS_WAITED.set(false);
    INSIDE.store(u32::from(IS_INSIDE.get()), Ordering::SeqCst);
    for count in [&CHANGING, &FORKS, &FORKS_NOW] {
        count.store(0, Ordering::SeqCst);
    }
}

/// Finds out which thread holds the GIL.
#[cfg(unix)]
mod holder {
    use std::mem;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::ffi;

    /// The function that returns the thread state of the GIL's holder. Python 3.13 made it public
    /// under a new name; the limited API lacks it.
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

    /// Releases the GIL held by this thread until dropped.
    pub(super) struct Released(*mut ffi::PyThreadState);

    impl Released {
        /// `None` if this thread does not hold the GIL, or if that cannot be determined.
        pub(super) fn from_this_thread() -> Option<Self> {
            let current = CURRENT.load(Ordering::Relaxed);
            if current.is_null() {
                return None;
            }
            // SAFETY: both variants of the function have this type, and any thread may call either of
            // the two functions here.
            let (current, own) = unsafe {
                let current: unsafe extern "C" fn() -> *mut ffi::PyThreadState =
                    mem::transmute(current);
                (current(), ffi::PyGILState_GetThisThreadState())
            };
            if own.is_null() || current != own {
                return None;
            }
            // SAFETY: this thread holds the GIL.
            Some(Self(unsafe { ffi::PyEval_SaveThread() }))
        }
    }

    impl Drop for Released {
        fn drop(&mut self) {
            // SAFETY: the state is this thread's own and detached.
            unsafe { ffi::PyEval_RestoreThread(self.0) };
        }
    }
}
