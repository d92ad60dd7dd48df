//! The account and its API keys: made, rotated, revoked, and asked whether a secret is right.
//!
//! Nothing here knows about HTTP or time. Secrets exist only in the value that is handed out when a key
//! is made or rotated; what stays is a salted hash.

mod key;

use std::collections::BTreeSet;

use ring::hmac;

pub use self::key::{IssuedKey, KeyError, NewKey};
use crate::{random, scope};

/// A secret that can be checked but not read.
struct SecretHash {
    salt: hmac::Key,
    tag: hmac::Tag,
}

impl SecretHash {
    fn new(secret: &str) -> SecretHash {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &random::bytes(32));
        let tag = hmac::sign(&salt, secret.as_bytes());
        SecretHash { salt, tag }
    }

    /// In constant time for secrets of one length.
    fn matches(&self, secret: &str) -> bool {
        hmac::verify(&self.salt, secret.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// One API key of the account.
pub(crate) struct Key {
    pub(crate) client_id: String,
    name: String,
    description: String,
    scopes: Vec<String>,
    /// The current one and, when rotations overlap, the one before.
    secrets: Vec<SecretHash>,
    active: bool,
}

impl Key {
    /// Whether the key may ask for all of these. Exact, case included.
    pub(crate) fn allows(&self, scopes: &BTreeSet<String>) -> bool {
        scopes.iter().all(|scope| self.scopes.contains(scope))
    }

    /// Every scope the key may ask for.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    fn issued(&self, client_secret: String) -> IssuedKey {
        IssuedKey {
            name: self.name.clone(),
            description: self.description.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            scopes: self.scopes.clone(),
        }
    }
}

/// One account and all keys it ever had.
pub(crate) struct Account {
    keys: Vec<Key>,
    max_keys: usize,
    /// Whether the secret before the last rotation still works.
    overlap: bool,
    /// Checked when an id is unknown, so that this takes as long as a wrong secret.
    decoy: SecretHash,
}

impl Account {
    pub(crate) fn new(max_keys: usize, overlap: bool) -> Account {
        let decoy = SecretHash::new(&random::name("", 32));
        Account { keys: Vec::new(), max_keys, overlap, decoy }
    }

    /// Makes a key.
    pub(crate) fn create(&mut self, new: NewKey) -> Result<IssuedKey, KeyError> {
        let key = self.check(&new)?;
        let secret = match new.client_secret {
            Some(secret) => readable(&secret).then_some(secret).ok_or(KeyError::BadClientSecret)?,
            None => random::name("tusec_", 32),
        };
        let issued = key.issued(secret);
        let secrets = vec![SecretHash::new(&issued.client_secret)];
        self.keys.push(Key { secrets, ..key });
        Ok(issued)
    }

    /// The key as it would be, still without a secret, or what speaks against it.
    fn check(&self, new: &NewKey) -> Result<Key, KeyError> {
        let name = new.name.trim();
        if name.is_empty() {
            return Err(KeyError::NoName);
        }
        if self.active().any(|key| key.name == name) {
            return Err(KeyError::NameTaken(name.to_owned()));
        }
        let mut scopes =
            scope::words(&new.scopes).ok_or_else(|| KeyError::BadScopes(new.scopes.clone()))?;
        let mut seen = BTreeSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        if scopes.is_empty() {
            return Err(KeyError::NoScopes);
        }
        if self.active().count() >= self.max_keys {
            return Err(KeyError::TooMany(self.max_keys));
        }
        let client_id = match &new.client_id {
            Some(id) if !readable(id) || self.knows(id) => return Err(KeyError::BadClientId),
            Some(id) => id.clone(),
            None => random::name("tukey_", 12),
        };
        Ok(Key {
            client_id,
            name: name.to_owned(),
            description: new.description.clone(),
            scopes,
            secrets: Vec::new(),
            active: true,
        })
    }

    /// Gives a key a new secret. The old one is refused from now on, unless rotations overlap.
    pub(crate) fn rotate(&mut self, client_id: &str) -> Result<IssuedKey, KeyError> {
        let keep = usize::from(self.overlap);
        let key = self.active_mut(client_id)?;
        let secret = random::name("tusec_", 32);
        key.secrets.truncate(keep);
        key.secrets.insert(0, SecretHash::new(&secret));
        Ok(key.issued(secret))
    }

    /// Ends a key. It no longer counts, and its name is free again.
    pub(crate) fn revoke(&mut self, client_id: &str) -> Result<(), KeyError> {
        self.active_mut(client_id)?.active = false;
        Ok(())
    }

    /// The active key with this id and secret. The answer does not tell an unknown id, a wrong secret and a
    /// revoked key apart.
    pub(crate) fn authenticate(&self, client_id: &str, secret: &str) -> Option<&Key> {
        let key = self.active().find(|key| key.client_id == client_id);
        let hashes = key.map_or(std::slice::from_ref(&self.decoy), |key| &key.secrets);
        let right = hashes.iter().any(|hash| hash.matches(secret));
        key.filter(|_| right)
    }

    /// Whether a key, active or revoked, has this id.
    pub(crate) fn knows(&self, client_id: &str) -> bool {
        self.keys.iter().any(|key| key.client_id == client_id)
    }

    fn active(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.active)
    }

    fn active_mut(&mut self, client_id: &str) -> Result<&mut Key, KeyError> {
        self.keys
            .iter_mut()
            .find(|key| key.active && key.client_id == client_id)
            .ok_or_else(|| KeyError::Unknown(client_id.to_owned()))
    }
}

fn readable(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &str) -> BTreeSet<String> {
        scope::words(list).expect("scopes").into_iter().collect()
    }

    #[test]
    fn ten_active_keys_and_no_more() {
        let mut account = Account::new(10, false);
        let keys: Vec<IssuedKey> = (0..10)
            .map(|n| account.create(NewKey::new(format!("key {n}"), "a")).expect("a key"))
            .collect();
        assert_eq!(account.create(NewKey::new("eleventh", "a")), Err(KeyError::TooMany(10)));
        account.revoke(&keys[3].client_id).expect("revoked");
        account.create(NewKey::new("key 3", "a")).expect("place and name are free again");
    }

    #[test]
    fn ids_and_secrets_are_all_distinct() {
        let mut account = Account::new(300, false);
        let mut seen = BTreeSet::new();
        for n in 0..300 {
            let key = account.create(NewKey::new(n.to_string(), "a")).expect("a key");
            assert!(seen.insert(key.client_id) && seen.insert(key.client_secret));
        }
    }

    #[test]
    fn what_a_key_needs_is_asked_for() {
        let mut account = Account::new(10, false);
        assert_eq!(account.create(NewKey::new(" ", "a")), Err(KeyError::NoName));
        assert_eq!(account.create(NewKey::new("n", "  ")), Err(KeyError::NoScopes));
        assert!(matches!(account.create(NewKey::new("n", "a\"b")), Err(KeyError::BadScopes(_))));
        assert_eq!(account.create(NewKey::new("n", "a").client_id("")), Err(KeyError::BadClientId));
        let secret = NewKey::new("n", "a").client_secret("a\nb");
        assert_eq!(account.create(secret), Err(KeyError::BadClientSecret));

        let first = account.create(NewKey::new("n", "b a b").client_id("id")).expect("a key");
        assert_eq!(first.scopes, ["b", "a"]);
        assert_eq!(account.create(NewKey::new("n", "a")), Err(KeyError::NameTaken("n".into())));
        assert_eq!(
            account.create(NewKey::new("m", "a").client_id("id")),
            Err(KeyError::BadClientId)
        );
    }

    #[test]
    fn only_an_active_key_with_its_secret_is_let_in() {
        let mut account = Account::new(10, false);
        let key = account.create(NewKey::new("n", "a b")).expect("a key");
        let found = account.authenticate(&key.client_id, &key.client_secret).expect("let in");
        assert!(found.allows(&set("b")) && found.allows(&set("b a")) && !found.allows(&set("a A")));
        assert!(account.authenticate(&key.client_id, "wrong").is_none());
        assert!(account.authenticate("unknown", &key.client_secret).is_none());
        account.revoke(&key.client_id).expect("revoked");
        assert!(account.authenticate(&key.client_id, &key.client_secret).is_none());
        assert_eq!(account.rotate(&key.client_id), Err(KeyError::Unknown(key.client_id.clone())));
    }

    #[test]
    fn a_rotation_ends_the_old_secret_or_overlaps_once() {
        for overlap in [false, true] {
            let mut account = Account::new(10, overlap);
            let first = account.create(NewKey::new("n", "a")).expect("a key");
            let second = account.rotate(&first.client_id).expect("rotated");
            assert_eq!(
                account.authenticate(&first.client_id, &first.client_secret).is_some(),
                overlap
            );
            assert!(account.authenticate(&first.client_id, &second.client_secret).is_some());
            account.rotate(&first.client_id).expect("rotated");
            assert!(account.authenticate(&first.client_id, &first.client_secret).is_none());
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let mut account = Account::new(10, false);
        let key = account.create(NewKey::new("n", "a")).expect("a key");
        assert!(!format!("{key:?}").contains(&key.client_secret));
    }
}
