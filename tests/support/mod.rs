//! A small scripted server: raw bytes over loopback sockets, and clients to test with it.
//!
//! A [`Server`] counts connections, records requests and answers each with the [`Step`]s that its
//! script returns. Dropping it waits for all its threads.

// Each test binary uses a different part of it.
#![allow(dead_code)]

mod clients;
#[cfg(unix)]
pub mod credentials;
#[cfg(unix)]
pub mod redis_server;
pub mod tls;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use clients::*;
use rustls::HandshakeKind;

/// How often a blocked thread of the server checks whether it should stop.
const TICK: Duration = Duration::from_millis(10);

/// One action of a server on a connection. After the last one it closes the connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends all bytes at once.
    Send(Vec<u8>),
    /// Sends one byte every 200 ms.
    Trickle(Vec<u8>),
    /// Sends the same bytes repeatedly until the client is gone.
    Repeat(Vec<u8>),
    /// Does nothing for a while.
    Wait(Duration),
    /// Does nothing until the client is gone.
    Hang,
    /// Resets the connection.
    Reset,
    /// Ends the server's side of the connection, over TLS without saying so; the client's stays open.
    HalfClose,
    /// Waits for exactly this many more bytes and records them as the body of a request.
    Receive(usize),
    /// Relays everything to this port and back until either side closes. Not over TLS.
    Tunnel(u16),
}

/// A server's reaction to one request.
pub type Reply = Vec<Step>;

/// A request that a server received.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
    /// As received.
    pub bytes: Vec<u8>,
    pub at: Instant,
}

type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: AtomicBool,
    connections: AtomicUsize,
    resumed: Mutex<Vec<bool>>,
    requests: Mutex<Vec<Request>>,
    sent: AtomicU64,
}

/// A server on its own port.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// A server whose script receives the number of earlier requests, and the request.
    pub fn new(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Box::new(script), None)
    }

    /// A server that responds to every request in the same way.
    pub fn always(reply: Reply) -> Self {
        Self::new(move |_, _| reply.clone())
    }

    /// A server that issues `token-1`, `token-2`, ... each valid for `expires_in` seconds.
    pub fn tokens(expires_in: u64) -> Self {
        Self::new(move |before, _| token(&format!("token-{}", before + 1), expires_in))
    }

    /// A server that speaks TLS and issues tokens.
    pub fn tls(config: Arc<rustls::ServerConfig>) -> Self {
        let script = |before, _: &Request| token(&format!("token-{}", before + 1), 1200);
        Self::start(Box::new(script), Some(config))
    }

    /// The same with a script.
    pub fn scripted_tls(
        config: Arc<rustls::ServerConfig>,
        script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_tls_at("127.0.0.1", config, script)
    }

    /// The same at another address of this machine.
    pub fn scripted_tls_at(
        address: &str,
        config: Arc<rustls::ServerConfig>,
        script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(address, Box::new(script), Some(config))
    }

    fn start(script: Box<Script>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        Self::start_at("127.0.0.1", script, tls)
    }

    fn start_at(
        address: &str,
        script: Box<Script>,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            tls,
            stop: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            resumed: Mutex::new(Vec::new()),
            requests: Mutex::new(Vec::new()),
            sent: AtomicU64::new(0),
        });
        let seen = shared.clone();
        let acceptor = std::thread::spawn(move || seen.accept(&listener));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/token/v2", self.address)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Of each TLS connection that has ended, whether it resumed the session of an earlier one.
    pub fn resumed(&self) -> Vec<bool> {
        self.shared.resumed.lock().unwrap().clone()
    }

    /// Requests received so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The requests received so far.
    pub fn received(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Bytes passed to the system for sending.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor; it accepts no more connections.
        let _ = TcpStream::connect(self.address);
        let ended = self.acceptor.take().unwrap().join();
        if !std::thread::panicking() {
            ended.expect("a thread of the server panicked");
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut threads = Vec::new();
        for stream in listener.incoming() {
            if self.is_stopped() {
                break;
            }
            let Ok(stream) = stream else { continue };
            self.connections.fetch_add(1, Ordering::SeqCst);
            let shared = self.clone();
            threads.push(std::thread::spawn(move || shared.serve(stream)));
        }
        for thread in threads {
            thread.join().expect("a script panicked");
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Serves one connection. Errors that the client causes are ignored.
    fn serve(&self, socket: TcpStream) {
        let prepared = socket
            .set_read_timeout(Some(TICK))
            .and_then(|()| socket.set_write_timeout(Some(TICK)))
            .and_then(|()| socket.set_nodelay(true));
        if prepared.is_err() {
            return;
        }
        let _ = match &self.tls {
            None => self.converse(&mut &socket, &socket),
            Some(config) => {
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(session, &socket);
                let ended = self.converse(&mut stream, &socket);
                let is_resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
                self.resumed.lock().unwrap().push(is_resumed);
                stream.conn.send_close_notify();
                let _ = stream.conn.complete_io(&mut stream.sock);
                ended
            }
        };
    }

    fn converse(
        &self,
        stream: &mut (impl Read + Write),
        socket: &TcpStream,
    ) -> std::io::Result<()> {
        let request = self.read_request(stream)?;
        let before = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        for step in (self.script)(before, &request) {
            match step {
                Step::Send(bytes) => self.send(stream, &bytes)?,
                Step::Trickle(bytes) => {
                    for byte in bytes {
                        self.send(stream, &[byte])?;
                        self.wait(Duration::from_millis(200));
                    }
                }
                Step::Repeat(bytes) => loop {
                    self.send(stream, &bytes)?;
                },
                Step::Wait(time) => self.wait(time),
                Step::Hang => while self.read(stream, &mut [0; 256])? > 0 {},
                Step::Reset => {
                    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                }
                Step::HalfClose => socket.shutdown(Shutdown::Write)?,
                Step::Receive(length) => {
                    let mut bytes = vec![0; length];
                    let mut filled = 0;
                    while filled < length {
                        match self.read(stream, &mut bytes[filled..])? {
                            0 => return Err(ErrorKind::UnexpectedEof.into()),
                            more => filled += more,
                        }
                    }
                    let (head, body) = (String::new(), lossy(&bytes));
                    let request = Request { head, body, bytes, at: Instant::now() };
                    self.requests.lock().unwrap().push(request);
                }
                Step::Tunnel(port) => self.tunnel(socket, port)?,
            }
        }
        Ok(())
    }

    fn tunnel(&self, near: &TcpStream, port: u16) -> std::io::Result<()> {
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        far.set_read_timeout(Some(TICK))?;
        far.set_write_timeout(Some(TICK))?;
        let pass = |mut from: &TcpStream, mut to: &TcpStream| -> std::io::Result<()> {
            let mut buffer = [0; 4096];
            let outcome = loop {
                let passed = self.read(&mut from, &mut buffer).and_then(|length| {
                    self.send(&mut to, &buffer[..length])?;
                    Ok(length > 0)
                });
                match passed {
                    Ok(true) => {}
                    ended => break ended.map(drop),
                }
            };
            // The other direction ends too.
            let _ = from.shutdown(Shutdown::Both).and(to.shutdown(Shutdown::Both));
            outcome
        };
        std::thread::scope(|scope| {
            scope.spawn(|| pass(&far, near));
            pass(near, &far)
        })
    }

    /// Reads up to the end of the body, by Content-Length. Input that does not begin like a POST or
    /// CONNECT counts as a request as soon as it arrives.
    fn read_request(&self, stream: &mut impl Read) -> std::io::Result<Request> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let length = self.read(stream, &mut buffer)?;
            bytes.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&bytes);
            let (head, body) = match text.split_once("\r\n\r\n") {
                Some(parts) => parts,
                None if bytes.first().is_some_and(|byte| !b"PC".contains(byte)) => (&*text, ""),
                None if length == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => continue,
            };
            let expected = header(head, "content-length").map_or(0, |value| value.parse().unwrap());
            if body.len() >= expected {
                let (head, body) = (head.to_owned(), body.to_owned());
                return Ok(Request { head, body, bytes, at: Instant::now() });
            }
            if length == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn read(&self, stream: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.patiently(|| stream.read(buffer))
    }

    fn send(&self, stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.patiently(|| stream.write(rest))?;
            self.sent.fetch_add(length as u64, Ordering::SeqCst);
            rest = &rest[length..];
        }
        self.patiently(|| stream.flush())
    }

    /// Retries on the socket's timeouts until the server stops.
    fn patiently<T>(&self, mut act: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
        loop {
            match act() {
                _ if self.is_stopped() => return Err(ErrorKind::Interrupted.into()),
                Err(error) if is_time_limit(&error) => {}
                outcome => return outcome,
            }
        }
    }

    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < end {
            std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// Bytes as text; invalid UTF-8 is replaced.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_time_limit(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The value of a header, by its name in lower case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A complete response. `headers` are lines, each with its line end.
pub fn answer(status: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
    vec![Step::Send((head + body).into_bytes())]
}

/// A token as the service documents it.
pub fn token(value: &str, expires_in: u64) -> Reply {
    let body =
        format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"{value}"}}"#);
    answer(200, "Content-Type: application/json\r\n", &body)
}

/// A refusal in the form of RFC 6749 section 5.2.
pub fn oauth_error(status: u16, code: &str) -> Reply {
    answer(status, "Content-Type: application/json\r\n", &format!(r#"{{"error":"{code}"}}"#))
}

/// Waits before the reply.
pub fn after(time: Duration, mut reply: Reply) -> Reply {
    reply.insert(0, Step::Wait(time));
    reply
}
