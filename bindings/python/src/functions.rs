//! The program's callbacks: the credentials function and the event function.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};
use tu_token::{Credentials, CredentialsFn, Error, Event, EventFn};

use crate::attached::{Attached, attached, call, let_go, tell_unraisable};
use crate::error::status;

/// A function of the program with the exceptions it raised, visible to the garbage collector: the
/// client owns both, even while the core holds a reference to this.
///
/// Only attached threads take the lock, and only briefly, so no fork happens while it is held.
pub(crate) struct Function(Mutex<Kept>);

struct Kept {
    function: Attached,
    /// Exceptions it raised that no caller has received yet, by number. Their tracebacks refer to
    /// frames, and so possibly to the client.
    raised: Vec<(u64, Attached)>,
    raised_so_far: u64,
}

impl Function {
    pub(crate) fn new(function: Bound<'_, PyAny>) -> Arc<Self> {
        let function = Attached::new(function.unbind());
        Arc::new(Self(Mutex::new(Kept { function, raised: Vec::new(), raised_so_far: 0 })))
    }

    /// `None` if the garbage collector or the core has released the function.
    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock(py).function.as_ref().map(|function| function.clone_ref(py))
    }

    fn keep_raised(self: Arc<Self>, raised: PyErr, py: Python<'_>) -> Failure {
        let raised = Attached::new(raised.into_value(py).into_any());
        let mut kept = self.lock(py);
        kept.raised_so_far += 1;
        let number = kept.raised_so_far;
        kept.raised.push((number, raised));
        drop(kept);
        Failure { function: self, number: AtomicU64::new(number) }
    }

    fn take_raised(&self, number: u64, py: Python<'_>) -> Option<Py<PyAny>> {
        let mut kept = self.lock(py);
        let place = kept.raised.iter().position(|raised| raised.0 == number)?;
        kept.raised.swap_remove(place).1.take()
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // If a thread that the collector stopped is using it, it is not garbage.
        let Ok(kept) = self.0.try_lock() else { return Ok(()) };
        visit.call(kept.function.as_ref())?;
        kept.raised.iter().try_for_each(|(_, raised)| visit.call(raised.as_ref()))
    }

    pub(crate) fn clear(&self, py: Python<'_>) {
        let mut kept = self.lock(py);
        let garbage = (kept.function.take(), std::mem::take(&mut kept.raised));
        drop(kept);
        drop(garbage);
    }

    fn lock(&self, _py: Python<'_>) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function lent to the core. The core drops it once the client is closed and no call can follow. The
/// program's function is then released, even if the client object lives on.
struct Lent(Arc<Function>);

impl Drop for Lent {
    fn drop(&mut self) {
        attached(|py| {
            let function = self.0.lock(py).function.take();
            drop(function);
        });
    }
}

/// The credentials function that the core calls.
pub(crate) fn credentials(function: Arc<Function>) -> CredentialsFn {
    let function = Lent(function);
    CredentialsFn::optional(move |refused| {
        let Lent(function) = &function;
        // Runs on a library thread.
        let answer = attached(|py| match function.get(py) {
            Some(callable) => ask(callable.bind(py), refused)
                .map_err(|raised| function.clone().keep_raised(raised, py)),
            None => Ok(None),
        });
        match answer {
            Some(answer) => answer.map_err(Into::into),
            None => Err(InterpreterEnds.into()),
        }
    })
}

fn ask(function: &Bound<'_, PyAny>, refused: bool) -> PyResult<Option<Credentials>> {
    let answer = call(function, (refused,))?;
    let credentials = credentials_of(&answer);
    let_go(answer);
    credentials
}

fn credentials_of(answer: &Bound<'_, PyAny>) -> PyResult<Option<Credentials>> {
    if answer.is_none() {
        return Ok(None);
    }
    // A value that cannot be converted is not shown: it may contain the secret.
    if let Ok((client_id, client_secret)) = answer.extract::<(String, String)>() {
        return Ok(Some(Credentials::new(client_id, client_secret)));
    }
    let kind = answer.get_type().name()?.to_string();
    if kind == "coroutine" {
        call(&answer.getattr("close")?, ())?;
    }
    Err(PyTypeError::new_err(format!(
        "the credentials function returned a {kind}: it must return (client_id, client_secret), \
         two str in a tuple, or None"
    )))
}

/// Why a credentials function was not called.
#[derive(Debug)]
struct InterpreterEnds;

impl fmt::Display for InterpreterEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no credentials for the token request: the interpreter is ending, so the credentials \
             function cannot be called",
        )
    }
}

impl StdError for InterpreterEnds {}

/// Replaces the error's message where the core can only say that the function failed.
pub(crate) fn message_of(error: &Error) -> Option<String> {
    Some(error.source()?.downcast_ref::<InterpreterEnds>()?.to_string())
}

/// An exception raised by the credentials function, on its way through the core to one caller.
struct Failure {
    function: Arc<Function>,
    /// The number of the exception; 0 once a caller has received it.
    number: AtomicU64,
}

impl Failure {
    fn take(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.function.take_raised(self.number.swap(0, Ordering::Relaxed), py)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failure(..)")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials function raised an exception")
    }
}

impl StdError for Failure {}

impl Drop for Failure {
    fn drop(&mut self) {
        if *self.number.get_mut() == 0 {
            return;
        }
        // May run on any thread. If the interpreter is ending, the exception stays where it is.
        attached(|py| {
            if let Some(raised) = self.take(py) {
                let_go(raised.into_bound(py));
            }
        });
    }
}

/// The exception behind an error. Only one caller receives it: raising adds frames to an exception's
/// traceback, and two threads must not do so to the same one.
pub(crate) fn take_cause(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let failure = error.source()?.downcast_ref::<Failure>()?;
    Some(PyErr::from_value(failure.take(py)?.into_bound(py)))
}

/// The event function that the core calls: it passes events to the logger and to the program's
/// function, if there is one.
pub(crate) fn events(py: Python<'_>, function: Option<Arc<Function>>) -> PyResult<EventFn> {
    static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    // Imported here, so that library threads need not import anything.
    TELL.import(py, "tu_token._tell", "tell")?;
    let function = function.map(Lent);
    Ok(EventFn::from(move |event: &Event| {
        // Runs on the library's event thread. While the interpreter ends, events are dropped.
        attached(|py| {
            let Some(tell) = TELL.get(py) else { return };
            let function = function.as_ref().and_then(|function| function.0.get(py));
            let function = function.map(|function| function.into_bound(py));
            if let Err(raised) = call(tell.bind(py), (&function, happened(event))) {
                tell_unraisable(py, raised, function.as_ref());
            }
            if let Some(function) = function {
                let_go(function);
            }
        });
    }))
}

fn happened(event: &Event) -> impl for<'py> IntoPyObject<'py> {
    (
        event.kind as i32,
        status(event.error),
        event.client.to_string(),
        event.scope.clone(),
        event.message.clone(),
        event.fingerprint.clone(),
        event.http_status,
        event.attempt,
        event.duration.as_secs_f64(),
        event.wait.map(|wait| wait.as_secs_f64()),
        // The levels of the module `logging`.
        event.severity() as i32 * 10,
    )
}
