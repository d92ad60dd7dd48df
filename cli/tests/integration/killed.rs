//! A run that is killed at any step neither blocks other runs nor damages the store.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{Shell, Started};

/// Far below the 12 s for which a run waits for a lock.
const PATIENCE: Duration = Duration::from_secs(8);
/// More steps than a run has.
const TOO_MANY: usize = 200;

/// A run that logs its steps.
struct Watched {
    run: Started,
    log: PathBuf,
}

impl Watched {
    /// Starts a run that stops before step `at`; 0 means never.
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

    /// `T` means stopped, `Z` ended.
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

/// Stops a run before step `at`, starts two others, and kills it once they are done or waiting for its
/// lock. Returns the next step of the killed run, or `None` if there was none.
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
fn a_run_killed_at_any_step_affects_no_other() {
    let shell = Shell::new();
    let library = shell.preload("steps");
    let steps: Vec<String> = (1..TOO_MANY).map_while(|at| kill_at(&shell, &library, at)).collect();
    // The run was killed at every step, from creating the directory to releasing the lock.
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
