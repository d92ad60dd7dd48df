//! A client secret that can be checked but not read.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::random;

/// A salt and the secret's HMAC with it.
///
/// One round is enough: generated secrets have 256 random bits and cannot be guessed. A secret given for a test may be weak,
/// and then no hash would help. For the same reason one salt can serve a whole account.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SecretHash {
    salt: String,
    tag: String,
}

impl SecretHash {
    pub(super) fn new_salt() -> String {
        random::name("", 32)
    }

    pub(super) fn new(secret: &str, salt: &str) -> SecretHash {
        SecretHash { tag: tag(salt, secret), salt: salt.to_owned() }
    }

    pub(super) fn salt(&self) -> &str {
        &self.salt
    }

    /// In constant time for secrets of equal length.
    pub(super) fn matches(&self, secret: &str) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(&self.tag).unwrap_or_default();
        hmac::verify(&key(&self.salt), secret.as_bytes(), &tag).is_ok()
    }
}

/// A set of hashes that is searched with one HMAC per distinct salt.
pub(super) struct Known(HashMap<String, HashSet<String>>);

impl Known {
    pub(super) fn new<'a>(hashes: impl Iterator<Item = &'a SecretHash>) -> Known {
        let mut known: HashMap<String, HashSet<String>> = HashMap::new();
        for SecretHash { salt, tag } in hashes {
            known.entry(salt.clone()).or_default().insert(tag.clone());
        }
        Known(known)
    }

    /// Whether one of them matches.
    pub(super) fn has(&self, text: &str) -> bool {
        self.0.iter().any(|(salt, tags)| tags.contains(&tag(salt, text)))
    }
}

fn tag(salt: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&key(salt), secret.as_bytes()))
}

fn key(salt: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_matches_and_it_is_not_in_the_hash() {
        let hash = SecretHash::new("tusec_x", &SecretHash::new_salt());
        assert!(hash.matches("tusec_x") && !hash.matches("tusec_y") && !hash.matches(""));
        let text = serde_json::to_string(&hash).expect("JSON");
        assert!(!text.contains("tusec"), "{text}");
        assert!(serde_json::from_str::<SecretHash>(&text).expect("a hash").matches("tusec_x"));
        let empty: SecretHash = serde_json::from_str(r#"{"salt":"","tag":""}"#).expect("a hash");
        assert!(!empty.matches(""));
    }

    #[test]
    fn many_hashes_are_searched_at_once() {
        let hashes =
            [("x", "s"), ("y", "s"), ("x", "t")].map(|(text, salt)| SecretHash::new(text, salt));
        let known = Known::new(hashes.iter());
        assert!(known.has("x") && known.has("y") && !known.has("z") && !known.has(""));
        assert_eq!(known.0.len(), 2);
    }
}
