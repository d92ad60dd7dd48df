//! How a record is encrypted and named.
//!
//! Both keys are derived from the client secret alone (HKDF, RFC 5869), so reading a stolen file is
//! as hard as guessing the secret, and after a rotation of the secret the store starts empty. A
//! record's identity (endpoint, client, authentication method, scope, parameters) is bound to it as
//! associated data: a record filed under another's name does not decrypt. The name is a keyed hash
//! of the identity, so it reveals nothing either.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::MAX_RECORD_BYTES;
use crate::config::options::{ClientAuth, Options};
use crate::credentials::Credentials;
use crate::scope::ScopeSet;

/// The first bytes of a sealed record. Another format must have a different prefix.
const FORMAT: &[u8] = b"tu-token store 1\n";
const KEY_BYTES: usize = 32;
/// Bytes of the hash used for the name: enough to exclude collisions.
const NAME_BYTES: usize = 20;
/// Characters of a name.
pub(super) const NAME_LENGTH: usize = 2 * NAME_BYTES;

/// Seals and opens the records of one entry.
pub(crate) struct Seal {
    // The bytes, not ring's key type, which is not wiped.
    key: Zeroizing<[u8; KEY_BYTES]>,
    identity: Zeroizing<Vec<u8>>,
    name: String,
}

struct Bytes;

impl KeyType for Bytes {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl Seal {
    pub(crate) fn new(options: &Options, credentials: &Credentials, scope: &ScopeSet) -> Self {
        let identity = identity(options, credentials, scope);
        let secret = credentials.client_secret.reveal().as_bytes();
        // No key has two purposes: each is derived under its own label.
        let parent = Salt::new(HKDF_SHA256, FORMAT).extract(secret);
        let derive = |label: &[u8]| {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            let labels = [label];
            let filled = parent.expand(&labels, Bytes).and_then(|okm| okm.fill(&mut *key));
            filled.expect("32 bytes are within what HKDF-SHA256 gives");
            key
        };
        let name_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &*derive(b"name"));
        let tag = ring::hmac::sign(&name_key, &identity);
        let name = tag.as_ref().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { key: derive(b"seal"), identity, name }
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &*self.key).ok().map(LessSafeKey::new)
    }

    fn aad(&self) -> Aad<&[u8]> {
        Aad::from(&self.identity)
    }

    /// The record's name: [`NAME_LENGTH`] lower-case hex digits.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Encrypts a record. `None`: the system has no randomness available.
    pub(crate) fn seal(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let tag_bytes = CHACHA20_POLY1305.tag_len();
        // Allocated in full: growing would leave plain text behind.
        let mut sealed = Vec::with_capacity(FORMAT.len() + nonce.len() + record.len() + tag_bytes);
        sealed.extend_from_slice(FORMAT);
        sealed.extend_from_slice(&nonce);
        let text_at = sealed.len();
        sealed.extend_from_slice(record);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .cipher()?
            .seal_in_place_separate_tag(nonce, self.aad(), &mut sealed[text_at..])
            .ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Decrypts a record. `None`: it was sealed with another key or identity, or modified since.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let rest = sealed.strip_prefix(FORMAT).filter(|_| sealed.len() <= MAX_RECORD_BYTES)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut record = Zeroizing::new(text.to_vec());
        let length = self.cipher()?.open_in_place(nonce, self.aad(), &mut record).ok()?.len();
        record.truncate(length);
        Some(record)
    }
}

/// Everything that tokens depend on, each part with its length so that the encoding is unambiguous.
fn identity(options: &Options, credentials: &Credentials, scope: &ScopeSet) -> Zeroizing<Vec<u8>> {
    let token_url = options.token_url.uri().to_string();
    let client_auth = match options.client_auth {
        ClientAuth::Post => "post",
        ClientAuth::Basic => "basic",
    };
    let mut parts =
        vec![&*token_url, credentials.client_id.reveal(), client_auth, scope.canonical()];
    parts.extend(options.params.iter().flat_map(|(key, value)| [&**key, &**value]));
    // Allocated in full: the parameters may be secrets.
    let room = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
    let mut identity = Zeroizing::new(Vec::with_capacity(room));
    for part in parts {
        identity.extend_from_slice(&(part.len() as u64).to_le_bytes());
        identity.extend_from_slice(part.as_bytes());
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(secret: &str) -> Seal {
        Seal::new(
            &Options::default(),
            &Credentials::new("id", secret),
            &ScopeSet::parse("b a").unwrap(),
        )
    }

    #[test]
    fn a_sealed_record_opens_and_no_two_seals_are_equal() {
        let (one, other) = (seal("secret"), seal("secret"));
        let sealed = one.seal(b"a record").unwrap();
        assert_eq!(**other.open(&sealed).unwrap(), *b"a record");
        assert_eq!(one.name(), other.name());
        assert_ne!(sealed, one.seal(b"a record").unwrap());
        assert!(!sealed.windows(8).any(|window| window == b"a record"));
    }

    #[test]
    fn every_changed_byte_and_every_truncation_is_detected() {
        let seal = seal("secret");
        let sealed = seal.seal(b"a record").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(seal.open(&changed).is_none(), "byte {at}, bit {bit}");
            }
            assert!(seal.open(&sealed[..at]).is_none(), "cut to {at}");
        }
        let longer = [sealed.as_slice(), b"x"].concat();
        assert!(seal.open(&longer).is_none());
        assert!(seal.open(&vec![0; MAX_RECORD_BYTES + 1]).is_none());
    }

    #[test]
    fn another_secret_opens_nothing_and_finds_nothing() {
        let (old, new) = (seal("secret"), seal("rotated"));
        assert!(new.open(&old.seal(b"a record").unwrap()).is_none());
        assert_ne!(old.name(), new.name());
    }

    #[test]
    fn whatever_distinguishes_tokens_distinguishes_records() {
        let defaults = Options::default();
        let basic = Options { client_auth: ClientAuth::Basic, ..Options::default() };
        let with = |params: &[(&str, &str)]| Options {
            params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Options::default()
        };
        let (two, shifted) = (with(&[("a", "bc")]), with(&[("ab", "c")]));
        let mut elsewhere = Options::default();
        crate::config::table::find("token_url")
            .unwrap()
            .read_into(&mut elsewhere, "https://auth.example/token/v2")
            .unwrap();
        let scope = |text: &str| ScopeSet::parse(text).unwrap();
        let of = |options: &Options, id: &str, text: &str| {
            Seal::new(options, &Credentials::new(id, "secret"), &scope(text))
        };
        let all = [
            of(&defaults, "id", "a b"),
            of(&basic, "id", "a b"),
            of(&two, "id", "a b"),
            of(&shifted, "id", "a b"),
            of(&elsewhere, "id", "a b"),
            of(&defaults, "id2", "a b"),
            of(&defaults, "id", "a"),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(one.name(), other.name());
                assert!(other.open(&one.seal(b"a record").unwrap()).is_none());
            }
        }
        assert_eq!(of(&defaults, "id", "b a").name(), all[0].name());
        assert_eq!(all[0].name().len(), NAME_LENGTH);
    }
}
