//! Access to the interpreter and its objects from the library's threads.
//!
//! Such a thread enters through the `door` with a *thread state* of its own, which it creates before
//! and deletes afterwards. A callback of the program may run longer than interpreter shutdown waits
//! for it. The interpreter then stops the thread when it next takes the GIL; up to Python 3.13 it calls
//! `pthread_exit`, which would unwind Rust frames as well. That must not happen: such a thread parks
//! forever at the point where it left Rust.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{BoundObject, ffi};

use crate::door::{Change, Pass};

/// The main interpreter: no other one can import this module.
static INTERPRETER: AtomicPtr<ffi::PyInterpreterState> = AtomicPtr::new(ptr::null_mut());

/// Sets the interpreter that the library's threads enter to the calling thread's.
pub(crate) fn enter_this(_py: Python<'_>) {
    // SAFETY: this thread is attached to it.
    INTERPRETER.store(unsafe { ffi::PyInterpreterState_Get() }, Ordering::Relaxed);
}

/// Calls a function while attached to the interpreter; `None` if the interpreter has ended or is
/// ending.
pub(crate) fn attached<R>(function: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    // SAFETY: may be called at any time from any thread.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return None;
    }
    // SAFETY: may be called from any thread while the interpreter exists.
    if !unsafe { ffi::PyGILState_GetThisThreadState() }.is_null() {
        // A Python thread, or one that is already inside.
        return Python::try_attach(function);
    }
    let _pass = Pass::enter()?;
    let _state = ThreadState::make()?;
    Python::try_attach(function)
}

/// This thread's state in the interpreter, attached.
struct ThreadState(*mut ffi::PyThreadState);

impl ThreadState {
    fn make() -> Option<Self> {
        let state = {
            let _change = Change::begin();
            // SAFETY: the interpreter does not end while this thread holds a pass.
            unsafe { ffi::PyThreadState_New(INTERPRETER.load(Ordering::Relaxed)) }
        };
        if state.is_null() {
            return None;
        }
        // SAFETY: the state is new and belongs to this thread.
        unsafe { ffi::PyEval_RestoreThread(state) };
        Some(Self(state))
    }
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        // Drops the program's thread-local objects.
        // SAFETY: this thread is attached with this state.
        or_stop(|| unsafe { CLEAR.get()(self.0) });
        // SAFETY: the same. Detaches before waiting for a fork, which needs the interpreter.
        unsafe { ffi::PyEval_SaveThread() };
        let _change = Change::begin();
        // SAFETY: it is no thread's current state, and no other code refers to it.
        unsafe { ffi::PyThreadState_Delete(self.0) };
    }
}

/// A Python function that may never return because it unwinds the thread.
///
/// pyo3 declares these functions as never unwinding. An optimised library keeps one declaration per
/// symbol, so a second, correct declaration would have no effect, and the code that catches the
/// unwinding would be removed. The optimiser cannot see through this pointer.
struct Unwinding<F>(F);

impl<F: Copy> Unwinding<F> {
    fn get(&'static self) -> F {
        // SAFETY: reads through a valid reference.
        unsafe { ptr::read_volatile(&self.0) }
    }
}

type Object = *mut ffi::PyObject;
type Call = unsafe extern "C-unwind" fn(Object, Object, Object) -> Object;
type Take = unsafe extern "C-unwind" fn(Object);
type TakeState = unsafe extern "C-unwind" fn(*mut ffi::PyThreadState);

// SAFETY: the types differ only in whether the call may unwind.
static CALL: Unwinding<Call> = Unwinding(unsafe {
    mem::transmute::<unsafe extern "C" fn(Object, Object, Object) -> Object, Call>(
        ffi::PyObject_Call,
    )
});
// SAFETY: the same.
static LET_GO: Unwinding<Take> =
    Unwinding(unsafe { mem::transmute::<unsafe extern "C" fn(Object), Take>(ffi::Py_DecRef) });
// SAFETY: the same.
static TELL_UNRAISABLE: Unwinding<Take> = Unwinding(unsafe {
    mem::transmute::<unsafe extern "C" fn(Object), Take>(ffi::PyErr_WriteUnraisable)
});
// SAFETY: the same.
static CLEAR: Unwinding<TakeState> = Unwinding(unsafe {
    mem::transmute::<unsafe extern "C" fn(*mut ffi::PyThreadState), TakeState>(
        ffi::PyThreadState_Clear,
    )
});

/// Runs a closure that may detach from the interpreter, and so may be unwound instead of returning. In
/// that case the thread parks here forever, detached, and drops nothing.
fn or_stop<R>(what: impl FnOnce() -> R) -> R {
    struct StopForEver;

    impl Drop for StopForEver {
        fn drop(&mut self) {
            loop {
                thread::park();
            }
        }
    }

    let stop = StopForEver;
    let answer = what();
    mem::forget(stop);
    answer
}

/// Calls a function of Python or of the program.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: impl IntoPyObject<'py, Target = PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    let arguments = arguments.into_pyobject(py).map_err(Into::into)?.into_bound();
    let (callable, given) = (callable.as_ptr(), arguments.as_ptr());
    // SAFETY: this thread is attached, and both objects are alive.
    let answer = or_stop(|| unsafe { CALL.get()(callable, given, ptr::null_mut()) });
    // SAFETY: the answer is an owned reference, or null with an exception set.
    let answer = unsafe { Bound::from_owned_ptr_or_err(py, answer) };
    let_go(arguments.into_any());
    answer
}

/// Drops an object of the program, whose finalizer may run arbitrary code.
pub(crate) fn let_go(object: Bound<'_, PyAny>) {
    let object = object.into_ptr();
    // SAFETY: this thread is attached, and the reference is its own.
    or_stop(|| unsafe { LET_GO.get()(object) });
}

/// Passes an exception to `sys.unraisablehook`, with the object that raised it.
pub(crate) fn tell_unraisable(py: Python<'_>, raised: PyErr, from: Option<&Bound<'_, PyAny>>) {
    raised.restore(py);
    let from = from.map_or(ptr::null_mut(), |from| from.as_ptr());
    // SAFETY: this thread is attached and has an exception set; the object is alive or null.
    or_stop(|| unsafe { TELL_UNRAISABLE.get()(from) });
}

/// A Python object that any thread may drop: dropping attaches to the interpreter first. If the
/// interpreter has ended, the object is leaked.
pub(crate) struct Attached(Option<Py<PyAny>>);

impl Attached {
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self(Some(object))
    }

    pub(crate) fn as_ref(&self) -> Option<&Py<PyAny>> {
        self.0.as_ref()
    }

    pub(crate) fn take(&mut self) -> Option<Py<PyAny>> {
        self.0.take()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut object = self.0.take();
        if object.is_none() {
            return;
        }
        let dropped = attached(|py| {
            if let Some(object) = object.take() {
                let_go(object.into_bound(py));
            }
        });
        if dropped.is_none() {
            mem::forget(object);
        }
    }
}
