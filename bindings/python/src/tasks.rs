//! An asyncio task's wait for a token. No thread waits with it.
//!
//! When a fetch ends, a thread of the library's puts those who wait for it into the queue of their
//! event loop, without the interpreter, and has the loop look at the queue: once for all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::prelude::*;
use tu_token::{Client, GetOptions, TokenFuture};

use crate::attached::{Attached, attached, call};
use crate::error::raised;
use crate::token::Token;

/// The way from threads of the library's to one event loop.
#[pyclass(frozen, module = "tu_token._native")]
pub(crate) struct Bridge(Arc<Queue>);

struct Queue {
    /// A weak reference: the loop ends when the program is done with it.
    event_loop: Attached<Py<PyAny>>,
    /// Who may have an answer. If there is anybody, the loop has been told to look.
    woken: Mutex<Vec<Arc<Waiting>>>,
}

/// One task's wait.
struct Waiting {
    queue: Arc<Queue>,
    /// Taken out when the wait is over.
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    token: TokenFuture,
    /// The future that the task awaits.
    future: Attached<Py<PyAny>>,
}

/// A wait under way, for the task to give up.
#[pyclass(frozen, module = "tu_token._native")]
pub(crate) struct Wait(Arc<Waiting>);

#[pymethods]
impl Bridge {
    #[new]
    fn new(event_loop: Bound<'_, PyAny>) -> Self {
        let event_loop = Attached::new(event_loop.unbind());
        Self(Arc::new(Queue { event_loop, woken: Mutex::default() }))
    }

    /// In the loop's own thread: answers those who have been woken.
    fn drain(&self, py: Python<'_>) {
        let woken = std::mem::take(&mut *lock(&self.0.woken));
        for waiting in woken {
            if let Err(failure) = waiting.answer(py) {
                failure.write_unraisable(py, None);
            }
        }
    }
}

#[pymethods]
impl Wait {
    fn abandon(&self) {
        let parts = lock(&self.0.parts).take();
        drop(parts);
    }
}

/// Begins a wait, or answers at once.
pub(crate) fn begin<'py>(
    py: Python<'py>,
    client: &Client,
    options: &GetOptions<'_>,
    bridge: &Bridge,
    future: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut token = py.detach(|| client.get_future(options));
    let waiting = Arc::new(Waiting { queue: bridge.0.clone(), parts: Mutex::new(None) });
    // Before it is polled: it may be woken at once.
    let mut parts = lock(&waiting.parts);
    let waker = Waker::from(waiting.clone());
    match Pin::new(&mut token).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(Ok(token)) => Ok(Bound::new(py, Token::new(token))?.into_any()),
        Poll::Ready(Err(error)) => Err(raised(py, &error)),
        Poll::Pending => {
            *parts = Some(Parts { token, future: Attached::new(future.unbind()) });
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
        let Some(future) = parts.future.take() else { return Ok(()) };
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
        let is_first = {
            let mut woken = lock(&self.queue.woken);
            woken.push(self.clone());
            woken.len() == 1
        };
        if is_first {
            self.queue.call();
        }
    }
}

impl Queue {
    /// Has the loop look at the queue. If it is gone or closed, nobody waits there any more.
    fn call(self: &Arc<Self>) {
        let called = attached(|py| {
            let event_loop = self.event_loop.as_ref()?.bind(py).call0().ok()?;
            if event_loop.is_none() {
                return None;
            }
            let drain = Bound::new(py, Bridge(self.clone())).ok()?.getattr("drain").ok()?;
            call(&event_loop.getattr("call_soon_threadsafe").ok()?, (drain,)).ok().map(drop)
        });
        if called.flatten().is_none() {
            let nobody = std::mem::take(&mut *lock(&self.woken));
            drop(nobody);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
