//! What must not be shown, and a search for pieces of it in every encoding that a server may apply.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// With signs that forms, URLs, JSON and HTML write in a special way.
pub const SECRET: &str = "Kx7+vQ/z9=Wm&4Rp%Lt~2Hb<\"jN";
pub const PROXY_PASSWORD: &str = "Zt6/uE:8yC";
/// The token that the sound server issues.
pub const TOKEN: &str = "eyJ0b2tlbiI6InNvdW5kIn0.Qm5xVw7Zk3";

/// So many consecutive bytes are a piece.
const PIECE: usize = 5;

pub type Encode = fn(&str) -> String;

fn each_byte(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}

/// What servers, proxies and their pages make of a text that they repeat.
pub const ENCODINGS: [(&str, Encode); 12] = [
    ("plain", str::to_owned),
    ("form", |text| form_urlencoded::byte_serialize(text.as_bytes()).collect()),
    ("percent", |text| each_byte(text, |byte| format!("%{byte:02x}"))),
    ("percent twice", |text| each_byte(text, |byte| format!("%25{byte:02X}"))),
    ("JSON", |text| each_byte(text, |byte| format!("\\u{byte:04x}"))),
    ("HTML", |text| each_byte(text, |byte| format!("&#{byte};"))),
    ("HTML, hex", |text| each_byte(text, |byte| format!("&#x{byte:X};"))),
    ("base64", |text| STANDARD.encode(text)),
    ("base64 of both", |text| URL_SAFE.encode(format!("{}:{text}", crate::support::ID))),
    ("hex", |text| each_byte(text, |byte| format!("{byte:02x}"))),
    ("hex, spaced", |text| each_byte(text, |byte| format!("{byte:02X} "))),
    ("split", |text| each_byte(text, |byte| format!("{} ", char::from(byte)))),
];

/// Every text that a piece of a secret may appear as.
fn traces(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut traces = Vec::new();
    for piece in bytes.windows(PIECE) {
        let piece = std::str::from_utf8(piece).unwrap();
        for (_, encode) in ENCODINGS.iter().filter(|(name, _)| !name.starts_with("base64")) {
            traces.push(encode(piece).trim_end().to_ascii_lowercase());
        }
    }
    // In base64 the digits depend on where the piece begins; only those that it decides alone count.
    for piece in bytes.windows(PIECE + 1) {
        for before in 0..3 {
            let all = [&b"\0\0\0"[..before], piece].concat();
            let (first, last) = ((before * 8).div_ceil(6), all.len() * 8 / 6);
            traces.push(STANDARD.encode(&all)[first..last].to_owned());
            traces.push(URL_SAFE.encode(&all)[first..last].to_owned());
        }
    }
    traces
}

/// The pieces of secrets that this text shows.
pub struct Search(Vec<String>);

impl Search {
    pub fn new() -> Self {
        Self([SECRET, PROXY_PASSWORD, TOKEN].into_iter().flat_map(traces).collect())
    }

    pub fn found_in(&self, text: &str) -> Option<&str> {
        let lower = text.to_ascii_lowercase();
        let mut traces = self.0.iter();
        traces.find(|trace| text.contains(*trace) || lower.contains(*trace)).map(|trace| &**trace)
    }
}

#[test]
fn the_search_finds_each_encoding() {
    let search = Search::new();
    for (name, encode) in ENCODINGS {
        for secret in [SECRET, PROXY_PASSWORD, TOKEN] {
            for part in [secret, &secret[2..8], &secret[secret.len() - 7..]] {
                let text = format!("it said: <{}>", encode(part));
                assert!(search.found_in(&text).is_some(), "{name}: {text}");
            }
        }
    }
    assert_eq!(search.found_in("cannot get a token from https://line-7.endpoint.test"), None);
}
