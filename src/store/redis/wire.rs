//! Commands and replies, as bytes (RESP 2).
//!
//! The client crate packs and parses them. Where a reply ends is found out here first: none of the
//! replies that this store asks for is nested or longer than a record, so the peer cannot make this
//! process read or recurse without limit, and bytes that were not asked for do not pass as the
//! reply to the next command.

use std::io::{self, Read};

use redis::Value;
use zeroize::Zeroizing;

use super::trouble::MAX_CLIENTS;
use crate::store::MAX_RECORD_BYTES;

/// Maximum length of a line: a status, an error or a number. What a server in protected mode says has
/// 1,067 bytes.
const LONGEST_LINE: usize = 4096;
/// Maximum length of a value: one byte more than a record may have.
const LONGEST_VALUE: usize = MAX_RECORD_BYTES + 1;
const CHUNK: usize = 4096;

/// A command in the form it is sent in. Wiped when dropped: one of them contains the password.
pub(super) fn command(args: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let args: Zeroizing<Vec<Vec<u8>>> =
        Zeroizing::new(args.iter().map(|arg| arg.to_vec()).collect());
    Zeroizing::new(redis::pack_command(&args))
}

/// A reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Done,
    Number(i64),
    Bytes(Vec<u8>),
    /// An error's code: capital letters. Never its text, which may repeat what was sent.
    Refused(String),
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection has ended or broken.
    Io(io::Error),
    /// It is not a reply, or not one to any command of this store. The first byte received.
    Foreign(u8),
}

/// What was received and not yet taken.
#[derive(Default)]
pub(super) struct Received(Vec<u8>);

impl Received {
    /// Whether all of it has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the next reply.
    pub(super) fn next(&mut self, stream: &mut impl Read) -> Result<Reply, Fault> {
        loop {
            if let Some(length) = length(&self.0)? {
                let reply: Vec<u8> = self.0.drain(..length).collect();
                return read(&reply).ok_or(Fault::Foreign(reply[0]));
            }
            let mut chunk = [0; CHUNK];
            match stream.read(&mut chunk) {
                Ok(0) => return Err(Fault::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.0.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
    }
}

/// The length of the reply at the beginning of `bytes`, once it is known and all of it is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    let foreign = Fault::Foreign(kind);
    if !b"+-:$".contains(&kind) {
        return Err(foreign);
    }
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() < LONGEST_LINE { Ok(None) } else { Err(foreign) };
    };
    let whole = match (kind, &bytes[1..end]) {
        (b'$', b"-1") => end + 2,
        (b'$', digits) => {
            let value = digits.iter().all(u8::is_ascii_digit).then_some(digits);
            let value = value.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let value: usize = value.filter(|value| *value <= LONGEST_VALUE).ok_or(foreign)?;
            end + 2 + value + 2
        }
        _ => end + 2,
    };
    Ok((bytes.len() >= whole).then_some(whole))
}

fn read(reply: &[u8]) -> Option<Reply> {
    match redis::parse_redis_value(reply).ok()? {
        Value::Nil => Some(Reply::Nothing),
        Value::Okay | Value::SimpleString(_) => Some(Reply::Done),
        Value::Int(number) => Some(Reply::Number(number)),
        Value::BulkString(bytes) => Some(Reply::Bytes(bytes)),
        Value::ServerError(error) => {
            let code = match error.details() {
                Some(text) if text.starts_with("max number of clients") => MAX_CLIENTS,
                _ => error.code(),
            };
            let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
            Some(Reply::Refused(if is_code && code.len() <= 20 { code } else { "ERR" }.to_owned()))
        }
        _ => None,
    }
}

/// For the fuzzer: a reply is short, and the same however its bytes arrive.
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) fn check_replies(bytes: &[u8], chunk: usize) {
    let replies = |chunk: usize| {
        let (mut stream, mut received) = (Chunks { bytes, chunk }, Received::default());
        let mut replies = Vec::new();
        loop {
            match received.next(&mut stream) {
                Ok(Reply::Bytes(value)) => {
                    assert!(value.len() <= LONGEST_VALUE);
                    replies.push(Ok(Reply::Bytes(value)));
                }
                Ok(Reply::Refused(code)) => {
                    assert!((1..=20).contains(&code.len()));
                    assert!(code.bytes().all(|byte| byte.is_ascii_uppercase()));
                    replies.push(Ok(Reply::Refused(code)));
                }
                Ok(reply) => replies.push(Ok(reply)),
                Err(Fault::Foreign(first)) => {
                    replies.push(Err(Some(first)));
                    return replies;
                }
                Err(Fault::Io(_)) => {
                    replies.push(Err(None));
                    return replies;
                }
            }
        }
    };
    assert_eq!(replies(chunk), replies(CHUNK));
}

#[cfg(any(test, feature = "__fuzz"))]
struct Chunks<'a> {
    bytes: &'a [u8],
    chunk: usize,
}

#[cfg(any(test, feature = "__fuzz"))]
impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.chunk.min(self.bytes.len()).min(buffer.len());
        let (now, later) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = later;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is interrupted by a signal before each read.
    struct Interrupted<'a>(bool, &'a [u8]);

    impl Read for Interrupted<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 { Err(io::ErrorKind::Interrupted.into()) } else { self.1.read(bytes) }
        }
    }

    #[test]
    fn a_read_that_a_signal_interrupts_is_repeated() {
        let reply = Received::default().next(&mut Interrupted(false, b"+OK\r\n"));
        assert!(matches!(reply, Ok(Reply::Done)), "{reply:?}");
    }

    #[test]
    fn commands_are_packed() {
        assert_eq!(**command(&[b"GET", b"a\r\n"]), *b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
    }

    #[test]
    fn replies_are_read_one_by_one_however_they_arrive() {
        let bytes =
            b"+OK\r\n$-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n:-2\r\n-NOAUTH x\r\n-odd\r\n+PONG\r\n";
        let expected = [
            Reply::Done,
            Reply::Nothing,
            Reply::Bytes(vec![]),
            Reply::Bytes(b"a\r\nb".to_vec()),
            Reply::Number(-2),
            Reply::Refused("NOAUTH".to_owned()),
            Reply::Refused("ERR".to_owned()),
            Reply::Done,
        ];
        for chunk in [1, bytes.len()] {
            let (mut received, mut stream) = (Received::default(), Chunks { bytes, chunk });
            for reply in &expected {
                assert_eq!(received.next(&mut stream).unwrap(), *reply);
            }
            assert!(received.is_empty());
        }
        let protected =
            [&b"-DENIED Redis is running in protected mode "[..], &[b'x'; 1100], b"\r\n"];
        let next = Received::default().next(&mut &protected.concat()[..]);
        assert_eq!(next.unwrap(), Reply::Refused("DENIED".to_owned()));
    }

    #[test]
    fn what_is_no_reply_is_foreign() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"\x15\x03\x01\x00\x02",
            b"*1000000\r\n",
            b"*1\r\n*1\r\n*1\r\n",
            b"%1\r\n+a\r\n+b\r\n",
            b"$65538\r\n",
            b"$99999999999999999999999\r\n",
            b"$-2\r\n",
            b"$+1\r\na\r\n",
            b"$1\r\nabc",
            b":x\r\n",
            &[b'+'; 5000],
        ] {
            let mut received = Received::default();
            let fault = received.next(&mut &bytes[..]).unwrap_err();
            assert!(matches!(fault, Fault::Foreign(first) if first == bytes[0]), "{fault:?}");
        }
        for cut in [&b""[..], b"$4\r\nab", b"+OK\r", b"$"] {
            let fault = Received::default().next(&mut &cut[..]).unwrap_err();
            assert!(matches!(fault, Fault::Io(_)), "{fault:?}");
        }
    }
}
