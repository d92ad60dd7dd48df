//! Verifies a server's certificate with the functions of rustls, as its own verifier does, except
//! that more roots may be looked for. (Its own also brings the code for revocation lists, 60 KB.)

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Looks for more roots.
type More = Box<dyn Fn() -> Arc<RootCertStore> + Send + Sync>;

pub(super) struct Verifier {
    roots: RootCertStore,
    /// Called if these roots do not suffice.
    more: Option<More>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(roots: RootCertStore) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { roots, more: None, algorithms }
    }

    pub(super) fn with_more(
        roots: RootCertStore,
        more: impl Fn() -> Arc<RootCertStore> + Send + Sync + 'static,
    ) -> Self {
        Self { more: Some(Box::new(more)), ..Self::new(roots) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{BadSignature, UnknownIssuer};
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let verify = |roots: &RootCertStore| {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                algorithms,
            )
        };
        let mut verified = verify(&self.roots);
        // An authority's new key may be among the others only.
        let has_no_root =
            matches!(verified, Err(Error::InvalidCertificate(UnknownIssuer | BadSignature)));
        if let Some(more) = self.more.as_ref().filter(|_| has_no_root) {
            let by_others = verify(&more());
            if !matches!(by_others, Err(Error::InvalidCertificate(UnknownIssuer))) {
                verified = by_others;
            }
        }
        verified?;
        verify_server_name(&certificate, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}
