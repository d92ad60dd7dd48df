//! Persistent state: keys (secrets as hashes), tokens (as hashes), and the clock's offset.
//!
//! Without a file nothing persists. With one, every change is on disk before it is answered, so that a killed emulator
//! loses nothing that it has reported. All times in the file are milliseconds since 1970 by the emulator's clock.

mod error;
mod open;
mod overlay;

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

/// Single values: the format number, the clock's offset, the key of the journal's fingerprints.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tu_token_emulator");
/// Keys by number, as JSON.
const KEYS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("api_keys");
/// Tokens by digest, as JSON.
const TOKENS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tokens");

const FORMAT: &str = "format";
const OFFSET: &str = "clock_offset_ms";
const FINGERPRINTS: &str = "fingerprint_key";
/// The value of `FORMAT` in files that this version can read.
const THIS_FORMAT: &[u8] = b"1";
/// The key of a token in the file. It does not reveal the token, which has 128 random bits or more.
pub(crate) type Digest = [u8; 32];

/// The digest of a token's text.
pub(crate) fn digest_of(token: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// A token as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptToken {
    #[serde(skip)]
    pub(crate) digest: Digest,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: u64,
}

/// The content of a file.
pub(crate) struct Kept {
    pub(crate) keys: Vec<Key>,
    pub(crate) tokens: Vec<KeptToken>,
    pub(crate) fingerprint_key: Vec<u8>,
}

/// The changes made by one request.
#[derive(Default)]
pub(crate) struct Change<'a> {
    /// New and changed keys.
    pub(crate) keys: Vec<&'a Key>,
    /// The number of a key to remove.
    pub(crate) forgotten: Option<u64>,
    /// The client id of the key whose existing tokens end.
    pub(crate) ended: Option<&'a str>,
    /// If set, tokens that have expired at this time are removed.
    pub(crate) dead_at: Option<u64>,
    /// A new token.
    pub(crate) token: Option<&'a KeptToken>,
}

/// The state file, if there is one.
pub(crate) struct State {
    file: Option<(PathBuf, Database)>,
}

impl State {
    /// No file: nothing persists.
    pub(crate) fn in_memory() -> State {
        State { file: None }
    }

    /// Whether there is a file.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Opens or creates a file, and reads it.
    ///
    /// The clock of a new process starts at the true time, so all times in the file are moved back by the clock's old
    /// offset: a token keeps its remaining life.
    pub(crate) fn open(path: &Path) -> Result<(State, Kept), StateError> {
        let database = open::database(path)?;
        let state = State { file: Some((path.to_owned(), database)) };
        let kept = state.start().map_err(|error| StateError::of(path, &error))?;
        Ok((state, kept))
    }

    /// Reads everything, corrects the times, removes expired tokens, and writes the result back.
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

    /// Writes a change atomically.
    pub(crate) fn keep(&self, change: &Change<'_>) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut keys = transaction.open_table(KEYS)?;
            for key in &change.keys {
                keys.insert(key.number, &*json(key))?;
            }
            if let Some(number) = change.forgotten {
                keys.remove(number)?;
            }
            let mut tokens = transaction.open_table(TOKENS)?;
            if change.ended.is_some() || change.dead_at.is_some() {
                tokens.retain(|_, bytes| {
                    parsed(bytes).is_ok_and(|old: KeptToken| {
                        change.ended != Some(old.client_id.as_str())
                            && change.dead_at.is_none_or(|now| old.expires > now)
                    })
                })?;
            }
            if let Some(token) = change.token {
                tokens.insert(&token.digest[..], &*json(token))?;
            }
            Ok(())
        })
    }

    /// Writes the clock's offset.
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
    /// The content of a new file.
    pub(crate) fn nothing() -> Kept {
        Kept { keys: Vec::new(), tokens: Vec::new(), fingerprint_key: random::bytes(32) }
    }

    fn read(
        keys: &impl redb::ReadableTable<u64, &'static [u8]>,
        tokens: &impl redb::ReadableTable<&'static [u8], &'static [u8]>,
    ) -> Result<Kept, redb::Error> {
        let mut kept = Kept::nothing();
        for row in keys.iter()? {
            let key: Key = parsed(row?.1.value())?;
            let sound = key.sound().ok_or_else(|| {
                redb::Error::Corrupted("a key has an invalid id, name or scope".to_owned())
            })?;
            kept.keys.push(sound);
        }
        for row in tokens.iter()? {
            let (name, bytes) = row?;
            let digest = Digest::try_from(name.value())
                .map_err(|_| redb::Error::Corrupted("a token has an invalid digest".to_owned()))?;
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

/// Whether a database was written by this version of this program, or is empty.
fn is_ours(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(true);
    }
    let meta = transaction.open_table(META)?;
    Ok(meta.get(FORMAT)?.is_some_and(|format| format.value() == THIS_FORMAT))
}

/// Reads everything in one of our databases, to find errors.
fn read_through(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(());
    }
    Kept::read(&transaction.open_table(KEYS)?, &transaction.open_table(TOKENS)?).map(|_| ())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use redb::backends::InMemoryBackend;
    use redb::{Database, StorageBackend};

    use super::*;
    use crate::account::{Account, NewKey};

    /// A disk that becomes full after some more writes.
    #[derive(Debug)]
    struct Disk(InMemoryBackend, Arc<AtomicI64>);

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.set_len(length)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            if self.1.fetch_sub(1, Ordering::SeqCst) <= 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(offset, data)
        }
    }

    /// A new state file on a disk, and the number of writes the disk has room for.
    pub(crate) fn on_disk() -> (State, Arc<AtomicI64>) {
        let room = Arc::new(AtomicI64::new(i64::MAX));
        let disk = Disk(InMemoryBackend::new(), Arc::clone(&room));
        let database = Database::builder().create_with_backend(disk).expect("a database");
        let state = State { file: Some((PathBuf::from("disk"), database)) };
        state.start().expect("an empty file");
        (state, room)
    }

    #[test]
    fn times_move_back_and_expired_tokens_are_removed() {
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
            account.minted(&token, false, now).expect("kept");
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
