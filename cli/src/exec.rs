//! `tu-token exec`: runs a program with a token and without the secret.
//!
//! On Unix the program takes the place of this process (exec(2)): its exit code, its signals, its
//! process id and its terminal are then its own, and there is no process between it and whoever
//! started it that could pass them on wrongly.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{secrecy, token};

/// What the program gets.
const TOKEN: &str = "TRACKUNIT_TOKEN";

pub fn run(settings: &Settings, command: &[OsString]) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(crate::failure::USAGE, "exec needs a program to run"));
    };
    let token = token::get(settings)?;
    let mut child = Command::new(program);
    child.args(arguments);
    // It has no use for more than the token.
    for (name, value) in std::env::vars_os() {
        if secrecy::is_to_be_kept(&name.to_string_lossy(), &value.to_string_lossy()) {
            child.env_remove(name);
        }
    }
    child.env(TOKEN, token.value());
    start(child).map_err(|error| {
        let name = program.to_string_lossy();
        // As shells have it.
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
    // For the program's sake its writes to a reader that has gone would have ended it. Ours must not:
    // what is left to do is to say why, and to end with the right exit code.
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
