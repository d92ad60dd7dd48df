//! Where systems keep a file with all their roots: the places that `openssl-probe` knows.
//!
//! Its own search also looks at `SSL_CERT_FILE` and `SSL_CERT_DIR`. A thread of the library must not
//! do that, and what they name later is not the store of a client that was created without them.

use std::path::Path;

#[cfg(target_os = "linux")]
const FILES: &[&str] = &[
    // Debian, Ubuntu, Gentoo.
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora and RHEL from 7 on, and before.
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE.
    "/etc/ssl/ca-bundle.pem",
    // OpenELEC.
    "/etc/pki/tls/cacert.pem",
    // Alpine.
    "/etc/ssl/cert.pem",
    // Entware.
    "/opt/etc/ssl/certs/ca-certificates.crt",
    // OpenHarmony.
    "/etc/ssl/certs/cacert.pem",
];
#[cfg(target_os = "freebsd")]
const FILES: &[&str] = &["/usr/local/etc/ssl/cert.pem"];
#[cfg(target_os = "dragonfly")]
const FILES: &[&str] = &["/usr/local/share/certs/ca-root-nss.crt"];
#[cfg(target_os = "netbsd")]
const FILES: &[&str] = &["/etc/openssl/certs/ca-certificates.crt"];
#[cfg(target_os = "openbsd")]
const FILES: &[&str] = &["/etc/ssl/cert.pem"];
#[cfg(target_os = "solaris")]
const FILES: &[&str] = &["/etc/certs/ca-certificates.crt"];
#[cfg(target_os = "illumos")]
const FILES: &[&str] = &[
    // OmniOS, OpenIndiana, SmartOS.
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
];
#[cfg(target_os = "haiku")]
const FILES: &[&str] = &["/boot/system/data/ssl/CARootCertificates.pem"];
#[cfg(not(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "solaris",
    target_os = "illumos",
    target_os = "haiku",
)))]
const FILES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt"];

/// The first of them that is there.
pub(super) fn find() -> Option<&'static Path> {
    FILES.iter().map(Path::new).find(|file| file.exists())
}
