//! Functions of the program that the library calls: they give credentials, or are told events.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};
use tu_token::{Credentials, CredentialsFn, Error, Event, EventFn};

use crate::attached::{Attached, attached, call, let_go, tell_unraisable};
use crate::error::status;

/// A function of the program, kept where the garbage collector sees it: the client that it was
/// given to owns it, also while the core holds a reference to this.
///
/// The lock is taken by attached threads alone and for moments, so nobody forks while it is held.
pub(crate) struct Function(Mutex<Attached>);

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
        attached(|py| match function.get(py) {
            Some(function) => ask(function.bind(py), refused)
                .map_err(|raised| Failure::boxed(raised.into_value(py).into_any())),
            None => Ok(None),
        })
        .unwrap_or_else(|| Err(Box::new(InterpreterEnds)))
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
    // What cannot be read is not shown either: half of it is a secret.
    if let Ok((client_id, client_secret)) = answer.extract::<(String, String)>() {
        return Ok(Some(Credentials::new(client_id, client_secret)));
    }
    let kind = answer.get_type().name()?.to_string();
    if kind == "coroutine" {
        call(&answer.getattr("close")?, ())?;
    }
    Err(PyTypeError::new_err(format!(
        "the credentials function returned a {kind}: it returns (client_id, client_secret), two \
         str in a tuple, or None"
    )))
}

/// Why a credentials function was not called.
#[derive(Debug)]
struct InterpreterEnds;

impl fmt::Display for InterpreterEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no credentials for the token request: the interpreter is ending, and calls no \
             credentials function any more",
        )
    }
}

impl StdError for InterpreterEnds {}

/// What to say in the place of the error's message: the core can only say that the function failed.
pub(crate) fn message_of(error: &Error) -> Option<String> {
    Some(error.source()?.downcast_ref::<InterpreterEnds>()?.to_string())
}

/// What a credentials function raised, on its way through the core to one caller.
struct Failure(Mutex<Attached>);

impl Failure {
    fn boxed(raised: Py<PyAny>) -> Box<dyn StdError + Send + Sync> {
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
pub(crate) fn take_cause(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let failure = error.source()?.downcast_ref::<Failure>()?;
    let raised = failure.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some(PyErr::from_value(raised.into_bound(py)))
}

/// What the core tells events to: the logger, and the program's function if there is one.
pub(crate) fn events(py: Python<'_>, function: Option<Arc<Function>>) -> PyResult<EventFn> {
    static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    // Here, so that a thread of the library's has nothing to import.
    TELL.import(py, "tu_token._events", "tell")?;
    Ok(EventFn::from(move |event: &Event| {
        // On the library's thread for events. At the end of the interpreter nobody is told.
        attached(|py| {
            let Some(tell) = TELL.get(py) else { return };
            let function = function.as_ref().and_then(|function| function.get(py));
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
    )
}
