//! The way to the token endpoint.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use tu_token::diagnosis::{Answer, Decision, Diagnosis, Way};
use tu_token::{Error, ErrorKind};

use super::machine;
use super::peer::{Peer, tls_remedy};
use super::report::{Check, Report, State};
use crate::failure::{Failure, LATER, exit_code};
use crate::secrecy::without_query;

/// A larger difference between the clocks is a warning.
const MAX_OFFSET: Duration = Duration::from_secs(60);

/// Checks the way to the endpoint step by step; returns whether the endpoint answers.
pub fn examine(diagnosis: &Diagnosis, report: &mut Report) -> Result<bool, Failure> {
    let way = diagnosis.way();
    report.add(proxy(&way))?;
    let name = name_resolution(&way.next_host, diagnosis.connect_timeout());
    let is_known = !name.state.is_failed();
    report.add(name)?;
    report.add(machine::trust_store(diagnosis))?;
    if !is_known {
        report.skip(&["connection", "server_clock"], "the host name cannot be resolved")?;
        return Ok(false);
    }
    match diagnosis.get(&diagnosis.token_url(), None) {
        Ok(answer) => {
            report.add(connection(diagnosis, &answer))?;
            // A clock that was never set has already been reported.
            match report.has_failed("clock") {
                true => report.skip(&["server_clock"], "see clock")?,
                false => report.add(server_clock(&answer))?,
            }
            Ok(true)
        }
        Err(error) => {
            let cause = ["clock", "trust_store"].into_iter().find(|name| report.has_failed(name));
            report.add(match (error.kind(), cause) {
                (ErrorKind::Tls, Some(cause)) => {
                    let why = format!("follows from {cause}: {}", error.message());
                    Check::skipped("connection", why)
                }
                _ => unconnected(diagnosis, &way, &error),
            })?;
            report.skip(&["server_clock"], "there is no response")?;
            Ok(false)
        }
    }
}

fn proxy(way: &Way) -> Check {
    let check = |code: &str, why: String| Check::ok("proxy", code, why);
    let through = way.proxy.clone().unwrap_or_default();
    let check = match (&way.decided_by, &way.proxy) {
        (Decision::Loopback, _) => {
            check("loopback", "none: no proxy is used for this machine itself".to_owned())
        }
        (Decision::Option, None) => check("none", "none, by the option proxy".to_owned()),
        (Decision::Option, _) => check("option", format!("{through}, by the option proxy")),
        (Decision::Variable(name), _) => check("environment", format!("{through}, by {name}")),
        (Decision::Exception { rule, exceptions, proxy }, _) => {
            let why = format!("none: \"{rule}\" in {exceptions} exempts the host from {proxy}");
            check("no_proxy", why)
        }
        (Decision::Nothing, _) => check("none", "none is set".to_owned()),
    };
    check.detail("proxy", way.proxy.clone())
}

fn name_resolution(host: &str, timeout: Duration) -> Check {
    const NAME: &str = "name_resolution";
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok() {
        return Check::ok(NAME, "not_needed", format!("{host} needs no lookup"));
    }
    let (sender, receiver) = mpsc::channel();
    let asked = bare.to_owned();
    // The resolver has no timeout of its own; the thread ends with the process.
    std::thread::spawn(move || {
        let found = (asked.as_str(), 0).to_socket_addrs();
        let _ = sender.send(found.map(|all| all.map(|one| one.ip()).collect::<Vec<_>>()));
    });
    let failed = |code: &str, why: String| {
        Check::new(NAME, State::Failed(LATER), code, why).remedy(
            "check the spelling of the host, the network and /etc/resolv.conf; behind a proxy, set \
             HTTPS_PROXY or TRACKUNIT_PROXY: the proxy then resolves the name",
        )
    };
    match receiver.recv_timeout(timeout) {
        Ok(Ok(mut addresses)) if !addresses.is_empty() => {
            addresses.dedup();
            let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            Check::ok(NAME, "found", format!("{host} is {}", texts.join(", ")))
                .detail("addresses", texts)
        }
        Ok(_) => failed("unknown_host", format!("{host} cannot be resolved")),
        Err(_) => failed("too_slow", format!("{host} was not resolved within {timeout:?}")),
    }
}

fn connection(diagnosis: &Diagnosis, answer: &Answer) -> Check {
    let url = diagnosis.token_url();
    let secure = if url.starts_with("http:") { "plain http" } else { "TLS, certificate trusted" };
    let why = format!("{} answers ({secure})", without_query(&url));
    let portal = "if this network has a sign-in page, open it in a browser; if a gateway intercepts \
                  the connection, ask for an exception; check token_url";
    let check = Check::ok("connection", "connected", why).detail("http_status", answer.status);
    // The endpoint may refuse a request without credentials in any way, but not like this.
    match &answer.location {
        Some(target)
            if (300..400).contains(&answer.status) && !url.starts_with(target.as_str()) =>
        {
            let why = format!("with a redirect to {target}");
            check.warn("redirect", &why, portal).detail("location", target.as_str())
        }
        _ if answer.status == 200 && answer.is_html => {
            check.warn("html", "with a web page, as a captive portal would", portal)
        }
        _ => check,
    }
}

/// The check for an endpoint that does not answer. Behind a proxy, the proxy is the first suspect.
fn unconnected(diagnosis: &Diagnosis, way: &Way, error: &Error) -> Check {
    let peer = Peer::of("token_url", &diagnosis.token_url());
    let check = failed("connection", error);
    let remedy = match (error.kind(), &way.proxy) {
        (ErrorKind::Proxy, Some(proxy)) => format!(
            "put user and password into the URL of {proxy}, percent-encoded, and check that its rules \
             allow this host; NO_PROXY exempts hosts, TRACKUNIT_PROXY=none disables the proxy. Each \
             run logs in once: if the account may get locked, wait half an hour before the next run"
        ),
        (ErrorKind::Tls, Some(proxy)) if is_of_trust(error) => {
            format!(
                "if {proxy} intercepts TLS, set ca_file to its root certificate; otherwise see \
                 trust_store above"
            )
        }
        (ErrorKind::Tls, _) => tls_remedy(error.message(), peer.option),
        (ErrorKind::Network | ErrorKind::Timeout, Some(proxy)) => format!(
            "{}is {proxy} the right proxy, are user and password right, and does it allow this host? \
             NO_PROXY exempts hosts, TRACKUNIT_PROXY=none disables the proxy",
            Peer::of("proxy", proxy).of_proxy(diagnosis.connect_timeout())
        ),
        (ErrorKind::Network | ErrorKind::Timeout, None) => {
            peer.remedy(error, diagnosis.connect_timeout())
        }
        _ => return check,
    };
    check.remedy(remedy)
}

/// Whether the certificate's issuer is not trusted here.
fn is_of_trust(error: &Error) -> bool {
    ["signed by", "trust store"].iter().any(|words| error.message().contains(words))
}

fn server_clock(answer: &Answer) -> Check {
    match answer.date {
        Some(date) => judge_offset(date, SystemTime::now()),
        None => Check::skipped("server_clock", "the response has no Date header"),
    }
}

fn judge_offset(server: SystemTime, own: SystemTime) -> Check {
    let (offset, word) = match own.duration_since(server) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let seconds = offset.as_secs();
    let check = if offset <= MAX_OFFSET {
        Check::ok("server_clock", "agrees", "this device and the endpoint agree on the time")
    } else {
        let shown = humantime::format_duration(Duration::from_secs(seconds));
        let why = format!("this device is {shown} {word} the endpoint");
        Check::new("server_clock", State::Warning, "off", why).remedy(
            "set the clock (NTP): token lifetimes do not depend on it, but certificates and logs do",
        )
    };
    check.detail("offset_seconds", seconds)
}

/// A check that failed with an error of the library.
pub fn failed(name: &'static str, error: &Error) -> Check {
    let state = State::Failed(exit_code(error.kind()));
    Check::new(name, state, code(error), error.message()).remedy(match error.kind() {
        ErrorKind::BadResponse => {
            "something other than the service answers: check scheme, host and port, and whether a \
             captive portal or a gateway intercepts the connection"
        }
        _ => "`tu-token options` shows where each value comes from",
    })
}

/// The error code for programs: `TU_INVALID_SCOPE` is `invalid_scope`.
pub fn code(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Timeout => "timeout",
        ErrorKind::Network => "network",
        ErrorKind::Tls => "tls",
        ErrorKind::Credentials => "credentials",
        ErrorKind::Proxy => "proxy",
        ErrorKind::InvalidClient => "invalid_client",
        ErrorKind::InvalidScope => "invalid_scope",
        ErrorKind::OAuth => "oauth",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Server => "server",
        ErrorKind::BadResponse => "bad_response",
        ErrorKind::Budget => "budget",
        ErrorKind::InvalidArgument | ErrorKind::Config => "config",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_may_differ_by_a_minute() {
        let now = SystemTime::now();
        let judged = |offset| judge_offset(now, now + Duration::from_secs(offset)).state;
        assert_eq!((judged(60), judged(61)), (State::Ok, State::Warning));
        let behind = judge_offset(now + Duration::from_secs(61), now);
        assert_eq!(behind.state, State::Warning);
    }
}
