//! Root certificates, and the client's own certificate with its key.
//!
//! The files are checked for each connection, so that replacements take effect without a restart.
//! From a `ca_file`, all readable certificates are used; if there are none, the last ones that
//! could be read. A warning says so, once per change.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SignatureScheme};

use super::pem::{self, Certificates};
use crate::config::options::Options;
use crate::files::{Content, Named};
use crate::process::{Inherited, Kept};

/// The sources of one client's certificates.
pub(crate) struct Trust {
    pub(super) ca_file: Option<Arc<Named>>,
    /// Certificate and key.
    own: Option<(Arc<Named>, Arc<Named>)>,
    /// How long to wait for a file: as long as for the server.
    patience: Duration,
    known: Kept<Known>,
}

#[derive(Clone, Default)]
struct Known {
    /// The last usable content of `ca_file`.
    roots: Option<Arc<RootCertStore>>,
    /// The problem found with each file when it was last checked.
    problems: [Option<String>; 2],
    /// Messages not yet reported.
    news: Vec<String>,
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
    pub(super) identity: Arc<Identity>,
    /// Where the roots come from, for messages.
    pub(crate) store: String,
}

impl Trust {
    /// Reads the files that the options name, so that mistakes show at once.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let named = |file: &Option<PathBuf>| file.clone().map(Named::new);
        let trust = Self {
            ca_file: named(&options.ca_file),
            own: named(&options.client_cert_file).zip(named(&options.client_key_file)),
            patience: options.connect_timeout,
            known: Kept::new(Known::default()),
        };
        if let Some(path) = &trust.ca_file {
            trust.roots_of(path)?;
        }
        trust.identity()?;
        Ok(trust)
    }

    /// What a store's server is verified with. The file is read when it is needed.
    #[cfg(feature = "redis")]
    pub(crate) fn for_store(ca_file: Option<PathBuf>, patience: Duration) -> Self {
        let (ca_file, known) = (ca_file.map(Named::new), Kept::new(Known::default()));
        Self { ca_file, own: None, patience, known }
    }

    /// What the next connection is secured with, or why it cannot be.
    pub(crate) fn security(&self) -> Result<Security, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let (builder, store) = match &self.ca_file {
            Some(path) => (
                builder.with_root_certificates(self.roots_of(path)?),
                format!("ca_file {}", path.display()),
            ),
            None => system::roots(builder, provider)?,
        };
        let identity = Arc::new(self.identity()?);
        let config = builder.with_client_cert_resolver(identity.clone());
        Ok(Security { config: Arc::new(config), identity, store })
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

    fn roots_of(&self, path: &Arc<Named>) -> Result<Arc<RootCertStore>, String> {
        let named = format!("ca_file {}", path.display());
        let mut roots = RootCertStore::empty();
        let problem = match self.read(path) {
            Ok(file) => {
                let certificates = Certificates::read(&file.bytes);
                let problem = certificates.problem(&file.bytes);
                roots.add_parsable_certificates(certificates.sound);
                problem
            }
            Err(unread) => Some(unread),
        };
        let problem = problem.map(|problem| format!("{named}{problem}"));
        if !roots.is_empty() {
            let roots = Arc::new(roots);
            self.known.lock().roots = Some(roots.clone());
            self.note(About::Roots, problem.map(|problem| problem + "; the others are used"));
            return Ok(roots);
        }
        let problem = problem.unwrap_or_else(|| format!("{named} holds no certificate"));
        let last = self.known.lock().roots.clone();
        let last = last.ok_or_else(|| problem.clone())?;
        self.note(About::Roots, Some(problem + "; what it held before is used"));
        Ok(last)
    }

    /// The client's certificate, checked against its key.
    fn identity(&self) -> Result<Identity, String> {
        let Some((cert_path, key_path)) = &self.own else { return Ok(Identity::default()) };
        let named = format!("client_cert_file {}", cert_path.display());
        let file = self.read(cert_path).map_err(|unread| format!("{named}{unread}"))?;
        let chain = Certificates::read(&file.bytes);
        let problem = chain.problem(&file.bytes).map(|problem| format!("{named}{problem}"));
        // The first one is the client's own.
        if chain.sound.is_empty() || chain.damaged.first() == Some(&1) {
            return Err(problem.unwrap_or_default());
        }
        self.note(About::Own, problem.map(|problem| problem + "; the others are sent"));
        let signer = self.signer(key_path)?;
        let pair = CertifiedKey::new(chain.sound, signer);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Identity { pair: Some(Arc::new(pair)), ..Identity::default() })
            }
            Err(_) => Err(format!(
                "client_key_file {} does not belong to the first certificate in {named}",
                key_path.display(),
            )),
        }
    }

    fn signer(&self, path: &Arc<Named>) -> Result<Arc<dyn SigningKey>, String> {
        let named = format!("client_key_file {}", path.display());
        let file = self.read(path).map_err(|unread| format!("{named}{unread}"))?;
        let block = pem::blocks(&file.bytes)
            .find(pem::Block::is_private_key)
            .ok_or_else(|| format!("{named} holds no private key in PEM form"))?;
        if block.is_encrypted() {
            return Err(format!(
                "{named} is encrypted, and there is no way to ask for its passphrase: store it \
                 without one, readable by this user only"
            ));
        }
        let der = block.der().unwrap_or_default();
        let key: PrivateKeyDer<'_> = match block.label {
            b"RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(&der[..]).into(),
            b"EC PRIVATE KEY" => PrivateSec1KeyDer::from(&der[..]).into(),
            _ => PrivatePkcs8KeyDer::from(&der[..]).into(),
        };
        ring::sign::any_supported_type(&key)
            .map_err(|_| format!("{named} is damaged, or of a kind that is not supported"))
    }

    /// The file may hang, so it is not read on this thread (see `files`). The error is a predicate
    /// for its name.
    fn read(&self, path: &Arc<Named>) -> Result<Arc<Content>, String> {
        path.read_within(self.patience).map_err(|unread| format!(" {unread}"))
    }
}

/// The client's own certificate, if it has one, and whether a server requested it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pair: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl Identity {
    /// Whether a server requested a certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }
}

impl Identity {
    /// A server has accepted the client.
    pub(super) fn was_accepted(&self) {
        self.was_asked.store(false, Ordering::Relaxed);
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.pair.clone()
    }

    fn has_certs(&self) -> bool {
        self.pair.is_some()
    }
}

type Unverified = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;
type Verified = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

#[cfg(all(unix, not(target_os = "android"), not(target_vendor = "apple")))]
mod system {
    use std::env;
    use std::path::PathBuf;
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::crypto::CryptoProvider;
    use rustls_native_certs::load_certs_from_paths;

    use super::{Unverified, Verified};

    /// The system's roots, and where they come from. The platform verifier's own loader takes an
    /// empty variable for a file with an empty name.
    pub(super) fn roots(
        builder: Unverified,
        _: Arc<CryptoProvider>,
    ) -> Result<(Verified, String), String> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let (file, directories) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
        let named = match (&file, &directories) {
            (None, None) => "the system's trust store",
            (Some(_), None) => "the trust store that SSL_CERT_FILE names",
            (None, Some(_)) => "the trust store that SSL_CERT_DIR names",
            (Some(_), Some(_)) => "the trust store that SSL_CERT_FILE and SSL_CERT_DIR name",
        };
        let found = match (&file, &directories) {
            (None, None) => openssl_probe::probe(),
            _ => openssl_probe::ProbeResult {
                cert_file: file.map(PathBuf::from),
                cert_dir: directories.iter().flat_map(env::split_paths).collect(),
            },
        };
        let mut store = RootCertStore::empty();
        // Loaded together, so that certificates in both the file and the first directory are read
        // once.
        let mut file = found.cert_file.as_deref();
        let mut directories = found.cert_dir.iter();
        let mut directory = directories.next();
        while file.is_some() || directory.is_some() {
            let loaded = load_certs_from_paths(file.take(), directory.map(PathBuf::as_path));
            store.add_parsable_certificates(loaded.certs);
            directory = directories.next();
        }
        let places: Vec<String> = found
            .cert_file
            .iter()
            .chain(&found.cert_dir)
            .map(|place| place.display().to_string())
            .collect();
        let looked_at = match places.is_empty() {
            true => named.to_owned(),
            false => format!("{named} ({})", places.join(", ")),
        };
        let remedy = match named.contains("SSL_CERT") {
            true => "fix it, or unset the variable",
            false => "install ca-certificates, or set ca_file",
        };
        match store.is_empty() {
            true => Err(format!("no certificate can be read in {looked_at}: {remedy}")),
            false => Ok((builder.with_root_certificates(store), looked_at)),
        }
    }
}

#[cfg(not(all(unix, not(target_os = "android"), not(target_vendor = "apple"))))]
mod system {
    use std::sync::Arc;

    use rustls::crypto::CryptoProvider;

    use super::{Unverified, Verified};

    /// The system verifies certificates itself.
    pub(super) fn roots(
        builder: Unverified,
        provider: Arc<CryptoProvider>,
    ) -> Result<(Verified, String), String> {
        let verifier = rustls_platform_verifier::Verifier::new(provider)
            .map_err(|error| format!("no trust store ({error}): set ca_file"))?;
        let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok((verified, "the system's trust store".to_owned()))
    }
}
