//! Processes of many machines and one Redis server, for as long as several tokens live. Skipped where
//! none is installed.
#![cfg(all(unix, feature = "redis"))]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::lossy;
use tu_token_emulator::Emulator;

const URL: &str = "TU_TEST_REDIS_URL";
const SECRET: &str = "TU_TEST_REDIS_SECRET";
const STORE: &str = "TU_TEST_REDIS_STORE";
const SECONDS: &str = "TU_TEST_REDIS_SECONDS";
const STORE_TIMEOUT: Duration = Duration::from_millis(250);
/// The lifetime of tokens.
const LIFETIME: u64 = 20;

/// A server of this test, on a Unix socket.
struct Redis {
    child: Child,
    directory: PathBuf,
}

impl Redis {
    fn start(directory: &Path) -> Option<Self> {
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(directory)
            .arg("--unixsocket")
            .arg(directory.join("redis.sock"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            eprintln!("skipped: redis-server is not installed");
            return None;
        };
        let redis = Self { child, directory: directory.to_owned() };
        let end = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(redis.socket()).is_err() {
            assert!(Instant::now() < end, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    fn url(&self, login: &str) -> String {
        format!("redis://{login}{}", self.socket().display())
    }

    fn run(&self, command: &str) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    }

    fn signal(&self, signal: libc::c_int) {
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

/// Gets tokens all the time. Prints how many gets failed, how many served a token that had ended, and how
/// long the slowest took.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn a_client_of_a_fleet() {
    let Ok(url) = std::env::var(URL) else { return };
    let env = |name: &str| std::env::var(name).unwrap();
    let mut config = tu_token::Config::new();
    config.set("token_url", &url).set("client_id", "key-id").set("client_secret", &env(SECRET));
    config.set("scope", "asset.view").set("store", &env(STORE)).set("log", "warn");
    for pair in std::env::var("TU_TEST_REDIS_OPTIONS").unwrap_or_default().split_whitespace() {
        let (key, value) = pair.split_once('=').unwrap();
        config.set(key, value);
    }
    let client = tu_token::Client::new(&config).unwrap();
    let end = Instant::now() + Duration::from_secs(env(SECONDS).parse().unwrap());
    let (mut gets, mut failed, mut ended, mut slowest) = (0, 0, 0, Duration::ZERO);
    while Instant::now() < end {
        let begun = Instant::now();
        match client.token() {
            Ok(token) => ended += i32::from(token.expires_in().is_zero()),
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
        slowest = slowest.max(begun.elapsed());
        gets += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let requests = client.stats(None).unwrap().requests;
    println!("result {gets} {failed} {ended} {} {requests}", slowest.as_millis());
}

struct Outcome {
    failed: u64,
    ended: u64,
    slowest: Duration,
    requests: u64,
}

/// Starts clients for so many seconds.
fn start(count: usize, emulator: &Emulator, store: &str, seconds: u64) -> Vec<Child> {
    let key = emulator.demo_key();
    let options = format!("client_id={}", key.client_id);
    let start = |_| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "redis::a_client_of_a_fleet", "--ignored", "--nocapture"])
            .env(URL, emulator.token_url())
            .env(SECRET, &key.client_secret)
            .env(STORE, store)
            .env(SECONDS, seconds.to_string())
            .env("TU_TEST_REDIS_OPTIONS", &options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    (0..count).map(start).collect()
}

fn outcomes(clients: Vec<Child>) -> Vec<Outcome> {
    let outcome = |client: Child| {
        let ended = client.wait_with_output().unwrap();
        let (out, errors) = (lossy(&ended.stdout), lossy(&ended.stderr));
        let line = out.lines().find_map(|line| line.split_once("result ").map(|(_, rest)| rest));
        let line = line.unwrap_or_else(|| panic!("{out}{errors}"));
        let numbers: Vec<u64> = line.split(' ').map(|text| text.parse().unwrap()).collect();
        let [_, failed, ended, slowest, requests] = numbers[..] else { panic!("{line}") };
        eprintln!("{line}: {errors}");
        Outcome { failed, ended, slowest: Duration::from_millis(slowest), requests }
    };
    clients.into_iter().map(outcome).collect()
}

#[test]
#[ignore = "takes three lifetimes of a token"]
fn forty_processes_make_one_request_a_lifetime() {
    let directory = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(directory.path()) else { return };
    let emulator = Emulator::builder().expires_in(LIFETIME).start().unwrap();
    let alone = Emulator::builder().expires_in(LIFETIME).start().unwrap();
    let of_fleet = start(40, &emulator, &redis.url(""), 3 * LIFETIME);
    let of_one = start(1, &alone, "memory", 3 * LIFETIME);
    for outcome in outcomes(of_fleet) {
        assert_eq!((outcome.failed, outcome.ended), (0, 0));
    }
    outcomes(of_one);
    let (fleet, one) = (emulator.token_requests(), alone.token_requests());
    eprintln!("{fleet} requests of forty, {one} of one");
    // Of forty processes' times of renewal, each drawn by chance, the earliest decides.
    assert!(fleet <= one + 2, "{fleet} requests of forty, {one} of one");
}

#[test]
#[ignore = "takes a minute"]
fn whatever_happens_to_the_server_costs_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mut redis) = Redis::start(directory.path()) else { return };
    let emulator = Emulator::builder().expires_in(LIFETIME).start().unwrap();
    let clients = start(8, &emulator, &redis.url(""), 60);
    let pause = || std::thread::sleep(Duration::from_secs(4));
    pause();
    redis.run("FLUSHALL");
    pause();
    redis.signal(libc::SIGSTOP);
    pause();
    redis.signal(libc::SIGCONT);
    pause();
    drop(redis);
    pause();
    redis = Redis::start(directory.path()).unwrap();
    redis.run("CONFIG SET maxmemory 1");
    pause();
    redis.run("CONFIG SET maxmemory 0");
    pause();
    redis.run("REPLICAOF 127.0.0.1 1");
    pause();
    redis.run("REPLICAOF NO ONE");
    pause();
    redis.run("CONFIG SET requirepass hush");
    pause();
    let outcomes = outcomes(clients);
    let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
    let slowest = outcomes.iter().map(|outcome| outcome.slowest).max().unwrap();
    eprintln!("{requests} requests of eight, slowest get {slowest:?}");
    for outcome in &outcomes {
        assert_eq!((outcome.failed, outcome.ended), (0, 0));
        // At most one a process and lifetime.
        assert!(outcome.requests <= 60 / (LIFETIME / 2) + 1, "{}", outcome.requests);
        assert!(outcome.slowest < 10 * STORE_TIMEOUT, "{:?}", outcome.slowest);
    }
}
