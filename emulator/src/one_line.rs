//! Texts shown in one line: a name in a list, an entry of the journal.

/// Whether a text is one line of visible characters, displayed in the order in which they are written.
pub(crate) fn is(text: &str) -> bool {
    !text.chars().any(is_odd)
}

/// The text with each invisible character replaced by a visible mark.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|letter| if is_odd(letter) { '\u{fffd}' } else { letter }).collect()
}

/// Characters that end a line, change the direction of text, or are invisible: texts that differ only in these look the
/// same. The joiners U+200C and U+200D are allowed, because some languages and emoji need them.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separator, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Invisible operators, isolates, and deprecated characters.
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags.
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_replaced() {
        for text in [
            "",
            "reports",
            "a b",
            "\u{e9}\u{4e2d}",
            "\u{1f469}\u{200d}\u{1f680}\u{fe0f}",
            "\u{645}\u{200c}\u{6cc}",
        ] {
            assert!(is(text) && shown(text) == text, "{text:?}");
        }
        for odd in [
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            let text = format!("a{odd}b");
            assert!(!is(&text) && shown(&text) == "a\u{fffd}b", "{text:?}");
        }
    }
}
