//! A token to come, for programs that await.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::get_async::Registration;
use super::{Client, GetOptions};
use crate::error::{Error, ErrorKind};
use crate::fork::{Locked, Process};
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
        let slot = Arc::new(Locked::new(Parked::default()));
        let place = slot.clone();
        let started = self.shared.get_async(
            options,
            Box::new(move |outcome| {
                let waker = {
                    let mut parked = place.lock();
                    parked.outcome = Some(outcome);
                    parked.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }),
        );
        let registration = started
            .map_err(|error| {
                slot.lock().outcome = Some(Err(error));
            })
            .ok();
        TokenFuture { parked: slot, registration, process: Process::this() }
    }
}

#[derive(Default)]
struct Parked {
    outcome: Option<Result<Token, Error>>,
    waker: Option<Waker>,
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
    registration: Option<Registration>,
    /// The process that waits.
    process: Process,
}

impl Drop for TokenFuture {
    fn drop(&mut self) {
        if let Some(registration) = &self.registration {
            registration.abandon();
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
        let former;
        {
            let mut parked = self.parked.lock();
            if let Some(outcome) = parked.outcome.take() {
                return Poll::Ready(outcome);
            }
            // Whoever made the former waker may do as it likes when it is dropped: not here.
            former = parked.waker.replace(context.waker().clone());
        }
        drop(former);
        if !self.process.is_this() {
            return Poll::Ready(Err(Error::new(
                ErrorKind::Cancelled,
                "this wait belongs to the process that was forked; ask for a token anew",
            )));
        }
        Poll::Pending
    }
}
