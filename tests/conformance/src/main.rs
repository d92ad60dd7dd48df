//! Plays the transcripts against one testee: `tu-token-conformance rust -- target/debug/tu-token-testee`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tu_token_conformance::suite::Suite;

/// Plays the transcripts in tests/vectors against a testee, acting as its token endpoint.
#[derive(Parser)]
#[command(name = "tu-token-conformance")]
struct Arguments {
    /// The directory of the transcripts.
    #[arg(long, default_value = "tests/vectors")]
    vectors: PathBuf,
    /// Only cases whose names contain this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The testee's name in the report.
    name: String,
    /// The command that starts it.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { vectors, only, name, command } = Arguments::parse();
    let started = Instant::now();
    let bound = Duration::from_secs(20);
    let outcome = match (Suite { vectors, only, command, bound }).run() {
        Ok(outcome) => outcome,
        Err(problem) => {
            eprintln!("{name}: {problem}");
            return ExitCode::from(2);
        }
    };
    for (case, why, problem) in &outcome.failed {
        println!("FAILED {name}: {case}\n  ({why})\n    {problem}");
    }
    println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", outcome.passed, outcome.failed.len());
    if outcome.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
