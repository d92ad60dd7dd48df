//! Error messages when there is no response: what was found, a likely cause, and what to do.
//!
//! **Statuses.** An untrusted certificate, and a peer that replies to a TLS handshake with
//! something else, are TLS failures: retrying at once does not help. Silence and a connection that
//! ends are network failures, in whichever phase: healthy servers cause both too, and they are
//! temporary.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Failure;
use super::http::{Attempt, Http};
use super::names;
use super::tunnel::Problem;
use super::unreachable::{self, Reason};
use crate::cache::flight::Class;
use crate::cache::logins::RefusedLogin;
use crate::cache::policy::REFUSED_LOGIN_PAUSE;
use crate::clock::rounded;
use crate::error::{Error, ErrorKind};
use crate::words;

/// Errors that ureq has no variant for.
#[derive(Debug)]
pub(super) enum ConnectionError {
    /// No address could be connected to.
    Unreachable(Vec<(SocketAddr, Reason)>),
    /// The peer of a handshake does not speak TLS.
    NoTls(HandshakeReply),
    /// Plain HTTP was answered by TLS.
    SpeaksTls,
    /// Plain HTTP was answered by closing the connection.
    NoAnswer,
    /// Endless interim responses.
    Interim,
    /// A switch to another protocol that was not requested.
    Switched,
}

/// The reply to a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandshakeReply {
    /// Plain HTTP.
    Http,
    /// Something else.
    Other,
    /// Nothing within the time limit.
    Nothing,
    /// The end of the connection.
    End,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for ConnectionError {}

impl From<ConnectionError> for ureq::Error {
    fn from(error: ConnectionError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// About a client certificate: some servers request one from every client and require it from few.
pub(super) const MAY_WANT: &str = "may want";

/// The peer of a TLS connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Endpoint,
    Proxy,
}

impl Http {
    fn sentence(&self, problem: &str) -> String {
        let via = self.via();
        format!("cannot {} from {}{via}: {problem}", self.errand, self.origin)
    }

    fn via(&self) -> &'static str {
        if self.route().proxy.is_some() { " through the proxy" } else { "" }
    }

    pub(super) fn network(&self, problem: &str) -> Failure {
        Failure::transient(Error::new(ErrorKind::Network, self.sentence(problem)))
    }

    /// A response that is malformed. `problem` continues "the answer ...".
    pub(super) fn bad(&self, problem: &str) -> Failure {
        let message = format!("the answer of {}{} {problem}", self.origin, self.via());
        Failure::transient(Error::new(ErrorKind::BadResponse, message))
    }

    pub(super) fn insecure(&self, peer: &str, problem: &str) -> Failure {
        let message = format!("no secure connection to {peer}: {problem}");
        Failure::new(Class::TransientOnce, Error::new(ErrorKind::Tls, message))
    }

    /// The error for callers while a refused login is remembered.
    pub(super) fn login_refused(&self, refused: &RefusedLogin) -> Error {
        let wait = refused.until.until(self.clock.now());
        let minutes = wait.as_secs().div_ceil(60);
        let message = format!(
            "{}. Each login may lock the account, so this process tries again in {minutes} min at \
             the earliest",
            self.sentence(&refused.said)
        );
        Error::new(ErrorKind::Proxy, message).with_retryable(false).with_retry_after(Some(wait))
    }

    /// Where the host and port connected to are set.
    fn place(&self) -> &'static str {
        if self.route().proxy.is_some() { "the proxy's URL" } else { "token_url" }
    }
}

impl Attempt<'_> {
    /// The time the fetch has taken in all when this attempt times out.
    fn total(&self) -> Duration {
        rounded(self.limit.spent + self.limit.attempt)
    }

    /// The time waited for a connection: less than `connect_timeout` if the fetch ended first.
    fn connect_limit(&self) -> Duration {
        match self.limit.attempt < self.http.connect_timeout() {
            true => self.total(),
            false => rounded(self.http.connect_timeout()),
        }
    }

    pub(super) fn failure(&self, error: ureq::Error) -> Failure {
        self.failure_of(Peer::Endpoint, error)
    }

    fn failure_of(&self, peer: Peer, error: ureq::Error) -> Failure {
        let http = self.http;
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => http.network(&format!(
                "the TLS handshake did not end within {:?}; the network or the server is slow",
                self.connect_limit()
            )),
            ureq::Error::Timeout(_) if peer == Peer::Proxy => http.network(&format!(
                "the proxy said nothing within {:?}: check its scheme, host and port in {}",
                self.total(),
                http.place()
            )),
            ureq::Error::Timeout(_) => http.network(&format!(
                "no complete answer within {:?}; the network or the server is slow",
                self.total()
            )),
            ureq::Error::HostNotFound => http.network("the host name is unknown"),
            ureq::Error::Other(other) => self.other(peer, other),
            ureq::Error::Io(error) => match rustls_error(&error) {
                Some(error) => self.tls_failure(peer, error),
                None => http.network(&self.broken(peer, &error)),
            },
            ureq::Error::Tls(problem) => http.insecure(self.name_of(peer), problem),
            ureq::Error::Protocol(error) => http.bad(not_http(&error.to_string())),
            ureq::Error::BodyStalled => http.bad(not_http("chunk")),
            ureq::Error::LargeResponseHeader(..) => http.bad("has too large headers"),
            ureq::Error::BodyExceedsLimit(_) => http.bad("is over 64 KiB"),
            // The remaining errors concern the request itself; their text contains nothing of the
            // body.
            other => http.network(&words::of(&other)),
        }
    }

    fn other(&self, peer: Peer, other: Box<dyn std::error::Error + Send + Sync>) -> Failure {
        let other = match other.downcast::<ConnectionError>() {
            Ok(error) => return self.connection_error(peer, *error),
            Err(other) => other,
        };
        let other = match other.downcast::<Problem>() {
            Ok(problem) => return self.proxy_failure(*problem),
            Err(other) => other,
        };
        match other.downcast::<names::Problem>() {
            Ok(problem) if *problem == names::Problem::Unresolved => {
                let (whose, place) = match self.http.route().proxy {
                    Some(_) => ("the proxy's", "the proxy's URL"),
                    None => ("the", "token_url"),
                };
                self.http.network(&format!(
                    "{whose} host name cannot be resolved: check it in {place}, and this machine's \
                     network and DNS"
                ))
            }
            Ok(problem) => self.http.network(&problem.to_string()),
            Err(other) => self.http.network(&words::of(&other)),
        }
    }

    fn proxy_failure(&self, problem: Problem) -> Failure {
        let http = self.http;
        match problem {
            Problem::LoginRefused(said) => {
                let until = http.clock.now().after(REFUSED_LOGIN_PAUSE);
                let refused = RefusedLogin { until, said: said.into() };
                Failure::new(Class::LoginRefused, http.login_refused(&refused))
            }
            Problem::LoginWanted(text) | Problem::Forbidden(text) => {
                let error = Error::new(ErrorKind::Proxy, http.sentence(&text));
                Failure::new(Class::TransientOnce, error)
            }
            Problem::Failed(text) | Problem::Strange(text) => http.network(&text),
            Problem::Broken(error) | Problem::Insecure(error) => {
                self.failure_of(Peer::Proxy, error)
            }
        }
    }

    fn connection_error(&self, peer: Peer, error: ConnectionError) -> Failure {
        let http = self.http;
        match error {
            ConnectionError::Unreachable(failed) => {
                http.network(&unreachable::describe(&failed, self.connect_limit(), http.place()))
            }
            ConnectionError::NoTls(reply) => self.no_tls(peer, reply),
            ConnectionError::SpeaksTls => http.bad(
                "is TLS, and what was sent was plain HTTP: TLS is spoken on this port; write https:// \
                 in token_url",
            ),
            ConnectionError::NoAnswer => http.network(
                "the connection ended without an answer; perhaps TLS is spoken on this port: then \
                 write https:// in token_url",
            ),
            ConnectionError::Interim => http.bad("does not arrive: endless interim answers (status 1xx)"),
            ConnectionError::Switched => {
                http.bad("has status 101: it switches to another protocol, which was not requested")
            }
        }
    }

    fn no_tls(&self, peer: Peer, reply: HandshakeReply) -> Failure {
        let remedy = match peer {
            Peer::Proxy => "write http:// in the proxy's URL if it speaks plain HTTP",
            Peer::Endpoint if self.http.is_loopback() => {
                "check the port in token_url, or write http:// there"
            }
            Peer::Endpoint => "check the port in token_url",
        };
        let network = |found: &str| {
            let it = if peer == Peer::Proxy { "the proxy" } else { "it" };
            let problem = format!("{it} {found}; perhaps it does not speak TLS here: {remedy}");
            self.http.network(&problem)
        };
        let what = match reply {
            HandshakeReply::Http => "plain HTTP",
            HandshakeReply::Other => "something else",
            HandshakeReply::Nothing => {
                let limit = self.connect_limit();
                return network(&format!("said nothing to the TLS handshake within {limit:?}"));
            }
            HandshakeReply::End => return network("ended the connection in the TLS handshake"),
        };
        let problem = format!("it does not speak TLS here, but {what}: {remedy}");
        self.http.insecure(self.name_of(peer), &problem)
    }

    /// Describes a connection that broke.
    fn broken(&self, peer: Peer, error: &std::io::Error) -> String {
        let found = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the connection was cut off".to_owned(),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
                "the connection was reset".to_owned()
            }
            _ => words::of(error),
        };
        match peer {
            Peer::Proxy => format!(
                "{found} before the proxy answered; if it speaks TLS, write https:// in its URL"
            ),
            Peer::Endpoint if self.was_asked() => {
                format!("{found}; {}", self.certificate_words(MAY_WANT))
            }

            Peer::Endpoint => {
                format!("{found}: the server ended it, or a firewall or proxy on the way")
            }
        }
    }

    fn tls_failure(&self, peer: Peer, error: &rustls::Error) -> Failure {
        let problem = match error {
            rustls::Error::InvalidCertificate(error) => self.untrusted(error),
            rustls::Error::AlertReceived(alert) => self.refused(*alert),
            other => format!(
                "its response is not valid TLS ({other}): another protocol may be spoken there, or \
                 its certificates are over 64 KiB; check the port in {}",
                self.http.place()
            ),
        };
        self.http.insecure(self.name_of(peer), &problem)
    }

    fn name_of(&self, peer: Peer) -> &str {
        match peer {
            Peer::Endpoint => &self.http.origin,
            Peer::Proxy => "the proxy",
        }
    }
}

/// What is wrong with a response that cannot be parsed, from the parser's message.
fn not_http(found: &str) -> &'static str {
    match found {
        _ if found.contains("content-length header") => {
            "has invalid HTTP headers: a Content-Length that is no number, or several that differ"
        }
        _ if found.contains("header") => {
            "has invalid HTTP headers: more than 128, a folded line, or a forbidden character"
        }
        _ if found.contains("chunk") => "has an invalid chunked body",
        _ => "is not HTTP",
    }
}

fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
