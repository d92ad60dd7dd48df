//! The token endpoint: the request, how it is sent, and what the response means.
//!
//! - [`request`] the form, byte for byte
//! - [`http`] the only place that opens a connection
//! - [`connect`] how connections are made; [`tunnel`] the protocols spoken to proxies; [`secure`]
//!   TLS; [`punctual`] reads that end in time; [`cut_off`] connections that end too early;
//!   [`layer`] what these have in common
//! - [`trust`] root certificates and the client's own certificate; `system_roots` the system's;
//!   [`pem`] parses their files; [`verifier`] verifies servers with them; [`sessions`] TLS sessions
//!   that later connections resume
//! - [`interim`] skips 1xx responses; [`headers`] what a response's header says about it
//! - [`errors`] error messages when there is no response; [`certificates`] those about
//!   certificates; [`unreachable`] which address's reason is reported
//! - [`login`] logins to proxies, counted for the whole process
//! - [`resolve`] names to addresses; [`names`] runs the look-ups, [`lookups`] decides who shares
//!   which
//! - [`response`] reads responses: tolerant, but safe; [`remarks`] what looks wrong in credentials
//!   that were refused
//! - [`redact`] what may be quoted from a response; [`pieces`] finds pieces of secrets in it, in
//!   all its [`readings`]

pub(crate) mod certificates;
mod connect;
mod cut_off;
mod dates;
mod errors;
pub(crate) mod headers;
mod hidden;
pub(crate) mod http;
mod interim;
mod layer;
mod login;
mod lookups;
pub(crate) mod names;
mod pem;
mod pieces;
mod punctual;
mod readings;
pub(crate) mod redact;
pub(crate) mod remarks;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod response;
mod secure;
mod sessions;
#[cfg(all(unix, not(target_os = "android"), not(target_vendor = "apple")))]
mod system_files;
#[cfg(all(unix, not(target_os = "android"), not(target_vendor = "apple")))]
mod system_roots;
pub(crate) mod trust;
mod tunnel;
mod unreachable;
mod ureq_config;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{flight, limits};
use crate::clock::Clock;
use crate::config::options::Options;
use crate::config::variables::Variables;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::secret::Secret;
use http::HttpAnswer;
use request::TokenRequest;

/// Lets what reads the environment once a process do so now.
pub(crate) fn read_environment() {
    ureq_config::of_process();
}

/// An attempt that obtained no token.
pub(crate) type Failure = flight::Failure<Error>;

/// Until when nothing may be sent, and why.
pub(crate) type Blocked = limits::Blocked<Error>;

/// A token as the endpoint granted it.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) value: Secret,
    /// As granted: what the response says, or else what was requested.
    pub(crate) scope: String,
    pub(crate) lifetime: Duration,
    /// Oddities of the response that a person should know about.
    pub(crate) warnings: Vec<String>,
}

/// Time limits of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    pub(crate) attempt: Duration,
    /// The time the fetch had spent before it.
    pub(crate) spent: Duration,
}

/// Sends requests to the endpoint and returns the responses.
pub(crate) trait Transport: Send + Sync {
    /// Sends one request and reads the response, whatever its status, within `limit`.
    fn post(&self, request: &TokenRequest, limit: TimeLimit) -> Result<HttpAnswer, Failure>;

    /// The refused login to the proxy that currently blocks all requests.
    fn refused_login(&self) -> Option<Blocked> {
        None
    }

    /// The network is back.
    fn wake(&self) {}

    /// What a person should know about the files it reads, each message once.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The token endpoint of one client.
pub(crate) struct Endpoint {
    transport: Arc<dyn Transport>,
}

impl Endpoint {
    /// Prepares everything that can be checked without a network. May replace the options by the
    /// same ones of another client: see [`http::Http::shared`].
    pub(crate) fn new(
        options: &mut Arc<Options>,
        clock: &Clock,
        variables: &Variables,
    ) -> Result<Self, Error> {
        Ok(Self { transport: http::Http::shared(options, clock, variables)? })
    }

    /// An endpoint reached through the given transport.
    #[cfg(test)]
    pub(crate) fn over(transport: impl Transport + 'static) -> Self {
        Self { transport: Arc::new(transport) }
    }

    /// The refused login to the proxy that currently blocks all requests.
    pub(crate) fn refused_login(&self) -> Option<Blocked> {
        self.transport.refused_login()
    }

    /// The network is back.
    pub(crate) fn wake(&self) {
        self.transport.wake();
    }

    /// What a person should know about the files it reads, each message once.
    pub(crate) fn news(&self) -> Vec<String> {
        self.transport.news()
    }

    /// Makes one token request and reads its response, within `limit`. `name`: the client's.
    pub(crate) fn fetch(
        &self,
        options: &Options,
        name: Option<&str>,
        credentials: &Credentials,
        scope: &ScopeSet,
        limit: TimeLimit,
    ) -> Result<Granted, Failure> {
        let request = TokenRequest::new(options, name, credentials, scope);
        let answer = self.transport.post(&request, limit)?;
        response::read(&answer, options, scope, credentials, &request)
    }
}
