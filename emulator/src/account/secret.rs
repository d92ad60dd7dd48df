//! A client secret that can be checked but not read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::random;

/// A salt, and the secret's HMAC under it.
///
/// One round is enough: the secrets made here have 256 random bits, which no number of guesses reaches. A secret that
/// was given for a test may be weak, and then no hash would save it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecretHash {
    salt: String,
    tag: String,
}

impl SecretHash {
    pub(super) fn new(secret: &str) -> SecretHash {
        let salt = random::name("", 32);
        let tag = hmac::sign(&key(&salt), secret.as_bytes());
        SecretHash { tag: URL_SAFE_NO_PAD.encode(tag), salt }
    }

    /// In constant time for secrets of one length.
    pub(super) fn matches(&self, secret: &str) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(&self.tag).unwrap_or_default();
        hmac::verify(&key(&self.salt), secret.as_bytes(), &tag).is_ok()
    }
}

fn key(salt: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_matches_and_it_is_not_in_the_hash() {
        let hash = SecretHash::new("tusec_x");
        assert!(hash.matches("tusec_x") && !hash.matches("tusec_y") && !hash.matches(""));
        let text = serde_json::to_string(&hash).expect("JSON");
        assert!(!text.contains("tusec"), "{text}");
        assert!(serde_json::from_str::<SecretHash>(&text).expect("a hash").matches("tusec_x"));
        let empty: SecretHash = serde_json::from_str(r#"{"salt":"","tag":""}"#).expect("a hash");
        assert!(!empty.matches(""));
    }
}
