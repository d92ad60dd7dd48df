//! Sources of every kind, and the result of reading each.

use std::path::Path;
use std::sync::Mutex;

use super::super::{Change, is_asking_for};
use super::*;
use crate::cache::input::SourceKind;
use crate::config::options::Options;
use crate::process::Callback;

const PATIENCE: Duration = Duration::from_secs(30);

impl Source {
    /// Requests and adopts credentials, as a fetch does.
    fn read(&self, refused: bool) -> Result<(Pair, Change), Error> {
        let Some(ask) = self.ask() else {
            return Ok((self.given().unwrap()?, Change::default()));
        };
        let answer = Arc::new(Mailbox::default());
        let told = answer.clone();
        ask.begin(1, refused, false, move |read| {
            told.put(read);
        });
        let clock = Clock::System;
        let read = answer.take(&clock, clock.now().after(PATIENCE)).expect("it was asked");
        self.adopt(read.map(|read| read.credentials))
    }

    fn secret(&self) -> String {
        self.read(false).unwrap().0.credentials.client_secret.reveal().to_owned()
    }
}

fn source(function: impl Fn(bool) -> Option<Credentials> + Send + Sync + 'static) -> Source {
    Source::new(&mut Options::default(), Some(Callback::new(function.into())))
}

fn of_a_file(path: &Path) -> Source {
    let mut options = Options { client_id: Some(Secret::new("id")), ..Options::default() };
    options.client_secret_file = Some(path.to_owned());
    Source::new(&mut options, None)
}

#[test]
fn a_functions_results_never_change_the_version() {
    let source =
        source(|refused| Some(Credentials::new("id", if refused { "second" } else { "first" })));
    let first = source.read(false).unwrap();
    let second = source.read(true).unwrap();
    assert_eq!(first.0.version, second.0.version);
    assert!(!first.1.is_other && !second.1.is_other);
    assert!(!first.0.same_as(&second.0));
    assert!(source.view().latest.unwrap().same_as(&second.0));
}

/// A secret file and a client's source of it.
struct Scene {
    path: PathBuf,
    source: Source,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        Self { source: of_a_file(&path), path, _directory: directory }
    }

    fn write(&self, text: &str) -> &Self {
        std::fs::write(&self.path, text).unwrap();
        self
    }

    fn remove(&self) -> &Self {
        std::fs::remove_file(&self.path).unwrap();
        self
    }

    /// The pair's version and secret, and which event was reported.
    fn reads(&self) -> (u64, String, &'static str) {
        let (pair, change) = self.source.read(false).unwrap();
        let told = change.told.map_or("", |event| match event.error {
            Some(kind) => {
                assert_eq!(kind, ErrorKind::Credentials);
                let name = format!("client_secret_file {}", self.path.display());
                assert!(event.message.starts_with(&name), "{}", event.message);
                "lost"
            }
            None => "back",
        });
        (pair.version, pair.credentials.client_secret.reveal().to_owned(), told)
    }
}

fn found(version: u64, secret: &str, told: &'static str) -> (u64, String, &'static str) {
    (version, secret.to_owned(), told)
}

#[test]
fn other_content_in_a_file_is_another_version() {
    let scene = Scene::new();
    assert_eq!(scene.write("first").reads(), found(1, "first", ""));
    assert_eq!(scene.write("first\n").reads(), found(1, "first", ""));
    // The same size, and perhaps the same times: it was just written.
    assert_eq!(scene.write("third\n").reads(), found(2, "third", ""));
    assert_eq!(scene.write("\u{feff}first\r\n").reads(), found(3, "first", ""));
}

#[test]
fn while_a_file_cannot_be_read_the_last_pair_is_used_and_that_is_reported_once() {
    let scene = Scene::new();
    let error = scene.source.read(false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credentials, "no pair was ever read");
    assert_eq!(scene.write("first").reads(), found(1, "first", ""));
    assert_eq!(scene.remove().reads(), found(1, "first", "lost"));
    assert_eq!(scene.reads(), found(1, "first", ""));
    assert_eq!(scene.write("first").reads(), found(1, "first", "back"));
    assert_eq!(scene.reads(), found(1, "first", ""));
    // Content that cannot be sent counts as unreadable.
    assert_eq!(scene.write("").reads(), found(1, "first", "lost"));
    assert_eq!(scene.reads(), found(1, "first", ""));
    assert_eq!(scene.write("two\nlines").reads(), found(1, "first", "lost"), "another reason");
    assert_eq!(scene.write("other").reads(), found(2, "other", "back"));
    // A refusal does not bring back a missing file.
    let refused = scene.remove().source.read(true).unwrap().0;
    assert_eq!(refused.version, 2);
}

#[test]
fn two_files_never_yield_halves_of_two_pairs() {
    let directory = tempfile::tempdir().unwrap();
    // As Kubernetes mounts them: both change in one step.
    let mount = directory.path().join("..data");
    let options = Options {
        client_id_file: Some(mount.join("id")),
        client_secret_file: Some(mount.join("secret")),
        ..Options::default()
    };
    let publish = {
        let (directory, mount) = (directory.path().to_owned(), mount.clone());
        move |version: u32| {
            let new = directory.join(version.to_string());
            std::fs::create_dir(&new).unwrap();
            std::fs::write(new.join("id"), format!("pair-{version:06}")).unwrap();
            std::fs::write(new.join("secret"), format!("pair-{version:06}")).unwrap();
            let link = directory.join("..data_tmp");
            std::os::unix::fs::symlink(&new, &link).unwrap();
            std::fs::rename(&link, &mount).unwrap();
        }
    };
    publish(0);
    let source = Source::new(&mut { options }, None);
    // A busy machine may find files that change at each read; then the last credentials are used.
    assert_eq!(source.secret(), "pair-000000");
    let publisher = std::thread::spawn(move || (1..400).for_each(publish));
    while !publisher.is_finished() {
        let pair = source.read(false).unwrap().0.credentials;
        assert_eq!(pair.client_id.reveal(), pair.client_secret.reveal());
    }
    publisher.join().unwrap();
    assert_eq!(source.read(false).unwrap().0.credentials.client_id.reveal(), "pair-000399");
}

#[test]
fn a_rotation_ends_the_former_source() {
    let source = source(|_| Some(Credentials::new("id", "old")));
    source.read(false).unwrap();
    assert!(source.view().source.kind == SourceKind::Function && source.given().is_none());
    source.rotate(Credentials::new("id", "new"));
    assert_eq!(source.secret(), "new");
    assert!(source.view().source.kind != SourceKind::Function && source.given().is_some());
    // The result of an earlier request that arrives now is discarded.
    let late = source.adopt(Ok(Credentials::new("id", "old"))).unwrap();
    assert_eq!((late.0.version, late.0.credentials.client_secret.reveal()), (1, "new"));
}

#[test]
fn given_credentials_leave_the_options() {
    let given = |text: &str| Some(Secret::new(text));
    let mut options = Options { client_id: given("id"), ..Options::default() };
    options.client_secret = given("secret");
    let source = Source::new(&mut options, None);
    assert!(options.client_id.is_none() && options.client_secret.is_none());
    assert_eq!(source.secret(), "secret");
    source.release();
    assert!(source.given().unwrap().is_err() && source.view().latest.is_none());
}

#[test]
fn a_functions_error_is_the_source_of_the_error() {
    let function = CredentialsFn::fallible(|_| Err("the vault is sealed".into()));
    let source = Source::new(&mut Options::default(), Some(Callback::new(function)));
    let error = source.read(false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(!error.message().contains("sealed"));
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the vault is sealed");
}

#[test]
fn no_credentials_is_an_error_that_says_so() {
    let error = source(|_| None).read(false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    let without_a_reason = Callback::new(CredentialsFn::optional(|_| Ok(None)));
    let other = Source::new(&mut Options::default(), Some(without_a_reason));
    assert_eq!(other.read(false).err().unwrap().message(), error.message());
    let empty = source(|_| Some(Credentials::new("id", ""))).read(false).err().unwrap();
    assert!(empty.message().contains("client_secret is empty"));
}

#[test]
fn a_function_that_panics_is_an_error_and_the_thread_is_unmarked() {
    let panics = source(|_| panic!("on purpose"));
    let error = panics.read(false).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.message().contains("panicked"));
    let marks = Arc::new(Mutex::new(Vec::new()));
    let seen = marks.clone();
    let marked = source(move |_| {
        seen.lock().unwrap().push((is_asking_for(1), is_asking_for(2), is_asking_for(0)));
        None
    });
    let _ = marked.read(false);
    assert_eq!(*marks.lock().unwrap(), [(true, false, false)]);
    assert!(!is_asking_for(1));
}

#[test]
fn files_are_read_by_their_rules() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let refuses = |bytes: &[u8], word: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = of_a_file(&path).read(false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        let name = format!("client_secret_file {}", path.display());
        let message = error.message();
        assert!(message.contains(word) && message.contains(&name), "{message}");
    };
    refuses(b"", "is empty");
    refuses(b"two\nlines\n", "control character");
    refuses(&[0xff, 0xfe], "UTF-8");
    refuses(&vec![b'a'; 64 * 1024 + 1], "too long");
    std::fs::remove_file(&path).unwrap();
    let error = of_a_file(&path).read(false).err().unwrap();
    assert!(error.message().contains("cannot be read"), "{error}");
    std::fs::write(&path, "with a line break\r\n").unwrap();
    assert_eq!(of_a_file(&path).secret(), "with a line break");
}
