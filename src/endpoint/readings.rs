//! A text in every way it can be decoded.
//!
//! What a server or a proxy quotes may be percent-encoded, or escaped for JSON or HTML, partly or
//! as a whole, once or several times, each time differently. So decodings are not applied one after
//! the other: each position in the text has a list of the bytes that can be read there, each with
//! the position to continue at. An escape sequence may itself be composed of readings, which covers
//! text encoded twice. Blanks are skipped: a text may have been broken into lines anywhere.

use crate::config::parse::is_odd;

/// Maximum number of readings of one position. A text with more is meant to confuse.
const MOST: usize = 32;

/// Maximum number of decodings of one text, in both ways. A text with more is meant to confuse.
const MOST_LAYERS: usize = 16;

/// HTML names of characters that a secret may contain or that may divide it. Those of Latin-1
/// follow.
const NAMES: [(&str, char); 56] = [
    ("amp", '&'),
    ("apos", '\''),
    ("ast", '*'),
    ("bsol", '\\'),
    ("circ", '^'),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("dash", '-'),
    ("diacriticalgrave", '`'),
    ("dollar", '$'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("equals", '='),
    ("excl", '!'),
    ("grave", '`'),
    ("gt", '>'),
    ("hat", '^'),
    ("hyphen", '-'),
    ("lbrace", '{'),
    ("lbrack", '['),
    ("lcub", '{'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lrm", '\u{200e}'),
    ("lsqb", '['),
    ("lt", '<'),
    ("midast", '*'),
    ("nbsp", ' '),
    ("newline", '\n'),
    ("nonbreakingspace", ' '),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("plus", '+'),
    ("quest", '?'),
    ("quot", '"'),
    ("rbrace", '}'),
    ("rbrack", ']'),
    ("rcub", '}'),
    ("rlm", '\u{200f}'),
    ("rpar", ')'),
    ("rsqb", ']'),
    ("semi", ';'),
    ("shy", ' '),
    ("sol", '/'),
    ("tab", '\t'),
    ("thinsp", '\u{2009}'),
    ("tilde", '~'),
    ("underbar", '_'),
    ("verbar", '|'),
    ("vert", '|'),
    ("verticalline", '|'),
    ("zerowidthspace", '\u{200b}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];

/// From U+00A1 on.
const LATIN_1: [&str; 95] = [
    "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo",
    "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para",
    "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave",
    "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc",
    "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc",
    "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN",
    "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave",
    "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve",
    "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml",
    "yacute", "thorn", "yuml",
];

/// HTML line breaks.
const BREAKS: [&str; 4] = ["br>", "br/>", "wbr>", "wbr/>"];

/// What a `+` means: in a form it encodes a blank.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    Sign,
    Blank,
}

/// Which escapes are decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Literal, complete ones.
    Whole,
    /// Literal ones, also without their final character.
    Written,
    /// Also those that are themselves escaped.
    Nested,
}

/// A position in the text, or within a multi-byte character.
type Place = u32;

/// What can be read at each position.
pub(super) struct Readings {
    /// A byte, and the position to continue at.
    places: Vec<Vec<(u8, Place)>>,
    /// The offset in the text of each position.
    positions: Vec<Place>,
    length: usize,
    escapes: Escapes,
    plus: Plus,
    is_confused: bool,
}

impl Readings {
    /// `None`: the text is too ambiguous.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        Self::with(&solid(text, Plus::Blank), Escapes::Nested, Plus::Blank)
    }

    /// `text`: without blanks.
    fn with(text: &[u8], escapes: Escapes, plus: Plus) -> Option<Self> {
        let length = text.len();
        let mut readings = Self {
            escapes,
            plus,
            places: vec![Vec::new(); length + 1],
            positions: (0..=u32::try_from(length).ok()?).collect(),
            length,
            is_confused: false,
        };
        // Backwards, so that everything that follows is known.
        for at in (0..length).rev() {
            readings.read(at, text[at]);
            if readings.is_confused {
                return None;
            }
        }
        Some(readings)
    }

    pub(super) fn at(&self, place: Place) -> &[(u8, Place)] {
        &self.places[place as usize]
    }

    /// The positions where reading can begin, including those within a character: its bytes may
    /// have been taken for Latin-1 characters.
    pub(super) fn starts(&self) -> std::ops::Range<Place> {
        0..self.places.len() as Place
    }

    fn unescaped(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.length);
        let mut place = 0;
        let position = |next: Place| self.positions[next as usize];
        while let Some((byte, next)) = self.at(place).iter().max_by_key(|(_, next)| position(*next))
        {
            text.push(*byte);
            place = *next;
        }
        text
    }

    /// The readings that an escape sequence may be composed of.
    fn spelling(&self, at: Place) -> &[(u8, Place)] {
        let all = self.at(at);
        // The literal byte comes first.
        if self.escapes == Escapes::Nested { all } else { &all[..all.len().min(1)] }
    }

    fn read(&mut self, at: usize, literal: u8) {
        let mut found = Found { readings: vec![(literal, self.positions[at] + 1)] };
        let mut done = 0;
        while let Some((byte, next)) = found.readings.get(done).copied() {
            match byte {
                b'%' => self.percent(next, &mut found),
                b'\\' => self.backslash(next, &mut found),
                b'&' => self.entity(next, &mut found),
                0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xef | 0xf0 | 0xf3 => {
                    self.blank_in_bytes(byte, next, &mut found)
                }
                0xed => self.surrogates(next, &mut found),
                b'<' => {
                    for name in BREAKS {
                        self.spell(next, name)
                            .into_iter()
                            .for_each(|end| self.blank(end, &mut found));
                    }
                }
                _ => {}
            }
            done += 1;
            if self.escapes != Escapes::Nested {
                break;
            }
            if found.readings.len() > MOST {
                self.is_confused = true;
                break;
            }
        }
        self.places[at] = found.readings;
    }

    /// `%2F`, `%u002F`.
    fn percent(&mut self, at: Place, found: &mut Found) {
        for (value, end) in self.hex(at, 2) {
            self.byte(value as u8, end, found);
        }
        for start in self.one_of(at, b"uU") {
            for (value, end) in self.hex(start, 4) {
                self.character(value, end, found);
            }
        }
    }

    /// `\/`, `\u002F`, `\x2F`, `\u{2F}`, `\057`, `\n`.
    fn backslash(&mut self, at: Place, found: &mut Found) {
        for (escaped, end) in self.spelling(at).to_vec() {
            match escaped.to_ascii_lowercase() {
                b'u' => {
                    for (value, end) in self.hex(end, 4) {
                        self.character(value, end, found);
                    }
                    for start in self.one_of(end, b"{") {
                        for (value, last) in self.numbers(start, 16, 6) {
                            for end in self.one_of(last, b"}") {
                                self.character(value, end, found);
                            }
                        }
                    }
                }
                b'x' => {
                    for (value, end) in self.hex(end, 2) {
                        self.byte(value as u8, end, found);
                        self.character(value, end, found);
                    }
                }
                b'b' | b'f' | b'n' | b'r' | b't' | b'v'
                    if escaped.is_ascii_lowercase() || self.escapes != Escapes::Whole =>
                {
                    self.blank(end, found);
                }
                b'0'..=b'7' if self.escapes != Escapes::Whole => {
                    for (value, end) in self.numbers(at, 8, 3) {
                        self.byte(value as u8, end, found);
                    }
                }
                b'"' | b'\\' | b'/' | b'\'' => self.byte(escaped, end, found),
                // Used in languages other than JSON.
                _ if !escaped.is_ascii_alphanumeric() && self.escapes != Escapes::Whole => {
                    self.byte(escaped, end, found);
                }
                _ => {}
            }
        }
    }

    /// `&sol;`, `&#47;`, `&#x2F;`, each also without the semicolon.
    fn entity(&mut self, at: Place, found: &mut Found) {
        let letters = self.spelling(at).iter().filter(|(byte, _)| byte.is_ascii_alphabetic());
        let first: u32 = letters.fold(0, |first, (byte, _)| first | 1 << (byte & 0x1f));
        let is_begun = |name: &str| first & 1 << (name.as_bytes()[0] & 0x1f) != 0;
        let latin_1 = LATIN_1.into_iter().zip('\u{a1}'..);
        let names = NAMES.into_iter().chain(latin_1).take(if first == 0 { 0 } else { usize::MAX });
        for (name, character) in names.filter(|(name, _)| is_begun(name)).collect::<Vec<_>>() {
            for end in self.spell(at, name) {
                self.ended(u32::from(character), end, found);
            }
        }
        for start in self.one_of(at, b"#") {
            for (value, end) in self.numbers(start, 10, 8) {
                self.ended(value, end, found);
            }
            for start in self.one_of(start, b"xX") {
                for (value, end) in self.numbers(start, 16, 8) {
                    self.ended(value, end, found);
                }
            }
        }
    }

    fn ended(&mut self, value: u32, end: Place, found: &mut Found) {
        if self.escapes != Escapes::Whole {
            self.character(value, end, found);
        }
        for end in self.one_of(end, b";") {
            self.character(value, end, found);
        }
    }

    /// A non-ASCII blank whose bytes are escaped one by one: `%C2%A0`.
    fn blank_in_bytes(&mut self, first: u8, at: Place, found: &mut Found) {
        let more = first.leading_ones() as usize - 1;
        let bits = first & (0x3f >> more);
        for (value, end) in self.continued(bits, at, more) {
            if char::from_u32(value).is_some_and(is_blank) {
                self.blank(end, found);
            }
        }
    }

    /// `\ud83d\ude00` is one character.
    fn surrogates(&mut self, at: Place, found: &mut Found) {
        for (high, middle) in self.continued(0xd, at, 2) {
            for start in self.one_of(middle, &[0xed]) {
                for (low, end) in self.continued(0xd, start, 2) {
                    if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) {
                        let value = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        self.character(value, end, found);
                    }
                }
            }
        }
    }

    // --- the parts of an escape sequence ----------------------------------------------------

    fn one_of(&self, at: Place, bytes: &[u8]) -> Vec<Place> {
        let readings = self.spelling(at).iter();
        readings.filter(|(byte, _)| bytes.contains(byte)).map(|(_, next)| *next).collect()
    }

    /// A name in any case.
    fn spell(&self, at: Place, name: &str) -> Vec<Place> {
        let mut ends = vec![at];
        for letter in name.bytes() {
            let both = [letter.to_ascii_lowercase(), letter.to_ascii_uppercase()];
            ends = ends.into_iter().flat_map(|end| self.one_of(end, &both)).collect();
            if ends.is_empty() {
                break;
            }
        }
        ends
    }

    /// Exactly this many hex digits.
    fn hex(&mut self, at: Place, digits: usize) -> Vec<(u32, Place)> {
        let mut numbers = vec![(0, at)];
        for _ in 0..digits {
            numbers = self.another_digit(&numbers, 16);
        }
        numbers
    }

    /// The continuation bytes of a UTF-8 character whose first byte's bits are given.
    fn continued(&self, bits: u8, at: Place, more: usize) -> Vec<(u32, Place)> {
        let mut values = vec![(u32::from(bits), at)];
        for _ in 0..more {
            let next = |(value, at): (u32, Place)| {
                let bytes = self.spelling(at).iter().filter(|(byte, _)| byte & 0xc0 == 0x80);
                bytes.map(move |(byte, next)| (value << 6 | u32::from(byte & 0x3f), *next))
            };
            values = values.into_iter().flat_map(next).collect();
        }
        values
    }

    /// One or more digits.
    fn numbers(&mut self, at: Place, base: u32, most: usize) -> Vec<(u32, Place)> {
        let (mut numbers, mut all) = (vec![(0, at)], Vec::new());
        for _ in 0..most {
            numbers = self.another_digit(&numbers, base);
            if numbers.is_empty() {
                break;
            }
            all.extend_from_slice(&numbers);
        }
        all
    }

    fn another_digit(&mut self, numbers: &[(u32, Place)], base: u32) -> Vec<(u32, Place)> {
        let mut longer = Vec::new();
        for &(value, at) in numbers {
            for &(byte, next) in self.spelling(at) {
                if let Some(digit) = char::from(byte).to_digit(base) {
                    longer.push((value.saturating_mul(base).saturating_add(digit), next));
                }
            }
        }
        if longer.len() > MOST {
            self.is_confused = true;
            longer.clear();
        }
        longer
    }

    // --- the decoded bytes -------------------------------------------------------------------

    fn byte(&mut self, byte: u8, end: Place, found: &mut Found) {
        let is_blank = byte.is_ascii() && is_blank(char::from(byte));
        match is_blank || (byte == b'+' && self.plus == Plus::Blank) {
            true => self.blank(end, found),
            false => found.add(byte, end),
        }
    }

    fn character(&mut self, value: u32, end: Place, found: &mut Found) {
        let mut utf_8 = [0; 4];
        let bytes = match char::from_u32(value) {
            Some(character) if is_blank(character) => return self.blank(end, found),
            Some(character) if character.is_ascii() => return self.byte(value as u8, end, found),
            Some(character) => character.encode_utf8(&mut utf_8).as_bytes(),
            // A surrogate, encoded like UTF-8 would: its other half decides.
            None if value < 0xe000 => {
                let low = |bits: u32| 0x80 | (bits & 0x3f) as u8;
                utf_8 = [0xed, low(value >> 6), low(value), 0];
                &utf_8[..3]
            }
            None => return,
        };
        let mut next = end;
        for byte in bytes[1..].iter().rev() {
            next = self.within(*byte, next);
        }
        found.add(bytes[0], next);
    }

    /// A position within a character.
    fn within(&mut self, byte: u8, next: Place) -> Place {
        let place = self.places.len() as Place;
        self.places.push(vec![(byte, next)]);
        self.positions.push(self.positions[next as usize]);
        place
    }

    /// Reads nothing: what can be read after it is read here.
    fn blank(&mut self, end: Place, found: &mut Found) {
        for &(byte, next) in self.at(end) {
            found.add(byte, next);
        }
    }
}

/// The readings of one position, while they are collected.
struct Found {
    readings: Vec<(u8, Place)>,
}

impl Found {
    fn add(&mut self, byte: u8, next: Place) {
        if !self.readings.contains(&(byte, next)) {
            self.readings.push((byte, next));
        }
    }
}

/// What separates text on a screen or is invisible: blanks, line breaks, zero-width characters.
pub(super) fn is_blank(character: char) -> bool {
    character.is_whitespace() || is_odd(character) || character == '\u{ad}'
}

/// A text, the same text with its escapes decoded, and so on until none is left. For what cannot be
/// searched position by position.
pub(super) fn layers(text: Vec<u8>, plus: Plus) -> Vec<Vec<u8>> {
    let is_solid = solid(&text, Plus::Sign) == text;
    let (mut layers, mut open) = (Vec::new(), vec![text]);
    while let Some(text) = open.pop() {
        if layers.contains(&text) {
            continue;
        }
        if text.iter().any(|byte| b"%\\&<\xed".contains(byte)) {
            let without = |escapes| {
                let unescaped = Readings::with(&text, escapes, plus)?.unescaped();
                // Text around it may end with what an escape begins with: `100% 25`.
                Some(if is_solid { solid(&unescaped, Plus::Sign) } else { unescaped })
            };
            // An escape may be made of others, whole ones or not: both are tried, whole ones first.
            open.extend([Escapes::Written, Escapes::Whole].into_iter().filter_map(without));
        }
        layers.push(text);
        if layers.len() == MOST_LAYERS {
            break;
        }
    }
    layers
}

/// A text without its blanks; it may be invalid UTF-8.
pub(super) fn solid(text: &[u8], plus: Plus) -> Vec<u8> {
    let mut solid = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let is_read = |c: &char| !is_blank(*c) && (*c != '+' || plus == Plus::Sign);
        let characters = chunk.valid().chars().filter(is_read);
        let mut bytes = [0; 4];
        characters.for_each(|c| solid.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes()));
        solid.extend_from_slice(chunk.invalid());
    }
    solid
}

#[cfg(test)]
#[path = "readings_tests.rs"]
mod tests;
