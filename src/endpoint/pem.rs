//! Parses PEM files (RFC 7468) so that a damaged block affects only itself.

use std::ops::Range;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// Finds a byte with what every processor of its kind can do. `memchr_iter` first asks this one
/// whether it can do more: in a virtual machine that takes 0.1 ms, and saves 0.005 in 200 KB.
mod finder {
    #[cfg(target_arch = "aarch64")]
    pub(super) use memchr::arch::aarch64::neon::memchr::One;
    #[cfg(target_arch = "x86_64")]
    pub(super) use memchr::arch::x86_64::sse2::memchr::One;

    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    pub(super) struct One(u8);

    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    impl One {
        pub(super) fn new(byte: u8) -> Option<Self> {
            Some(Self(byte))
        }

        pub(super) fn iter<'a>(&self, text: &'a [u8]) -> memchr::Memchr<'a> {
            memchr::memchr_iter(self.0, text)
        }
    }
}

/// One block, from BEGIN to END, or to the next BEGIN.
pub(super) struct Block<'a> {
    pub(super) label: &'a [u8],
    body: &'a [u8],
}

/// All blocks of a text; the text between them is ignored.
pub(super) fn blocks(text: &[u8]) -> Blocks<'_> {
    Blocks(text)
}

pub(super) struct Blocks<'a>(&'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    /// Called from many places, and too long to have a copy in each.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let label = &self.0[find(self.0, BEGIN)?.end..];
        let end = find(label, DASHES).map_or(label.len(), |dashes| dashes.start);
        let (label, rest) = label.split_at(end);
        // If there are none in this line, those in another may begin the next block.
        let (false, Some(body)) = (label.contains(&b'\n'), rest.get(DASHES.len()..)) else {
            self.0 = rest;
            return Some(Block { label, body: &[] });
        };
        let end = find(body, DASHES).map_or(body.len(), |dashes| dashes.start);
        self.0 = &body[end..];
        Some(Block { label, body: &body[..end] })
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let first = finder::One::new(*part.first()?)?;
    let mut starts = first.iter(text);
    // Not memmem, which is faster and takes 60 KB of code.
    let start = starts.find(|start| text[*start..].starts_with(part))?;
    Some(start..start + part.len())
}

impl Block<'_> {
    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with(b"PRIVATE KEY")
    }

    /// Whether reading it requires a passphrase.
    pub(super) fn is_encrypted(&self) -> bool {
        self.label.starts_with(b"ENCRYPTED") || find(self.body, b"ENCRYPTED").is_some()
    }

    /// The decoded bytes, if the block is intact. Wiped when dropped.
    pub(super) fn secret(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut der = Zeroizing::new(Vec::new());
        decode(self.body, usize::MAX, &mut der).then_some(der)
    }

    /// Parses it as a certificate. `None`: it is something else; an error: it cannot be read.
    fn certificate(&self) -> Option<Result<CertificateDer<'static>, ()>> {
        let may_be_trusted = match self.label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => false,
            b"TRUSTED CERTIFICATE" => true,
            // Its first line is damaged.
            label if label.contains(&b'\n') && find(label, b"CERTIFICATE").is_some() => {
                return Some(Err(()));
            }
            _ => return None,
        };
        let mut der = Vec::new();
        let is_whole = decode(self.body, usize::MAX, &mut der) && !der.is_empty();
        let der = match is_whole {
            true if may_be_trusted => without_trust(&der),
            is_whole => is_whole.then_some(&der[..]),
        };
        let sound = der.map(|der| CertificateDer::from(der.to_vec())).filter(is_sound);
        Some(sound.ok_or(()))
    }

    /// Whether it may be a certificate of one of these subjects.
    fn may_be_of(&self, subjects: &[&[u8]]) -> bool {
        /// Has the subject in nearly every root; others are decoded in full.
        const START: usize = 400;
        let subject_in = |most| {
            let mut der = Vec::new();
            decode(self.body, most, &mut der).then_some(())?;
            Some(subjects.contains(&names(&der)?.subject))
        };
        subject_in(START).or_else(|| subject_in(usize::MAX)).unwrap_or(false)
    }
}

const BLANK: u8 = 64;
const PAD: u8 = 65;
const OTHER: u8 = 66;

/// The value of each character of base64, or what else it is.
static VALUES: [u8; 256] = {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [OTHER; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    let mut blanks: &[u8] = b" \t\n\x0c\r";
    while let [blank, rest @ ..] = blanks {
        values[*blank as usize] = BLANK;
        blanks = rest;
    }
    values[b'=' as usize] = PAD;
    values
};

/// Decodes base64 with blanks anywhere in it: all, or a little more than the first `most` bytes.
/// Returns whether it is intact, as far as it was read. (The crate `base64` takes no blanks, and
/// removing them first takes longer than this.)
#[inline(never)]
fn decode(text: &[u8], most: usize, der: &mut Vec<u8>) -> bool {
    // In full: growing would leave copies of a secret behind.
    *der = vec![0; (text.len() / 4 * 3).min(most) + 3];
    let out = &mut der[..];
    let (mut group, mut digits, mut pads, mut length) = (0_u32, 0_u32, 0, 0);
    let mut rest = text;
    while length < most {
        // Four digits at a time, until the end of a line.
        if let ([a, b, c, d, after @ ..], 0) = (rest, digits % 4 + pads) {
            let (a, b) = (VALUES[usize::from(*a)], VALUES[usize::from(*b)]);
            let (c, d) = (VALUES[usize::from(*c)], VALUES[usize::from(*d)]);
            if a | b | c | d < BLANK {
                // By shifts and bytes: this is most of the work, and the compiler is told to keep
                // the library small.
                out[length] = a << 2 | b >> 4;
                out[length + 1] = b << 4 | c >> 2;
                out[length + 2] = c << 6 | d;
                length += 3;
                rest = after;
                continue;
            }
        }
        let [byte, after @ ..] = rest else { break };
        rest = after;
        match VALUES[usize::from(*byte)] {
            BLANK => {}
            PAD => pads += 1,
            value if value == OTHER || pads > 0 => return false,
            value => {
                group = group << 6 | u32::from(value);
                digits += 1;
                if digits % 4 == 0 {
                    out[length..length + 3].copy_from_slice(&group.to_be_bytes()[1..]);
                    length += 3;
                }
            }
        }
    }
    // What is left of the last group: the bits of one byte or two, and zeros.
    let (rest, bits) = match (digits % 4, pads) {
        (0, 0) => (0, 0),
        (2, 2) => (1, 4),
        (3, 1) => (2, 2),
        _ => return false,
    };
    let last = (group >> bits) as u16;
    out[length..length + rest]
        .copy_from_slice(&(last << (8 * (2 - rest) % 16)).to_be_bytes()[..rest]);
    der.truncate(length + rest);
    group & ((1 << bits) - 1) == 0
}

fn is_sound(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

/// The certificate in OpenSSL's "trusted certificate" format, which appends its permitted uses.
/// `None`: not for servers, or malformed.
fn without_trust(der: &[u8]) -> Option<&[u8]> {
    /// The object identifiers serverAuth and anyExtendedKeyUsage.
    const SERVERS: [&[u8]; 2] =
        [b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", b"\x06\x04\x55\x1d\x25\x00"];
    let (_, _, trust) = element(der)?;
    let certificate = &der[..der.len() - trust.len()];
    if trust.is_empty() {
        return Some(certificate);
    }
    let (_, mut uses, _) = element(trust)?;
    let names_servers = |uses| SERVERS.iter().any(|server| find(uses, server).is_some());
    while !uses.is_empty() {
        let (tag, named, rest) = element(uses)?;
        match tag {
            // Trusted uses, and rejected ones.
            0x30 if !names_servers(named) => return None,
            0xa0 if names_servers(named) => return None,
            _ => uses = rest,
        }
    }
    Some(certificate)
}

/// The contents of the names in a certificate.
pub(super) struct Names<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
}

/// The names in a certificate, of which only the beginning may be given. Everything else is left
/// unchecked.
pub(super) fn names(der: &[u8]) -> Option<Names<'_>> {
    let (_, _, certificate) = header(der)?;
    let (_, _, fields) = header(certificate)?;
    // The version, which is missing in old certificates.
    let (tag, _, rest) = element(fields)?;
    let fields = if tag == 0xa0 { rest } else { fields };
    let (_, _, algorithm) = element(fields)?;
    let (_, _, issuer) = element(algorithm)?;
    let (_, issuer, validity) = element(issuer)?;
    let (_, _, subject) = element(validity)?;
    let (_, subject, _) = element(subject)?;
    Some(Names { issuer, subject })
}

/// Whether there is a sound certificate.
pub(super) fn has_certificate(text: &[u8]) -> bool {
    blocks(text).any(|block| matches!(block.certificate(), Some(Ok(_))))
}

/// The first DER element: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, rest) = header(der)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The first DER element: its tag, the length of its content, and all that follows its header.
fn header(der: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x83 => {
            let (long, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
            (long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    Some((tag, length, rest))
}

/// The readable certificates of a file, in order.
#[derive(Default)]
pub(super) struct Certificates {
    pub(super) sound: Vec<CertificateDer<'static>>,
    /// Those that cannot be read, counted from 1.
    pub(super) damaged: Vec<usize>,
}

impl Certificates {
    pub(super) fn read(text: &[u8]) -> Self {
        Self::of(text, None)
    }

    /// Those of these subjects, or all. Of all others no more is decoded than it needs.
    pub(super) fn of(text: &[u8], subjects: Option<&[&[u8]]>) -> Self {
        let mut all = Self::default();
        let among =
            blocks(text).filter(|block| subjects.is_none_or(|subjects| block.may_be_of(subjects)));
        for (at, read) in among.filter_map(|block| block.certificate()).enumerate() {
            match read {
                Ok(certificate) => all.sound.push(certificate),
                Err(()) => all.damaged.push(at + 1),
            }
        }
        all
    }

    fn count(&self) -> usize {
        self.sound.len() + self.damaged.len()
    }

    /// What is wrong with the file, if anything: a predicate for its name.
    pub(super) fn problem(&self, text: &[u8]) -> Option<String> {
        /// Maximum number of damaged certificates listed.
        const MOST_TOLD: usize = 5;
        if self.count() == 0 {
            return Some(format!(" holds no certificate in PEM form{}", what_instead(text)));
        }
        if self.damaged.is_empty() {
            return None;
        }
        let numbers: Vec<String> =
            self.damaged.iter().take(MOST_TOLD).map(usize::to_string).collect();
        let more = if self.damaged.len() > MOST_TOLD { ", ..." } else { "" };
        Some(format!(
            ": {} of {} certificates cannot be read (number {}{more}): cut off, edited, or not for \
             servers",
            self.damaged.len(),
            self.count(),
            numbers.join(", "),
        ))
    }
}

/// What a file without PEM certificates appears to be.
fn what_instead(text: &[u8]) -> &'static str {
    match text {
        [] => ": it is empty",
        [0x30, 0x80..=0xff, ..] => ": it is DER; convert it with `openssl x509 -inform der`",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ": it is UTF-16; save it as UTF-8 or ASCII",
        _ if blocks(text).any(|block| block.is_private_key()) => ", but a private key",
        _ => "",
    }
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
