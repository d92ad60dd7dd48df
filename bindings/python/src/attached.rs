//! The interpreter, and its objects, in the hands of threads that are not its own.
//!
//! Such a thread gets a *thread state* when it attaches, under a lock of the interpreter's that is
//! taken without the GIL. Up to Python 3.11 a child forked at that moment waits for this lock for
//! ever. So no thread of ours makes or drops a thread state while a fork is under way.
//!
//! When the interpreter ends it stops such threads wherever they are, be it with the lock of a file
//! that it then wants itself. So they are asked to leave before, and kept out. Up to Python 3.13 it
//! stops them by `pthread_exit`, which unwinds Rust's frames too: none may be there to be unwound.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{BoundObject, ffi};

/// Threads that make or drop a thread state just now.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// Forks that are under way.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Threads of ours that run functions of the program.
static RUNNING: AtomicU32 = AtomicU32::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

const NAP: Duration = Duration::from_micros(50);
/// A thread that attaches while the interpreter ends is stopped for ever, maybe inside; a function
/// of the program may take its time.
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

/// The same for a function of the program, which may do anything: `None` also if the interpreter is
/// about to end.
pub(crate) fn attached_to_call<R>(function: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    let _running = Running::begin()?;
    attached(function)
}

unsafe extern "C-unwind" {
    /// As in `ffi`, but for what may come through it.
    fn PyObject_Call(
        callable: *mut ffi::PyObject,
        arguments: *mut ffi::PyObject,
        keywords: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// Calls what may let the interpreter go meanwhile, and so may never come back. Then this thread
/// stops here, attached to nothing, and nothing of it is dropped.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: impl IntoPyObject<'py, Target = PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    let arguments = arguments.into_pyobject(py).map_err(Into::into)?.into_bound();
    let stop = StopForEver;
    // SAFETY: this thread is attached, and both objects are alive.
    let answer =
        unsafe { PyObject_Call(callable.as_ptr(), arguments.as_ptr(), std::ptr::null_mut()) };
    mem::forget(stop);
    // SAFETY: the answer is a reference of ours, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, answer) }
}

struct StopForEver;

impl Drop for StopForEver {
    fn drop(&mut self) {
        loop {
            thread::park();
        }
    }
}

/// Gives a thread state back, be it after a panic.
struct Release(ffi::PyGILState_STATE);

impl Drop for Release {
    fn drop(&mut self) {
        let _inside = Inside::try_enter().unwrap_or_else(|| {
            // Not attached while it waits to enter: the thread that forks needs the interpreter.
            // SAFETY: this thread is attached by the state that is given back.
            unsafe {
                let thread_state = ffi::PyEval_SaveThread();
                let inside = Inside::enter();
                ffi::PyEval_RestoreThread(thread_state);
                inside
            }
        });
        // SAFETY: it is attached by this state, which nobody else gives back.
        unsafe { ffi::PyGILState_Release(self.0) };
    }
}

struct Running;

impl Running {
    fn begin() -> Option<Self> {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let running = Self;
        (!ENDING.load(Ordering::SeqCst)).then_some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // In a child that was forked by what it ran, it has been counted anew.
        let _ = RUNNING
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |running| running.checked_sub(1));
    }
}

/// The interpreter is about to end: no function is called any more, what runs may finish.
pub(crate) fn at_exit(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| wait_for_none(&RUNNING));
}

fn wait_for_none(threads: &AtomicU32) {
    let began = Instant::now();
    while threads.load(Ordering::SeqCst) != 0 && began.elapsed() < LONGEST_WAIT {
        thread::sleep(NAP);
    }
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        loop {
            if let Some(inside) = Self::try_enter() {
                return inside;
            }
            thread::sleep(NAP);
        }
    }

    fn try_enter() -> Option<Self> {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let inside = Self;
        (FORKS.load(Ordering::SeqCst) == 0).then_some(inside)
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
    py.detach(|| wait_for_none(&INSIDE));
}

pub(crate) fn after_fork_in_parent() {
    FORKS.fetch_sub(1, Ordering::SeqCst);
}

/// A child has none of the others' threads, nor their forks.
pub(crate) fn after_fork_in_child() {
    for threads in [&INSIDE, &FORKS, &RUNNING] {
        threads.store(0, Ordering::SeqCst);
    }
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
