//! Opening the file without doing harm to it.
//!
//! The database repairs what it opens and panics over some damage. So everything is first tried on an [`Overlay`] of an
//! existing file; only a file that passes is opened itself. Before that its first bytes say whether it can be ours at
//! all: a foreign file of any size is read no further, and nothing is read that is no regular file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use super::overlay::Overlay;
use super::{META, StateError};
use crate::env_file::kind;

/// The thread that tries the file. A panic in it is a finding, not an accident.
pub(crate) const CHECKING_THREAD: &str = "tu-emulator-check";
/// How every file of the database begins.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Memory for what is read while a file is tried.
const CACHE: usize = 16 * 1024 * 1024;

/// How long a file that is in use is waited for: the emulator before may be about to end, and a child
/// that is about to become another program holds for a moment what its parent has locked.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Opens a file of ours, or makes one that only its owner can read.
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
    // It may be another one than a moment ago.
    only_regular(path, file.metadata())?;
    // What is foreign is not even locked.
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
    // The database locks it again, which on Windows would find the file locked.
    file.unlock().map_err(unusable)?;
    let opened =
        FileBackend::new(file).and_then(|backend| Database::builder().create_with_backend(backend));
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StateError::InUse(path.to_owned()),
        other => StateError::unusable(path, other),
    })
}

/// A pipe or a device would be read without end, or waited for.
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

/// Whether there is something in the file; an error if that is not how a database begins.
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
        Err(_) => Err(StateError::damaged(path, "the database in it is broken")),
    }
}

fn check(file: File) -> Result<bool, redb::Error> {
    let overlay = Overlay::new(file)?;
    let mut database = Database::builder().set_cache_size(CACHE).create_with_backend(overlay)?;
    // Whose it is comes first: the rest takes as long as the file is large.
    if !super::is_ours(&database)? {
        return Ok(false);
    }
    database.check_integrity()?;
    super::read_through(&database).map(|()| true)
}

/// A file that was there before may have had another mode.
fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
