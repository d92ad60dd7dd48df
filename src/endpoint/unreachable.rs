//! Why no address of a host could be connected to: chooses the most useful reason.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::words;

/// Why one address could not be connected to; the most informative first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// A problem of this machine, in the system's words.
    Other(String),
    /// This machine does not allow it.
    Forbidden,
    /// The machine exists, and nothing listens.
    Refused,
    /// Something may be there, or nothing.
    TimedOut,
    /// No route to that machine.
    NoRoute,
    /// No route out of this machine, or none of this address family.
    NoNetwork,
}

impl Reason {
    pub(super) fn of(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::TimedOut,
            ureq::Error::Io(error) => Self::of_io(error),
            other => Self::Other(other.to_string()),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::HostUnreachable => Self::NoRoute,
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Self::NoNetwork,
            _ => Self::Other(words::of(error)),
        }
    }

    fn describe(&self, address: SocketAddr, limit: Duration) -> String {
        match self {
            Self::Other(text) => format!("no connection to {address} ({text})"),
            Self::Forbidden => format!("this machine allows no connection to {address}"),
            Self::Refused => format!("connection refused by {address}"),
            Self::TimedOut => format!("no connection to {address} within {limit:?}"),
            Self::NoRoute => format!("no route to {address}"),
            Self::NoNetwork => format!("no network that leads to {address}"),
        }
    }

    /// A likely cause and what to do about it. `place`: where host and port are set.
    fn remedy(&self, place: &str) -> String {
        let cause = match self {
            Self::Other(_) => return String::new(),
            Self::Forbidden => {
                return ": a firewall or sandbox forbids it; allow it there".to_owned();
            }
            Self::NoRoute | Self::NoNetwork => return ": is the network up?".to_owned(),
            Self::Refused => "nothing listens there, or a firewall refuses it",
            Self::TimedOut => "a firewall may drop it",
        };
        format!(": {cause}; check the host and port in {place}, and the firewall")
    }
}

/// The most informative reason, and another one if there is one.
pub(super) fn describe(failed: &[(SocketAddr, Reason)], limit: Duration, place: &str) -> String {
    let best = failed.iter().min_by_key(|(_, reason)| reason);
    let Some((address, best)) = best else { return "the host has no address".to_owned() };
    let mut told = best.describe(*address, limit);
    let others = failed.iter().filter(|(_, other)| other != best);
    if let Some((address, other)) = others.min_by_key(|(_, reason)| reason) {
        told = format!("{told} ({})", other.describe(*address, limit));
    }
    told + &best.remedy(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn failed(reasons: &[(&str, Reason)]) -> String {
        let of = |(address, reason): &(&str, Reason)| (address.parse().unwrap(), reason.clone());
        describe(&reasons.iter().map(of).collect::<Vec<_>>(), LIMIT, "token_url")
    }

    #[test]
    fn an_error_is_a_reason_or_quoted() {
        let of_io = |kind: io::ErrorKind| Reason::of(&ureq::Error::Io(kind.into()));
        assert_eq!(of_io(io::ErrorKind::PermissionDenied), Reason::Forbidden);
        assert_eq!(of_io(io::ErrorKind::ConnectionRefused), Reason::Refused);
        assert_eq!(of_io(io::ErrorKind::TimedOut), Reason::TimedOut);
        assert_eq!(of_io(io::ErrorKind::HostUnreachable), Reason::NoRoute);
        for kind in [
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::NetworkDown,
            io::ErrorKind::AddrNotAvailable,
        ] {
            assert_eq!(of_io(kind), Reason::NoNetwork);
        }
        assert_eq!(of_io(io::ErrorKind::OutOfMemory), Reason::Other("out of memory".to_owned()));
        let late = ureq::Error::Timeout(ureq::Timeout::Connect);
        assert_eq!(Reason::of(&late), Reason::TimedOut);
        let other = ureq::Error::ConnectionFailed;
        assert_eq!(Reason::of(&other), Reason::Other(other.to_string()));
    }

    #[test]
    fn the_most_informative_reason_comes_first_in_any_order() {
        let refused = ("127.0.0.1:1", Reason::Refused);
        let unrouted = ("[2001:db8::1]:1", Reason::NoNetwork);
        for both in [[refused.clone(), unrouted.clone()], [unrouted, refused]] {
            assert_eq!(
                failed(&both),
                "connection refused by 127.0.0.1:1 (no network that leads to [2001:db8::1]:1): \
                 nothing listens there, or a firewall refuses it; check the host and port in \
                 token_url, and the firewall"
            );
        }
    }

    #[test]
    fn a_reason_to_act_on_outranks_an_uninformative_one() {
        let ranked = [
            Reason::Other("Too many open files".to_owned()),
            Reason::Forbidden,
            Reason::Refused,
            Reason::TimedOut,
            Reason::NoRoute,
            Reason::NoNetwork,
        ];
        for pair in ranked.windows(2) {
            let reasons = [("10.0.0.2:443", pair[1].clone()), ("10.0.0.1:443", pair[0].clone())];
            let text = failed(&reasons);
            let (best, other) = text.split_once('(').unwrap();
            assert!(best.contains("10.0.0.1") || text.contains("Too many"), "{text}");
            assert!(other.contains("10.0.0.2"), "{text}");
        }
    }

    #[test]
    fn a_reason_common_to_all_addresses_is_reported_once() {
        let text =
            failed(&[("10.0.0.1:443", Reason::TimedOut), ("10.0.0.2:443", Reason::TimedOut)]);
        assert!(text.starts_with("no connection to 10.0.0.1:443 within 5s: a firewall"), "{text}");
        assert!(!text.contains("10.0.0.2"), "{text}");
        assert_eq!(failed(&[]), "the host has no address");
    }
}
