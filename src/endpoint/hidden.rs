//! Keeps secrets and tokens from ureq, which logs each byte that it sends and receives at level TRACE.
//!
//! In place of the request's body, the value of `Authorization` and the data of the response's body, ureq gets as many
//! bytes of filler. The connection exchanges them: on the way out, and on the way in.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};
use zeroize::Zeroizing;

use super::http::MAX_BODY_BYTES;

/// The C library contains no TRACE logging at all.
const CAN_BE_LOGGED: bool = log::STATIC_MAX_LEVEL as usize >= log::LevelFilter::Trace as usize;

const FILLER: u8 = b'*';
const AUTHORIZATION: &[u8] = b"uthorization: ";

/// What one request and its response keep from ureq. `None`: the program does not log at TRACE, so
/// ureq gets everything.
#[derive(Clone, Debug)]
pub(super) struct Hidden(Option<Arc<Mutex<Bytes>>>);

#[derive(Default)]
struct Bytes {
    authorization: Zeroizing<Vec<u8>>,
    body: Zeroizing<Vec<u8>>,
    received: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes(..)")
    }
}

fn lock(bytes: &Mutex<Bytes>) -> MutexGuard<'_, Bytes> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hidden {
    /// For a request that begins now.
    pub(super) fn new() -> Self {
        let is_logged = CAN_BE_LOGGED && log::max_level() >= log::LevelFilter::Trace;
        Self(is_logged.then(Arc::default))
    }

    fn bytes(&self) -> Option<&Arc<Mutex<Bytes>>> {
        self.0.as_ref().filter(|_| CAN_BE_LOGGED)
    }

    /// What ureq gets for the value of the Authorization header.
    pub(super) fn authorization<'a>(&self, value: &'a str) -> Cow<'a, str> {
        let Some(bytes) = self.bytes() else { return value.into() };
        lock(bytes).authorization = Zeroizing::new(value.as_bytes().to_vec());
        filler(value.len())
    }

    /// What ureq gets for the request's body.
    pub(super) fn body<'a>(&self, form: &'a str) -> Cow<'a, str> {
        let Some(bytes) = self.bytes() else { return form.into() };
        lock(bytes).body = Zeroizing::new(form.as_bytes().to_vec());
        filler(form.len())
    }

    /// The data of the response for which ureq has passed on `filler`.
    pub(super) fn received(&self, filler: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let Some(bytes) = self.bytes() else { return filler };
        let mut received = std::mem::take(&mut lock(bytes).received);
        received.truncate(filler.len());
        received
    }

    /// The connection through which ureq handles the request.
    pub(super) fn connection(
        &self,
        inner: impl Transport,
        (input, output): (usize, usize),
    ) -> Box<dyn Transport> {
        let Some(bytes) = self.bytes() else { return Box::new(inner) };
        let buffers = LazyBuffers::new(input, output);
        let (outgoing, incoming) = (Outgoing::default(), Incoming::default());
        Box::new(Exchange { inner, bytes: bytes.clone(), buffers, outgoing, incoming })
    }
}

fn filler(length: usize) -> Cow<'static, str> {
    String::from_utf8(vec![FILLER; length]).unwrap_or_default().into()
}

#[derive(Debug)]
struct Exchange<T> {
    inner: T,
    bytes: Arc<Mutex<Bytes>>,
    buffers: LazyBuffers,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl<T: Transport> Transport for Exchange<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = &mut self.inner.buffers().output()[..amount];
        output.copy_from_slice(&self.buffers.output()[..amount]);
        self.outgoing.put_in(output, &lock(&self.bytes));
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let has_left = !self.inner.buffers().input().is_empty();
        let has_arrived = has_left || self.inner.await_input(timeout)?;
        // Also of a response that has ended too early.
        let arrived = self.inner.buffers().input();
        let free = self.buffers.input_append_buf();
        let amount = arrived.len().min(free.len());
        free[..amount].copy_from_slice(&arrived[..amount]);
        self.incoming.take_out(&mut free[..amount], &mut lock(&self.bytes).received);
        self.buffers.input_appended(amount);
        self.inner.buffers().input_consume(amount);
        Ok(has_arrived && amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// How far the request has been sent.
#[derive(Debug, Default)]
struct Outgoing {
    is_in_body: bool,
    /// Bytes of the body.
    sent: usize,
}

impl Outgoing {
    fn put_in(&mut self, output: &mut [u8], hidden: &Bytes) {
        let mut begin = 0;
        if !self.is_in_body {
            let end = find(output, b"\r\n\r\n").map(|at| at + 4);
            self.is_in_body = end.is_some();
            begin = end.unwrap_or(output.len());
            let head = &mut output[..begin];
            let value = find(head, AUTHORIZATION).map(|at| at + AUTHORIZATION.len());
            let value = value.and_then(|at| head.get_mut(at..at + hidden.authorization.len()));
            if let Some(value) = value {
                value.copy_from_slice(&hidden.authorization);
            }
        }
        let left = hidden.body.get(self.sent..).unwrap_or_default();
        for (place, byte) in output[begin..].iter_mut().zip(left) {
            *place = *byte;
            self.sent += 1;
        }
    }
}

/// How far the response has been received. Framing that is not HTTP's is left to ureq, with nothing but filler.
#[derive(Debug, Default)]
struct Incoming {
    part: Part,
    /// The head so far.
    head: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Part {
    #[default]
    Head,
    /// Data until the connection ends, or as much as the head says.
    Data,
    /// The line with the size of a chunk; the size so far, unless the digits have ended.
    Size(u64, bool),
    /// The rest of a chunk.
    Chunk(u64),
    /// What follows a chunk's data, up to the end of the line.
    AfterChunk,
    Trailer,
}

impl Incoming {
    fn take_out(&mut self, bytes: &mut [u8], received: &mut Vec<u8>) {
        for byte in bytes {
            self.part = match self.part {
                Part::Head => self.head(*byte),
                Part::Data => {
                    exchange(byte, received);
                    Part::Data
                }
                Part::Size(size, is_over) => match (char::from(*byte).to_digit(16), *byte) {
                    (_, b'\n') if size == 0 => Part::Trailer,
                    (_, b'\n') => Part::Chunk(size),
                    (Some(digit), _) if !is_over => {
                        Part::Size(size.saturating_mul(16).saturating_add(digit.into()), false)
                    }
                    _ => Part::Size(size, true),
                },
                Part::Chunk(left) => {
                    exchange(byte, received);
                    if left > 1 { Part::Chunk(left - 1) } else { Part::AfterChunk }
                }
                Part::AfterChunk if *byte == b'\n' => Part::Size(0, false),
                Part::AfterChunk => Part::AfterChunk,
                Part::Trailer => Part::Trailer,
            };
        }
    }

    fn head(&mut self, byte: u8) -> Part {
        self.head.push(byte);
        if !self.head.ends_with(b"\n\r\n") && !self.head.ends_with(b"\n\n") {
            return Part::Head;
        }
        // Leading empty lines are no head.
        if self.head.trim_ascii().is_empty() {
            return Part::Head;
        }
        match is_chunked(&self.head) {
            true => Part::Size(0, false),
            false => Part::Data,
        }
    }
}

fn exchange(byte: &mut u8, received: &mut Vec<u8>) {
    // Allocated in full: growing would leave copies of a token in freed memory. More is not read.
    if received.capacity() == 0 {
        received.reserve_exact(MAX_BODY_BYTES + 1);
    }
    if received.len() <= MAX_BODY_BYTES {
        received.push(*byte);
    }
    *byte = FILLER;
}

/// As ureq decides it.
fn is_chunked(head: &[u8]) -> bool {
    let is_coding = |line: &[u8]| {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let codings = &mut line[colon + 1..].split(|byte| *byte == b',');
        line[..colon].eq_ignore_ascii_case(b"transfer-encoding")
            && codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    };
    !head.trim_ascii_start().starts_with(b"HTTP/1.0")
        && head.split(|byte| *byte == b'\n').any(is_coding)
}

fn find(text: &[u8], sought: &[u8]) -> Option<usize> {
    text.windows(sought.len()).position(|window| window == sought)
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
