//! A connection to a server. Everything on it together ends by the operation's deadline: the look-up
//! of the name, connecting, the TLS handshake and every reply, however slowly the bytes arrive.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use zeroize::Zeroizing;

use super::trouble::{Class, Step, Trouble};
#[cfg(unix)]
use super::unix;
use super::wire::{Fault, Received, Reply, command};
use crate::config::redis_url::{Place, Target};
use crate::endpoint::resolve;
use crate::endpoint::trust::Trust;

/// A connection, logged in, with the database selected.
pub(super) struct Link {
    stream: Stream,
    received: Received,
    /// All commands sent so far have been answered.
    is_sound: bool,
    /// The server has answered nothing yet, and may be waiting for TLS.
    may_have_tls: bool,
}

enum Stream {
    Plain(Timed),
    Secured(Box<StreamOwned<ClientConnection, Timed>>),
}

enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket of which each use ends by a deadline.
struct Timed {
    socket: Socket,
    deadline: Instant,
}

impl Link {
    pub(super) fn open(target: &Target, trust: &Trust, deadline: Instant) -> Result<Self, Trouble> {
        let socket = connect(&target.place, deadline)?;
        let plain = Timed { socket, deadline };
        let stream = match &target.place {
            Place::Tcp { host, is_tls: true, .. } => secure(plain, host, trust)?,
            _ => Stream::Plain(plain),
        };
        let may_have_tls = matches!(target.place, Place::Tcp { is_tls: false, .. });
        let mut link = Self { stream, received: Received::default(), is_sound: true, may_have_tls };
        link.log_in(target)?;
        Ok(link)
    }

    fn log_in(&mut self, target: &Target) -> Result<(), Trouble> {
        if let Some(password) = &target.password {
            let (user, password) = (target.user.as_ref(), password.reveal().as_bytes());
            let auth = match user {
                Some(user) => command(&[b"AUTH", user.reveal().as_bytes(), password]),
                None => command(&[b"AUTH", password]),
            };
            if let [Reply::Refused(code)] = &self.ask(&[&auth])?[..] {
                return Err(Trouble::login(code));
            }
        }
        if target.database != 0 {
            let number = target.database.to_string();
            let select = command(&[b"SELECT", number.as_bytes()]);
            match &self.ask(&[&select])?[..] {
                [Reply::Refused(code)] if code == "ERR" => {
                    let what = format!("has no database {number} (see its setting databases)");
                    return Err(Trouble::new(Class::Login, what));
                }
                [Reply::Refused(code)] => return Err(Trouble::refused(code)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends commands and reads a reply to each.
    pub(super) fn ask(&mut self, commands: &[&[u8]]) -> Result<Vec<Reply>, Trouble> {
        self.is_sound = false;
        let bytes = Zeroizing::new(commands.concat());
        if let Err(error) = self.stream.write_all(&bytes).and_then(|()| self.stream.flush()) {
            let farewell = self.received.next(&mut self.stream).ok();
            return Err(self.ended(&error, farewell.as_ref()));
        }
        let mut replies = Vec::with_capacity(commands.len());
        for _ in commands {
            match self.received.next(&mut self.stream) {
                Ok(reply) => replies.push(reply),
                Err(Fault::Foreign(first)) => return Err(Trouble::foreign(first)),
                Err(Fault::Io(error)) => return Err(self.ended(&error, replies.last())),
            }
        }
        self.is_sound = self.received.is_empty();
        self.may_have_tls = false;
        Ok(replies)
    }

    /// The connection failed. A server that takes no more connections, or none from strangers, says so
    /// in an error and ends the connection, perhaps before it has received a command.
    fn ended(&self, error: &io::Error, last: Option<&Reply>) -> Trouble {
        match (last, Trouble::reply(error)) {
            (Some(Reply::Refused(code)), _) => Trouble::refused(code),
            (_, trouble) if self.may_have_tls && trouble.has_ended => Trouble::without_reply(),
            (_, trouble) => trouble,
        }
    }

    /// Whether it may be used for another operation.
    pub(super) fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Prepares an idle connection for another operation. `false`: the server has ended it, or has
    /// sent something that nothing asked for.
    pub(super) fn wake(&mut self, deadline: Instant) -> bool {
        let (timed, is_drained) = match &mut self.stream {
            Stream::Plain(timed) => (timed, true),
            Stream::Secured(stream) => {
                // Received and decrypted, but not read.
                let state = stream.conn.process_new_packets();
                let is_drained = state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0);
                (&mut stream.sock, is_drained)
            }
        };
        timed.deadline = deadline;
        is_drained && timed.socket.is_quiet()
    }
}

fn connect(place: &Place, deadline: Instant) -> Result<Socket, Trouble> {
    match place {
        Place::Tcp { host, port, .. } => connect_tcp(host, *port, deadline),
        #[cfg(unix)]
        Place::Socket(path) => unix::connect(path, deadline)
            .map(Socket::Unix)
            .map_err(|error| Trouble::io(&error, Step::Connect)),
        #[cfg(not(unix))]
        Place::Socket(_) => Err(Trouble::new(
            Class::Setting,
            "names a Unix socket, which this system does not have",
        )),
    }
}

/// Tries all addresses, each with half of the remaining time, the last one with all of it.
fn connect_tcp(host: &str, port: u16, deadline: Instant) -> Result<Socket, Trouble> {
    let addresses = resolve::addresses(host, left(deadline)).map_err(|problem| {
        Trouble::new(Class::Unreachable, format!("cannot be reached: {problem}"))
    })?;
    let mut failed = Trouble::new(Class::Unreachable, "has no address");
    for (at, address) in addresses.iter().enumerate() {
        let left = left(deadline);
        if left.is_zero() {
            return Err(Trouble::slow(Step::Connect));
        }
        let share = if at + 1 == addresses.len() { left } else { left / 2 };
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), share) {
            Ok(tcp) => {
                // Commands are small, and the reply to each is waited for.
                let _ = tcp.set_nodelay(true);
                return Ok(Socket::Tcp(tcp));
            }
            Err(error) => failed = Trouble::io(&error, Step::Connect),
        }
    }
    Err(failed)
}

fn secure(plain: Timed, host: &str, trust: &Trust) -> Result<Stream, Trouble> {
    let untrusted = |what: String| Trouble::new(Class::Untrusted, what);
    let security =
        trust.security().map_err(|problem| untrusted(format!("cannot be trusted: {problem}")))?;
    let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))
        .map_err(|_| untrusted("has a host name that no certificate can be for".to_owned()))?
        .to_owned();
    let connection = ClientConnection::new(security.config, name)
        .map_err(|_| untrusted("cannot be secured".to_owned()))?;
    let mut stream = StreamOwned::new(connection, plain);
    while stream.conn.is_handshaking() {
        let done = stream.conn.complete_io(&mut stream.sock);
        done.map_err(|error| Trouble::handshake(&error, &security.store))?;
    }
    Ok(Stream::Secured(Box::new(stream)))
}

pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = left(self.deadline);
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        match &mut self.socket {
            Socket::Tcp(tcp) => {
                tcp.set_read_timeout(left)?;
                tcp.read(buffer)
            }
            #[cfg(unix)]
            Socket::Unix(unix) => {
                unix.set_read_timeout(left)?;
                unix.read(buffer)
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(self.left()?);
        match &mut self.socket {
            Socket::Tcp(tcp) => {
                tcp.set_write_timeout(left)?;
                tcp.write(bytes)
            }
            #[cfg(unix)]
            Socket::Unix(unix) => {
                unix.set_write_timeout(left)?;
                unix.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Whether nothing can be read from it, not even its end.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let (read, restored) = match self {
            Self::Tcp(tcp) => {
                let read = tcp.set_nonblocking(true).and_then(|()| tcp.read(&mut byte));
                (read, tcp.set_nonblocking(false))
            }
            #[cfg(unix)]
            Self::Unix(unix) => {
                let read = unix.set_nonblocking(true).and_then(|()| unix.read(&mut byte));
                (read, unix.set_nonblocking(false))
            }
        };
        restored.is_ok() && read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Secured(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(bytes),
            Self::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Secured(stream) => stream.flush(),
        }
    }
}
