//! A secret in any encoding.

use super::bytes::Bytes;
use crate::endpoint::redact::chains::{Step, check, possible};

const CHARACTERS: &[u8] = b"~/+%&\"<\\ =abcxyzABCXYZ0123456789";
const BEFORE: [&str; 4] = ["", "i", "id:", "user:"];
const BETWEEN: [&str; 5] = ["", " ", ":", "0x", "\\x"];
const BLANKS: [&str; 4] = [" ", "\n", "\r\n", "  "];
const AROUND: [(&str, &str); 5] = [
    ("", ""),
    ("bad: ", "!"),
    ("you sent \"", "\", which is wrong"),
    ("100% ", " 25"),
    ("x=", "&y=z"),
];

/// A secret, a part of it, and the encodings it goes through: no five bytes are shown.
pub fn redaction(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let length = 8 + bytes.below(22);
    let secret: String = (0..length).map(|_| character(&mut bytes)).collect();
    let from = bytes.below(length - 4);
    let part = &secret[from..(from + 5 + bytes.below(26)).min(length)];
    let is_parameter = bytes.flag();
    let around = bytes.one_of(&AROUND);
    let count = bytes.below(5);
    let steps = possible((0..count).map(|_| step(&mut bytes)).collect());
    if let Err(problem) = check(&secret, part, is_parameter, &steps, around) {
        panic!("{problem}");
    }
}

/// Printable ASCII, with many of the characters that encodings change.
fn character(bytes: &mut Bytes) -> char {
    match bytes.byte() {
        byte @ b' '..=b'~' => char::from(byte),
        byte => char::from(CHARACTERS[usize::from(byte) % CHARACTERS.len()]),
    }
}

fn step(bytes: &mut Bytes) -> Step {
    let kind = bytes.below(8);
    let chance = bytes.number();
    let few = chance & 1 != 0;
    match kind {
        0 => Step::Percent { chance, few, plus: chance & 2 != 0 },
        1 => Step::Json { chance, few },
        2 => Step::Html { chance, few },
        3 => Step::Base64 { before: bytes.one_of(&BEFORE), kind: bytes.below(4) },
        4 => Step::Hex { is_upper: few, between: bytes.one_of(&BETWEEN) },
        5 => Step::Case { is_upper: few },
        6 => Step::Script { chance, few },
        _ => Step::Split { chance, blank: bytes.one_of(&BLANKS) },
    }
}
