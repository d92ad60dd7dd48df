//! Everything the emulator knows while it runs, and what can be done to it.
//!
//! The routes and the Rust API both come here, so that a fault switched on by `curl` and one switched on by a test
//! are the same thing. Each lock is held for moments, never two at once, never across a wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::account::{Account, IssuedKey, KeyError, NewKey};
use crate::clock::Clock;
use crate::faults::queue::{Queue, QueuedFault};
use crate::faults::{Fault, FaultError, Narrow};
use crate::journal::{Arrival, Entry, Journal};
use crate::oauth::{self, Decision, Readings, TokenRequest};
use crate::reply::{Members, Note};
use crate::tokens::{Grant, Minted, Tokens};

/// What was set when the emulator was started.
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
    /// Counts how often the faults were cleared: requests that a fault holds wait for it to change.
    clearings: watch::Sender<u64>,
}

/// A fault that a request has met.
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
    pub(crate) fn new(settings: Settings) -> World {
        World {
            clock: Clock::new(),
            account: Mutex::new(Account::new(settings.max_keys, settings.readings.rotate_overlap)),
            tokens: Mutex::new(Tokens::new(settings.token_length)),
            faults: Mutex::new(Queue::default()),
            journal: Mutex::new(Journal::new()),
            clearings: watch::Sender::new(0),
            settings,
        }
    }

    pub(crate) fn create_key(&self, new: NewKey) -> Result<IssuedKey, KeyError> {
        locked(&self.account).create(new)
    }

    pub(crate) fn rotate(&self, client_id: &str) -> Result<IssuedKey, KeyError> {
        locked(&self.account).rotate(client_id)
    }

    pub(crate) fn revoke(&self, client_id: &str) -> Result<(), KeyError> {
        locked(&self.account).revoke(client_id)?;
        if self.settings.readings.revoke_ends_tokens {
            locked(&self.tokens).end_all_of(client_id);
        }
        Ok(())
    }

    /// All of them or, when one makes no sense, none.
    pub(crate) fn add_faults(&self, faults: Vec<Fault>) -> Result<Vec<u64>, FaultError> {
        for fault in &faults {
            fault.check()?;
        }
        let mut queue = locked(&self.faults);
        faults.into_iter().map(|fault| queue.push(fault)).collect()
    }

    pub(crate) fn faults(&self) -> Vec<QueuedFault> {
        locked(&self.faults).list()
    }

    pub(crate) fn clear_faults(&self) {
        let mut queue = locked(&self.faults);
        queue.clear();
        self.clearings.send_modify(|count| *count += 1);
    }

    /// The fault that a request on this path meets.
    pub(crate) fn meet(&self, path: &str) -> Option<Met> {
        // Subscribed under the lock, so that no clearing is missed.
        let mut queue = locked(&self.faults);
        let (id, fault) = queue.take(path)?;
        Some(Met { id, fault, clearings: self.clearings.subscribe() })
    }

    pub(crate) fn arrive(&self, method: &str, route: &str, user_agent: Option<&str>) -> u64 {
        let time = self.clock.wall();
        locked(&self.journal).open(&Arrival { time, method, route, user_agent })
    }

    pub(crate) fn note_fault(&self, sequence: u64, fault: u64) {
        if let Some(entry) = locked(&self.journal).entry(sequence) {
            entry.fault = Some(fault);
        }
    }

    pub(crate) fn note_body(&self, sequence: u64, body: &[u8]) {
        let mut journal = locked(&self.journal);
        let fingerprint = journal.fingerprint(body);
        if let Some(entry) = journal.entry(sequence) {
            entry.body_fingerprint = fingerprint;
        }
    }

    pub(crate) fn note_answer(&self, sequence: u64, status: Option<u16>, note: Note) {
        if let Some(entry) = locked(&self.journal).entry(sequence) {
            entry.status = status;
            entry.client_id = note.client_id;
            entry.scope = note.scope;
            entry.outcome = note.outcome;
        }
    }

    pub(crate) fn journal(&self, pattern: Option<&str>) -> Vec<Entry> {
        locked(&self.journal).list(pattern)
    }

    pub(crate) fn count(&self, pattern: Option<&str>) -> u64 {
        locked(&self.journal).count(pattern)
    }

    pub(crate) fn clear_journal(&self) {
        locked(&self.journal).clear();
    }

    /// What the token endpoint says to a request, still without a token.
    pub(crate) fn decide(&self, request: &TokenRequest<'_>) -> Decision {
        oauth::decide(request, &locked(&self.account), &self.settings.readings)
    }

    /// Whose token this is, if it is good.
    pub(crate) fn find_token(&self, text: &str) -> Option<Minted> {
        locked(&self.tokens).find(text, self.clock.now()).cloned()
    }

    /// Mints a token for a grant, and answers with the members of the success body in the documented order, changed as
    /// the fault wants it.
    pub(crate) fn mint(&self, mut grant: Grant, fault: &Fault) -> Members {
        narrow(&mut grant, fault.narrow.as_ref());
        let now = self.clock.now();
        let mut tokens = locked(&self.tokens);
        let again = fault.same_token.then(|| tokens.newest(&grant, now)).flatten();
        let (text, seconds) = match again {
            Some((text, left)) => (text, left.as_secs()),
            None => {
                let text = fault
                    .access_token
                    .as_ref()
                    .and_then(Value::as_str)
                    .map_or_else(|| tokens.text(), str::to_owned);
                let seconds = fault
                    .expires_in
                    .as_ref()
                    .and_then(Value::as_u64)
                    .unwrap_or(self.settings.expires_in);
                let expires = now.saturating_add(Duration::from_secs(seconds));
                if self.settings.readings.single_token {
                    tokens.end_all_of(&grant.client_id);
                }
                let minted = Minted { client_id: grant.client_id, scopes: grant.scopes, expires };
                tokens.keep(&text, minted, now);
                (text, seconds)
            }
        };
        success(&text, seconds, &grant.asked, fault)
    }
}

/// The members in the order of the service's documentation.
fn success(token: &str, seconds: u64, scope: &str, fault: &Fault) -> Members {
    let or = |given: &Option<Value>, usual: Value| given.clone().unwrap_or(usual);
    let usual = [
        ("token_type", or(&fault.token_type, json!("Bearer"))),
        ("expires_in", or(&fault.expires_in, json!(seconds))),
        ("access_token", or(&fault.access_token, json!(token))),
        ("scope", or(&fault.scope, json!(scope))),
    ];
    let mut members: Vec<(String, Value)> =
        usual.map(|(name, value)| (name.to_owned(), value)).into();
    members.retain(|(name, _)| !fault.omit.contains(name));
    members.extend(fault.extra.clone());
    Members(members)
}

fn narrow(grant: &mut Grant, narrow: Option<&Narrow>) {
    let words: Vec<&str> = grant.asked.split(' ').filter(|word| !word.is_empty()).collect();
    let kept: Vec<&str> = match narrow {
        None => return,
        Some(Narrow::Last) => words[..words.len().saturating_sub(1)].to_vec(),
        Some(Narrow::To(list)) => {
            words.into_iter().filter(|word| list.iter().any(|kept| kept == word)).collect()
        }
    };
    grant.scopes = kept.iter().map(|word| (*word).to_owned()).collect();
    grant.asked = kept.join(" ");
}

/// A panic elsewhere leaves nothing half done here: every change is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn world() -> World {
        World::new(Settings {
            expires_in: 1200,
            max_keys: 10,
            token_length: 40,
            readings: Readings::default(),
        })
    }

    fn grant(asked: &str) -> Grant {
        let scopes: BTreeSet<String> = asked.split(' ').map(str::to_owned).collect();
        Grant { client_id: "id".into(), asked: asked.into(), scopes }
    }

    fn text(members: &Members) -> String {
        serde_json::to_string(members).expect("JSON")
    }

    fn token(members: &Members) -> String {
        let found = members.0.iter().find(|(name, _)| name == "access_token").expect("a token");
        found.1.as_str().expect("text").to_owned()
    }

    #[test]
    fn members_come_in_the_documented_order() {
        let members = world().mint(grant("b a"), &Fault::default());
        let expected = format!(
            r#"{{"token_type":"Bearer","expires_in":1200,"access_token":"{}","scope":"b a"}}"#,
            token(&members)
        );
        assert_eq!(text(&members), expected);
    }

    #[test]
    fn faults_bend_the_members() {
        let cases = [
            (
                r#"{"expires_in":null,"access_token":"t"}"#,
                r#"{"token_type":"Bearer","expires_in":null,"access_token":"t","scope":"b a"}"#,
            ),
            (
                r#"{"expires_in":"5","access_token":1,"token_type":"DPoP"}"#,
                r#"{"token_type":"DPoP","expires_in":"5","access_token":1,"scope":"b a"}"#,
            ),
            (
                r#"{"omit":["expires_in","scope"],"access_token":"t"}"#,
                r#"{"token_type":"Bearer","access_token":"t"}"#,
            ),
            (
                r#"{"narrow":true,"access_token":"t","omit":["expires_in"]}"#,
                r#"{"token_type":"Bearer","access_token":"t","scope":"b"}"#,
            ),
            (
                r#"{"narrow":["a","x"],"access_token":"t","omit":["expires_in"]}"#,
                r#"{"token_type":"Bearer","access_token":"t","scope":"a"}"#,
            ),
            (
                r#"{"scope":["a"],"access_token":"t","extra":{"refresh_token":"r"}}"#,
                r#"{"token_type":"Bearer","expires_in":1200,"access_token":"t","scope":["a"],"refresh_token":"r"}"#,
            ),
        ];
        for (fault, answer) in cases {
            let fault: Fault = serde_json::from_str(fault).expect(fault);
            assert_eq!(text(&world().mint(grant("b a"), &fault)), answer);
        }
    }

    #[test]
    fn a_given_lifetime_holds_and_a_narrow_token_is_narrow() {
        let world = world();
        let fault: Fault =
            serde_json::from_str(r#"{"expires_in":3,"narrow":["a"]}"#).expect("a fault");
        let minted = token(&world.mint(grant("b a"), &fault));
        let found = world.find_token(&minted).expect("good");
        assert_eq!(found.scopes, BTreeSet::from(["a".to_owned()]));
        world.clock.advance(Duration::from_secs(3)).expect("turned");
        assert_eq!(world.find_token(&minted), None);
        let endless: Fault =
            serde_json::from_str(r#"{"expires_in":18446744073709551615}"#).expect("a fault");
        let minted = token(&world.mint(grant("a"), &endless));
        assert!(world.find_token(&minted).is_some());
    }

    #[test]
    fn the_same_token_comes_again_with_what_is_left() {
        let world = world();
        let again = Fault { same_token: true, ..Fault::default() };
        let first = token(&world.mint(grant("a"), &again));
        world.clock.advance(Duration::from_secs(200)).expect("turned");
        let answer = text(&world.mint(grant("a"), &again));
        assert!(answer.contains(&first) && answer.contains("\"expires_in\":999,"), "{answer}");
        world.clock.advance(Duration::from_secs(1000)).expect("turned");
        assert_ne!(token(&world.mint(grant("a"), &again)), first);
    }

    #[test]
    fn a_list_of_faults_is_taken_whole_or_not_at_all() {
        let world = world();
        let faults = vec![Fault::status(500), Fault::default()];
        assert!(world.add_faults(faults).is_err());
        assert!(world.faults().is_empty());
    }
}
