use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, Error};
use tempfile::TempDir;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Whether a server whose certificate it has signed is trusted.
    fn is_trusted(&self, roots: &SystemRoots) -> Result<(), CertificateError> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["server.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        is_trusted(&[certificate.der().clone()], roots)
    }
}

/// Whether a server with this chain is trusted.
fn is_trusted(
    chain: &[CertificateDer<'static>],
    roots: &SystemRoots,
) -> Result<(), CertificateError> {
    let name = ServerName::try_from("server.example").unwrap();
    let verified =
        roots.verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now());
    match verified {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

/// A trust store of a file and a directory.
struct Store(TempDir);

impl Store {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("directory")).unwrap();
        Self(place)
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("directory")
    }

    fn write(&self, name: &str, authorities: &[&Authority]) {
        let text: String = authorities.iter().map(|authority| authority.0.pem()).collect();
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn places(&self) -> Places {
        Places {
            named: "the trust store",
            file: Some(self.0.path().join("file.pem")),
            directories: vec![self.directory()],
        }
    }

    fn load(&self) -> Result<Loaded, String> {
        let loaded = Loaded::load(self.places(), None)?;
        Ok(Loaded { file: loaded.file.map(Known::settled), ..loaded })
    }
}

fn has_read_directories(loaded: &Loaded) -> bool {
    loaded.contents.read.lock().0.directories.is_some()
}

#[test]
fn directories_are_read_when_the_file_does_not_suffice() {
    let (one, other, foreign) =
        (Authority::new("one"), Authority::new("other"), Authority::new("foreign"));
    let store = Store::new();
    store.write("file.pem", &[&one]);
    store.write("directory/other.pem", &[&other]);
    let loaded = store.load().unwrap();
    let roots = loaded.roots();
    assert_eq!(one.is_trusted(&roots), Ok(()));
    assert!(!has_read_directories(&loaded));
    assert_eq!(other.is_trusted(&roots), Ok(()));
    assert!(has_read_directories(&loaded));
    assert_eq!(foreign.is_trusted(&roots), Err(CertificateError::UnknownIssuer));
    assert_eq!(one.is_trusted(&roots), Ok(()));
}

#[test]
fn the_file_is_not_read_again_for_servers_with_other_names() {
    let [one, other, foreign] = ["one", "other", "foreign"].map(Authority::new);
    let store = Store::new();
    store.write("file.pem", &[&one, &other]);
    let loaded = store.load().unwrap();
    let roots = loaded.roots();
    assert_eq!(one.is_trusted(&roots), Ok(()));
    fs::remove_file(store.places().file.unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(one.is_trusted(&roots), Ok(()));
        assert_eq!(other.is_trusted(&roots), Ok(()));
        assert_eq!(foreign.is_trusted(&roots), Err(CertificateError::UnknownIssuer));
    }
    assert!(!loaded.is_current());
}

#[test]
fn a_store_in_a_pipe_verifies_all_servers() {
    let [one, other] = ["one", "other"].map(Authority::new);
    let store = Store::new();
    let path = store.places().file.unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let text = one.0.pem() + &other.0.pem();
    let writer = std::thread::spawn(move || fs::write(path, text));
    let loaded = store.load().unwrap();
    writer.join().unwrap().unwrap();
    assert!(loaded.is_current());
    assert_eq!(one.is_trusted(&loaded.roots()), Ok(()));
    // Opening the pipe again would wait for another writer forever.
    let (done, verified) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(other.is_trusted(&loaded.roots())));
    assert_eq!(verified.recv_timeout(Duration::from_secs(60)), Ok(Ok(())));
}

#[test]
fn the_root_of_any_certificate_in_the_chain_counts() {
    let [root, foreign] = ["root", "foreign"].map(Authority::new);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "between");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let between =
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root.0).unwrap();
    let params = CertificateParams::new(["server.example".to_owned()]).unwrap();
    let server = params.signed_by(&KeyPair::generate().unwrap(), &between).unwrap();
    let chain = [server.der().clone(), between.der().clone()];
    let store = Store::new();
    store.write("file.pem", &[&foreign, &root]);
    assert_eq!(is_trusted(&chain, &store.load().unwrap().roots()), Ok(()));
    let cut = is_trusted(&chain[..1], &store.load().unwrap().roots());
    assert_eq!(cut, Err(CertificateError::UnknownIssuer));
    store.write("file.pem", &[&foreign]);
    let of_other = is_trusted(&chain, &store.load().unwrap().roots());
    assert_eq!(of_other, Err(CertificateError::UnknownIssuer));
}

#[test]
fn an_authoritys_new_key_may_be_in_a_directory() {
    let (old, new, store) = (Authority::new("one"), Authority::new("one"), Store::new());
    store.write("file.pem", &[&old]);
    let roots = store.load().unwrap().roots();
    assert_eq!(new.is_trusted(&roots), Err(CertificateError::BadSignature));
    store.write("directory/new.pem", &[&new]);
    assert_eq!(new.is_trusted(&store.load().unwrap().roots()), Ok(()));
}

#[test]
fn without_a_file_there_are_the_directories_and_without_both_an_error() {
    let (one, store) = (Authority::new("one"), Store::new());
    let error = store.load().err().unwrap();
    assert!(error.starts_with("no certificate can be read in the trust store ("), "{error}");
    store.write("directory/one.pem", &[&one]);
    let loaded = store.load().unwrap();
    assert_eq!(one.is_trusted(&loaded.roots()), Ok(()));
    assert!(loaded.file.is_none());
    store.write("file.pem", &[]);
    assert!(!loaded.is_current());
    assert_eq!(one.is_trusted(&store.load().unwrap().roots()), Ok(()));
}

#[test]
fn a_change_of_what_was_read_shows() {
    let (one, other, store) = (Authority::new("one"), Authority::new("other"), Store::new());
    store.write("file.pem", &[&one]);
    let loaded = store.load().unwrap();
    assert!(loaded.is_current());
    store.write("file.pem", &[&one, &other]);
    assert!(!loaded.is_current());
    let loaded = store.load().unwrap();
    assert_eq!(other.is_trusted(&loaded.roots()), Ok(()));
    assert!(loaded.is_current());
    fs::remove_file(store.places().file.unwrap()).unwrap();
    assert!(!loaded.is_current());
}

#[test]
fn a_directory_counts_once_it_was_read() {
    let (one, other, store) = (Authority::new("one"), Authority::new("other"), Store::new());
    store.write("file.pem", &[&one]);
    store.write("directory/other.pem", &[&other]);
    let directories = [store.directory()];
    let read = Directories { is_settled: true, ..Directories::read(&directories) };
    assert!(read.is_current(&directories));
    store.write("directory/other.pem", &[&one, &other]);
    assert!(!read.is_current(&directories));
    let read = Directories { is_settled: true, ..Directories::read(&directories) };
    fs::remove_file(store.directory().join("other.pem")).unwrap();
    assert!(!read.is_current(&directories));
    // It was changed a moment ago, and another change may not show.
    let read = Directories::read(&directories);
    assert!(!read.is_settled);
}

#[test]
#[ignore = "run by the test below, with and without SSL_CERT_FILE"]
fn in_an_environment_of_its_own() {
    let store = Places::of(&Choice::default());
    match env::var_os("SSL_CERT_FILE") {
        Some(file) => assert_ne!(store.file, Some(file.into())),
        None => {
            let found = openssl_probe::probe();
            assert_eq!((store.file, store.directories), (found.cert_file, found.cert_dir));
        }
    }
}

#[test]
fn the_systems_store_is_where_openssl_looks_without_the_variables() {
    let store = Store::new();
    store.write("file.pem", &[&Authority::new("one")]);
    for variable in [None, store.places().file] {
        let mut child = std::process::Command::new(env::current_exe().unwrap());
        let name = "endpoint::system_roots::tests::in_an_environment_of_its_own";
        child.args(["--exact", name, "--ignored"]);
        child.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        child.envs(variable.map(|file| ("SSL_CERT_FILE", file)));
        let output = child.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }
}
