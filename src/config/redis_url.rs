//! The URL of a Redis or Valkey server, as the option `store` has it.
//!
//! ```text
//! redis://[[user]:password@]host[:port][/database][?prefix=...]
//! rediss://...                                    [?ca_file=...]   over TLS
//! redis://[[user]:password@]/path/of/socket[?db=...]               a Unix socket
//! ```
//!
//! User, password, path and values are percent-decoded. No message quotes any of them.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::authority::{self, Authority};
use super::parse;
use crate::secret::Secret;

const PORT: u16 = 6379;
/// Before the names of all keys, unless `?prefix=` says otherwise.
const PREFIX: &str = "tu-token:";
const LONGEST_PREFIX: usize = 100;
/// Redis numbers its databases from 0; the server decides how many it has.
const MOST_DATABASES: u32 = 1_000_000;

/// What a `store` that begins like a Redis URL means, or why it means nothing.
///
/// Like any other problem with a store, a mistake in the URL costs no token: it is reported when
/// the store is used.
pub(crate) type Choice = Result<Target, String>;

/// A server, and what to use of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// `None`: the server's default user.
    pub(crate) user: Option<Secret>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: u32,
    pub(crate) prefix: String,
    /// Replaces the system's roots.
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16, is_tls: bool },
    Socket(PathBuf),
}

impl Target {
    pub(crate) fn has_login(&self) -> bool {
        self.user.is_some() || self.password.is_some()
    }

    /// The URL without user and password, for messages.
    pub(crate) fn shown(&self) -> String {
        let database = self.database;
        match &self.place {
            Place::Tcp { host, port, is_tls: false } => format!("redis://{host}:{port}/{database}"),
            Place::Tcp { host, port, is_tls: true } => format!("rediss://{host}:{port}/{database}"),
            Place::Socket(path) => format!("redis://{}?db={database}", path.display()),
        }
    }
}

/// Whether a value of `store` is meant to be a Redis URL.
pub(crate) fn is_meant(value: &str) -> bool {
    let scheme = value.split(':').next().unwrap_or_default();
    value.contains(':') && ["redis", "rediss"].iter().any(|one| scheme.eq_ignore_ascii_case(one))
}

/// Parses a URL. The error is a predicate for "the option store".
pub(crate) fn parse(url: &str) -> Choice {
    if !url.contains("://") {
        return Err("lacks \"//\": it is written redis://host:port".to_owned());
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let is_tls = scheme.eq_ignore_ascii_case("rediss");
    let (_, full) = authority::split(url).map_err(|fault| fault.to_string())?;
    // The last one: a password may contain "@", although it should be escaped.
    let (login, host) = match full.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, full),
    };
    let after = &rest[full.len()..];
    if after.contains('#') || (login.is_none() && after.contains('@')) {
        return Err("has a \"#\", or an \"@\" in its path: in a password \"/\" is written %2F, \
                    \"?\" %3F and \"#\" %23"
            .to_owned());
    }
    let (user, password) = login.map_or(Ok((None, None)), read_login)?;
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    let given = Query::parse(query)?;
    let (place, database) = match host {
        "" if is_tls => return Err("names no host: a Unix socket has no TLS".to_owned()),
        "" => (Place::Socket(socket(path)?), given.database),
        _ => {
            let Authority { host, port } =
                Authority::parse(host).map_err(|fault| fault.to_string())?;
            let database = match path.strip_prefix('/').unwrap_or_default() {
                "" => given.database,
                _ if given.database.is_some() => {
                    return Err("names a database twice: after the host and in ?db=".to_owned());
                }
                number => Some(database(number)?),
            };
            (Place::Tcp { host, port: port.unwrap_or(PORT), is_tls }, database)
        }
    };
    if given.ca_file.is_some() && !is_tls {
        return Err("has a ca_file but no TLS: write rediss://".to_owned());
    }
    Ok(Target {
        place,
        user,
        password,
        database: database.unwrap_or_default(),
        prefix: given.prefix.unwrap_or_else(|| PREFIX.to_owned()),
        ca_file: given.ca_file,
    })
}

type Login = (Option<Secret>, Option<Secret>);

fn read_login(login: &str) -> Result<Login, String> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let secret = |text: &str| match text {
        "" => Ok(None),
        _ => Ok::<_, String>(Some(Secret::new(decode(text)?))),
    };
    match (secret(user)?, secret(password)?) {
        (Some(_), None) => {
            Err("has a user without a password: it is written redis://user:password@host, \
                 and a password alone redis://:password@host"
                .to_owned())
        }
        login => Ok(login),
    }
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| "has an escape that is not UTF-8".to_owned())
}

fn socket(path: &str) -> Result<PathBuf, String> {
    let path = decode(path)?;
    // What some programs take for a database of this machine's server.
    if path.trim_matches('/').bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("names no host: it is written redis://host:port, or redis:///path of a Unix \
                    socket"
            .to_owned());
    }
    parse::path(&path)
}

fn database(text: &str) -> Result<u32, String> {
    parse::count(text, 0, MOST_DATABASES)
        .map_err(|_| "has a database that is not a number, such as redis://host/0".to_owned())
}

#[derive(Default)]
struct Query {
    database: Option<u32>,
    prefix: Option<String>,
    ca_file: Option<PathBuf>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, String> {
        let mut given = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            let was_set = match key {
                "db" => given.database.replace(database(&value)?).is_some(),
                "prefix" => given.prefix.replace(prefix(value)?).is_some(),
                "ca_file" => given.ca_file.replace(parse::path(&value)?).is_some(),
                // Not quoted: it may be a password with a "?" in it.
                _ => {
                    return Err("has an unknown parameter after \"?\": there are prefix, ca_file \
                                and db (a \"?\" in a password is written %3F)"
                        .to_owned());
                }
            };
            if was_set {
                return Err(format!("sets {key} twice"));
            }
        }
        Ok(given)
    }
}

/// A prefix of key names. Braces would change which part of a name decides its slot.
fn prefix(text: String) -> Result<String, String> {
    let is_fit = |c: char| matches!(c, '!'..='~') && !matches!(c, '{' | '}');
    match text.len() <= LONGEST_PREFIX && text.chars().all(is_fit) {
        true => Ok(text),
        false => Err(format!(
            "has a prefix that is not at most {LONGEST_PREFIX} printable ASCII characters without \
             spaces and braces"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(url: &str) -> (String, u16, bool, u32) {
        let target = parse(url).unwrap();
        match target.place {
            Place::Tcp { host, port, is_tls } => (host, port, is_tls, target.database),
            Place::Socket(path) => panic!("{path:?}"),
        }
    }

    fn login(url: &str) -> (Option<String>, Option<String>) {
        let text = |secret: Option<Secret>| secret.map(|secret| secret.reveal().to_owned());
        let target = parse(url).unwrap();
        (text(target.user), text(target.password))
    }

    #[test]
    fn a_url_names_host_port_and_database() {
        for (url, expected) in [
            ("redis://h", ("h", 6379, false, 0)),
            ("redis://h/", ("h", 6379, false, 0)),
            ("redis://H.Example:1234/7", ("h.example", 1234, false, 7)),
            ("redis://h?db=3", ("h", 6379, false, 3)),
            ("REDISS://[::1]:6380/1", ("[::1]", 6380, true, 1)),
            ("rediss://u:p@h", ("h", 6379, true, 0)),
        ] {
            let found = tcp(url);
            assert_eq!((found.0.as_str(), found.1, found.2, found.3), expected, "{url}");
        }
        let target = parse("redis://:hush@/run/my%20redis.sock?db=2").unwrap();
        assert_eq!(target.place, Place::Socket("/run/my redis.sock".into()));
        assert_eq!((target.database, target.prefix.as_str()), (2, "tu-token:"));
    }

    #[test]
    fn user_and_password_are_decoded_and_not_shown() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(login("redis://h"), (None, None));
        assert_eq!(login("redis://:p%40%2F%3A@h"), (None, some("p@/:")));
        assert_eq!(login("redis://u%3a:p:q@h"), (some("u:"), some("p:q")));
        assert_eq!(login("redis://u:p@q@h"), (some("u"), some("p@q")));
        let target = parse("rediss://someone:hush@h/3?prefix=a&ca_file=/ca.pem").unwrap();
        let texts = [format!("{target:?}"), target.shown()];
        for text in &texts {
            assert!(!text.contains("hush") && !text.contains("someone"), "{text}");
        }
        assert_eq!(texts[1], "rediss://h:6379/3");
        assert_eq!((target.prefix.as_str(), target.ca_file), ("a", Some("/ca.pem".into())));
    }

    #[test]
    fn a_mistake_is_described_and_not_quoted() {
        for (url, part) in [
            ("redis:/hush", "lacks \"//\""),
            ("redis:hush", "lacks \"//\""),
            ("redis://", "names no host"),
            ("redis://127.1", "ends in a number"),
            ("redis:///0", "names no host"),
            ("rediss:///run/hush.sock", "no TLS"),
            ("redis://hush:@h", "user without a password"),
            ("redis://hush@h", "user without a password"),
            ("redis://:hu sh@h", "0x20"),
            ("redis://u:pass#hush@h", "%23"),
            ("redis://u:pass/hush@h", "%2F"),
            ("redis://u:pass?hush@h", "%3F"),
            ("redis://h#hush", "%23"),
            ("redis://h:0", "port"),
            ("redis://h/hush", "database"),
            ("redis://h/1/hush", "database"),
            ("redis://h/-1", "database"),
            ("redis://h/1?db=1", "twice"),
            ("redis://h?db=1&db=1", "twice"),
            ("redis://h?password=hush", "unknown parameter"),
            ("redis://h?hush", "unknown parameter"),
            ("redis://h?prefix=%ff", "UTF-8"),
            ("redis://h?prefix=a{hush}", "braces"),
            ("redis://h?prefix=a%20hush", "spaces"),
            ("redis://h?prefix=%C3%A9hush", "ASCII"),
            ("redis://h?prefix=a%0d%0ahush", "ASCII"),
            ("redis://h?ca_file=", "empty"),
            ("redis://h?ca_file=/hush", "rediss://"),
            ("redis://h%2e", "\"%\""),
            ("redis://h\\hush", "\"\\\""),
        ] {
            let problem = parse(url).unwrap_err();
            assert!(problem.contains(part), "{url}: {problem}");
            assert!(!problem.contains("hush"), "{url}: {problem}");
        }
        assert!(is_meant("redis:/h") && is_meant("REDISS://h") && is_meant("redis://"));
        assert!(!is_meant("redis") && !is_meant("redisx://h") && !is_meant("file:redis://h"));
    }
}
