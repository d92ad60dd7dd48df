//! The token URL and the way to it, and where a token may be sent.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;
use zeroize::Zeroizing;

use super::authority::{self, Authority, Fault, is_loopback};
use crate::secret::Secret;

/// The documented token endpoint.
const DEFAULT_URL: &str = "https://auth.trackunit.com/token/v2";
const HTTPS_PORT: u16 = 443;

/// A URL that a secret may be sent to. Shown without its query, in which another secret may stand.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenUrl(Uri);

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.to_string();
        match url.split_once('?') {
            // That there is one shows.
            Some((rest, _)) => write!(f, "{rest}?..."),
            None => f.write_str(&url),
        }
    }
}

impl fmt::Debug for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Default for TokenUrl {
    fn default() -> Self {
        Self(Uri::from_static(DEFAULT_URL))
    }
}

impl TokenUrl {
    /// Refuses whatever would send a secret in clear or elsewhere than it seems.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let read = authority::check_printable(text).and_then(|()| authority::of_url(text));
        let (scheme, named) = read.map_err(|fault| match fault {
            Fault::UserInfo => format!("{fault}: use client_id and client_secret"),
            Fault::Scheme | Fault::NoHost => {
                format!("{fault}; a URL is written https://host/path, such as {DEFAULT_URL}")
            }
            _ => fault.to_string(),
        })?;
        if text.contains('#') {
            return Err("has a fragment (#...), which is never sent".to_owned());
        }
        match scheme.as_str() {
            "https" => {}
            "http" if named.is_loopback() => {}
            "http" => {
                return Err(format!(
                    "is plain http to \"{}\": the secret would travel in clear; use https \
                     (http is for 127.0.0.0/8, [::1] and localhost alone)",
                    named.host
                ));
            }
            _ => return Err(format!("has the scheme \"{scheme}\"; use https")),
        }
        let uri: Uri = text.parse().map_err(|_| format!("is not a URL such as {DEFAULT_URL}"))?;
        Ok(Self(uri))
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(HTTPS_PORT)
    }
}

/// The host of a URL that a token may be sent to, in lower case: this machine in any case, else by
/// https a host in the list. `None`: it may not.
pub(crate) fn host_to_send_to(url: &str, hosts: &[Authority]) -> Option<String> {
    let (scheme, named) = authority::of_url(url).ok()?;
    let (is_https, is_http) = (scheme == "https", scheme == "http");
    if named.is_loopback() {
        return (is_https || is_http).then_some(named.host);
    }
    let port = |of: &Authority| of.port.unwrap_or(HTTPS_PORT);
    let is_listed = |entry: &Authority| entry.host == named.host && port(entry) == port(&named);
    (is_https && hosts.iter().any(is_listed)).then_some(named.host)
}

/// What the `proxy` option says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyChoice {
    FromEnvironment,
    None,
    Url(Secret),
}

impl ProxyChoice {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let known = ["http://", "https://", "socks5://", "socks5h://"];
        if !known.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(
                "is http://host:port, https://host:port, socks5://host:port or none".to_owned()
            );
        }
        proxy_at(text)?;
        Ok(Self::Url(Secret::new(text)))
    }

    /// The proxy for a URL, decided once: a client does not change its way.
    pub(crate) fn for_url(
        &self,
        url: &TokenUrl,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<ureq::Proxy>, String> {
        if is_loopback(url.host()) {
            return Ok(None);
        }
        let (text, source) = match self {
            Self::None => return Ok(None),
            Self::Url(text) => (text.clone(), "proxy"),
            Self::FromEnvironment => match proxy_of_environment(url, environment) {
                Some(text) => (Secret::new(text), "HTTPS_PROXY"),
                None => return Ok(None),
            },
        };
        proxy_at(text.reveal()).map(Some).map_err(|problem| format!("{source} {problem}"))
    }
}

/// The longest user or password that SOCKS5 has place for (RFC 1929).
const MOST_SOCKS_BYTES: usize = 255;

/// The proxy at a URL. Every SOCKS5 proxy is told the host's name: whoever needs a proxy to get
/// out often has no DNS that knows what lies outside.
fn proxy_at(url: &str) -> Result<ureq::Proxy, String> {
    const NO_URL: &str = "is not a proxy URL such as http://host:port";
    check_login(url)?;
    let proxy = ureq::Proxy::new(url).map_err(|_| NO_URL)?;
    // Only what stands behind user and password, which may hold any sign that is encoded.
    let authority = proxy.uri().authority().ok_or(NO_URL)?.as_str();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    Authority::parse(host_and_port).map_err(|fault| format!("{fault}; it {NO_URL}"))?;
    let [user, password] = [proxy.username(), proxy.password()].map(Option::unwrap_or_default);
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https if user.contains(':') => {
            return Err("has a colon in the user, which Basic has no place for".to_owned());
        }
        ureq::ProxyProtocol::Socks5 | ureq::ProxyProtocol::Socks5h
            if user.len().max(password.len()) > MOST_SOCKS_BYTES =>
        {
            return Err(format!(
                "has a user or password of more than {MOST_SOCKS_BYTES} bytes, the most that SOCKS5 \
                 has place for"
            ));
        }
        _ => {}
    }
    match url.split_once("://") {
        Some((_, rest)) if proxy.protocol() == ureq::ProxyProtocol::Socks5 => {
            Ok(ureq::Proxy::new(&Zeroizing::new(format!("socks5h://{rest}")))
                .map_err(|_| NO_URL)?)
        }
        _ => Ok(proxy),
    }
}

/// User and password are what stands before the last `@`, as RFC 3986 section 3.2.1 has them: a
/// bare `/`, `#` or `@` in a password would end it there, and send its start as another login, or
/// its end to a name server.
fn check_login(url: &str) -> Result<(), String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some((login, _)) = rest.rsplit_once('@') else { return Ok(()) };
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = login.as_bytes();
    let is_fit = bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)),
        _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(byte),
    });
    match is_fit {
        true => Ok(()),
        false => Err("has a character in user or password that would end them, or that a URL may \
                      not have: percent-encode them (\\ is %5C, / is %2F, # is %23, ? is %3F, @ is \
                      %40, % is %25, a blank is %20, any other one its bytes in UTF-8)"
            .to_owned()),
    }
}

fn proxy_of_environment(
    url: &TokenUrl,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    // Lower case first, as curl reads them.
    let either = |lower: &str, upper: &str| {
        environment(lower).or_else(|| environment(upper)).filter(|value| !value.is_empty())
    };
    let proxy = either("https_proxy", "HTTPS_PROXY")?;
    let exceptions = either("no_proxy", "NO_PROXY").unwrap_or_default();
    let excepted = exceptions
        .split(|separator: char| separator == ',' || separator.is_whitespace())
        .filter(|rule| !rule.is_empty())
        .any(|rule| rule_matches(rule, url.host(), url.port()));
    (!excepted).then_some(proxy)
}

/// One rule of NO_PROXY: `*`, an address, a network `10.0.0.0/8`, or a domain with all below it;
/// each but `*` with an optional port. A dot at the end says that a domain is whole: all are here.
fn rule_matches(rule: &str, host: &str, port: u16) -> bool {
    if rule == "*" {
        return true;
    }
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    if let Some((network, length)) = rule.split_once('/') {
        return network_contains(network, length, bare_host);
    }
    let (rule_host, rule_port) = match rule.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, Some(digits)),
        _ => (rule, None),
    };
    // What is no port is not this one either.
    if rule_port.is_some_and(|digits| digits.parse() != Ok(port)) {
        return false;
    }
    let rule_host = rule_host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if let Ok(address) = bare_host.parse::<IpAddr>() {
        return rule_host.parse() == Ok(address);
    }
    let domain = rule_host.trim_start_matches("*.").trim_matches('.');
    let host = bare_host.trim_end_matches('.').to_ascii_lowercase();
    !domain.is_empty()
        && (host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

fn network_contains(network: &str, length: &str, host: &str) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let (Ok(network), Ok(host), Ok(length)) =
        (network.parse::<IpAddr>(), host.parse::<IpAddr>(), length.parse::<u32>())
    else {
        return false;
    };
    let ((network, most), (host, host_most)) = (bits(network), bits(host));
    let shift = 128u32.saturating_sub(length);
    let prefix = |address: u128| address.checked_shr(shift).unwrap_or(0);
    most == host_most && length <= most && prefix(network) == prefix(host)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn the_default_is_the_documented_url() {
        assert_eq!(TokenUrl::default().uri().to_string(), "https://auth.trackunit.com/token/v2");
    }

    #[test]
    fn the_query_is_sent_and_not_shown() {
        let url = TokenUrl::parse("https://auth.example/token?key=hush&x=y?z").unwrap();
        assert_eq!(url.uri().query(), Some("key=hush&x=y?z"));
        assert_eq!(
            format!("{url} {url:?}"),
            "https://auth.example/token?... https://auth.example/token?..."
        );
        let bare = TokenUrl::default();
        assert_eq!(bare.to_string(), bare.uri().to_string());
    }

    #[test]
    fn https_anywhere_and_http_to_this_machine() {
        for url in [
            "https://auth.example/token",
            "HTTPS://auth.example/token/",
            "https://host:8443/a?b=c",
            "http://127.0.0.1:80/t",
            "http://127.9.9.9/t",
            "http://[::1]:1/t",
            "http://localhost/t",
            "http://LocalHost:9/t",
        ] {
            assert!(TokenUrl::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_would_leak_is_refused_by_its_reason() {
        for (url, reason) in [
            ("http://auth.example/token", "plain http"),
            ("http://localhost.example/t", "plain http"),
            ("http://127.0.0.1.example/t", "plain http"),
            ("http://0.0.0.0/t", "plain http"),
            ("http://[::ffff:127.0.0.1]/t", "plain http"),
            ("https://user:hush@host/t", "user info"),
            ("https://user@host/t", "user info"),
            ("https://host/t#part", "fragment"),
            ("https://host/\n", "0x0a"),
            ("https://host/a b", "0x20"),
            ("https://host/?q=\u{e9}", "0xc3"),
            ("https://ho st/", "0x20"),
            ("https://h\u{f6}st/", "0xc3"),
            ("https://host:99999/t", "port"),
            ("https://host:x/t", "port"),
            ("https://host:/t", "port"),
            ("https://host:0/t", "port"),
            ("https://host:0443/t", "port"),
            ("https://[::1].evil.example/t", "bracket"),
            ("http://127.1/t", "plain http"),
            ("http://0x7f.1/t", "plain http"),
            ("http://2130706433/t", "plain http"),
            ("http://localhost./t", "plain http"),
            ("https://ho%2est/t", "\"%\""),
            ("https://host\\.evil.example/t", "\"\\\""),
            ("https://a..b/t", "dot"),
            ("https:host/t", "scheme"),
            ("//host/t", "scheme"),
            ("ftp://host/", "scheme"),
            ("/token", "scheme"),
            ("", "URL"),
            ("https://", "host"),
            ("https:///host", "host"),
        ] {
            let problem = TokenUrl::parse(url).unwrap_err();
            assert!(problem.contains(reason), "{url}: {problem}");
            assert!(!problem.contains("hush"));
        }
    }

    fn proxy(no_proxy: &str, url: &str) -> Option<String> {
        let environment = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://proxy:3128".to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            "HTTP_PROXY" | "http_proxy" => panic!("not for https"),
            _ => None,
        };
        ProxyChoice::FromEnvironment
            .for_url(&TokenUrl::parse(url).unwrap(), &environment)
            .unwrap()
            .map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn exceptions_from_the_proxy() {
        let url = "https://auth.trackunit.com/t";
        for rule in [
            "*",
            "trackunit.com",
            ".trackunit.com",
            "*.trackunit.com",
            "a,AUTH.trackunit.com",
            "trackunit.com:443",
        ] {
            assert_eq!(proxy(rule, url), None, "{rule}");
        }
        for rule in [
            "",
            "unit.com",
            "trackunit.com:8443",
            "trackunit.com:99999",
            "trackunit.com:",
            "auth.trackunit.com.evil",
            "10.0.0.0/8",
        ] {
            assert!(proxy(rule, url).is_some(), "{rule}");
        }
        assert_eq!(proxy("10.0.0.0/8", "https://10.1.2.3/t"), None);
        assert!(proxy("10.0.0.0/8", "https://11.1.2.3/t").is_some());
        assert_eq!(proxy("fd00::/8", "https://[fd12::1]/t"), None);
        assert_eq!(proxy("0.0.0.0/0", "https://11.1.2.3/t"), None);
    }

    #[test]
    fn exceptions_are_read_as_people_write_them() {
        let url = "https://auth.trackunit.com/t";
        for rules in [
            "trackunit.com.",
            ".trackunit.com.",
            "trackunit.com.:443",
            "a.example,\ttrackunit.com\t",
            "a.example\ntrackunit.com\n",
            "a.example\r\ntrackunit.com\r\n",
            "a.example , trackunit.com ,",
            "\t*\n",
            "10.0.0.0/8\ttrackunit.com",
        ] {
            assert_eq!(proxy(rules, url), None, "{rules:?}");
        }
        for rules in [".", "..", "trackunit.com.:8443", "com.trackunit", "track\tunit.com"] {
            assert!(proxy(rules, url).is_some(), "{rules:?}");
        }
        assert_eq!(proxy("fd00:0::1", "https://[fd00::1]/t"), None);
        assert_eq!(proxy("[FD00::1]:443", "https://[fd00::1]/t"), None);
        assert!(proxy("0.0.1", "https://10.0.0.1/t").is_some());
    }

    #[test]
    fn tokens_go_to_listed_hosts_and_to_this_machine() {
        let hosts = parse::hosts("iris.trackunit.com b.example:8443 [FD00:0::1]:444").unwrap();
        for url in [
            "https://iris.trackunit.com/api",
            "https://IRIS.trackunit.com:443/",
            "https://b.example:8443/x",
            "https://[fd00::1]:444/x",
            "http://127.0.0.1:8477/api",
            "http://[0:0::1]/api",
            "https://localhost/",
            "https://iris.trackunit.com/@evil.example",
            "https://iris.trackunit.com/caf\u{e9}?q=\u{65e5}\u{672c}#\u{ff0f}\u{ff20}evil.example",
            "https://iris.trackunit.com?q={}|^`<>\"\\",
        ] {
            assert!(host_to_send_to(url, &hosts).is_some(), "{url}");
        }
        for url in [
            "http://iris.trackunit.com/api",
            "https://iris.trackunit.com:8443/",
            "https://b.example/x",
            "https://iris.trackunit.com.evil.example/",
            "https://evil.example/iris.trackunit.com",
            "https://iris.trackunit.com@evil.example/",
            "https://@iris.trackunit.com/",
            "https://iris.trackunit.com\\@evil.example/",
            "https://iris.trackunit.com\\.evil.example/",
            "https://iris.trackunit.com:443@evil.example/",
            "https://iris.trackunit.com%2eevil.example/",
            "https://iris.trackunit.com%00.evil.example/",
            "https://iris.trackunit.com\t.evil.example/",
            "https://iris.trackunit.com\n/",
            "https://iris.trackunit.com/\n",
            "https://iris.trackunit.com/a\tb",
            "https://iris.trackunit.com/a b",
            "https://iris.trackunit.com/?q=a b",
            "https://iris.trackunit.com/\u{85}",
            "https://iris.trackunit.com /",
            "https://iris.trackunit.com\u{ff0f}/",
            "https://iris.trackunit.com\u{ff1f}@evil.example/",
            "https\u{a0}://iris.trackunit.com/",
            " https://iris.trackunit.com/",
            "https://iris\u{3002}trackunit.com/",
            "https://iris.trackunit.com./",
            "https://iris.trackunit.com:/",
            "https://iris.trackunit.com:0/",
            "https://iris.trackunit.com:0443/",
            "https://iris.trackunit.com:+443/",
            "https://iris.trackunit.com:65979/",
            "https://iris.trackunit.com:443.evil.example/",
            "https:iris.trackunit.com/",
            "https:///iris.trackunit.com/",
            "https:/iris.trackunit.com/",
            "http://[::1].evil.example/",
            "https://[::1].evil.example/",
            "http://[::1]evil.example/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1%25lo]/",
            "http://localhost./",
            "http://127.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://127.0.0.1:99999/",
            "ftp://localhost/",
            "/relative",
            "",
        ] {
            assert!(host_to_send_to(url, &hosts).is_none(), "{url}");
        }
    }

    #[test]
    fn a_proxy_url_names_a_host_and_a_port_that_is_one() {
        for url in ["http://proxy", "http://proxy:3128/", "http://u:p@[::1]:1", "socks5://p:1080"] {
            assert!(ProxyChoice::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://",
            "http://:3128",
            "http://a:a",
            "http://proxy:99999",
            "http://proxy:",
            "http://proxy:0",
            "http://u:p@proxy:0",
            "http://[::1].evil.example:3128",
            "http://pro%78y:3128",
            "http://proxy\\@evil.example:3128",
            "http://.proxy:3128",
        ] {
            assert!(ProxyChoice::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn user_and_password_of_a_proxy_are_percent_encoded() {
        let raw = [
            "CORP\\user:hush",
            "user:hu#sh",
            "user:hu/sh",
            "user:hu?sh",
            "user:hu@sh",
            "user:hu sh",
            "user:hush\n",
            "us\u{e9}r:hush",
            "user:hush%",
            "user:hush%4",
            "user:hush%zz",
            "us[e]r:hush",
            "user:h\"ush",
            "user:hush\u{7f}",
            "us<er:hush",
            "us^er:hush",
            "us|er:hush",
            "user:{hush}",
            "user:`hush",
            "#hush",
            "/",
            "@",
        ];
        for login in raw {
            for scheme in ["http", "https", "socks5", "socks5h"] {
                let url = format!("{scheme}://{login}@proxy:3128");
                let problem = ProxyChoice::parse(&url).unwrap_err();
                assert!(problem.contains("percent-encode"), "{url}: {problem}");
                assert!(!problem.contains("hush") && !problem.contains("CORP"), "{problem}");
                let environment = |name: &str| (name == "https_proxy").then(|| url.clone());
                let of_environment = ProxyChoice::FromEnvironment;
                let problem =
                    of_environment.for_url(&TokenUrl::default(), &environment).unwrap_err();
                assert!(problem.contains("percent-encode"), "{url}: {problem}");
                assert!(!problem.contains("hush") && !problem.contains("CORP"), "{problem}");
            }
        }
        let all = "http://a-._~!$&'()*+,;=%5C%c3%a9:b:%23%2F%3F%40%20%25-._~!$&'()*+,;=@proxy";
        let proxy = proxy_at(all).unwrap();
        assert_eq!(proxy.username(), Some("a-._~!$&'()*+,;=\\\u{e9}"));
        assert_eq!(proxy.password(), Some("b:#/?@ %-._~!$&'()*+,;="));
        assert!(proxy_at("http://u:%ff@proxy").is_err());
        assert!(proxy_at("http://u%3Av:p@proxy").unwrap_err().contains("colon"));
        assert!(proxy_at("socks5://u%3Av:p@proxy").is_ok());
        let long = format!("socks5://u:{}@proxy", "p".repeat(256));
        assert!(proxy_at(&long).unwrap_err().contains("255 bytes"));
        assert!(proxy_at(&long.replace("socks5", "http")).is_ok());
    }

    #[test]
    fn socks_proxies_look_up_names_themselves() {
        for url in ["socks5://u:p@proxy:1080", "SOCKS5://proxy", "socks5h://proxy"] {
            assert!(!proxy_at(url).unwrap().resolve_target(), "{url}");
        }
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        assert_eq!(proxy("", "http://localhost:1/t"), None);
        let choice = ProxyChoice::parse("socks5://proxy:1080").unwrap();
        let url = TokenUrl::parse("https://127.0.0.1/t").unwrap();
        assert_eq!(choice.for_url(&url, &|_| None), Ok(None));
    }
}
