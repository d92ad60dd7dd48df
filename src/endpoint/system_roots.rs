//! The system's trust store, read once a process, and again when its files have changed.
//!
//! It has a file with all roots and directories with one root a file. Of the file, only the roots
//! that may have issued a server's certificates are parsed ([`Contents`]). Usually the directories
//! hold the same roots, and reading them takes several times as long, so they are read when a
//! certificate cannot be verified with the roots of the file.

use std::env;
use std::fs;
use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::pem::{self, Certificates};
use super::system_files;
use super::verifier::{Roots, Verifier};
use crate::cache::single_flight::SingleFlight;
use crate::clock::Clock;
use crate::config::parse::shown;
use crate::config::variables::Variables;
use crate::files::{Known, Now, Stamp, Verdict, Why, read_here, verdict};
use crate::process::{AnyProcess, Locked, Mailbox};
use crate::sync::global;

/// What verifies servers, and where its roots come from, for messages.
#[derive(Clone)]
pub(super) struct SystemRoots {
    pub(super) verifier: Arc<Verifier>,
    pub(super) place: String,
}

/// The store in use, or why there is none. Waits at most `patience` for its files.
pub(super) fn current(choice: &Choice, patience: Duration) -> Result<SystemRoots, String> {
    let places = Places::of(choice);
    let former = LOADED.lock().0.clone().filter(|former| former.contents.places == places);
    if let Some(loaded) = former.as_ref().filter(|loaded| loaded.is_current()) {
        return Ok(loaded.roots());
    }
    // All threads that need it now wait for one of them to read it.
    let (clock, outcome) = (Clock::System, Arc::new(Mailbox::default()));
    let now = clock.now();
    let ticket = LOADS.lock().join(places.clone(), Some(outcome.clone()), now);
    if let Some(ticket) = ticket {
        let known = former.as_ref().and_then(|former| former.file.as_ref());
        let loaded = Loaded::load(places.clone(), known).map(Arc::new);
        if let Ok(loaded) = &loaded {
            LOADED.lock().0 = Some(loaded.clone());
        }
        let waiting = LOADS.lock().end(&places, ticket, true);
        for one in waiting {
            one.put(loaded.clone());
        }
    }
    let loaded = outcome.take(&clock, now.after(patience));
    let slow = || format!("{} could not be read within {patience:?}", places.shown());
    loaded.unwrap_or_else(|| Err(slow())).map(|loaded| loaded.roots())
}

type Outcome = Result<Arc<Loaded>, String>;

global! {
    static LOADED: Locked<AnyProcess<Option<Arc<Loaded>>>> = Locked::empty();
}

global! {
    static LOADS: Locked<SingleFlight<Places, Arc<Mailbox<Outcome>>>> = Locked::empty();
}

/// What `SSL_CERT_FILE` and `SSL_CERT_DIR` named when a client was created; `None`: neither is set.
///
/// Not read later: a thread of the library must not look at the environment, which the program may
/// be changing (setenv(3)).
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Choice(Option<Box<Places>>);

impl Choice {
    pub(super) fn of(variables: &Variables) -> Self {
        let (file, directories) =
            (variables.filled("SSL_CERT_FILE"), variables.filled("SSL_CERT_DIR"));
        let named = match (&file, &directories) {
            (Some(_), Some(_)) => "the trust store that SSL_CERT_FILE and SSL_CERT_DIR name",
            (Some(_), None) => "the trust store that SSL_CERT_FILE names",
            (None, Some(_)) => "the trust store that SSL_CERT_DIR names",
            (None, None) => return Self::default(),
        };
        // Like the options' files: a daemon leaves its directory before it needs a token. In a
        // directory that has been removed, a relative path names nothing, which an empty one does,
        // too: later, it would name what lies where the program has gone.
        let place = |named: PathBuf| path::absolute(named).unwrap_or_default();
        let file = file.map(|file| place(file.into()));
        let directories = directories.into_iter().flat_map(env::split_paths).map(place).collect();
        Self(Some(Box::new(Places { named, file, directories })))
    }
}

/// Where the roots are. The platform verifier's own loader takes an empty variable for a file with
/// an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    named: &'static str,
    file: Option<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Places {
    fn of(choice: &Choice) -> Self {
        choice.0.as_deref().cloned().unwrap_or_else(Self::of_system)
    }

    /// Looked for each time: it may have come, or have moved.
    fn of_system() -> Self {
        Self {
            named: "the system's trust store",
            file: system_files::find().map(PathBuf::from),
            directories: openssl_probe::candidate_cert_dirs().map(PathBuf::from).collect(),
        }
    }

    fn shown(&self) -> String {
        /// As many as a path may have.
        const MOST_SHOWN: usize = 4096;
        let mut all = String::new();
        for place in self.file.iter().chain(&self.directories).filter(|place| place.has_root()) {
            all += &format!("{}{}", if all.is_empty() { "" } else { ", " }, place.display());
        }
        // The environment's names are not checked as the options' are.
        match all.is_empty() {
            true => self.named.to_owned(),
            false => format!("{} ({})", self.named, shown(&all, MOST_SHOWN)),
        }
    }

    fn remedy(&self) -> &'static str {
        match self.named.contains("SSL_CERT") {
            true => "fix it, or unset the variable",
            false => "install ca-certificates, or set ca_file",
        }
    }
}

/// The store as it was last read.
struct Loaded {
    /// What is known of the file, if it was read.
    file: Option<Known>,
    verifier: Arc<Verifier>,
    contents: Arc<Contents>,
}

impl Loaded {
    fn load(places: Places, former: Option<&Known>) -> Result<Self, String> {
        let read = places.file.as_deref().and_then(|path| read_here(path, former).ok());
        let (text, file) = read.unzip();
        let text = text.filter(|text| pem::has_certificate(text));
        let is_in_file = text.is_some();
        let contents = Arc::new(Contents { places, text, read: Locked::empty() });
        if !is_in_file && contents.in_directories().is_empty() {
            let (place, remedy) = (contents.places.shown(), contents.places.remedy());
            return Err(format!("no certificate can be read in {place}: {remedy}"));
        }
        let verifier = Arc::new(Verifier::by(contents.clone()));
        Ok(Self { file, verifier, contents })
    }

    /// Whether nothing that was read has changed since.
    fn is_current(&self) -> bool {
        let found = self.contents.places.file.as_deref().and_then(|path| Stamp::of_file(path).ok());
        let is_file_current = match (&self.file, found) {
            (Some(known), Some(found)) => verdict(Some(known), &found, Why::Use) != Verdict::Read,
            // Still missing.
            (None, None) => true,
            _ => false,
        };
        is_file_current && self.contents.are_directories_current()
    }

    fn roots(&self) -> SystemRoots {
        SystemRoots { verifier: self.verifier.clone(), place: self.contents.places.shown() }
    }
}

/// Not inlined: used twice, and long.
#[inline(never)]
fn roots(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// The roots of the store.
///
/// Parsing all of a file takes longer than a handshake, and most processes need one root. So those
/// of the names in a server's certificates are parsed.
struct Contents {
    places: Places,
    /// The file's, if it has a certificate. Kept for servers with other names: reading the file
    /// again could fail or hang (a pipe, no descriptor left, no permission any more).
    text: Option<Vec<u8>>,
    read: Locked<AnyProcess<Parts>>,
}

/// What has been read so far.
#[derive(Clone, Default)]
struct Parts {
    /// In the file, of the names that were looked up last.
    found: Option<Arc<Found>>,
    directories: Option<Arc<Directories>>,
}

struct Found {
    names: Vec<Vec<u8>>,
    roots: Arc<RootCertStore>,
}

impl Roots for Contents {
    fn of(&self, names: &[&[u8]]) -> Arc<RootCertStore> {
        let found = self.read.lock().0.found.clone();
        if let Some(found) = found.filter(|found| found.names == names) {
            return found.roots.clone();
        }
        let text = self.text.as_deref().unwrap_or_default();
        let roots = Arc::new(roots(Certificates::of(text, Some(names)).sound));
        let names = names.iter().map(|name| name.to_vec()).collect();
        let found = Some(Arc::new(Found { names, roots: roots.clone() }));
        let former = std::mem::replace(&mut self.read.lock().0.found, found);
        drop(former);
        roots
    }

    fn more(&self) -> Option<Arc<RootCertStore>> {
        Some(self.in_directories())
    }
}

impl Contents {
    fn in_directories(&self) -> Arc<RootCertStore> {
        let read = self.read.lock().0.directories.clone();
        let read = read.unwrap_or_else(|| {
            let read = Arc::new(Directories::read(&self.places.directories));
            self.read.lock().0.directories = Some(read.clone());
            read
        });
        read.roots.clone()
    }

    fn are_directories_current(&self) -> bool {
        let read = self.read.lock().0.directories.clone();
        read.is_none_or(|read| read.is_current(&self.places.directories))
    }
}

/// The directories as they were read.
struct Directories {
    listing: Vec<(PathBuf, Stamp)>,
    /// Any change since then shows in the listing.
    is_settled: bool,
    roots: Arc<RootCertStore>,
}

impl Directories {
    fn read(directories: &[PathBuf]) -> Self {
        // First: a change while they are read must show.
        let listing = listing(directories);
        let now = Now::by_the_clocks();
        let is_settled = listing.iter().all(|(_, stamp)| stamp.looks_old(now));
        let mut certificates = Vec::new();
        for (at, (path, stamp)) in listing.iter().enumerate() {
            // Most files have two names: one is a link by the hash of the subject.
            let is_known = listing[..at].iter().any(|(_, other)| other.is_same_file(stamp));
            if stamp.is_regular_file() && !is_known {
                let read = read_here(path, None).map(|(bytes, _)| Certificates::read(&bytes));
                certificates.extend(read.unwrap_or_default().sound);
            }
        }
        Self { listing, is_settled, roots: Arc::new(roots(certificates)) }
    }

    fn is_current(&self, directories: &[PathBuf]) -> bool {
        self.is_settled && self.listing == listing(directories)
    }
}

/// The directories and their entries. Directories that have not changed are listed in the same
/// order.
fn listing(directories: &[PathBuf]) -> Vec<(PathBuf, Stamp)> {
    let stamp = |path: PathBuf| Stamp::of_file(&path).ok().map(|stamp| (path, stamp));
    let entries = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.filter_map(|entry| stamp(entry.ok()?.path())));
    directories.iter().cloned().filter_map(stamp).chain(entries).collect()
}

#[cfg(all(test, not(feature = "__shuttle")))]
#[path = "system_roots_tests.rs"]
mod tests;
