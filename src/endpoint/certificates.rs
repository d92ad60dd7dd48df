//! Error messages about certificates: an untrusted one of the server, or the client's own that was
//! refused.

use rustls::{AlertDescription, CertificateError};

use super::http::Attempt;
use super::trust;

/// What makes a certificate unusable whoever signed it, keyed by a part of the error's name.
const UNFIT: [(&str, &str); 5] = [
    (
        "CaUsedAsEndEntity",
        "it presents a CA's certificate (CA:TRUE), which is not valid for a server: issue one for \
         the server",
    ),
    (
        "SignatureAlgorithm",
        "its certificate, or one in its chain, has a signature that is not accepted, such as \
         SHA-1: have it signed with SHA-256",
    ),
    (
        "NameConstraint",
        "its certificate has a name that its authority must not sign (name constraints): have \
         another authority sign it",
    ),
    (
        "InvalidPurpose",
        "its certificate is not for servers (extended key usage): make one for serverAuth",
    ),
    (
        "CriticalExtension",
        "its certificate has an unknown critical extension: issue one without it",
    ),
];

impl Attempt<'_> {
    /// Why a server's certificate is not trusted.
    pub(super) fn untrusted(&self, error: &CertificateError) -> String {
        let store = self.security.as_ref().map_or("", |security| &security.store);
        match error {
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not yet valid: is this device's clock right? Set it (NTP)".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired, or this device's clock is ahead: renew it, or set the \
                 clock"
                    .to_owned()
            }
            CertificateError::NotValidForName => {
                "its certificate is for another host name".to_owned()
            }
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "its certificate is for another host name{}: check the host in token_url",
                names_of(presented)
            ),
            CertificateError::BadSignature => format!(
                "its certificate is signed by an authority with the name of one in {store}, and \
                 another key: install the authority's new certificate there"
            ),
            CertificateError::UnknownIssuer if self.http.trust.ca_file.is_some() => format!(
                "its certificate is signed by no authority in {store}: add the one that signed it, \
                 or the root of a gateway that intercepts TLS"
            ),
            CertificateError::UnknownIssuer => format!(
                "its certificate is signed by no authority in {store}: for a private authority, or \
                 a gateway that intercepts TLS, set its root in ca_file"
            ),
            other => {
                let name = format!("{other:?}");
                match unfit(&name) {
                    Ok(told) => told.to_owned(),
                    Err(name) => {
                        format!("its certificate cannot be trusted ({name}); looked at {store}")
                    }
                }
            }
        }
    }

    /// The peer refused the handshake, or this client.
    pub(super) fn refused(&self, alert: AlertDescription) -> String {
        const NO_CIPHER: &str = "it accepts no safe TLS version and cipher (1.2 or 1.3), or wants \
                                 a client certificate";
        const REFUSED: &str = "it refuses this client";
        let (name, meaning) = match alert {
            AlertDescription::CertificateRequired => ("certificate_required", REFUSED),
            AlertDescription::UnknownCA => ("unknown_ca", REFUSED),
            AlertDescription::BadCertificate => ("bad_certificate", REFUSED),
            AlertDescription::UnsupportedCertificate => ("unsupported_certificate", REFUSED),
            AlertDescription::CertificateRevoked => ("certificate_revoked", REFUSED),
            AlertDescription::CertificateExpired => ("certificate_expired", REFUSED),
            AlertDescription::CertificateUnknown => ("certificate_unknown", REFUSED),
            AlertDescription::AccessDenied => ("access_denied", REFUSED),
            // The server trusts an authority of that name, with another key.
            AlertDescription::DecryptError => ("decrypt_error", REFUSED),
            AlertDescription::HandshakeFailure => ("handshake_failure", NO_CIPHER),
            AlertDescription::ProtocolVersion => ("protocol_version", NO_CIPHER),
            AlertDescription::UnrecognisedName => {
                ("unrecognized_name", "it serves no such host; check the host in token_url")
            }
            other => return format!("it ended the connection (TLS alert {other:?})"),
        };
        let is_about_certificate =
            self.was_asked() || alert == AlertDescription::CertificateRequired;
        match is_about_certificate {
            true => format!("{} (TLS alert {name})", self.certificate_words("wants")),
            false => format!("{meaning} (TLS alert {name})"),
        }
    }

    /// Whether the server requested a client certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.security.is_some() && trust::was_asked()
    }

    /// What may be wrong with the client's certificate. `does`: whether the server requires one.
    pub(super) fn certificate_words(&self, does: &str) -> String {
        match self.http.trust.client_cert_file() {
            None => format!(
                "it {does} a client certificate, and none is set: set client_cert_file and \
                 client_key_file"
            ),
            Some(file) => format!(
                "it may not accept the client certificate in client_cert_file {}: check that it has \
                 not expired, and that the server trusts who signed it",
                file.display()
            ),
        }
    }
}

/// The meaning of an error with this name; otherwise the name without its fields.
pub(crate) fn unfit(name: &str) -> Result<&'static str, &str> {
    match UNFIT.into_iter().find(|(part, _)| name.contains(part)) {
        Some((_, told)) => Ok(told),
        None => Err(name.split_once(" {").map_or(name, |(name, _)| name)),
    }
}

/// The names that a certificate is for, as webpki formats them: a few, without characters that
/// names cannot have.
pub(crate) fn names_of(presented: &[String]) -> String {
    const MOST: usize = 3;
    const LONGEST: usize = 64;
    let is_fit = |character: &char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '*' | ':')
    };
    let all = presented.iter().filter_map(|text| {
        text.strip_prefix("DnsName(").or_else(|| text.strip_prefix("IpAddress("))
    });
    let names: Vec<String> =
        all.map(|name| name.chars().filter(is_fit).take(LONGEST).collect()).take(MOST).collect();
    match names.is_empty() {
        true => " (it names none)".to_owned(),
        false => {
            format!(" ({}{})", names.join(", "), if presented.len() > MOST { ", ..." } else { "" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_described_without_their_fields() {
        for (name, told) in [
            ("UnsupportedSignatureAlgorithmContext { signature_algorithm_id: [6, 9] }", "SHA-1"),
            ("UnsupportedSignatureAlgorithmForPublicKeyContext { x: [6] }", "SHA-1"),
            ("Other(OtherError(NameConstraintViolation))", "name constraints"),
            ("Other(OtherError(UnsupportedCriticalExtension))", "critical extension"),
            ("InvalidPurposeContext { required: ServerAuth, presented: [] }", "serverAuth"),
            ("Other(OtherError(CaUsedAsEndEntity))", "CA:TRUE"),
        ] {
            assert!(unfit(name).unwrap().contains(told), "{name}");
        }
        assert_eq!(unfit("InvalidOcspResponse { of: [1, 2] }"), Err("InvalidOcspResponse"));
        assert_eq!(unfit("BadEncoding"), Err("BadEncoding"));
    }

    #[test]
    fn a_certificates_names_are_few_and_sanitized() {
        let names =
            |all: &[&str]| names_of(&all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&[]), " (it names none)");
        assert_eq!(
            names(&["DnsName(\"*.a.example\")", "IpAddress(10.0.0.1)"]),
            " (*.a.example, 10.0.0.1)"
        );
        assert_eq!(
            names(&["DnsName(\"a\")", "DnsName(\"b\")", "DnsName(\"c\")", "DnsName(\"d\")"]),
            " (a, b, c, ...)"
        );
        assert_eq!(names(&["DnsName(\"a\u{1b}[2J\r\n\u{202e}b\")"]), " (a2Jb)");
        assert!(names(&[&"x".repeat(1000)]).len() < 80);
    }
}
