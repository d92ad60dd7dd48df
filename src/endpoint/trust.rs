//! Root certificates, and the client's own certificate with its key.
//!
//! The files are checked for each connection, so that replacements take effect without a restart.
//! From a `ca_file`, all readable certificates are used; if there are none, the last ones that
//! could be read. A warning says so, once per change.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SignatureScheme};

use super::pem::{self, Certificates};
use super::sessions::{Parts, Sessions};
#[cfg(all(unix, not(target_os = "android"), not(target_vendor = "apple")))]
use super::system_roots;
use super::verifier::Verifier;
use crate::config::options::Options;
use crate::config::variables::Variables;
use crate::files::{Content, Named};
use crate::process::{Inherited, Kept};
use crate::sync::global;

/// The sources of one client's certificates.
pub(crate) struct Trust {
    pub(super) ca_file: Option<Arc<Named>>,
    /// Certificate and key.
    own: Option<(Arc<Named>, Arc<Named>)>,
    /// How long to wait for a file: as long as for the server.
    patience: Duration,
    known: Kept<Known>,
    /// `None`: those that all such clients share are used.
    sessions: Option<Box<Sessions>>,
    /// Without a `ca_file`.
    system: system_roots::Choice,
}

global! {
    /// Of clients with the system's roots and no certificate of their own.
    static SESSIONS: Sessions = Sessions::none();
}

#[derive(Clone, Default)]
struct Known {
    /// The last usable content of `ca_file`.
    roots: Option<Arc<Roots>>,
    /// The client's certificate and key as last read.
    own: Option<Arc<Own>>,
    /// The problem found with each file when it was last checked.
    problems: [Option<String>; 2],
    /// Messages not yet reported.
    news: Vec<String>,
}

/// The roots of `ca_file`.
struct Roots {
    file: Arc<Content>,
    verifier: Arc<dyn ServerCertVerifier>,
    /// What is wrong with the rest of the file.
    problem: Option<String>,
}

/// The client's certificate and key.
struct Own {
    files: [Arc<Content>; 2],
    pair: Arc<CertifiedKey>,
}

/// A child keeps its parent's certificates.
impl Inherited for Known {
    type Remains = ();

    fn adopt(&mut self) {}
}

/// Which file a problem is about.
#[derive(Clone, Copy)]
enum About {
    Roots,
    Own,
}

/// What one connection is secured with.
pub(crate) struct Security {
    pub(crate) config: Arc<ClientConfig>,
    /// Where the roots come from, for messages.
    pub(crate) store: String,
}

impl Trust {
    /// Reads the files that the options name, so that mistakes show at once.
    pub(super) fn new(options: &Options, variables: &Variables) -> Result<Self, String> {
        let named = |file: &Option<PathBuf>| file.clone().map(Named::new);
        let ca_file = named(&options.ca_file);
        let own = named(&options.client_cert_file).zip(named(&options.client_key_file));
        let trust = Self::of(ca_file, own, options.connect_timeout, variables);
        if let Some(path) = &trust.ca_file {
            trust.roots_of(path)?;
        }
        trust.own_pair()?;
        Ok(trust)
    }

    /// What a store's server is verified with. The file is read when it is needed.
    #[cfg(feature = "redis")]
    pub(crate) fn for_store(
        ca_file: Option<PathBuf>,
        patience: Duration,
        variables: &Variables,
    ) -> Self {
        Self::of(ca_file.map(Named::new), None, patience, variables)
    }

    fn of(
        ca_file: Option<Arc<Named>>,
        own: Option<(Arc<Named>, Arc<Named>)>,
        patience: Duration,
        variables: &Variables,
    ) -> Self {
        let is_special = ca_file.is_some() || own.is_some();
        let sessions = is_special.then(|| Box::new(Sessions::none()));
        let system = match ca_file {
            Some(_) => system_roots::Choice::default(),
            None => system_roots::Choice::of(variables),
        };
        Self { ca_file, own, patience, known: Kept::new(Known::default()), sessions, system }
    }

    /// What the next connection is secured with, or why it cannot be.
    pub(crate) fn security(&self) -> Result<Security, String> {
        WAS_ASKED.set(false);
        let (verifier, store) = match &self.ca_file {
            Some(path) => (self.roots_of(path)?, format!("ca_file {}", path.display())),
            None => {
                let roots = system_roots::current(&self.system, self.patience)?;
                (roots.verifier as Arc<dyn ServerCertVerifier>, roots.place)
            }
        };
        let own = self.own_pair()?;
        let sessions = self.sessions.as_deref().unwrap_or(&SESSIONS);
        Ok(Security { config: sessions.config(Parts { verifier, own })?, store })
    }

    /// Whether it reads files of its own.
    pub(super) fn has_files(&self) -> bool {
        self.sessions.is_some()
    }

    /// Whether these name the same system's roots as those that the first client was created with.
    pub(crate) fn is_of(&self, variables: &Variables) -> bool {
        self.ca_file.is_some() || self.system == system_roots::Choice::of(variables)
    }

    /// The file of the client's own certificate.
    pub(super) fn client_cert_file(&self) -> Option<&Named> {
        self.own.as_ref().map(|(certificate, _)| &**certificate)
    }

    /// Messages about the files that a person should see and that have not been reported yet.
    pub(super) fn news(&self) -> Vec<String> {
        let mut known = self.known.lock();
        match known.news.is_empty() {
            true => Vec::new(),
            false => std::mem::take(&mut known.news),
        }
    }

    /// Records a problem with a file, or that there is none any more.
    fn note(&self, about: About, problem: Option<String>) {
        let mut known = self.known.lock();
        if known.problems[about as usize] != problem {
            known.news.extend(problem.clone());
            known.problems[about as usize] = problem;
        }
    }

    fn roots_of(&self, path: &Arc<Named>) -> Result<Arc<dyn ServerCertVerifier>, String> {
        let named = format!("ca_file {}", path.display());
        let last = self.known.lock().roots.clone();
        let problem = match self.read(path) {
            Ok(file) => {
                let known = last.clone().filter(|last| is_same(&last.file, &file));
                match known.map_or_else(|| Roots::read(file).map(Arc::new), Ok) {
                    Ok(roots) => {
                        let problem = roots.problem.as_ref();
                        let told = problem.map(|problem| named + problem + "; the others are used");
                        if !last.is_some_and(|last| Arc::ptr_eq(&last, &roots)) {
                            self.known.lock().roots = Some(roots.clone());
                        }
                        self.note(About::Roots, told);
                        return Ok(roots.verifier.clone());
                    }
                    Err(problem) => problem,
                }
            }
            Err(unread) => unread,
        };
        let problem = named + &problem;
        let last = last.ok_or_else(|| problem.clone())?;
        self.note(About::Roots, Some(problem + "; what it held before is used"));
        Ok(last.verifier.clone())
    }

    /// The client's certificate, checked against its key.
    fn own_pair(&self) -> Result<Option<Arc<CertifiedKey>>, String> {
        let Some((cert_path, key_path)) = &self.own else { return Ok(None) };
        let named = format!("client_cert_file {}", cert_path.display());
        let key_named = format!("client_key_file {}", key_path.display());
        let file = self.read(cert_path).map_err(|unread| format!("{named}{unread}"))?;
        let key_file = self.read(key_path).map_err(|unread| format!("{key_named}{unread}"))?;
        let known = self.known.lock().own.clone();
        let is_known =
            |own: &Arc<Own>| is_same(&own.files[0], &file) && is_same(&own.files[1], &key_file);
        if let Some(own) = known.filter(is_known) {
            return Ok(Some(own.pair.clone()));
        }
        let chain = Certificates::read(&file.bytes);
        let problem = chain.problem(&file.bytes).map(|problem| format!("{named}{problem}"));
        // The first one is the client's own.
        if chain.sound.is_empty() || chain.damaged.first() == Some(&1) {
            return Err(problem.unwrap_or_default());
        }
        self.note(About::Own, problem.map(|problem| problem + "; the others are sent"));
        let pair = CertifiedKey::new(chain.sound, signer(&key_file, &key_named)?);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => {
                return Err(format!(
                    "{key_named} does not belong to the first certificate in {named}"
                ));
            }
        }
        let pair = Arc::new(pair);
        let own = Own { files: [file, key_file], pair: pair.clone() };
        self.known.lock().own = Some(Arc::new(own));
        Ok(Some(pair))
    }

    /// The file may hang, so it is not read on this thread (see `files`). The error is a predicate
    /// for its name.
    fn read(&self, path: &Arc<Named>) -> Result<Arc<Content>, String> {
        path.read_within(self.patience).map_err(|unread| format!(" {unread}"))
    }
}

fn signer(file: &Content, named: &str) -> Result<Arc<dyn SigningKey>, String> {
    let block = pem::blocks(&file.bytes)
        .find(pem::Block::is_private_key)
        .ok_or_else(|| format!("{named} holds no private key in PEM form"))?;
    if block.is_encrypted() {
        return Err(format!(
            "{named} is encrypted, and there is no way to ask for its passphrase: store it \
             without one, readable by this user only"
        ));
    }
    let der = block.secret().unwrap_or_default();
    let key: PrivateKeyDer<'_> = match block.label {
        b"RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(&der[..]).into(),
        b"EC PRIVATE KEY" => PrivateSec1KeyDer::from(&der[..]).into(),
        _ => PrivatePkcs8KeyDer::from(&der[..]).into(),
    };
    ring::sign::any_supported_type(&key)
        .map_err(|_| format!("{named} is damaged, or of a kind that is not supported"))
}

fn is_same(one: &Arc<Content>, other: &Arc<Content>) -> bool {
    Arc::ptr_eq(one, other) || one.bytes == other.bytes
}

impl Roots {
    /// Reads the file's certificates. The error is a predicate for its name.
    fn read(file: Arc<Content>) -> Result<Self, String> {
        let certificates = Certificates::read(&file.bytes);
        let problem = certificates.problem(&file.bytes);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.sound);
        match roots.is_empty() {
            true => Err(problem.unwrap_or_else(|| " holds no certificate".to_owned())),
            false => Ok(Self { file, verifier: Arc::new(Verifier::new(roots)), problem }),
        }
    }
}

std::thread_local! {
    /// Whether the server of the connection that this thread is making, or made last, has requested
    /// a client certificate.
    static WAS_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the server that this thread last connected to requested a client certificate.
pub(super) fn was_asked() -> bool {
    WAS_ASKED.get()
}

/// A server that responds accepts the client's certificate, or its absence.
pub(super) fn was_accepted() {
    WAS_ASKED.set(false);
}

/// The client's own certificate, if it has one.
#[derive(Debug)]
pub(super) struct Identity(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        WAS_ASKED.set(true);
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(not(all(unix, not(target_os = "android"), not(target_vendor = "apple"))))]
mod system_roots {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;

    use crate::config::variables::Variables;
    use crate::process::{AnyProcess, Locked};
    use crate::sync::global;

    /// There is none.
    #[derive(Default, PartialEq)]
    pub(super) struct Choice(());

    impl Choice {
        pub(super) fn of(_: &Variables) -> Self {
            Self(())
        }
    }

    pub(super) struct SystemRoots {
        pub(super) verifier: Arc<dyn ServerCertVerifier>,
        pub(super) place: String,
    }

    global! {
        static VERIFIER: Locked<AnyProcess<Option<Arc<dyn ServerCertVerifier>>>> = Locked::empty();
    }

    /// The system verifies certificates itself.
    pub(super) fn current(_: &Choice, _: Duration) -> Result<SystemRoots, String> {
        let place = "the system's trust store".to_owned();
        if let Some(verifier) = VERIFIER.lock().0.clone() {
            return Ok(SystemRoots { verifier, place });
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new(provider)
            .map_err(|error| format!("no trust store ({error}): set ca_file"))?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
        VERIFIER.lock().0 = Some(verifier.clone());
        Ok(SystemRoots { verifier, place })
    }
}
