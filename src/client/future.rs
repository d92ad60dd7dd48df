//! A token to come, for programs that await.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::get::Request;
use super::get_async::{Function, Registration, answered};
use super::shared::Shared;
use super::{Cancel, Client, GetOptions};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::process::{Inherited, Locked, Process};
use crate::token::Token;

impl Client {
    /// A token as asked for, as a future.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let client = emulator.client_options().iter()
    /// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
    /// # fn block_on<F: Future>(future: F) -> F::Output { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future) }
    /// let options = tu_token::GetOptions { scope: Some("site.view"), ..Default::default() };
    /// assert_eq!(block_on(client.get_future(&options))?.scope(), "site.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_future(&self, options: &GetOptions<'_>) -> TokenFuture {
        let parked = Arc::new(Locked::new(Parked::default()));
        let asking = Asking::begin(&self.shared, options, &parked)
            .map_err(|error| {
                parked.lock().outcome = Some(Err(error));
            })
            .ok();
        TokenFuture { parked, asking, process: Process::this() }
    }
}

/// A wait under way, and what it takes to go on with it.
struct Asking {
    client: Weak<Shared>,
    clock: Clock,
    request: Arc<Request>,
    cancel: Option<Cancel>,
    registration: Registration,
}

impl Asking {
    fn begin(
        client: &Arc<Shared>,
        options: &GetOptions<'_>,
        parked: &Arc<Locked<Parked>>,
    ) -> Result<Self, Error> {
        let request = Arc::new(client.request(options)?);
        let function = Parked::function(parked);
        let registration = match client.known(options)? {
            Some(outcome) => answered(function, outcome),
            None => client.begin_async(&request, options.cancel, function)?,
        };
        Ok(Self {
            client: Arc::downgrade(client),
            clock: client.clock.clone(),
            request,
            cancel: options.cancel.cloned(),
            registration,
        })
    }

    /// The token that came has died before anybody took it: asks for another one, within the same
    /// time limit. What is known at once is returned.
    fn go_on(&mut self, parked: &Arc<Locked<Parked>>) -> Option<Result<Token, Error>> {
        let Some(client) = self.client.upgrade() else { return Some(Err(Shared::closed_error())) };
        if self.clock.now() >= self.request.deadline {
            return Some(client.timed_out(&self.request));
        }
        let function = Parked::function(parked);
        match client.begin_async(&self.request, self.cancel.as_ref(), function) {
            Ok(registration) => self.registration = registration,
            Err(error) => return Some(Err(error)),
        }
        None
    }
}

#[derive(Default)]
struct Parked {
    outcome: Option<Result<Token, Error>>,
    waker: Option<Waker>,
}

/// What came before a fork is good in the child too.
impl Inherited for Parked {
    type Remains = ();

    fn adopt(&mut self) {}
}

impl Parked {
    /// The function that puts an outcome into its place.
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

/// A token to come. Made by [`Client::token_async`].
///
/// ```
/// # let emulator = tu_token_emulator::Emulator::start()?;
/// # let client = emulator.client_options().iter()
/// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
/// let waiting: tu_token::TokenFuture = client.token_async();
/// drop(waiting); // gives up the wait; the fetch goes on and serves the next caller
/// assert!(client.token().is_ok());
/// assert_eq!(emulator.token_requests(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TokenFuture {
    parked: Arc<Locked<Parked>>,
    asking: Option<Asking>,
    /// The process that waits.
    process: Process,
}

impl Drop for TokenFuture {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.registration.abandon();
        }
    }
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
            let former;
            {
                let mut parked = this.parked.lock();
                if let Some(outcome) = parked.outcome.take() {
                    drop(parked);
                    match this.still_good(outcome) {
                        Some(outcome) => return Poll::Ready(outcome),
                        None => continue,
                    }
                }
                // Whoever made the former waker may do as it likes when it is dropped: not here.
                former = parked.waker.replace(context.waker().clone());
            }
            drop(former);
            if !this.process.is_this() {
                return Poll::Ready(Err(parents()));
            }
            return Poll::Pending;
        }
    }
}

impl TokenFuture {
    /// An outcome, looked at by the clock now: however long a task takes to come to it, it is given
    /// no dead token. `None`: another one is on its way.
    fn still_good(&mut self, outcome: Result<Token, Error>) -> Option<Result<Token, Error>> {
        let Some(asking) = &mut self.asking else { return Some(outcome) };
        match outcome {
            Ok(token) if asking.clock.now() >= token.expires_at() => match self.process.is_this() {
                true => asking.go_on(&self.parked),
                false => Some(Err(parents())),
            },
            outcome => Some(outcome),
        }
    }
}

fn parents() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "this wait belongs to the process that was forked; ask for a token anew",
    )
}
