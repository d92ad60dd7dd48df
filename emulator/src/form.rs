//! Strict parsing of form bodies: a lenient parser would hide a client's broken encoder.

use percent_encoding::percent_decode;

/// The first error in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A `%` not followed by two hexadecimal digits.
    Percent,
    /// The decoded bytes are not UTF-8.
    Utf8,
}

/// Names and values in order; `+` and `%20` both mean a space.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default();
            let value = halves.next().unwrap_or_default();
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// One name or value, decoded.
pub(crate) fn decode(text: &[u8]) -> Result<String, Fault> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(Fault::Percent),
        }
    }
    // A literal `+` is encoded as %2B, so this does not affect it.
    let blanks: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&blanks).collect()).map_err(|_| Fault::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_blanks_and_every_hard_character_are_read() {
        let form = parse(b"a=1+2%203&b=s%2Be%2Fc+r%3Dt%26%25%C3%A9&&c&d==").expect("a form");
        let expected = [("a", "1 2 3"), ("b", "s+e/c r=t&%\u{e9}"), ("c", ""), ("d", "=")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form, expected);
    }

    #[test]
    fn broken_encodings_are_distinguished() {
        for body in ["a=%", "a=%4", "a=%zz", "%=1", "a=%%41", "a=%+1"] {
            assert_eq!(parse(body.as_bytes()), Err(Fault::Percent), "{body}");
        }
        for body in [&b"a=%FF"[..], b"a=\xff", b"a=%C3%28"] {
            assert_eq!(parse(body), Err(Fault::Utf8));
        }
    }
}
