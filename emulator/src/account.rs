//! The account and its API keys: creates, rotates, revokes and authenticates them.
//!
//! Nothing here knows about HTTP, and times are passed in. A secret exists only in the value returned when a key is created
//! or rotated; the account keeps a salted hash. A change takes effect only once it has been written to the [`State`].

mod key;
mod record;
mod secret;
mod view;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::key::{IssuedKey, KeyError, NewKey};
pub(crate) use self::record::Key;
use self::secret::{Known, SecretHash};
pub use self::view::ApiKey;
use crate::state::{Change, KeptToken, State, StateError};
use crate::{one_line, random, scope};

/// After this many tokens of a key, expired tokens are removed from the file.
const SWEEP_EVERY: u64 = 256;
/// Maximum number of revoked keys to keep; beyond it, the oldest are forgotten.
const MAX_REVOKED: usize = 100;
/// Maximum length of a name in characters.
const MAX_NAME: usize = 100;
/// Maximum length of a description in characters.
const MAX_DESCRIPTION: usize = 500;

/// Maximum length of a given id or secret in characters.
const MAX_CREDENTIAL: usize = 1_000;
/// Maximum number of allowed scopes of a key: the page and every list of keys show all of them.
const MAX_SCOPES: usize = 500;

/// One account and its keys.
pub(crate) struct Account {
    keys: Vec<Key>,
    max_keys: usize,
    /// Whether the previous secret still works after a rotation.
    overlap: bool,
    /// Shared by all new secrets, so that looking for a text takes one hash, however many keys there are.
    salt: String,
    /// Checked if an id is unknown, so that this takes as long as a wrong secret.
    decoy: SecretHash,
    /// The hashes of all keys; reset by each change.
    known: OnceCell<Known>,
    state: Arc<State>,
}

impl Account {
    /// An account with the keys from `state`.
    pub(crate) fn new(
        max_keys: usize,
        overlap: bool,
        keys: Vec<Key>,
        state: Arc<State>,
    ) -> Account {
        let last = keys.iter().flat_map(|key| &key.secrets).last();
        let salt = last.map_or_else(SecretHash::new_salt, |hash| hash.salt().to_owned());
        let decoy = SecretHash::new(&random::name("", 32), &salt);
        Account { keys, max_keys, overlap, salt, decoy, known: OnceCell::new(), state }
    }

    /// Creates a key.
    pub(crate) fn create(&mut self, new: NewKey, now: u64) -> Result<IssuedKey, KeyError> {
        let mut key = self.check(&new, now)?;
        let secret = new_secret(new.client_secret)?;
        key.secrets = vec![SecretHash::new(&secret, &self.salt)];
        let issued = key.issued(secret);
        self.keep(key)?;
        Ok(issued)
    }

    /// Validates a new key and returns it without a secret.
    fn check(&self, new: &NewKey, now: u64) -> Result<Key, KeyError> {
        let (name, description) = (new.name.trim(), new.description.trim());
        check_texts(name, description)?;
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
        if scopes.len() > MAX_SCOPES {
            return Err(KeyError::TooManyScopes(MAX_SCOPES));
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
            number: self.keys.last().map_or(1, |key| key.number + 1),
            client_id,
            name: name.to_owned(),
            description: description.to_owned(),
            scopes,
            secrets: Vec::new(),
            created: now,
            rotated: None,
            revoked: None,
            tokens_minted: 0,
            last_used: None,
        })
    }

    /// Gives a key a new secret, by default a random one. The old secret is refused from then on, unless rotations overlap.
    pub(crate) fn rotate(
        &mut self,
        client_id: &str,
        secret: Option<String>,
        now: u64,
    ) -> Result<IssuedKey, KeyError> {
        let mut key = self.active_key(client_id)?.clone();
        let secret = new_secret(secret)?;
        key.secrets.truncate(usize::from(self.overlap));
        key.secrets.insert(0, SecretHash::new(&secret, &self.salt));
        key.rotated = Some(now);
        let issued = key.issued(secret);
        self.keep(key)?;
        Ok(issued)
    }

    /// Revokes a key: it no longer counts towards the limit, and its name is free again. With `ends_tokens`, removes its
    /// tokens from the file.
    pub(crate) fn revoke(
        &mut self,
        client_id: &str,
        ends_tokens: bool,
        now: u64,
    ) -> Result<(), KeyError> {
        let mut key = self.active_key(client_id)?.clone();
        key.revoked = Some(now);
        self.keep_and(key, ends_tokens)
    }

    /// Counts a token for its key and stores both. With `single`, removes the key's earlier tokens from the file.
    pub(crate) fn minted(
        &mut self,
        token: &KeptToken,
        single: bool,
        now: u64,
    ) -> Result<(), StateError> {
        let found = self.keys.iter_mut().find(|key| key.client_id == token.client_id);
        let Some(key) = found else {
            return Ok(());
        };
        let counted =
            Key { tokens_minted: key.tokens_minted + 1, last_used: Some(now), ..key.clone() };
        self.state.keep(&Change {
            keys: vec![&counted],
            ended: single.then_some(token.client_id.as_str()),
            dead_at: counted.tokens_minted.is_multiple_of(SWEEP_EVERY).then_some(now),
            token: Some(token),
            ..Change::default()
        })?;
        *key = counted;
        Ok(())
    }

    /// Sets up the keys an emulator starts with: the demo key, see [`Account::demo`], and new ones. If one cannot be created,
    /// nothing changes.
    pub(crate) fn start(
        &mut self,
        demo: NewKey,
        fresh: bool,
        new: Vec<NewKey>,
        now: u64,
    ) -> Result<(Option<IssuedKey>, Vec<IssuedKey>), KeyError> {
        let memory = Arc::new(State::in_memory());
        let mut tried = Account::new(self.max_keys, self.overlap, self.keys.clone(), memory);
        let demo = tried.demo(demo, fresh, now)?;
        let made: Result<Vec<IssuedKey>, KeyError> =
            new.into_iter().map(|key| tried.create(key, now)).collect();
        let made = made?;
        let keys: Vec<&Key> = tried.keys.iter().filter(|key| !self.keys.contains(key)).collect();
        if !keys.is_empty() {
            let change = Change { keys, ..Change::default() };
            self.state.keep(&change).map_err(KeyError::NotKept)?;
        }
        self.keys = tried.keys;
        self.known.take();
        Ok((demo, made))
    }

    /// The demo key: created from `new` if the account never had a key, otherwise left unchanged.
    ///
    /// `None` means that the key exists or was revoked, and its secret is not known. With `fresh`, or a secret in `new`, the
    /// key is rotated or created as needed, so there is always a secret. An unknown id in `new` also creates a key.
    fn demo(&mut self, new: NewKey, fresh: bool, now: u64) -> Result<Option<IssuedKey>, KeyError> {
        let is_it = |key: &&Key| match &new.client_id {
            Some(id) => key.client_id == *id,
            None => key.name == new.name,
        };
        let wanted = fresh || new.client_secret.is_some();
        let Some(key) = self.active().find(is_it) else {
            let make = wanted || new.client_id.is_some() || self.keys.is_empty();
            return if make { self.create(new, now).map(Some) } else { Ok(None) };
        };
        if let Some(secret) = &new.client_secret
            && key.secrets.iter().any(|hash| hash.matches(secret))
        {
            return Ok(Some(key.issued(secret.clone())));
        }
        let id = key.client_id.clone();
        if wanted { self.rotate(&id, new.client_secret, now).map(Some) } else { Ok(None) }
    }

    /// The active key with this id and secret. The result does not distinguish an unknown id, a wrong secret and a revoked
    /// key.
    pub(crate) fn authenticate(&self, client_id: &str, secret: &str) -> Option<&Key> {
        let key = self.active().find(|key| key.client_id == client_id);
        let hashes = key.map_or(std::slice::from_ref(&self.decoy), |key| &key.secrets);
        let right = hashes.iter().any(|hash| hash.matches(secret));
        key.filter(|_| right)
    }

    /// Whether a key, active or revoked, has this secret.
    pub(crate) fn knows_secret(&self, text: &str) -> bool {
        let secrets = || Known::new(self.keys.iter().flat_map(|key| &key.secrets));
        self.known.get_or_init(secrets).has(text)
    }

    /// Whether a key, active or revoked, has this id.
    pub(crate) fn knows(&self, client_id: &str) -> bool {
        self.keys.iter().any(|key| key.client_id == client_id)
    }

    /// All keys without their secrets, in order of creation.
    pub(crate) fn list(&self) -> Vec<ApiKey> {
        self.keys.iter().map(ApiKey::from).collect()
    }

    fn active(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.is_active())
    }

    fn active_key(&self, client_id: &str) -> Result<&Key, KeyError> {
        match self.keys.iter().find(|key| key.client_id == client_id) {
            Some(key) if key.is_active() => Ok(key),
            Some(_) => Err(KeyError::Revoked(client_id.to_owned())),
            None => Err(KeyError::Unknown(client_id.to_owned())),
        }
    }

    /// Stores a new or changed key, on disk first.
    fn keep(&mut self, key: Key) -> Result<(), KeyError> {
        self.keep_and(key, false)
    }

    fn keep_and(&mut self, key: Key, ends_tokens: bool) -> Result<(), KeyError> {
        let revoked = self.keys.iter().filter(|key| !key.is_active());
        let forgotten = if revoked.clone().count() >= MAX_REVOKED && !key.is_active() {
            revoked.map(|key| key.number).next()
        } else {
            None
        };
        let ended = ends_tokens.then_some(key.client_id.as_str());
        let change = Change { keys: vec![&key], forgotten, ended, ..Change::default() };
        self.state.keep(&change).map_err(KeyError::NotKept)?;
        self.known.take();
        self.keys.retain(|key| Some(key.number) != forgotten);
        match self.keys.iter_mut().find(|old| old.number == key.number) {
            Some(place) => *place = key,
            None => self.keys.push(key),
        }
        Ok(())
    }
}

fn check_texts(name: &str, description: &str) -> Result<(), KeyError> {
    if name.is_empty() {
        return Err(KeyError::NoName);
    }
    for (what, text, most) in
        [("name", name, MAX_NAME), ("description", description, MAX_DESCRIPTION)]
    {
        if text.chars().count() > most || !one_line::is(text) {
            return Err(KeyError::BadText { what, most });
        }
    }
    Ok(())
}

fn new_secret(given: Option<String>) -> Result<String, KeyError> {
    match given {
        Some(secret) if !readable(&secret) => Err(KeyError::BadClientSecret),
        Some(secret) => Ok(secret),
        None => Ok(random::name("tusec_", 32)),
    }
}

fn readable(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_CREDENTIAL && one_line::is(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(max_keys: usize, overlap: bool) -> Account {
        Account::new(max_keys, overlap, Vec::new(), Arc::new(State::in_memory()))
    }

    fn set(list: &str) -> BTreeSet<String> {
        scope::words(list).expect("scopes").into_iter().collect()
    }

    #[test]
    fn ten_active_keys_and_no_more() {
        let mut account = account(10, false);
        let keys: Vec<IssuedKey> = (0..10)
            .map(|n| account.create(NewKey::new(format!("key {n}"), "a"), 0).expect("a key"))
            .collect();
        assert_eq!(account.create(NewKey::new("eleventh", "a"), 0), Err(KeyError::TooMany(10)));
        account.revoke(&keys[3].client_id, false, 1).expect("revoked");
        account.create(NewKey::new("key 3", "a"), 0).expect("place and name are free again");
    }

    #[test]
    fn ids_and_secrets_are_all_distinct() {
        let mut account = account(300, false);
        let mut seen = BTreeSet::new();
        for n in 0..300 {
            let key = account.create(NewKey::new(n.to_string(), "a"), 0).expect("a key");
            assert!(seen.insert(key.client_id) && seen.insert(key.client_secret));
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        let mut account = account(10, false);
        assert_eq!(account.create(NewKey::new(" ", "a"), 0), Err(KeyError::NoName));
        assert_eq!(account.create(NewKey::new("n", "  "), 0), Err(KeyError::NoScopes));
        assert!(matches!(account.create(NewKey::new("n", "a\"b"), 0), Err(KeyError::BadScopes(_))));
        assert_eq!(
            account.create(NewKey::new("n", "a").client_id(""), 0),
            Err(KeyError::BadClientId)
        );
        let secret = NewKey::new("n", "a").client_secret("a\nb");
        assert_eq!(account.create(secret, 0), Err(KeyError::BadClientSecret));

        let first = account.create(NewKey::new("n", "b a b").client_id("id"), 0).expect("a key");
        assert_eq!(first.scopes, ["b", "a"]);
        assert_eq!(account.create(NewKey::new("n", "a"), 0), Err(KeyError::NameTaken("n".into())));
        assert_eq!(
            account.create(NewKey::new("m", "a").client_id("id"), 0),
            Err(KeyError::BadClientId)
        );
    }

    #[test]
    fn only_an_active_key_with_its_secret_is_authenticated() {
        let mut account = account(10, false);
        let key = account.create(NewKey::new("n", "a b"), 0).expect("a key");
        let found = account.authenticate(&key.client_id, &key.client_secret).expect("let in");
        assert!(found.allows(&set("b")) && found.allows(&set("b a")) && !found.allows(&set("a A")));
        assert!(account.authenticate(&key.client_id, "wrong").is_none());
        assert!(account.authenticate("unknown", &key.client_secret).is_none());
        account.revoke(&key.client_id, false, 1).expect("revoked");
        assert!(account.authenticate(&key.client_id, &key.client_secret).is_none());
        assert_eq!(
            account.rotate(&key.client_id, None, 1),
            Err(KeyError::Revoked(key.client_id.clone()))
        );
        assert_eq!(account.revoke("unknown", false, 1), Err(KeyError::Unknown("unknown".into())));
    }

    #[test]
    fn a_rotation_ends_the_old_secret_or_overlaps_once() {
        for overlap in [false, true] {
            let mut account = account(10, overlap);
            let first = account.create(NewKey::new("n", "a"), 0).expect("a key");
            let second = account.rotate(&first.client_id, None, 1).expect("rotated");
            assert_eq!(
                account.authenticate(&first.client_id, &first.client_secret).is_some(),
                overlap
            );
            assert!(account.authenticate(&first.client_id, &second.client_secret).is_some());
            account.rotate(&first.client_id, None, 1).expect("rotated");
            assert!(account.authenticate(&first.client_id, &first.client_secret).is_none());
        }
    }

    #[test]
    fn long_and_multi_line_texts_are_refused() {
        let mut account = account(10, false);
        for (name, description, what) in
            [("n".repeat(101), String::new(), "name"), ("n".into(), "d\nd".into(), "description")]
        {
            let refused = account.create(NewKey::new(name, "a").description(description), 0);
            assert!(matches!(refused, Err(KeyError::BadText { what: found, .. }) if found == what));
        }
        account.create(NewKey::new("\u{e9}".repeat(100), "a"), 0).expect("characters, not bytes");
    }

    #[test]
    fn old_revoked_keys_are_forgotten_and_numbering_continues() {
        let mut account = account(10, false);
        for n in 0..MAX_REVOKED + 5 {
            let key = account.create(NewKey::new(n.to_string(), "a"), 0).expect("a key");
            account.revoke(&key.client_id, false, 1).expect("revoked");
        }
        assert_eq!(account.keys.len(), MAX_REVOKED);
        assert_eq!((account.keys[0].number, account.keys[MAX_REVOKED - 1].number), (6, 105));
    }

    #[test]
    fn the_demo_key_is_made_once_and_rotated_when_its_secret_is_wanted() {
        let mut account = account(10, false);
        let demo = || NewKey::new("demo", "a");
        let first = account.demo(demo(), false, 0).expect("made").expect("a secret");
        assert_eq!(account.demo(demo(), false, 0), Ok(None));
        let second = account.demo(demo(), true, 0).expect("rotated").expect("a secret");
        assert_eq!(second.client_id, first.client_id);
        assert!(account.authenticate(&first.client_id, &first.client_secret).is_none());
        let given = || demo().client_secret("mine");
        assert_eq!(
            account.demo(given(), false, 5).expect("set").expect("it").client_secret,
            "mine"
        );
        assert_eq!(
            account.demo(given(), true, 9).expect("kept").expect("it").client_secret,
            "mine"
        );
        assert_eq!(account.keys[0].rotated, Some(5), "the same secret is no rotation");
        account.revoke(&first.client_id, false, 0).expect("revoked");
        assert_eq!(account.demo(demo(), false, 0), Ok(None), "who revokes it means it");
        assert!(account.demo(demo(), true, 0).expect("made").is_some());
        let other = account.demo(demo().client_id("other"), false, 0);
        assert_eq!(other, Err(KeyError::NameTaken("demo".into())), "an id is not passed over");
    }

    #[test]
    fn a_secret_is_searched_for_with_one_hash() {
        let mut first = account(100, true);
        for n in 0..10 {
            let key = first.create(NewKey::new(n.to_string(), "a"), 0).expect("a key");
            first.rotate(&key.client_id, None, 1).expect("rotated");
        }
        let state = Arc::new(State::in_memory());
        let mut again = Account::new(100, false, first.keys.clone(), state);
        let key = again.create(NewKey::new("n", "a"), 0).expect("a key");
        assert!(again.knows_secret(&key.client_secret) && !again.knows_secret("x"));
        let fresh = again.rotate(&key.client_id, None, 1).expect("rotated");
        assert!(again.knows_secret(&fresh.client_secret));
        assert!(!again.knows_secret(&key.client_secret));
        let salts: BTreeSet<&str> =
            again.keys.iter().flat_map(|key| &key.secrets).map(SecretHash::salt).collect();
        assert_eq!(salts.len(), 1);
    }

    #[test]
    fn debug_hides_the_secret() {
        let mut account = account(10, false);
        let key = account.create(NewKey::new("n", "a"), 0).expect("a key");
        assert!(!format!("{key:?}").contains(&key.client_secret));
    }
}
