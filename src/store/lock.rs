//! A file lock that ends with the process that holds it, and with that process alone.
//!
//! It is a record lock of POSIX (`fcntl`), not `flock` and not `File::lock`: those belong to the
//! open file, which a forked child shares. A parent killed in the middle of a fetch would leave its
//! lock to children that know nothing of it, for as long as they live. A record lock belongs to the
//! process; a child never has it.
//!
//! What such locks do not do is done here. They keep no other thread of the process out, and any
//! descriptor of the file that the process closes drops them. So a table says what this process
//! holds, and a lock file is only opened by whoever has its place in the table. (Two copies of the
//! library in one process have two tables, and may then make two requests where one would do.)

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use super::directory::{Directory, problem};
use super::{HeldLock, Problem};
use crate::lists::add_new;
use crate::process::{Locked, OneProcess, Process};
use crate::sync::global;

/// A directory, and a file in it.
type Place = ((u64, u64), String);

global! {
    /// At most one for each flight that is looking. What a parent holds, it holds itself.
    static TAKEN: Locked<OneProcess<Vec<Place>>> = Locked::empty();
}

/// A place in the table.
struct Reserved {
    place: Place,
    process: Process,
}

impl Reserved {
    fn take(place: Place) -> Option<Self> {
        let is_free = add_new(&mut TAKEN.lock(), place.clone());
        // Made only then: dropping it frees the place.
        is_free.then(|| Self { place, process: Process::this() })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(mut taken) = TAKEN.lock_in(self.process) {
            taken.retain(|place| *place != self.place);
        }
    }
}

/// A lock that is held. The file is closed first, then the place is free: the other way round,
/// closing would drop the lock of whoever came next.
pub(super) struct FileLock {
    _file: File,
    _place: Reserved,
}

impl HeldLock for FileLock {}

/// Takes the lock if neither another process nor another thread has it.
pub(super) fn try_lock(directory: &Directory, name: &str) -> Result<Option<FileLock>, Problem> {
    let Some(place) = Reserved::take((directory.id, name.to_owned())) else { return Ok(None) };
    loop {
        let file = directory.lock_file(name)?;
        if !lock(&file).map_err(|error| problem("lock", name, &error))? {
            drop(file);
            drop(place);
            return Ok(None);
        }
        let metadata = file.metadata().map_err(|error| problem("look at", name, &error))?;
        if metadata.nlink() > 0 {
            return Ok(Some(FileLock { _file: file, _place: place }));
        }
        // Somebody tidied up between the opening and the locking: this one is nobody's any more.
    }
}

/// Locks a file for this process; false if another process has done so.
fn lock(file: &File) -> io::Result<bool> {
    // SAFETY: the struct is plain data, for which zeros are valid: from the first byte to the last.
    let mut region: libc::flock = unsafe { std::mem::zeroed() };
    region.l_type = libc::F_WRLCK as _;
    region.l_whence = libc::SEEK_SET as _;
    // SAFETY: the descriptor is open, and `region` outlives the call, which only reads it.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &region) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}
