//! Whether something secret can be found in what a server was sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The forms in which a value could be written. Base64 depends on where in a group of three bytes it begins.
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let lower = |byte: u8| match byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    };
    let mut forms = vec![
        ("plain", value.to_owned()),
        ("form-encoded", form.clone()),
        ("percent-encoded", form.replace('+', "%20")),
        ("percent-encoded in lower case", value.bytes().map(lower).collect()),
        ("in JSON", serde_json::to_string(value).unwrap().trim_matches('"').to_owned()),
        ("hexadecimal in capitals", hex.to_ascii_uppercase()),
        ("hexadecimal", hex),
    ];
    for shift in 0..3 {
        let shifted = [&b"\0\0"[..shift], value.as_bytes()].concat();
        let whole = shift * 4 / 3 + usize::from(shift > 0)..shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            forms.push(("base64", engine.encode(&shifted)[whole.clone()].to_owned()));
        }
    }
    forms.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// The form in which `bytes` contain the value, if they do.
pub fn shown(bytes: &[u8], value: &str) -> Option<&'static str> {
    assert!(value.len() >= 8, "too short to be found by its value alone");
    let contains = |form: &Vec<u8>| {
        // Far quicker than comparing every window.
        let first = form[0];
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == first) {
            if rest[at..].starts_with(form) {
                return true;
            }
            rest = &rest[at + 1..];
        }
        false
    };
    forms(value).into_iter().find(|(_, form)| contains(form)).map(|(name, _)| name)
}

#[test]
fn every_form_is_found() {
    let value = "s3cret/+&= %\"?abc~";
    for before in ["", "x", "xy", "xyz", "\u{e9}x"] {
        let text = format!("{before}{value}{before}");
        let encoded = [
            text.clone(),
            STANDARD_NO_PAD.encode(&text),
            URL_SAFE_NO_PAD.encode(&text),
            base64::engine::general_purpose::STANDARD.encode(&text),
            text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            form_urlencoded::byte_serialize(text.as_bytes()).collect(),
            serde_json::to_string(&text).unwrap(),
        ];
        for encoded in encoded {
            let around = format!("\0{encoded}\"\n");
            assert!(shown(around.as_bytes(), value).is_some(), "{encoded}");
            assert_eq!(shown(around.as_bytes(), "another-secret"), None);
        }
    }
}
