//! The pieces of secrets, and whether one of them can be read in a text.
//!
//! Five bytes of a secret are a piece. Pieces are searched for in every reading of the text (see
//! [`readings`](super::readings)), ignoring case, and in whatever base64 or hex in it decodes to;
//! there again in every reading, and so on.

use std::collections::BinaryHeap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::readings::{Plus, Readings, is_blank, layers, solid};
use crate::lists::add_new;

/// The number of bytes of a piece.
const PIECE: usize = 5;
/// A secret of fewer bytes is a single piece.
const LEAST: usize = 8;
/// Shorter texts occur everywhere by chance; removing their literal spellings must suffice.
const SHORTEST: usize = 4;
/// Minimum number of base64 characters that depend on a piece alone, at any alignment.
const PIECE_IN_BASE64: usize = 6;
/// Base64 is searched for secrets up to this length; tokens may be longer, and their base64 is only
/// decoded like any other.
const LONGEST_SECRET: usize = 512;
/// How deeply base64 and hex are decoded within each other.
const DEEPEST: usize = 4;
/// Longer texts are not searched, but not shown either: no scope is longer.
const LONGEST_TEXT: usize = 4 * 1024;
/// Search steps per position of a text. A text that needs more is meant to confuse.
const STEPS: usize = 32;

/// Pieces of secrets.
#[derive(Default)]
pub(super) struct Pieces {
    /// Up to seven bytes each, the first one highest, padded with zeros. Sorted before the search.
    keys: Zeroizing<Vec<u64>>,
    /// Whether a piece can begin with a byte.
    begins: Zeroizing<Vec<bool>>,
    /// A piece is made of `+` and blanks alone, which are not searched for: no text is shown.
    has_blank_piece: bool,
}

impl Pieces {
    /// Everything that must not be shown. `in_base64`: also searched in base64 that an intermediary
    /// may have altered.
    pub(super) fn of(secrets: &[&str], in_base64: &[&str]) -> Self {
        let mut pieces = Self::default();
        for secret in secrets {
            pieces.add(secret);
            if !secret.is_ascii() {
                pieces.add(&Zeroizing::new(secret.to_lowercase()));
                pieces.add(&Zeroizing::new(secret.to_uppercase()));
            }
        }
        for secret in
            in_base64.iter().filter(|secret| (LEAST..LONGEST_SECRET).contains(&secret.len()))
        {
            pieces.add_base64(secret.as_bytes());
        }
        // A heap sort: the standard library's `sort_unstable` is 3 KB of code for each type.
        let keys = std::mem::take(&mut *pieces.keys);
        pieces.keys = Zeroizing::new(BinaryHeap::from(keys).into_sorted_vec());
        pieces.keys.dedup();
        pieces.begins = Zeroizing::new(vec![false; 256]);
        for key in pieces.keys.iter() {
            pieces.begins[usize::from(key.to_be_bytes()[0])] = true;
        }
        pieces
    }

    fn add(&mut self, secret: &str) {
        let is_solid = solid_bytes(secret);
        let bytes = secret.as_bytes();
        let length = if bytes.len() < LEAST { bytes.len() } else { PIECE };
        if length < SHORTEST {
            return;
        }
        for (piece, is_solid) in bytes.windows(length).zip(is_solid.windows(length)) {
            let solid = piece.iter().zip(is_solid).filter(|(_, is_solid)| **is_solid);
            let key = key(solid.map(|(byte, _)| *byte));
            self.has_blank_piece |= key == 0;
            self.keys.push(key);
        }
        self.keys.retain(|key| *key != 0);
    }

    /// The base64 characters that depend on the secret alone, at each alignment. Needed because
    /// base64 with changed case cannot be decoded.
    fn add_base64(&mut self, secret: &[u8]) {
        for before in 0..3 {
            let text = Zeroizing::new([&[0; 2][..before], secret].concat());
            let (first, end) = ((8 * before).div_ceil(6), 8 * text.len() / 6);
            for encoded in [STANDARD_NO_PAD.encode(&*text), URL_SAFE_NO_PAD.encode(&*text)] {
                let encoded = Zeroizing::new(encoded);
                for piece in encoded.as_bytes()[first..end].windows(PIECE_IN_BASE64) {
                    let solid = piece.iter().copied().filter(|byte| *byte != b'+');
                    if solid.clone().count() >= PIECE {
                        self.keys.push(key(solid));
                    }
                }
            }
        }
    }

    /// Whether a piece of a secret can be read in a text, or that cannot be ruled out.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        let is_long = text.len() > LONGEST_TEXT;
        self.has_blank_piece || !self.keys.is_empty() && (is_long || self.is_in(text, 0))
    }

    fn is_in(&self, text: &[u8], depth: usize) -> bool {
        let Some(readings) = Readings::of(text) else { return true };
        if self.is_read_in(&readings, Self::by_byte) || self.is_read_in(&readings, Self::by_digit) {
            return true;
        }
        if depth == DEEPEST {
            return false;
        }
        // Blanks may divide the base64 or separate it from other text; in base64 a `+` is a digit,
        // unless it encodes a blank.
        let all = [
            layers(text.to_vec(), Plus::Sign),
            layers(solid(text, Plus::Sign), Plus::Sign),
            layers(solid(text, Plus::Blank), Plus::Blank),
            // In a form a `+` is a blank, and `%2B` a digit.
            layers(solid(text, Plus::Blank), Plus::Sign),
        ];
        let mut different = Vec::new();
        for layer in all.into_iter().flatten() {
            add_new(&mut different, layer);
        }
        different.iter().any(|layer| {
            let inner = from_base64(layer).into_iter().chain(from_hex(layer));
            inner.flat_map(texts).any(|text| self.is_in(&text, depth + 1))
        })
    }

    /// `follow` extends what was read by one byte.
    fn is_read_in(&self, readings: &Readings, follow: fn(&Self, Read, u8) -> Step) -> bool {
        let mut steps = STEPS * (readings.starts().len() + 1);
        let mut open = Vec::new();
        for start in readings.starts() {
            open.push((start, Read::default()));
            while let Some((place, read)) = open.pop() {
                for &(byte, next) in readings.at(place) {
                    steps -= 1;
                    match follow(self, read, byte) {
                        Step::Piece => return true,
                        _ if steps == 0 => return true,
                        Step::Part(read) => open.push((next, read)),
                        Step::Nothing => {}
                    }
                }
            }
        }
        false
    }

    fn by_byte(&self, read: Read, byte: u8) -> Step {
        let byte = byte.to_ascii_lowercase();
        if read.length == 0 && !self.begins[usize::from(byte)] {
            return Step::Nothing;
        }
        let shift = 56 - 8 * read.length;
        let piece = read.piece | u64::from(byte) << shift;
        let at = self.keys.partition_point(|key| *key < piece);
        match self.keys.get(at) {
            Some(key) if *key == piece => Step::Piece,
            Some(key) if key >> shift == piece >> shift && shift > 0 => {
                Step::Part(Read { piece, length: read.length + 1, digit: None })
            }
            _ => Step::Nothing,
        }
    }

    /// Two hex digits are a byte; other characters may separate them, and `0x` may precede them.
    fn by_digit(&self, read: Read, sign: u8) -> Step {
        let Some(digit) = char::from(sign).to_digit(16) else {
            return match read.digit {
                Some(0) if matches!(sign, b'x' | b'X') => Step::Part(Read { digit: None, ..read }),
                _ if sign.is_ascii_alphanumeric() || read.is_empty() => Step::Nothing,
                _ => Step::Part(read),
            };
        };
        let Some(first) = read.digit else {
            return Step::Part(Read { digit: Some(digit as u8), ..read });
        };
        let byte = first << 4 | digit as u8;
        match byte == b'+' || byte.is_ascii() && is_blank(char::from(byte)) {
            true => Step::Part(Read { digit: None, ..read }),
            false => self.by_byte(Read { digit: None, ..read }, byte),
        }
    }
}

/// The part of a piece read so far.
#[derive(Clone, Copy, Default)]
struct Read {
    /// In the format of a key.
    piece: u64,
    length: u32,
    /// The first of two hex digits.
    digit: Option<u8>,
}

impl Read {
    fn is_empty(self) -> bool {
        self.length == 0 && self.digit.is_none()
    }
}

enum Step {
    Piece,
    Part(Read),
    Nothing,
}

/// Which bytes of a secret are searched for: not blanks, which may be anywhere, and not `+`, which may
/// encode one.
fn solid_bytes(secret: &str) -> Zeroizing<Vec<bool>> {
    let solid = secret.chars().flat_map(|character| {
        std::iter::repeat_n(!is_blank(character) && character != '+', character.len_utf8())
    });
    Zeroizing::new(solid.collect())
}

fn key(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut key = [0; 8];
    key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte.to_ascii_lowercase());
    u64::from_be_bytes(key)
}

/// The parts of a decoded result that are text. Little is left if it was not base64.
fn texts(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    // Some encoders write a NUL between characters.
    let divides = |c: char| c.is_control() && !c.is_whitespace() && c != '\0';
    let valid = bytes.utf8_chunks().flat_map(|chunk| chunk.valid().split(divides));
    valid.filter(|text| text.len() >= SHORTEST).map(|text| text.as_bytes().to_vec()).collect()
}

/// Decodes base64 of either alphabet in a text, starting anywhere.
fn from_base64(text: &[u8]) -> Vec<Vec<u8>> {
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let mut decoded = Vec::new();
    for run in text.split(|byte| value(byte).is_none()) {
        if run.len() <= PIECE_IN_BASE64 {
            continue;
        }
        let values: Vec<u8> = run.iter().filter_map(value).collect();
        decoded.extend((0..4).map(|start| {
            let quads = values[start..].chunks(4);
            quads
                .flat_map(|quad| {
                    let bits = (0..4)
                        .fold(0, |bits, at| bits << 6 | u32::from(*quad.get(at).unwrap_or(&0)));
                    let bytes = bits.to_be_bytes();
                    (1..quad.len()).map(move |at| bytes[at])
                })
                .collect()
        }));
    }
    decoded
}

/// Decodes hex in a text, whatever separates its digits.
fn from_hex(text: &[u8]) -> Vec<Vec<u8>> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let digits: Vec<u8> = text.iter().copied().filter(is_digit).collect();
    // 0x73, 0x65
    let is_sign = |at: usize| text[at] == b'0' && matches!(text.get(at + 1), Some(b'x' | b'X'));
    let without_signs = (0..text.len()).filter(|at| !is_sign(*at)).map(|at| text[at]);
    let without_signs: Vec<u8> = without_signs.filter(is_digit).collect();
    let is_other = without_signs.len() < digits.len();
    let mut decoded = decode_hex(&digits);
    if is_other {
        decoded.extend(decode_hex(&without_signs));
    }
    decoded
}

fn decode_hex(digits: &[u8]) -> Vec<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    if digits.len() < 2 * PIECE {
        return Vec::new();
    }
    let decode = |digits: &[u8]| {
        digits.chunks_exact(2).map(|two| value(two[0]) << 4 | value(two[1])).collect()
    };
    vec![decode(digits), decode(&digits[1..])]
}
