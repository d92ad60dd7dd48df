//! Converts the arguments of calls.

use std::borrow::Cow;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyFloat, PyInt, PyList, PyString, PyTuple};
use tu_token::GetOptions;

use crate::error::{bad_argument, wrong_type};

/// A scope as given by the program.
pub(crate) struct Scope<'a, 'py> {
    pub(crate) object: &'a Bound<'py, PyAny>,
    pub(crate) text: Cow<'a, str>,
}

impl<'a, 'py> Scope<'a, 'py> {
    pub(crate) fn new(object: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self { object, text: scope_of(object)? })
    }
}

/// The arguments of a get as Rust types.
pub(crate) struct Asked<'a, 'py> {
    pub(crate) scope: Option<Scope<'a, 'py>>,
    timeout: Option<Duration>,
    pub(crate) min_ttl: Duration,
}

impl<'a, 'py> Asked<'a, 'py> {
    pub(crate) fn new(
        scope: Option<&'a Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        min_ttl: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            scope: scope.map(Scope::new).transpose()?,
            timeout: timeout.map(|value| duration("timeout", value)).transpose()?,
            min_ttl: min_ttl.map_or(Ok(Duration::ZERO), |value| duration("min_ttl", value))?,
        })
    }

    pub(crate) fn options(&self) -> GetOptions<'_> {
        GetOptions {
            scope: self.scope.as_ref().map(|scope| &*scope.text),
            timeout: self.timeout,
            min_ttl: self.min_ttl,
            cancel: None,
        }
    }
}

/// A scope, given as a string or as a list or tuple of strings.
pub(crate) fn scope_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    if let Ok(text) = value.cast::<PyString>() {
        return text.to_str().map(Cow::Borrowed).map_err(|_| unreadable(value.py(), "scope"));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let scopes: Option<Vec<String>> = value.extract().ok();
        if let Some(scopes) = scopes {
            return Ok(Cow::Owned(scopes.join(" ")));
        }
    }
    Err(unlike("scope", "a str, or a list or tuple of them", value))
}

/// A string argument; an error about it does not show its value.
pub(crate) fn text<'a>(name: &str, value: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let text = value.cast::<PyString>().map_err(|_| unlike(name, "a str", value))?;
    text.to_str().map_err(|_| unreadable(value.py(), name))
}

/// A duration, given in seconds or as a timedelta.
fn duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let is_number = (value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>())
        && !value.is_instance_of::<PyBool>();
    let duration = if is_number {
        let seconds = value.extract::<f64>().ok();
        // Rounded up, because 0 has a special meaning.
        let least = Duration::from_nanos(seconds.is_some_and(|seconds| seconds > 0.0).into());
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        duration.map(|duration| duration.max(least))
    } else if value.is_instance_of::<PyDelta>() {
        value.extract().ok()
    } else {
        return Err(unlike(name, "a number of seconds or a timedelta", value));
    };
    duration.ok_or_else(|| {
        let found = value.repr().map_or_else(|_| "something else".to_owned(), |r| r.to_string());
        bad_argument(value.py(), format!("{name} is {found}: it must be 0 to 1e19 seconds"))
    })
}

pub(crate) fn unlike(name: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let kind = found.get_type().name().map_or_else(|_| "object".to_owned(), |n| n.to_string());
    wrong_type(found.py(), format!("{name} must be {expected}, not {kind}"))
}

fn unreadable(py: Python<'_>, name: &str) -> PyErr {
    bad_argument(py, format!("{name} contains a lone surrogate, which is not valid text"))
}
