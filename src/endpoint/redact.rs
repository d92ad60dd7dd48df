//! What a server says about an error may hold what it was sent. Before any of it is shown, the
//! secrets are taken out, then what could confuse a terminal or a log, then it is cut.

use super::request::{TokenRequest, basic, form_encoded};
use crate::credentials::Credentials;

/// Most characters that are quoted from a server.
const MOST: usize = 256;
const REMOVED: &str = "[removed]";
/// So much of the start of a secret is a secret too.
const LEAST_PREFIX: usize = 8;

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
    let mut hidden: Vec<&str> =
        vec![&request.body, &basic, &raw_basic, &with_blanks, &encoded, secret];
    hidden.extend(tokens.iter().filter(|token| !token.is_empty()));
    let shown = replace(text, &hidden, usize::MAX);
    // What was quoted may have been cut: then the start of a secret is left, or of the form.
    let shown = remove_field(&shown);
    let shown =
        replace(&shown, &[&basic, &raw_basic, &with_blanks, &encoded, secret], LEAST_PREFIX);
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

/// Replaces whatever agrees with the start of a needle for at least `least` bytes, or with all of
/// it; the longest agreement wins. Percent-encoding may come back in either case, so case is
/// ignored throughout (ASCII only).
fn replace(text: &str, needles: &[&str], least: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let agreement = |needle: &&str| {
            let common = common_start(rest, needle);
            (common >= least.min(needle.len())).then_some(common)
        };
        match needles.iter().filter_map(agreement).max().filter(|common| *common > 0) {
            Some(common) => {
                shown.push_str(REMOVED);
                rest = &rest[common..];
            }
            None => {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    shown
}

/// How many bytes two texts have in common at their start, at a border between characters.
fn common_start(text: &str, needle: &str) -> usize {
    let pairs = text.char_indices().zip(needle.chars());
    pairs
        .take_while(|((_, one), other)| one.eq_ignore_ascii_case(other))
        .last()
        .map_or(0, |((at, last), _)| at + last.len_utf8())
}

/// Removes the value of a `client_secret` field, up to the next field, a blank or the end.
fn remove_field(text: &str) -> String {
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
    fn a_secret_that_was_cut_off_is_removed_as_well() {
        let credentials = Credentials::new("id", "quite-a-long/secret");
        let scope = ScopeSet::parse("a").unwrap();
        let request = TokenRequest::new(&Options::default(), &credentials, &scope);
        let clean = |text: &str| clean(text, &credentials, &request, &[]);
        assert_eq!(
            clean("grant_type=x&client_secret=quite-a"),
            "grant_type=x&client_secret=[removed]"
        );
        assert_eq!(clean("client_secret=oth&scope=a"), "client_secret=[removed]&scope=a");
        assert_eq!(clean("not quite-a-long%2fse"), "not [removed]");
        assert_eq!(clean("not quite-a-long/sec"), "not [removed]");
        assert_eq!(clean("the grant_type is quite wrong"), "the grant_type is quite wrong");
    }

    #[test]
    fn cutting_comes_after_removing() {
        let text = format!("{}s/e c+ret", "x".repeat(250));
        assert!(!cleaned(&text).contains("s/e"));
    }
}
