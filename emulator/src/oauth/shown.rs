//! The form of a token request for the journal, with everything blacked out that may be a secret.
//!
//! A client that mixes up its parameters may send the secret in a harmless place. So values are shown only if they are
//! recognised: an id must belong to a key, a grant type must be a known one, and scopes must look like scopes.

use hyper::header::AUTHORIZATION;

use super::{Readings, TokenRequest, credentials};
use crate::account::Account;
use crate::form;
use crate::journal::{MAX_TEXT, shortened, words_kept};

/// Replaces anything that is not shown.
const BLACK: &str = "\u{2588}\u{2588}\u{2588}\u{2588}";
const NAMES: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];
const GRANT_TYPES: [&str; 4] =
    ["client_credentials", "refresh_token", "password", "authorization_code"];

/// Decoded names and values in order.
pub(crate) fn shown(request: &TokenRequest<'_>, account: &Account) -> String {
    let header = match request.headers.contains_key(AUTHORIZATION) {
        true => format!("Authorization: {BLACK} "),
        false => String::new(),
    };
    let pairs = form::parse(request.body).unwrap_or_default();
    if pairs.is_empty() && !request.body.is_empty() {
        return header + BLACK;
    }
    let value =
        |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|pair| pair.1.clone());
    let in_body = (value("client_id"), value("client_secret"));
    let credentials = credentials::read(request.headers, in_body, &Readings::default());
    let secret =
        credentials.ok().and_then(Result::ok).map_or_else(String::new, |given| given.secret);
    let mut shown = header;
    for (at, (name, value)) in pairs.iter().enumerate() {
        if shown.chars().count() > MAX_TEXT {
            break;
        }
        if at > 0 {
            shown.push('&');
        }
        let dark = !secret.is_empty() && value.contains(&secret);
        shown.push_str(&pair(name, if dark { BLACK } else { value }, account));
    }
    shortened(&shown)
}

fn pair(name: &str, value: &str, account: &Account) -> String {
    if !NAMES.contains(&name) {
        return if value.is_empty() { BLACK.to_owned() } else { format!("{BLACK}={BLACK}") };
    }
    let harmless = match name {
        _ if value.is_empty() => true,
        "grant_type" => GRANT_TYPES.contains(&value),
        "client_id" => account.knows(value),
        "scope" => {
            words_kept(value).all(|word| looks_like_scope(word) && !account.knows_secret(word))
        }
        _ => false,
    };
    format!("{name}={}", if harmless { value } else { BLACK })
}

/// Words separated by dots or hyphens. Useful secrets are longer or have other characters.
fn looks_like_scope(word: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    word.split(['.', '-']).all(|part| part.len() <= 24 && part.chars().all(plain))
}
