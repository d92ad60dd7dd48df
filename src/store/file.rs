//! Records as files of one directory, for the processes of one user on one machine.
//!
//! A record is written to a new file, which then takes the old one's place: whoever reads finds one
//! record or the other, whole, also when the writer is killed half-way. Nothing is flushed to the
//! disk (`fsync`): the record is of use for minutes and after a crash of the machine of none at
//! all, what a crash leaves half written does not open, and flushing would cost a gateway's flash
//! memory more than a token request costs the network.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::directory::{Directory, is_writable, own_user, problem};
use super::{Held, MAX_RECORD_BYTES, Problem, Store, lock};

const RECORD: &str = "token";
const LOCK: &str = "lock";
/// A record that is being written.
const NEW: &str = "new";

/// Nothing lives longer than a day; after two, nobody comes back for it.
const OLD: Duration = Duration::from_secs(2 * 24 * 3600);
/// A file that is being written is finished long before.
const LEFT_OVER: Duration = Duration::from_secs(60);
/// Most files looked at when tidying up.
const MOST_TIDIED: usize = 1000;

/// The store. Keeps nothing open.
pub(crate) struct FileStore {
    /// The directory, or those to choose from.
    places: Vec<PathBuf>,
    is_named: bool,
    is_tidy: AtomicBool,
}

impl FileStore {
    /// A store in a directory; without one, in the user's own.
    pub(crate) fn new(directory: Option<&Path>) -> Self {
        let places: Vec<PathBuf> = match directory {
            // The program may go to another directory later.
            Some(given) => std::path::absolute(given).into_iter().collect(),
            None => users_own(),
        };
        // Without a slash at its end, after which a link would be followed.
        let places = places.into_iter().map(|path| path.components().collect()).collect();
        Self { places, is_named: directory.is_some(), is_tidy: AtomicBool::new(false) }
    }

    pub(super) fn path(&self) -> Result<&Path, Problem> {
        // After `su` or `sudo` the variables may still be those of another user, who could not use
        // what this one makes there.
        let place = self.places.iter().find(|path| self.is_named || is_for_this_user(path));
        place.map(PathBuf::as_path).ok_or_else(|| {
            Problem::new(
                "there is no directory for it: XDG_RUNTIME_DIR, XDG_CACHE_HOME and HOME are not \
                 set, or name what is not this user's. Name one: file:<dir>",
            )
        })
    }

    /// Removes what was left behind: half-written files, and records that ended long ago.
    fn tidy(&self, directory: &Directory, path: &Path) {
        if self.is_tidy.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(files) = std::fs::read_dir(path) else { return };
        for file in files.take(MOST_TIDIED).flatten() {
            let name = file.file_name();
            let parts = name.to_str().and_then(|name| name.rsplit_once('.'));
            let (Some(name), Some((stem, kind))) = (name.to_str(), parts) else { continue };
            let age = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(
                // A time to come is no age.
                |modified| SystemTime::now().duration_since(modified).ok(),
            );
            match (kind, age) {
                (NEW, Some(age)) if age > LEFT_OVER => drop(directory.remove(name)),
                (RECORD | LOCK, Some(age)) if age > OLD => remove_entry(directory, stem),
                _ => {}
            }
        }
    }
}

/// A name that no other process gives to a file that it writes.
pub(super) fn new_name(stem: &str) -> Result<String, Problem> {
    let mut chance = [0; 8];
    SystemRandom::new()
        .fill(&mut chance)
        .map_err(|_| Problem::new("the system has no randomness to give"))?;
    Ok(format!("{stem}.{:016x}.{NEW}", u64::from_ne_bytes(chance)))
}

/// Removes a record and its lock, unless somebody holds that. The record may be younger than the
/// lock's file; then both stay.
fn remove_entry(directory: &Directory, stem: &str) {
    let lock_name = format!("{stem}.{LOCK}");
    if let Ok(Some(_held)) = lock::try_lock(directory, &lock_name) {
        let record = format!("{stem}.{RECORD}");
        let is_young = directory.read(&record).ok().flatten().is_some_and(|file| {
            let modified = file.metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age <= OLD))
        });
        if !is_young {
            let _ = directory.remove(&record);
            let _ = directory.remove(&lock_name);
        }
    }
}

impl Store for FileStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        let Some(directory) = Directory::open(self.path()?)? else { return Ok(None) };
        let name = format!("{name}.{RECORD}");
        let Some(file) = directory.read(&name)? else { return Ok(None) };
        let mut record = Vec::new();
        file.take(MAX_RECORD_BYTES as u64 + 1)
            .read_to_end(&mut record)
            .map_err(|error| problem("read", &name, &error))?;
        Ok(Some(record))
    }

    fn save(&self, name: &str, record: &[u8], _life: Duration) -> Result<(), Problem> {
        let path = self.path()?;
        let directory = Directory::open_or_make(path)?;
        let new = new_name(name)?;
        let mut file = directory.make(&new)?;
        let saved = file
            .write_all(record)
            .map_err(|error| problem("write", &new, &error))
            .and_then(|()| directory.rename(&new, &format!("{name}.{RECORD}")));
        if saved.is_err() {
            let _ = directory.remove(&new);
        } else {
            self.tidy(&directory, path);
        }
        saved
    }

    fn remove(&self, name: &str) -> Result<(), Problem> {
        match Directory::open(self.path()?)? {
            Some(directory) => directory.remove(&format!("{name}.{RECORD}")),
            None => Ok(()),
        }
    }

    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn Held>>, Problem> {
        let directory = Directory::open_or_make(self.path()?)?;
        let lock = lock::try_lock(&directory, &format!("{name}.{LOCK}"))?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn Held>))
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// Directories below the user's own ones, the best first, by the XDG Base Directory Specification:
/// what it calls the runtime directory is gone after a reboot, which suits a token best.
fn users_own() -> Vec<PathBuf> {
    // The specification has relative paths ignored.
    let named =
        |variable| std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let home =
        |below| std::env::home_dir().filter(|p| p.is_absolute()).map(|home| home.join(below));
    let bases = if cfg!(target_os = "macos") {
        vec![home("Library/Caches")]
    } else {
        // Whoever logs in gets the runtime directory; it is not for others to make.
        let runtime = named("XDG_RUNTIME_DIR").filter(|path| path.is_dir());
        vec![runtime, named("XDG_CACHE_HOME"), home(".cache")]
    };
    bases.into_iter().flatten().map(|base| base.join("tu-token")).collect()
}

/// Whether a directory is this user's or, if it is not there, for this user to make. Root could make
/// one everywhere, but it would be in the way of the user whose place that is.
fn is_for_this_user(path: &Path) -> bool {
    let find = |place| Some((place, std::fs::metadata(place).ok()?.uid()));
    let Some((place, owner)) = path.ancestors().find_map(find) else { return false };
    let may_make = || place != path && own_user() != 0 && is_writable(place);
    owner == own_user() || may_make()
}

#[cfg(all(test, not(feature = "shuttle")))]
#[path = "file_tests.rs"]
mod tests;
