//! A token to come, for programs that await.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::get_async::Registration;
use super::{Client, GetOptions};
use crate::error::Error;
use crate::sync::Mutex;
use crate::token::Token;

impl Client {
    /// A token as asked for, as a future.
    pub fn get_future(&self, options: &GetOptions<'_>) -> TokenFuture {
        let slot = Arc::new(Mutex::new(Parked::default()));
        let place = slot.clone();
        let started = self.shared.get_async(
            options,
            Box::new(move |outcome| {
                let waker = {
                    let mut parked = place.lock().unwrap_or_else(PoisonError::into_inner);
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
                slot.lock().unwrap_or_else(PoisonError::into_inner).outcome = Some(Err(error));
            })
            .ok();
        TokenFuture { parked: slot, registration }
    }
}

#[derive(Default)]
struct Parked {
    outcome: Option<Result<Token, Error>>,
    waker: Option<Waker>,
}

/// A token to come. Made by [`Client::token_async`].
pub struct TokenFuture {
    parked: Arc<Mutex<Parked>>,
    registration: Option<Registration>,
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
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        match parked.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                parked.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
