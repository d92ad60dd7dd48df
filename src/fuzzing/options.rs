//! Values that a program or its environment sets.

use std::time::Duration;

use super::text::{assert_hidden, assert_plain};
use crate::config::api_hosts::host_to_send_to;
use crate::config::authority::{self, Authority};
use crate::config::given::Given;
use crate::config::parse;
use crate::config::table::{OPTIONS, OptionSpec};
use crate::config::token_url::TokenUrl;
use crate::scope::{MAX_SCOPE_BYTES, ScopeSet};

/// What a password stands for in an input: one control character.
const PASSWORD: &str = "Zk~9-q7R_w8";
const PASSWORD_SIGN: char = '\u{1}';

fn lines(data: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(data).replace(PASSWORD_SIGN, PASSWORD);
    text.split('\n').map(str::to_owned).collect()
}

/// Two scopes, a line each.
pub fn scope(data: &[u8]) {
    let lines = lines(data);
    let sets: Vec<ScopeSet> = lines.iter().take(2).filter_map(|text| checked_scope(text)).collect();
    let [one, other] = &sets[..] else { return };
    let missing = one.missing_from(other);
    let of_one: Vec<&str> = one.wire().split(' ').collect();
    let of_other: Vec<&str> = other.wire().split(' ').collect();
    let expected: Vec<&str> =
        of_one.iter().copied().filter(|scope| !of_other.contains(scope)).collect();
    assert_eq!(missing, expected);
    let is_same = missing.is_empty() && other.missing_from(one).is_empty();
    assert_eq!(is_same, one.canonical() == other.canonical());
}

fn checked_scope(text: &str) -> Option<ScopeSet> {
    match ScopeSet::parse(text) {
        Ok(set) => {
            let mut names: Vec<&str> = set.wire().split(' ').collect();
            assert!(names.iter().all(|name| !name.is_empty() && text.contains(name)));
            assert!(set.wire().len() <= MAX_SCOPE_BYTES);
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "a scope twice");
            assert_eq!(set.canonical(), names.join(" "));
            assert_eq!(ScopeSet::parse(set.wire()).as_ref().ok(), Some(&set));
            let sorted = ScopeSet::parse(set.canonical()).expect("the same scopes");
            assert_eq!(sorted.canonical(), set.canonical());
            Some(set)
        }
        Err(error) => {
            assert_plain(error.message());
            None
        }
    }
}

/// Each line: `key=value`.
pub fn options(data: &[u8]) {
    let mut given = Given::default();
    for line in lines(data).iter().take(20) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        given.set(key, value);
        if let Some(option) = OPTIONS.iter().find(|option| option.key == key) {
            check_value(option, value);
        }
    }
    match given.resolve(false, |_| false) {
        Ok(options) => {
            assert!(!options.request_form_has_reserved_fields());
            let limits = Duration::ZERO..=Duration::from_secs(24 * 3600);
            for time in [options.timeout, options.connect_timeout, options.store_timeout] {
                assert!(limits.contains(&time), "{time:?}");
            }
            assert!(!format!("{options:?}").contains(PASSWORD));
        }
        Err(error) => {
            assert_plain(error.message());
        }
    }
}

impl crate::config::options::Options {
    fn request_form_has_reserved_fields(&self) -> bool {
        let ours = ["grant_type", "client_id", "client_secret", "scope"];
        self.params.iter().any(|(key, _)| ours.contains(&key.as_str()))
    }
}

fn check_value(option: &OptionSpec, value: &str) {
    let mut alone = Given::default();
    alone.set(option.key, value);
    if let Err(error) = alone.resolve(true, |_| false) {
        assert_plain(error.message());
        if option.holds_secret(value) {
            assert_hidden(PASSWORD, error.message());
        }
    }
    // What may be shown contains no password of a URL.
    if value.contains(&format!(":{PASSWORD}@")) && option.secret {
        assert!(option.holds_secret(value), "{}={value}", option.key);
    }
}

/// Where a URL leads, by this library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The URL, as it was set.
    pub url: String,
    /// Scheme, host and port, if a secret may be sent there.
    pub secret_to: Option<(String, String, u16)>,
    /// The host, if a token may be sent there.
    pub token_to: Option<String>,
}

/// A URL, and in the second line the hosts that a token may be sent to.
pub fn url(data: &[u8]) -> Named {
    let lines = lines(data);
    let url = lines[0].clone();
    let hosts = lines.get(1).and_then(|hosts| parse::hosts(hosts).ok()).unwrap_or_default();
    for host in &hosts {
        assert_eq!(Authority::parse(&host.to_string()).as_ref(), Ok(host));
    }
    let authority = authority::of_url(&url).ok();
    let secret_to = match TokenUrl::parse(&url) {
        Ok(token_url) => {
            let (scheme, named) = authority.clone().expect("a URL that a secret may be sent to");
            assert_eq!(token_url.host().to_ascii_lowercase(), host_as_written(&url));
            assert_authority(&url, &named.host);
            assert!(scheme == "https" || scheme == "http" && named.is_loopback());
            let shown = token_url.to_string();
            assert!(shown.split_once('?').is_none_or(|(_, query)| query == "..."), "{shown}");
            let port = named.port.unwrap_or(if scheme == "https" { 443 } else { 80 });
            Some((scheme, named.host, port))
        }
        Err(problem) => {
            assert_plain(&problem);
            None
        }
    };
    let token_to = host_to_send_to(&url, &hosts);
    if let Some(host) = &token_to {
        let (scheme, named) = authority.expect("a URL that a token may be sent to");
        assert_eq!(*host, named.host);
        assert_authority(&url, host);
        let is_listed = hosts.iter().any(|listed| listed.host == *host) && scheme == "https";
        assert!(is_listed || named.is_loopback());
    }
    Named { url, secret_to, token_to }
}

/// Nothing but this host, and a port: what follows an address, another program may take for more of the host's name.
fn assert_authority(url: &str, host: &str) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let written = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let after = match written.rfind(']') {
        Some(bracket) => &written[bracket + 1..],
        None => written.get(host.len()..).unwrap_or("no port"),
    };
    let digits = after.strip_prefix(':').filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse::<u16>().ok());
    assert!(after.is_empty() || port.is_some_and(|port| port > 0), "{written}: {host}");
}

/// The host in a URL that has no user info, in lower case.
fn host_as_written(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority[..end].to_ascii_lowercase()
}

/// The URL of a Redis server.
#[cfg(feature = "redis")]
pub fn redis_url(data: &[u8]) {
    use crate::config::redis_url;

    let url = &lines(data)[0];
    if !redis_url::is_meant(url) {
        return;
    }
    match redis_url::parse(url) {
        Ok(target) => {
            let shown = target.shown();
            let password = target.password.as_ref().map(|password| password.reveal().to_owned());
            // A path or a host may be called like it.
            let is_elsewhere = url.matches(PASSWORD).count() > 1;
            if password.is_some_and(|password| password.contains(PASSWORD)) && !is_elsewhere {
                assert!(!format!("{target:?} {shown}").contains(PASSWORD), "{target:?} {shown}");
            }
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
        Err(problem) => {
            assert_plain(&problem);
            assert_hidden(PASSWORD, &problem);
        }
    }
}
