//! A server's text may echo what it was sent. All such texts pass through here before they are
//! shown: known spellings of secrets are removed, then characters that could confuse a terminal or
//! a log, then the text is truncated; and if a piece of a secret can still be read in it, in any
//! encoding, none of it is shown.

use zeroize::Zeroizing;

use super::pieces::Pieces;
use super::request::{TokenRequest, basic, form_encoded};
use crate::config::parse::is_odd;
use crate::credentials::Credentials;

/// Replaces a text that may contain a secret.
pub(crate) const NOT_SHOWN: &str = "the server's text is not shown: it may hold a secret";
/// Replaces a secret that was removed.
pub(crate) const REMOVED: &str = "[removed]";
/// Maximum number of characters quoted from a server.
const MOST: usize = 256;
/// How much of a text is searched to fill them: removals make room.
const MOST_READ: usize = 1024;
/// Shorter parameter values hide nothing, and occur everywhere.
const LEAST_PARAMETER: usize = 4;
/// Form fields that are not secret.
const PUBLIC_FIELDS: [&str; 3] = ["grant_type", "client_id", "scope"];

/// What must not be shown of a server's texts.
pub(crate) struct Hidden {
    /// Removed where they occur literally.
    spellings: Vec<Zeroizing<String>>,
    pieces: Pieces,
}

impl Hidden {
    /// What the server was sent, and `token`, which it returned in the same response (may be
    /// empty).
    pub(crate) fn new(credentials: &Credentials, request: &TokenRequest, token: &str) -> Self {
        let (id, secret) = (credentials.client_id.reveal(), credentials.client_secret.reveal());
        let parameters: Vec<Zeroizing<String>> = form_urlencoded::parse(request.body.as_bytes())
            .filter(|(name, value)| {
                !PUBLIC_FIELDS.contains(&&**name) && value.len() >= LEAST_PARAMETER
            })
            .map(|(_, value)| Zeroizing::new(value.into_owned()))
            .collect();
        let mut secrets: Vec<&str> = parameters.iter().map(|value| value.as_str()).collect();
        secrets.push(secret);
        let encoded: Vec<_> = secrets.iter().flat_map(|text| form_encodings(text)).collect();
        let in_base64: Vec<&str> =
            secrets.iter().copied().chain(encoded.iter().map(|text| text.as_str())).collect();
        let mut spellings = vec![request.body.clone(), basic(id, secret), raw_basic(id, secret)];
        spellings.extend(in_base64.iter().map(|text| Zeroizing::new((*text).to_owned())));
        let all: Vec<&str> = secrets.iter().copied().chain([token]).collect();
        let pieces = Pieces::of(&all, &in_base64);
        spellings.push(Zeroizing::new(token.to_owned()));
        spellings.retain(|text| !text.is_empty());
        Self { spellings, pieces }
    }

    /// A token alone, for a server that was sent nothing else.
    pub(crate) fn token(token: &str) -> Self {
        Self { spellings: Vec::new(), pieces: Pieces::of(&[token], &[]) }
    }

    /// A server's text, safe to show. `None`: it may contain a secret ([`NOT_SHOWN`]).
    pub(crate) fn clean(&self, text: &str) -> Option<String> {
        let start: String = text.chars().take(MOST_READ).collect();
        let shown: String = without_field(&without(&start, &self.spellings))
            .chars()
            .map(|character| if is_odd(character) { ' ' } else { character })
            .take(MOST)
            .collect();
        self.may_show(&shown).then_some(shown)
    }

    /// Whether neither a secret nor a piece of one can be read in a text.
    pub(crate) fn may_show(&self, text: &str) -> bool {
        !self.pieces.may_be_in(text.as_bytes())
    }
}

fn form_encodings(text: &str) -> [Zeroizing<String>; 3] {
    let encoded = form_encoded(text);
    let with_blanks = Zeroizing::new(encoded.replace('+', "%20"));
    // RFC 3986 leaves `~` unencoded and encodes `*`.
    let by_rfc_3986 = Zeroizing::new(with_blanks.replace("%7E", "~").replace('*', "%2A"));
    [encoded, with_blanks, by_rfc_3986]
}

/// The pair without form-encoding, as some clients send it and some servers expect it.
fn raw_basic(id: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    Zeroizing::new(base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        pair.as_bytes(),
    ))
}

/// Removes every spelling, the longest at each position. Percent-encoding may come back in either
/// case, so ASCII case is ignored.
fn without(text: &str, spellings: &[Zeroizing<String>]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let begins = |spelling: &&Zeroizing<String>| {
            let start = rest.as_bytes().get(..spelling.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(spelling.as_bytes()))
        };
        let longest = spellings.iter().filter(begins).map(|spelling| spelling.len()).max();
        let length = match longest {
            Some(length) => {
                shown.push_str(REMOVED);
                length
            }
            None => {
                shown.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shown
}

/// Removes the value of a `client_secret` field, up to the next field, whitespace or the end.
fn without_field(text: &str) -> String {
    const FIELD: &str = "client_secret=";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(FIELD) {
        let value_at = at + FIELD.len();
        shown.push_str(&rest[..value_at]);
        shown.push_str(REMOVED);
        let ends = |c: char| c == '&' || c == '"' || c.is_whitespace();
        rest = rest[value_at..].find(ends).map_or("", |end| &rest[value_at + end..]);
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;

#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod chains;

#[cfg(test)]
#[path = "redact_properties.rs"]
mod properties;
