//! What outlives the emulator: keys (secrets as hashes), tokens (as hashes), and how far the clock was turned.
//!
//! Without a file nothing is kept. With one, every change is on disk before it is answered, so that a killed emulator
//! has forgotten nothing it ever said. All times in the file are milliseconds since 1970 by the emulator's clock.

mod error;
mod open;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::error::StateError;
pub(crate) use self::open::CHECKING_THREAD;
use crate::account::Key;
use crate::clock::unix_ms;
use crate::random;

/// Single values: the format's number, the clock's offset, the key of the journal's fingerprints.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tu_token_emulator");
/// Keys by number, as JSON.
const KEYS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("api_keys");
/// Tokens by digest, as JSON.
const TOKENS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tokens");

const FORMAT: &str = "format";
const OFFSET: &str = "clock_offset_ms";
const FINGERPRINTS: &str = "fingerprint_key";
/// What `FORMAT` says in a file that this version can read.
const THIS_FORMAT: &[u8] = b"1";
/// Every so many tokens of a key, the dead tokens are swept out of the file.
const SWEEP_EVERY: u64 = 256;

/// The name of a token in the file, which does not tell the token: its text has 128 random bits or more.
pub(crate) type Digest = [u8; 32];

/// The digest of a token's text.
pub(crate) fn digest_of(token: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// A token as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptToken {
    #[serde(skip)]
    pub(crate) digest: Digest,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: u64,
}

/// What was read from a file.
pub(crate) struct Kept {
    pub(crate) keys: Vec<Key>,
    pub(crate) tokens: Vec<KeptToken>,
    pub(crate) fingerprint_key: Vec<u8>,
}

/// The place where things are kept, if there is one.
pub(crate) struct State {
    file: Option<(PathBuf, Database)>,
}

impl State {
    /// Keeps nothing.
    pub(crate) fn in_memory() -> State {
        State { file: None }
    }

    /// Whether there is a file.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Opens or makes a file, and reads it.
    ///
    /// The clock of a new process starts at the true time, so everything in the file is moved back by what the clock had
    /// been turned forward: a token keeps the life it had left.
    pub(crate) fn open(path: &Path) -> Result<(State, Kept), StateError> {
        let database = open::database(path)?;
        let state = State { file: Some((path.to_owned(), database)) };
        let kept = state.start().map_err(|error| StateError::of(path, &error))?;
        Ok((state, kept))
    }

    /// Reads everything, sets the clock right, drops dead tokens, and leaves the file so.
    fn start(&self) -> Result<Kept, redb::Error> {
        let Some((_, database)) = &self.file else {
            return Ok(Kept::nothing());
        };
        let transaction = database.begin_write()?;
        let kept = {
            let mut meta = transaction.open_table(META)?;
            let mut keys = transaction.open_table(KEYS)?;
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut kept = Kept::read(&keys, &tokens)?;
            if let Some(bytes) = meta.get(FINGERPRINTS)? {
                kept.fingerprint_key = bytes.value().to_vec();
            }
            let offset = meta.get(OFFSET)?.map_or(Ok(0), |bytes| parsed(bytes.value()))?;
            kept.shift_back(offset);
            for key in &kept.keys {
                keys.insert(key.number, &*json(key))?;
            }
            tokens.retain(|_, _| false)?;
            let now = unix_ms(SystemTime::now());
            kept.tokens.retain(|token| token.expires > now);
            for token in &kept.tokens {
                tokens.insert(&token.digest[..], &*json(token))?;
            }
            meta.insert(FORMAT, THIS_FORMAT)?;
            meta.insert(OFFSET, &b"0"[..])?;
            meta.insert(FINGERPRINTS, &*kept.fingerprint_key)?;
            kept
        };
        transaction.commit()?;
        Ok(kept)
    }

    /// Writes a key, and removes the one with the number `forgotten`.
    pub(crate) fn keep_key(&self, key: &Key, forgotten: Option<u64>) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut keys = transaction.open_table(KEYS)?;
            keys.insert(key.number, &*json(key))?;
            if let Some(number) = forgotten {
                keys.remove(number)?;
            }
            Ok(())
        })
    }

    /// Writes a new token and its key, which has counted it.
    pub(crate) fn keep_token(
        &self,
        token: &KeptToken,
        key: &Key,
        now: u64,
    ) -> Result<(), StateError> {
        self.write(|transaction| {
            transaction.open_table(KEYS)?.insert(key.number, &*json(key))?;
            let mut tokens = transaction.open_table(TOKENS)?;
            if key.tokens_minted.is_multiple_of(SWEEP_EVERY) {
                tokens.retain(|_, bytes| {
                    parsed(bytes).is_ok_and(|old: KeptToken| old.expires > now)
                })?;
            }
            tokens.insert(&token.digest[..], &*json(token))?;
            Ok(())
        })
    }

    /// Removes every token of a key.
    pub(crate) fn end_tokens(&self, client_id: &str) -> Result<(), StateError> {
        self.write(|transaction| {
            let others =
                |bytes: &[u8]| parsed(bytes).is_ok_and(|old: KeptToken| old.client_id != client_id);
            transaction.open_table(TOKENS)?.retain(|_, bytes| others(bytes))?;
            Ok(())
        })
    }

    /// Writes how far the clock is ahead.
    pub(crate) fn keep_offset(&self, milliseconds: u64) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert(OFFSET, milliseconds.to_string().as_bytes())?;
            Ok(())
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StateError> {
        let Some((path, database)) = &self.file else {
            return Ok(());
        };
        let written = || {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            Ok::<_, redb::Error>(transaction.commit()?)
        };
        written().map_err(|error| StateError::of(path, &error))
    }
}

impl Kept {
    /// What a new file holds.
    pub(crate) fn nothing() -> Kept {
        Kept { keys: Vec::new(), tokens: Vec::new(), fingerprint_key: random::bytes(32) }
    }

    fn read(
        keys: &impl redb::ReadableTable<u64, &'static [u8]>,
        tokens: &impl redb::ReadableTable<&'static [u8], &'static [u8]>,
    ) -> Result<Kept, redb::Error> {
        let mut kept = Kept::nothing();
        for row in keys.iter()? {
            kept.keys.push(parsed(row?.1.value())?);
        }
        for row in tokens.iter()? {
            let (name, bytes) = row?;
            let digest = Digest::try_from(name.value())
                .map_err(|_| redb::Error::Corrupted("a token has an odd name".to_owned()))?;
            kept.tokens.push(KeptToken { digest, ..parsed(bytes.value())? });
        }
        Ok(kept)
    }

    fn shift_back(&mut self, milliseconds: u64) {
        for key in &mut self.keys {
            key.shift_back(milliseconds);
        }
        for token in &mut self.tokens {
            token.expires = token.expires.saturating_sub(milliseconds);
        }
    }
}

/// Whether a database is this program's, of this version; an error if it is and cannot be read. A new and empty one is.
fn check(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(true);
    }
    let meta = transaction.open_table(META)?;
    if meta.get(FORMAT)?.is_none_or(|format| format.value() != THIS_FORMAT) {
        return Ok(false);
    }
    Kept::read(&transaction.open_table(KEYS)?, &transaction.open_table(TOKENS)?).map(|_| true)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::account::{Account, NewKey};

    #[test]
    fn times_move_back_and_dead_tokens_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("state");
        let (state, kept) = State::open(&file).expect("a file");
        assert!(kept.keys.is_empty() && kept.tokens.is_empty());
        let state = Arc::new(state);
        let mut account = Account::new(10, false, Vec::new(), Arc::clone(&state));
        let now = unix_ms(SystemTime::now());
        let key = account.create(NewKey::new("n", "a"), now).expect("a key");
        for (text, left) in [("dead", 60_000), ("good", 600_000)] {
            let token = KeptToken {
                digest: digest_of(text),
                client_id: key.client_id.clone(),
                scopes: vec!["a".to_owned()],
                expires: now + left,
            };
            account.minted(&token, now).expect("kept");
        }
        state.keep_offset(120_000).expect("kept");
        drop((account, state));

        for _ in 0..2 {
            let (_state, again) = State::open(&file).expect("a file");
            let [token] = &again.tokens[..] else { panic!("{} tokens", again.tokens.len()) };
            assert_eq!((token.digest, token.expires), (digest_of("good"), now + 480_000));
            assert_eq!((again.keys.len(), again.keys[0].tokens_minted), (1, 2));
            assert_eq!(again.fingerprint_key, kept.fingerprint_key);
        }
    }
}
