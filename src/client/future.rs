//! Futures for asynchronous programs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::get::Request;
use super::get_async::{Function, Registration};
use super::shared::Shared;
use super::{Cancel, Client, GetOptions};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::process::{Inherited, Locked, Process};
use crate::token::Token;

impl Client {
    /// A token, with options, as a future that works with any runtime.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn block_on<F: Future>(future: F) -> F::Output { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future) }
    /// let options = tu_token::GetOptions { scope: Some("site.view"), ..Default::default() };
    /// assert_eq!(block_on(client.get_future(&options))?.scope(), "site.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_future(&self, options: &GetOptions<'_>) -> TokenFuture {
        // First: a signal handler may fork in between, and the child does not own what was started.
        let process = Process::this();
        match Asking::begin(&self.shared, options) {
            Ok((outcome, asking)) => TokenFuture { outcome, asking: Some(asking), process },
            Err(error) => TokenFuture { outcome: Some(Err(error)), asking: None, process },
        }
    }
}

/// A request and what is needed to repeat it. Allocates nothing before it has to wait.
struct Asking {
    client: Weak<Shared>,
    clock: Clock,
    request: Request,
    cancel: Option<Cancel>,
    wait: Option<Wait>,
}

/// A wait in progress; dropping it ends the wait.
struct Wait {
    parked: Arc<Locked<Parked>>,
    registration: Registration,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.registration.abandon();
    }
}

impl Asking {
    /// Returns a result that is available at once; otherwise starts a wait.
    fn begin(client: &Arc<Shared>, options: &GetOptions<'_>) -> Result<(Known, Self), Error> {
        let known = client.known(options)?;
        let mut asking = Self {
            client: Arc::downgrade(client),
            clock: client.clock.clone(),
            request: client.request(options)?,
            cancel: options.cancel.cloned(),
            wait: None,
        };
        if known.is_none() {
            asking.wait(client)?;
        }
        Ok((known, asking))
    }

    fn wait(&mut self, client: &Arc<Shared>) -> Result<(), Error> {
        let parked = Arc::new(Locked::new(Parked::default()));
        let request = Arc::new(self.request.clone());
        let function = Parked::function(&parked);
        let registration = client.begin_async(&request, self.cancel.as_ref(), function)?;
        self.wait = Some(Wait { parked, registration });
        Ok(())
    }

    /// The token expired before it was taken: asks for another within the same deadline. Returns a
    /// result that is available at once.
    fn go_on(&mut self) -> Known {
        let Some(client) = self.client.upgrade() else { return Some(Err(Shared::closed_error())) };
        if self.clock.now() >= self.request.deadline() {
            return Some(client.timed_out(&self.request));
        }
        self.wait(&client).err().map(Err)
    }
}

/// The result, if available.
type Known = Option<Result<Token, Error>>;

#[derive(Default)]
struct Parked {
    outcome: Known,
    waker: Option<Waker>,
}

/// A result from before a fork is valid in the child too.
impl Inherited for Parked {
    type Remains = ();

    fn adopt(&mut self) {}
}

impl Parked {
    /// The callback that stores the result.
    fn function(place: &Arc<Locked<Self>>) -> Function {
        let place = place.clone();
        Box::new(move |outcome| {
            let waker = {
                let mut parked = place.lock();
                parked.outcome = Some(outcome);
                parked.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })
    }
}

/// The future of [`Client::token_async`] and [`Client::get_future`].
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// let waiting: tu_token::TokenFuture = client.token_async();
/// drop(waiting); // ends the wait; the fetch continues and serves the next caller
/// assert!(client.token().is_ok());
/// assert_eq!(emulator.token_requests(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TokenFuture {
    /// A result that was available at once, until it is taken.
    outcome: Known,
    asking: Option<Asking>,
    /// The process that waits.
    process: Process,
}

impl fmt::Debug for TokenFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFuture(..)")
    }
}

impl Future for TokenFuture {
    type Output = Result<Token, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let Some(outcome) = this.outcome.take().or_else(|| this.waited_for(context)) else {
                return match this.process.is_this() {
                    true => Poll::Pending,
                    false => Poll::Ready(Err(parents())),
                };
            };
            if let Some(outcome) = this.still_good(outcome) {
                return Poll::Ready(outcome);
            }
        }
    }
}

impl TokenFuture {
    /// The result of the wait. Without one, the task is woken when there is.
    fn waited_for(&self, context: &Context<'_>) -> Known {
        let wait = self.asking.as_ref()?.wait.as_ref()?;
        let (outcome, former);
        {
            let mut parked = wait.parked.lock();
            outcome = parked.outcome.take();
            former = match outcome {
                Some(_) => None,
                None => parked.waker.replace(context.waker().clone()),
            };
        }
        // Dropping a waker runs foreign code: not under the lock.
        drop(former);
        outcome
    }

    /// Checks a result against the clock now, so that a slow task never gets an expired token.
    /// `None`: another one is on its way.
    fn still_good(&mut self, outcome: Result<Token, Error>) -> Known {
        let Some(asking) = &mut self.asking else { return Some(outcome) };
        match outcome {
            Ok(token) if asking.clock.now() >= token.expires_at() => match self.process.is_this() {
                true => asking.go_on(),
                false => Some(Err(parents())),
            },
            outcome => Some(outcome),
        }
    }
}

fn parents() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "this wait belongs to the parent process; request the token again in this one",
    )
}
