//! Records as files of one directory, for the processes of one user on one machine.
//!
//! A record is written to a new file, which is then renamed over the old one: a reader finds one
//! record or the other, never a partial one, even if the writer is killed half-way. Nothing is
//! flushed to disk (`fsync`): a record is useful for minutes, and useless after a crash of the
//! machine; a record that a crash left incomplete does not decrypt; and flushing would wear a
//! gateway's flash memory more than a token request costs the network.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::directory::{Directory, is_writable, own_user, problem};
use super::seal::NAME_LENGTH;
use super::{Found, HeldLock, MAX_RECORD_BYTES, Problem, Store, Tried, lock};
use crate::config::variables::Variables;

/// Prefix of each name: a directory of the user's choice may also hold other programs' files, and a
/// name of hex digits alone could be one of theirs.
const PREFIX: &str = "tu-token-";
const RECORD: &str = "token";
const LOCK: &str = "lock";
/// A record that is being written.
const NEW: &str = "new";
/// Random hex digits that distinguish files written at the same time.
const CHANCE_LENGTH: usize = 16;
/// Replaces the entry name when the store is tried out.
pub(super) const TRIAL: &str = "trial";

/// No record is valid for longer than a day; after two it is abandoned.
const OLD: Duration = Duration::from_secs(2 * 24 * 3600);
/// Writing a file takes far less than this.
const LEFT_OVER: Duration = Duration::from_secs(60);
const USUAL_RECORD_BYTES: usize = 2048;
/// Maximum number of files checked by one cleanup.
const MOST_TIDIED: usize = 1000;

/// The store. Keeps no file open.
pub(crate) struct FileStore {
    /// The given directory, or the user's own to choose from.
    candidates: Vec<PathBuf>,
    is_named: bool,
    is_tidy: AtomicBool,
}

impl FileStore {
    /// A store in the given directory, or in the user's own.
    pub(crate) fn new(directory: Option<&Path>, variables: &Variables) -> Self {
        let candidates: Vec<PathBuf> = match directory {
            // The program may change its working directory later.
            Some(given) => std::path::absolute(given).into_iter().collect(),
            None => users_own(variables),
        };
        // Without a trailing slash, which would make a link be followed.
        let candidates = candidates.into_iter().map(|path| path.components().collect()).collect();
        Self { candidates, is_named: directory.is_some(), is_tidy: AtomicBool::new(false) }
    }

    pub(super) fn path(&self) -> Result<&Path, Problem> {
        // After `su` or `sudo` the variables may still name another user's directories; files
        // created there would be in that user's way.
        let first = self.candidates.iter().find(|path| self.is_named || is_for_this_user(path));
        first.map(PathBuf::as_path).ok_or_else(|| {
            Problem::new(
                "there is no directory for it: XDG_RUNTIME_DIR, XDG_CACHE_HOME and HOME are not \
                 set, or are not this user's. Choose one: file:<dir>",
            )
        })
    }

    /// Removes what was left behind: incomplete files, and records that expired long ago. Other
    /// programs may use the directory too: only names that match the store's own format exactly are
    /// considered.
    fn tidy(&self, directory: &Directory, path: &Path, now: i64) {
        if self.is_tidy.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(files) = std::fs::read_dir(path) else { return };
        for file in files.take(MOST_TIDIED).flatten() {
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_older = |than| is_older(directory, name, than, now);
            match own_file(name) {
                Some(OwnFile::New) if is_older(LEFT_OVER) => drop(directory.remove(name)),
                Some(OwnFile::Entry(entry)) if is_older(OLD) => {
                    remove_entry(directory, entry, now);
                }
                _ => {}
            }
        }
    }
}

/// What a file name of this store stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OwnFile<'a> {
    /// The record or the lock of this entry.
    Entry(&'a str),
    /// A file that is being written.
    New,
}

/// Parses a file name. `None`: not a name of this store.
pub(super) fn own_file(name: &str) -> Option<OwnFile<'_>> {
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_entry = |text: &str| is_hex(text, NAME_LENGTH);
    let mut parts = name.strip_prefix(PREFIX)?.split('.');
    match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
        (entry, RECORD | LOCK, None, None) if is_entry(entry) => Some(OwnFile::Entry(entry)),
        (entry, chance, Some(NEW), None) if is_hex(chance, CHANCE_LENGTH) => {
            (is_entry(entry) || entry == TRIAL).then_some(OwnFile::New)
        }
        _ => None,
    }
}

fn file_name(entry: &str, kind: &str) -> String {
    format!("{PREFIX}{entry}.{kind}")
}

/// A name that no other process uses for a file it is writing.
pub(super) fn new_name(entry: &str) -> Result<String, Problem> {
    let mut chance = [0; CHANCE_LENGTH / 2];
    SystemRandom::new()
        .fill(&mut chance)
        .map_err(|_| Problem::new("the system's random generator failed"))?;
    let chance = u64::from_ne_bytes(chance);
    Ok(file_name(entry, &format!("{chance:0CHANCE_LENGTH$x}.{NEW}")))
}

/// Whether a file of the store was last modified longer than `than` before `now`. A modification
/// time in the future counts as recent.
fn is_older(directory: &Directory, name: &str, than: Duration, now: i64) -> bool {
    directory.modified(name).is_some_and(|at| {
        let age = u64::try_from(now.saturating_sub(at)).unwrap_or_default();
        Duration::from_secs(age) > than
    })
}

/// Removes a record and its lock file, unless the lock is held. The record may be newer than the
/// lock file; then both stay.
fn remove_entry(directory: &Directory, entry: &str, now: i64) {
    let (record, lock) = (file_name(entry, RECORD), file_name(entry, LOCK));
    if let Ok(Tried::Taken(_held)) = lock::try_lock(directory, &lock) {
        let age = directory.modified(&record);
        if age.is_none() || is_older(directory, &record, OLD, now) {
            let _ = age.and_then(|_| directory.remove(&record).ok());
            let _ = directory.remove(&lock);
        }
    }
}

impl Store for FileStore {
    fn load(&self, name: &str) -> Result<Option<Found>, Problem> {
        let Some(directory) = Directory::open(self.path()?)? else { return Ok(None) };
        let name = file_name(name, RECORD);
        let Some(file) = directory.read(&name)? else { return Ok(None) };
        // Room for all of a usual record, so that it is read at once.
        let mut record = Vec::with_capacity(USUAL_RECORD_BYTES);
        file.take(MAX_RECORD_BYTES as u64 + 1)
            .read_to_end(&mut record)
            .map_err(|error| problem("read", &name, &error))?;
        Ok(Some(Found::lasting(record)))
    }

    fn save(&self, name: &str, record: &[u8], _life: Duration) -> Result<(), Problem> {
        let path = self.path()?;
        let directory = Directory::open_or_make(path)?;
        let new = new_name(name)?;
        let mut file = directory.make(&new)?;
        let saved = file
            .write_all(record)
            .map_err(|error| problem("write", &new, &error))
            .and_then(|()| directory.rename(&new, &file_name(name, RECORD)));
        if saved.is_err() {
            let _ = directory.remove(&new);
        } else if let Ok(metadata) = file.metadata() {
            // By the file system's clock, which sets the times of all files here.
            self.tidy(&directory, path, metadata.mtime());
        }
        saved
    }

    fn remove(&self, name: &str, _record: &[u8]) -> Result<(), Problem> {
        match Directory::open(self.path()?)? {
            Some(directory) => directory.remove(&file_name(name, RECORD)),
            None => Ok(()),
        }
    }

    fn try_lock(&self, name: &str) -> Result<Tried<Box<dyn HeldLock>>, Problem> {
        let directory = Directory::open_or_make(self.path()?)?;
        Ok(match lock::try_lock(&directory, &file_name(name, LOCK))? {
            Tried::Taken(lock) => Tried::Taken(Box::new(lock)),
            Tried::Held(holder) => Tried::Held(holder),
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// The user's own directories by the XDG Base Directory Specification, the best first: the runtime
/// directory is cleared by a reboot, which suits tokens best.
fn users_own(variables: &Variables) -> Vec<PathBuf> {
    // The specification says to ignore relative paths.
    let named = |variable| variables.get(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = |below| variables.home().filter(|p| p.is_absolute()).map(|home| home.join(below));
    let bases = if cfg!(target_os = "macos") {
        vec![home("Library/Caches")]
    } else {
        // The system creates the runtime directory at login; programs must not create it.
        let runtime = named("XDG_RUNTIME_DIR").filter(|path| path.is_dir());
        vec![runtime, named("XDG_CACHE_HOME"), home(".cache")]
    };
    bases.into_iter().flatten().map(|base| base.join("tu-token")).collect()
}

/// Whether a directory belongs to this user or, if it does not exist, may be created by this user.
/// Root could create any, but would then be in the way of the user it is meant for.
fn is_for_this_user(path: &Path) -> bool {
    let find = |place| Some((place, std::fs::metadata(place).ok()?.uid()));
    let Some((place, owner)) = path.ancestors().find_map(find) else { return false };
    let may_make = || place != path && own_user() != 0 && is_writable(place);
    owner == own_user() || may_make()
}

#[cfg(all(test, not(feature = "__shuttle")))]
#[path = "file_tests.rs"]
mod tests;
