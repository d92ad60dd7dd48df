//! A thread's wait for a token. It is detached from the interpreter, and Ctrl-C ends it.

use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tu_token::{Client, Error, GetOptions, Token};

use crate::error::raised;

/// How long Ctrl-C may go unnoticed. The interpreter only records a signal, so the wait must poll.
const SLICE: Duration = Duration::from_millis(40);

/// Gets a token.
pub(crate) fn get(py: Python<'_>, client: &Client, options: &GetOptions<'_>) -> PyResult<Token> {
    // A hit stays attached to the interpreter.
    if let Some(token) = client.token_at_hand(options.scope, options.min_ttl) {
        return Ok(token);
    }
    let outcome = if is_main_thread(py)? {
        get_watching_signals(py, client, options)?
    } else {
        py.detach(|| client.get(options))
    };
    outcome.map_err(|error| raised(py, &error))
}

/// Whether this may be the main thread, the only one in which Python runs signal handlers. Watching for
/// signals in another thread is useless, but harmless.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    static MAIN_THREAD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static GET_IDENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if MAIN_THREAD.get(py).is_none() && !is_loaded(py, "threading")? {
        // Most likely there is no other thread; the import would take longer than most token requests.
        return Ok(true);
    }
    let main = MAIN_THREAD.import(py, "threading", "main_thread")?.call0()?;
    let this = GET_IDENT.import(py, "threading", "get_ident")?.call0()?;
    main.getattr("ident")?.eq(this)
}

fn is_loaded(py: Python<'_>, module: &str) -> PyResult<bool> {
    py.import("sys")?.getattr("modules")?.contains(module)
}

/// Waits in slices and checks for signals between them. An exception from a signal handler ends the
/// wait and is the outer `Err`.
fn get_watching_signals(
    py: Python<'_>,
    client: &Client,
    options: &GetOptions<'_>,
) -> PyResult<Result<Token, Error>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        let process = process::id();
        let mut future = pin!(py.detach(|| client.get_future(options)));
        // A signal handler may fork. The child is not part of this wait and starts its own.
        while process::id() == process {
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
                return Ok(outcome);
            }
            py.detach(|| thread::park_timeout(SLICE));
            py.check_signals()?;
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
