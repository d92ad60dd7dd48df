use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

use super::*;

/// A certificate, in DER and in PEM.
fn certificate() -> (Vec<u8>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    (certificate.der().to_vec(), certificate.pem())
}

/// The number of readable certificates, and which ones cannot be read.
fn read(text: &[u8]) -> (usize, Vec<usize>) {
    let all = Certificates::read(text);
    (all.sound.len(), all.damaged)
}

fn block(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

#[test]
fn a_damaged_certificate_affects_no_other() {
    let (der, pem) = certificate();
    let lines: Vec<&str> = pem.lines().collect();
    let middle = lines.len() / 2;
    let without = |at: usize| {
        let mut rest = lines.clone();
        rest.remove(at);
        rest.join("\n") + "\n"
    };
    let mut flipped = der.clone();
    flipped[4] ^= 0xff;
    let damaged = [
        without(middle),
        without(lines.len() - 2),
        pem.replace(lines[middle], "!!!"),
        pem.replace("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE----"),
        "-----BEGIN CERTIFICATE\n".to_owned(),
        lines[..middle].join("\n") + "\n",
        block("CERTIFICATE", &flipped),
        block("CERTIFICATE", b""),
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_owned(),
    ];
    for damaged in &damaged {
        assert_eq!(read(format!("{pem}{damaged}{pem}").as_bytes()), (2, vec![2]), "{damaged}");
        assert_eq!(read(format!("{damaged}{pem}").as_bytes()), (1, vec![1]), "{damaged}");
        assert_eq!(read(format!("{pem}{damaged}").as_bytes()), (1, vec![2]), "{damaged}");
    }
    // Nor does a line that begins nothing.
    assert_eq!(read(format!("-----BEGIN \n{pem}").as_bytes()), (1, vec![]));
    // A missing or damaged END line costs nothing.
    for whole in [without(lines.len() - 1), pem.replace("END CERTIFICATE-----", "END CERT")] {
        assert_eq!(read(format!("{pem}{whole}{pem}").as_bytes()), (3, vec![]), "{whole}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// As the crate does, blanks aside.
    #[test]
    fn base64_is_decoded_as_by_others(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        blanks in proptest::collection::vec((0..99_usize, "[ \t\r\n\x0c]"), 0..4),
        changes in proptest::collection::vec((0..99_usize, "[ -~]"), 0..2),
        cut in 0..3_usize,
    ) {
        let mut text = STANDARD.encode(&bytes);
        text.truncate(text.len().saturating_sub(cut / 2));
        for (at, change) in changes.iter().filter(|(at, _)| *at < text.len()).cloned().collect::<Vec<_>>() {
            text.replace_range(at..=at, &change);
        }
        let without: String = text.chars().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let expected = STANDARD.decode(&without).ok();
        for (at, blank) in blanks {
            text.insert_str(at % (text.len() + 1), &blank);
        }
        let mut der = Vec::new();
        let found = decode(text.as_bytes(), usize::MAX, &mut der).then_some(der);
        prop_assert_eq!(&found, &expected);
        let Some(expected) = expected else { return Ok(()) };
        for most in 1..=expected.len() {
            let mut der = Vec::new();
            prop_assert!(decode(text.as_bytes(), most, &mut der));
            prop_assert!(der.len() >= most && expected.starts_with(&der));
        }
    }
}

#[test]
fn certificates_are_found_by_their_subject() {
    let of = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    };
    // Of the last, both names are longer than what is decoded first.
    let long = "a long name ".repeat(60);
    let all = ["one", "other", "one", &long].map(of);
    let text: String = all.iter().map(|certificate| certificate.pem()).collect();
    let damaged = text.replacen("-----END", "!-----END", 1);
    let subject = |at: usize| names(all[at].der()).unwrap().subject;
    let found = |text: &str, subjects: &[&[u8]]| {
        let found = Certificates::of(text.as_bytes(), Some(subjects)).sound;
        let place = |der| all.iter().position(|one| one.der() == der).unwrap();
        found.iter().map(place).collect::<Vec<_>>()
    };
    for text in [&text, &text.replace('\n', "\r\n"), &text.replace('\n', " \n ")] {
        assert_eq!(found(text, &[subject(0)]), [0, 2]);
        assert_eq!(found(text, &[subject(1)]), [1]);
        assert_eq!(found(text, &[b"neither", subject(3), subject(1)]), [1, 3]);
        assert_eq!(found(text, &[b"neither", &subject(1)[1..]]), [0; 0]);
        assert_eq!(found(text, &[]), [0; 0]);
    }
    assert_eq!(found(&damaged, &[subject(0)]), [2]);
}

#[test]
fn names_are_found_in_a_beginning_and_in_old_certificates() {
    let (der, _) = certificate();
    let whole = names(&der).unwrap();
    assert_eq!(whole.subject, whole.issuer);
    let end = der.windows(whole.subject.len()).rposition(|part| part == whole.subject).unwrap()
        + whole.subject.len();
    for length in 0..der.len() {
        let found = names(&der[..length]).map(|names| names.subject);
        assert_eq!(found, (length >= end).then_some(whole.subject), "{length}");
    }
    // The first version has no field for it: the serial number comes first.
    let version = b"\xa0\x03\x02\x01\x02";
    let at = der.windows(version.len()).position(|part| part == version).unwrap();
    let old = [&der[..at], &der[at + version.len()..]].concat();
    assert_eq!(names(&old).unwrap().subject, whole.subject);
}

#[test]
fn other_text_in_such_files_does_no_harm() {
    let (_, pem) = certificate();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let with_text = format!("# Autoridad de Certificaci\u{f3}n\nsubject=/CN=x\n{pem}");
    let texts = [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', "\r"),
        format!("\u{feff}{pem}"),
        pem.replace('\n', "\n    ").replace("-----BEGIN", "    -----BEGIN"),
        format!("{key}{pem}"),
        format!("{pem}{key}"),
        pem.replace('\n', " \n"),
        with_text.clone(),
        pem.replace(" CERTIFICATE", " X509 CERTIFICATE"),
        block("X509 CRL", b"crl") + &block("CERTIFICATE REQUEST", b"csr") + &pem,
        pem.trim_end().to_owned(),
    ];
    for text in texts {
        assert_eq!(read(text.as_bytes()), (1, vec![]), "{text}");
    }
    let latin1: Vec<u8> = with_text.chars().map(|character| character as u8).collect();
    assert_eq!(read(&latin1), (1, vec![]));
}

/// Compares with the output of `openssl` where that is installed; the bytes below are its output.
#[test]
fn a_trusted_certificate_is_used_if_it_is_for_servers() {
    const SERVER: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
    const CLIENT: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";
    const ANY: &[u8] = b"\x06\x04\x55\x1d\x25\x00";
    let (der, _) = certificate();
    let list = |tag: u8, uses: &[&[u8]]| {
        let all = uses.concat();
        [&[tag, all.len() as u8][..], &all].concat()
    };
    let trusted = |trust: &[Vec<u8>]| {
        let all = trust.concat();
        let trust = [&[0x30, all.len() as u8][..], &all].concat();
        read(block("TRUSTED CERTIFICATE", &[&der[..], &trust].concat()).as_bytes())
    };
    let alias = b"\x0c\x01x".to_vec();
    assert_eq!(read(block("TRUSTED CERTIFICATE", &der).as_bytes()), (1, vec![]));
    assert_eq!(trusted(&[]), (1, vec![]));
    assert_eq!(trusted(std::slice::from_ref(&alias)), (1, vec![]));
    assert_eq!(trusted(&[list(0x30, &[CLIENT, SERVER])]), (1, vec![]));
    assert_eq!(trusted(&[list(0x30, &[ANY]), alias]), (1, vec![]));
    assert_eq!(trusted(&[list(0xa0, &[CLIENT])]), (1, vec![]));
    assert_eq!(trusted(&[list(0x30, &[CLIENT])]), (0, vec![1]));
    assert_eq!(trusted(&[list(0xa0, &[SERVER])]), (0, vec![1]));
    assert_eq!(trusted(&[list(0x30, &[SERVER]), list(0xa0, &[ANY])]), (0, vec![1]));
    let cut = [&der[..], b"\x30\x20\x30"].concat();
    let of_unknown_length = [&der[..], b"\x30\x80\x00\x00"].concat();
    for malformed in [&cut, &of_unknown_length] {
        assert_eq!(read(block("TRUSTED CERTIFICATE", malformed).as_bytes()), (0, vec![1]));
    }
    // Nothing follows a plain certificate.
    assert_eq!(read(block("CERTIFICATE", &cut).as_bytes()), (0, vec![1]));

    let Ok(written) = openssl(&block("CERTIFICATE", &der), &["-addtrust", "serverAuth"]) else {
        return;
    };
    assert_eq!(read(&written), (1, vec![]));
    let written = openssl(&block("CERTIFICATE", &der), &["-addreject", "serverAuth"]).unwrap();
    assert_eq!(read(&written), (0, vec![1]));
}

fn openssl(pem: &str, arguments: &[&str]) -> std::io::Result<Vec<u8>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, pem)?;
    let written = Command::new("openssl")
        .args(["x509", "-trustout", "-in"])
        .arg(&file)
        .args(arguments)
        .output()?;
    assert!(written.stdout.starts_with(b"-----BEGIN TRUSTED"), "{written:?}");
    Ok(written.stdout)
}

#[test]
fn a_problem_names_position_and_count() {
    let (der, pem) = certificate();
    let problem = |text: &str| Certificates::read(text.as_bytes()).problem(text.as_bytes());
    assert_eq!(problem(&pem), None);
    let bad = block("CERTIFICATE", b"\x30");
    assert_eq!(
        problem(&format!("{pem}{bad}{pem}{bad}")).unwrap(),
        ": 2 of 4 certificates cannot be read (number 2, 4): cut off, edited, or not for servers"
    );
    assert!(problem(&bad.repeat(9)).unwrap().contains("(number 1, 2, 3, 4, 5, ...)"));
    let none = |text: &[u8]| Certificates::read(text).problem(text).unwrap();
    assert_eq!(none(b"hello"), " holds no certificate in PEM form");
    assert!(none(b"").ends_with("it is empty"));
    assert!(none(&der).contains("it is DER; convert it with `openssl x509 -inform der`"));
    assert!(none(b"\xff\xfe-\0-\0").contains("UTF-16"));
    assert!(none(block("PRIVATE KEY", b"x").as_bytes()).ends_with("but a private key"));
}
