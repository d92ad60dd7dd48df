use std::collections::VecDeque;

use ureq::unversioned::transport::{Buffers, LazyBuffers};

use super::*;
use crate::endpoint::layer::Layered;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A connection that delivers its input in these pieces.
#[derive(Debug)]
struct Pieces {
    buffers: LazyBuffers,
    pieces: VecDeque<Vec<u8>>,
}

impl Transport for Pieces {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let Some(piece) = self.pieces.pop_front() else { return Ok(false) };
        self.buffers.input_append_buf()[..piece.len()].copy_from_slice(&piece);
        self.buffers.input_appended(piece.len());
        Ok(true)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

/// A connection to a server that sends these pieces, until the deadline.
fn connection<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    deadline: Instant,
) -> Layered<WithoutInterim> {
    let buffers = LazyBuffers::new(32 * 1024, 1024);
    let pieces = pieces.into_iter().map(<[u8]>::to_vec).collect();
    Layered::new(Box::new(Pieces { buffers, pieces }), WithoutInterim::new(deadline))
}

/// What ureq sees, after each piece that arrives.
fn seen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Error> {
    let mut filter = connection(pieces, Instant::now() + Duration::from_secs(60));
    let mut seen = Vec::new();
    loop {
        match filter.await_input(NextTimeout::default()) {
            Ok(true) => seen.push(filter.buffers().input().to_vec()),
            Ok(false) => return Ok(seen),
            Err(Error::Other(error)) if seen.is_empty() && error.to_string() == "NoAnswer" => {
                return Ok(seen);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What remains when everything has arrived.
fn left(text: &str) -> Vec<u8> {
    seen([text.as_bytes()]).unwrap().pop().unwrap()
}

#[test]
fn interim_responses_are_removed_wherever_the_reads_are_split() {
    let interim = "HTTP/1.1 100 Continue\r\nDate: x\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\
                   Link: HTTP/1.1 200\r\n\r\nHTTP/1.0 102 \n\nHTTP/1.1 199\r\nA: b\n\r\n";
    let whole = format!("{interim}{ANSWER}");
    let bytes = whole.as_bytes();
    for first in 0..bytes.len() {
        for second in [first, first + 1, (first + bytes.len()) / 2] {
            let (first, second) = (first.min(second), second.min(bytes.len()));
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            for seen in seen(pieces).unwrap() {
                assert!(ANSWER.as_bytes().starts_with(&seen), "{}", String::from_utf8_lossy(&seen));
            }
        }
    }
    let seen = seen(bytes.chunks(1)).unwrap();
    assert_eq!(seen.last().unwrap(), ANSWER.as_bytes());
}

#[test]
fn what_follows_a_responses_head_is_untouched() {
    let body = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n{}";
    assert_eq!(left(body), body.as_bytes());
    // The same when the head arrives by itself.
    let (head, rest) = body.split_at(19);
    assert_eq!(seen([head.as_bytes(), rest.as_bytes()]).unwrap().pop().unwrap(), body.as_bytes());
}

#[test]
fn other_responses_are_left_alone() {
    for text in [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 1000 OK\r\n\r\n",
        "HTTP/1.1 10x OK\r\n\r\n",
        "HTTP/1.1  100 OK\r\n\r\n",
        "HTTP/2.0 100 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "\0",
    ] {
        assert_eq!(left(text), text.as_bytes(), "{text:?}");
    }
    assert!(seen([&b"HTTP/1.1 103 X\r\nA: b\r\n"[..]]).unwrap().is_empty());
}

#[test]
fn interim_responses_are_limited_in_number_and_length() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert_eq!(left(&format!("{}{ANSWER}", interim.repeat(MOST))), ANSWER.as_bytes());
    let error = |error: Error| match error {
        Error::Other(error) => error.to_string(),
        other => panic!("{other}"),
    };
    let many = interim.repeat(MOST + 1);
    assert_eq!(error(seen([many.as_bytes()]).unwrap_err()), "Interim");
    let field = |length| format!("HTTP/1.1 103 X\r\nA: {}\r\n\r\n", "x".repeat(length));
    let long = [field(9000), field(9000)].concat();
    assert_eq!(error(seen(long.as_bytes().chunks(1000)).unwrap_err()), "Interim");
    // Also one that does not end.
    let endless = field(MAX_HEADER_BYTES);
    let endless = endless.trim_end().as_bytes();
    assert_eq!(error(seen(endless.chunks(1000)).unwrap_err()), "Interim");
    for (text, expected) in [
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "Switched"),
        ("\x15\x03\x03\x00\x02\x02\x28", "SpeaksTls"),
    ] {
        assert_eq!(error(seen([text.as_bytes()]).unwrap_err()), expected);
    }
}

#[test]
fn interim_responses_do_not_extend_the_deadline() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".as_bytes();
    let mut late = connection([interim, interim], Instant::now());
    let outcome = late.await_input(NextTimeout::default());
    assert!(matches!(outcome, Err(Error::Timeout(_))), "{outcome:?}");
    assert_eq!(late.buffers().input(), b"");
}
