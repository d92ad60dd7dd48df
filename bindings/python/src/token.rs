//! `tu_token.Token`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

/// An access token and its metadata. Immutable.
#[pyclass(frozen, module = "tu_token")]
pub(crate) struct Token {
    pub(crate) core: tu_token::Token,
    value: PyOnceLock<Py<PyString>>,
    bearer: PyOnceLock<Py<PyString>>,
}

impl Token {
    /// `value`: the text of the token, if there is a `str` of it already.
    pub(crate) fn new(
        py: Python<'_>,
        core: tu_token::Token,
        value: Option<Bound<'_, PyString>>,
    ) -> Self {
        let token = Self { core, value: PyOnceLock::new(), bearer: PyOnceLock::new() };
        if let Some(value) = value {
            token.value.get_or_init(py, || value.unbind());
        }
        token
    }
}

#[pymethods]
impl Token {
    /// The bare token.
    #[getter]
    pub(crate) fn value<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let make = || PyString::new(py, self.core.value()).unbind();
        self.value.get_or_init(py, make).bind(py).clone()
    }

    /// ``Bearer <token>``: the value of an ``Authorization`` header.
    #[getter]
    fn bearer<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let make = || PyString::new(py, self.core.bearer()).unbind();
        self.bearer.get_or_init(py, make).bind(py).clone()
    }

    /// ``{"Authorization": "Bearer <token>"}``, for ``headers=``.
    #[getter]
    fn header<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let header = PyDict::new(py);
        header.set_item(pyo3::intern!(py, "Authorization"), self.bearer(py))?;
        Ok(header)
    }

    /// The granted scopes, separated by spaces.
    #[getter]
    fn scope(&self) -> &str {
        self.core.scope()
    }

    /// Seconds until the token expires; 0 once it has. Time spent in suspend counts.
    #[getter]
    fn expires_in(&self) -> f64 {
        self.core.expires_in().as_secs_f64()
    }

    /// Seconds until the token is due for renewal. Do not cache a copy longer than that.
    #[getter]
    fn fresh_for(&self) -> f64 {
        self.core.fresh_for().as_secs_f64()
    }

    /// Expiry by the wall clock, in UTC. For reporting only.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_TIMESTAMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static UTC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let from_timestamp = FROM_TIMESTAMP.get_or_try_init(py, || {
            py.import("datetime")?.getattr("datetime")?.getattr("fromtimestamp").map(Bound::unbind)
        })?;
        let utc = UTC.get_or_try_init(py, || {
            py.import("datetime")?.getattr("timezone")?.getattr("utc").map(Bound::unbind)
        })?;
        let seconds = self.core.expires_at_unix_ms() as f64 / 1000.0;
        from_timestamp.bind(py).call1((seconds, utc))
    }

    fn __repr__(&self) -> String {
        let (scope, left) = (self.core.scope(), self.core.expires_in().as_secs());
        format!("<tu_token.Token scope={scope:?} expires_in={left}>")
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().core.value() == self.core.value())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.value(py).hash()
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce_ex__(&self, _protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Token cannot be pickled: it is a secret, and may expire before it is read. Give the \
             other process what it needs to make its own Client",
        ))
    }
}
