//! The state of a running emulator and all operations on it.
//!
//! Both the routes and the Rust API use it, so a fault added with `curl` and one added by a test are the same. Locks are held
//! briefly, never across a wait, and never two at once (except the tokens' lock under that of the faults). Only with a state
//! file are the account's and the clock's locks held until the change is on disk, so that the file sees changes in order.
//! Every change is one call, so a panic elsewhere leaves nothing half done; the locks need no poisoning.

mod mint;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::account::{Account, ApiKey, IssuedKey, KeyError, NewKey};
use crate::clock::Clock;
use crate::faults::queue::{Queue, QueuedFault};
use crate::faults::reach::Approach;
use crate::faults::{Fault, FaultError};
use crate::guesses::Guesses;
use crate::journal::{Arrival, Entry, Journal, shortened};
use crate::oauth::{self, Decision, Readings, TokenRequest};
use crate::reply::Note;
use crate::state::{Kept, State, StateError};
use crate::tokens::{Grant, Minted, Tokens};

/// The settings with which the emulator was started.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) expires_in: u64,
    pub(crate) max_keys: usize,
    pub(crate) token_length: usize,
    pub(crate) readings: Readings,
}

/// The state of one emulator.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    account: Mutex<Account>,
    tokens: Mutex<Tokens>,
    faults: Mutex<Queue>,
    journal: Mutex<Journal>,
    guesses: Mutex<Guesses>,
    /// Counts clearings of the faults; requests held by a fault wait for it to change.
    clearings: watch::Sender<u64>,
    /// Counts changes of anything shown on the page.
    changes: watch::Sender<u64>,
    /// The page's fragments, with the value of `changes` for which they were created.
    shown: Mutex<Option<(u64, Arc<Pieces>)>>,
    state: Arc<State>,
}

/// The dynamic fragments of the page by id: HTML as a JSON string. Unchanged fragments share their memory between versions.
pub(crate) type Pieces = BTreeMap<&'static str, Bytes>;

/// The fault that a request has met.
pub(crate) struct Met {
    pub(crate) id: u64,
    pub(crate) fault: Arc<Fault>,
    clearings: watch::Receiver<u64>,
}

impl Met {
    /// Waits as long as the fault says, or until the faults are cleared.
    pub(crate) async fn hold(&mut self) {
        if let Some(delay) = self.fault.delay {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = self.clearings.changed() => {}
            }
        }
    }
}

impl World {
    /// A world with the content of the state file.
    pub(crate) fn new(settings: Settings, state: State, kept: Kept) -> World {
        let (clock, state) = (Clock::new(), Arc::new(state));
        let mut tokens = Tokens::new(settings.token_length);
        let (now, unix_ms) = (clock.now(), clock.unix_ms());
        for token in kept.tokens {
            let left = Duration::from_millis(token.expires.saturating_sub(unix_ms));
            let scopes = token.scopes.into_iter().collect();
            let minted = Minted { client_id: token.client_id, scopes, expires: now + left };
            tokens.restore(token.digest, minted, now);
        }
        let overlap = settings.readings.rotate_overlap;
        let account = Account::new(settings.max_keys, overlap, kept.keys, Arc::clone(&state));
        World {
            clock,
            account: Mutex::new(account),
            tokens: Mutex::new(tokens),
            faults: Mutex::new(Queue::default()),
            journal: Mutex::new(Journal::new(&kept.fingerprint_key)),
            guesses: Mutex::default(),
            clearings: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            shown: Mutex::default(),
            state,
            settings,
        }
    }

    /// Notifies of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The page's fragments, created once per change, however many clients there are.
    pub(crate) fn pieces(&self, make: impl FnOnce(&World) -> Pieces) -> Arc<Pieces> {
        // Read first: a change during the creation then counts as a further one.
        let changes = *self.changes.borrow();
        if let Some((made, pieces)) = &*self.shown.lock()
            && *made == changes
        {
            return Arc::clone(pieces);
        }
        let mut pieces = make(self);
        let mut shown = self.shown.lock();
        for (id, old) in shown.iter().flat_map(|(_, old)| old.iter()) {
            if let Some(new) = pieces.get_mut(id).filter(|new| *new == old) {
                *new = old.clone();
            }
        }
        let pieces = Arc::new(pieces);
        *shown = Some((changes, Arc::clone(&pieces)));
        pieces
    }

    /// Whether there is a state file.
    pub(crate) fn is_kept(&self) -> bool {
        self.state.is_file()
    }

    pub(crate) fn keys(&self) -> Vec<ApiKey> {
        self.account.lock().list()
    }

    /// See [`Account::start`].
    pub(crate) fn start(
        &self,
        demo: NewKey,
        fresh: bool,
        new: Vec<NewKey>,
    ) -> Result<(Option<IssuedKey>, Vec<IssuedKey>), KeyError> {
        self.account.lock().start(demo, fresh, new, self.clock.unix_ms())
    }

    pub(crate) fn create_key(&self, new: NewKey) -> Result<IssuedKey, KeyError> {
        self.has_app()?;
        let created = self.account.lock().create(new, self.clock.unix_ms());
        self.changed();
        created
    }

    pub(crate) fn rotate(&self, client_id: &str) -> Result<IssuedKey, KeyError> {
        self.has_app()?;
        let rotated = self.account.lock().rotate(client_id, None, self.clock.unix_ms());
        self.changed();
        rotated
    }

    pub(crate) fn revoke(&self, client_id: &str) -> Result<(), KeyError> {
        self.has_app()?;
        let ends_tokens = self.settings.readings.revoke_ends_tokens;
        self.account.lock().revoke(client_id, ends_tokens, self.clock.unix_ms())?;
        if ends_tokens {
            self.tokens.lock().end_all_of(client_id);
        }
        self.changed();
        Ok(())
    }

    fn has_app(&self) -> Result<(), KeyError> {
        if self.settings.readings.api_keys_app { Ok(()) } else { Err(KeyError::NoApp) }
    }

    /// Advances the clock. `None` means that the offset would be too large.
    pub(crate) fn advance(&self, by: Duration) -> Result<Option<Duration>, StateError> {
        let turned = self.clock.advance_kept(by, |offset| self.state.keep_offset(offset));
        self.changed();
        turned
    }

    /// Adds all of them or, if one is invalid or there is no room, none.
    pub(crate) fn add_faults(&self, faults: Vec<Fault>) -> Result<Vec<u64>, FaultError> {
        let added = self.faults.lock().add(faults);
        self.changed();
        added
    }

    pub(crate) fn faults(&self) -> Vec<QueuedFault> {
        self.faults.lock().list()
    }

    pub(crate) fn clear_faults(&self) {
        let mut queue = self.faults.lock();
        queue.clear();
        self.clearings.send_modify(|count| *count += 1);
        self.changed();
    }

    /// The fault that a request meets; `grant` is what the token endpoint would grant it.
    pub(crate) fn meet(
        &self,
        path: &str,
        (is_head, is_look): (bool, bool),
        grant: Option<&Grant>,
    ) -> Option<Met> {
        let repeats = |grant: &Grant| self.tokens.lock().newest(grant, self.clock.now()).is_some();
        // Subscribed under the lock, so that no clearing is missed.
        let mut queue = self.faults.lock();
        let (id, fault) =
            queue.take(&Approach { path, is_head, is_look, grant, repeats: &repeats })?;
        self.changed();
        Some(Met { id, fault, clearings: self.clearings.subscribe() })
    }

    pub(crate) fn arrive(&self, method: &str, route: &str, user_agent: Option<&str>) -> u64 {
        let unix_ms = self.clock.unix_ms();
        let sequence = self.journal.lock().open(&Arrival { unix_ms, method, route, user_agent });
        self.changed();
        sequence
    }

    pub(crate) fn note_fault(&self, sequence: u64, fault: u64) {
        if let Some(entry) = self.journal.lock().entry(sequence) {
            entry.fault = Some(fault);
        }
        self.changed();
    }

    pub(crate) fn note_body(&self, sequence: u64, body: &[u8], form: Option<String>) {
        let mut journal = self.journal.lock();
        let fingerprint = journal.fingerprint(body);
        if let Some(entry) = journal.entry(sequence) {
            entry.body_fingerprint = fingerprint;
            entry.form = form;
        }
        drop(journal);
        self.changed();
    }

    pub(crate) fn note_answer(&self, sequence: u64, status: Option<u16>, note: Note) {
        if let Some(entry) = self.journal.lock().entry(sequence) {
            entry.status = status;
            entry.client_id = note.client_id;
            entry.scope = note.scope.map(|scope| shortened(&scope));
            entry.outcome = note.outcome;
        }
        self.changed();
    }

    pub(crate) fn journal(&self, pattern: Option<&str>) -> Vec<Entry> {
        self.journal.lock().list(pattern)
    }

    /// The number of the newest entry.
    pub(crate) fn last_entry(&self) -> u64 {
        self.journal.lock().last()
    }

    /// Calls `each` with the entries on a route, or all, after this sequence number, until it returns false.
    pub(crate) fn entries(
        &self,
        pattern: Option<&str>,
        after: u64,
        mut each: impl FnMut(&Entry) -> bool,
    ) {
        let journal = self.journal.lock();
        for entry in journal.after(pattern, after) {
            if !each(entry) {
                return;
            }
        }
    }

    pub(crate) fn newest_entries(&self, most: usize) -> Vec<Entry> {
        self.journal.lock().newest(most)
    }

    pub(crate) fn count(&self, pattern: Option<&str>) -> u64 {
        self.journal.lock().count(pattern)
    }

    pub(crate) fn clear_journal(&self) {
        self.journal.lock().clear();
        self.changed();
    }

    /// The token endpoint's decision on a request, without issuing a token.
    pub(crate) fn decide(&self, request: &TokenRequest<'_>) -> Decision {
        oauth::decide(request, &self.account.lock(), &self.settings.readings)
    }

    /// How long to delay a response, because a client seems to be guessing a secret.
    pub(crate) fn count_guess(&self, decision: &Decision) -> Option<Duration> {
        self.guesses.lock().count(decision)
    }

    /// The form of a token request, with everything blacked out that may be a secret.
    pub(crate) fn shown(&self, request: &TokenRequest<'_>) -> String {
        oauth::shown(request, &self.account.lock())
    }

    /// The token with this text, if it is valid.
    pub(crate) fn find_token(&self, text: &str) -> Option<Minted> {
        self.tokens.lock().find(text, self.clock.now()).cloned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn world() -> World {
        let settings = Settings {
            expires_in: 1200,
            max_keys: 10,
            token_length: 40,
            readings: Readings::default(),
        };
        World::new(settings, State::in_memory(), Kept::nothing())
    }

    /// Whichever write fails: a refused change has not happened, and a reported one has.
    #[test]
    fn a_change_refused_for_a_full_disk_does_not_happen() {
        let mut outcomes = std::collections::BTreeMap::new();
        // One change takes five or six of them.
        for writes in 0..14 {
            for action in ["revoke", "rotate", "mint", "create", "turn", "start"] {
                let done = on_a_disk_with_room_for(writes, action);
                let seen: &mut [u32; 2] = outcomes.entry(action).or_default();
                seen[usize::from(done)] += 1;
            }
        }
        for (action, seen) in outcomes {
            assert!(seen[0] > 0 && seen[1] > 0, "{action}: {seen:?}");
        }
    }

    /// Performs an action on a disk with room for this many writes, and returns whether it succeeded.
    fn on_a_disk_with_room_for(writes: i64, action: &str) -> bool {
        let (state, room) = crate::state::tests::on_disk();
        let readings =
            Readings { revoke_ends_tokens: true, single_token: true, ..Readings::default() };
        let settings = Settings { expires_in: 1200, max_keys: 10, token_length: 40, readings };
        let world = World::new(settings, state, Kept::nothing());
        let key = world.create_key(NewKey::new("n", "a").client_secret("s")).expect("a key");
        let grant = || crate::tokens::Grant {
            client_id: key.client_id.clone(),
            asked: "a".into(),
            scopes: ["a".to_owned()].into(),
        };
        let given = |text: &str| Fault { access_token: Some(text.into()), ..Fault::default() };
        world.mint(grant(), &given("first")).expect("a token");
        room.store(writes, std::sync::atomic::Ordering::SeqCst);
        let done = match action {
            "revoke" => world.revoke(&key.client_id).is_ok(),
            "rotate" => world.rotate(&key.client_id).is_ok(),
            "mint" => world.mint(grant(), &given("second")).is_ok(),
            "create" => world.create_key(NewKey::new("m", "a")).is_ok(),
            "turn" => world.advance(Duration::from_secs(60)).is_ok(),
            _ => world.start(NewKey::new("n", "a"), true, vec![NewKey::new("m", "a")]).is_ok(),
        };
        let keys = world.keys();
        let authentic = world.account.lock().authenticate(&key.client_id, "s").is_some();
        let is = |other: &str| done && action == other;
        assert_eq!(keys[0].is_active(), !is("revoke"));
        assert_eq!(keys[0].rotated.is_some(), is("rotate") || is("start"), "{action}");
        assert_eq!(keys[0].tokens_minted, if is("mint") { 2 } else { 1 });
        assert_eq!(keys.len(), if is("create") || is("start") { 2 } else { 1 });
        assert_eq!(authentic, !(is("revoke") || is("rotate") || is("start")), "{action}");
        assert_eq!(world.find_token("first").is_some(), !(is("revoke") || is("mint")), "{action}");
        assert_eq!(world.find_token("second").is_some(), is("mint"));
        assert_eq!(world.clock.offset(), Duration::from_secs(if is("turn") { 60 } else { 0 }));
        done
    }

    #[test]
    fn a_list_of_faults_is_accepted_as_a_whole_or_not_at_all() {
        let world = world();
        let faults = vec![Fault::status(500), Fault::default()];
        assert!(world.add_faults(faults).is_err());
        assert!(world.faults().is_empty());
    }
}
