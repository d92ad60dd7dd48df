//! A file lock that ends with the process that holds it, and only with that process.
//!
//! It is a POSIX record lock (`fcntl`), not `flock` or `File::lock`: those belong to the open file
//! description, which a forked child shares. A parent killed in the middle of a fetch would leave
//! its lock to unsuspecting children for as long as they live. A record lock belongs to the
//! process; a child never inherits it.
//!
//! The shortcomings of such locks are handled here: they do not exclude other threads of the
//! process, and closing any descriptor of the file drops them. So a table records which locks this
//! process holds, and only the thread that reserved an entry in the table opens the lock file. (Two
//! copies of the library in one process have two tables, and may make two requests where one would
//! do.)

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use super::directory::{Directory, problem};
use super::{HeldLock, Holder, Problem, Tried};
use crate::lists::add_new;
use crate::process::{Locked, OneProcess, Process};
use crate::sync::global;

/// A directory's identity, and a file name in it.
type Key = ((u64, u64), String);

global! {
    /// At most one entry per fetch that uses the store. A parent's locks remain the parent's.
    static TAKEN: Locked<OneProcess<Vec<Key>>> = Locked::empty();
}

/// An entry in the table.
struct Reservation {
    key: Key,
    process: Process,
}

impl Reservation {
    fn take(key: Key) -> Option<Self> {
        let is_free = add_new(&mut TAKEN.lock(), key.clone());
        // Constructed only then: dropping it frees the entry.
        is_free.then(|| Self { key, process: Process::this() })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(mut taken) = TAKEN.lock_in(self.process) {
            taken.retain(|key| *key != self.key);
        }
    }
}

/// A lock that is held. The file is closed before the entry is freed: in the other order, closing
/// would drop the lock of the next holder.
pub(super) struct FileLock {
    _file: File,
    _reservation: Reservation,
}

impl HeldLock for FileLock {}

/// Takes the lock if no other process or thread has it.
pub(super) fn try_lock(directory: &Directory, name: &str) -> Result<Tried<FileLock>, Problem> {
    let Some(reservation) = Reservation::take((directory.id, name.to_owned())) else {
        return Ok(held_by(std::process::id().into()));
    };
    loop {
        let file = directory.lock_file(name)?;
        if !lock(&file).map_err(|error| problem("lock", name, &error))? {
            let holder = held_by(holder(&file));
            drop(file);
            drop(reservation);
            return Ok(holder);
        }
        let metadata = file.metadata().map_err(|error| problem("inspect", name, &error))?;
        if metadata.nlink() > 0 {
            return Ok(Tried::Taken(FileLock { _file: file, _reservation: reservation }));
        }
        // Another process removed the file between the open and the lock: lock the new one.
    }
}

fn held_by(id: u64) -> Tried<FileLock> {
    Tried::Held(Holder::process(id))
}

/// The whole file, for writing.
fn region() -> libc::flock {
    // SAFETY: plain data for which zeros are valid; they select the whole file.
    let mut region: libc::flock = unsafe { std::mem::zeroed() };
    region.l_type = libc::F_WRLCK as _;
    region.l_whence = libc::SEEK_SET as _;
    region
}

/// The process that holds the lock. 0: it has released it by now, or is in a place where process
/// ids of this one mean nothing.
fn holder(file: &File) -> u64 {
    let mut region = region();
    // SAFETY: the descriptor is open, and `region` outlives the call, which only reads and writes it.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut region) };
    let is_held = status == 0 && i64::from(region.l_type) != i64::from(libc::F_UNLCK);
    if is_held { u64::try_from(region.l_pid).unwrap_or_default() } else { 0 }
}

/// Whether there is no such process any more.
pub(super) fn has_ended(process: u64) -> bool {
    let Ok(process @ 1..) = libc::pid_t::try_from(process) else { return false };
    // SAFETY: signal 0 is never delivered; the call only checks whether the process exists.
    let status = unsafe { libc::kill(process, 0) };
    status != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Locks a file for this process; returns `false` if another process holds the lock.
fn lock(file: &File) -> io::Result<bool> {
    let region = region();
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
