//! A path for a state file, and an emulator that uses it.

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError};
use tempfile::TempDir;
use tu_token_emulator::Emulator;

pub fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("state");
    (directory, file)
}

pub fn start(file: &Path) -> Emulator {
    Emulator::builder().state(file).start().expect("an emulator")
}

/// The database in a file. When another test starts a program, its child process briefly holds the locks of all files
/// that are open here.
pub fn database(file: &Path) -> Database {
    let opened = (0..1000).find_map(|_| match Database::open(file) {
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            std::thread::sleep(std::time::Duration::from_millis(10));
            None
        }
        outcome => Some(outcome),
    });
    opened.expect("a file that nobody uses").expect("a database")
}
