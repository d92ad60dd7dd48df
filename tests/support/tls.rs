//! Certificates and TLS servers.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

/// A certificate with its key.
pub struct Identity {
    pub cert: rcgen::Certificate,
    pub key: KeyPair,
}

impl Identity {
    /// A self-signed one.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { cert, key }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.cert.der().clone()]
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

/// An authority that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        Self::of(CertificateParams::new(Vec::new()).unwrap())
    }

    /// One with a unique name.
    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        Self::of(params)
    }

    fn of(mut params: CertificateParams) -> Self {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn sign(&self, name: &str) -> Identity {
        self.sign_params(CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub fn sign_params(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { cert: params.signed_by(&key, &self.0).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A server configuration that requires no client certificate.
pub fn open_server(identity: &Identity) -> Arc<ServerConfig> {
    let config = config_builder()
        .with_no_client_auth()
        .with_single_cert(identity.chain(), identity.private());
    Arc::new(config.unwrap())
}

/// A server configuration that requires a client certificate signed by an authority.
pub fn mutual_server(identity: &Identity, authority: &Authority) -> Arc<ServerConfig> {
    mutual_server_of(identity, authority, &[&TLS12, &TLS13])
}

/// One that requests such a certificate without requiring it.
pub fn asking_server(identity: &Identity, authority: &Authority) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let config = config_builder()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(identity.chain(), identity.private());
    Arc::new(config.unwrap())
}

/// The same for some versions of TLS.
pub fn mutual_server_of(
    identity: &Identity,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(identity.chain(), identity.private());
    Arc::new(config.unwrap())
}

fn config_builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
}

/// Files that are removed when this is dropped.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its name for an option.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}
