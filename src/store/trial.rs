//! Tries out a file store for diagnosis: everything that a fetch does with it, leaving nothing
//! behind.

use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use super::directory::{Directory, problem};
use super::file::{FileStore, TRIAL, new_name};
use super::{Problem, Tried, lock};

/// The size of a typical record: a full disk often still has room for a directory entry.
const BYTES: [u8; 4096] = [b'x'; 4096];

impl FileStore {
    /// Creates the directory if it does not exist; creates, writes, renames, reads, locks and
    /// removes a file in it. Returns the directory.
    pub(crate) fn try_out(&self) -> Result<PathBuf, Problem> {
        let path = self.path()?;
        let directory = Directory::open_or_make(path)?;
        // Named like the leftovers of a killed process, which are cleaned up.
        let (first, second) = (new_name(TRIAL)?, new_name(TRIAL)?);
        let outcome = round_trip(&directory, &first, &second);
        let _ = directory.remove(&first);
        let _ = directory.remove(&second);
        match outcome {
            Ok(()) => Ok(path.to_owned()),
            Err(mut problem) => {
                problem.message = format!("in {}: {}", path.display(), problem.message);
                Err(problem)
            }
        }
    }
}

fn round_trip(directory: &Directory, first: &str, second: &str) -> Result<(), Problem> {
    let mut file = directory.make(first)?;
    file.write_all(&BYTES).map_err(|error| problem("write", first, &error))?;
    drop(file);
    directory.rename(first, second)?;
    let file = directory.read(second)?;
    let file = file.ok_or_else(|| problem("find", second, &ErrorKind::NotFound.into()))?;
    let mut read = Vec::new();
    file.take(2 * BYTES.len() as u64)
        .read_to_end(&mut read)
        .map_err(|error| problem("read", second, &error))?;
    if read != BYTES {
        return Err(Problem::new("reading it back returned something else"));
    }
    match lock::try_lock(directory, second)? {
        Tried::Taken(_held) => Ok(()),
        Tried::Held(_) => Err(problem("lock", second, &ErrorKind::WouldBlock.into())),
    }
}
