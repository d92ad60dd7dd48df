//! Why a state file cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a state file cannot be used. In every case the file is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// Another emulator uses it.
    InUse(PathBuf),
    /// It has other content, or was written by another version of the emulator.
    NotOurs(PathBuf),
    /// It was written by an emulator but cannot be read any more. With the reason.
    Damaged(PathBuf, String),
    /// The system does not allow opening, reading or writing it. With the reason.
    Unusable(PathBuf, String),
}

impl StateError {
    /// Converts an error of the database.
    pub(super) fn of(path: &Path, error: &redb::Error) -> StateError {
        use redb::Error as E;
        match error {
            E::Corrupted(_) | E::TableDoesNotExist(_) | E::TableTypeMismatch { .. } => {
                StateError::damaged(path, error)
            }
            E::PreviousIo => StateError::unusable(
                path,
                "an earlier write failed; fix the cause and restart the emulator",
            ),
            _ => StateError::unusable(path, error),
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl fmt::Display) -> StateError {
        StateError::Damaged(path.to_owned(), reason.to_string())
    }

    pub(super) fn unusable(path: &Path, reason: impl fmt::Display) -> StateError {
        StateError::Unusable(path.to_owned(), reason.to_string())
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::InUse(path) => write!(
                out,
                "the state file {} is in use by another emulator: stop that one, or choose another file",
                path.display()
            ),
            StateError::NotOurs(path) => write!(
                out,
                "{} is not a state file of this version of the emulator, and was left unchanged: choose another file",
                path.display()
            ),
            StateError::Damaged(path, reason) => write!(
                out,
                "the state file {} is damaged ({reason}), and was left unchanged: move it away, or choose another file",
                path.display()
            ),
            StateError::Unusable(path, reason) => {
                write!(out, "cannot use the state file {}: {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for StateError {}
