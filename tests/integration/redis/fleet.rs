//! Forty processes on four hosts make the token requests of one process alone.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::hosts;
use super::leaks;
use super::server::Redis;
use crate::crowd::{self, Outcome};
use crate::support::tls::{Authority, Files, open_server};
use crate::support::{Request, Server, token};

const HOSTS: usize = 4;
const PROCESSES: usize = 40;
/// The lifetime of tokens.
const LIFETIME: u64 = 20;
/// Three lifetimes.
const SECONDS: u64 = 3 * LIFETIME;
/// A token of 20 s is renewed 5 s before its end, and up to another 5 s earlier by chance: once for all processes.
const EARLIEST_RENEWAL: Duration = Duration::from_secs(10);
const FORTY: &str = "redis::fleet::forty_processes";
/// The programs to run, one command a line; without it, the program in Rust.
const PROGRAMS: &str = "FLEET_PROGRAMS";

const CLIENT_SECRET: &str = "client-s3cret/+&=%?~0123456789";
const PASSWORD: &str = "redis-hush/+&=%?~0123456789";

#[test]
#[ignore = "takes three lifetimes of a token"]
fn forty_processes_on_four_hosts_make_the_requests_of_one() {
    hosts::in_own_network(FORTY, &[(PROGRAMS, "")]);
}

#[test]
#[ignore = "takes three lifetimes of a token, and programs that tests/redis/run.sh builds"]
fn forty_processes_in_several_languages_make_the_requests_of_one() {
    let programs = std::env::var(PROGRAMS).unwrap_or_default();
    if programs.is_empty() {
        eprintln!("skipped: there are no programs in other languages");
        return;
    }
    hosts::in_own_network(FORTY, &[(PROGRAMS, &programs)]);
}

/// A server that issues tokens which are all different, and the tokens that it has issued.
fn endpoint(address: &str, files: &Files) -> (Server, Arc<Mutex<Vec<String>>>) {
    let authority = Authority::new();
    files.write("ca.pem", &authority.pem());
    let issued = Arc::new(Mutex::new(Vec::new()));
    let list = issued.clone();
    let script = move |before, _: &Request| {
        let value = format!("token/{before}+{:032x}==", rand_number());
        list.lock().unwrap().push(value.clone());
        token(&value, LIFETIME)
    };
    let config = open_server(&authority.sign(address));
    (Server::scripted_tls_at(address, config, script), issued)
}

fn rand_number() -> u128 {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    u128::from_ne_bytes(bytes)
}

/// What one of the processes runs. Every host has programs of all kinds.
fn program(programs: &str, number: usize) -> Command {
    let programs: Vec<&str> = programs.lines().collect();
    let Some(line) = programs.get(number % programs.len().max(1)) else { return crowd::rust() };
    if *line == "rust" {
        return crowd::rust();
    }
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

#[test]
#[ignore = "run by the tests above, in a network of its own"]
fn forty_processes() {
    if !hosts::is_started_for(FORTY) {
        return;
    }
    let programs = std::env::var(PROGRAMS).unwrap();
    let address = hosts::servers_address();
    let files = Files::new();
    let port = std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let port = port.to_string();
    let options = ["--bind", address, "--port", &port, "--requirepass", PASSWORD];
    let Some(redis) = Redis::start(&files.path(""), &options) else { return };
    let monitor = redis.monitor(Some(PASSWORD));
    let (server, issued) = endpoint(address, &files);
    let password: String = form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let ca_file = files.path("ca.pem").display().to_string();
    let options = [
        ("client_id", "id-of-a-client"),
        ("client_secret", CLIENT_SECRET),
        ("token_url", &server.url()),
        ("ca_file", &ca_file),
        ("scope", "asset.view"),
        ("store", &format!("redis://:{password}@{address}:{port}")),
        // The machine may be busy.
        ("store_timeout", "5s"),
        ("log", "warn"),
    ];
    let outcomes: Vec<Outcome> = hosts::on_hosts(HOSTS, |host| {
        let numbers = (0..PROCESSES).filter(|number| number % HOSTS + 1 == host);
        let start = |number| crowd::start(program(&programs, number / HOSTS), &options, SECONDS);
        let started: Vec<_> = numbers.map(start).collect();
        started.into_iter().map(crowd::outcome).collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();

    let issued = issued.lock().unwrap().clone();
    assert_eq!(outcomes.len(), PROCESSES);
    for outcome in &outcomes {
        assert_eq!((outcome.failed, outcome.expired), (0, 0), "{outcome:?}");
        assert!(outcome.gets > 0 && outcome.tokens.len() > 1, "{outcome:?}");
        assert!(outcome.tokens.iter().all(|token| issued.contains(token)), "{outcome:?}");
    }
    let apart = times_between(&server);
    let slowest = outcomes.iter().map(|outcome| outcome.slowest).max().unwrap();
    println!("report: {} requests, so far apart: {apart:?}; slowest get {slowest:?}", issued.len());
    // A request reaches the server some time after the token's life begins by its client's clock: the first one while
    // many processes start.
    assert!(apart.iter().all(|time| *time > EARLIEST_RENEWAL / 2), "{apart:?}");
    // The earliest of forty draws would be 10.1 s on average; one client alone comes below 10.2 s in one run of 30,000.
    let mean = apart.iter().sum::<Duration>().div_f64(apart.len() as f64);
    assert!(apart.len() >= 3 && mean > EARLIEST_RENEWAL + Duration::from_millis(200), "{apart:?}");
    nothing_secret_was_sent(&monitor.bytes(), &issued);
}

/// The times between the requests that a server received.
fn times_between(server: &Server) -> Vec<Duration> {
    server.received().windows(2).map(|two| two[1].at - two[0].at).collect()
}

fn nothing_secret_was_sent(seen: &[u8], issued: &[String]) {
    assert!(leaks::shown(seen, "tu-token:{").is_some(), "the server was used");
    let hidden = [CLIENT_SECRET, PASSWORD, "id-of-a-client", "asset.view"];
    for hidden in hidden.into_iter().chain(issued.iter().map(String::as_str)) {
        assert_eq!(leaks::shown(seen, hidden), None, "{hidden}");
    }
}
