//! What a server says about an error may hold what it was sent. Before any of it is shown, the
//! secrets are taken out, then what could confuse a terminal or a log, then it is cut.

use super::request::{TokenRequest, basic, form_encoded};
use crate::credentials::Credentials;

/// Most characters that are quoted from a server.
const MOST: usize = 256;
const REMOVED: &str = "[removed]";

/// A server's text, fit to be shown. `tokens`: values in the same answer that must not be.
pub(crate) fn clean(
    text: &str,
    credentials: &Credentials,
    request: &TokenRequest,
    tokens: &[&str],
) -> String {
    let (id, secret) = (credentials.client_id.reveal(), credentials.client_secret.reveal());
    let encoded = form_encoded(secret);
    let with_blanks = encoded.replace('+', "%20");
    let basic = basic(id, secret);
    let raw_basic = zeroize::Zeroizing::new(base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{id}:{secret}").as_bytes(),
    ));
    // The longest first: a secret inside the body must not leave the rest of the body behind.
    let mut hidden: Vec<&str> =
        vec![&request.body, &basic, &raw_basic, &with_blanks, &encoded, secret];
    hidden.extend(tokens.iter().filter(|token| !token.is_empty()));
    hidden.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    let mut shown = text.to_owned();
    for needle in hidden {
        shown = replace_ignoring_case(&shown, needle);
    }
    shown
        .chars()
        .map(|character| if is_odd(character) { ' ' } else { character })
        .take(MOST)
        .collect()
}

/// Control characters, and those that reorder or hide text on a screen.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Percent-encoding may come back in either case, so case is ignored throughout (ASCII only).
fn replace_ignoring_case(text: &str, needle: &str) -> String {
    let (haystack, needle) = (text.to_ascii_lowercase(), needle.to_ascii_lowercase());
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = haystack[from..].find(&needle).filter(|_| !needle.is_empty()) {
        shown.push_str(&text[from..from + found]);
        shown.push_str(REMOVED);
        from += found + needle.len();
    }
    shown.push_str(&text[from..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::Options;
    use crate::scope::ScopeSet;

    fn cleaned(text: &str) -> String {
        let credentials = Credentials::new("id", "s/e c+ret");
        let request =
            TokenRequest::new(&Options::default(), &credentials, &ScopeSet::parse("a").unwrap());
        clean(text, &credentials, &request, &["eyJtoken"])
    }

    #[test]
    fn a_secret_is_removed_in_every_spelling() {
        for spelling in [
            "s/e c+ret",
            "s%2Fe+c%2Bret",
            "s%2fe+c%2bret",
            "s%2Fe%20c%2Bret",
            "aWQ6cyUyRmUrYyUyQnJldA==",
            "aWQ6cy9lIGMrcmV0",
            "eyJtoken",
        ] {
            let shown = cleaned(&format!("bad: <{spelling}>!"));
            assert_eq!(shown, "bad: <[removed]>!", "{spelling}");
        }
    }

    #[test]
    fn the_request_body_is_removed_whole() {
        let body = "grant_type=client_credentials&client_id=id&client_secret=s%2Fe+c%2Bret&scope=a";
        assert_eq!(cleaned(&format!("you sent {body}.")), "you sent [removed].");
    }

    #[test]
    fn control_characters_become_blanks_and_the_rest_is_cut() {
        assert_eq!(cleaned("a\r\n\u{1b}[31mb\u{202e}c"), "a   [31mb c");
        assert_eq!(cleaned(&"\u{e9}".repeat(1000)).chars().count(), 256);
    }

    #[test]
    fn cutting_comes_after_removing() {
        let text = format!("{}s/e c+ret", "x".repeat(250));
        assert!(!cleaned(&text).contains("s/e"));
    }
}
