//! One test for each statement in the service's documentation, in the order of its sections. Each name is the statement, so
//! that a failure reads as a broken promise.

mod api_keys;
mod calling_and_renewing;
mod errors;
mod obtaining_a_token;
mod why_scoped_tokens;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Answer, FORM, form, get, post, send, token};
use tu_token_emulator::serde_json::{Value, from_str, json};
use tu_token_emulator::{Emulator, Fault, IssuedKey, NewKey, Readings};

const ASSETS: &str = "/api/asset/v2/assets";
const FLEET: &str = "/public/api/aemp/v2/15143/-3/Fleet/1";

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

fn api_keys(emulator: &Emulator, method: &str, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    send(method, &format!("{}/api-keys{path}", emulator.url()), &json, body)
}

fn create(emulator: &Emulator, name: &str, scopes: &str) -> IssuedKey {
    emulator.create_key(NewKey::new(name, scopes)).expect("a key")
}

/// A key's secret with one letter changed.
fn spoilt(key: &IssuedKey) -> IssuedKey {
    IssuedKey { client_secret: format!("{}x", key.client_secret), ..key.clone() }
}

fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.member("error").as_str()), (status, error));
    assert!(!answer.body.contains("access_token"), "{}", answer.body);
}
