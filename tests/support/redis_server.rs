//! A Redis server that a test starts, and other child processes that end with their test, however
//! that ends.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Far more than a busy machine takes to start it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a Unix socket.
pub struct RedisServer {
    child: Child,
    socket: PathBuf,
}

impl RedisServer {
    /// Starts a server with its socket in this directory, and on no port unless the options name
    /// one. `None`: none is installed.
    pub fn start(directory: &Path, options: &[&str]) -> Option<Self> {
        let socket = directory.join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).arg("--dir");
        command.arg(directory).args(options).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = die_with_the_test(&mut command).spawn() else {
            eprintln!("skipped: redis-server is not installed");
            return None;
        };
        let mut server = Self { child, socket };
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(&server.socket).is_err() {
            let has_ended = server.child.try_wait().expect("a child").is_some();
            assert!(!has_ended && Instant::now() < end, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// Its URL. `login`: nothing, or as in `user:password@`.
    pub fn url(&self, login: &str) -> String {
        format!("redis://{login}{}", self.socket.display())
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection whose reads end after this time.
    pub fn connect(&self, patience: Duration) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(patience)).expect("set");
        stream
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is this test's own and was not reaped.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nothing listens, for a server that a test starts. Below those that the system chooses itself: one of
/// them could be taken by any program before the server has started.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 1000 * 11;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The child process is killed when the thread that starts it ends, however that happens.
pub fn die_with_the_test(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;
        let ask = || {
            // SAFETY: takes two numbers, and may be called after a fork.
            match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: the function only makes a system call.
        unsafe { command.pre_exec(ask) };
    }
    command
}
