//! Encodings of a secret, one after the other: what servers and proxies do to texts. The check is
//! independent of the search it tests: it follows each piece of the secret through the same chain,
//! and no piece may appear in what is shown.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::*;
use crate::config::options::Options;
use crate::scope::ScopeSet;

/// A text, and where the pieces of the secret are in it: five bytes each before encoding.
#[derive(Clone, Debug)]
struct Encoded {
    text: String,
    pieces: Vec<(usize, usize)>,
    is_plain: bool,
}

impl Encoded {
    fn plain(secret: &str) -> Self {
        let pieces = (5..=secret.len()).map(|end| (end - 5, end)).collect();
        Self { text: secret.to_owned(), pieces, is_plain: true }
    }

    /// Encodes each character separately.
    fn each(&self, mut encode: impl FnMut(char) -> String) -> Self {
        let (mut text, mut starts, mut ends) = (String::new(), Vec::new(), Vec::new());
        for character in self.text.chars() {
            starts.push(text.len());
            text += &encode(character);
            ends.push(text.len());
        }
        let pieces =
            self.pieces.iter().map(|&(start, end)| (starts[start], ends[end - 1])).collect();
        Self { text, pieces, is_plain: false }
    }

    fn base64(&self, before: &str, engine: &impl Engine) -> Self {
        let whole = format!("{before}{}", self.text);
        let bits = |at: usize| 8 * (at + before.len());
        let moved = |&(start, end): &(usize, usize)| match self.is_plain {
            // The characters that depend only on the piece itself.
            true => (bits(start).div_ceil(6), bits(end) / 6),
            // With all bits of the first and the last byte: without them no escape can be read.
            false => (bits(start) / 6, bits(end).div_ceil(6)),
        };
        let pieces = self.pieces.iter().map(moved).collect();
        Self { text: engine.encode(whole), pieces, is_plain: false }
    }

    /// Inserts blanks before some characters.
    fn split(&self, blank: &str, mut is_split: impl FnMut() -> bool) -> Self {
        let (mut text, mut starts, mut ends) = (String::new(), Vec::new(), Vec::new());
        for character in self.text.chars() {
            if is_split() {
                text += blank;
            }
            starts.push(text.len());
            text.push(character);
            ends.push(text.len());
        }
        let pieces =
            self.pieces.iter().map(|&(start, end)| (starts[start], ends[end - 1])).collect();
        Self { text, pieces, is_plain: false }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Percent {
        chance: u64,
        few: bool,
        plus: bool,
    },
    Json {
        chance: u64,
        few: bool,
    },
    Html {
        chance: u64,
        few: bool,
    },
    Base64 {
        before: &'static str,
        kind: usize,
    },
    /// The escapes of programming languages.
    Script {
        chance: u64,
        few: bool,
    },
    Hex {
        is_upper: bool,
        between: &'static str,
    },
    Case {
        is_upper: bool,
    },
    Split {
        chance: u64,
        blank: &'static str,
    },
}

/// The random choices of one step.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        // Knuth's constants; the upper bits are the better ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn percent(character: char, dice: &mut Dice, few: bool, plus: bool) -> String {
    let wanted = !character.is_ascii_alphanumeric() && !few || dice.below(3) == 0;
    match (character, wanted, dice.below(2)) {
        (' ', true, _) if plus => "+".to_owned(),
        (_, false, _) => character.to_string(),
        (_, true, 0) => format!("%{:02x}", u32::from(character)),
        (_, true, _) => format!("%{:02X}", u32::from(character)),
    }
}

fn json(character: char, dice: &mut Dice, few: bool) -> String {
    match (character, dice.below(if few { 8 } else { 2 })) {
        ('"' | '\\' | '/', 1..) => format!("\\{character}"),
        ('\n', _) => "\\n".to_owned(),
        ('\r', _) => "\\r".to_owned(),
        ('"' | '\\', _) | (_, 0) => match dice.below(2) {
            0 => format!("\\u{:04x}", u32::from(character)),
            _ => format!("\\u{:04X}", u32::from(character)),
        },
        _ => character.to_string(),
    }
}

fn html(character: char, dice: &mut Dice, few: bool) -> String {
    let name = match character {
        '&' => "amp",
        '<' => "lt",
        '>' => "gt",
        '"' => "quot",
        '\'' => "apos",
        '/' => "sol",
        '%' => "percnt",
        '+' => "plus",
        '\\' => "bsol",
        _ => "",
    };
    match dice.below(if few { 12 } else { 4 }) {
        0 => format!("&#{};", u32::from(character)),
        1 => format!("&#x{:x};", u32::from(character)),
        2 => format!("&#X00{:X};", u32::from(character)),
        _ if !name.is_empty() => format!("&{name};"),
        _ => character.to_string(),
    }
}

fn script(character: char, dice: &mut Dice, few: bool) -> String {
    let value = u32::from(character);
    match dice.below(if few { 12 } else { 5 }) {
        0 => format!("%u{value:04x}"),
        1 => format!("\\u{{{value:x}}}"),
        2 => format!("\\x{value:02X}"),
        3 => format!("\\{value:03o}"),
        _ if matches!(character, '"' | '\\' | '\'') => format!("\\{character}"),
        _ => character.to_string(),
    }
}

fn take(encoded: &Encoded, step: &Step) -> Encoded {
    match *step {
        Step::Percent { chance, few, plus } => {
            let mut dice = Dice(chance);
            encoded.each(|character| percent(character, &mut dice, few, plus))
        }
        Step::Json { chance, few } => {
            let mut dice = Dice(chance);
            encoded.each(|character| json(character, &mut dice, few))
        }
        Step::Html { chance, few } => {
            let mut dice = Dice(chance);
            encoded.each(|character| html(character, &mut dice, few))
        }
        Step::Script { chance, few } => {
            let mut dice = Dice(chance);
            encoded.each(|character| script(character, &mut dice, few))
        }
        Step::Base64 { before, kind: 0 } => encoded.base64(before, &STANDARD),
        Step::Base64 { before, kind: 1 } => encoded.base64(before, &STANDARD_NO_PAD),
        Step::Base64 { before, kind: 2 } => encoded.base64(before, &URL_SAFE),
        Step::Base64 { before, .. } => encoded.base64(before, &URL_SAFE_NO_PAD),
        Step::Hex { is_upper, between } => encoded.each(|character| match is_upper {
            true => format!("{between}{:02X}", u32::from(character)),
            false => format!("{between}{:02x}", u32::from(character)),
        }),
        Step::Case { is_upper: true } => {
            encoded.each(|character| character.to_ascii_uppercase().into())
        }
        Step::Case { is_upper: false } => {
            encoded.each(|character| character.to_ascii_lowercase().into())
        }
        Step::Split { chance, blank } => {
            let mut dice = Dice(chance);
            encoded.split(blank, || dice.below(6) == 0)
        }
    }
}

/// What is shown of a text.
pub(super) fn shown(secret: &str, is_parameter: bool, text: &str) -> Option<String> {
    let (client_secret, value) = if is_parameter { ("hush", secret) } else { (secret, "1") };
    let credentials = Credentials::new("id", client_secret);
    let params = vec![("key".to_owned(), value.to_owned())];
    let options = Options { params, ..Options::default() };
    let request = TokenRequest::new(&options, None, &credentials, &ScopeSet::parse("a").unwrap());
    Hidden::new(&credentials, &request, "").clean(text)
}

/// The steps that leave the secret readable.
pub(crate) fn possible(mut steps: Vec<Step>) -> Vec<Step> {
    // Base64 in changed case cannot be decoded. And an encoder that leaves characters alone that it
    // has to encode cannot be combined with another one inside base64 or hex.
    let is_inner = |step: &Step| matches!(step, Step::Base64 { .. } | Step::Hex { .. });
    let last_inner = steps.iter().rposition(is_inner).unwrap_or(0);
    let first = steps.iter().position(|step| matches!(step, Step::Base64 { .. }));
    if last_inner > 0 || first.is_some() {
        for step in &mut steps {
            if let Step::Percent { few, .. }
            | Step::Json { few, .. }
            | Step::Html { few, .. }
            | Step::Script { few, .. } = step
            {
                *few = false;
            }
        }
    }
    let mut at = 0;
    steps.retain(|step| {
        at += 1;
        !(matches!(step, Step::Case { .. }) && first.is_some_and(|first| at > first))
    });
    steps
}

/// Whether five bytes of a part of a secret are shown after these steps. `around`: what the server
/// writes before and after it.
pub(crate) fn check(
    secret: &str,
    part: &str,
    is_parameter: bool,
    steps: &[Step],
    around: (&str, &str),
) -> Result<(), String> {
    let encoded = steps.iter().fold(Encoded::plain(part), |encoded, step| take(&encoded, step));
    let text = format!("{}{}{}", around.0, encoded.text, around.1);
    let Some(shown) = shown(secret, is_parameter, &text) else { return Ok(()) };
    let on_screen: String =
        encoded.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut pieces = encoded.pieces.iter().map(|&(start, end)| &on_screen[start..end]);
    match pieces.find(|piece| shown.contains(piece)) {
        Some(piece) => Err(format!("{piece:?} of {secret:?} by {steps:?} in {shown:?}")),
        None => Ok(()),
    }
}
