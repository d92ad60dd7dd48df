//! The journal: the requests and their outcomes. It never contains a secret or a token.
//!
//! An entry is added when a request arrives and completed when it is answered, so a request held by a fault already counts.

use ring::hmac;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};

use crate::clock::rfc3339;
use crate::{one_line, route};

/// Maximum number of entries; beyond it, the oldest are dropped.
const MAX_ENTRIES: usize = 100_000;
/// Maximum number of paths counted separately; further ones are counted together, so that invented paths cannot fill the
/// memory.
const MAX_ROUTES: usize = 1_000;
/// The name under which those further paths are counted; `/` matches it, as it matches all paths.
const OTHER: &str = "/ (other)";
/// Maximum number of characters kept of a text sent by a client.
pub(crate) const MAX_TEXT: usize = 256;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// 1, 2, 3 ... in order of arrival; never reused.
    pub sequence: u64,
    /// The time of arrival by the emulator's clock, in RFC 3339.
    pub time: String,
    /// The same in milliseconds since 1970.
    pub unix_ms: u64,
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub route: String,
    /// The client id in a token request, or that of the token on other routes. Only if it belongs to a key: any other value
    /// may be a misplaced secret.
    pub client_id: Option<String>,
    /// The scopes requested in a token request, or those of the token on other routes.
    pub scope: Option<String>,
    /// The status of the response; `None` before there is one, and if there never was one.
    pub status: Option<u16>,
    /// A keyword: `token`, an OAuth error, `ok`, `no_token`, `invalid_token`, `insufficient_scope`, `not_found`,
    /// `method_not_allowed`, `doctor` (`tu-token doctor` probes the endpoint), `not_loopback`, `body_too_large`,
    /// `body_too_slow`, `body_broken`, `bad_request`, `not_kept`, `fault`, `cut`, `reset`, and `unanswered` before there is
    /// a response.
    pub outcome: &'static str,
    /// The id of the fault that the request met.
    pub fault: Option<u64>,
    /// 16 hexadecimal digits, equal for equal bodies, as long as this emulator runs or, with a state file, as long as that
    /// exists. `None` without a body.
    pub body_fingerprint: Option<String>,
    /// The form of a token request, with everything blacked out that may be a secret.
    pub form: Option<String>,
    /// The client's User-Agent.
    pub user_agent: Option<String>,
}

/// The properties of a request known at its arrival.
pub(crate) struct Arrival<'a> {
    /// Milliseconds since 1970.
    pub(crate) unix_ms: u64,
    pub(crate) method: &'a str,
    pub(crate) route: &'a str,
    pub(crate) user_agent: Option<&'a str>,
}

/// The latest entries, and counts of all requests.
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
    counts: HashMap<String, u64>,
    fingerprint_key: hmac::Key,
}

impl Journal {
    /// With equal keys, equal bodies have equal fingerprints.
    pub(crate) fn new(fingerprint_key: &[u8]) -> Journal {
        Journal {
            entries: VecDeque::new(),
            last: 0,
            counts: HashMap::new(),
            fingerprint_key: hmac::Key::new(hmac::HMAC_SHA256, fingerprint_key),
        }
    }

    /// Adds an entry for a request and returns its sequence number.
    pub(crate) fn open(&mut self, arrival: &Arrival<'_>) -> u64 {
        self.last += 1;
        let route = shortened(arrival.route);
        let is_told_apart = self.counts.len() < MAX_ROUTES
            || self.counts.contains_key(&route)
            || route == route::TOKEN_PATH;
        let counted = if is_told_apart { &route } else { OTHER };
        *self.counts.entry(counted.to_owned()).or_default() += 1;
        if self.entries.len() >= MAX_ENTRIES {
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

    /// The entry with this sequence number, if it is still kept.
    pub(crate) fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// A fingerprint that does not reveal the body.
    pub(crate) fn fingerprint(&self, body: &[u8]) -> Option<String> {
        let tag = hmac::sign(&self.fingerprint_key, body);
        let digits = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
        (!body.is_empty()).then(|| digits.collect())
    }

    /// The entries on a route, or all.
    pub(crate) fn list(&self, pattern: Option<&str>) -> Vec<Entry> {
        self.entries.iter().filter(|entry| picks(pattern, &entry.route)).cloned().collect()
    }

    /// The sequence number of the newest entry ever added.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The entries on a route, or all, after this sequence number.
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

    /// The number of requests on a route, or in total, since the start or the last clearing, including those whose entries
    /// have been dropped.
    pub(crate) fn count(&self, pattern: Option<&str>) -> u64 {
        let all: u64 = self.counts.values().sum();
        // Paths that were counted together can only be told apart by their entries, if none have been dropped.
        let is_whole = self.entries.len() as u64 == all;
        if pattern.is_some() && is_whole && self.counts.contains_key(OTHER) {
            return self.entries.iter().filter(|entry| picks(pattern, &entry.route)).count() as u64;
        }
        self.counts.iter().filter(|(route, _)| picks(pattern, route)).map(|(_, count)| count).sum()
    }

    /// Clears all entries and counts. Sequence numbers continue.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}

fn picks(pattern: Option<&str>, path: &str) -> bool {
    pattern.is_none_or(|pattern| route::matches(pattern, path))
}

/// A client's text as it is kept: one line of limited length.
pub(crate) fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
    one_line::shown(&text[..end])
}

/// The words of which [`shortened`] keeps at least the beginning, each in full.
pub(crate) fn words_kept(text: &str) -> impl Iterator<Item = &str> {
    let kept = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
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
    fn counts_include_dropped_entries() {
        let mut journal = Journal::new(b"one");
        for _ in 0..MAX_ENTRIES + 5 {
            arrive(&mut journal, "/token/v2");
        }
        assert_eq!(journal.list(None).len(), MAX_ENTRIES);
        assert_eq!(journal.count(Some("token")), 100_005);
        assert!(journal.entry(5).is_none() && journal.entry(6).is_some());
    }

    #[test]
    fn invented_paths_do_not_fill_the_memory() {
        let mut journal = Journal::new(b"one");
        for n in 0..MAX_ROUTES * 3 {
            arrive(&mut journal, &format!("/{n}"));
        }
        assert!(journal.counts.len() <= MAX_ROUTES + 1);
        assert_eq!(journal.count(None), 3_000);
    }

    #[test]
    fn a_late_path_is_still_counted() {
        let mut journal = Journal::new(b"one");
        for n in 0..MAX_ROUTES * 2 {
            arrive(&mut journal, &format!("/api/asset/{n}"));
        }
        arrive(&mut journal, "/token/v2");
        for (pattern, count) in
            [("/", 2_001), ("/api", 2_000), ("/api/asset/1999", 1), ("/public", 0), ("token", 1)]
        {
            assert_eq!(journal.count(Some(pattern)), count, "{pattern}");
        }
        // The first ones go.
        for _ in 0..MAX_ENTRIES {
            arrive(&mut journal, "/token/v2");
        }
        assert_eq!(journal.count(Some("token")), MAX_ENTRIES as u64 + 1);
        assert_eq!(journal.count(Some("/")), MAX_ENTRIES as u64 + 2_001);
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
