//! Lists of scopes: words of a restricted alphabet separated by spaces (RFC 6749, section 3.3).

/// The words of a list in order, or `None` if it contains a character not allowed in scopes.
pub(crate) fn words(list: &str) -> Option<Vec<String>> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    list.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| word.bytes().all(allowed).then(|| word.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spaces_separate_words() {
        assert_eq!(words(" b  a b ").expect("a list"), ["b", "a", "b"]);
        assert_eq!(words("a,b").expect("one word"), ["a,b"]);
        assert_eq!(words("").expect("none"), Vec::<String>::new());
    }

    #[test]
    fn other_characters_make_the_list_invalid() {
        for list in ["a\tb", "a\nb", "\"a\"", "a\\b", "\u{e9}", "a\u{a0}b"] {
            assert_eq!(words(list), None, "{list:?}");
        }
    }
}
