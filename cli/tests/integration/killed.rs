//! A run that is killed at any step of its work holds no other up and spoils nothing.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{Shell, Started};

/// Far below the 12 s that a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(8);
/// More steps than a run has.
const TOO_MANY: usize = 200;

/// A run that tells its steps.
struct Watched {
    run: Started,
    log: PathBuf,
}

impl Watched {
    /// Starts one that stops before step `at`; 0: never.
    fn start(shell: &Shell, library: &Path, store: &Path, name: &str, at: usize) -> Self {
        let log = store.with_extension(name);
        let mut command = shell.command(&["get"]);
        command
            .env("TRACKUNIT_STORE", format!("file:{}", store.display()))
            .env("LD_PRELOAD", library)
            .env("STEPS_LOG", &log)
            .env("STEPS_STOP_AT", at.to_string());
        Self { run: Started::start(&mut command), log }
    }

    fn steps(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// `T` stopped, `Z` ended.
    fn state(&self) -> char {
        let path = format!("/proc/{}/stat", self.run.0.id());
        let text = std::fs::read_to_string(path).expect("a process");
        text.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("its state")
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(1));
    }
}

/// Stops a run before step `at`, starts two others, kills it when they are done or wait for its
/// lock. What it was about to do; `None`: it had no such step.
fn kill_at(shell: &Shell, library: &Path, at: usize) -> Option<String> {
    let store = shell.home.path().join(format!("store-{at}"));
    let before = shell.emulator.token_requests();
    let victim = Watched::start(shell, library, &store, "victim", at);
    until("stopped or ended", || "TZ".contains(victim.state()));
    if victim.state() == 'Z' {
        assert_eq!(victim.run.end().code, Some(0));
        return None;
    }
    let step = victim.steps()[at - 1].clone();
    let others = ["one", "two"].map(|name| Watched::start(shell, library, &store, name, 0));
    for other in &others {
        let locks = || other.steps().iter().filter(|step| *step == "lock").count();
        until("done, or waiting", || other.state() == 'Z' || locks() > 2);
    }
    let killed = Instant::now();
    drop(victim);
    let [one, two] = others.map(|other| other.run.end());
    assert!(killed.elapsed() < PATIENCE, "killed before {step}");
    for run in [&one, &two] {
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "killed before {step}: {run:?}");
    }
    assert_eq!(one.out, two.out, "killed before {step}");
    let last = Watched::start(shell, library, &store, "last", 0).run.end();
    assert_eq!(last.out, one.out, "killed before {step}");
    let made = shell.emulator.token_requests() - before;
    assert!((1..=2).contains(&made), "{made} requests, killed before {step}");
    Some(step)
}

#[test]
fn at_every_step_the_others_go_on_and_nothing_is_spoilt() {
    let shell = Shell::new();
    let library = shell.preload("steps");
    let steps: Vec<String> = (1..TOO_MANY).map_while(|at| kill_at(&shell, &library, at)).collect();
    // It has been everywhere, from the making of the directory to the end of the lock.
    let mut rest = steps.iter();
    for step in [
        "mkdir",
        "open.lock",
        "lock",
        "open.token",
        "connect",
        "send",
        "recv",
        "open.new",
        "write",
        "rename.token",
        "close",
    ] {
        assert!(rest.any(|it| it == step), "no {step} in its place: {steps:?}");
    }
}
