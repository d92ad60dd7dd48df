//! The issued access tokens, each with its key, scopes and expiry.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::random;
use crate::state::{Digest, digest_of};

/// What a valid token request is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    /// The scopes exactly as requested.
    pub(crate) asked: String,
    /// The same as a set.
    pub(crate) scopes: BTreeSet<String>,
}

/// One issued token, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minted {
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) expires: Duration,
}

/// A stored token. The text of one from an earlier run is not known, only its digest.
struct Held {
    minted: Minted,
    text: Option<String>,
}

/// Tokens by the digest of their text. Times are the emulator's.
pub(crate) struct Tokens {
    length: usize,
    live: HashMap<Digest, Held>,
    /// At this number of tokens, expired ones are removed.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 1024;

impl Tokens {
    /// Each token will contain `length` random bytes.
    pub(crate) fn new(length: usize) -> Tokens {
        Tokens { length, live: HashMap::new(), sweep_at: FIRST_SWEEP }
    }

    /// A new random token text.
    pub(crate) fn text(&self) -> String {
        random::name("tuemu_", self.length)
    }

    /// Adds a token.
    pub(crate) fn keep(&mut self, text: &str, minted: Minted, now: Duration) {
        self.hold(digest_of(text), Held { minted, text: Some(text.to_owned()) }, now);
    }

    /// Adds a token from an earlier run by its digest.
    pub(crate) fn restore(&mut self, digest: Digest, minted: Minted, now: Duration) {
        self.hold(digest, Held { minted, text: None }, now);
    }

    fn hold(&mut self, digest: Digest, held: Held, now: Duration) {
        if self.live.len() >= self.sweep_at {
            self.live.retain(|_, held| held.minted.expires > now);
            self.sweep_at = FIRST_SWEEP.max(self.live.len() * 2);
        }
        self.live.insert(digest, held);
    }

    /// The token, if it is still valid.
    pub(crate) fn find(&self, text: &str, now: Duration) -> Option<&Minted> {
        let held = self.live.get(&digest_of(text))?;
        Some(&held.minted).filter(|token| token.expires > now)
    }

    /// The longest-lived valid token of exactly this key and these scopes whose text is known.
    pub(crate) fn newest(&self, grant: &Grant, now: Duration) -> Option<(String, Duration)> {
        self.live
            .values()
            .filter_map(|held| Some((held.text.as_ref()?, &held.minted)))
            .filter(|(_, token)| token.expires > now)
            .filter(|(_, token)| token.client_id == grant.client_id && token.scopes == grant.scopes)
            .max_by_key(|(_, token)| token.expires)
            .map(|(text, token)| (text.clone(), token.expires - now))
    }

    /// Ends every token of a key.
    pub(crate) fn end_all_of(&mut self, client_id: &str) {
        self.live.retain(|_, held| held.minted.client_id != client_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(client_id: &str, scope: &str, expires: u64) -> Minted {
        Minted {
            client_id: client_id.into(),
            scopes: BTreeSet::from([scope.to_owned()]),
            expires: Duration::from_secs(expires),
        }
    }

    #[test]
    fn a_token_is_valid_until_its_expiry_but_not_at_it() {
        let mut tokens = Tokens::new(40);
        tokens.keep("t", minted("k", "a", 10), Duration::ZERO);
        assert!(tokens.find("t", Duration::from_millis(9_999)).is_some());
        assert!(tokens.find("t", Duration::from_secs(10)).is_none());
        assert!(tokens.find("T", Duration::ZERO).is_none());
        tokens.restore(digest_of("r"), minted("k", "a", 10), Duration::ZERO);
        assert!(tokens.find("r", Duration::from_millis(9_999)).is_some());
        assert!(tokens.find("r", Duration::from_secs(10)).is_none());
    }

    #[test]
    fn expired_tokens_are_removed() {
        let mut tokens = Tokens::new(16);
        for n in 0..10_000_u64 {
            let text = tokens.text();
            tokens.keep(&text, minted("k", "a", n + 10), Duration::from_secs(n));
        }
        assert!(tokens.live.len() <= FIRST_SWEEP + 1, "{}", tokens.live.len());
    }

    #[test]
    fn the_newest_belongs_to_the_same_key_and_scopes() {
        let mut tokens = Tokens::new(16);
        tokens.keep("short", minted("k", "a", 10), Duration::ZERO);
        tokens.keep("long", minted("k", "a", 20), Duration::ZERO);
        tokens.keep("scope", minted("k", "b", 30), Duration::ZERO);
        tokens.keep("key", minted("j", "a", 30), Duration::ZERO);
        let grant = Grant {
            client_id: "k".into(),
            asked: "a".into(),
            scopes: BTreeSet::from(["a".to_owned()]),
        };
        let now = Duration::from_secs(5);
        assert_eq!(tokens.newest(&grant, now), Some(("long".into(), Duration::from_secs(15))));
        tokens.end_all_of("k");
        assert_eq!(tokens.newest(&grant, now), None);
        assert!(tokens.find("key", now).is_some());
    }

    #[test]
    fn texts_have_the_length_that_was_asked_for() {
        assert_eq!(Tokens::new(40).text().len(), "tuemu_".len() + 54);
        assert_ne!(Tokens::new(40).text(), Tokens::new(40).text());
    }
}
