//! The command `tu-token-emulator`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use tu_token_emulator::{Options, run};

const EXAMPLES: &str = r#"Examples:
  Start it, and paste the lines it prints into another shell:
    tu-token-emulator

  In a script: use any free port, and wait for the file with the variables:
    rm -f emulator.env; tu-token-emulator --port 0 --env-file emulator.env &
    while kill -0 $! && [ ! -f emulator.env ]; do sleep 0.1; done; . ./emulator.env

  Keep keys and tokens between runs (as hashes; a secret is printed once):
    tu-token-emulator --state keys.db

  Issue tokens that live three seconds:
    tu-token-emulator --expires-in 3

  While it runs, open http://127.0.0.1:8477/ in a browser, or use a shell:
    curl http://127.0.0.1:8477/api-keys
    curl http://127.0.0.1:8477/_emulator/clock   -d '{"advance":"20m"}'
    curl http://127.0.0.1:8477/_emulator/faults  -d '{"status":503,"retry_after":2,"count":3}'
    curl http://127.0.0.1:8477/_emulator/journal

Exit codes: 0 after Ctrl-C, SIGTERM or SIGHUP; 2 wrong options, port in use, unusable file; 70 anything else."#;

/// An emulator of Trackunit's token service and a few IRIS routes, for examples and tests.
///
/// Creates one account with one demo key, prints the variables that point a program at it, and listens on loopback
/// only.
#[derive(Parser)]
#[command(name = "tu-token-emulator", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let command = Command::parse();
    match run(&command.options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`, which panics if stderr cannot be written to.
            let _ = writeln!(std::io::stderr(), "tu-token-emulator: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
