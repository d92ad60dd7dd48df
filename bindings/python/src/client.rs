//! The native half of `tu_token.Client`.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tu_token::Config;

use crate::arguments::{self, Asked, Scope};
use crate::at_hand::{AtHand, Objects};
use crate::error::{raised, status};
use crate::functions::{self, Function};
use crate::tasks::{self, Bridge};
use crate::token::Token;
use crate::wait;

/// Status, seconds and counts.
type Figures = ((i32, i32), (f64, f64, f64), (u64, u64, u64, u64));

/// See ``tu_token.Client``.
#[pyclass(frozen, subclass, weakref, module = "tu_token._native")]
pub(crate) struct Client {
    /// Empty until ``__init__`` has run, which a subclass may override.
    made: OnceLock<Made>,
    pub(crate) at_hand: AtHand,
}

struct Made {
    core: tu_token::Client,
    credentials: Option<Arc<Function>>,
    on_event: Option<Arc<Function>>,
}

impl Client {
    fn core(&self) -> PyResult<&tu_token::Client> {
        self.made().ok_or_else(not_made)
    }

    #[inline]
    pub(crate) fn made(&self) -> Option<&tu_token::Client> {
        self.made.get().map(|made| &made.core)
    }

    fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        let made = self.made.get().into_iter();
        made.flat_map(|made| [&made.credentials, &made.on_event]).flatten()
    }
}

#[cold]
fn not_made() -> PyErr {
    PyRuntimeError::new_err(
        "this Client has no options yet: the __init__ of its class must call \
         super().__init__(...) first",
    )
}

/// The object of the current token, if a call has returned it before.
fn found<'py, T>(
    client: &Bound<'py, Client>,
    core: &tu_token::Client,
    asked: &Asked<'_, 'py>,
    which: impl FnOnce(&Objects) -> Option<&Py<T>>,
) -> Option<Bound<'py, T>> {
    AtHand::find(client, core, asked.scope.as_ref(), asked.min_ttl, which)
}

#[pymethods]
impl Client {
    /// Accepts any arguments that the ``__init__`` of a subclass takes.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { made: OnceLock::new(), at_hand: AtHand::default() }
    }

    /// Creates the core client from options as text. May be called once.
    fn _make(
        &self,
        py: Python<'_>,
        options: Vec<(String, String)>,
        credentials: Option<Bound<'_, PyAny>>,
        on_event: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let credentials = credentials.map(Function::new);
        let on_event = on_event.map(Function::new);
        let mut config = Config::new();
        config.load_env();
        for (key, value) in &options {
            config.set(key, value);
        }
        config.hold_environment();
        if let Some(function) = &credentials {
            config.on_credentials(functions::credentials(function.clone()));
        }
        config.on_event(functions::events(py, on_event.clone())?);
        // Detached, because it reads the files named in options. Not the environment, which only
        // Python's lock keeps from being changed meanwhile.
        let core = py.detach(|| tu_token::Client::new(&config));
        let core = core.map_err(|error| raised(py, &error))?;
        self.made.set(Made { core, credentials, on_event }).map_err(|_| {
            PyRuntimeError::new_err(
                "this Client already has its options, which cannot change: make another Client",
            )
        })
    }

    /// Return the bare token: the same ``str`` object until it is renewed.
    #[pyo3(signature = (scope=None))]
    fn token<'py>(
        slf: &Bound<'py, Self>,
        scope: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyString>> {
        let core = slf.get().core()?;
        if let Some(text) = AtHand::recognized(slf, core, scope, Objects::text) {
            return Ok(text);
        }
        let asked = Asked::new(scope, None, None)?;
        if let Some(text) = found(slf, core, &asked, Objects::text) {
            return Ok(text);
        }
        let token = wait::get(slf.py(), core, &asked.options())?;
        Ok(AtHand::text(slf, core, asked.scope.as_ref(), &token))
    }

    /// Return a token: the same object until it is renewed.
    ///
    /// ``scope`` defaults to the client's own and ``timeout`` to the client's ``timeout`` option; 0
    /// means do not wait. With ``min_ttl`` the token is, if possible, valid for at least that many
    /// more seconds.
    #[pyo3(signature = (scope=None, timeout=None, min_ttl=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        scope: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        min_ttl: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Token>> {
        let core = slf.get().core()?;
        if timeout.is_none() && min_ttl.is_none() {
            let token = AtHand::recognized(slf, core, scope, Objects::token);
            if let Some(token) = token {
                return Ok(token);
            }
        }
        let asked = Asked::new(scope, timeout, min_ttl)?;
        if let Some(token) = found(slf, core, &asked, Objects::token) {
            return Ok(token);
        }
        let token = wait::get(slf.py(), core, &asked.options())?;
        AtHand::token(slf, core, asked.scope.as_ref(), token)
    }

    /// The cached token, if it can be returned without a wait.
    fn _at_hand<'py>(
        slf: &Bound<'py, Self>,
        scope: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        min_ttl: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, Token>>> {
        let core = slf.get().core()?;
        let asked = Asked::new(scope, timeout, min_ttl)?;
        if let Some(token) = found(slf, core, &asked, Objects::token) {
            return Ok(Some(token));
        }
        let options = asked.options();
        let token = core.token_at_hand(options.scope, options.min_ttl);
        token.map(|token| AtHand::token(slf, core, asked.scope.as_ref(), token)).transpose()
    }

    /// The text of the cached token, if it can be returned without a wait.
    fn _text_at_hand<'py>(
        slf: &Bound<'py, Self>,
        scope: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        min_ttl: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyString>>> {
        let core = slf.get().core()?;
        if timeout.is_none() && min_ttl.is_none() {
            let text = AtHand::recognized(slf, core, scope, Objects::text);
            if text.is_some() {
                return Ok(text);
            }
        }
        let asked = Asked::new(scope, timeout, min_ttl)?;
        if let Some(text) = found(slf, core, &asked, Objects::text) {
            return Ok(Some(text));
        }
        let options = asked.options();
        let token = core.token_at_hand(options.scope, options.min_ttl);
        Ok(token.map(|token| AtHand::text(slf, core, asked.scope.as_ref(), &token)))
    }

    /// A token, or a wait that is answered in the bridge's loop.
    fn _begin<'py>(
        &self,
        py: Python<'py>,
        bridge: &Bound<'py, Bridge>,
        scope: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        min_ttl: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked = Asked::new(scope, timeout, min_ttl)?;
        tasks::begin(py, self.core()?, &asked.options(), bridge.get())
    }

    /// The kept object of a token that `_begin` has obtained for this scope. Not for tokens of other
    /// clients, whose serials mean nothing here.
    fn _keep<'py>(
        slf: &Bound<'py, Self>,
        scope: Option<&Bound<'py, PyAny>>,
        token: &Bound<'py, Token>,
    ) -> PyResult<Bound<'py, Token>> {
        let scope = scope.map(Scope::new).transpose()?;
        AtHand::token(slf, slf.get().core()?, scope.as_ref(), token.get().core.clone())
    }

    /// Drop a token that an API answered with 401, so that it is not returned again.
    ///
    /// Does nothing if a newer token is already cached. Do not call it for 403 or 429.
    fn invalidate(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let core = self.core()?;
        match token.cast::<Token>() {
            Ok(token) => core.invalidate(&token.get().core),
            Err(_) if token.is_instance_of::<PyString>() => {
                core.invalidate_value(arguments::text("token", token)?);
            }
            Err(_) => return Err(arguments::unlike("token", "a Token or a str", token)),
        }
        Ok(())
    }

    /// Use other credentials from the next token request on.
    ///
    /// Cached tokens stay in use; remembered refusals are cleared.
    fn rotate(
        &self,
        py: Python<'_>,
        client_id: &Bound<'_, PyAny>,
        client_secret: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let client_id = arguments::text("client_id", client_id)?;
        let client_secret = arguments::text("client_secret", client_secret)?;
        self.core()?.rotate(client_id, client_secret).map_err(|error| raised(py, &error))
    }

    /// Report that the network is back.
    ///
    /// Ends backoff immediately for waiting callers, and within five seconds for background
    /// renewals. A ``Retry-After`` from the server still applies.
    fn wake(&self) -> PyResult<()> {
        self.core()?.wake();
        Ok(())
    }

    /// Close the client.
    ///
    /// Waiting calls, and all later calls for a token or to rotate, raise ``ClosedError``. Never
    /// blocks.
    fn close(slf: &Bound<'_, Self>) {
        // Nothing to close if `__init__` has not completed, for example because it failed.
        if let Some(made) = slf.get().made.get() {
            made.core.close();
            AtHand::clear(slf);
        }
    }

    /// Return whether a token may be sent to this URL.
    ///
    /// True for https URLs of the hosts in ``api_hosts``, and for any URL of this machine.
    fn may_send_to(&self, url: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.core()?.may_send_to(arguments::text("url", url)?))
    }

    /// Report that an API also answered 401 to the token that replaced an invalidated one.
    ///
    /// An event then says, once per host, that the API may not accept API Tokens v2. For HTTP
    /// adapters.
    fn api_refused(&self, url: &Bound<'_, PyAny>) -> PyResult<()> {
        self.core()?.api_refused(arguments::text("url", url)?);
        Ok(())
    }

    /// The members of ``tu_token.Stats``, in its order.
    fn _stats(&self, py: Python<'_>, scope: Option<&Bound<'_, PyAny>>) -> PyResult<Figures> {
        let scope = scope.map(arguments::scope_of).transpose()?;
        let stats = self.core()?.stats(scope.as_deref()).map_err(|error| raised(py, &error))?;
        let [expires_in, next_request_in, last_fetch] =
            [stats.expires_in, stats.next_request_in, stats.last_fetch]
                .map(|time| time.as_secs_f64());
        Ok((
            (stats.state as i32, status(stats.last_error)),
            (expires_in, next_request_in, last_fetch),
            (stats.waits, stats.requests, stats.renewals, stats.failures),
        ))
    }

    fn __repr__(&self) -> String {
        match self.made.get() {
            Some(made) => format!("<tu_token.{:?}>", made.core),
            None => "<tu_token.Client without options>".to_owned(),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Client can be neither pickled nor copied: it holds a secret, cached tokens and waits \
             of this process. Share it between threads, use it in forked children, and make another \
             from the same options in a spawned process",
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.functions().try_for_each(|function| function.visit(&visit))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.functions().for_each(|function| function.clear(py));
    }
}
