//! Credentials that hang, come late or are wrong: whom that holds up, and for how long.

#![cfg(unix)]

mod support;

use std::ffi::CString;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use support::tls::Files;
use support::{
    ID, Server, after, answer, builder, oauth_error, options, together, token, until, value,
    with_timeout,
};
use tu_token::ErrorKind::{
    Budget, Closed, Config as BadConfig, Credentials as NoCredentials, InvalidClient, InvalidScope,
    Pending, RateLimited, Timeout,
};
use tu_token::{
    Client, Clock, Config, Credentials, Error, ErrorKind, Event, EventKind, GetOptions,
    ManualClock, Token,
};

const OLD: &str = "old-secret-0123456789";
const NEW: &str = "new-secret-9876543210";

/// What has to come soon comes within this, on a busy machine too.
const SOON: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// One test at a time: some keep every thread busy that reads credentials.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something that may hang for ever, on a thread of its own; it must not.
fn soon<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || drop(send.send(act())));
    receive.recv_timeout(SOON).unwrap_or_else(|_| panic!("{what} hangs"))
}

/// A pipe in the place of whatever was there.
fn make_pipe(path: &str) -> Pipe {
    let _ = std::fs::remove_file(path);
    let name = CString::new(path).unwrap();
    // SAFETY: the name is NUL-terminated, and only read.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{path}");
    // Another name of it, for when a file is put in its place.
    let other = format!("{path}.pipe");
    std::fs::hard_link(path, &other).unwrap();
    Pipe(other)
}

/// Lets go of those who read a pipe when the test ends: they would be in the next one's way.
struct Pipe(String);

impl Drop for Pipe {
    fn drop(&mut self) {
        for _ in 0..50 {
            offer(&self.0, "");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Lets one reader of a pipe have a text.
fn write_once(path: &str, text: &str) {
    let (path, text) = (path.to_owned(), text.to_owned());
    soon("nobody reads the pipe: the writer", move || {
        std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
    })
    .unwrap();
}

/// The same if there is a reader just now.
fn offer(path: &str, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let open = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    let _ = open.and_then(|mut pipe| pipe.write_all(text.as_bytes()));
}

/// Waits until the fetches of these scopes wait for this file.
fn until_they_wait(client: &Client, scopes: &[String], path: &str) {
    for scope in scopes {
        until("the fetch waits for the file", || {
            let no_wait = GetOptions { scope: Some(scope), ..with_timeout(Duration::ZERO) };
            client.get(&no_wait).is_err_and(|error| error.message().contains(path))
        });
    }
    // They say so just before they join.
    std::thread::sleep(Duration::from_millis(50));
}

/// A door that functions stand before until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Opened when a test ends, however it ends: nothing of it may stay before the door.
impl Drop for Door {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.open();
        }
    }
}

/// A client that reads its secret from a file; its time stands still.
fn of_file(server: &Server, path: &str, more: &[(&str, &str)]) -> (Client, Arc<ManualClock>) {
    let url = server.url();
    let mut config = Config::new();
    for (key, value) in options(&url).into_iter().filter(|(key, _)| *key != "client_secret") {
        config.set(key, value);
    }
    config.set("client_secret_file", path);
    for (key, value) in more {
        config.set(key, value);
    }
    let clock = Arc::new(ManualClock::default());
    (Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap(), clock)
}

/// The client, its clock, the calls of its function, and what it told.
type OfFunction = (Client, Arc<ManualClock>, Arc<AtomicUsize>, Arc<Mutex<Vec<Event>>>);

/// A client whose function is told how many calls came before; its time stands still.
fn of_function(
    server: &Server,
    more: &[(&str, &str)],
    function: impl Fn(usize, bool) -> Option<Credentials> + Send + Sync + 'static,
) -> OfFunction {
    let url = server.url();
    let mut config = Config::new();
    for (key, value) in options(&url).into_iter().filter(|(key, _)| !key.starts_with("client_")) {
        config.set(key, value);
    }
    for (key, value) in more {
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

fn of_scope(client: &Client, scope: &str) -> Result<Token, Error> {
    client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() })
}

fn kind(outcome: Result<Token, Error>) -> ErrorKind {
    outcome.map(|token| token.value().to_owned()).unwrap_err().kind()
}

fn pair(secret: &str) -> Option<Credentials> {
    Some(Credentials::new(ID, secret))
}

fn ask(client: &Client, options: &GetOptions<'_>) -> mpsc::Receiver<Result<Token, Error>> {
    let (send, receive) = mpsc::channel();
    client.get_async(options, move |outcome| drop(send.send(outcome))).unwrap();
    receive
}

/// How many threads of the library's pool there are.
#[cfg(target_os = "linux")]
fn pool_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name.trim() == "tu-token")).count()
}

// --- files that hang ---------------------------------------------------------------------------

#[test]
fn no_call_hangs_with_a_file_that_hangs_while_a_refusal_is_remembered() {
    let _alone = alone();
    let server = Server::new(|before, request| match request.body.contains(NEW) {
        true => token(&format!("token-{before}"), 1200),
        false => oauth_error(401, "invalid_client"),
    });
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(client.token()), InvalidClient);
    let _pipe = make_pipe(&path);
    for round in 0..3 {
        clock.advance(SECOND);
        let asker = client.clone();
        let heard = soon("a call", move || {
            let short = with_timeout(Duration::from_millis(100));
            let by_function = ask(&asker, &short).recv_timeout(SOON).unwrap();
            let no_wait = asker.get(&with_timeout(Duration::ZERO));
            [kind(by_function), kind(asker.get(&short)), kind(no_wait), kind(asker.token())]
        });
        assert_eq!(heard, [InvalidClient; 4], "{round}");
    }
    let asker = client.clone();
    let heard = soon("a call", move || {
        asker.wake();
        let _ = asker.stats(None).unwrap();
        kind(asker.get(&with_timeout(Duration::ZERO)))
    });
    // It probes, and the probe waits for the file.
    assert_eq!(heard, Pending);
    until("the new secret is used", || {
        offer(&path, NEW);
        clock.advance(SECOND / 10);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
}

#[test]
fn a_client_is_not_made_with_a_file_that_hangs_and_the_error_names_it() {
    let _alone = alone();
    let files = Files::new();
    let good = files.write("good", OLD);
    let pipe = files.write("pipe", "");
    let _pipe = make_pipe(&pipe);
    let rows = [
        ("client_secret_file", &good, &pipe),
        ("client_id_file", &pipe, &good),
        ("ca_file", &good, &good),
    ];
    for (option, id, secret) in rows {
        let (id, secret, pipe) = (id.clone(), secret.clone(), pipe.clone());
        let error = soon(option, move || {
            let made = Client::builder()
                .set("client_id_file", &id)
                .set("client_secret_file", &secret)
                .set("scope", "a")
                .set("timeout", "300ms")
                .set("connect_timeout", "300ms");
            let made = if option == "ca_file" { made.set(option, &pipe) } else { made };
            made.build().unwrap_err()
        });
        assert_eq!(error.kind(), BadConfig, "{error}");
        let message = error.message();
        for word in [option, "pipe", "in time"] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

#[test]
fn a_file_that_hangs_holds_up_no_other_client() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (hung, _) = of_file(&server, &path, &[]);
    let _pipe = make_pipe(&path);
    // More fetches than there are threads.
    let scopes: Vec<String> = (0..80).map(|scope| format!("scope-{scope}")).collect();
    let waiting: Vec<_> = scopes
        .iter()
        .map(|scope| ask(&hung, &GetOptions { scope: Some(scope), ..GetOptions::default() }))
        .collect();
    until_they_wait(&hung, &scopes, &path);
    let (of_values, other) = (builder(&server.url()).build().unwrap(), files.write("other", NEW));
    let (of_another_file, _) = of_file(&server, &other, &[]);
    let tokens = soon("another client", move || [of_values.token(), of_another_file.token()]);
    assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
    #[cfg(target_os = "linux")]
    assert!(pool_threads() < 40, "{} threads for one file", pool_threads());
    // One read serves them all: a pipe gives its text to one reader only.
    write_once(&path, NEW);
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
}

#[test]
fn one_read_of_a_path_serves_every_client() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let clients = [(); 5].map(|()| of_file(&server, &path, &[]).0);
    let _pipe = make_pipe(&path);
    let waiting = clients.each_ref().map(|client| ask(client, &GetOptions::default()));
    for client in &clients {
        until_they_wait(client, &["a b".to_owned()], &path);
    }
    write_once(&path, NEW);
    for outcome in waiting {
        assert!(outcome.recv_timeout(SOON).unwrap().is_ok());
    }
    assert!(server.received().iter().all(|request| request.body.contains(NEW)));
}

#[test]
fn a_caller_who_waits_for_a_file_in_vain_is_told_which() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[("timeout", "1h")]);
    let _pipe = make_pipe(&path);
    let no_wait = client.get(&with_timeout(Duration::ZERO)).unwrap_err();
    assert_eq!(no_wait.kind(), Pending);
    let waiting = ask(&client, &with_timeout(Duration::from_secs(600)));
    clock.advance(Duration::from_secs(599));
    // Much more than fetch_timeout has passed; the wait goes on.
    let pending = client.get(&with_timeout(Duration::ZERO)).unwrap_err();
    assert!(pending.message().contains(&path), "{pending}");
    assert!(waiting.try_recv().is_err());
    clock.advance(SECOND);
    let error = waiting.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.kind(), Timeout, "{error}");
    assert!(error.message().contains(&format!("client_secret_file {path}")), "{error}");
    // The file is mended, though the pipe's reader hangs: another read is begun.
    std::fs::remove_file(&path).unwrap();
    files.write("secret", NEW);
    let asker = client.clone();
    assert!(soon("the mended file", move || asker.token()).is_ok());
}

// --- functions that hang, or take their time -----------------------------------------------------

#[test]
fn a_slow_function_takes_nothing_of_the_fetchs_time() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, events) = of_function(&server, &[("timeout", "1h")], move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let waiting = ask(&client, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    // Ten times fetch_timeout, and less than what makes a call doubtful.
    clock.advance(Duration::from_secs(9));
    assert_eq!(kind(client.get(&with_timeout(Duration::ZERO))), Pending);
    assert!(waiting.try_recv().is_err());
    door.open();
    assert_eq!(value(waiting.recv_timeout(SOON).unwrap()), "token-1");
    assert_eq!((calls.load(Ordering::SeqCst), server.requests()), (1, 1));
    let told = events.lock().unwrap();
    assert!(!told.iter().any(|event| event.kind == EventKind::FetchFailed), "{told:?}");
}

#[test]
fn whoever_waits_in_vain_for_a_function_is_told_so_and_the_next_has_a_new_try() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    // The first call hangs for ever; a second one works.
    let (client, clock, calls, events) = of_function(&server, &[], move |before, _| {
        if before == 0 {
            closed.wait();
        }
        pair(NEW)
    });
    let waiting = ask(&client, &with_timeout(SECOND / 2));
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    clock.advance(SECOND / 2);
    let error = waiting.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.kind(), Timeout);
    assert!(error.message().contains("the credentials function has not returned"), "{error}");
    clock.advance(SECOND / 2);
    let asker = client.clone();
    assert_eq!(value(soon("the next caller", move || asker.token())), "token-1");
    assert_eq!((calls.load(Ordering::SeqCst), server.requests()), (2, 1));
    assert_eq!(client.stats(None).unwrap().failures, 1);
    until("the given up fetch is told of", || {
        let told = events.lock().unwrap();
        told.iter().any(|event| {
            event.error == Some(NoCredentials) && event.message.contains("credentials function")
        })
    });
    door.open();
}

#[test]
fn a_call_that_hangs_is_tried_beside_while_somebody_waits_and_not_without_end() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) =
        of_function(&server, &[("timeout", "24h")], move |before, _| {
            if before < 3 {
                closed.wait();
            }
            pair(NEW)
        });
    let waiting = ask(&client, &GetOptions::default());
    for expected in 1..=3 {
        until("another call", || calls.load(Ordering::SeqCst) == expected);
        clock.advance(Duration::from_secs(10));
    }
    assert_eq!(value(waiting.recv_timeout(SOON).unwrap()), "token-1");
    door.open();
}

#[test]
fn a_function_that_always_hangs_is_called_a_few_times() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) = of_function(&server, &[("timeout", "24h")], move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let asks = || {
        assert_eq!(kind(client.get(&with_timeout(Duration::ZERO))), Pending);
        clock.advance(Duration::from_secs(10));
    };
    until("the calls", || {
        asks();
        calls.load(Ordering::SeqCst) == 4
    });
    for _ in 0..20 {
        asks();
        std::thread::sleep(Duration::from_millis(2));
    }
    door.open();
    until("a token", || {
        // A fetch may have begun just before the clock was turned, and failed for that.
        clock.advance(SECOND / 20);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
    // One more if the fetch was given up just before they returned.
    assert!(calls.load(Ordering::SeqCst) <= 5);
}

#[test]
fn fetches_of_all_scopes_share_a_call() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, _, calls, _) = of_function(&server, &[], move |_, _| {
        closed.wait();
        pair(NEW)
    });
    let waiting: Vec<_> = (0..80)
        .map(|scope| {
            let scope = format!("scope-{scope}");
            ask(&client, &GetOptions { scope: Some(&scope), ..GetOptions::default() })
        })
        .collect();
    let healthy = builder(&server.url()).build().unwrap();
    assert!(soon("another client", move || healthy.token()).is_ok());
    door.open();
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn eight_functions_run_at_once_and_the_others_come_after_them() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let running = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let (closed, inside) = (door.clone(), running.clone());
            of_function(&server, &[], move |_, _| {
                inside.fetch_add(1, Ordering::SeqCst);
                closed.wait();
                pair(NEW)
            })
            .0
        })
        .collect();
    let waiting: Vec<_> =
        clients.iter().map(|client| ask(client, &GetOptions::default())).collect();
    until("eight run", || running.load(Ordering::SeqCst) == 8);
    let healthy = builder(&server.url()).build().unwrap();
    assert!(soon("another client", move || healthy.token()).is_ok());
    assert_eq!(running.load(Ordering::SeqCst), 8);
    door.open();
    for outcome in waiting {
        assert!(outcome.recv_timeout(2 * SOON).unwrap().is_ok());
    }
}

#[test]
fn a_renewal_whose_function_hangs_leaves_the_token_to_callers() {
    let _alone = alone();
    for keep_warm in ["false", "true"] {
        let server = Server::tokens(1200);
        let door = Door::default();
        let closed = door.clone();
        let more = [("timeout", "1h"), ("keep_warm", keep_warm)];
        let (client, clock, calls, events) = of_function(&server, &more, move |before, _| {
            if before > 0 {
                closed.wait();
            }
            pair(NEW)
        });
        assert_eq!(value(client.token()), "token-1");
        clock.advance(Duration::from_secs(1000));
        for _ in 0..16 {
            assert_eq!(value(client.token()), "token-1");
            clock.advance(Duration::from_secs(10));
        }
        until("the renewal has asked", || calls.load(Ordering::SeqCst) >= 2);
        door.open();
        until("the renewal", || {
            clock.advance(SECOND / 20);
            value(client.get(&with_timeout(Duration::ZERO))) == "token-2"
        });
        let told = events.lock().unwrap();
        assert!(!told.iter().any(|event| event.message.contains("name resolution")), "{told:?}");
    }
}

#[test]
fn a_rotation_and_a_close_end_the_wait_for_a_function_that_hangs() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    for rotates in [true, false] {
        let closed = door.clone();
        let (client, _, calls, _) = of_function(&server, &[], move |_, _| {
            closed.wait();
            pair(OLD)
        });
        let waiting = ask(&client, &GetOptions::default());
        until("the function is called", || calls.load(Ordering::SeqCst) == 1);
        match rotates {
            true => client.rotate(ID, NEW).unwrap(),
            false => client.close(),
        }
        let outcome = waiting.recv_timeout(SOON).unwrap();
        match rotates {
            true => assert!(outcome.is_ok(), "{outcome:?}"),
            false => assert_eq!(kind(outcome), Closed),
        }
    }
    assert!(server.received()[0].body.contains(NEW));
    door.open();
}

#[test]
fn after_wake_a_function_that_hangs_is_asked_again() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let closed = door.clone();
    let (client, clock, calls, _) = of_function(&server, &[], move |before, _| {
        if before == 0 {
            closed.wait();
        }
        pair(NEW)
    });
    let waiting = ask(&client, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    clock.advance(SECOND);
    client.wake();
    assert!(waiting.recv_timeout(SOON).unwrap().is_ok());
    door.open();
}

/// Whether a forked child gets a token, in time.
fn a_child_gets_a_token(client: &Client) -> bool {
    // SAFETY: the child calls the library, which allows it, and ends without running what belongs to
    // its parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let outcome = client.get(&with_timeout(Duration::from_secs(3)));
        // SAFETY: it ends the process, at once.
        unsafe { libc::_exit(if outcome.is_ok() { 7 } else { 8 }) };
    }
    let mut status = 0;
    let end = Instant::now() + 3 * SOON;
    // SAFETY: `status` is written to, and outlives the call.
    while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > end {
            // SAFETY: the child is ours, and has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7
}

#[test]
fn a_forked_child_asks_for_itself_what_its_parents_threads_hang_with() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let door = Door::default();
    let (closed, parent) = (door.clone(), std::process::id());
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let of_function = options(&server.url())
        .into_iter()
        .filter(|(key, _)| !key.starts_with("client_"))
        .fold(Client::builder(), |builder, (key, value)| builder.set(key, value))
        .on_credentials(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            if std::process::id() == parent {
                closed.wait();
            }
            pair(NEW)
        })
        .build()
        .unwrap();
    let waiting = ask(&of_function, &GetOptions::default());
    until("the function is called", || calls.load(Ordering::SeqCst) == 1);
    assert!(a_child_gets_a_token(&of_function), "beside a function that hangs");
    door.open();
    assert!(waiting.recv_timeout(SOON).unwrap().is_ok());

    let files = Files::new();
    let path = files.write("secret", OLD);
    let url = server.url();
    let of_file = options(&url)
        .into_iter()
        .map(|(key, value)| match key {
            "client_secret" => ("client_secret_file", &*path),
            _ => (key, value),
        })
        .fold(Client::builder(), |builder, (key, value)| builder.set(key, value))
        .build()
        .unwrap();
    let _pipe = make_pipe(&path);
    let _waiting = ask(&of_file, &GetOptions::default());
    until_they_wait(&of_file, &["a b".to_owned()], &path);
    std::fs::remove_file(&path).unwrap();
    files.write("secret", NEW);
    assert!(a_child_gets_a_token(&of_file), "beside a file that hangs");
}

// --- another pair at each call -------------------------------------------------------------------

/// A function that gives another secret at each call.
fn fresh(before: usize, _refused: bool) -> Option<Credentials> {
    pair(&format!("secret-of-call-{before}"))
}

#[test]
fn a_secret_that_is_another_at_each_call_is_refused_once_for_all_scopes() {
    let _alone = alone();
    for scopes in [1, 4] {
        let server = Server::always(oauth_error(401, "invalid_client"));
        let (client, clock, ..) = of_function(&server, &[], fresh);
        for _ in 0..20 {
            for scope in 0..scopes {
                assert_eq!(kind(of_scope(&client, &format!("s{scope}"))), InvalidClient);
            }
            clock.advance(SECOND);
        }
        assert_eq!(server.requests(), 2, "{scopes} scopes");
        // The probe after the cool-down, and its second try.
        clock.advance(Duration::from_secs(45));
        for scope in 0..scopes {
            assert_eq!(kind(of_scope(&client, &format!("s{scope}"))), InvalidClient);
        }
        assert_eq!(server.requests(), 4, "{scopes} scopes");
    }
}

#[test]
fn callers_of_four_scopes_together_make_few_requests_and_hear_the_refusal() {
    let _alone = alone();
    let server =
        Server::always(after(Duration::from_millis(50), oauth_error(401, "invalid_client")));
    let (client, ..) = of_function(&server, &[], fresh);
    let outcomes = together(4, |thread| {
        let scope = format!("s{thread}");
        let end = Instant::now() + SECOND;
        loop {
            let outcome = of_scope(&client, &scope);
            assert_ne!(outcome.as_ref().err().map(Error::kind), Some(Budget));
            if Instant::now() > end {
                return outcome;
            }
        }
    });
    assert!(outcomes.into_iter().all(|outcome| kind(outcome) == InvalidClient));
    // Those that were out when the first was refused, and the one more try for all of them.
    assert!(server.requests() <= 5, "{} requests", server.requests());
}

#[test]
fn a_function_that_knows_the_new_pair_costs_no_scope_an_error() {
    let _alone = alone();
    let server = Server::new(|before, request| {
        let reply = match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => oauth_error(401, "invalid_client"),
        };
        after(Duration::from_millis(50), reply)
    });
    let (client, ..) =
        of_function(&server, &[], |_, refused| pair(if refused { NEW } else { OLD }));
    let outcomes = together(4, |thread| of_scope(&client, &format!("s{thread}")));
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(server.requests() <= 8, "{} requests", server.requests());
}

#[test]
fn a_new_pair_of_a_function_ends_no_cool_down() {
    let _alone = alone();
    let server = Server::new(|_, request| match request.body.contains("scope=bad") {
        true => oauth_error(400, "invalid_scope"),
        false => token("good", 1200),
    });
    let (client, clock, ..) = of_function(&server, &[], fresh);
    for second in 0..5 {
        assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
        assert!(of_scope(&client, &format!("good-{second}")).is_ok());
        clock.advance(SECOND);
    }
    assert_eq!(server.requests(), 6);
}

// --- files that are mended ------------------------------------------------------------------------

#[test]
fn a_mended_file_is_used_within_a_second_whatever_the_callers_were_told() {
    let _alone = alone();
    type Reply = fn() -> support::Reply;
    let rows: [(&str, ErrorKind, Reply); 5] = [
        ("403", ErrorKind::BadResponse, || answer(403, "", "")),
        ("invalid_client", InvalidClient, || oauth_error(401, "invalid_client")),
        ("invalid_scope", InvalidScope, || oauth_error(400, "invalid_scope")),
        ("500", ErrorKind::Server, || answer(500, "", "")),
        ("no file", NoCredentials, || unreachable!("nothing is sent")),
    ];
    for (what, expected, reply) in rows {
        let server = Server::new(move |before, request| match request.body.contains(NEW) {
            true => token(&format!("token-{before}"), 1200),
            false => reply(),
        });
        let files = Files::new();
        let path = files.write("secret", OLD);
        let (client, clock) = of_file(&server, &path, &[]);
        if what == "no file" {
            std::fs::remove_file(&path).unwrap();
        }
        // The pauses between the attempts of a first fetch are real ones.
        let asker = client.clone();
        let ticking = clock.clone();
        let ticker = std::thread::spawn(move || {
            for _ in 0..100 {
                std::thread::sleep(Duration::from_millis(2));
                ticking.advance(Duration::from_millis(20));
            }
        });
        assert_eq!(kind(asker.token()), expected, "{what}");
        ticker.join().unwrap();
        // Let the pauses grow.
        for _ in 0..6 {
            clock.advance(Duration::from_secs(45));
            assert_eq!(kind(client.token()), expected, "{what}");
        }
        files.write("secret", NEW);
        let mut waited = Duration::ZERO;
        while let Err(error) = client.get(&with_timeout(Duration::ZERO)) {
            clock.advance(SECOND / 4);
            waited += SECOND / 4;
            // What that asks for, and what comes of it.
            std::thread::sleep(Duration::from_millis(50));
            assert!(waited <= 3 * SECOND, "{what}: {error}");
        }
    }
}

#[test]
fn a_file_that_comes_back_with_what_it_held_ends_the_wait_for_it_and_no_other() {
    let _alone = alone();
    let server = Server::new(|before, request| match request.body.contains("scope=bad") {
        true => oauth_error(400, "invalid_scope"),
        false => token(&format!("token-{before}"), 1200),
    });
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
    std::fs::remove_file(&path).unwrap();
    let fails = || kind(client.get(&with_timeout(Duration::ZERO)));
    until("the file is missed", || {
        clock.advance(SECOND / 10);
        fails() == NoCredentials
    });
    files.write("secret", OLD);
    until("the file is used", || {
        clock.advance(SECOND / 10);
        client.get(&with_timeout(Duration::ZERO)).is_ok()
    });
    assert_eq!(kind(of_scope(&client, "bad")), InvalidScope);
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_mended_file_does_not_shorten_a_retry_after() {
    let _alone = alone();
    let server = Server::always(answer(429, "Retry-After: 600\r\n", ""));
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[]);
    assert_eq!(kind(client.token()), RateLimited);
    files.write("secret", NEW);
    for _ in 0..5 {
        clock.advance(2 * SECOND);
        assert_eq!(kind(client.token()), RateLimited);
    }
    assert_eq!(server.requests(), 1);
}

#[test]
fn kept_warm_a_client_whose_file_was_mended_asks_by_itself() {
    let _alone = alone();
    let server = Server::new(|before, request| match request.body.contains(NEW) {
        true => token(&format!("token-{before}"), 1200),
        false => oauth_error(401, "invalid_client"),
    });
    let files = Files::new();
    let path = files.write("secret", OLD);
    let (client, clock) = of_file(&server, &path, &[("keep_warm", "true")]);
    assert_eq!(kind(client.token()), InvalidClient);
    files.write("secret", NEW);
    clock.advance(2 * SECOND);
    // One call that fails has the file looked at; it does not wait for what comes of that.
    assert_eq!(kind(client.get(&with_timeout(Duration::ZERO))), InvalidClient);
    until("a token that nobody asked for", || {
        client.stats(None).unwrap().state == tu_token::State::Fresh
    });
}

#[test]
fn a_file_that_is_another_at_each_read_makes_few_requests() {
    let _alone = alone();
    if !std::path::Path::new("/proc/sys/kernel/random/uuid").exists() {
        return;
    }
    let server = Server::always(oauth_error(401, "invalid_client"));
    let (client, clock) = of_file(&server, "/proc/sys/kernel/random/uuid", &[]);
    for _ in 0..50 {
        let outcome = kind(client.get(&with_timeout(Duration::ZERO)));
        assert!([InvalidClient, Pending].contains(&outcome), "{outcome:?}");
        clock.advance(SECOND / 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    // One fetch a second at most, of two requests each and a few more.
    assert!(server.requests() <= 6 * 6, "{} requests", server.requests());
}
