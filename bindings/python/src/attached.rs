//! The interpreter, and its objects, in the hands of threads that are not its own.
//!
//! Such a thread gets a *thread state* when it attaches, under a lock of the interpreter's that is
//! taken without the GIL. Up to Python 3.11 a child forked at that moment waits for this lock for
//! ever. So no thread of ours makes or drops a thread state while a fork is under way.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::{Python, ffi};

/// Threads that make or drop a thread state just now.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// Forks that are under way.
static FORKS: AtomicU32 = AtomicU32::new(0);

const NAP: Duration = Duration::from_micros(50);
/// A thread that attaches while the interpreter ends is stopped for ever, maybe inside.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Calls a function attached to the interpreter; `None` if there is no interpreter any more.
pub(crate) fn attached<R>(function: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    // SAFETY: may be asked at any time, by any thread.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return None;
    }
    // SAFETY: as long as there is an interpreter, by any thread.
    if !unsafe { ffi::PyGILState_GetThisThreadState() }.is_null() {
        return Python::try_attach(function);
    }
    let state = {
        let _inside = Inside::enter();
        // SAFETY: the interpreter is there; the state is given back below.
        unsafe { ffi::PyGILState_Ensure() }
    };
    let _release = Release(state);
    Python::try_attach(function)
}

/// Gives a thread state back, be it after a panic.
struct Release(ffi::PyGILState_STATE);

impl Drop for Release {
    fn drop(&mut self) {
        // Not attached while it waits to enter: the thread that forks needs the interpreter.
        // SAFETY: this thread is attached by the state that is given back.
        unsafe {
            let thread_state = ffi::PyEval_SaveThread();
            let _inside = Inside::enter();
            ffi::PyEval_RestoreThread(thread_state);
            ffi::PyGILState_Release(self.0);
        }
    }
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        loop {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if FORKS.load(Ordering::SeqCst) == 0 {
                return Self;
            }
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            thread::sleep(NAP);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Keeps threads of ours out and waits for those inside, which may need the interpreter.
pub(crate) fn before_fork(py: Python<'_>) {
    FORKS.fetch_add(1, Ordering::SeqCst);
    py.detach(|| {
        let began = Instant::now();
        while INSIDE.load(Ordering::SeqCst) != 0 && began.elapsed() < LONGEST_WAIT {
            thread::sleep(NAP);
        }
    });
}

pub(crate) fn after_fork_in_parent() {
    FORKS.fetch_sub(1, Ordering::SeqCst);
}

/// A child has none of the others' threads, nor their forks.
pub(crate) fn after_fork_in_child() {
    INSIDE.store(0, Ordering::SeqCst);
    FORKS.store(0, Ordering::SeqCst);
}

/// Something made of Python objects that any thread may let go of: that happens attached to the
/// interpreter. When there is none any more, it is not let go of at all.
pub(crate) struct Attached<T>(Option<T>);

impl<T> Attached<T> {
    pub(crate) fn new(object: T) -> Self {
        Self(Some(object))
    }

    pub(crate) fn as_ref(&self) -> Option<&T> {
        self.0.as_ref()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T> Drop for Attached<T> {
    fn drop(&mut self) {
        let mut object = self.0.take();
        if object.is_some() && attached(|_| drop(object.take())).is_none() {
            mem::forget(object);
        }
    }
}
