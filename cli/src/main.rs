//! The command `tu-token`: the library on the command line.
//!
//! - [`arguments`]: the command line; the client's flags come from the library's option table
//! - [`settings`]: flags and environment as a client's configuration
//! - [`token`]: the token that runs share
//! - [`get`], [`exec`], [`options`], [`doctor`], [`emulator`]: the subcommands
//! - [`completions`]: shell completion scripts
//! - [`failure`]: exit codes and messages on stderr
//! - [`secrecy`]: which option values may be shown or passed on
//! - [`output`]: standard output and error, which may be closed or full
//! - `start`: a quicker start, where it is known how

#![deny(unsafe_code)]
#![cfg_attr(all(quick_start, not(test)), no_main)]

mod arguments;
mod completions;
mod doctor;
mod emulator;
mod exec;
mod failure;
mod get;
#[cfg(feature = "__man")]
mod man;
mod options;
mod output;
mod secrecy;
mod settings;
#[cfg(all(quick_start, not(test)))]
mod start;
mod token;

use arguments::Command;
use failure::Failure;

#[cfg(not(all(quick_start, not(test))))]
fn main() -> std::process::ExitCode {
    outcome().into()
}

/// Runs, and returns the exit code.
fn outcome() -> u8 {
    // The panic has printed its message; only the exit code remains.
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => failure.tell(),
        Err(_) => failure::INTERNAL,
    }
}

fn run() -> Result<(), Failure> {
    let (command, settings) = arguments::parse()?;
    #[cfg(all(quick_start, not(test)))]
    if matches!(command, Command::Get(_) | Command::Exec(_)) {
        start::share_heap();
    }
    match command {
        Command::Get(get) => get::run(&settings, &get),
        Command::Exec(exec) => exec::run(&settings, &exec.command),
        Command::Doctor(doctor) => doctor::run(&settings, &doctor),
        Command::Options(table) => options::run(&settings, &table),
        Command::Completions { shell } => output::write(completions::script(shell).as_bytes()),
        #[cfg(feature = "__man")]
        Command::Man { directory } => man::write(&directory),
        Command::Emulator(options) => emulator::run(&options),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        crate::arguments::command().debug_assert();
    }
}
