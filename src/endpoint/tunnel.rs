//! The protocols that ask a proxy for a tunnel to the token endpoint: CONNECT (RFC 9110 section
//! 9.3.6) or SOCKS5 (RFC 1928, RFC 1929).
//!
//! ureq implements both, but reports of a refusal only that there was one.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::http::MAX_HEADER_BYTES;

/// The schemes of RFC 9110 section 11 that proxies are known to offer. Nothing else a proxy names
/// is shown: it may echo what it was sent.
const SCHEMES: [&str; 6] = ["Basic", "Digest", "NTLM", "Negotiate", "Kerberos", "Bearer"];

/// Why a proxy provides no tunnel. The texts contain nothing that it sent.
#[derive(Debug)]
pub(super) enum Problem {
    /// It refused user and password, or the authentication method.
    LoginRefused(String),
    /// It requires user and password, and there are none.
    LoginWanted(String),
    /// Its rules do not allow the connection.
    Forbidden(String),
    /// It could not connect, or failed.
    Failed(String),
    /// It speaks another protocol.
    Strange(String),
    /// No reply, or none in time.
    Broken(ureq::Error),
    /// The connection to the proxy itself is not secure.
    Insecure(ureq::Error),
}

impl From<ureq::Error> for Problem {
    fn from(error: ureq::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        // ureq's timeouts arrive wrapped.
        Self::Broken(error.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoginRefused(text)
            | Self::LoginWanted(text)
            | Self::Forbidden(text)
            | Self::Failed(text)
            | Self::Strange(text) => f.write_str(text),
            Self::Broken(error) | Self::Insecure(error) => error.fmt(f),
        }
    }
}

impl StdError for Problem {}

/// The target of a tunnel.
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl<'a> Target<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self { host: uri.host().unwrap_or_default(), port: uri.port_u16().unwrap_or(443) }
    }
}

/// User and password, and what to do before they are sent.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) before: &'a dyn Fn(),
}

// --- CONNECT ---------------------------------------------------------------------------------

/// Asks an HTTP proxy for a tunnel.
pub(super) fn connect(
    stream: &mut (impl Read + Write),
    target: &Target<'_>,
    user_agent: &str,
    login: Option<&Credentials<'_>>,
) -> Result<(), Problem> {
    let Target { host, port } = target;
    let credentials = login.map(|login| {
        let pair = Zeroizing::new(format!("{}:{}", login.user, login.password));
        let basic = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Zeroizing::new(format!("Proxy-Authorization: Basic {}\r\n", *basic))
    });
    let request = Zeroizing::new(format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {user_agent}\r\n\
         Proxy-Connection: Keep-Alive\r\n{}\r\n",
        credentials.as_ref().map_or("", |line| line.as_str())
    ));
    if let Some(login) = login {
        (login.before)();
    }
    stream.write_all(request.as_bytes())?;
    let mut room = MAX_HEADER_BYTES;
    let answer = loop {
        let answer = Answer::read(stream, &mut room)?;
        // An interim response has no meaning yet; a switch of protocol was not requested.
        match answer.status {
            101 => return Err(not_http()),
            100..200 => {}
            _ => break answer,
        }
    };
    match answer.status {
        200..=299 => Ok(()),
        // No endpoint has been reached that could send 401: tinyproxy sends it for a wrong
        // password.
        401 | 407 if login.is_some() => Err(Problem::LoginRefused(answer.refused_login())),
        401 | 407 => Err(Problem::LoginWanted(answer.wanted_login())),
        403 => Err(Problem::Forbidden("its rules do not allow this host (status 403)".to_owned())),
        status => Err(Problem::Failed(format!("it answered CONNECT with status {status}"))),
    }
}

/// The relevant part of a proxy's response.
struct Answer {
    status: u16,
    /// The authentication schemes it offers, as far as they are known.
    offers: Vec<&'static str>,
}

impl Answer {
    /// Reads up to the empty line and not a byte further: what follows is the endpoint's.
    fn read(stream: &mut impl Read, room: &mut usize) -> Result<Self, Problem> {
        let mut head = Vec::new();
        let outcome = read_head(stream, room, &mut head);
        let answer = Self::of(&String::from_utf8_lossy(&head));
        match outcome {
            Ok(()) => answer.ok_or_else(not_http),
            // A refusal counts, as the login did, whether or not all of it arrives.
            Err(problem) => answer.filter(|answer| answer.status >= 300).ok_or(problem),
        }
    }

    fn of(head: &str) -> Option<Self> {
        let mut lines = head.lines();
        let status = lines.next().and_then(status_of)?;
        let mut offers = Vec::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let is_offer = ["Proxy-Authenticate", "WWW-Authenticate"]
                .into_iter()
                .any(|offer| name.eq_ignore_ascii_case(offer));
            if is_offer {
                offers.extend(
                    schemes(value).filter(|scheme| !offers.contains(scheme)).collect::<Vec<_>>(),
                );
            }
        }
        Some(Self { status, offers })
    }

    fn refused_login(&self) -> String {
        let refused = format!("it refused user and password of its URL (status {}", self.status);
        match self.offers.as_slice() {
            [] => format!("{refused}; it does not say whether it offers Basic)"),
            offers if offers.contains(&"Basic") => format!("{refused}; it offers Basic)"),
            offers => {
                format!("{refused}): it offers {}, and only Basic is supported", offers.join(", "))
            }
        }
    }

    fn wanted_login(&self) -> String {
        let wanted = format!("it wants a login (status {}", self.status);
        let how = "put user and password into its URL, percent-encoded";
        match self.offers.as_slice() {
            [] => format!("{wanted}; it does not say whether it offers Basic): {how}"),
            offers if offers.contains(&"Basic") => format!("{wanted}; it offers Basic): {how}"),
            offers => {
                format!("{wanted}): it offers {}, and only Basic is supported", offers.join(", "))
            }
        }
    }
}

fn read_head(stream: &mut impl Read, room: &mut usize, head: &mut Vec<u8>) -> Result<(), Problem> {
    const START: &[u8] = b"HTTP/1.";
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
        if head.iter().zip(START).any(|(found, expected)| found != expected) {
            let is_alert = head.starts_with(b"\x15");
            return Err(if is_alert { not_plain() } else { not_http() });
        }
        *room = room.checked_sub(1).ok_or_else(|| {
            Problem::Strange("its answer to CONNECT has too large headers".to_owned())
        })?;
    }
    Ok(())
}

fn not_http() -> Problem {
    Problem::Strange("its answer to CONNECT is not HTTP".to_owned())
}

/// The error for a TLS alert.
fn not_plain() -> Problem {
    let text = "it speaks TLS here, and was asked in plain HTTP: write https:// in its URL";
    Problem::Strange(text.to_owned())
}

/// `HTTP/1.x NNN`, optionally with a reason.
pub(super) fn status_of(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let (digits, _) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_sound = version.len() == "HTTP/1.1".len()
        && digits.len() == 3
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|status| is_sound && *status >= 100)
}

/// The known schemes in a Proxy-Authenticate value, which is a list of challenges with parameters;
/// quoted text is skipped.
fn schemes(value: &str) -> impl Iterator<Item = &'static str> {
    let mut quoted = false;
    let plain: String = value
        .chars()
        .map(|character| {
            quoted ^= character == '"';
            if quoted { '"' } else { character }
        })
        .collect();
    let first_words: Vec<String> = plain
        .split(',')
        .filter_map(|part| part.split_whitespace().next().map(str::to_owned))
        .collect();
    let is_offered =
        move |scheme: &&str| first_words.iter().any(|word| word.eq_ignore_ascii_case(scheme));
    SCHEMES.into_iter().filter(is_offered)
}

// --- SOCKS5 ----------------------------------------------------------------------------------

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

/// Asks a SOCKS5 proxy for a tunnel. The proxy resolves the host: where a proxy is needed, there is
/// often no DNS for names outside.
pub(super) fn socks5(
    stream: &mut (impl Read + Write),
    target: &Target<'_>,
    login: Option<&Credentials<'_>>,
) -> Result<(), Problem> {
    match login {
        Some(_) => stream.write_all(&[VERSION, 2, USER_AND_PASSWORD, NO_LOGIN])?,
        None => stream.write_all(&[VERSION, 1, NO_LOGIN])?,
    }
    let [version, method] = read_two(stream)?;
    match (version, method, login) {
        (VERSION, NO_LOGIN, _) => {}
        (VERSION, USER_AND_PASSWORD, Some(login)) => socks5_login(stream, login)?,
        (VERSION, NO_METHOD, Some(_)) => {
            return Err(Problem::LoginRefused(
                "it refused a login by user and password (SOCKS5: no acceptable method)".to_owned(),
            ));
        }
        (VERSION, NO_METHOD | USER_AND_PASSWORD, None) => {
            return Err(Problem::LoginWanted(
                "it wants a login (SOCKS5): put user and password into its URL, percent-encoded"
                    .to_owned(),
            ));
        }
        _ => return Err(not_socks()),
    }
    stream.write_all(&socks5_request(target)?)?;
    let [version, reply] = read_two(stream)?;
    match (version, reply) {
        (VERSION, 0) => {}
        (VERSION, 2) => {
            let text = "its rules do not allow this host (SOCKS5 reply 2)";
            return Err(Problem::Forbidden(text.to_owned()));
        }
        (VERSION, reply) => {
            return Err(Problem::Failed(format!(
                "it could not connect ({}; SOCKS5 reply {reply})",
                reason(reply)
            )));
        }
        _ => return Err(not_socks()),
    }
    // The bound address is not used, but must be read.
    let [_, kind] = read_two(stream)?;
    let length = match kind {
        1 => 4,
        3 => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            usize::from(length[0])
        }
        4 => 16,
        _ => return Err(not_socks()),
    };
    let mut address_and_port = [0; u8::MAX as usize + 2];
    stream.read_exact(&mut address_and_port[..length + 2])?;
    Ok(())
}

/// RFC 1929.
fn socks5_login(stream: &mut (impl Read + Write), login: &Credentials<'_>) -> Result<(), Problem> {
    let mut request = Zeroizing::new(Vec::with_capacity(3 + 2 * usize::from(u8::MAX)));
    request.push(1);
    for text in [login.user, login.password] {
        request.push(length_of(text)?);
        request.extend_from_slice(text.as_bytes());
    }
    (login.before)();
    stream.write_all(&request)?;
    match read_two(stream)? {
        // The version is ignored: some proxies send that of SOCKS, or none, and a refused login
        // must not be retried.
        [_, 0] => Ok(()),
        [_, _] => {
            let text = "it refused user and password of its URL (SOCKS5)";
            Err(Problem::LoginRefused(text.to_owned()))
        }
    }
}

fn socks5_request(target: &Target<'_>) -> Result<Vec<u8>, Problem> {
    let bare = target.host.trim_start_matches('[').trim_end_matches(']');
    let mut request = vec![VERSION, 1, 0];
    match bare.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(3);
            request.push(length_of(bare)?);
            request.extend_from_slice(bare.as_bytes());
        }
    }
    request.extend(target.port.to_be_bytes());
    Ok(request)
}

fn length_of(text: &str) -> Result<u8, Problem> {
    let too_long = |_| Problem::Failed("SOCKS5 has room for 255 bytes only".to_owned());
    u8::try_from(text.len()).map_err(too_long)
}

fn read_two(stream: &mut impl Read) -> io::Result<[u8; 2]> {
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn not_socks() -> Problem {
    Problem::Strange("it does not speak SOCKS5".to_owned())
}

/// RFC 1928 section 6.
fn reason(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "too many hops",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "for no known reason",
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
