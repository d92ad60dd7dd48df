//! An asyncio task's wait for a token, which occupies no thread.
//!
//! When a fetch ends, a library thread puts the waits for it into the queue of their event loop and
//! rings the loop's bell once. It does not enter the interpreter for that, so it delays neither the
//! loop nor a fork nor interpreter shutdown, and waits are answered even while the program is ending.

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

/// The path from the library's threads to one event loop.
#[pyclass(frozen, module = "tu_token._native")]
pub(crate) struct Bridge {
    queue: Arc<Queue>,
    process: u32,
}

struct Queue {
    bell: Bell,
    /// Waits that may have an answer. If not empty, the bell has been rung. `None`: the loop is gone,
    /// and nothing waits in it.
    woken: Mutex<Option<Vec<Arc<Waiting>>>>,
}

/// One task's wait. The core also refers to it until it has an answer.
struct Waiting {
    queue: Arc<Queue>,
    /// Taken when the wait is over. Only attached threads take the lock, and only briefly.
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    token: TokenFuture,
    /// The future that the task awaits; `None` until it is set.
    future: Option<Attached>,
}

/// A pending wait, which the task can abandon.
///
/// This object owns the future, so that the garbage collector can see it, and through it the task and
/// its loop. The loop keeps pending waits alive: see `_loops.py`.
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

    /// The descriptor for the loop to watch: readable when waits can be answered.
    fn fileno(&self) -> i32 {
        self.queue.bell.descriptor()
    }

    /// Answers the waits that were woken. Called on the loop's thread.
    fn drain(&self, py: Python<'_>) {
        // First, so that a wait woken later rings again.
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
        // In a forked child, a thread that no longer exists may hold the lock.
        if self.process == process::id() {
            let woken = lock(&self.queue.woken).take();
            drop(woken);
        }
    }
}

#[pymethods]
impl Wait {
    /// Sets the future to resolve. Must be called on the loop's thread before it next drains answers.
    fn answers(&self, future: Bound<'_, PyAny>) {
        let future = Attached::new(future.unbind());
        // The former one is dropped after the lock is released: that may run code of the program.
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
            // If a thread that the collector stopped is using it, it is not garbage.
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

/// Returns the token if it is available at once, or a wait.
pub(crate) fn begin<'py>(
    py: Python<'py>,
    client: &Client,
    options: &GetOptions<'_>,
    bridge: &Bridge,
) -> PyResult<Bound<'py, PyAny>> {
    let mut token = py.detach(|| client.get_future(options));
    let waiting = Arc::new(Waiting { queue: bridge.queue.clone(), parts: Mutex::new(None) });
    // Locked before polling: the waker may be called at once.
    let mut parts = lock(&waiting.parts);
    let waker = Waker::from(waiting.clone());
    match Pin::new(&mut token).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(Ok(token)) => Ok(Bound::new(py, Token::new(py, token, None))?.into_any()),
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
            Ok(token) => call(&future.getattr("set_result")?, (Token::new(py, token, None),)),
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
