//! What must be true of every text for a person: short, on one line, and without a secret.

/// Maximum length of a message: a few quoted texts, and this library's own words.
const LONGEST: usize = 8 * 1024;

#[track_caller]
pub(super) fn assert_plain(text: &str) {
    assert!(text.len() <= LONGEST, "{} bytes: {text:?}", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// No five bytes of it are in the text, in any case.
#[track_caller]
pub(super) fn assert_hidden(secret: &str, text: &str) {
    let text_in_lower_case = text.to_ascii_lowercase();
    for piece in secret.to_ascii_lowercase().as_bytes().windows(5) {
        let is_shown = text_in_lower_case.as_bytes().windows(5).any(|five| five == piece);
        assert!(!is_shown, "{:?} in {text:?}", String::from_utf8_lossy(piece));
    }
}

/// The pieces that cannot be this library's own words.
pub(super) fn odd_pieces(value: &str) -> impl Iterator<Item = &str> {
    (0..value.len()).filter_map(|at| value.get(at..at + 5)).filter(|piece| {
        piece.bytes().any(|byte| byte.is_ascii_digit())
            && piece.bytes().any(|byte| byte.is_ascii_uppercase())
            && piece.bytes().any(|byte| byte.is_ascii_lowercase())
    })
}
