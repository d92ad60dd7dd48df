//! A Redis server of a test, and what is said to it.

use std::io::{Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

#[allow(dead_code)]
#[path = "../../../../tests/support/redis_server.rs"]
mod process;

use process::RedisServer;
pub use process::free_port;

pub struct Redis(RedisServer);

impl Deref for Redis {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.0
    }
}

impl Redis {
    /// `None`: it is not installed.
    pub fn start(home: &Path) -> Option<Self> {
        Self::start_with(home, &[])
    }

    pub fn start_with(home: &Path, options: &[&str]) -> Option<Self> {
        RedisServer::start(home, options).map(Self)
    }

    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// `login`: as in `user:password@`.
    pub fn url_with(&self, login: &str) -> String {
        self.0.url(login)
    }

    /// Sends commands as lines; returns what comes within a moment.
    pub fn ask(&self, commands: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).expect("sent");
        until_silent(&mut stream)
    }

    pub fn connect(&self) -> UnixStream {
        self.0.connect(Duration::from_millis(200))
    }
}

pub fn until_silent(stream: &mut UnixStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        all.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
