//! A Redis server that a test starts.

use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::redis_server::RedisServer;

/// Far more than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and what is said to it.
pub struct Redis(RedisServer);

impl Deref for Redis {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.0
    }
}

/// A reply, as the protocol (RESP 2) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Line(String),
    Number(i64),
    Nothing,
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Redis {
    /// Starts a server with its socket in this directory. `None`: none is installed.
    pub fn start(directory: &Path, options: &[&str]) -> Option<Self> {
        RedisServer::start(directory, options).map(Self)
    }

    /// Runs a command, as the default user without a password.
    pub fn run(&self, args: &[&[u8]]) -> Reply {
        self.run_as(None, args)
    }

    /// Runs a command after a login with a password.
    pub fn run_as(&self, password: Option<&str>, args: &[&[u8]]) -> Reply {
        let mut stream = BufReader::new(self.connect(password));
        send(stream.get_mut(), args);
        read(&mut stream).unwrap()
    }

    /// Runs a command of words without spaces.
    pub fn tell(&self, words: &str) -> Reply {
        self.run(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    /// The keys of records, sorted.
    pub fn record_keys(&self) -> Vec<Vec<u8>> {
        let Reply::List(keys) = self.tell("KEYS *:token") else { panic!("no list") };
        let bytes = |key| if let Reply::Bytes(bytes) = key { bytes } else { panic!("{key:?}") };
        let mut keys: Vec<_> = keys.into_iter().map(bytes).collect();
        keys.sort();
        keys
    }

    fn connect(&self, password: Option<&str>) -> UnixStream {
        let mut stream = BufReader::new(self.0.connect(PATIENCE));
        if let Some(password) = password {
            send(stream.get_mut(), &[b"AUTH", password.as_bytes()]);
            assert_eq!(read(&mut stream).unwrap(), Reply::Line("OK".to_owned()));
        }
        stream.into_inner()
    }

    /// Records every command from now on.
    pub fn monitor(&self, password: Option<&str>) -> Monitor {
        let mut stream = BufReader::new(self.connect(password));
        send(stream.get_mut(), &[b"MONITOR"]);
        assert_eq!(read(&mut stream).unwrap(), Reply::Line("OK".to_owned()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let closing = stream.get_ref().try_clone().unwrap();
        closing.set_read_timeout(None).unwrap();
        let log = seen.clone();
        let reader = std::thread::spawn(move || {
            let mut line = Vec::new();
            while let Ok(1..) = stream.read_until(b'\n', &mut line) {
                log.lock().unwrap().append(&mut line);
            }
        });
        Monitor { seen, closing, reader: Some(reader) }
    }
}

/// What a server was sent, as its command MONITOR shows it.
pub struct Monitor {
    seen: Arc<Mutex<Vec<u8>>>,
    closing: UnixStream,
    reader: Option<JoinHandle<()>>,
}

impl Monitor {
    /// The lines so far: time, database, address, and the words in quotes.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).lines().map(str::to_owned).collect()
    }

    /// Everything that was sent so far, as it was sent: without the quotes' escapes.
    pub fn bytes(&self) -> Vec<u8> {
        unescaped(&self.seen.lock().unwrap())
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.closing.shutdown(std::net::Shutdown::Both);
        let _ = self.reader.take().unwrap().join();
    }
}

fn unescaped(shown: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shown.len());
    let mut rest = shown.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'a') => 7,
                Some(b'b') => 8,
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    bytes
}

fn send(stream: &mut UnixStream, args: &[&[u8]]) {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    stream.write_all(&bytes).unwrap();
}

fn read(stream: &mut BufReader<UnixStream>) -> std::io::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let Some(kind) = line.chars().next() else { return Err(ErrorKind::UnexpectedEof.into()) };
    let text = &line[1..];
    let number: i64 = text.parse().unwrap_or(-1);
    Ok(match kind {
        ':' => Reply::Number(number),
        '$' | '*' if number < 0 => Reply::Nothing,
        '$' => {
            let mut bytes = vec![0; number as usize + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(number as usize);
            Reply::Bytes(bytes)
        }
        '*' => Reply::List((0..number).map(|_| read(stream)).collect::<Result<_, _>>()?),
        _ => Reply::Line(text.to_owned()),
    })
}

#[test]
fn what_a_monitor_shows_is_read_as_it_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(directory.path(), &[]) else { return };
    let monitor = redis.monitor(None);
    let sent: Vec<u8> = (0..=255).collect();
    assert_eq!(redis.run(&[b"SET", b"key", &sent]), Reply::Line("OK".to_owned()));
    assert_eq!(redis.run(&[b"GET", b"key"]), Reply::Bytes(sent.clone()));
    crate::support::until("shown", || monitor.lines().len() == 2);
    let seen = monitor.bytes();
    assert!(seen.windows(256).any(|window| window == sent), "{:?}", monitor.lines());
}
