//! Standard output and standard error, which may be closed or full.

use std::io::{ErrorKind, Write as _};

use crate::failure::{Failure, INTERNAL};

/// Writes all bytes. A reader that has closed the pipe (`| head`) is no error. A full disk is one: half
/// a token must not look like a whole one.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Converts the result of writing output to that of the run.
pub fn written(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(INTERNAL, format!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line.
pub fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a message to stderr. If that fails, the message is lost, but the run does not fail.
/// (`eprintln!` would panic.)
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// A text for a line of its own. Names from the command line or the environment may contain line breaks
/// and terminal escape sequences.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
