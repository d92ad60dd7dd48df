//! What the header of a response says.

use std::time::{Duration, SystemTime};

use ureq::http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING,
};

use super::dates;

/// Codings of RFC 9110 section 8.4.1 and of the registry, as servers use them.
const CODINGS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "compress", "x-gzip", "x-compress", "bzip2"];

/// Character sets that a message may name; any other text could be anything.
const CHARSETS: [&str; 8] = [
    "iso-8859-1",
    "iso-8859-15",
    "latin1",
    "utf-16",
    "utf-16be",
    "utf-16le",
    "utf-32",
    "windows-1252",
];

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// RFC 9110 section 10.2.3: seconds, or a date. A date is compared with the server's own clock if
/// it sends the time, because a device's clock may be off by years. If a gateway has added another one, as a field
/// or to a list, the longest counts.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let now = date(headers).unwrap_or(now);
    let wait = |value: &str| {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
        }
        let at = dates::read(value)?;
        Some(at.duration_since(now).unwrap_or_default())
    };
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    // A date has a comma itself.
    values.flat_map(|value| value.split(',').chain([value])).filter_map(wait).max()
}

pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    dates::read(text(headers, DATE.as_str())?)
}

/// The coding that makes the body something other than JSON, although none was accepted: a
/// predicate for "the answer". An unknown coding is ignored: some servers write `utf-8` there.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    [("Content-Encoding", CONTENT_ENCODING), ("Transfer-Encoding", TRANSFER_ENCODING)]
        .into_iter()
        .flat_map(|(shown, name)| headers.get_all(name).iter().map(move |value| (shown, value)))
        .filter_map(|(shown, value)| Some((shown, value.to_str().ok()?)))
        .flat_map(|(shown, value)| value.split(',').map(move |coding| (shown, coding.trim())))
        .find_map(|(shown, value)| {
            let coding = CODINGS.into_iter().find(|coding| coding.eq_ignore_ascii_case(value))?;
            Some(format!(
                "is compressed (its header says {shown}: {coding}), although that was not \
                 requested: a CDN or proxy on the way does it; disable it there"
            ))
        })
}

/// Why a body is not UTF-8 text, as far as its header explains it: a predicate for "the answer".
pub(super) fn no_utf8(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
    let charset = kind.split_once("charset=").map(|(_, rest)| {
        rest.split([';', ' ']).next().unwrap_or_default().trim_matches('"').to_owned()
    });
    let charset = charset.filter(|charset| !matches!(&**charset, "utf-8" | "utf8" | "us-ascii"));
    // UTF-16 has NUL in every second byte, JSON nowhere.
    let is_other = std::str::from_utf8(body).is_err() || (charset.is_some() && body.contains(&0));
    let explained = match &charset {
        _ if !is_other => return None,
        Some(charset) => match CHARSETS.into_iter().find(|known| known == charset) {
            Some(known) => format!(" (its header says charset={known}); JSON is sent as UTF-8"),
            None => " (its header names another charset); JSON is sent as UTF-8".to_owned(),
        },
        None if headers.contains_key(CONTENT_ENCODING) => {
            " (its header has a Content-Encoding that is not known)".to_owned()
        }
        None => String::new(),
    };
    Some(format!("is not valid UTF-8{explained}"))
}

/// Whether a server says that it received plain HTTP on a TLS port.
pub(super) fn wants_https(body: &[u8]) -> bool {
    // nginx, Apache, Go, Tomcat.
    says(body, &["https port", "ssl-enabled", "to an https server", "requires tls"])
}

/// Whether a server says that it requires another client certificate, or one at all.
pub(super) fn wants_certificate(body: &[u8]) -> bool {
    // nginx, and servers that say so in plain words.
    says(body, &["ssl certificate", "client certificate"])
}

/// Whether a page contains one of these words (given in lower case).
fn says(body: &[u8], words: &[&str]) -> bool {
    let body = String::from_utf8_lossy(&body[..body.len().min(4096)]).to_ascii_lowercase();
    words.iter().any(|word| body.contains(word))
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn wait(retry: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = headers(&[("retry-after", retry)]);
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn what_a_server_wants_is_read_from_its_page() {
        let (https, certificate) = (
            b"The plain HTTP request was sent to HTTPS port",
            b"No required SSL Certificate was sent",
        );
        assert!(wants_https(https) && !wants_https(certificate) && !wants_https(b""));
        assert!(wants_certificate(certificate) && !wants_certificate(https));
    }

    #[test]
    fn retry_after_in_both_forms() {
        assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
        assert_eq!(wait("0", None), Some(Duration::ZERO));
        assert!(wait("99999999999999999999999", None).unwrap() > Duration::from_secs(900));
        assert_eq!(wait("Thu, 01 Jan 1970 00:01:00 GMT", None), Some(Duration::from_secs(60)));
        for nonsense in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense}");
        }
    }

    #[test]
    fn of_several_the_longest_counts() {
        let twice = |one: &str, other: &str| {
            let both = headers(&[("retry-after", one), ("retry-after", other)]);
            retry_after(&both, SystemTime::UNIX_EPOCH)
        };
        let date = "Thu, 01 Jan 1970 00:01:00 GMT";
        for (one, other) in [("60", "5"), ("5", "60"), ("soon", "60"), (date, "5"), ("5", date)] {
            assert_eq!(twice(one, other), Some(Duration::from_secs(60)), "{one}, {other}");
        }
        assert_eq!(wait("5, 60", None), Some(Duration::from_secs(60)));
        assert_eq!(twice("soon", "-1"), None);
    }

    #[test]
    fn a_date_is_compared_with_the_servers_clock() {
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait(at, Some("Sun, 06 Nov 1994 08:49:07 GMT")), Some(Duration::from_secs(30)));
        assert_eq!(wait(at, Some("Sun, 06 Nov 1994 09:00:00 GMT")), Some(Duration::ZERO));
    }

    #[test]
    fn known_codings_are_named() {
        for (name, value, named) in [
            ("content-encoding", "gzip", "Content-Encoding: gzip"),
            ("content-encoding", " GZip ", "Content-Encoding: gzip"),
            ("content-encoding", "identity, br", "Content-Encoding: br"),
            ("content-encoding", "x-gzip", "Content-Encoding: x-gzip"),
            ("transfer-encoding", "gzip, chunked", "Transfer-Encoding: gzip"),
        ] {
            let told = coding(&headers(&[(name, value)])).unwrap();
            assert!(told.contains(named), "{value}: {told}");
        }
        let twice = [("content-encoding", "identity"), ("content-encoding", "zstd")];
        assert!(coding(&headers(&twice)).unwrap().contains("zstd"));
        for (name, value) in [
            ("content-encoding", "identity"),
            ("content-encoding", "utf-8"),
            ("content-encoding", ""),
            ("content-encoding", "hush-hush"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip"),
        ] {
            assert_eq!(coding(&headers(&[(name, value)])), None, "{value}");
        }
    }

    #[test]
    fn a_known_character_set_is_named_if_the_bytes_are_not_utf_8() {
        for (value, named) in [
            ("application/json; charset=ISO-8859-1", "charset=iso-8859-1"),
            ("application/json;charset=\"utf-16le\"; x=y", "charset=utf-16le"),
            ("application/json; charset=hush-hush", "another charset"),
        ] {
            let headers = headers(&[("content-type", value)]);
            for body in [&b"{\"a\":\"\xe9\"}"[..], b"{\0}\0"] {
                let told = no_utf8(&headers, body).unwrap();
                assert!(told.contains(named) && !told.contains("hush"), "{value}: {told}");
            }
            assert_eq!(no_utf8(&headers, b"{}"), None, "{value}");
        }
        for value in ["application/json", "application/json; charset=UTF-8", "text/html"] {
            let headers = headers(&[("content-type", value)]);
            assert_eq!(
                no_utf8(&headers, b"\xff").as_deref(),
                Some("is not valid UTF-8"),
                "{value}"
            );
        }
        let odd = headers(&[("content-encoding", "hush-hush")]);
        assert!(no_utf8(&odd, b"\xff").unwrap().contains("Content-Encoding that"));
        assert_eq!(no_utf8(&odd, b"{}"), None);
    }
}
