//! Where a token may be sent.

use super::authority::{self, Authority, HTTPS_PORT};

/// The host of a URL that a token may be sent to, in lower case: this machine in any case,
/// otherwise a listed host by https. `None`: it may not be sent there.
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

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

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
}
