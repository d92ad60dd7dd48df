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

/// Within this a server answers, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// Sends commands as lines; returns the replies to all of them.
    pub fn ask(&self, commands: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).expect("sent");
        until_it_quits(stream)
    }

    pub fn connect(&self) -> UnixStream {
        self.0.connect(PATIENCE)
    }
}

/// All that the server has to say on this connection, to the last reply: silence for a while would not tell.
pub fn until_it_quits(mut stream: UnixStream) -> String {
    stream.write_all(b"QUIT\r\n").expect("sent");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an end");
    String::from_utf8_lossy(&all).into_owned()
}
