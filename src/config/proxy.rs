//! How a URL is reached: through a proxy or not, and which setting decided.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::authority::{Authority, is_loopback};
use super::token_url::TokenUrl;
use crate::secret::Secret;

/// How a URL is reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// `None`: directly.
    pub(crate) proxy: Option<ureq::Proxy>,
    pub(crate) decided_by: Decision,
}

impl Route {
    fn direct(decided_by: Decision) -> Self {
        Self { proxy: None, decided_by }
    }
}

/// Which setting decided on the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This machine is never reached through a proxy.
    Loopback,
    /// The option `proxy`.
    Option,
    /// A variable of the environment: `HTTPS_PROXY` or `https_proxy`.
    Variable(&'static str),
    /// An exception from the proxy that the environment names.
    Exception {
        /// What of the list excepts the host, as it is written there.
        rule: String,
        /// The variable that lists the exceptions: `NO_PROXY` or `no_proxy`.
        exceptions: &'static str,
        /// The variable that names the proxy.
        proxy: &'static str,
    },
    /// No setting: directly.
    Nothing,
}

/// The value of the option `proxy`.
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
            return Err("must be http://host:port, https://host:port, socks5://host:port or none"
                .to_owned());
        }
        proxy_at(text)?;
        Ok(Self::Url(Secret::new(text)))
    }

    /// Decides how a URL is reached; done once per client.
    pub(crate) fn for_url(
        &self,
        url: &TokenUrl,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Route, String> {
        let (text, decided_by) = match self {
            _ if is_loopback(url.host()) => return Ok(Route::direct(Decision::Loopback)),
            Self::None => return Ok(Route::direct(Decision::Option)),
            Self::Url(text) => (text.clone(), Decision::Option),
            Self::FromEnvironment => match proxy_of_environment(url, environment) {
                (Some(text), decided_by) => (Secret::new(text), decided_by),
                (None, decided_by) => return Ok(Route::direct(decided_by)),
            },
        };
        match proxy_at(text.reveal()) {
            Ok(proxy) => Ok(Route { proxy: Some(proxy), decided_by }),
            Err(problem) => Err(match decided_by {
                Decision::Variable(variable) => format!("{variable} {problem}"),
                _ => format!("proxy {problem}"),
            }),
        }
    }
}

/// Maximum length of a SOCKS5 user name or password (RFC 1929).
const MOST_SOCKS_BYTES: usize = 255;

/// Parses a proxy URL. SOCKS5 proxies always receive the host name: where a proxy is needed, there
/// is often no DNS for names outside.
fn proxy_at(url: &str) -> Result<ureq::Proxy, String> {
    const NO_URL: &str = "is not a proxy URL such as http://host:port";
    check_login(url)?;
    let proxy = ureq::Proxy::new(url).map_err(|_| NO_URL)?;
    // Only what follows user and password, which may contain any encoded character.
    let authority = proxy.uri().authority().ok_or(NO_URL)?.as_str();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    Authority::parse(host_and_port).map_err(|fault| format!("{fault}; it {NO_URL}"))?;
    let [user, password] = [proxy.username(), proxy.password()].map(Option::unwrap_or_default);
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https if user.contains(':') => {
            return Err("has a colon in the user name, which Basic cannot carry".to_owned());
        }
        ureq::ProxyProtocol::Socks5 | ureq::ProxyProtocol::Socks5h
            if user.len().max(password.len()) > MOST_SOCKS_BYTES =>
        {
            return Err(format!(
                "has a user or password of more than {MOST_SOCKS_BYTES} bytes, the maximum in \
                 SOCKS5"
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

/// User and password are everything before the last `@` (RFC 3986 section 3.2.1): a bare `/`, `#`
/// or `@` in a password would end it early, and send its start as another login or its end to a
/// name server.
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
        false => Err("has a character in user or password that a URL does not allow there: \
                      percent-encode it (\\ is %5C, / is %2F, # is %23, ? is %3F, @ is \
                      %40, % is %25, a space is %20, others are their bytes in UTF-8)"
            .to_owned()),
    }
}

/// The proxy that the environment sets for a URL, and the setting that decided.
fn proxy_of_environment(
    url: &TokenUrl,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Option<String>, Decision) {
    // Lower case first, like curl: an empty variable hides the other.
    let either = |lower: &'static str, upper: &'static str| {
        let found = environment(lower).map(|value| (lower, value));
        let found = found.or_else(|| environment(upper).map(|value| (upper, value)));
        found.filter(|(_, value)| !value.is_empty())
    };
    let Some((variable, proxy)) = either("https_proxy", "HTTPS_PROXY") else {
        return (None, Decision::Nothing);
    };
    let (exceptions, rules) = either("no_proxy", "NO_PROXY").unwrap_or_default();
    let mut rules = rules
        .split(|separator: char| separator == ',' || separator.is_whitespace())
        .filter(|rule| !rule.is_empty());
    match rules.find(|rule| rule_matches(rule, url.host(), url.port())) {
        Some(rule) => {
            (None, Decision::Exception { rule: rule.to_owned(), exceptions, proxy: variable })
        }
        None => (Some(proxy), Decision::Variable(variable)),
    }
}

/// One rule of NO_PROXY: `*`, an address, a network `10.0.0.0/8`, or a domain with its subdomains;
/// each except `*` with an optional port. A trailing dot marks a fully qualified domain, which
/// makes no difference.
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
    // An invalid port matches no port.
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
    use super::*;

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
            .proxy
            .map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn no_proxy_rules() {
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
    fn no_proxy_rules_in_all_usual_notations() {
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
    fn a_proxy_url_needs_a_host_and_a_valid_port() {
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
        let kinds =
            [("http", ureq::ProxyProtocol::Http), ("socks5h", ureq::ProxyProtocol::Socks5h)];
        for (scheme, kind) in kinds {
            assert_eq!(proxy_at(&format!("{scheme}://u:p@proxy")).unwrap().protocol(), kind);
        }
        assert_eq!(proxy_at(&long.replace("socks5", "http")).unwrap().username(), Some("u"));
        assert!(proxy_at(&long.replace("pp@", "p@")).is_ok(), "the longest that SOCKS5 allows");
    }

    #[test]
    fn a_network_contains_addresses_of_its_own_kind() {
        for (network, length, host, is_in) in [
            ("10.0.0.0", "8", "10.1.2.3", true),
            ("10.0.0.0", "8", "11.1.2.3", false),
            ("10.0.0.0", "8", "a00::1", false),
            ("a00::", "8", "10.1.2.3", false),
            ("10.0.0.0", "33", "10.0.0.0", false),
            ("::", "0", "a00::1", true),
        ] {
            assert_eq!(network_contains(network, length, host), is_in, "{network}/{length} {host}");
        }
    }

    #[test]
    fn socks_proxies_resolve_names_themselves() {
        for url in ["socks5://u:p@proxy:1080", "SOCKS5://proxy", "socks5h://proxy"] {
            assert!(!proxy_at(url).unwrap().resolve_target(), "{url}");
        }
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        assert_eq!(proxy("", "http://localhost:1/t"), None);
        let choice = ProxyChoice::parse("socks5://proxy:1080").unwrap();
        let url = TokenUrl::parse("https://127.0.0.1/t").unwrap();
        let route = choice.for_url(&url, &|_| None);
        assert_eq!(route, Ok(Route::direct(Decision::Loopback)));
    }
    #[test]
    fn the_deciding_setting_is_reported_as_found() {
        let url = TokenUrl::parse("https://auth.trackunit.com/t").unwrap();
        let decided = |choice: &ProxyChoice, variables: &[(&str, &str)]| {
            let environment = |name: &str| {
                let mut found = variables.iter().filter(|(variable, _)| *variable == name);
                found.next().map(|(_, value)| (*value).to_owned())
            };
            let route = choice.for_url(&url, &environment).unwrap();
            (route.proxy.is_some(), route.decided_by)
        };
        let (upper, lower) = (("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1"));
        let excepted = |exceptions, proxy| {
            let rule = ".trackunit.com".to_owned();
            (false, Decision::Exception { rule, exceptions, proxy })
        };
        let list = "other.example, .trackunit.com";
        for (variables, expected) in [
            (vec![], (false, Decision::Nothing)),
            (vec![upper], (true, Decision::Variable("HTTPS_PROXY"))),
            (vec![upper, lower], (true, Decision::Variable("https_proxy"))),
            // An empty variable in lower case hides the other.
            (vec![upper, ("https_proxy", "")], (false, Decision::Nothing)),
            (vec![("NO_PROXY", list)], (false, Decision::Nothing)),
            (vec![upper, ("NO_PROXY", list)], excepted("NO_PROXY", "HTTPS_PROXY")),
            (
                vec![lower, ("no_proxy", list), ("NO_PROXY", "")],
                excepted("no_proxy", "https_proxy"),
            ),
            (
                vec![upper, ("no_proxy", ""), ("NO_PROXY", list)],
                (true, Decision::Variable("HTTPS_PROXY")),
            ),
        ] {
            assert_eq!(
                decided(&ProxyChoice::FromEnvironment, &variables),
                expected,
                "{variables:?}"
            );
            assert_eq!(decided(&ProxyChoice::None, &variables), (false, Decision::Option));
        }
        let own = ProxyChoice::parse("http://own:1").unwrap();
        assert_eq!(decided(&own, &[upper, ("NO_PROXY", "*")]), (true, Decision::Option));
        let wrong = |name: &str| (name == "https_proxy").then(|| "nonsense:".to_owned());
        let problem = ProxyChoice::FromEnvironment.for_url(&url, &wrong).unwrap_err();
        assert!(problem.starts_with("https_proxy has a port"), "{problem}");
    }
}
