//! Host names to addresses, as a resolver for ureq.
//!
//! The name `localhost` is never resolved by DNS. Address families alternate, so that a network
//! with broken IPv6 costs one attempt, not the whole time to connect. The look-ups themselves:
//! [`names`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(feature = "redis")]
use std::time::Duration;

use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::names::{self, Problem};

/// The capacity of ureq's own list of addresses.
const MOST_ADDRESSES: usize = 16;

/// Resolves names for ureq.
#[derive(Debug)]
pub(crate) struct SharedResolver;

impl Resolver for SharedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or_else(|| default_port(uri.scheme()));
        let addresses = match known(host) {
            Some(addresses) => addresses,
            None => {
                // The attempt may have less time left than a look-up may take.
                let longest = *timeout.after;
                let patience = config.timeouts().resolve.unwrap_or(longest);
                let found = names::of_process().look_up(host, patience, longest.min(patience));
                alternate(found.map_err(error)?)
            }
        };
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            resolved.push(SocketAddr::new(address, port));
        }
        if resolved.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(resolved)
    }
}

/// The addresses of a store's server.
#[cfg(feature = "redis")]
pub(crate) fn addresses(host: &str, longest: Duration) -> Result<Vec<IpAddr>, Problem> {
    match known(host) {
        Some(addresses) => Ok(addresses),
        None => names::of_process().look_up(host, longest, longest).map(alternate),
    }
}

fn default_port(scheme: Option<&Scheme>) -> u16 {
    match scheme.map(Scheme::as_str) {
        Some("http") => 80,
        Some(socks) if socks.starts_with("socks") => 1080,
        _ => 443,
    }
}

/// Hosts that need no look-up: addresses, and the one name for this machine.
fn known(host: &str) -> Option<Vec<IpAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    bare.parse().ok().map(|address| vec![address])
}

/// Keeps the system's order, but alternates between the families.
fn alternate(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// Not one of ureq's timeouts: its many kinds are reported by what took too long.
fn error(problem: Problem) -> ureq::Error {
    ureq::Error::Other(Box::new(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_addresses_need_no_look_up() {
        assert_eq!(known("LocalHost").unwrap()[0], IpAddr::from([127, 0, 0, 1]));
        assert_eq!(known("[::1]").unwrap(), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(known("10.0.0.1").unwrap(), [IpAddr::from([10, 0, 0, 1])]);
        assert!(known("localhost.example").is_none());
    }

    #[test]
    fn families_alternate_and_keep_the_systems_order() {
        let of = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            alternate(of(&["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"])),
            of(&["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"])
        );
        assert_eq!(alternate(of(&["1.1.1.1", "::1"])), of(&["1.1.1.1", "::1"]));
    }
}
