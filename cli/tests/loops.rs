//! `tu-token get` in a loop, in two, and 64 at once: one token request.

mod common;

use std::io::Write as _;
use std::time::{Duration, Instant};

use common::{Run, Shell, Started};
use tu_token_emulator::Fault;

const RUNS: usize = 1000;
/// The aim is 10 ms, measured by hand; a busy machine and an unoptimised build get ten times that.
const BOUND: Duration = Duration::from_millis(100);

/// Runs that share their tokens, one after another.
fn runs(shell: &Shell, number: usize) -> Vec<(String, Duration)> {
    let one = || {
        let mut command = shell.command(&["get"]);
        let from = Instant::now();
        let run = shell.output(command.env_remove("TRACKUNIT_STORE"));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
        (run.out, from.elapsed())
    };
    (0..number).map(|_| one()).collect()
}

#[test]
fn a_loop_of_a_thousand_makes_one_token_request_and_is_quick() {
    let shell = Shell::new();
    let runs = runs(&shell, RUNS);
    assert!(runs.iter().all(|(token, _)| *token == runs[0].0));
    assert_eq!(shell.emulator.token_requests(), 1);
    let mut times: Vec<Duration> = runs.into_iter().map(|(_, time)| time).collect();
    times.sort();
    let median = times[RUNS / 2];
    // Past the test runner, which would swallow it.
    let _ = writeln!(std::io::stderr(), "\n{RUNS} runs of `tu-token get`: median {median:.1?}");
    assert!(median < BOUND, "{median:?}");
}

#[test]
fn two_loops_make_one_token_request() {
    let shell = Shell::new();
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let loops = [scope.spawn(|| runs(&shell, 50)), scope.spawn(|| runs(&shell, 50))];
        let ended = loops.into_iter().flat_map(|each| each.join().expect("a loop"));
        ended.map(|(token, _)| token).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(shell.emulator.token_requests(), 1);
}

#[test]
fn many_at_once_make_one_token_request() {
    let shell = Shell::with(Fault::delay(Duration::from_millis(300)));
    let start = || {
        let mut command = shell.command(&["get"]);
        Started::start(command.env_remove("TRACKUNIT_STORE"))
    };
    let started: Vec<Started> = (0..64).map(|_| start()).collect();
    let ended: Vec<Run> = started.into_iter().map(Started::end).collect();
    for run in &ended {
        assert_eq!((run.code, run.err.as_str(), &run.out), (Some(0), "", &ended[0].out));
    }
    assert_eq!(shell.emulator.token_requests(), 1);
}
