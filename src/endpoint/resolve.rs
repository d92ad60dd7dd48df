//! Host names to addresses: one look-up per host at a time, for all fetches of the process.
//!
//! `getaddrinfo` has no time limit and cannot be cancelled, so it runs on a thread of its own;
//! while it hangs, further fetches wait for that same look-up instead of starting more. The name
//! `localhost` is never asked of DNS. Families alternate, so that a network with broken IPv6 costs
//! one attempt, not all of the time to connect.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::clock::Clock;
use crate::fork::{Locked, Mailbox, Process};
use crate::runtime;

/// As many addresses as ureq's own list holds.
const MOST_ADDRESSES: usize = 16;

/// The shared outcome of one look-up.
type Found = Result<Vec<IpAddr>, io::ErrorKind>;

struct Lookup {
    host: String,
    waiting: Vec<Arc<Mailbox<Found>>>,
}

#[derive(Default)]
struct Lookups {
    process: Process,
    running: Vec<Lookup>,
}

static LOOKUPS: Locked<Lookups> =
    Locked::new(Lookups { process: Process::FIRST, running: Vec::new() });

/// Resolves names for ureq.
#[derive(Debug)]
pub(crate) struct SharedResolver;

impl Resolver for SharedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or_else(|| default_port(uri.scheme()));
        let addresses = match known(host) {
            Some(addresses) => addresses,
            None => alternate(look_up(host, timeout)?),
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

fn default_port(scheme: Option<&Scheme>) -> u16 {
    match scheme.map(Scheme::as_str) {
        Some("http") => 80,
        Some(socks) if socks.starts_with("socks") => 1080,
        _ => 443,
    }
}

/// What needs no look-up: addresses, and the one name that is this machine.
fn known(host: &str) -> Option<Vec<IpAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    bare.parse().ok().map(|address| vec![address])
}

/// Takes the system's order, but changes the family from one address to the next.
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

fn look_up(host: &str, timeout: NextTimeout) -> Result<Vec<IpAddr>, ureq::Error> {
    let mailbox = Arc::new(Mailbox::default());
    let is_first = {
        let mut lookups = LOOKUPS.lock();
        if lookups.process.adopt() {
            // The parent's threads are not ours; what they were asked will not be answered here.
            lookups.running.clear();
        }
        match lookups.running.iter_mut().find(|lookup| lookup.host == host) {
            Some(lookup) => {
                lookup.waiting.push(mailbox.clone());
                false
            }
            None => {
                let waiting = vec![mailbox.clone()];
                lookups.running.push(Lookup { host: host.to_owned(), waiting });
                true
            }
        }
    };
    if is_first {
        let asked = host.to_owned();
        if let Err(error) = runtime::spawn("tu-resolve", move || answer(&asked, ask(&asked))) {
            answer(host, Err(error.kind()));
        }
    }
    let clock = Clock::System;
    match mailbox.take(&clock, clock.now().after(*timeout.after)) {
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(kind)) => Err(ureq::Error::Io(kind.into())),
        None => Err(ureq::Error::Timeout(timeout.reason)),
    }
}

fn ask(host: &str) -> Found {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => {
            let mut distinct = Vec::new();
            for address in addresses {
                if !distinct.contains(&address.ip()) {
                    distinct.push(address.ip());
                }
            }
            Ok(distinct)
        }
        // The system says no more than that the name could not be resolved.
        Err(_) => Err(io::ErrorKind::NotFound),
    }
}

fn answer(host: &str, found: Found) {
    let lookup = {
        let mut lookups = LOOKUPS.lock();
        let position = lookups.running.iter().position(|lookup| lookup.host == host);
        position.map(|position| lookups.running.swap_remove(position))
    };
    for mailbox in lookup.into_iter().flat_map(|lookup| lookup.waiting) {
        mailbox.put(found.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_and_addresses_are_known() {
        assert_eq!(known("LocalHost").unwrap()[0], IpAddr::from([127, 0, 0, 1]));
        assert_eq!(known("[::1]").unwrap(), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(known("10.0.0.1").unwrap(), [IpAddr::from([10, 0, 0, 1])]);
        assert!(known("localhost.example").is_none());
    }

    #[test]
    fn families_alternate_in_the_systems_order() {
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
