//! Converts errors of the core to Python exceptions.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tu_token::{Error, ErrorKind};

use crate::attached::call;
use crate::functions;

/// The exception for an error. If the program's credentials function raised an exception that no other
/// caller has received, that is its cause.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let cause = functions::take_cause(py, error);
    let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
    let message = functions::message_of(error);
    let arguments = (
        error.kind().status(),
        message.as_deref().unwrap_or(error.message()),
        error.oauth_code(),
        error.http_status(),
        error.is_retryable(),
        retry_after,
    );
    static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let exception = FROM_CORE
        .import(py, "tu_token._errors", "from_core")
        .and_then(|from_core| call(from_core, arguments))
        .map_or_else(|failure| failure, PyErr::from_value);
    if cause.is_some() {
        exception.set_cause(py, cause);
    }
    exception
}

/// The exception for an invalid argument.
pub(crate) fn bad_argument(py: Python<'_>, message: String) -> PyErr {
    named(py, "ArgumentError", message)
}

/// The exception for an argument of the wrong type.
pub(crate) fn wrong_type(py: Python<'_>, message: String) -> PyErr {
    named(py, "ArgumentTypeError", message)
}

fn named(py: Python<'_>, name: &str, message: String) -> PyErr {
    py.import("tu_token._errors")
        .and_then(|errors| errors.getattr(name)?.call1((message,)))
        .map_or_else(|failure| failure, PyErr::from_value)
}

/// The number of a status; 0 if there is no error.
pub(crate) fn status(kind: Option<ErrorKind>) -> i32 {
    kind.map_or(0, ErrorKind::status)
}
