//! The token endpoint: what is sent, how it is sent, what the answer means.
//!
//! - [`request`] the form, byte for byte
//! - [`http`] the one place that opens a connection
//! - [`connect`] how connections are made; [`tunnel`] what is said to a proxy; [`secure`] TLS
//! - [`trust`] whom that trusts and who the client is; [`pem`] what is in its files
//! - [`interim`] what servers send before their answer; [`headers`] what an answer says of itself
//! - [`trouble`] what is told when there is no answer; [`certificates`] what of them; [`unreachable`]
//!   which address's reason
//! - [`login`] logins to proxies, counted for the whole process
//! - [`resolve`] names to addresses; [`names`] the look-ups, [`lookups`] who shares which
//! - [`response`] the reader of answers: tolerant, but safe; [`looks`] what stands out in what was refused
//! - [`redact`] what may be quoted from an answer; [`pieces`] of secrets in it, in all its [`readings`]

mod certificates;
mod connect;
mod headers;
pub(crate) mod http;
mod interim;
mod login;
pub(crate) mod looks;
mod lookups;
pub(crate) mod names;
mod pem;
mod pieces;
mod readings;
pub(crate) mod redact;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod response;
mod secure;
mod trouble;
mod trust;
mod tunnel;
mod unreachable;

use std::time::Duration;

use crate::cache::{flight, limits};
use crate::clock::Clock;
use crate::config::options::Options;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::secret::Secret;
use http::HttpAnswer;
use request::TokenRequest;

/// An attempt that brought no token.
pub(crate) type Failure = flight::Failure<Error>;

/// Until when nothing may be sent, and why.
pub(crate) type Blocked = limits::Blocked<Error>;

/// A token as the endpoint granted it.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) value: Secret,
    /// As granted: what the answer says, or else what was asked for.
    pub(crate) scope: String,
    pub(crate) lifetime: Duration,
    /// Odd things about the answer that a person should know.
    pub(crate) warnings: Vec<String>,
}

/// How long one attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    pub(crate) attempt: Duration,
    /// What the fetch took before it.
    pub(crate) spent: Duration,
}

/// How a request reaches the endpoint and the answer comes back.
pub(crate) trait Transport: Send + Sync {
    /// Sends one request and reads the answer, whatever its status, within `limit`.
    fn post(&self, request: &TokenRequest, limit: TimeLimit) -> Result<HttpAnswer, Failure>;

    /// The refused login to the proxy that keeps every request from being sent now.
    fn refused_login(&self) -> Option<Blocked> {
        None
    }

    /// The network is back.
    fn wake(&self) {}

    /// What a person should know of the files it reads, each thing once.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The token endpoint of one client.
pub(crate) struct Endpoint {
    transport: Box<dyn Transport>,
}

impl Endpoint {
    /// Prepares everything that can be checked without a network.
    pub(crate) fn new(options: &Options, clock: &Clock) -> Result<Self, Error> {
        Ok(Self::over(http::Http::new(options, clock)?))
    }

    /// An endpoint that is reached in some way.
    pub(crate) fn over(transport: impl Transport + 'static) -> Self {
        Self { transport: Box::new(transport) }
    }

    /// The refused login to the proxy that keeps every request from being sent now.
    pub(crate) fn refused_login(&self) -> Option<Blocked> {
        self.transport.refused_login()
    }

    /// The network is back.
    pub(crate) fn wake(&self) {
        self.transport.wake();
    }

    /// What a person should know of the files it reads, each thing once.
    pub(crate) fn news(&self) -> Vec<String> {
        self.transport.news()
    }

    /// Makes one token request and reads its answer, within `limit`.
    pub(crate) fn fetch(
        &self,
        options: &Options,
        credentials: &Credentials,
        scope: &ScopeSet,
        limit: TimeLimit,
    ) -> Result<Granted, Failure> {
        let request = TokenRequest::new(options, credentials, scope);
        let answer = self.transport.post(&request, limit)?;
        response::read(&answer, options, scope, credentials, &request)
    }
}
