//! Standard output and standard error, which may be closed or full.

use std::io::{ErrorKind, Write as _};

use crate::failure::{Failure, INTERNAL};

/// Writes all of it. A reader that has gone (`| head`) has had what it wanted; a full disk is an
/// error: half a token must not look like a whole one.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What becomes of a run whose output was written, or not.
pub fn written(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(INTERNAL, format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line.
pub fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Says something on stderr. What cannot be said there is lost, and nothing else: no work fails
/// because of it. (`eprintln!` would panic.)
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
