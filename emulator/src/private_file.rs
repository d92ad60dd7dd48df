//! Files with secrets in them.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::random;

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file that holds this text. What others have put in its place since then is theirs.
pub(crate) fn remove_own(path: &Path, text: &str) {
    if std::fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        let _ = remove(path);
    }
}

/// A file that only its owner can read, before it appears in its place. It goes when it is not wanted.
///
/// It is opened early, so that a place where nothing can be written is found before anything else has happened.
pub(crate) struct Draft {
    file: File,
    draft: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Opens it beside the place where it shall appear.
    pub(crate) fn open(place: &Path) -> io::Result<Draft> {
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut draft_name = name.to_owned();
        // Nobody else's, so that nothing has to make room for it.
        draft_name.push(random::name(".", 12) + ".part");
        let draft = place.with_file_name(draft_name);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Draft { file: options.open(&draft)?, draft, place: place.to_owned() })
    }

    /// Lets it appear, complete.
    pub(crate) fn publish(mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        std::fs::rename(&self.draft, &self.place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has appeared there is nothing left here.
        let _ = remove(&self.draft);
    }
}
