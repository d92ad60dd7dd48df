//! A place for a state file, and an emulator that keeps one.

use std::path::{Path, PathBuf};

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
