//! Verifies a server's certificate with the functions of rustls, as its own verifier does, except
//! that roots are looked up by name, and more may be looked for. (Its own also brings the code for
//! revocation lists, 60 KB.)

use std::fmt;
use std::iter;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::pem::names;

/// Where the verifier finds roots.
pub(super) trait Roots: Send + Sync {
    /// The roots of these names, which are the issuers of a server's certificates. More do no harm.
    fn of(&self, names: &[&[u8]]) -> Arc<RootCertStore>;

    /// Looks for more roots, if those do not suffice and there may be any.
    fn more(&self) -> Option<Arc<RootCertStore>>;
}

/// All there are.
struct All(Arc<RootCertStore>);

impl Roots for All {
    fn of(&self, _: &[&[u8]]) -> Arc<RootCertStore> {
        self.0.clone()
    }

    fn more(&self) -> Option<Arc<RootCertStore>> {
        None
    }
}

pub(super) struct Verifier {
    roots: Arc<dyn Roots>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(roots: RootCertStore) -> Self {
        Self::by(Arc::new(All(Arc::new(roots))))
    }

    pub(super) fn by(roots: Arc<dyn Roots>) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { roots, algorithms }
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
        let chain = iter::once(end_entity).chain(intermediates);
        let issuers: Vec<&[u8]> =
            chain.filter_map(|certificate| Some(names(certificate)?.issuer)).collect();
        let mut verified = verify(&self.roots.of(&issuers));
        // An authority's new key may be among the others only.
        let has_no_root =
            matches!(verified, Err(Error::InvalidCertificate(UnknownIssuer | BadSignature)));
        let more = if has_no_root { self.roots.more() } else { None };
        if let Some(more) = more {
            let by_others = verify(&more);
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
