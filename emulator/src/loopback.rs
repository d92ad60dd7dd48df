//! Refuses requests that a foreign web page could have made.
//!
//! The emulator listens on loopback only, but a browser on the same machine can reach it, and a hostile page may make its
//! own name resolve to 127.0.0.1 (DNS rebinding). Such a request names the page's host in `Host` or `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use hyper::header::{HOST, HeaderMap, ORIGIN};

/// Whether every host named in this request is this machine.
pub(crate) fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let origins =
        headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(origin_is_local));
    let target = uri.authority().is_none_or(|named| authority_is_local(named.as_str()));
    host.to_str().is_ok_and(authority_is_local) && target && origins
}

/// Whether a request comes from the emulator's own page, or from no web page at all.
///
/// A page of another program on this machine has another port and therefore another origin.
pub(crate) fn is_own_page(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.strip_prefix("http://").is_some_and(|named| named.eq_ignore_ascii_case(host))
    })
}

/// `http://localhost:3000`, but not `null`, which pages with an opaque origin send.
fn origin_is_local(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| authority_is_local(authority))
}

/// A host with nothing after it but a port. A lenient parser would stop at the bracket and accept `[::1].example.com`.
fn authority_is_local(authority: &str) -> bool {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_address..].find(':') {
        Some(at) => {
            let (host, port) = authority.split_at(after_address + at);
            host_is_local(host) && is_port(&port[1..])
        }
        None => host_is_local(authority),
    }
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse::<u16>().is_ok_and(|port| port > 0)
}

fn host_is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || address
            .is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(host: &[&str], origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, host.parse().expect("a header"));
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().expect("a header"));
        }
        is_local(&Uri::from_static("/token/v2"), &headers)
    }

    #[test]
    fn names_of_this_machine_are_accepted() {
        for host in [
            "127.0.0.1:8477",
            "127.0.0.1",
            "127.9.9.9:1",
            "localhost:8477",
            "LOCALHOST",
            "[::1]:8477",
            "[::1]",
        ] {
            assert!(local(&[host], None), "{host}");
        }
        assert!(local(&["localhost"], Some("http://localhost:3000")));
        assert!(local(&["localhost"], Some("http://[::1]:3000")));
    }

    #[test]
    fn the_emulators_own_page_has_the_same_host_and_port() {
        for (origin, own) in [
            (None, true),
            (Some("http://localhost:8477"), true),
            (Some("http://LOCALHOST:8477"), true),
            (Some("https://localhost:8477"), false),
            (Some("http://localhost:3000"), false),
            (Some("http://localhost"), false),
            (Some("http://127.0.0.1:8477"), false),
            (Some("null"), false),
            (Some(""), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost:8477".parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("a header"));
            }
            assert_eq!(is_own_page(&headers), own, "{origin:?}");
        }
    }

    #[test]
    fn every_other_name_is_not() {
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "0.0.0.0",
            "10.0.0.1",
            "a@localhost",
            "localhost@example.com",
            "[::2]",
            "[::1].example.com",
            "[::1]example.com:8477",
            "::1",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "127.1",
            "localhost.",
        ] {
            assert!(!local(&[host], None), "{host}");
        }
        assert!(!local(&[], None));
        assert!(!local(&["localhost", "localhost"], None));
        for origin in [
            "https://example.com",
            "null",
            "",
            "localhost",
            "http://localhost@example.com",
            "http://[::1].example.com",
            "http://localhost/",
        ] {
            assert!(!local(&["localhost"], Some(origin)), "{origin}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().expect("a header"));
        for uri in ["http://example.com/token/v2", "http://[::1].example.com/token/v2"] {
            assert!(!is_local(&Uri::from_static(uri), &headers), "{uri}");
        }
    }
}
