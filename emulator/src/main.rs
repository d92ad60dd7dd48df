//! The command `tu-token-emulator`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use tu_token_emulator::{Options, run};

const EXAMPLES: &str = r#"Examples:
  Start it, and paste the lines it prints into another shell:
    tu-token-emulator

  In a script: any free port, lines from a file that appears when it listens:
    rm -f emulator.env; tu-token-emulator --port 0 --env-file emulator.env &
    while kill -0 $! && [ ! -f emulator.env ]; do sleep 0.1; done; . ./emulator.env

  Keys and tokens that are still there tomorrow (as hashes; the secret is printed once):
    tu-token-emulator --state keys.db

  Tokens that live three seconds:
    tu-token-emulator --expires-in 3

  While it runs, in a browser: http://127.0.0.1:8477/

  And in a shell:
    curl http://127.0.0.1:8477/api-keys
    curl http://127.0.0.1:8477/_emulator/clock   -d '{"advance":"20m"}'
    curl http://127.0.0.1:8477/_emulator/faults  -d '{"status":503,"retry_after":2,"count":3}'
    curl http://127.0.0.1:8477/_emulator/journal

Exit codes: 0 after Ctrl-C, SIGTERM or SIGHUP; 2 wrong options, port in use, a file that cannot be used; 70 anything else."#;

/// The token service and a few IRIS routes on your desk, for examples and tests.
///
/// Makes one account with one demo key, prints the lines that point a program at it, and serves on loopback alone.
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
            // Not by `eprintln!`, which would panic where nothing can be said.
            let _ = writeln!(std::io::stderr(), "tu-token-emulator: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
