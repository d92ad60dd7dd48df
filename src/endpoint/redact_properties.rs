//! Secrets of all kinds, encoded by chains of what servers and proxies do to texts. The check is
//! independent of the search it tests: it follows each piece of the secret through the same chain,
//! and no piece may appear in what is shown.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

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
enum Step {
    Percent { chance: u64, few: bool, plus: bool },
    Json { chance: u64, few: bool },
    Html { chance: u64, few: bool },
    Base64 { before: &'static str, kind: usize },
    Hex { is_upper: bool, between: &'static str },
    Case { is_upper: bool },
    Split { chance: u64, blank: &'static str },
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

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<u64>(), any::<bool>(), any::<bool>())
            .prop_map(|(chance, few, plus)| Step::Percent { chance, few, plus }),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(chance, few)| Step::Json { chance, few }),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(chance, few)| Step::Html { chance, few }),
        2 => (proptest::sample::select(vec!["", "i", "id:", "user:"]), 0..4_usize)
            .prop_map(|(before, kind)| Step::Base64 { before, kind }),
        1 => (any::<bool>(), proptest::sample::select(vec!["", " ", ":", "0x", "\\x"]))
            .prop_map(|(is_upper, between)| Step::Hex { is_upper, between }),
        1 => any::<bool>().prop_map(|is_upper| Step::Case { is_upper }),
        1 => (any::<u64>(), proptest::sample::select(vec![" ", "\n", "\r\n", "  "]))
            .prop_map(|(chance, blank)| Step::Split { chance, blank }),
    ]
}

fn chain() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 0..5).prop_map(|mut steps| {
        // Base64 in changed case cannot be decoded. And an encoder that leaves characters alone
        // that it has to encode cannot be combined with another one inside base64 or hex.
        let is_inner = |step: &Step| matches!(step, Step::Base64 { .. } | Step::Hex { .. });
        let last_inner = steps.iter().rposition(is_inner).unwrap_or(0);
        if last_inner > 0 || steps.iter().any(|step| matches!(step, Step::Base64 { .. })) {
            for step in &mut steps {
                if let Step::Percent { few, .. } | Step::Json { few, .. } | Step::Html { few, .. } =
                    step
                {
                    *few = false;
                }
            }
        }
        let first = steps.iter().position(|step| matches!(step, Step::Base64 { .. }));
        let mut at = 0;
        steps.retain(|step| {
            at += 1;
            !(matches!(step, Step::Case { .. }) && first.is_some_and(|first| at > first))
        });
        steps
    })
}

/// Printable ASCII, with many of the characters that encodings change.
fn secret() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => proptest::char::range(' ', '~'),
        2 => proptest::sample::select("~/+%&\"<\\ =".chars().collect::<Vec<_>>()),
        3 => proptest::sample::select("abcxyzABCXYZ0123456789".chars().collect::<Vec<_>>()),
    ];
    proptest::collection::vec(character, 8..30).prop_map(|all| all.into_iter().collect())
}

/// What is shown of a text.
fn shown(secret: &str, is_parameter: bool, text: &str) -> Option<String> {
    let (client_secret, value) = if is_parameter { ("hush", secret) } else { (secret, "1") };
    let credentials = Credentials::new("id", client_secret);
    let params = vec![("key".to_owned(), value.to_owned())];
    let options = Options { params, ..Options::default() };
    let request = TokenRequest::new(&options, &credentials, &ScopeSet::parse("a").unwrap());
    Hidden::new(&credentials, &request, "").clean(text)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // The same cases in each run; PROPTEST_RNG_SEED and PROPTEST_CASES search further.
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(1_500)
    })]

    #[test]
    fn no_piece_of_a_secret_is_shown_in_any_encoding(
        secret in secret(),
        chain in chain(),
        cut in proptest::option::of((0..30_usize, 5..30_usize)),
        is_parameter in any::<bool>(),
        (before, behind) in proptest::sample::select(vec![
            ("", ""), ("bad: ", "!"), ("you sent \"", "\", which is wrong"), ("100% ", " 25"), ("x=", "&y=z"),
        ]),
    ) {
        let (from, length) = cut.unwrap_or((0, 30));
        let from = from.min(secret.len() - 5);
        let part = &secret[from..(from + length).min(secret.len())];
        let encoded = chain.iter().fold(Encoded::plain(part), |encoded, step| take(&encoded, step));
        let text = format!("{before}{}{behind}", encoded.text);
        if let Some(shown) = shown(&secret, is_parameter, &text) {
            let on_screen: String = encoded.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            for &(start, end) in &encoded.pieces {
                let piece = &on_screen[start..end];
                prop_assert!(!shown.contains(piece), "{piece:?} of {secret:?} by {chain:?} in {shown:?}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_short_and_plain(text in "\\PC{0,600}|(.|\n){0,600}") {
        if let Some(shown) = shown("hush-hush", false, &text) {
            prop_assert!(shown.chars().count() <= 256);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
