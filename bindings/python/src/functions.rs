//! Functions of the program that the library calls: they give credentials, or are told events.

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

/// A function of the program and what it raised, kept where the garbage collector sees it: the
/// client that it was given to owns it, also while the core holds a reference to this.
///
/// The lock is taken by attached threads alone and for moments, so nobody forks while it is held.
pub(crate) struct Function(Mutex<Kept>);

struct Kept {
    function: Attached,
    /// What it raised and no caller has got yet, by number. It leads to the frames it came through,
    /// and so maybe to the client.
    raised: Vec<(u64, Attached)>,
    raised_so_far: u64,
}

impl Function {
    pub(crate) fn new(function: Bound<'_, PyAny>) -> Arc<Self> {
        let function = Attached::new(function.unbind());
        Arc::new(Self(Mutex::new(Kept { function, raised: Vec::new(), raised_so_far: 0 })))
    }

    /// `None`: the garbage collector has let go of it, or the core.
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
        // In use by a thread that the collector stopped: then it is not garbage.
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

/// A function in the hands of the core. When the core lets go of it, which is when its client has been
/// closed and no call is to come, the program's function goes, also if the client stays.
struct Lent(Arc<Function>);

impl Drop for Lent {
    fn drop(&mut self) {
        attached(|py| {
            let function = self.0.lock(py).function.take();
            drop(function);
        });
    }
}

/// What the core calls for credentials.
pub(crate) fn credentials(function: Arc<Function>) -> CredentialsFn {
    let function = Lent(function);
    CredentialsFn::optional(move |refused| {
        let Lent(function) = &function;
        // On a thread of the library's.
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
struct Failure {
    function: Arc<Function>,
    /// Of what it raised; 0: a caller has got it.
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
        // By any thread. At the end of the interpreter it stays where it is.
        attached(|py| {
            if let Some(raised) = self.take(py) {
                let_go(raised.into_bound(py));
            }
        });
    }
}

/// The exception behind a failure. It goes to one caller: an exception carries the frames it came
/// through, and two threads must not add theirs to one.
pub(crate) fn take_cause(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let failure = error.source()?.downcast_ref::<Failure>()?;
    Some(PyErr::from_value(failure.take(py)?.into_bound(py)))
}

/// What the core tells events to: the logger, and the program's function if there is one.
pub(crate) fn events(py: Python<'_>, function: Option<Arc<Function>>) -> PyResult<EventFn> {
    static TELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    // Here, so that a thread of the library's has nothing to import.
    TELL.import(py, "tu_token._events", "tell")?;
    let function = function.map(Lent);
    Ok(EventFn::from(move |event: &Event| {
        // On the library's thread for events. At the end of the interpreter nobody is told.
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
        // As the module `logging` counts.
        event.severity() as i32 * 10,
    )
}
