//! Sets of OAuth scopes (RFC 6749 section 3.3).

use crate::error::Error;
use crate::lists::{add_new, sort};

/// Longest accepted scope string, in bytes.
pub(crate) const MAX_SCOPE_BYTES: usize = 4 * 1024;

/// A validated, non-empty set of scopes, in wire order and in canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopeSet {
    wire: Box<str>,
    /// `None`: the same.
    canonical: Option<Box<str>>,
}

impl ScopeSet {
    /// Parses a space-separated list. Duplicates and extra spaces are dropped.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(Error::argument(format!(
                "the scope is {} bytes long; at most {MAX_SCOPE_BYTES} are allowed",
                text.len()
            )));
        }
        if let Some((position, character)) = text.char_indices().find(|&(_, c)| !is_allowed(c)) {
            return Err(Error::argument(format!(
                "the scope has {} at byte {position}; scopes are printable ASCII without quotes \
                 or backslashes, separated by single spaces (RFC 6749 section 3.3)",
                describe(character)
            )));
        }
        let mut in_order: Vec<&str> = Vec::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            add_new(&mut in_order, token);
        }
        if in_order.is_empty() {
            return Err(Error::argument(
                "the scope is empty; name at least one, such as \"asset.view\"",
            ));
        }
        let wire = in_order.join(" ");
        sort(&mut in_order);
        let canonical = Some(in_order.join(" ")).filter(|canonical| *canonical != wire);
        Ok(Self { wire: wire.into(), canonical: canonical.map(Into::into) })
    }

    /// The scopes in the first caller's order: sent in requests.
    pub(crate) fn wire(&self) -> &str {
        &self.wire
    }

    /// The scopes sorted: the key of the cache entry.
    pub(crate) fn canonical(&self) -> &str {
        self.canonical.as_deref().unwrap_or(&self.wire)
    }

    fn contains(&self, token: &str) -> bool {
        self.wire.split(' ').any(|own| own == token)
    }

    /// The members of this set that `granted` lacks, in this set's order.
    pub(crate) fn missing_from(&self, granted: &ScopeSet) -> Vec<String> {
        self.wire.split(' ').filter(|token| !granted.contains(token)).map(str::to_owned).collect()
    }
}

fn is_allowed(character: char) -> bool {
    matches!(character, ' '..='~') && character != '"' && character != '\\'
}

fn describe(character: char) -> String {
    match character {
        '"' => "a quote".to_owned(),
        '\\' => "a backslash".to_owned(),
        '\t' => "a tab".to_owned(),
        '\n' | '\r' => "a line break".to_owned(),
        c if c.is_control() => format!("the control character U+{:04X}", c as u32),
        c => format!("the character U+{:04X}, which is not ASCII,", c as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_described() {
        assert_eq!(describe('\u{7}'), "the control character U+0007");
        assert_eq!(describe('\u{e9}'), "the character U+00E9, which is not ASCII,");
        assert_eq!(describe('\r'), "a line break");
    }

    #[test]
    fn one_set_has_one_canonical_form_and_keeps_its_order_on_the_wire() {
        for text in ["b a", "  b   a ", "b a b"] {
            let scope = ScopeSet::parse(text).unwrap();
            assert_eq!(scope.canonical(), "a b");
            assert_eq!(scope.wire(), "b a");
        }
    }

    #[test]
    fn case_matters() {
        assert_eq!(ScopeSet::parse("A a").unwrap().canonical(), "A a");
    }

    #[test]
    fn forbidden_characters_are_named() {
        for (text, word) in [
            ("", "empty"),
            ("   ", "empty"),
            ("a\"b", "quote"),
            ("a\\b", "backslash"),
            ("a\tb", "tab"),
            ("a\nb", "line break"),
            ("a\u{1}b", "U+0001"),
            ("\u{7f}", "U+007F"),
            ("sk\u{e9}", "not ASCII"),
        ] {
            let error = ScopeSet::parse(text).unwrap_err();
            assert!(error.message().contains(word), "{text:?}: {error}");
        }
        assert!(ScopeSet::parse(&"a".repeat(4096)).is_ok());
        assert!(ScopeSet::parse(&"a".repeat(4097)).is_err());
    }

    #[test]
    fn missing_from_lists_scopes_not_granted() {
        let asked = ScopeSet::parse("c a b").unwrap();
        let granted = ScopeSet::parse("a").unwrap();
        assert_eq!(asked.missing_from(&granted), ["c", "b"]);
        assert!(granted.missing_from(&asked).is_empty());
    }
}
