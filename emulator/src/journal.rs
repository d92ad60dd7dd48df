//! The journal: which requests came, and what became of them. Never a secret, never a token.
//!
//! An entry is written when a request arrives and completed when it is answered, so a request that is held
//! by a fault counts already.

use ring::hmac;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};

use crate::clock::rfc3339;
use crate::{one_line, route};

/// The oldest entries go when there are more than this.
const MOST: usize = 100_000;
/// Paths that are counted one by one; further ones are counted together, so that no stream of invented
/// paths fills the memory.
const MOST_ROUTES: usize = 1_000;
/// Stands for those further paths; `/` picks it, since it picks all of them.
const OTHER: &str = "/ (other)";
/// What a client can make us keep of a text it sent.
pub(crate) const MOST_TEXT: usize = 256;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// 1, 2, 3 ... in the order of arrival; never used twice.
    pub sequence: u64,
    /// The emulator's time of arrival in RFC 3339.
    pub time: String,
    /// The same in milliseconds since 1970.
    pub unix_ms: u64,
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub route: String,
    /// The client id: of the request at the token endpoint, of the token elsewhere. Only if it belongs to a key: what
    /// else stands in that place may be a secret that took the wrong turn.
    pub client_id: Option<String>,
    /// The scopes that were asked for at the token endpoint, those of the token elsewhere.
    pub scope: Option<String>,
    /// The status of the answer; `None` while there is none, and when there never was one.
    pub status: Option<u16>,
    /// In a word: `token`, an OAuth error, `ok`, `no_token`, `invalid_token`, `insufficient_scope`, `not_found`,
    /// `method_not_allowed`, `doctor` (`tu-token doctor` looks whether the endpoint is there), `not_loopback`,
    /// `body_too_large`, `body_too_slow`, `body_broken`, `bad_request`, `not_kept`, `fault`, `cut`, `reset`, and `unanswered`
    /// before there is an answer.
    pub outcome: &'static str,
    /// The number of the fault that was met.
    pub fault: Option<u64>,
    /// 16 hexadecimal digits, equal for equal bodies: as long as this emulator runs or, with a state file, as long as
    /// that is kept. `None` without a body.
    pub body_fingerprint: Option<String>,
    /// The form of a request at the token endpoint, with everything blacked out that may be a secret.
    pub form: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// What is known of a request when it arrives.
pub(crate) struct Arrival<'a> {
    /// Milliseconds since 1970.
    pub(crate) unix_ms: u64,
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) user_agent: Option<&'a str>,
}

/// All entries there is room for.
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
    counts: HashMap<String, u64>,
    fingerprint_key: hmac::Key,
}

impl Journal {
    /// Equal keys give equal bodies equal fingerprints.
    pub(crate) fn new(fingerprint_key: &[u8]) -> Journal {
        Journal {
            entries: VecDeque::new(),
            last: 0,
            counts: HashMap::new(),
            fingerprint_key: hmac::Key::new(hmac::HMAC_SHA256, fingerprint_key),
        }
    }

    /// Writes down that a request came, and answers with its number.
    pub(crate) fn open(&mut self, arrival: &Arrival<'_>) -> u64 {
        self.last += 1;
        let route = shortened(arrival.route);
        let is_told_apart = self.counts.len() < MOST_ROUTES
            || self.counts.contains_key(&route)
            || route == route::TOKEN_PATH;
        let counted = if is_told_apart { &route } else { OTHER };
        *self.counts.entry(counted.to_owned()).or_default() += 1;
        if self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            sequence: self.last,
            time: rfc3339(arrival.unix_ms),
            unix_ms: arrival.unix_ms,
            method: shortened(arrival.method),
            route,
            client_id: None,
            scope: None,
            status: None,
            outcome: "unanswered",
            fault: None,
            body_fingerprint: None,
            form: None,
            user_agent: arrival.user_agent.map(shortened),
        });
        self.last
    }

    /// The entry with this number, if it is still here.
    pub(crate) fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// A name for a body that does not tell what is in it.
    pub(crate) fn fingerprint(&self, body: &[u8]) -> Option<String> {
        let tag = hmac::sign(&self.fingerprint_key, body);
        let digits = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
        (!body.is_empty()).then(|| digits.collect())
    }

    /// The entries on a route, or all.
    pub(crate) fn list(&self, pattern: Option<&str>) -> Vec<Entry> {
        self.entries.iter().filter(|entry| picks(pattern, &entry.route)).cloned().collect()
    }

    /// The number of the newest entry there ever was.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The entries on a route, or all, that came after the one with this number.
    pub(crate) fn after<'a>(
        &'a self,
        pattern: Option<&'a str>,
        sequence: u64,
    ) -> impl Iterator<Item = &'a Entry> {
        let first = self.entries.front().map_or(0, |entry| entry.sequence);
        let gone = usize::try_from((sequence.saturating_add(1)).saturating_sub(first));
        let from = gone.unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(from..).filter(move |entry| picks(pattern, &entry.route))
    }

    /// The newest entries, newest first.
    pub(crate) fn newest(&self, most: usize) -> Vec<Entry> {
        self.entries.iter().rev().take(most).cloned().collect()
    }

    /// How many requests came on a route, or at all, since the start or the last clearing; also those that the
    /// journal has no room for any more.
    pub(crate) fn count(&self, pattern: Option<&str>) -> u64 {
        let all: u64 = self.counts.values().sum();
        // Of paths that were counted together only the entries tell, which are all there unless too many came.
        let is_whole = self.entries.len() as u64 == all;
        if pattern.is_some() && is_whole && self.counts.contains_key(OTHER) {
            return self.entries.iter().filter(|entry| picks(pattern, &entry.route)).count() as u64;
        }
        self.counts.iter().filter(|(route, _)| picks(pattern, route)).map(|(_, count)| count).sum()
    }

    /// Forgets all entries and counts. Numbers go on.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}

fn picks(pattern: Option<&str>, path: &str) -> bool {
    pattern.is_none_or(|pattern| route::matches(pattern, path))
}

/// What is kept of a client's text: one line, not too long.
pub(crate) fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(MOST_TEXT).map_or(text.len(), |(at, _)| at);
    one_line::shown(&text[..end])
}

/// The words of which at least the beginning is kept, each whole. Those behind them need no look.
pub(crate) fn words_kept(text: &str) -> impl Iterator<Item = &str> {
    let kept = text.char_indices().nth(MOST_TEXT).map_or(text.len(), |(at, _)| at);
    let end = text[kept..].find(' ').map_or(text.len(), |more| kept + more);
    text[..end].split(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(journal: &mut Journal, route: &str) -> u64 {
        let arrival = Arrival { unix_ms: 0, method: "GET", route, user_agent: Some("a\nb") };
        journal.open(&arrival)
    }

    #[test]
    fn entries_are_opened_completed_and_cleared() {
        let mut journal = Journal::new(b"one");
        let first = arrive(&mut journal, "/token/v2");
        let second = arrive(&mut journal, "/api/x");
        journal.entry(second).expect("there").status = Some(200);
        assert_eq!(journal.list(Some("token"))[0].outcome, "unanswered");
        assert_eq!(journal.list(Some("/api"))[0].status, Some(200));
        assert_eq!(journal.list(None)[0].user_agent.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(journal.list(None)[0].time, "1970-01-01T00:00:00.000Z");
        journal.clear();
        assert!(journal.entry(first).is_none() && journal.list(None).is_empty());
        assert_eq!(arrive(&mut journal, "/api/x"), 3);
        assert!(journal.entry(first).is_none() && journal.entry(3).is_some());
    }

    #[test]
    fn the_count_outlives_the_entries() {
        let mut journal = Journal::new(b"one");
        for _ in 0..MOST + 5 {
            arrive(&mut journal, "/token/v2");
        }
        assert_eq!(journal.list(None).len(), MOST);
        assert_eq!(journal.count(Some("token")), 100_005);
        assert!(journal.entry(5).is_none() && journal.entry(6).is_some());
    }

    #[test]
    fn invented_paths_do_not_fill_the_memory() {
        let mut journal = Journal::new(b"one");
        for n in 0..MOST_ROUTES * 3 {
            arrive(&mut journal, &format!("/{n}"));
        }
        assert!(journal.counts.len() <= MOST_ROUTES + 1);
        assert_eq!(journal.count(None), 3_000);
    }

    #[test]
    fn a_path_that_comes_late_is_counted_all_the_same() {
        let mut journal = Journal::new(b"one");
        for n in 0..MOST_ROUTES * 2 {
            arrive(&mut journal, &format!("/api/asset/{n}"));
        }
        arrive(&mut journal, "/token/v2");
        for (pattern, count) in
            [("/", 2_001), ("/api", 2_000), ("/api/asset/1999", 1), ("/public", 0), ("token", 1)]
        {
            assert_eq!(journal.count(Some(pattern)), count, "{pattern}");
        }
        // The first ones go.
        for _ in 0..MOST {
            arrive(&mut journal, "/token/v2");
        }
        assert_eq!(journal.count(Some("token")), MOST as u64 + 1);
        assert_eq!(journal.count(Some("/")), MOST as u64 + 2_001);
    }

    #[test]
    fn fingerprints_tell_bodies_apart_and_depend_on_the_key() {
        let (one, other) = (Journal::new(b"one"), Journal::new(b"other"));
        assert_eq!(one.fingerprint(b"a"), one.fingerprint(b"a"));
        assert_ne!(one.fingerprint(b"a"), one.fingerprint(b"b"));
        assert_ne!(one.fingerprint(b"a"), other.fingerprint(b"a"));
        assert_eq!(one.fingerprint(b"a").map(|text| text.len()), Some(16));
        assert_eq!(one.fingerprint(b""), None);
    }
}
