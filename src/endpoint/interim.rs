//! Removes interim responses (RFC 9110 section 15.2) from what a server sends before its response.
//!
//! `100 Continue`, `102 Processing` and `103 Early Hints` contain nothing a token request could
//! use. ureq takes those with header fields for broken HTTP, so it never sees any.

use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{NextTimeout, Transport};

use super::errors::ConnectionError;
use super::http::MAX_HEADER_BYTES;
use super::layer::Layer;
use super::tunnel::status_of;

/// Maximum number of interim responses before one response; more are malicious.
const MOST: usize = 20;

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// Too short to tell.
    Unknown,
    /// An interim response of this length.
    Interim(usize),
    /// The response itself, or not HTTP at all: ureq decides.
    Answer,
    /// A switch to another protocol that was not requested.
    Switched,
    /// A TLS alert: a TLS port received plain text.
    Alert,
}

fn begin(bytes: &[u8]) -> Begin {
    const VERSION: &[u8] = b"HTTP/1.";
    const STATUS: usize = b"HTTP/1.1 100".len();
    // Leading empty lines are accepted, as by ureq.
    let skipped = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let head = &bytes[skipped..];
    if head.starts_with(b"\x15\x03") {
        return Begin::Alert;
    }
    if head.iter().zip(VERSION).any(|(found, expected)| found != expected) {
        return Begin::Answer;
    }
    let Some(behind) = head.get(STATUS) else { return Begin::Unknown };
    let line = std::str::from_utf8(&head[..STATUS]).ok().filter(|_| behind.is_ascii_whitespace());
    match line.and_then(status_of) {
        Some(101) => Begin::Switched,
        Some(100..200) => match end_of_head(head) {
            Some(length) => Begin::Interim(skipped + length),
            None => Begin::Unknown,
        },
        _ => Begin::Answer,
    }
}

/// The length up to the first empty line, inclusive.
fn end_of_head(head: &[u8]) -> Option<usize> {
    let is_end = |at: usize| matches!(&head[..at], [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n']);
    (1..=head.len()).find(|at| is_end(*at))
}

/// Passes on final responses only.
#[derive(Debug)]
pub(super) struct WithoutInterim {
    /// When the attempt is over.
    deadline: Instant,
    /// Number and total length of the interim responses.
    passed: usize,
    bytes: usize,
    has_begun: bool,
}

impl WithoutInterim {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, passed: 0, bytes: 0, has_begun: false }
    }

    /// Whether the connection has ended before anything arrived.
    fn is_end(&self, inner: &mut dyn Transport, outcome: &Result<bool, Error>) -> bool {
        let has_ended = match outcome {
            Ok(has_come) => !has_come,
            Err(error) => matches!(error, Error::Io(_)),
        };
        has_ended && self.passed == 0 && inner.buffers().input().is_empty()
    }

    /// Whether the response has begun, so that its bytes may be passed on.
    fn has_answer(&mut self, inner: &mut dyn Transport) -> Result<bool, Error> {
        loop {
            let input = inner.buffers().input();
            let length = match begin(input) {
                Begin::Answer => return Ok(true),
                Begin::Switched => return Err(ConnectionError::Switched.into()),
                Begin::Alert => return Err(ConnectionError::SpeaksTls.into()),
                Begin::Unknown if self.bytes + input.len() > MAX_HEADER_BYTES => {
                    return Err(ConnectionError::Interim.into());
                }
                Begin::Unknown => return Ok(false),
                Begin::Interim(length) => length,
            };
            inner.buffers().input_consume(length);
            self.passed += 1;
            self.bytes += length;
            if self.passed > MOST || self.bytes > MAX_HEADER_BYTES {
                return Err(ConnectionError::Interim.into());
            }
        }
    }
}

impl Layer for WithoutInterim {
    fn await_input(
        &mut self,
        inner: &mut dyn Transport,
        timeout: NextTimeout,
    ) -> Result<bool, Error> {
        let mut timeout = timeout;
        loop {
            let outcome = inner.await_input(timeout);
            if self.has_begun {
                return outcome;
            }
            if !inner.is_tls() && self.is_end(inner, &outcome) {
                return Err(ConnectionError::NoAnswer.into());
            }
            if !outcome? {
                return Ok(false);
            }
            self.has_begun = self.has_answer(inner)?;
            if self.has_begun {
                return Ok(true);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Err(Error::Timeout(timeout.reason));
            }
            timeout.after = left.into();
        }
    }
}

#[cfg(test)]
#[path = "interim_tests.rs"]
mod tests;
