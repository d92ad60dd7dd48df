//! Secrets of all kinds, encoded by [`chains`](super::chains) of random encodings.

use proptest::prelude::*;

use super::chains::{Step, check, possible, shown};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<u64>(), any::<bool>(), any::<bool>())
            .prop_map(|(chance, few, plus)| Step::Percent { chance, few, plus }),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(chance, few)| Step::Json { chance, few }),
        3 => (any::<u64>(), any::<bool>()).prop_map(|(chance, few)| Step::Html { chance, few }),
        2 => (proptest::sample::select(vec!["", "i", "id:", "user:"]), 0..4_usize)
            .prop_map(|(before, kind)| Step::Base64 { before, kind }),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(chance, few)| Step::Script { chance, few }),
        1 => (any::<bool>(), proptest::sample::select(vec!["", " ", ":", "0x", "\\x"]))
            .prop_map(|(is_upper, between)| Step::Hex { is_upper, between }),
        1 => any::<bool>().prop_map(|is_upper| Step::Case { is_upper }),
        1 => (any::<u64>(), proptest::sample::select(vec![" ", "\n", "\r\n", "  "]))
            .prop_map(|(chance, blank)| Step::Split { chance, blank }),
    ]
}

fn chain() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 0..5).prop_map(possible)
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
        let outcome = check(&secret, part, is_parameter, &chain, (before, behind));
        prop_assert!(outcome.is_ok(), "{outcome:?}");
    }

    #[test]
    fn what_is_shown_is_short_and_plain(text in "\\PC{0,600}|(.|\n){0,600}") {
        if let Some(shown) = shown("hush-hush", false, &text) {
            prop_assert!(shown.chars().count() <= 256);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
