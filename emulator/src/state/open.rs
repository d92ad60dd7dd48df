//! Opening the file without doing harm to it.
//!
//! The database repairs what it opens and panics over some damage. So an existing file is first locked and copied into
//! memory, and everything is tried on the copy; only a file that passes is opened itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, DatabaseError, StorageBackend as _};

use super::{META, StateError};

/// The thread that tries the copy. A panic in it is a finding, not an accident.
pub(crate) const CHECKING_THREAD: &str = "tu-emulator-check";
/// How every file of the database begins.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

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
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unusable)?;
    if !bytes.is_empty() {
        try_copy(path, bytes)?;
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

fn try_copy(path: &Path, bytes: Vec<u8>) -> Result<(), StateError> {
    if !bytes.starts_with(MAGIC) {
        return Err(StateError::NotOurs(path.to_owned()));
    }
    let tried = std::thread::Builder::new()
        .name(CHECKING_THREAD.to_owned())
        .spawn(move || check_copy(&bytes))
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

fn check_copy(bytes: &[u8]) -> Result<bool, redb::Error> {
    let copy = InMemoryBackend::new();
    copy.set_len(bytes.len() as u64).and_then(|()| copy.write(0, bytes))?;
    let mut database = Database::builder().create_with_backend(copy)?;
    database.check_integrity()?;
    super::check(&database)
}

/// A file that was there before may have had another mode.
fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
