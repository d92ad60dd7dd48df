//! The system's trust store, read once a process, and again when its files have changed.
//!
//! It has a file with all roots and directories with one root a file. Usually the directories hold
//! the same roots, and reading them takes several times as long, so they are read when a
//! certificate cannot be verified with the roots of the file.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto,
};
use rustls_native_certs::load_certs_from_paths;

use super::pem::Certificates;
use crate::cache::single_flight::SingleFlight;
use crate::clock::Clock;
use crate::files::{Known, Now, Stamp, Verdict, Why, read_here, verdict};
use crate::process::{AnyProcess, Locked, Mailbox};
use crate::sync::global;

/// What verifies servers, and where its roots come from, for messages.
#[derive(Clone)]
pub(super) struct SystemRoots {
    pub(super) verifier: Arc<dyn ServerCertVerifier>,
    pub(super) place: String,
}

/// The store in use, or why there is none. Waits at most `patience` for its files.
pub(super) fn current(patience: Duration) -> Result<SystemRoots, String> {
    let places = Places::of_system();
    let former = LOADED.lock().0.clone().filter(|former| former.places == places);
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

/// Where the roots are. The platform verifier's own loader takes an empty variable for a file with
/// an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    named: &'static str,
    file: Option<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Places {
    fn of_system() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let (file, directories) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
        let named = match (&file, &directories) {
            (None, None) => {
                let found = openssl_probe::probe();
                return Self {
                    named: "the system's trust store",
                    file: found.cert_file,
                    directories: found.cert_dir,
                };
            }
            (Some(_), None) => "the trust store that SSL_CERT_FILE names",
            (None, Some(_)) => "the trust store that SSL_CERT_DIR names",
            (Some(_), Some(_)) => "the trust store that SSL_CERT_FILE and SSL_CERT_DIR name",
        };
        let directories = directories.iter().flat_map(env::split_paths).collect();
        Self { named, file: file.map(PathBuf::from), directories }
    }

    fn shown(&self) -> String {
        let all = self.file.iter().chain(&self.directories);
        let all: Vec<String> = all.map(|place| place.display().to_string()).collect();
        match all.is_empty() {
            true => self.named.to_owned(),
            false => format!("{} ({})", self.named, all.join(", ")),
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
    places: Places,
    /// What is known of the file, if it was read.
    file: Option<Known>,
    verifier: Arc<SystemVerifier>,
}

impl Loaded {
    fn load(places: Places, former: Option<&Known>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let read = places.file.as_deref().and_then(|path| read_here(path, former).ok());
        let certificates = read.as_ref().map(|(bytes, _)| Certificates::read(bytes).sound);
        let in_file = verifier(certificates.unwrap_or_default(), &provider);
        let verifier = SystemVerifier {
            in_file,
            directories: places.directories.clone(),
            in_directories: Locked::empty(),
            provider,
        };
        if verifier.in_file.is_none() && verifier.of_directories().is_none() {
            let (place, remedy) = (places.shown(), places.remedy());
            return Err(format!("no certificate can be read in {place}: {remedy}"));
        }
        Ok(Self { places, file: read.map(|(_, known)| known), verifier: Arc::new(verifier) })
    }

    /// Whether nothing that was read has changed since.
    fn is_current(&self) -> bool {
        let found = self.places.file.as_deref().and_then(|path| Stamp::of_file(path).ok());
        let is_file_current = match (&self.file, found) {
            (Some(known), Some(found)) => verdict(Some(known), &found, Why::Use) != Verdict::Read,
            // Still missing.
            (None, None) => true,
            _ => false,
        };
        let directories = self.verifier.in_directories.lock().0.clone();
        is_file_current && directories.is_none_or(|read| read.is_current(&self.places.directories))
    }

    fn roots(&self) -> SystemRoots {
        SystemRoots { verifier: self.verifier.clone(), place: self.places.shown() }
    }
}

/// A verifier with these roots, if any of them can be used.
fn verifier(
    certificates: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let roots = Arc::new(roots);
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok()
}

/// Verifies servers with the roots of the file, then with those of the directories.
struct SystemVerifier {
    in_file: Option<Arc<WebPkiServerVerifier>>,
    directories: Vec<PathBuf>,
    /// `None`: not needed so far.
    in_directories: Locked<AnyProcess<Option<Arc<Directories>>>>,
    provider: Arc<CryptoProvider>,
}

impl SystemVerifier {
    fn of_directories(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let read = self.in_directories.lock().0.clone();
        let read = read.unwrap_or_else(|| {
            let read = Arc::new(Directories::read(&self.directories, &self.provider));
            self.in_directories.lock().0 = Some(read.clone());
            read
        });
        read.verifier.clone()
    }
}

impl ServerCertVerifier for SystemVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{BadSignature, UnknownIssuer};
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        };
        let unknown = || Err(Error::InvalidCertificate(UnknownIssuer));
        let found = self.in_file.as_deref().map_or_else(unknown, verify);
        // An authority's new key may be in the directories only.
        let Err(Error::InvalidCertificate(UnknownIssuer | BadSignature)) = &found else {
            return found;
        };
        match self.of_directories().map(|verifier| verify(&verifier)) {
            None | Some(Err(Error::InvalidCertificate(UnknownIssuer))) => found,
            Some(in_directories) => in_directories,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for SystemVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemVerifier(..)")
    }
}

/// The directories as they were read.
struct Directories {
    listing: Vec<(OsString, Stamp)>,
    /// Any change since then shows in the listing.
    is_settled: bool,
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Directories {
    fn read(directories: &[PathBuf], provider: &Arc<CryptoProvider>) -> Self {
        // First: a change while they are read must show.
        let listing = listing(directories);
        let now = Now::by_the_clocks();
        let is_settled = listing.iter().all(|(_, stamp)| stamp.looks_old(now));
        let mut certificates = Vec::new();
        for directory in directories {
            certificates.extend(load_certs_from_paths(None, Some(directory)).certs);
        }
        Self { listing, is_settled, verifier: verifier(certificates, provider) }
    }

    fn is_current(&self, directories: &[PathBuf]) -> bool {
        self.is_settled && self.listing == listing(directories)
    }
}

/// The entries of directories, and the directories themselves, in a stable order.
fn listing(directories: &[PathBuf]) -> Vec<(OsString, Stamp)> {
    let stamp = |path: &Path| Some((path.as_os_str().to_owned(), Stamp::of_file(path).ok()?));
    let mut all: Vec<_> = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .filter_map(|entry| stamp(&entry.path()))
        .collect();
    all.extend(directories.iter().filter_map(|directory| stamp(directory)));
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    all
}

#[cfg(all(test, not(feature = "__shuttle")))]
#[path = "system_roots_tests.rs"]
mod tests;
