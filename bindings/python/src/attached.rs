//! The interpreter, and its objects, in the hands of threads that are not its own.
//!
//! Such a thread comes in by the `door`, with a *thread state* that it makes before and drops
//! afterwards. What a function of the program does inside may take longer than the end of the
//! interpreter waits: then it is stopped when it next wants the GIL, up to Python 3.13 by
//! `pthread_exit`, which unwinds Rust's frames too. None may be there to be unwound: a thread that
//! is stopped stops where it left Rust.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{BoundObject, ffi};

use crate::door::{Change, Pass};

/// The first interpreter: no other one has this module.
static INTERPRETER: AtomicPtr<ffi::PyInterpreterState> = AtomicPtr::new(ptr::null_mut());

/// This thread's interpreter is the one that threads of the library's enter.
pub(crate) fn enter_this(_py: Python<'_>) {
    // SAFETY: this thread is attached to it.
    INTERPRETER.store(unsafe { ffi::PyInterpreterState_Get() }, Ordering::Relaxed);
}

/// Calls a function attached to the interpreter; `None` if there is no interpreter any more, or
/// will soon be none.
pub(crate) fn attached<R>(function: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    // SAFETY: may be asked at any time, by any thread.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return None;
    }
    // SAFETY: as long as there is an interpreter, by any thread.
    if !unsafe { ffi::PyGILState_GetThisThreadState() }.is_null() {
        // A thread of Python's, or one that is inside already.
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
            // SAFETY: the interpreter does not end while this thread has passed its door.
            unsafe { ffi::PyThreadState_New(INTERPRETER.load(Ordering::Relaxed)) }
        };
        if state.is_null() {
            return None;
        }
        // SAFETY: it is this thread's, and new.
        unsafe { ffi::PyEval_RestoreThread(state) };
        Some(Self(state))
    }
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        // What the program keeps for each thread goes now.
        // SAFETY: this thread is attached by this state.
        or_stop(|| unsafe { CLEAR.get()(self.0) });
        // SAFETY: the same. It is detached before it waits for a fork, which needs the interpreter.
        unsafe { ffi::PyEval_SaveThread() };
        let _change = Change::begin();
        // SAFETY: it is nobody's current state, and nobody else knows it.
        unsafe { ffi::PyThreadState_Delete(self.0) };
    }
}

/// A function of Python's that may never come back.
///
/// pyo3 declares them as such that never unwind. In an optimised library a name has one declaration,
/// so one of our own would not be believed, and there would be nothing left to stop the unwinding.
/// The optimiser does not know what is behind this pointer.
struct Unwinding<F>(F);

impl<F: Copy> Unwinding<F> {
    fn get(&'static self) -> F {
        // SAFETY: a reference to what is to be read.
        unsafe { ptr::read_volatile(&self.0) }
    }
}

type Object = *mut ffi::PyObject;
type Call = unsafe extern "C-unwind" fn(Object, Object, Object) -> Object;
type Take = unsafe extern "C-unwind" fn(Object);
type TakeState = unsafe extern "C-unwind" fn(*mut ffi::PyThreadState);

// SAFETY: the types differ in what may come through the call alone.
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

/// Does what may let the interpreter go meanwhile, and so may never come back. Then this thread
/// stops here, attached to nothing, and nothing of it is dropped.
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

/// Calls a function of Python's or of the program's.
pub(crate) fn call<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: impl IntoPyObject<'py, Target = PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    let arguments = arguments.into_pyobject(py).map_err(Into::into)?.into_bound();
    let (callable, given) = (callable.as_ptr(), arguments.as_ptr());
    // SAFETY: this thread is attached, and both objects are alive.
    let answer = or_stop(|| unsafe { CALL.get()(callable, given, ptr::null_mut()) });
    // SAFETY: the answer is a reference of ours, or null with an exception set.
    let answer = unsafe { Bound::from_owned_ptr_or_err(py, answer) };
    let_go(arguments.into_any());
    answer
}

/// Drops an object of the program's, which may do anything when it goes.
pub(crate) fn let_go(object: Bound<'_, PyAny>) {
    let object = object.into_ptr();
    // SAFETY: this thread is attached, and the reference is its own.
    or_stop(|| unsafe { LET_GO.get()(object) });
}

/// Hands an exception to `sys.unraisablehook`, with the object that it came from.
pub(crate) fn tell_unraisable(py: Python<'_>, raised: PyErr, from: Option<&Bound<'_, PyAny>>) {
    raised.restore(py);
    let from = from.map_or(ptr::null_mut(), |from| from.as_ptr());
    // SAFETY: this thread is attached and has an exception; the object is alive, or there is none.
    or_stop(|| unsafe { TELL_UNRAISABLE.get()(from) });
}

/// A Python object that any thread may let go of: that happens attached to the interpreter. When
/// there is none any more, it is not let go of at all.
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
