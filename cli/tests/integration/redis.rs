//! Runs that share their token through a Redis server. Skipped where none is installed.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tu_token_emulator::Fault;

use crate::common::{Run, Shell, Started};

/// Runs at the same time.
const MANY: usize = 40;
/// A lock ends half a second after this.
const REQUEST_TIMEOUT: &str = "1s";
/// Far above the lock's time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of this test, on a Unix socket.
struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    fn start(home: &Path) -> Option<Self> {
        let socket = home.join("redis.sock");
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(home)
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!("skipped: redis-server is not installed");
            return None;
        };
        let redis = Self { child, socket };
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(&redis.socket).is_err() {
            assert!(Instant::now() < end, "redis-server does not start");
            sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    fn url(&self) -> String {
        format!("redis://{}", self.socket.display())
    }

    /// Sends commands as lines; returns what comes within a moment.
    fn ask(&self, commands: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(commands.as_bytes()).expect("sent");
        until_silent(&mut stream)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        stream
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is this test's own and was not reaped.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }
}

fn until_silent(stream: &mut UnixStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        all.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(shell: &Shell, redis: &Redis) -> Command {
    let mut command = shell.command(&["get"]);
    // The machine may be busy.
    command
        .env("TRACKUNIT_STORE", redis.url())
        .env("TRACKUNIT_STORE_TIMEOUT", "10s")
        .env("TRACKUNIT_REQUEST_TIMEOUT", REQUEST_TIMEOUT)
        .env("TRACKUNIT_EXPIRY_MARGIN", "1s");
    command
}

#[test]
fn forty_runs_at_once_make_one_request_and_show_the_server_no_token() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    let mut monitor = redis.connect();
    monitor.write_all(b"MONITOR\r\n").expect("sent");
    let runs: Vec<Started> = (0..MANY).map(|_| Started::start(&mut get(&shell, &redis))).collect();
    let runs: Vec<Run> = runs.into_iter().map(Started::end).collect();
    let tokens: BTreeSet<&str> = runs.iter().map(|run| run.out.trim()).collect();
    assert!(runs.iter().all(|run| run.code == Some(0) && run.err.is_empty()), "{runs:?}");
    assert_eq!((tokens.len(), shell.emulator.token_requests()), (1, 1));
    let seen = until_silent(&mut monitor);
    assert!(seen.contains("tu-token:{"), "{seen}");
    for hidden in [tokens.first().expect("a token"), shell.secret()] {
        assert!(!seen.contains(hidden));
    }
}

/// Stops a run before step `at`, starts two others, and kills it. Returns the next step of the killed
/// run, or `None` if there was none.
fn kill_at(library: &Path, at: usize) -> Option<String> {
    let shell = Shell::new();
    let redis = Redis::start(shell.home.path())?;
    let log = shell.home.path().join("log");
    let mut victim = get(&shell, &redis);
    victim.env("LD_PRELOAD", library).env("STEPS_LOG", &log).env("STEPS_STOP_AT", at.to_string());
    let victim = Started::start(&mut victim);
    let stat = format!("/proc/{}/stat", victim.0.id());
    let end = Instant::now() + PATIENCE;
    let state = loop {
        let text = std::fs::read_to_string(&stat).expect("a process");
        let state =
            text.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("its state");
        if "TZ".contains(state) {
            break state;
        }
        assert!(Instant::now() < end, "neither stopped nor ended: {at}");
        sleep(Duration::from_millis(1));
    };
    if state == 'Z' {
        assert_eq!(victim.end().code, Some(0));
        return None;
    }
    let steps = std::fs::read_to_string(&log).expect("a log");
    let step = steps.lines().nth(at - 1).expect("a step").to_owned();
    let others = [(); 2].map(|()| Started::start(&mut get(&shell, &redis)));
    sleep(Duration::from_millis(100));
    drop(victim);
    let [one, two] = others.map(Started::end);
    for run in [&one, &two] {
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "killed before {step}: {run:?}");
    }
    assert_eq!(one.out, two.out, "killed before {step}");
    let made = shell.emulator.token_requests();
    assert!((1..=2).contains(&made), "{made} requests, killed before {step} ({at})");
    Some(step)
}

#[test]
fn a_run_killed_at_any_step_costs_one_request_more_at_most() {
    let shell = Shell::new();
    let library = shell.preload("steps");
    if Redis::start(shell.home.path()).is_none() {
        return;
    }
    // Each waits for the end of a lock; so some at a time.
    let mut steps = Vec::new();
    while steps.len() < 200 {
        let first = steps.len() + 1;
        let some: Vec<Option<String>> = std::thread::scope(|scope| {
            let library = &library;
            let kill = |at| scope.spawn(move || kill_at(library, at));
            let some: Vec<_> = (first..first + 8).map(kill).collect();
            some.into_iter().map(|one| one.join().expect("no failure")).collect()
        });
        let has_ended = some.contains(&None);
        steps.extend(some.into_iter().flatten());
        if has_ended {
            break;
        }
    }
    assert!(steps.iter().filter(|step| *step == "send").count() >= 5, "{steps:?}");
}

#[test]
fn a_run_whose_clock_is_wrong_leaves_the_record_to_the_others() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    let library = shell.preload("later");
    let first = shell.output(&mut get(&shell, &redis));
    assert_eq!(first.code, Some(0), "{first:?}");
    for seconds in ["3600", "-3600"] {
        let mut off = get(&shell, &redis);
        off.env("LD_PRELOAD", &library).env("LATER_SECONDS", seconds);
        let off = shell.output(off.env("TRACKUNIT_LOG", "warn"));
        assert_eq!(off.code, Some(0), "{off:?}");
        assert!(off.err.contains("set the clocks"), "{seconds}: {off:?}");
        assert_ne!(off.out, first.out);
        assert_eq!(shell.output(&mut get(&shell, &redis)).out, first.out, "{seconds}");
    }
    assert_eq!(shell.emulator.token_requests(), 3);
}

#[test]
fn a_server_that_does_not_answer_costs_little_time_and_no_token() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    redis.signal(libc::SIGSTOP);
    let begun = Instant::now();
    let mut stuck = get(&shell, &redis);
    stuck.env("TRACKUNIT_STORE_TIMEOUT", "250ms").env("TRACKUNIT_LOG", "warn");
    let run = shell.output(&mut stuck);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("did not answer within store_timeout (250ms)"), "{run:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    redis.signal(libc::SIGCONT);
}

#[test]
fn a_run_leaves_no_lock_whether_it_gets_a_token_or_not() {
    let shell = Shell::with(Fault { count: Some(1), ..Fault::error("invalid_request") });
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    assert_ne!(shell.output(&mut get(&shell, &redis)).code, Some(0));
    assert!(redis.ask("DBSIZE\r\n").starts_with(":0"), "its lock stays");
    let run = shell.output(&mut get(&shell, &redis));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(redis.ask("DBSIZE\r\n").starts_with(":1"), "its lock stays");
}

#[test]
fn the_doctor_tries_the_server_out() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    let doctor = |url: &str| {
        let mut command = shell.command(&["doctor", "--json"]);
        let run = shell.output(command.env("TRACKUNIT_STORE", url));
        assert!(!run.out.contains("hush") && !run.err.contains("hush"), "{run:?}");
        let checks = run.json()["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["check"] == "store").expect("the store's")
    };
    let good = doctor(&redis.url());
    assert_eq!(
        (&good["code"], &good["server"]),
        (&"usable".into(), &(redis.url() + "?db=0").into())
    );
    assert!(redis.ask("DBSIZE\r\n").starts_with(":0"), "nothing stays");
    let login = redis.url().replace("//", "//someone:hush@");
    for (url, part) in [
        (login, "refuses the user or password"),
        ("redis:/hush".to_owned(), "lacks \\\"//\\\""),
        ("redis://h?prefix=a%20hush".to_owned(), "prefix"),
        ("redis://127.0.0.1:1".to_owned(), "cannot be connected to"),
        (shell.emulator.token_url().replace("http", "redis").replace("/token/v2", ""), "for HTTP"),
    ] {
        let bad = doctor(&url);
        assert_eq!(bad["code"], "unusable", "{bad}");
        assert!(bad.to_string().contains(part), "{bad}");
    }
}
