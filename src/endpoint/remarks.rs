//! Finds what looks wrong in an id, a secret and a scope: copy-and-paste mistakes, described
//! without showing any of the text. Nothing is rejected for it; after a refusal it is the first
//! thing to check.
//!
//! One pass over the characters, then bytes: `str` patterns would take five times the code.

use crate::config::parse;

/// A shorter text may be valid base64 by chance.
const LEAST: usize = 16;

/// Parts of the names of settings, letters only, in lower case.
const SETTINGS: &str = "authorization client export password secret token trackunit";
/// The same for placeholders: whole words, and parts.
const PLACEHOLDERS: &str = "clientid clientsecret none null secret undefined";
const PARTS: &str = "changeme placeholder redacted replaceme your";

/// Kinds of characters.
const BLANK: u8 = 1;
const OTHER_BLANK: u8 = 2;
const UNSEEN: u8 = 4;
const QUOTE: u8 = 8;
const TYPOGRAPHIC: u8 = 16;
const FOREIGN: u8 = 32;

/// What a text looks like, one bit each.
const REMARKS: [&str; 10] = [
    "has a blank of another kind, such as a no-break space",
    "has an invisible character",
    "has a typographic quote",
    "has a character that is not ASCII",
    "looks like a placeholder",
    "looks percent-encoded",
    "looks like a whole line of settings, name and all",
    "has an escape of HTML or of a string in it",
    "looks like base64 of a text",
    "looks like a path or a URL",
];
/// Those reported for a client id, and for a scope: either may be a URL, or contain a colon.
const OF_ID: u32 = 0b01_1111_1111;
const OF_SCOPE: u32 = 0b00_0011_1111;

/// What looks wrong, separated by semicolons; empty: nothing does.
pub(crate) fn of(client_id: &str, client_secret: &str, scope: &str) -> String {
    let mut remarks = Remarks(String::new());
    if client_id == client_secret {
        remarks.add("the client id and the secret are the same", "", "");
    } else if begins(client_secret.as_bytes(), client_id.as_bytes())
        && client_secret.as_bytes()[client_id.len()] == b':'
    {
        remarks.add("the secret begins with the client id and a colon", "", "");
    }
    remarks.text("the secret ", client_secret, u32::MAX);
    remarks.text("the client id ", client_id, OF_ID);
    remarks.scope(scope);
    remarks.0
}

struct Remarks(String);

impl Remarks {
    fn add(&mut self, what: &str, remark: &str, more: &str) {
        for part in [if self.0.is_empty() { "" } else { "; " }, what, remark, more] {
            self.0.push_str(part);
        }
    }

    fn text(&mut self, what: &str, text: &str, told: u32) {
        if let Err(problem) = parse::credential(text) {
            self.add(what, &problem, "");
        }
        let seen = Seen::of(text);
        self.edges(what, seen.outer, BLANK | OTHER_BLANK, " a blank");
        self.edges(what, seen.inner, QUOTE | TYPOGRAPHIC, " a quote");
        let found = seen.looks(text.as_bytes()) & told;
        for (bit, remark) in REMARKS.iter().enumerate() {
            if found >> bit & 1 != 0 {
                self.add(what, remark, "");
            }
        }
    }

    /// `ends`: the kinds of the first and of the last character.
    fn edges(&mut self, what: &str, ends: [u8; 2], kinds: u8, it: &str) {
        let how = match (ends[0] & kinds != 0, ends[1] & kinds != 0) {
            (true, true) => "begins and ends with",
            (true, false) => "begins with",
            (false, true) => "ends with",
            (false, false) => return,
        };
        self.add(what, how, it);
    }

    fn scope(&mut self, scope: &str) {
        let divider = |sign| match sign {
            b',' => Some("a comma"),
            b';' => Some("a semicolon"),
            b'+' => Some("a plus sign"),
            b'|' => Some("a bar"),
            b'&' => Some("an ampersand"),
            b'=' => Some("an equals sign"),
            _ => None,
        };
        if let Some(divider) = scope.bytes().find_map(divider) {
            self.add("the scope has ", divider, ": scopes are separated by blanks");
        }
        if !scope.is_empty() {
            self.text("the scope ", scope, OF_SCOPE);
        }
    }
}

/// The kind of a character; 0 for plain ones.
fn kind(c: char) -> u8 {
    match c {
        '\t'..='\r' | ' ' => BLANK,
        '"' | '\'' | '`' => QUOTE,
        '\0'..='\u{7f}' => 0,
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => OTHER_BLANK,
        '\u{ab}' | '\u{b4}' | '\u{bb}' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' => {
            TYPOGRAPHIC
        }
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}' => UNSEEN,
        _ => FOREIGN,
    }
}

/// A text's characters, from one pass.
#[derive(Default)]
struct Seen {
    kinds: u8,
    /// The kinds of the first and last character, and of those that are neither blank nor
    /// invisible.
    outer: [u8; 2],
    inner: [u8; 2],
    /// The range of the text without surrounding blanks, invisible characters and quotes.
    start: usize,
    end: usize,
    letters: usize,
    /// It consists of one repeated character.
    is_one: bool,
}

impl Seen {
    fn of(text: &str) -> Self {
        let mut seen = Self { is_one: true, ..Self::default() };
        let (mut first, mut has_inner) = (None, false);
        for (at, c) in text.char_indices() {
            let kind = kind(c);
            seen.kinds |= kind;
            seen.letters += usize::from(c.is_ascii_alphanumeric());
            if first.is_none() {
                seen.outer[0] = kind;
            }
            seen.outer[1] = kind;
            seen.is_one &= *first.get_or_insert(c) == c;
            if kind & (BLANK | OTHER_BLANK | UNSEEN) == 0 {
                if !has_inner {
                    seen.inner[0] = kind;
                }
                seen.inner[1] = kind;
                has_inner = true;
                if kind & (QUOTE | TYPOGRAPHIC) == 0 {
                    seen.start = if seen.end == 0 { at } else { seen.start };
                    seen.end = at + c.len_utf8();
                }
            }
        }
        seen
    }

    /// Which of [`REMARKS`] apply.
    fn looks(&self, text: &[u8]) -> u32 {
        let has = |kind| self.kinds & kind != 0;
        let inside = &text[self.start..self.end];
        let is_setting = is_setting(inside, b'=') || is_setting(inside, b':');
        let looks = [
            has(OTHER_BLANK),
            has(UNSEEN),
            has(TYPOGRAPHIC),
            has(FOREIGN),
            !is_setting && self.is_placeholder(inside),
            is_percent_encoded(inside),
            is_setting || begins(inside, b"basic "),
            inside.contains(&b'\\') || has_one_of(inside, "&amp; &quot; &lt; &gt; &#"),
            inside.len() >= LEAST && is_base64_of_text(inside),
            is_path(inside) || has_one_of(inside, "://"),
        ];
        looks.iter().rev().fold(0, |looks, is_so| looks << 1 | u32::from(*is_so))
    }

    fn is_placeholder(&self, inside: &[u8]) -> bool {
        let [first, .., last] = inside else {
            return self.is_one && self.letters == 0;
        };
        let is_bracketed = matches!(
            (first, last),
            (b'<', b'>') | (b'[', b']') | (b'{' | b'$' | b'#', b'}') | (b'$', b')') | (b'%', b'%')
        );
        is_bracketed
            // One or two equal letters may be a name.
            || (self.is_one && !matches!(self.letters, 1 | 2))
            || (self.letters == 0 && self.kinds & FOREIGN == 0)
            || (*first == b'$' && inside[1..].iter().all(is_of_variable))
            || spells_one_of(inside, PLACEHOLDERS, self.letters)
            || spells_one_of(inside, PARTS, 0)
    }
}

// --- bytes, without what surrounds them ----------------------------------------------------------

fn is_of_variable(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || *byte == b'_'
}

fn begins(text: &[u8], word: &[u8]) -> bool {
    text.len() > word.len() && text[..word.len()].eq_ignore_ascii_case(word)
}

fn has_one_of(text: &[u8], words: &str) -> bool {
    words.split(' ').any(|word| text.windows(word.len()).any(|part| part == word.as_bytes()))
}

/// Whether a word can be read in a text, ignoring everything but letters and digits.
pub(super) fn spells(text: &[u8], word: &str) -> bool {
    (0..text.len()).any(|start| {
        let mut letters = text[start..].iter().filter(|byte| byte.is_ascii_alphanumeric());
        word.bytes()
            .all(|letter| letters.next().is_some_and(|it| it.to_ascii_lowercase() == letter))
    })
}

/// Only words of `letters` letters; 0: all of them.
fn spells_one_of(text: &[u8], words: &str, letters: usize) -> bool {
    let is_meant = |word: &&str| letters == 0 || word.len() == letters;
    words.split(' ').filter(is_meant).any(|word| spells(text, word))
}

/// `NAME=value`, `export NAME=value`, `name: value`, JSON, a header.
fn is_setting(text: &[u8], sign: u8) -> bool {
    let Some(at) = text.iter().position(|byte| *byte == sign) else { return false };
    let (name, value) = (text[..at].trim_ascii_end(), &text[at + 1..]);
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-.:$\"'{".contains(byte);
    let variable = name.iter().rev().take_while(|byte| is_of_variable(byte)).count();
    let before = name.len().checked_sub(variable + 1).map_or(b' ', |at| name[at]);
    let is_name = match sign {
        b'=' => variable > 1 && matches!(before, b' ' | b':'),
        _ => matches!(name.last(), Some(b'"' | b'\'')),
    };
    (is_name || spells_one_of(name, SETTINGS, 0))
        && name.iter().all(of_name)
        // It may be base64 padding.
        && value.iter().any(|byte| *byte != b'=')
}

fn is_path(text: &[u8]) -> bool {
    let of_path = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.'..=b'/' | b'-' | b'_');
    text.iter().all(of_path) && text.iter().filter(|byte| **byte == b'/').count() > 1
}

/// Whether every percent sign begins an escape.
fn is_percent_encoded(text: &[u8]) -> bool {
    let is_hex = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
    let is_escape = |at: usize| text[at] != b'%' || (is_hex(at + 1) && is_hex(at + 2));
    text.contains(&b'%') && (0..text.len()).all(is_escape)
}

/// Whether it decodes to text, which is no coincidence at this length: `id:secret` in base64, or a
/// value from a manifest.
fn is_base64_of_text(text: &[u8]) -> bool {
    let (mut bits, mut have) = (0, 0);
    for sign in text {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            if !matches!((bits >> have) as u8, b' '..=b'~' | b'\n' | b'\r') {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5Xk2vQ9sTb";
    const SECRET: &str = "q7Zt+9mW/x~4rB_k.2Lp0sVd!Ye3";
    const SCOPE: &str = "asset.view site.view";

    fn of_secret(secret: &str) -> String {
        of(ID, secret, SCOPE)
    }

    #[test]
    fn nothing_looks_wrong_in_what_services_issue() {
        for (id, secret, scope) in [
            (ID, SECRET, SCOPE),
            ("0oa4f1cl2dTqWxyz1", "dGhpcy1p/c3Jhbm+RvbSBiYXNlNjQ9YQ==x", "https://api.example/a"),
            ("d2a1b7f0-5c0e-4f2a-9d53-000000000001", "a3f8Q~cF.x=d9", "clients:read token:write"),
            ("my-service@tenant", "kX9vQ2sTb7Zt9mWx4rBk2Lp0sVdYe3aaQ8JmNnRrTtE=", "openid"),
            ("https://app.example/", "0123456789abcdef0123456789abcdee", ".default"),
            ("test-id", "test-secret-0123456789", "a"),
            ("id", "pass phrase of some words", "a b"),
            ("id", "100%sure#5&more;", "a b"),
            // The same in another case.
            ("Abc9xKp2", "aBC9xKp2", "a b"),
            // Nearly a variable, a setting, a path, an escape, a placeholder.
            ("id", "$q7Zt9mWx", "a b"),
            ("id", "xBCD_EFGHJ", "a b"),
            ("id", "q7Zt:=9mWx", "a b"),
            ("id", "q7Zt:A=9mWx", "a b"),
            ("id", "Zq9_TOKEN=", "a b"),
            ("id", "q7zt/9mwx", "a b"),
            ("id", "q7zt%2g9m", "a b"),
        ] {
            assert_eq!(of(id, secret, scope), "", "{id} {secret} {scope}");
        }
    }

    #[test]
    fn what_looks_wrong_in_a_secret() {
        for (secret, remark) in [
            ("\"q7Zt+9mW\"", "the secret begins and ends with a quote"),
            ("'q7Zt+9mW'", "the secret begins and ends with a quote"),
            ("`q7Zt+9mW", "the secret begins with a quote"),
            ("q7Zt+9mW'", "the secret ends with a quote"),
            (
                " \"q7Zt+9mW\" ",
                "the secret begins and ends with a blank; \
                                the secret begins and ends with a quote",
            ),
            (" q7Zt+9mW", "the secret begins with a blank"),
            ("q7Zt+9mW ", "the secret ends with a blank"),
            (
                "\u{201c}q7Zt+9mW\u{201d}",
                "the secret begins and ends with a quote; \
                                          the secret has a typographic quote",
            ),
            ("q7Zt\u{2019}9mW", "the secret has a typographic quote"),
            (
                "\u{ab}q7Zt9mW\u{bb}",
                "the secret begins and ends with a quote; \
                                     the secret has a typographic quote",
            ),
            ("q7Zt\u{2013}9mW", "the secret has a character that is not ASCII"),
            ("q7Zt\u{a0}9mW", "the secret has a blank of another kind, such as a no-break space"),
            ("q7Zt%2B9mW%2F", "the secret looks percent-encoded"),
            ("5Xk2vQ9sTb%3Aq7Zt", "the secret looks percent-encoded"),
            ("q7Zt&amp;9mW", "the secret has an escape of HTML or of a string in it"),
            ("q7Zt\\/9mW", "the secret has an escape of HTML or of a string in it"),
            ("NVhrMnZROXNUYjpxN1p0KzltVy94", "the secret looks like base64 of a text"),
            ("NVhrMnZROXNUYjpxN1p0KzltVy94Cg==", "the secret looks like base64 of a text"),
            ("NVhrMnE5U1RiOnE3Wj4+Pn5+fm1XL3g=", "the secret looks like base64 of a text"),
            ("cTdadD8+OW1XPz8/THAwc1Y0", "the secret looks like base64 of a text"),
            ("5Xk2vQ9sTb:q7Zt+9mW", "the secret begins with the client id and a colon"),
            (ID, "the client id and the secret are the same"),
            ("/run/secrets/trackunit", "the secret looks like a path or a URL"),
            ("vault://kv/Trackunit#s", "the secret looks like a path or a URL"),
        ] {
            assert_eq!(of_secret(secret), remark, "{secret}");
        }
    }

    #[test]
    fn invisible_characters_are_reported() {
        for unseen in [
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{202e}',
            '\u{2066}',
            '\u{2060}',
            '\u{180e}',
            '\u{61c}',
            '\u{fe0f}',
            '\u{e0041}',
        ] {
            for secret in
                [format!("q7{unseen}Zt9"), format!("{unseen}q7Zt9"), format!("q7{unseen}")]
            {
                assert!(
                    of_secret(&secret).contains("the secret has an invisible character"),
                    "{secret:?}"
                );
            }
        }
        for blank in ['\u{a0}', '\u{2003}', '\u{202f}', '\u{3000}'] {
            let told = of_secret(&format!("{blank}q7Zt9"));
            assert!(told.contains("begins with a blank"), "{blank:?}: {told}");
        }
    }

    #[test]
    fn control_characters_are_distinguished() {
        for (secret, word) in [
            ("q7\tZt", "tab"),
            ("q7\nZt", "line break"),
            ("q7\r\nZt", "line break"),
            ("q\x007\0Z\0", "UTF-16"),
            ("q7\u{1b}[0mZt", "control character"),
        ] {
            assert!(of_secret(secret).contains(word), "{secret:?}: {}", of_secret(secret));
        }
    }

    #[test]
    fn whole_settings_are_reported() {
        for setting in [
            "NAME=q7Zt+9mW",
            "TRACKUNIT_CLIENT_SECRET=q7Zt9mW",
            "export TRACKUNIT_CLIENT_SECRET='q7Zt9mW'",
            "export x=q7Zt9mW",
            "set IRIS_KEY=q7Zt9mW",
            "$env:CLIENT_SECRET = \"q7Zt9mW\"",
            "client_secret=q7Zt9mW",
            "client_secret: q7Zt9mW=",
            "Client secret: q7Zt9mW",
            "clientSecret:q7Zt9mW",
            "\"client_secret\": \"q7Zt9mW\",",
            "{\"client_id\":\"5Xk2\",\"client_secret\":\"q7Zt9mW\"}",
            "\"key\":\"q7Zt9mW\"",
            "client_id=5Xk2&client_secret=q7Zt9mW",
            "Authorization: Basic q7Zt9mW",
            "Basic q7Zt9mW",
        ] {
            let told = of_secret(setting);
            assert!(
                told.contains("looks like a whole line of settings, name and all"),
                "{setting}: {told}"
            );
            assert!(!told.contains("placeholder") && !told.contains("q7Zt"), "{setting}: {told}");
        }
    }

    #[test]
    fn placeholders_are_reported() {
        for text in [
            "...",
            "\u{2026}",
            "****",
            "\u{2022}\u{2022}\u{2022}\u{2022}",
            "xxxxxxxx",
            "-",
            "-._-",
            "\"<q7Zt9>\"",
            "<secret>",
            "<your-client-secret>",
            "your-client-secret",
            "YOUR_SECRET_HERE",
            "changeme",
            "CHANGE_ME",
            "${CLIENT_SECRET}",
            "$CLIENT_SECRET",
            "{{ .Values.x }}",
            "%SECRET%",
            "$(cat x)",
            "[a b]",
            "#{x}",
            "null",
            "None",
            "undefined",
            "client_secret",
            "secret",
            "***REDACTED***",
        ] {
            for told in [of_secret(text), of(text, SECRET, SCOPE), of(ID, SECRET, text)] {
                assert!(told.contains("looks like a placeholder"), "{text}: {told}");
                assert!(
                    !told.contains(text) || "the client id and secret".contains(text),
                    "{text}: {told}"
                );
            }
        }
    }

    #[test]
    fn what_looks_wrong_in_a_scope() {
        for (scope, remark) in [
            ("asset.view,site.view", "the scope has a comma: scopes are separated by blanks"),
            ("asset.view, site.view", "the scope has a comma: scopes are separated by blanks"),
            ("a;b", "the scope has a semicolon: scopes are separated by blanks"),
            ("a+b", "the scope has a plus sign: scopes are separated by blanks"),
            ("a|b", "the scope has a bar: scopes are separated by blanks"),
            ("a&b", "the scope has an ampersand: scopes are separated by blanks"),
            ("'a b'", "the scope begins and ends with a quote"),
            ("a%20b", "the scope looks percent-encoded"),
            ("scope=a", "the scope has an equals sign: scopes are separated by blanks"),
        ] {
            assert_eq!(of(ID, SECRET, scope), remark);
        }
    }

    #[test]
    fn all_remarks_are_in_one_line() {
        assert_eq!(
            of("id ", "'s3-Q9vX'", "a,b"),
            "the secret begins and ends with a quote; the client id ends with a blank; the scope has \
             a comma: scopes are separated by blanks"
        );
    }

    #[test]
    fn a_name_without_a_value_is_no_setting() {
        assert!(is_setting(br#""secret": "x""#, b':'));
        assert!(!is_setting(br#""secret":"#, b':'));
    }
}
