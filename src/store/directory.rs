//! A directory that only this user can change, and the files in it.
//!
//! The directory is opened once for each operation and checked by its descriptor, and everything
//! else is relative to that descriptor: replacing or renaming a directory on the path has no effect
//! in between. The standard library has no such calls, hence the `libc` calls here.

use std::ffi::CString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Problem;

use crate::words;

/// A directory that passed the checks.
pub(super) struct Directory {
    opened: File,
    /// Identifies it on this machine (device and inode).
    pub(super) id: (u64, u64),
}

impl Directory {
    /// Opens the directory. `None`: it does not exist.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Problem> {
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let opened = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // The system's error for a link ("not a directory") would be misleading.
            Err(_) if path.is_symlink() => {
                return Err(Problem::new(format!(
                    "{} is a symbolic link, which is not followed. Name the directory itself \
                     (file:<dir>)",
                    path.display()
                )));
            }
            Err(error) => return Err(cannot("open", path, &error)),
        };
        let metadata = opened.metadata().map_err(|error| cannot("inspect", path, &error))?;
        let refused = |why: &str| {
            Problem::new(format!(
                "the directory {} {why}: other users could plant or delete tokens there. Choose \
                 another (file:<dir>), or: chmod 700",
                path.display()
            ))
        };
        if metadata.uid() != own_user() {
            return Err(refused("belongs to another user"));
        }
        if writable_by_others(&metadata) {
            return Err(refused("can be written to by other users"));
        }
        Ok(Some(Self { opened, id: (metadata.dev(), metadata.ino()) }))
    }

    /// Opens the directory; creates it, accessible to this user only, if it does not exist.
    pub(super) fn open_or_make(path: &Path) -> Result<Self, Problem> {
        if let Some(directory) = Self::open(path)? {
            return Ok(directory);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| cannot("create", path, &error))?;
        Self::open(path)?
            .ok_or_else(|| Problem::new("the directory disappeared as soon as it was created"))
    }

    /// Opens an existing file for reading. `None`: it does not exist.
    pub(super) fn read(&self, name: &str) -> Result<Option<File>, Problem> {
        // Opening a pipe would wait for a writer.
        match self.open_at(name, libc::O_RDONLY | libc::O_NONBLOCK) {
            Ok(file) => own(file, name).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(problem("open", name, &error)),
        }
    }

    /// Creates a new file for writing.
    pub(super) fn make(&self, name: &str) -> Result<File, Problem> {
        self.open_at(name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)
            .map_err(|error| problem("create", name, &error))
    }

    /// Opens a file to lock it; creates it if it does not exist.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, Problem> {
        let opened = self.open_at(name, libc::O_RDWR | libc::O_CREAT | libc::O_NONBLOCK);
        own(opened.map_err(|error| problem("open", name, &error))?, name)
    }

    fn open_at(&self, name: &str, flags: libc::c_int) -> io::Result<File> {
        let name = c_name(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let mode: libc::c_uint = 0o600;
        // SAFETY: the descriptor is open, the name is NUL-terminated, and a mode is given.
        let fd = unsafe { libc::openat(self.opened.as_raw_fd(), name.as_ptr(), flags, mode) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened, and nothing else owns it.
        Ok(unsafe { File::from_raw_fd(fd) })
    }

    /// When a regular file of this user was last modified, in seconds since 1970. Does not open it:
    /// closing a lock file would drop this process's lock on it.
    pub(super) fn modified(&self, name: &str) -> Option<i64> {
        let name = c_name(name).ok()?;
        let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open, the name is NUL-terminated, and there is room for the
        // result.
        let status = unsafe {
            libc::fstatat(
                self.opened.as_raw_fd(),
                name.as_ptr(),
                found.as_mut_ptr(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        if status != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so it is initialized.
        let found = unsafe { found.assume_init() };
        let is_plain = found.st_mode & libc::S_IFMT == libc::S_IFREG;
        #[allow(clippy::useless_conversion, reason = "it has 32 bits on some systems")]
        (is_plain && found.st_uid == own_user()).then_some(found.st_mtime.into())
    }

    /// Renames a file, replacing the target, atomically.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Problem> {
        let renamed = two(from, to).and_then(|(from, to)| {
            let fd = self.opened.as_raw_fd();
            // SAFETY: the descriptor is open, and both names are NUL-terminated.
            done(unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) })
        });
        renamed.map_err(|error| problem("rename to", to, &error))
    }

    /// Removes a file. A missing one is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Problem> {
        let removed = c_name(name).and_then(|name| {
            // SAFETY: the descriptor is open, and the name is NUL-terminated.
            done(unsafe { libc::unlinkat(self.opened.as_raw_fd(), name.as_ptr(), 0) })
        });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(problem("remove", name, &error))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the file if it is a regular one that only this user can write to.
fn own(file: File, name: &str) -> Result<File, Problem> {
    let metadata = file.metadata().map_err(|error| problem("inspect", name, &error))?;
    if metadata.is_file() && metadata.uid() == own_user() && !writable_by_others(&metadata) {
        return Ok(file);
    }
    Err(Problem::new(format!("{name} is not a regular file of this user alone; remove it")))
}

fn writable_by_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

pub(super) fn own_user() -> u32 {
    // SAFETY: takes no arguments and always succeeds.
    unsafe { libc::geteuid() }
}

/// Whether this user may create files in a directory.
pub(super) fn is_writable(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated; nothing else is read.
    let status = unsafe {
        libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS)
    };
    status == 0
}

fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn two(from: &str, to: &str) -> io::Result<(CString, CString)> {
    Ok((c_name(from)?, c_name(to)?))
}

fn done(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("cannot {what} the directory {}: {}", path.display(), words::of(error)))
}

pub(super) fn problem(what: &str, name: &str, error: &io::Error) -> Problem {
    Problem::new(format!("cannot {what} {name}: {}", words::of(error)))
}
