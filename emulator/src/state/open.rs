//! Opens the file without damaging it.
//!
//! The database repairs files that it opens, and panics on some damage. So an existing file is first tried through an
//! [`Overlay`]; only if that succeeds is the file itself opened. Before that, its first bytes show whether it can be a state
//! file at all: nothing more is read of a foreign file, and nothing of anything but a regular file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use super::overlay::Overlay;
use super::{META, StateError};
use crate::env_file::kind;

/// The thread that tries the file. A panic in it means that the file is damaged.
pub(crate) const CHECKING_THREAD: &str = "tu-emulator-check";
/// The first bytes of every database file.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Cache size while a file is tried.
const CACHE: usize = 16 * 1024 * 1024;

/// How long to wait for a file that is in use: the previous emulator may be about to end, and a child process between fork
/// and exec briefly holds its parent's locks.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Opens a state file, or creates one that only its owner can read.
pub(super) fn database(path: &Path) -> Result<Database, StateError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match open(path) {
            Err(StateError::InUse(_)) if Instant::now() < end => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

fn open(path: &Path) -> Result<Database, StateError> {
    let unusable = |error: io::Error| StateError::unusable(path, error);
    only_regular(path, std::fs::metadata(path))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(unusable)?;
    // It may have been replaced since the first check.
    only_regular(path, file.metadata())?;
    // A foreign file is not even locked.
    begins_as_ours(path, &mut file)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    if begins_as_ours(path, &mut file)? {
        try_out(path, file.try_clone().map_err(unusable)?)?;
    }
    make_private(&file).map_err(unusable)?;
    // The database takes the lock itself, which on Windows would fail.
    file.unlock().map_err(unusable)?;
    let opened =
        FileBackend::new(file).and_then(|backend| Database::builder().create_with_backend(backend));
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StateError::InUse(path.to_owned()),
        other => StateError::unusable(path, other),
    })
}

/// Refuses pipes and devices, on which reading could block or never end.
fn only_regular(path: &Path, metadata: io::Result<std::fs::Metadata>) -> Result<(), StateError> {
    match metadata {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => {
            let found = format!("it is {}, not a regular file: choose another", kind(&metadata));
            Err(StateError::unusable(path, found))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StateError::unusable(path, error)),
    }
}

/// Whether the file is not empty; an error if it does not begin like a database.
fn begins_as_ours(path: &Path, file: &mut File) -> Result<bool, StateError> {
    let mut start = Vec::new();
    file.rewind()
        .and_then(|()| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| StateError::unusable(path, error))?;
    match start.as_slice() {
        [] => Ok(false),
        MAGIC => Ok(true),
        _ => Err(StateError::NotOurs(path.to_owned())),
    }
}

fn try_out(path: &Path, file: File) -> Result<(), StateError> {
    let tried = std::thread::Builder::new()
        .name(CHECKING_THREAD.to_owned())
        .spawn(move || check(file))
        .map_err(|error| StateError::unusable(path, error))?
        .join();
    match tried {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(redb::Error::UpgradeRequired(_))) => {
            Err(StateError::NotOurs(path.to_owned()))
        }
        Ok(Err(
            redb::Error::TableDoesNotExist(name)
            | redb::Error::TableTypeMismatch { table: name, .. },
        )) if name == redb::TableHandle::name(&META) => Err(StateError::NotOurs(path.to_owned())),
        Ok(Err(error)) => Err(StateError::damaged(path, error)),
        Err(_) => Err(StateError::damaged(path, "its database is broken")),
    }
}

fn check(file: File) -> Result<bool, redb::Error> {
    let overlay = Overlay::new(file)?;
    let mut database = Database::builder().set_cache_size(CACHE).create_with_backend(overlay)?;
    // First, because the rest takes time proportional to the file's size.
    if !super::is_ours(&database)? {
        return Ok(false);
    }
    database.check_integrity()?;
    super::read_through(&database).map(|()| true)
}

/// An existing file may have another mode.
fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
