//! The env file with the lines for a shell. It contains a secret, so only its owner can read it.
//!
//! The user chooses its path, where something of the user's may already exist: a hand-written `.env`, a link, a pipe.
//! Only an empty file or one with an emulator's lines is replaced, and at the end only what this process wrote is
//! removed.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{random, shell};

/// The lines have a few hundred bytes; a longer file is not read.
const MAX_LENGTH: u64 = 64 * 1024;

/// The file before it appears at its path. Dropping it removes it.
///
/// It is opened early, so that an unwritable path is noticed before anything else happens.
pub(crate) struct Draft {
    file: File,
    draft: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Creates the draft next to the final path, if the file may appear there. Nothing changes at the path itself.
    pub(crate) fn open(place: &Path) -> io::Result<Draft> {
        may_be_replaced(place)?;
        let draft = beside(place)?;
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Draft { file: options.open(&draft)?, draft, place: place.to_owned() })
    }

    /// Makes the complete file appear at its path.
    pub(crate) fn publish(mut self, text: &str) -> io::Result<EnvFile> {
        self.file.write_all(text.as_bytes())?;
        if may_be_replaced(&self.place)? {
            take_away(&self.place, |found| may_be_replaced(found).is_ok())?;
        }
        put(&self.draft, &self.place)?;
        let file = self.file.try_clone()?;
        Ok(EnvFile { file, place: self.place.clone(), text: text.to_owned() })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Fails once it has been published, because it was moved.
        let _ = std::fs::remove_file(&self.draft);
    }
}

/// The published file. Dropping it removes the file, unless something else has been written to it.
pub(crate) struct EnvFile {
    /// While it is open, its inode cannot be reused by another file.
    file: File,
    place: PathBuf,
    text: String,
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        let is_it = |found: &Path| {
            let content = std::fs::symlink_metadata(found)
                .and_then(|metadata| content(found, &metadata).map(|text| (metadata, text)));
            content.is_ok_and(|(metadata, text)| {
                is_same(&self.file, &metadata) && text.as_deref() == Some(self.text.as_bytes())
            })
        };
        // If it cannot be removed it stays: there is no caller to report the error to.
        let _ = take_away(&self.place, is_it);
    }
}

/// Whether two paths name the same file.
pub(crate) fn is_one_place(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        std::fs::canonicalize(path).or_else(|_| {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            Ok::<_, io::Error>(std::fs::canonicalize(directory(path))?.join(name))
        })
    };
    matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether something exists at the path; an error if it must not be replaced.
fn may_be_replaced(place: &Path) -> io::Result<bool> {
    let metadata = match std::fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let stays = |what: &str| {
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{what}, and was left unchanged: choose another file"),
        ))
    };
    if !metadata.is_file() {
        return stays(&format!("it is {}, not a regular file", kind(&metadata)));
    }
    let ours = content(place, &metadata)?
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .is_some_and(|text| text.is_empty() || shell::are_exports(&text));
    if ours { Ok(true) } else { stays("it contains something other than an emulator's lines") }
}

/// The content of a regular file that is short enough to be an emulator's.
fn content(path: &Path, metadata: &Metadata) -> io::Result<Option<Vec<u8>>> {
    if !metadata.is_file() || metadata.len() > MAX_LENGTH {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Removes a file that `ours` recognises. The file is first renamed to a unique name and checked again: if another process
/// has just replaced it, that file is put back.
fn take_away(place: &Path, ours: impl Fn(&Path) -> bool) -> io::Result<()> {
    if !ours(place) {
        return Ok(());
    }
    let aside = beside(place)?;
    std::fs::rename(place, &aside)?;
    if ours(&aside) { std::fs::remove_file(&aside) } else { put(&aside, place) }
}

/// Gives a file its name, if nothing else has that name.
fn put(from: &Path, place: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, place) {
        Ok(()) => std::fs::remove_file(from),
        // Some file systems have no hard links.
        Err(_) if !may_be_replaced(place)? => std::fs::rename(from, place),
        Err(error) => Err(error),
    }
}

/// A unique name in the same directory.
fn beside(place: &Path) -> io::Result<PathBuf> {
    let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = name.to_owned();
    name.push(random::name(".", 12) + ".part");
    Ok(place.with_file_name(name))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The kind of something that is not a regular file.
pub(crate) fn kind(metadata: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a named pipe";
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if metadata.is_dir() {
        "a directory"
    } else if metadata.is_symlink() {
        "a symbolic link"
    } else {
        "something else"
    }
}

#[cfg(unix)]
fn is_same(file: &File, found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()))
}

/// Without inode numbers, comparing the content must be enough.
#[cfg(not(unix))]
fn is_same(_: &File, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const OURS: &str = "export TRACKUNIT_CLIENT_ID=id\nexport TRACKUNIT_CLIENT_SECRET=s\n\
        export TRACKUNIT_SCOPE=a\nexport TRACKUNIT_TOKEN_URL=http://127.0.0.1:1/token/v2\n\
        export IRIS_URL=http://127.0.0.1:1\n";

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn lines_of_an_emulator_and_nothing_are_replaced_and_removed_in_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("env");
        for before in [None, Some(""), Some(OURS)] {
            if let Some(text) = before {
                fs::write(&place, text).expect("written");
            }
            let draft = Draft::open(&place).expect("a draft");
            assert_eq!(fs::read_to_string(&place).ok().as_deref(), before, "still as it was");
            let file = draft.publish("x=1\n").expect("published");
            assert_eq!(fs::read_to_string(&place).expect("a file"), "x=1\n");
            assert_eq!(names(directory.path()), ["env"]);
            drop(file);
            assert!(names(directory.path()).is_empty());
        }
    }

    #[test]
    fn a_file_written_after_the_check_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("env");
        let draft = Draft::open(&place).expect("a draft");
        fs::write(&place, "A=mine\n").expect("written");
        assert!(draft.publish(OURS).is_err());
        assert_eq!(fs::read_to_string(&place).expect("a file"), "A=mine\n");
        assert_eq!(names(directory.path()), ["env"]);
    }

    #[test]
    fn the_same_lines_in_a_file_of_another_are_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("env");
        let first = Draft::open(&place).expect("a draft").publish(OURS).expect("published");
        let second = Draft::open(&place).expect("a draft").publish(OURS).expect("published");
        drop(first);
        assert_eq!(fs::read_to_string(&place).expect("a file"), OURS);
        let mut more = File::options().append(true).open(&place).expect("the file");
        more.write_all(b"A=mine\n").expect("written");
        drop(second);
        assert_eq!(fs::read_to_string(&place).expect("a file"), format!("{OURS}A=mine\n"));
    }

    #[test]
    fn a_file_replaced_during_removal_is_put_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("env");
        fs::write(&place, OURS).expect("written");
        let looks = std::cell::Cell::new(0);
        let ours_at_first = |_: &Path| {
            looks.set(looks.get() + 1);
            looks.get() == 1
        };
        take_away(&place, ours_at_first).expect("put back");
        assert_eq!(fs::read_to_string(&place).expect("a file"), OURS);
        assert_eq!(names(directory.path()), ["env"]);
    }

    #[test]
    fn one_file_is_recognised_by_any_of_its_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("x");
        let other = directory.path().join(".").join("x");
        assert!(is_one_place(&place, &other));
        assert!(!is_one_place(&place, &directory.path().join("y")));
        fs::write(&place, "").expect("written");
        assert!(is_one_place(&place, &other));
    }
}
