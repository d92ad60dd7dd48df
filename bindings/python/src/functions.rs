//! Functions of the program that the library calls: they give credentials, or are told events.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};
use tu_token::{Credentials, CredentialsFn, Error, Event, EventFn};

use crate::attached::{Attached, attached_to_call, call};
use crate::error::status;

/// A function of the program, kept where the garbage collector sees it: the client that it was
/// given to owns it, also while the core holds a reference to this.
///
/// The lock is taken by attached threads alone and for moments, so nobody forks while it is held.
pub(crate) struct Function(Mutex<Attached<Py<PyAny>>>);

impl Function {
    pub(crate) fn new(function: Bound<'_, PyAny>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Attached::new(function.unbind()))))
    }

    /// `None`: the garbage collector has let go of it.
    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        function.as_ref().map(|function| function.clone_ref(py))
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(function) => visit.call(function.as_ref()),
            // In use by a thread that the collector stopped: then it is not garbage.
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn clear(&self) {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(function);
    }
}

/// What the core calls for credentials.
pub(crate) fn credentials(function: Arc<Function>) -> CredentialsFn {
    CredentialsFn::optional(move |refused| {
        // On a thread of the library's.
        attached_to_call(|py| match function.get(py) {
            Some(function) => ask(function.bind(py), refused).map_err(Failure::boxed),
            None => Ok(None),
        })
        .unwrap_or(Ok(None))
    })
}

fn ask(function: &Bound<'_, PyAny>, refused: bool) -> PyResult<Option<Credentials>> {
    let answer = call(function, (refused,))?;
    if answer.is_none() {
        return Ok(None);
    }
    // What cannot be read is not shown either: half of it is a secret.
    if let Ok((client_id, client_secret)) = answer.extract::<(String, String)>() {
        return Ok(Some(Credentials::new(client_id, client_secret)));
    }
    let kind = answer.get_type().name()?.to_string();
    if kind == "coroutine" {
        answer.call_method0("close")?;
    }
    Err(PyTypeError::new_err(format!(
        "the credentials function returned a {kind}: it returns (client_id, client_secret), two \
         str in a tuple, or None"
    )))
}

/// What a credentials function raised, on its way through the core to one caller.
struct Failure(Mutex<Attached<PyErr>>);

impl Failure {
    fn boxed(raised: PyErr) -> Box<dyn StdError + Send + Sync> {
        Box::new(Self(Mutex::new(Attached::new(raised))))
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

/// The exception behind a failure. It goes to one caller: an exception carries the frames it came
/// through, and two threads must not add theirs to one.
pub(crate) fn take_cause(_py: Python<'_>, error: &Error) -> Option<PyErr> {
    let failure = error.source()?.downcast_ref::<Failure>()?;
    failure.0.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What the core tells events to: the logger, and the program's function if there is one.
pub(crate) fn events(function: Option<Arc<Function>>) -> EventFn {
    EventFn::from(move |event: &Event| {
        // On the library's thread for events. At the end of the interpreter nobody is told.
        attached_to_call(|py| {
            let function = function.as_ref().and_then(|function| function.get(py));
            let function = function.as_ref().map(|function| function.bind(py));
            if let Err(raised) = tell(py, function, event) {
                raised.write_unraisable(py, function.map(|function| function.as_any()));
            }
        });
    })
}

fn tell(py: Python<'_>, function: Option<&Bound<'_, PyAny>>, event: &Event) -> PyResult<()> {
    static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let tell = TELL.import(py, "tu_token._events", "tell")?;
    let happened = (
        event.kind as i32,
        status(event.error),
        &*event.client,
        &event.scope,
        &event.message,
        event.fingerprint.as_deref(),
        event.http_status,
        event.attempt,
        event.duration.as_secs_f64(),
        event.wait.map(|wait| wait.as_secs_f64()),
    );
    call(tell, (function, happened)).map(drop)
}
