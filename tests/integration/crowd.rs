//! Many processes that get tokens all the time, each with one client.
//!
//! Such a program takes the options from `TRACKUNIT_*` variables and runs for `FLEET_SECONDS`. It prints
//! `token <value>` for each token that differs from the one before, and at its end
//! `result <gets> <failed> <expired> <slowest in ms> <requests>`: calls, calls that failed, calls that
//! returned a token that had expired before, the slowest call, and the token requests made. What it reports of
//! errors goes to stderr. The one here is in Rust; tests/redis has those in other languages.
// The fleets on a server use all of it.
#![cfg_attr(not(feature = "redis"), allow(dead_code))]
#![cfg(unix)]

mod of_one_machine;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tu_token::Client;

use crate::support::lossy;
use crate::support::redis_server::die_with_the_test;

const SECONDS: &str = "FLEET_SECONDS";
/// Each get is by a new client, as in a program that is started again and again.
const COLD: &str = "FLEET_COLD";

/// Between two gets.
const PAUSE: Duration = Duration::from_millis(50);
const COLD_PAUSE: Duration = Duration::from_millis(200);

/// A command that runs an ignored test of this program in a process of its own.
pub fn this_program(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// The program in Rust.
pub fn rust() -> Command {
    this_program("crowd::get_tokens_all_the_time")
}

/// The same with a new client for each get.
pub fn cold() -> Command {
    let mut command = rust();
    command.env(COLD, "yes");
    command
}

#[test]
#[ignore = "run by other tests, in a process of its own"]
fn get_tokens_all_the_time() {
    let Ok(seconds) = std::env::var(SECONDS) else { return };
    let is_cold = std::env::var_os(COLD).is_some();
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let new = || Client::from_env().unwrap();
    let (mut client, mut last) = (new(), String::new());
    let (mut gets, mut failed, mut expired, mut slowest) = (0, 0, 0, Duration::ZERO);
    let (mut requests, mut of_ended) = (0, 0);
    // Between which times requests were made.
    let (mut made_at, mut seen_at) = (Vec::<(Instant, Instant)>::new(), Instant::now());
    loop {
        if is_cold {
            of_ended = requests;
            client = new();
        }
        let (begun, begun_unix_ms) = (Instant::now(), unix_ms());
        let outcome = client.token();
        slowest = slowest.max(begun.elapsed());
        match outcome {
            Ok(token) => {
                // Not by what is left now: on a busy machine the last seconds of a token may pass on the way here.
                expired += i32::from(token.expires_at_unix_ms() <= begun_unix_ms);
                if token.value() != last {
                    token.value().clone_into(&mut last);
                    println!("token {last}");
                }
            }
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
        gets += 1;
        if Instant::now() >= end {
            break;
        }
        std::thread::sleep(if is_cold { COLD_PAUSE } else { PAUSE });
        let made = of_ended + client.stats(None).unwrap().requests;
        let now = Instant::now();
        (requests..made).for_each(|_| made_at.push((seen_at, now)));
        (requests, seen_at) = (made, now);
    }
    requests = of_ended + client.stats(None).unwrap().requests;
    // Not less than they were apart, however long this process did not run.
    let gaps = made_at.windows(2).map(|two| two[1].1 - two[0].0);
    if let Some(least) = gaps.min() {
        println!("apart {}", least.as_millis());
    }
    println!("result {gets} {failed} {expired} {} {requests}", slowest.as_millis());
}

fn unix_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap()
}

/// What a process did.
#[derive(Debug)]
pub struct Outcome {
    pub tokens: BTreeSet<String>,
    pub gets: u64,
    pub failed: u64,
    pub expired: u64,
    pub slowest: Duration,
    pub requests: u64,
    /// The shortest time between two requests.
    pub apart: Option<Duration>,
    #[expect(dead_code, reason = "shown if a test fails")]
    pub errors: String,
}

pub fn start(mut command: Command, options: &[(&str, &str)], seconds: u64) -> Child {
    for (key, value) in options {
        command.env(format!("TRACKUNIT_{}", key.to_ascii_uppercase()), value);
    }
    command.env(SECONDS, seconds.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    die_with_the_test(&mut command).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn outcome(client: Child) -> Outcome {
    let ended = client.wait_with_output().unwrap();
    let (out, errors) = (lossy(&ended.stdout), lossy(&ended.stderr));
    let values = |name: &str| -> Vec<String> {
        let of_line = |line: &str| line.split_once(name).map(|(_, value)| value.to_owned());
        out.lines().filter_map(of_line).collect()
    };
    let result = values("result ");
    let result = result.first().unwrap_or_else(|| panic!("{}: {out}{errors}", ended.status));
    let numbers: Vec<u64> = result.split(' ').map(|text| text.parse().unwrap()).collect();
    let [gets, failed, expired, slowest, requests] = numbers[..] else { panic!("{result}") };
    let millis = |text: &String| Duration::from_millis(text.parse().unwrap());
    Outcome {
        tokens: values("token ").into_iter().collect(),
        gets,
        failed,
        expired,
        slowest: Duration::from_millis(slowest),
        requests,
        apart: values("apart ").first().map(millis),
        errors,
    }
}
