//! A Redis server of a test, on a Unix socket and, if asked, on ports of this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far above what a busy machine takes to start it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server ends with the thread that starts it, also if the test is killed.
fn end_with_the_test() -> std::io::Result<()> {
    // SAFETY: takes two numbers, and may be called after a fork.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

pub struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    /// `None`: it is not installed.
    pub fn start(home: &Path) -> Option<Self> {
        Self::start_with(home, &["--port", "0"])
    }

    pub fn start_with(home: &Path, options: &[&str]) -> Option<Self> {
        let socket = home.join("redis.sock");
        let mut command = Command::new("redis-server");
        command
            .args(["--save", "", "--dir"])
            .arg(home)
            .arg("--unixsocket")
            .arg(&socket)
            .args(options);
        // SAFETY: the function only makes a system call.
        unsafe { command.pre_exec(end_with_the_test) };
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("skipped: redis-server is not installed");
            return None;
        };
        let mut redis = Self { child, socket };
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(&redis.socket).is_err() {
            let has_ended = redis.child.try_wait().expect("a child").is_some();
            assert!(!has_ended && Instant::now() < end, "redis-server does not start");
            sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// `login`: as in `user:password@`.
    pub fn url_with(&self, login: &str) -> String {
        format!("redis://{login}{}", self.socket.display())
    }

    /// Sends commands as lines; returns what comes within a moment.
    pub fn ask(&self, commands: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).expect("sent");
        until_silent(&mut stream)
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        stream
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is this test's own and was not reaped.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn until_silent(stream: &mut UnixStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        all.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}
