//! Runs a command with a TLS endpoint in front of the running emulator, for programs that fetch over
//! HTTPS from a host whose name must be looked up. The options of the command's environment are
//! changed to match: `TRACKUNIT_TOKEN_URL`, `TRACKUNIT_CA_FILE`. `FRONT_CERT` and `FRONT_KEY` are the
//! files of a client certificate, for which the endpoint does not ask.
//!
//! The host is `tokens.test`, a name that only tests/c/names.h resolves, or another one of this machine.
//! Usage: tls-front [--name NAME] COMMAND [ARGUMENT...]

#![allow(missing_docs)]

#[path = "../support/tls.rs"]
#[allow(dead_code)]
mod tls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, exit};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tls::{Files, Identity, open_server};

/// Longer than any client of it waits.
const LONGEST: Duration = Duration::from_secs(120);

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A request: its head, and the body that its head announces.
fn request(client: &mut Tls) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&read[..end + 4]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if read.len() >= end + 4 + length.unwrap_or(0) {
                return Ok((head, read.split_off(end + 4)));
            }
        }
        match client.read(&mut piece)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => read.extend_from_slice(&piece[..more]),
        }
    }
}

/// One request of one connection, with the emulator's name in the place of this host's.
fn serve(accepted: TcpStream, config: Arc<ServerConfig>, emulator: &str) -> io::Result<()> {
    accepted.set_read_timeout(Some(LONGEST))?;
    accepted.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = StreamOwned::new(connection, accepted);
    let (head, body) = request(&mut client)?;
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
    let head = head.replacen(line.unwrap_or_default(), &format!("Host: {emulator}"), 1);
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut server = TcpStream::connect(emulator)?;
    server.set_read_timeout(Some(LONGEST))?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}

fn main() -> io::Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut name = "tokens.test".to_owned();
    if words[0] == "--name" {
        name = words.drain(..2).next_back().unwrap_or_default();
    }
    let url = std::env::var("EMULATOR_URL").map_err(io::Error::other)?;
    let emulator: Arc<str> = url.trim_start_matches("http://").into();
    let identity = Identity::self_signed(&name);
    let files = Files::new();
    let config = open_server(&identity);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for accepted in listener.incoming().flatten() {
            let (config, emulator) = (config.clone(), emulator.clone());
            // An error is the client's: it has given up.
            thread::spawn(move || drop(serve(accepted, config, &emulator)));
        }
    });
    let status = Command::new(&words[0])
        .args(&words[1..])
        .env("TRACKUNIT_TOKEN_URL", format!("https://{name}:{port}/token/v2"))
        .env("TRACKUNIT_CA_FILE", files.write("ca.pem", &identity.cert.pem()))
        .env("FRONT_CERT", files.write("client.pem", &identity.cert.pem()))
        .env("FRONT_KEY", files.write("client.key", &identity.key.serialize_pem()))
        .status()?;
    drop(files);
    exit(status.code().unwrap_or(1));
}
