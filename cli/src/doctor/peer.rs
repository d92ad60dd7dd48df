//! The host a URL names, whether it can be reached, and what to do if it cannot.
//!
//! The advice must match the cause. So after a failure a plain TCP connection, without TLS or HTTP, shows
//! whether a server is listening there at all or something in between blocks the way.

use std::io::ErrorKind as Io;
use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use tu_token::{Error, ErrorKind};

/// The server to contact.
pub struct Peer {
    /// The option that names it.
    pub option: &'static str,
    pub scheme: String,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

/// The result of a TCP connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// A server is listening.
    Open,
    /// No server is listening, or a firewall refuses.
    Refused,
    /// No response at all.
    Silent,
    /// No route to the host.
    Nowhere,
}

impl Peer {
    /// From a URL that the library has accepted.
    pub fn of(option: &'static str, url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority, None),
        };
        let usual = if scheme == "http" { 80 } else { 443 };
        Self {
            option,
            scheme: scheme.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: port.unwrap_or(usual),
        }
    }

    /// Whether it is this machine.
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// What to do if there is no response, without a proxy.
    pub fn remedy(&self, error: &Error, patience: Duration) -> String {
        match error.kind() {
            ErrorKind::Tls => tls_remedy(error.message(), self.option),
            _ => self.network_remedy(self.reach(patience)),
        }
    }

    /// The state of a proxy through which no response came.
    pub fn of_proxy(&self, patience: Duration) -> &'static str {
        match self.reach(patience) {
            Reach::Open => "",
            Reach::Refused => "nothing listens there: ",
            Reach::Silent | Reach::Nowhere => "it cannot be reached: ",
        }
    }

    fn network_remedy(&self, reach: Reach) -> String {
        let (at, port, option) = (self.authority(), self.port, self.option);
        match reach {
            Reach::Refused if self.is_local() => format!(
                "nothing listens at {at}: start the server (for the emulator, run `tu-token emulator` \
                 and set the variables it prints), or correct {option}"
            ),
            Reach::Refused => format!(
                "nothing listens at {at}, or a firewall refuses: check host and port in {option}"
            ),
            Reach::Open => format!(
                "{at} accepts connections, so the network is not the cause: check scheme, host and \
                 port in {option} and the server there, or try again later"
            ),
            Reach::Silent => format!(
                "check the firewall (outgoing TCP {port} to {}); behind a proxy, set HTTPS_PROXY or \
                 TRACKUNIT_PROXY",
                self.host
            ),
            Reach::Nowhere => "check the network: cable, VPN, routes; behind a proxy, set \
                               HTTPS_PROXY or TRACKUNIT_PROXY"
                .to_owned(),
        }
    }

    fn reach(&self, patience: Duration) -> Reach {
        let Ok(addresses) = (self.host.as_str(), self.port).to_socket_addrs() else {
            return Reach::Nowhere;
        };
        let mut found = Reach::Nowhere;
        for address in addresses.take(4) {
            match TcpStream::connect_timeout(&address, patience.min(Duration::from_secs(2))) {
                Ok(_) => return Reach::Open,
                Err(error) if error.kind() == Io::ConnectionRefused => found = Reach::Refused,
                Err(error) if error.kind() == Io::TimedOut && found == Reach::Nowhere => {
                    found = Reach::Silent;
                }
                Err(_) => {}
            }
        }
        found
    }
}

/// What to do about a TLS failure, by the library's message. A specific cause gets no advice about
/// others.
pub fn tls_remedy(found: &str, option: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| found.contains(word));
    if has(&["not speak TLS", "InvalidContentType", "WrongVersion"]) {
        return format!("check scheme and port in {option}: https needs a server that speaks TLS");
    }
    if has(&["another host", "certificate is for"]) {
        return format!("check the host in {option}: the certificate must be valid for it");
    }
    if has(&["client certificate", "client_cert", "CertificateRequired"]) {
        return "set client_cert_file and client_key_file to the files from the server's operator"
            .to_owned();
    }
    if has(&["not yet valid", "expired"]) {
        return "set the clock (NTP) if it is wrong, see above; otherwise the server's operator must \
                renew the certificate"
            .to_owned();
    }
    if has(&["signed by", "trust store"]) {
        return "behind a gateway that intercepts TLS, or for a private CA, set ca_file to its root \
                certificate; otherwise see trust_store above"
            .to_owned();
    }
    format!(
        "check host and port in {option}; behind a gateway that intercepts TLS, set ca_file to its \
         root certificate"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_peer() {
        for (url, origin, is_local) in [
            ("https://auth.example/token?x=1:2", "https://auth.example:443", false),
            ("http://localhost/token", "http://localhost:80", true),
            ("http://127.0.0.2:8477/", "http://127.0.0.2:8477", true),
            ("https://[::1]/", "https://[::1]:443", true),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", false),
        ] {
            let peer = Peer::of("token_url", url);
            assert_eq!((peer.origin().as_str(), peer.is_local()), (origin, is_local), "{url}");
        }
    }

    #[test]
    fn advice_matches_the_finding() {
        let peer = Peer::of("api_hosts", "https://iris.example:8443/");
        let silent = peer.network_remedy(Reach::Silent);
        assert!(silent.contains("outgoing TCP 8443 to iris.example"), "{silent}");
        for reach in [Reach::Open, Reach::Refused, Reach::Nowhere] {
            let remedy = peer.network_remedy(reach);
            assert!(!remedy.contains("outgoing"), "{remedy}");
        }
        let local = Peer::of("token_url", "http://127.0.0.1:8477/token/v2");
        let refused = local.network_remedy(Reach::Refused);
        assert!(refused.contains("127.0.0.1:8477") && refused.contains("tu-token emulator"));
    }

    #[test]
    fn advice_about_tls_names_only_the_found_cause() {
        for (found, remedy) in [
            ("the server at port 80 does not speak TLS here", "scheme and port"),
            ("received corrupt message of type InvalidContentType", "scheme and port"),
            ("its certificate is for another host name", "the host in token_url"),
            ("its certificate is for other.example, not for auth.example", "the host in token_url"),
            ("its certificate is not yet valid: is this device's clock right?", "clock"),
            ("its certificate has expired (or this device's clock is ahead)", "clock"),
            ("its certificate is signed by no authority in the system's trust store", "ca_file"),
            ("no trust store; looked at the system's trust store", "ca_file"),
            ("the server asks for a client certificate", "client_cert_file"),
            ("received fatal alert: CertificateRequired", "client_cert_file"),
            ("something else", "host and port"),
        ] {
            let told = tls_remedy(found, "token_url");
            assert!(told.contains(remedy), "{found}: {told}");
            assert_eq!(told.contains("clock"), remedy == "clock", "{found}: {told}");
        }
    }
}
