//! Which host and port a URL names, by one strict grammar for every decision about a host: the
//! token URL, an API's URL, `api_hosts`, the proxy, the target of a redirect.
//!
//! URL parsers differ on odd text: one ends the host at `]` or `\`, another resolves all of it by
//! DNS; one takes `%2e`, a full-width dot or a tab for what it resembles, another does not. So odd
//! text is rejected: what is accepted here means the same to every URL parser.
//!
//! ```text
//! url  = scheme "://" host [ ":" port ] [ ("/" | "?" | "#") rest ]
//! host = labels of letters, digits, "-" and "_" with dots between them (one may end it);
//!        the last label is not a number, decimal or with 0x
//!      | IPv4 address, four decimal numbers without leading zeros
//!      | "[" IPv6 address, without a zone "]"
//! port = 1 to 65535, in digits, without leading zeros
//! rest = anything but blanks and control characters
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port of an https URL that names none.
pub(super) const HTTPS_PORT: u16 = 443;

/// A host, and a port if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// In lower case; an IPv6 address in brackets, in canonical form.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Parses `host` or `host:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(inner) => {
                let (address, rest) = inner.split_once(']').ok_or(Fault::Address)?;
                let address: Ipv6Addr = address.parse().map_err(|_| Fault::Address)?;
                (format!("[{address}]"), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                check_name(&text[..end])?;
                (text[..end].to_ascii_lowercase(), &text[end..])
            }
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return Err(Fault::Address),
        };
        Ok(Self { host, port })
    }

    /// Whether it is this machine: by address, or by the one name that is never resolved by DNS.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// `host` or `host:port`.
impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Whether a host, as written in a URL, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

/// The scheme of a URL, in lower case, and its host and port.
pub(crate) fn of_url(url: &str) -> Result<(String, Authority), Fault> {
    let (scheme, authority) = split(url)?;
    if authority.contains('@') {
        return Err(Fault::UserInfo);
    }
    Ok((scheme.to_ascii_lowercase(), Authority::parse(authority)?))
}

/// The scheme of a URL as written, and everything between `://` and the path. The rest cannot
/// affect the host in any parser: non-ASCII letters there are left for others to encode.
pub(crate) fn split(url: &str) -> Result<(&str, &str), Fault> {
    let end = url
        .split_once("://")
        .and_then(|(scheme, rest)| Some(scheme.len() + "://".len() + rest.find(['/', '?', '#'])?));
    let (origin, rest) = url.split_at(end.unwrap_or(url.len()));
    check_printable(origin)?;
    // Some parsers drop line breaks and tabs, others send them; a space ends the target of a
    // request.
    if let Some(odd) = rest.chars().find(|character| character.is_control() || *character == ' ') {
        return Err(Fault::Character(odd));
    }
    let (scheme, rest) = url.split_once("://").ok_or(Fault::Scheme)?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return Err(Fault::Scheme);
    }
    Ok((scheme, rest.split(['/', '?', '#']).next().unwrap_or_default()))
}

/// Rejects characters that a request line must not contain.
pub(crate) fn check_printable(url: &str) -> Result<(), Fault> {
    match url.chars().find(|character| !matches!(character, '!'..='~')) {
        Some(odd) => Err(Fault::Character(odd)),
        None => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(odd) = name.chars().find(|c| !is_allowed(*c)) {
        return Err(Fault::Character(odd));
    }
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    if labels.clone().any(str::is_empty) {
        return Err(if name.is_empty() { Fault::NoHost } else { Fault::Label });
    }
    match labels.next_back().is_some_and(is_number) && name.parse::<Ipv4Addr>().is_err() {
        true => Err(Fault::Number),
        false => Ok(()),
    }
}

/// Whether a host with this last label is an address to some parsers: `0x` and `0` are 0.0.0.0, `127.1` and `0x7f.1` are
/// 127.0.0.1. Others ask DNS for it, which has no such names.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn port(digits: &str) -> Result<u16, Fault> {
    let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).ok_or(Fault::Port)
}

/// Why a text names no host. Shows at most one character of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Scheme,
    UserInfo,
    NoHost,
    Character(char),
    Label,
    Number,
    Address,
    Port,
}

/// A predicate: the name of what holds the text goes before it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "does not begin with a scheme such as https://",
            Self::UserInfo => "has user info (user:password@...), which is not allowed",
            Self::NoHost => "names no host",
            Self::Character(odd @ '!'..='~') => {
                return write!(
                    f,
                    "has \"{odd}\" as its host; a host is letters, digits, \"-\", \
                     \"_\" and \".\", or an IPv6 address in brackets"
                );
            }
            Self::Character(odd) => {
                let mut bytes = [0; 4];
                let first = odd.encode_utf8(&mut bytes).as_bytes()[0];
                return write!(
                    f,
                    "has the byte 0x{first:02x}; a URL is printable ASCII without spaces"
                );
            }
            Self::Label => "has a host with an extra dot",
            Self::Number => {
                "has a host that ends in a number but is not an IPv4 address such as 127.0.0.1"
            }
            Self::Address => "has a bracket outside an IPv6 address such as [::1] (without a zone)",
            Self::Port => "has a port that is not a number from 1 to 65535",
        })
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
