//! Credentials that hang or change: pipes, functions that block, and clients that use them.

use std::ffi::CString;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use tu_token::{
    Client, Clock, Config, Credentials, Error, ErrorKind, Event, GetOptions, ManualClock, Token,
};

use super::{ID, Server, oauth_error, options, token, until, with_timeout};

pub const OLD: &str = "old-secret-0123456789";
pub const NEW: &str = "new-secret-9876543210";

/// Whatever must happen soon happens within this time, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
pub const SECOND: Duration = Duration::from_secs(1);

/// Runs something that must not hang, on its own thread.
pub fn soon<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || drop(send.send(act())));
    receive.recv_timeout(SOON).unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Replaces a file by a named pipe.
pub fn make_pipe(path: &str) -> Pipe {
    let _ = std::fs::remove_file(path);
    let name = CString::new(path).unwrap();
    // SAFETY: the name is NUL-terminated, and only read.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{path}");
    // A second name, for when a file replaces the pipe.
    let other = format!("{path}.pipe");
    let _ = std::fs::remove_file(&other);
    std::fs::hard_link(path, &other).unwrap();
    Pipe(other)
}

/// Releases the readers of a pipe when the test ends: they would block the next test.
pub struct Pipe(String);

impl Drop for Pipe {
    fn drop(&mut self) {
        for _ in 0..50 {
            offer(&self.0, "");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Writes a text to the pipe for one reader.
pub fn write_once(path: &str, text: &str) {
    let (path, text) = (path.to_owned(), text.to_owned());
    soon("the writer of a pipe without a reader", move || {
        std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
    })
    .unwrap();
}

/// The same if there is a reader right now.
pub fn offer(path: &str, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    let _ = open.and_then(|mut pipe| pipe.write_all(text.as_bytes()));
}

/// A file that blocks whoever opens it until it is released; reading its metadata does not block.
/// It has changed, so it will be read.
#[cfg(target_os = "linux")]
pub struct Hung(std::fs::File);

#[cfg(target_os = "linux")]
impl Hung {
    pub fn new(path: &str) -> Self {
        use std::os::fd::AsRawFd;
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        // The lease's holder is notified of readers by a signal that has no effect without a
        // handler.
        // SAFETY: the descriptor is open, and neither call touches memory.
        let is_leased = || unsafe {
            libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) == 0
                && libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0
        };
        // Another thread may be reading it.
        until("the lease", is_leased);
        file.write_all(b"?").unwrap();
        Self(file)
    }

    /// Releases those who opened it; the file then contains this text.
    pub fn hold(mut self, text: &str) {
        self.0.set_len(0).unwrap();
        self.0.write_all(text.as_bytes()).unwrap();
    }
}

#[cfg(target_os = "linux")]
const F_SETSIG: libc::c_int = 10;

/// Waits until the fetches of these scopes wait for this file or function.
pub fn until_they_wait(client: &Client, scopes: &[String], what: &str) {
    for scope in scopes {
        until("the fetch waits for its credentials", || {
            let no_wait = GetOptions { scope: Some(scope), ..with_timeout(Duration::ZERO) };
            client.get(&no_wait).is_err_and(|error| error.message().contains(what))
        });
    }
    // They report it just before they join.
    std::thread::sleep(Duration::from_millis(50));
}

/// A gate that functions block at until it is opened.
#[derive(Clone, Default)]
pub struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    pub fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Opened when a test fails: none of its threads may stay blocked.
impl Drop for Door {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.open();
        }
    }
}

/// Long timeouts: a busy machine is not what these tests are about.
const UNHURRIED: [(&str, &str); 3] =
    [("fetch_timeout", "20s"), ("request_timeout", "20s"), ("connect_timeout", "20s")];

/// A server that accepts only the new secret.
pub fn server_that_takes_the_new_secret() -> Server {
    Server::new(|before, request| match request.body.contains(NEW) {
        true => token(&format!("token-{before}"), 1200),
        false => oauth_error(401, "invalid_client"),
    })
}

/// A client that reads its secret from a file; its clock stands still.
pub fn of_file(server: &Server, path: &str, more: &[(&str, &str)]) -> (Client, Arc<ManualClock>) {
    let (client, clock, _) = of_file_with_events(server, path, more);
    (client, clock)
}

/// The same with its events.
pub fn of_file_with_events(
    server: &Server,
    path: &str,
    more: &[(&str, &str)],
) -> (Client, Arc<ManualClock>, Arc<Mutex<Vec<Event>>>) {
    let url = server.url();
    let mut config = Config::new();
    let has_id_file = more.iter().any(|(key, _)| *key == "client_id_file");
    let is_left_out = |key: &str| key == "client_secret" || (has_id_file && key == "client_id");
    for (key, value) in options(&url).into_iter().filter(|(key, _)| !is_left_out(key)) {
        config.set(key, value);
    }
    config.set("client_secret_file", path);
    for (key, value) in UNHURRIED.iter().chain(more) {
        config.set(key, value);
    }
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    config.on_event(move |event: &Event| seen.lock().unwrap().push(event.clone()));
    let clock = Arc::new(ManualClock::default());
    let client = Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap();
    (client, clock, events)
}

/// The client, its clock, the number of calls of its function, and its events.
pub type OfFunction = (Client, Arc<ManualClock>, Arc<AtomicUsize>, Arc<Mutex<Vec<Event>>>);

/// A client whose function receives the number of earlier calls; its clock stands still.
pub fn of_function(
    server: &Server,
    more: &[(&str, &str)],
    function: impl Fn(usize, bool) -> Option<Credentials> + Send + Sync + 'static,
) -> OfFunction {
    let url = server.url();
    let mut config = Config::new();
    for (key, value) in options(&url).into_iter().filter(|(key, _)| !key.starts_with("client_")) {
        config.set(key, value);
    }
    for (key, value) in UNHURRIED.iter().chain(more) {
        config.set(key, value);
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    config.on_credentials(move |refused| function(count.fetch_add(1, Ordering::SeqCst), refused));
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    config.on_event(move |event: &Event| seen.lock().unwrap().push(event.clone()));
    let clock = Arc::new(ManualClock::default());
    let client = Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap();
    (client, clock, calls, events)
}

pub fn of_scope(client: &Client, scope: &str) -> Result<Token, Error> {
    client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() })
}

pub fn kind(outcome: Result<Token, Error>) -> ErrorKind {
    outcome.map(|token| token.value().to_owned()).unwrap_err().kind()
}

pub fn pair(secret: &str) -> Option<Credentials> {
    Some(Credentials::new(ID, secret))
}

pub fn ask(client: &Client, options: &GetOptions<'_>) -> mpsc::Receiver<Result<Token, Error>> {
    let (send, receive) = mpsc::channel();
    client.get_async(options, move |outcome| drop(send.send(outcome))).unwrap();
    receive
}
