//! The URL that the secret is sent to.

use std::fmt;

use ureq::http::Uri;

use super::authority::{self, Fault, HTTPS_PORT};

/// The documented token endpoint.
pub(super) const DEFAULT_URL: &str = "https://auth.trackunit.com/token/v2";

/// A URL that a secret may be sent to. Shown without its query, which may contain another secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenUrl(Uri);

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.to_string();
        match url.split_once('?') {
            // Shows that there is one.
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
    /// Rejects URLs that would send a secret in clear text, or elsewhere than they appear to.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let read = authority::check_printable(text).and_then(|()| authority::of_url(text));
        let (scheme, named) = read.map_err(|fault| match fault {
            Fault::UserInfo => format!("{fault}: use client_id and client_secret"),
            Fault::Scheme | Fault::NoHost | Fault::Number => {
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
                    "is plain http to \"{}\": the secret would be sent unencrypted; use https \
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

    pub(super) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(HTTPS_PORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_documented_url() {
        assert_eq!(TokenUrl::default().uri().to_string(), "https://auth.trackunit.com/token/v2");
    }

    #[test]
    fn the_query_is_sent_but_not_shown() {
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
    fn urls_that_would_leak_are_refused_with_the_reason() {
        for (url, reason) in [
            ("http://auth.example/token", "plain http"),
            ("http://localhost.example/t", "plain http"),
            ("http://127.0.0.1.example/t", "plain http"),
            ("http://0.0.0.0/t", "plain http"),
            ("http://[::ffff:127.0.0.1]/t", "plain http"),
            ("https://user:hush@host/t", "user info"),
            ("https://user@host/t", "user info"),
            ("https://user@host/t", "use client_id and client_secret"),
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
            ("http://127.1/t", "ends in a number"),
            ("http://0x7f.1/t", "ends in a number"),
            ("http://2130706433/t", "ends in a number"),
            ("https://0x/t", "not an IPv4 address"),
            ("https://1.2.3.0x/t", "not an IPv4 address"),
            ("https://127.0.0.1./t", "not an IPv4 address"),
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
}
