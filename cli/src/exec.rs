//! `tu-token exec`: runs a program with a token and without the secret.
//!
//! On Unix the program replaces this process (exec(2)): its exit code, signals, process id and terminal
//! are then its own, and no process in between could pass them on incorrectly.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{secrecy, token};

/// The variable that contains the token.
const TOKEN: &str = "TRACKUNIT_TOKEN";

pub fn run(settings: &Settings, command: &[OsString]) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(crate::failure::USAGE, "exec needs a program to run"));
    };
    let token = token::get(settings)?;
    let mut child = Command::new(program);
    child.args(arguments);
    // The program needs only the token.
    for (name, value) in std::env::vars_os() {
        if secrecy::is_to_be_kept(&name.to_string_lossy(), &value.to_string_lossy()) {
            child.env_remove(name);
        }
    }
    child.env(TOKEN, token.value());
    start(child).map_err(|error| {
        let name = program.to_string_lossy();
        // The exit codes that shells use.
        match error.kind() {
            io::ErrorKind::NotFound => Failure::new(127, format!("{name}: not found")),
            _ => Failure::new(126, format!("{name} cannot be run: {error}")),
        }
    })
}

/// Returns only if the program could not be started.
#[cfg(unix)]
fn start(mut child: Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let error = child.exec();
    // `exec` has restored the default action of SIGPIPE for the program. Here it must not end the
    // process, which still has to report the error with the right exit code.
    // SAFETY: no handler is installed, and nothing else in this process sets this signal.
    #[allow(unsafe_code)]
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    Err(error)
}

#[cfg(not(unix))]
fn start(mut child: Command) -> io::Result<()> {
    let code = child.status()?.code().unwrap_or(i32::from(crate::failure::INTERNAL));
    std::process::exit(code)
}
