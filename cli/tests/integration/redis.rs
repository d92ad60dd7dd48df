//! Runs that share their token through a Redis server. Skipped where none is installed.

#![cfg(target_os = "linux")]

mod server;
mod troubles;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tu_token_emulator::Fault;

use self::server::{Redis, until_it_quits};
use crate::common::{Run, Shell, Started};

/// Runs at the same time.
const MANY: usize = 40;
/// A lock ends half a second after this.
const HASTY: &str = "1s";
/// Ten times what remains of a killed, hasty run's lock at most.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Far above the lock's time.
const PATIENCE: Duration = Duration::from_secs(30);

fn get(shell: &Shell, redis: &Redis) -> Command {
    let mut command = shell.command(&["get"]);
    // The machine may be busy. Whoever holds the lock has to be done before it ends: others would ask as well.
    command
        .env("TRACKUNIT_STORE", redis.url())
        .env("TRACKUNIT_REQUEST_TIMEOUT", "20s")
        .env("TRACKUNIT_EXPIRY_MARGIN", "1s");
    command
}

/// The same, whose lock ends soon.
fn hasty_get(shell: &Shell, redis: &Redis) -> Command {
    let mut command = get(shell, redis);
    command.env("TRACKUNIT_REQUEST_TIMEOUT", HASTY);
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
    let seen = until_it_quits(monitor);
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
    let mut victim = hasty_get(&shell, &redis);
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
    let others = [(); 2].map(|()| Started::start(&mut hasty_get(&shell, &redis)));
    sleep(Duration::from_millis(100));
    drop(victim);
    let killed = Instant::now();
    let [one, two] = others.map(Started::end);
    assert!(killed.elapsed() < LONGEST_WAIT, "killed before {step}: {:?}", killed.elapsed());
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
