//! Finds out which of the requested scopes is refused.
//!
//! A server refuses the whole request because of one scope (`invalid_scope`), or grants less than
//! requested and names what it granted. A scope that was not tried, or failed for another reason, is
//! unknown.

use tu_token::diagnosis::Diagnosis;
use tu_token::{Client, Config, Error, ErrorKind, GetOptions};

use super::network;
use super::report::{Check, State};
use crate::failure::REFUSED;

/// Maximum number of scopes to request one by one.
const MAX_SCOPES: usize = 10;

/// What is known of the scopes.
#[derive(Default)]
struct Found<'a> {
    granted: Vec<&'a str>,
    refused: Vec<&'a str>,
    unknown: Vec<&'a str>,
    why: String,
}

/// The check after a request was refused with this error.
pub fn refused(config: &Config, diagnosis: &Diagnosis, error: &Error) -> Check {
    let asked = diagnosis.scopes();
    let found = match (error.http_status(), asked.as_slice()) {
        // The response contained a token and named the granted scopes.
        (Some(200), _) => narrowed(config, asked),
        (_, [one]) => {
            let why = format!("the key does not allow {one}");
            Found { refused: vec![one], why, ..Found::default() }
        }
        (_, many) if many.len() > MAX_SCOPES => {
            let why = format!("{} scopes are too many to request one by one", many.len());
            return Check::skipped("scopes", why);
        }
        _ => one_by_one(config, asked),
    };
    let remedy = match found.refused.as_slice() {
        [] => "compare them with the key's scopes in the API Keys application",
        _ => "allow them for the key in the API Keys application, or remove them from the scope",
    };
    Check::new("scopes", State::Failed(REFUSED), "not_allowed", found.why)
        .remedy(remedy)
        .detail("granted", found.granted)
        .detail("refused", found.refused)
        .detail("unknown", found.unknown)
}

/// Repeats the request with a client that accepts fewer scopes: its token says what was granted.
fn narrowed<'a>(config: &Config, asked: Vec<&'a str>) -> Found<'a> {
    let mut config = config.clone();
    config.set("allow_narrowed_scope", "true");
    let token = match Client::new(&config).and_then(|client| client.token()) {
        Ok(token) => token,
        Err(error) => {
            let why = "less was granted than requested; a second request, to find out what, failed";
            let why = format!("{why}: {}", error.message());
            return Found { unknown: asked, why, ..Found::default() };
        }
    };
    let is_granted = |scope: &&str| token.scope().split(' ').any(|one| one == *scope);
    let (granted, refused): (Vec<&str>, Vec<&str>) = asked.into_iter().partition(is_granted);
    let why = match (refused.as_slice(), granted.as_slice()) {
        ([], _) => "less was granted than requested, but all of it on a second request".to_owned(),
        (_, []) => format!("not granted: {}", refused.join(" ")),
        _ => format!("not granted: {}; granted: {}", refused.join(" "), granted.join(" ")),
    };
    Found { granted, refused, why, ..Found::default() }
}

fn one_by_one<'a>(config: &Config, asked: Vec<&'a str>) -> Found<'a> {
    let mut found = Found::default();
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(error) => {
            return Found { unknown: asked, why: error.message().to_owned(), ..found };
        }
    };
    let mut other = None;
    for scope in asked {
        let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
        // Once rate limited, stop asking.
        let is_limited = other == Some("rate_limited");
        match (!is_limited).then(|| client.get(&options)) {
            Some(Ok(_)) => found.granted.push(scope),
            Some(Err(error)) if error.kind() == ErrorKind::InvalidScope => {
                found.refused.push(scope);
            }
            Some(Err(error)) => {
                other = Some(network::code(&error));
                found.unknown.push(scope);
            }
            None => found.unknown.push(scope),
        }
    }
    found.why = found.one_by_one(other);
    found
}

impl Found<'_> {
    fn one_by_one(&self, other: Option<&str>) -> String {
        let mut said = Vec::new();
        if !self.refused.is_empty() {
            said.push(format!("the key does not allow {}", self.refused.join(" ")));
        }
        // A response need not name its scopes, so this does not prove that they are allowed.
        match (self.granted.as_slice(), self.refused.as_slice()) {
            ([], _) => {}
            (granted, []) => {
                said.push(format!("not refused when requested alone: {}", granted.join(" ")));
            }
            (granted, _) => said.push(format!("it allows {}", granted.join(" "))),
        }
        if let (false, Some(other)) = (self.unknown.is_empty(), other) {
            said.push(format!("could not be tested ({other}): {}", self.unknown.join(" ")));
        }
        if self.refused.is_empty() {
            said.push("which one is refused cannot be determined".to_owned());
        }
        said.join("; ")
    }
}
