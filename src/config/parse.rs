//! Parses the text of an option's value.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::authority::Authority;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// `30`, `30s`, `250ms`, `20m`, `2h`; seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let malformed =
        || "must be a whole number, with or without ms, s, m or h, such as 30s".to_owned();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(malformed()),
    };
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    let duration = Duration::from_millis(number.saturating_mul(milliseconds));
    if (SHORTEST..=LONGEST).contains(&duration) {
        Ok(duration)
    } else {
        Err("is out of range: 1 ms to 24 h".to_owned())
    }
}

/// `true` or `false`, also `1` or `0`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A whole number in a range.
pub(crate) fn count(text: &str, least: u32, most: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| {
            text.starts_with(|c: char| c.is_ascii_digit()) && (least..=most).contains(number)
        })
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// A client id or secret. No control characters: those are copying mistakes.
pub(crate) fn credential(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("contains NUL bytes, as UTF-16 does: save it as UTF-8".to_owned());
    }
    no_control(text)
}

/// The start of a text, for a message of one line.
pub(crate) fn shown(text: &str, most_characters: usize) -> String {
    text.chars().filter(|character| !is_odd(*character)).take(most_characters).collect()
}

/// Control characters, and those that reorder or hide text on a screen.
#[inline(never)]
pub(crate) fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn no_control(text: &str) -> Result<&str, String> {
    match text.chars().any(char::is_control) {
        false => Ok(text),
        true => {
            Err("has a control character, such as a tab or a line break: check that it was copied \
                     exactly"
                .to_owned())
        }
    }
}

/// A file name. A relative one is resolved against the current directory now: daemons change it
/// later. No control characters: it appears in single-line messages.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("is empty".to_owned()),
        _ => std::path::absolute(no_control(text)?).map_err(|error| {
            format!("is relative, and the current directory is unknown ({error})")
        }),
    }
}

/// Text for an HTTP header: printable ASCII.
pub(crate) fn header_text(text: &str) -> Result<String, String> {
    let allowed =
        !text.is_empty() && text.len() <= 256 && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    allowed
        .then(|| text.to_owned())
        .ok_or_else(|| "must be 1 to 256 printable ASCII characters".to_owned())
}

/// Form fields that this library sets itself.
const RESERVED: [&str; 6] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
];

/// `key=value&key=value`, form-encoded.
pub(crate) fn params(text: &str) -> Result<Vec<(String, String)>, String> {
    // Otherwise the parser would insert U+FFFD, and a different value would be sent than was
    // written.
    if percent_encoding::percent_decode_str(text).decode_utf8().is_err() {
        let why = "has an escape that is not UTF-8; \u{e9}, for example, is %C3%A9, not %E9";
        return Err(why.to_owned());
    }
    let mut params: Vec<(String, String)> = Vec::new();
    for (key, value) in form_urlencoded::parse(text.as_bytes()).into_owned() {
        if key.is_empty() {
            return Err("has a field without a name".to_owned());
        }
        if RESERVED.contains(&key.as_str()) {
            return Err(format!("must not set {key}: the library does"));
        }
        if params.iter().any(|(known, _)| *known == key) {
            // Not the name: a secret may have been written there.
            return Err("has a parameter twice; each may be sent only once".to_owned());
        }
        params.push((key, value));
    }
    if params.is_empty() {
        return Err("must be written key=value&key=value".to_owned());
    }
    Ok(params)
}

/// Host names, each with an optional port. An entry that no URL could match is a mistake.
pub(crate) fn hosts(text: &str) -> Result<Vec<Authority>, String> {
    const WRITTEN: &str = "an entry is an exact host name, with :port if it is not 443";
    let entries = text.split([' ', ',']).filter(|entry| !entry.is_empty());
    let hosts: Vec<Authority> = entries
        .map(|entry| match Authority::parse(entry) {
            Ok(host) => Ok(host),
            Err(_) if entry.contains("://") => {
                Err(format!("has a URL instead of a host: {WRITTEN}"))
            }
            Err(_) if entry.parse::<Ipv6Addr>().is_ok() => {
                Err(format!("has an IPv6 address without brackets: {WRITTEN}"))
            }
            Err(fault) => Err(format!("{fault}: {WRITTEN}")),
        })
        .collect::<Result<_, _>>()?;
    if hosts.is_empty() {
        return Err("must be a list of exact host names, each with an optional :port".to_owned());
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_every_unit() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("250ms", 250),
            ("20m", 1_200_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn malformed_durations_are_refused() {
        for text in ["", "s", "-1", "1.5s", "1e3", "+5", " 5", "5 s", "5d", "5S", "\u{663}s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["0", "0ms", "25h", "1441m", "99999999999999999999999"] {
            assert!(duration(text).unwrap_err().contains("range"), "{text}");
        }
    }

    #[test]
    fn file_names_have_no_control_characters() {
        for text in ["", "/etc/a\nb", "a\u{1b}[2J", "a\0b", "file\t", "/a\u{85}"] {
            assert!(path(text).is_err(), "{text:?}");
        }
        for text in ["/", "a b", "/x/größe", "C:\\a", "'"] {
            assert!(path(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn counts_are_whole_and_in_range() {
        assert_eq!(count("600", 1, 1_000_000), Ok(600));
        for text in ["0", "1000001", "-1", "+1", "1.0", "", "x"] {
            assert!(count(text, 1, 1_000_000).is_err(), "{text}");
        }
    }

    #[test]
    fn params_may_not_shadow_the_librarys_own() {
        assert_eq!(params("audience=a%20b&x=1").unwrap()[0], ("audience".into(), "a b".into()));
        for text in ["scope=x", "client_secret=x", "grant_type=x", "a=1&a=2", "", "=1"] {
            assert!(params(text).is_err(), "{text}");
        }
    }

    #[test]
    fn params_are_sent_as_written_or_refused() {
        for (text, value) in [
            ("a=%C3%A9", "\u{e9}"),
            ("a=\u{e9}", "\u{e9}"),
            ("a=%EF%BF%BD", "\u{fffd}"),
            ("a=100%25", "100%"),
            ("a=100%", "100%"),
            ("a=%zz%4", "%zz%4"),
            ("a=%26%3D%2b+", "&=+ "),
        ] {
            assert_eq!(params(text), Ok(vec![("a".to_owned(), value.to_owned())]), "{text}");
        }
        for text in ["a=%ff", "a=1&b=%E9t%E9", "%ff=1", "a=%C3&b=%A9", "a=%ED%A0%80", "a=\u{e9}%FE"]
        {
            let problem = params(text).unwrap_err();
            assert!(problem.contains("UTF-8") && !problem.contains("t%E9"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_not_named() {
        for text in ["hush=1&hush=2", "hush&hush", "hush%05=&hush%05="] {
            let problem = params(text).unwrap_err();
            assert_eq!(problem, "has a parameter twice; each may be sent only once", "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_one_line_in_its_order() {
        for odd in
            ["\n", "\u{1b}", "\u{7f}", "\u{85}", "\u{2028}", "\u{2029}", "\u{202e}", "\u{2066}"]
        {
            assert_eq!(shown(&format!("5{odd} {odd}s\u{e9}"), 80), "5 s\u{e9}", "{odd:?}");
        }
        assert_eq!(shown("\u{1f600}\u{202e}\u{1f600}\u{e9}", 2), "\u{1f600}\u{1f600}");
    }

    #[test]
    fn values_of_other_kinds() {
        for (text, value) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(boolean(text), Ok(value), "{text}");
        }
        assert!(boolean("yes").is_err());
        assert_eq!(path(""), Err("is empty".to_owned()));
        assert_eq!(header_text(&"x".repeat(256)), Ok("x".repeat(256)));
        for refused in ["", "caf\u{e9}", "a\tb", &"x".repeat(257)] {
            assert!(header_text(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn hosts_are_exact() {
        let read = |text| hosts(text).map(|all| all.iter().map(Authority::to_string).collect());
        let shown: Result<Vec<String>, _> = read("Iris.Trackunit.com, b:8443 [FD00:0::1]");
        assert_eq!(shown.unwrap(), ["iris.trackunit.com", "b:8443", "[fd00::1]"]);
    }

    #[test]
    fn a_host_that_can_never_match_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "exact host names"),
            (" , ", "exact host names"),
            ("*.trackunit.com", "\"*\""),
            ("10.1", "ends in a number"),
            ("iris.trackunit.com.0x", "ends in a number"),
            (".trackunit.com", "extra dot"),
            ("user@host", "\"@\""),
            ("https://host", "a URL instead"),
            ("host/path", "\"/\""),
            ("host/", "\"/\""),
            ("host:99999", "port"),
            ("host:0", "port"),
            ("host:", "port"),
            ("host:x", "port"),
            (":443", "no host"),
            ("host:443:443", "port"),
            ("fd00::1", "without brackets"),
            ("[fd00::1", "IPv6"),
            ("[::1].evil.example", "IPv6"),
            ("host\tother", "0x09"),
            ("h\u{f6}st", "0xc3"),
            ("host%2eexample", "\"%\""),
            ("good.example host:99999", "port"),
        ] {
            let problem = hosts(text).unwrap_err();
            assert!(problem.contains(reason), "{text:?}: {problem}");
        }
    }
}
