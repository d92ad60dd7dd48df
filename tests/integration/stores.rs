//! Several real processes and one directory of tokens.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{Server, Step, after, builder, token, until};
use tu_token::{Event, EventKind};

/// What a process that a test starts is to do; see [`process`].
const ROLE: &str = "TU_TEST_ROLE";

// --- the other processes -------------------------------------------------------------------

/// Not a test: what this program does when a test starts it again.
#[test]
fn process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let env = |name: &str| std::env::var(name).unwrap();
    if role == "full" {
        let limit = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
        // SAFETY: the limit is plain data; from here on no file grows beyond 100 bytes.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
    }
    let (events, told) = mpsc::channel();
    let client = builder(&env("TU_TEST_URL"))
        .set("request_timeout", "15s")
        .set("fetch_timeout", "15s")
        .set("store", &env("TU_TEST_STORE"))
        .set("store_timeout", "10s")
        .on_event(move |event: &Event| {
            if event.kind == EventKind::Store {
                events.send(event.message.clone()).unwrap();
            }
        })
        .build()
        .unwrap();
    say("ready");
    hear();
    if role.starts_with("fork") {
        let fetching = client.clone();
        let thread = std::thread::spawn(move || fetching.token().unwrap().value().to_owned());
        // The other process has seen the request: the lock is held.
        hear();
        // SAFETY: the child calls what may be called there: `pause`, or this library.
        match unsafe { libc::fork() } {
            0 if role == "fork and sleep" => loop {
                // SAFETY: takes nothing.
                unsafe { libc::pause() };
            },
            0 => {
                say(&format!("child {}", client.token().unwrap().value()));
                // SAFETY: ends the process without running what the parent has to run.
                unsafe { libc::_exit(0) };
            }
            child => say(&format!("child {child}")),
        }
        say(&format!("token {}", thread.join().unwrap()));
        return;
    }
    let value = client.token().unwrap().value().to_owned();
    say(&format!("token {value}"));
    if let Ok(message) = told.recv_timeout(Duration::from_secs(10)) {
        say(&format!("event {message}"));
    }
    while let Ok(message) = told.recv_timeout(Duration::from_millis(200)) {
        say(&format!("event {message}"));
    }
}

fn say(line: &str) {
    // Past the test harness, which would keep it.
    let mut out = std::mem::ManuallyDrop::new(unsafe {
        // SAFETY: descriptor 1 is open, and is not closed by this.
        <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(1)
    });
    out.write_all(format!("\n> {line}\n").as_bytes()).unwrap();
}

fn hear() {
    let mut byte = [0];
    // SAFETY: descriptor 0 is open, and the buffer has a byte.
    assert_eq!(unsafe { libc::read(0, byte.as_mut_ptr().cast(), 1) }, 1);
}

struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(role: &str, server: &Server, store: &str) -> Self {
        let exe = std::env::current_exe().unwrap();
        Self::spawn(Command::new(exe).env("TU_TEST_STORE", store), role, server)
    }

    fn spawn(command: &mut Command, role: &str, server: &Server) -> Self {
        let mut child = command
            .args(["--exact", "stores::process", "--nocapture"])
            .env(ROLE, role)
            .env("TU_TEST_URL", server.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix("> ") {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        let process = Self { child, lines };
        assert_eq!(process.next(), "ready");
        process
    }

    /// Lets it go on.
    fn go(&mut self) {
        self.child.stdin.as_ref().unwrap().write_all(b".").unwrap();
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).expect("it says nothing")
    }

    fn token(&self) -> String {
        let said = self.next();
        said.strip_prefix("token ").unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    fn events(self) -> Vec<String> {
        self.lines
            .iter()
            .filter_map(|said| said.strip_prefix("event ").map(str::to_owned))
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that is gone afterwards, and the option that names it.
fn place() -> (tempfile::TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let option = format!("file:{}", place.path().join("tokens").display());
    (place, option)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect()
}

/// So old that the store looks for left-overs of its own.
fn make_old(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(4 * 24 * 3600)).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

// --- one flight for all processes ------------------------------------------------------------

#[test]
fn eight_processes_at_once_make_one_request() {
    let server = Server::new(|before, _| {
        after(Duration::from_millis(300), token(&format!("token-{before}"), 1200))
    });
    let (_place, store) = place();
    let mut processes: Vec<_> = (0..8).map(|_| Process::start("get", &server, &store)).collect();
    processes.iter_mut().for_each(Process::go);
    for process in &processes {
        assert_eq!(process.token(), "token-0");
    }
    assert_eq!(server.requests(), 1);
    let mut later = Process::start("get", &server, &store);
    later.go();
    assert_eq!(later.token(), "token-0");
    assert!(later.events()[0].starts_with("store hit"));
    assert_eq!(server.requests(), 1);
}

#[test]
fn files_of_others_in_the_directory_stay_and_own_left_overs_go() {
    let server = Server::new(|before, _| token(&format!("token-{before}"), 1200));
    let (place, store) = place();
    let directory = place.path().join("tokens");
    let get = |secret: &str| {
        let client = builder(&server.url()).set("client_secret", secret).set("store", &store);
        client.build().unwrap().token().unwrap();
    };
    get("one-secret-of-mine");
    until("the record is there", || {
        directory.is_dir()
            && files(&directory).iter().any(|file| file.extension() == Some("token".as_ref()))
    });
    let own = files(&directory);
    let others = [
        "Cargo.lock",
        "yarn.lock",
        "api.token",
        "report.new",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709.lock",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709.token",
    ]
    .map(|name| directory.join(name));
    others.iter().for_each(|file| std::fs::write(file, "precious").unwrap());
    own.iter().chain(&others).for_each(|file| make_old(file));
    // More than once: the lock of the first may be let go a moment after its answer.
    let secrets = std::cell::Cell::new(0);
    until("own left-overs are gone", || {
        secrets.set(secrets.get() + 1);
        get(&format!("another-secret-{}", secrets.get()));
        own.iter().all(|file| !file.exists())
    });
    for file in &others {
        assert_eq!(std::fs::read(file).unwrap_or_default(), b"precious", "{}", file.display());
    }
}

/// The first request is never answered.
fn silent_at_first() -> Server {
    Server::new(|before, _| match before {
        0 => vec![Step::Hang],
        _ => token("token", 1200),
    })
}

#[test]
fn a_holder_that_is_killed_lets_the_next_go_on() {
    let server = silent_at_first();
    let (_place, store) = place();
    let mut holder = Process::start("get", &server, &store);
    let mut next = Process::start("get", &server, &store);
    holder.go();
    until("the holder asks", || server.requests() == 1);
    next.go();
    assert!(next.lines.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
    let killed = Instant::now();
    holder.child.kill().unwrap();
    assert_eq!(next.token(), "token");
    // Far below the 17 s that it waits for a lock.
    assert!(killed.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_forked_child_does_not_keep_its_dead_parents_lock() {
    let server = silent_at_first();
    let (_place, store) = place();
    let mut holder = Process::start("fork and sleep", &server, &store);
    let mut next = Process::start("get", &server, &store);
    holder.go();
    until("the holder asks", || server.requests() == 1);
    holder.go();
    let child: i32 = holder.next().strip_prefix("child ").unwrap().parse().unwrap();
    next.go();
    assert!(next.lines.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
    let killed = Instant::now();
    holder.child.kill().unwrap();
    holder.child.wait().unwrap();
    let got = next.token();
    let took = killed.elapsed();
    // SAFETY: sends a signal to the process that was made above, which lives until then.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0, "the child lived all the time");
    assert_eq!(got, "token");
    assert!(took < Duration::from_secs(8));
}

#[test]
fn a_child_forked_while_its_parent_asks_gets_what_the_parent_got() {
    let server = Server::always(after(Duration::from_secs(1), token("token", 1200)));
    let (_place, store) = place();
    let mut parent = Process::start("fork and get", &server, &store);
    parent.go();
    until("the parent asks", || server.requests() == 1);
    parent.go();
    let mut said = [parent.next(), parent.next(), parent.next()];
    said.sort();
    assert!(said[0].starts_with("child "));
    assert_eq!((said[1].as_str(), said[2].as_str()), ("child token", "token token"));
    assert_eq!(server.requests(), 1);
}

// --- directories -----------------------------------------------------------------------------

#[test]
fn the_users_own_directory_is_below_the_runtime_directory() {
    let server = Server::tokens(1200);
    let runtime = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("XDG_RUNTIME_DIR", runtime.path()).env("TU_TEST_STORE", "file");
    let mut process = Process::spawn(&mut command, "get", &server);
    process.go();
    process.token();
    drop(process.events());
    let directory = runtime.path().join("tu-token");
    assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
    let files = files(&directory);
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        let mut content = Vec::new();
        std::fs::File::open(&file).unwrap().read_to_end(&mut content).unwrap();
        for secret in ["token-1", crate::support::SECRET, crate::support::ID, "a b"] {
            let secret = secret.as_bytes();
            assert!(!content.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[test]
fn what_the_variables_name_of_another_users_is_not_used() {
    let server = Server::tokens(1200);
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Only root can give something away; to others, the root of the file system is root's.
    let is_root = chown(theirs.path(), Some(65_533), Some(65_533)).is_ok();
    let foreign = if is_root { theirs.path() } else { Path::new("/") };
    for (runtime, cache) in [(foreign, ours.path()), (Path::new("/nowhere/at/all"), ours.path())] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("XDG_RUNTIME_DIR", runtime).env("XDG_CACHE_HOME", cache);
        let mut process = Process::spawn(command.env("TU_TEST_STORE", "file"), "get", &server);
        process.go();
        assert_eq!(process.token(), "token-1");
        drop(process.events());
    }
    assert_eq!(files(&ours.path().join("tu-token")).len(), 2);
    assert!(files(theirs.path()).is_empty());
    let mut command = Command::new(std::env::current_exe().unwrap());
    for variable in ["XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "HOME"] {
        command.env(variable, foreign);
    }
    let mut process = Process::spawn(command.env("TU_TEST_STORE", "file"), "get", &server);
    process.go();
    assert_eq!(process.token(), "token-2");
    assert!(process.next().contains("are not set, or are not this user's"));
}

#[test]
fn a_place_where_this_user_may_make_a_directory_will_do() {
    let server = Server::tokens(1200);
    let (place, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Another user's, but for everybody, as /tmp is.
    chmod(shared.path(), 0o1777);
    let variables = [
        ("TU_TEST_STORE", "file"),
        ("XDG_RUNTIME_DIR", ""),
        ("XDG_CACHE_HOME", ""),
        ("HOME", shared.path().to_str().unwrap()),
    ];
    let Some(mut process) = as_user_with(65_533, place.path(), &server, &variables) else { return };
    process.go();
    assert_eq!(process.token(), "token-1");
    drop(process.events());
    assert_eq!(files(&shared.path().join(".cache/tu-token")).len(), 2);
}

#[test]
fn without_any_directory_tokens_are_had_all_the_same() {
    let server = Server::tokens(1200);
    let mut command = Command::new(std::env::current_exe().unwrap());
    for variable in ["XDG_RUNTIME_DIR", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command.env("HOME", "nowhere").env("TU_TEST_STORE", "file");
    let mut process = Process::spawn(&mut command, "get", &server);
    process.go();
    assert_eq!(process.token(), "token-1");
    let events = process.events();
    assert!(events[0].contains("there is no directory"), "{events:?}");
    assert_eq!(events.len(), 1);
}

#[test]
fn a_full_disk_costs_an_event_and_leaves_nothing_half_written() {
    let server = Server::tokens(1200);
    let (place, store) = place();
    let mut process = Process::start("full", &server, &store);
    process.go();
    assert_eq!(process.token(), "token-1");
    let events = process.events();
    assert!(events.iter().any(|told| told.contains("cannot save a token")), "{events:?}");
    let names = files(&place.path().join("tokens"));
    assert!(names.iter().all(|file| file.extension().unwrap() == "lock"), "{names:?}");
}

#[test]
fn a_directory_that_everybody_can_write_to_is_refused_in_one_event() {
    let server = Server::tokens(1200);
    let (place, store) = place();
    let directory = place.path().join("tokens");
    std::fs::create_dir(&directory).unwrap();
    chmod(&directory, 0o777);
    let mut process = Process::start("get", &server, &store);
    process.go();
    assert_eq!(process.token(), "token-1");
    let events = process.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("can be written to by other users"));
    assert!(files(&directory).is_empty());
}

/// A process of another user; only root can start one.
fn as_user(user: u32, place: &Path, server: &Server, store: &str) -> Option<Process> {
    as_user_with(user, place, server, &[("TU_TEST_STORE", store)])
}

/// The same with more in its environment.
fn as_user_with(
    user: u32,
    place: &Path,
    server: &Server,
    variables: &[(&str, &str)],
) -> Option<Process> {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: processes of other users are left out");
        return None;
    }
    // The program lies where another user may not look.
    let exe = place.join(format!("program-{user}"));
    // Copied by a process of its own: a child that another test forks meanwhile would inherit what is
    // open for writing here, and what is being written cannot be executed.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&exe).status();
    assert!(copied.unwrap().success());
    chmod(&exe, 0o755);
    chmod(place, 0o755);
    let mut command = Command::new(exe);
    command.uid(user).gid(user).current_dir("/").envs(variables.iter().copied());
    Some(Process::spawn(&mut command, "get", server))
}

#[test]
fn another_users_directory_is_no_use_to_anybody_else() {
    let server = Server::tokens(1200);
    let (place, store) = place();
    let directory = place.path().join("tokens");
    std::fs::create_dir(&directory).unwrap();
    chmod(&directory, 0o700);
    chown(&directory, Some(65_533), Some(65_533)).ok();
    let Some(mut owner) = as_user(65_533, place.path(), &server, &store) else { return };
    owner.go();
    assert_eq!(owner.token(), "token-1");
    drop(owner.events());
    assert_eq!(files(&directory).len(), 2);
    // Neither when the system keeps it out, nor, root being kept out of nothing, by itself.
    let mut other = as_user(65_532, place.path(), &server, &store).unwrap();
    let mut root = Process::start("get", &server, &store);
    for (process, why) in
        [(&mut other, "Permission denied"), (&mut root, "belongs to another user")]
    {
        process.go();
        assert_ne!(process.token(), "token-1");
        let said = process.next();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_still_gives_what_is_in_it() {
    let server = Server::tokens(1200);
    let (place, store) = place();
    let directory = place.path().join("tokens");
    std::fs::create_dir(&directory).unwrap();
    chmod(&directory, 0o500);
    chown(&directory, Some(65_533), Some(65_533)).ok();
    let Some(mut process) = as_user(65_533, place.path(), &server, &store) else { return };
    process.go();
    assert_eq!(process.token(), "token-1");
    let events = process.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].contains("cannot take its lock"), "{events:?}");
    chmod(&directory, 0o700);
    let mut process = as_user(65_533, place.path(), &server, &store).unwrap();
    process.go();
    assert_eq!(process.token(), "token-2");
    drop(process.events());
    chmod(&directory, 0o500);
    let mut process = as_user(65_533, place.path(), &server, &store).unwrap();
    process.go();
    assert_eq!(process.token(), "token-2");
}
