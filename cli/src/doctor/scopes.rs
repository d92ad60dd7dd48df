//! Which of the scopes is the one that is refused.
//!
//! A server refuses all for the sake of one (`invalid_scope`), or grants less than was asked for and
//! names what it granted. Of what was not asked, or failed for another reason, nothing is known.

use tu_token::diagnosis::Diagnosis;
use tu_token::{Client, Config, Error, ErrorKind, GetOptions};

use super::network;
use super::report::{Check, State};
use crate::failure::REFUSED;

/// Most scopes that are asked for one by one.
const MOST: usize = 10;

/// What is known of the scopes.
#[derive(Default)]
struct Found<'a> {
    granted: Vec<&'a str>,
    refused: Vec<&'a str>,
    unknown: Vec<&'a str>,
    why: String,
}

/// After the error that refused them.
pub fn refused(config: &Config, diagnosis: &Diagnosis, error: &Error) -> Check {
    let asked = diagnosis.scopes();
    let found = match (error.http_status(), asked.as_slice()) {
        // The answer was a token, and named what it was granted.
        (Some(200), _) => narrowed(config, asked),
        (_, [one]) => {
            let why = format!("the key does not allow {one}");
            Found { refused: vec![one], why, ..Found::default() }
        }
        (_, many) if many.len() > MOST => {
            let why = format!("{} are too many to ask one by one", many.len());
            return Check::skipped("scopes", why);
        }
        _ => one_by_one(config, asked),
    };
    let remedy = match found.refused.as_slice() {
        [] => "compare them with those that the key has in the API Keys application",
        _ => "allow them for the key in the API Keys application, or leave them out of the scope",
    };
    Check::new("scopes", State::Failed(REFUSED), "not_allowed", found.why)
        .remedy(remedy)
        .detail("granted", found.granted)
        .detail("refused", found.refused)
        .detail("unknown", found.unknown)
}

/// The same request again, by a client that takes what there is: its token says what was granted.
fn narrowed<'a>(config: &Config, asked: Vec<&'a str>) -> Found<'a> {
    let mut config = config.clone();
    config.set("allow_narrowed_scope", "true");
    let token = match Client::new(&config).and_then(|client| client.token()) {
        Ok(token) => token,
        Err(error) => {
            let why = "less was granted than asked for; another request, to see what, failed";
            let why = format!("{why}: {}", error.message());
            return Found { unknown: asked, why, ..Found::default() };
        }
    };
    let is_granted = |scope: &&str| token.scope().split(' ').any(|one| one == *scope);
    let (granted, refused): (Vec<&str>, Vec<&str>) = asked.into_iter().partition(is_granted);
    let why = match (refused.as_slice(), granted.as_slice()) {
        ([], _) => "less was granted than asked for, but all of it when asked again".to_owned(),
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
        // After "slow down", no further question.
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
        // An answer need not name its scopes, so this is no proof that they are allowed.
        match (self.granted.as_slice(), self.refused.as_slice()) {
            ([], _) => {}
            (granted, []) => {
                said.push(format!("not refused when asked for alone: {}", granted.join(" ")));
            }
            (granted, _) => said.push(format!("it allows {}", granted.join(" "))),
        }
        if let (false, Some(other)) = (self.unknown.is_empty(), other) {
            said.push(format!("could not be asked ({other}): {}", self.unknown.join(" ")));
        }
        if self.refused.is_empty() {
            said.push("which one is refused cannot be told".to_owned());
        }
        said.join("; ")
    }
}
