//! An asyncio task's wait for a token. No thread waits with it.
//!
//! When a fetch ends, a thread of the library's puts those who wait for it into the queue of their
//! event loop and rings its bell, once for all of them. It does not enter the interpreter for that:
//! so it does not stand in the way of the loop, of a fork or of the interpreter's end, and the loop
//! is answered also by a program that is ending.

use std::future::Future;
use std::pin::Pin;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tu_token::{Client, GetOptions, TokenFuture};

use crate::attached::{Attached, call};
use crate::bell::Bell;
use crate::error::raised;
use crate::token::Token;

/// The way from threads of the library's to one event loop.
#[pyclass(frozen, module = "tu_token._native")]
pub(crate) struct Bridge {
    queue: Arc<Queue>,
    process: u32,
}

struct Queue {
    bell: Bell,
    /// Who may have an answer. If there is anybody, the bell has been rung. `None`: the loop has
    /// gone, and nobody waits there any more.
    woken: Mutex<Option<Vec<Arc<Waiting>>>>,
}

/// One task's wait. The core holds it too, until it has an answer.
struct Waiting {
    queue: Arc<Queue>,
    /// Taken out when the wait is over. The lock is taken by attached threads alone, and for moments.
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    token: TokenFuture,
    /// The future that the task awaits; `None` until it has one.
    future: Option<Attached>,
}

/// A wait under way, for the task to give up.
///
/// The future is this object's, so that the garbage collector sees it, and by way of it the task and
/// its loop. Whoever is to be answered is kept by the loop: see `_loops.py`.
#[pyclass(frozen, module = "tu_token._native")]
pub(crate) struct Wait(Arc<Waiting>);

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Self> {
        let woken = Mutex::new(Some(Vec::new()));
        let queue = Arc::new(Queue { bell: Bell::new()?, woken });
        Ok(Self { queue, process: process::id() })
    }

    /// What the loop is to look at: when it is readable, somebody is to be answered.
    fn fileno(&self) -> i32 {
        self.queue.bell.descriptor()
    }

    /// In the loop's own thread: answers those who have been woken.
    fn drain(&self, py: Python<'_>) {
        // First: who is woken later rings again.
        self.queue.bell.hush();
        let woken = lock(&self.queue.woken).as_mut().map(std::mem::take);
        for waiting in woken.into_iter().flatten() {
            if let Err(failure) = waiting.answer(py) {
                failure.write_unraisable(py, None);
            }
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // A forked child may find the lock held, by a thread that it has not got.
        if self.process == process::id() {
            let nobody = lock(&self.queue.woken).take();
            drop(nobody);
        }
    }
}

#[pymethods]
impl Wait {
    /// The future to answer, of the bridge's loop. In the loop's own thread, before that looks for
    /// answers again.
    fn answers(&self, future: Bound<'_, PyAny>) {
        let future = Attached::new(future.unbind());
        // Nothing of the program's is dropped under the lock.
        let _former = match lock(&self.0.parts).as_mut() {
            Some(parts) => parts.future.replace(future),
            None => Some(future),
        };
    }

    fn abandon(&self) {
        let parts = lock(&self.0.parts).take();
        drop(parts);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.parts.try_lock() {
            Ok(parts) => {
                visit.call(parts.as_ref().and_then(|parts| parts.future.as_ref()?.as_ref()))
            }
            // In use by a thread that the collector stopped: then it is not garbage.
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.abandon();
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Begins a wait, or answers at once.
pub(crate) fn begin<'py>(
    py: Python<'py>,
    client: &Client,
    options: &GetOptions<'_>,
    bridge: &Bridge,
) -> PyResult<Bound<'py, PyAny>> {
    let mut token = py.detach(|| client.get_future(options));
    let waiting = Arc::new(Waiting { queue: bridge.queue.clone(), parts: Mutex::new(None) });
    // Before it is polled: it may be woken at once.
    let mut parts = lock(&waiting.parts);
    let waker = Waker::from(waiting.clone());
    match Pin::new(&mut token).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(Ok(token)) => Ok(Bound::new(py, Token::new(token))?.into_any()),
        Poll::Ready(Err(error)) => Err(raised(py, &error)),
        Poll::Pending => {
            *parts = Some(Parts { token, future: None });
            drop(parts);
            Ok(Bound::new(py, Wait(waiting))?.into_any())
        }
    }
}

impl Waiting {
    fn answer(self: Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let outcome = {
            let mut parts = lock(&self.parts);
            let Some(waiting) = parts.as_mut() else { return Ok(()) };
            let waker = Waker::from(self.clone());
            match Pin::new(&mut waiting.token).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Ok(()),
                Poll::Ready(outcome) => parts.take().map(|parts| (parts, outcome)),
            }
        };
        let Some((mut parts, outcome)) = outcome else { return Ok(()) };
        let Some(future) = parts.future.as_mut().and_then(Attached::take) else { return Ok(()) };
        let future = future.bind(py);
        if call(&future.getattr("done")?, ())?.is_truthy()? {
            return Ok(());
        }
        match outcome {
            Ok(token) => call(&future.getattr("set_result")?, (Token::new(token),)),
            Err(error) => call(&future.getattr("set_exception")?, (raised(py, &error),)),
        }
        .map(drop)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let is_first = match lock(&self.queue.woken).as_mut() {
            None => return,
            Some(woken) => {
                woken.push(self.clone());
                woken.len() == 1
            }
        };
        if is_first {
            self.queue.bell.ring();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
