//! A file store tried out, for a diagnosis: everything a fetch does with it, and nothing stays.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::directory::{Directory, problem};
use super::file::FileStore;
use super::{Problem, lock};

/// As large as records commonly are: a disk that is full often still has room for a name.
const BYTES: [u8; 4096] = [b'x'; 4096];

impl FileStore {
    /// Makes the directory if there is none; makes, locks, writes, renames, reads and removes a
    /// file there. The directory.
    pub(crate) fn try_out(&self) -> Result<PathBuf, Problem> {
        let path = self.path()?;
        let directory = Directory::open_or_make(path)?;
        let mut chance = [0; 8];
        SystemRandom::new()
            .fill(&mut chance)
            .map_err(|_| Problem::new("the system has no randomness to give"))?;
        let name = format!("trial-{:016x}", u64::from_ne_bytes(chance));
        // Named like what a killed process leaves, which is tidied away.
        let (new, renamed) = (format!("{name}.new"), format!("{name}-renamed.new"));
        let outcome = round_trip(&directory, path, &new, &renamed);
        let _ = directory.remove(&new);
        let _ = directory.remove(&renamed);
        outcome.map(|()| path.to_owned())
    }
}

fn round_trip(directory: &Directory, path: &Path, new: &str, renamed: &str) -> Result<(), Problem> {
    let refused = |what: &str, error: &std::io::Error| {
        Problem::new(format!("cannot {what} a file in {}: {error}", path.display()))
    };
    let mut file = directory.make(new)?;
    file.write_all(&BYTES).map_err(|error| refused("write", &error))?;
    drop(file);
    directory.rename(new, renamed)?;
    let mut read = Vec::new();
    let file = directory.read(renamed)?;
    let file = file.ok_or_else(|| Problem::new(format!("{} loses files", path.display())))?;
    file.take(2 * BYTES.len() as u64)
        .read_to_end(&mut read)
        .map_err(|error| refused("read", &error))?;
    if read != BYTES {
        return Err(Problem::new(format!("{} changes what is written", path.display())));
    }
    match lock::try_lock(directory, renamed) {
        Ok(Some(_held)) => Ok(()),
        Ok(None) => Err(problem("lock", renamed, &std::io::ErrorKind::WouldBlock.into())),
        Err(problem) => Err(problem),
    }
}
