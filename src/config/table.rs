//! The option table: the one declaration that keys, environment variables, defaults, parsers,
//! secrecy and the documentation of every surface come from.

use std::time::Duration;

use super::options::{ClientAuth, LogLevel, Options, StoreChoice};
use super::parse;
use super::proxy::ProxyChoice;
use super::secrecy::{Secrecy, is_place, is_plain_url};
use super::token_url::{self, TokenUrl};
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::secret::Secret;

/// One option: its key, default, meaning, secrecy and parser.
///
/// ```
/// use tu_token::{OPTIONS, Secrecy};
///
/// let secrecy = |key: &str| OPTIONS.iter().find(|option| option.key == key).unwrap().secrecy;
/// assert_eq!(secrecy("client_secret"), Secrecy::Secret);
/// assert_eq!(secrecy("proxy"), Secrecy::MayCarrySecret); // a password in its URL
/// assert_eq!(secrecy("scope"), Secrecy::Public);
/// ```
pub struct OptionSpec {
    /// The name in C and Python; in upper case after `TRACKUNIT_`, the environment variable.
    pub key: &'static str,
    /// The default, as it would be written. Empty: none.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub meaning: &'static str,
    /// Whether the value is a secret or may contain one; `secrecy` says which.
    pub secret: bool,
    /// Whether the value may be shown.
    pub secrecy: Secrecy,
    /// Whether it names a file that contains a secret: not a secret itself, but useless to a process
    /// that must not have the secret.
    pub leads_to_secret: bool,
    /// For [`Secrecy::MayCarrySecret`]: whether a value has a form that cannot contain a secret.
    pub(super) is_plain: fn(&str) -> bool,
    read: fn(&mut Options, &str) -> Result<(), String>,
}

/// What options of one secrecy have in common.
const fn of(secrecy: Secrecy, is_plain: fn(&str) -> bool) -> OptionSpec {
    OptionSpec {
        key: "",
        default: "",
        meaning: "",
        secret: !matches!(secrecy, Secrecy::Public),
        secrecy,
        leads_to_secret: false,
        is_plain,
        read: |_, _| Ok(()),
    }
}

const PUBLIC: OptionSpec = of(Secrecy::Public, |_| true);
const FILE_OF_SECRET: OptionSpec = OptionSpec { leads_to_secret: true, ..PUBLIC };
const SECRET: OptionSpec = of(Secrecy::Secret, |_| false);

const fn may_carry_secret(is_plain: fn(&str) -> bool) -> OptionSpec {
    of(Secrecy::MayCarrySecret, is_plain)
}

/// The default User-Agent.
const USER_AGENT: &str = concat!("tu-token/", env!("CARGO_PKG_VERSION"));

/// The prefix of the environment variables.
const ENV_PREFIX: &str = "TRACKUNIT_";

impl OptionSpec {
    /// The name of the environment variable.
    ///
    /// ```
    /// let scope = tu_token::OPTIONS.iter().find(|option| option.key == "scope").unwrap();
    /// assert_eq!(scope.env_name(), "TRACKUNIT_SCOPE");
    /// ```
    pub fn env_name(&self) -> String {
        let mut name = [ENV_PREFIX, self.key].concat();
        name.make_ascii_uppercase();
        name
    }

    /// The alternative way to set the same thing: a value, or the file that contains it.
    pub(super) fn twin(&self) -> Option<&'static str> {
        match self.key {
            "client_id" => Some("client_id_file"),
            "client_id_file" => Some("client_id"),
            "client_secret" => Some("client_secret_file"),
            "client_secret_file" => Some("client_secret"),
            _ => None,
        }
    }

    /// Parses a value and stores it. The error names the option and shows no secret.
    pub(crate) fn read_into(&self, options: &mut Options, value: &str) -> Result<(), Error> {
        (self.read)(options, value).map_err(|problem| {
            let shown = parse::shown(value, 80);
            // A URL with a password in it can be pasted anywhere by mistake.
            Error::config(match self.secret || value.contains('@') {
                true => format!("option {}: {problem}", self.key),
                false => format!("option {}: {problem} (found \"{shown}\")", self.key),
            })
        })
    }
}

/// Finds an option by its exact key.
pub(crate) fn find(key: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.key == key)
}

/// The option table.
///
/// ```
/// for option in tu_token::OPTIONS {
///     println!("{} ({}): {}", option.key, option.default, option.meaning);
/// }
/// ```
pub static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "client_id",
        default: "",
        meaning: "The API key's client id. Required, unless client_id_file or a callback supplies it.",
        read: |options, value| {
            options.client_id = Some(Secret::new(parse::credential(value)?));
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "client_secret",
        default: "",
        meaning: "The API key's client secret. Required, unless client_secret_file or a callback supplies it.",
        read: |options, value| {
            options.client_secret = Some(Secret::new(parse::credential(value)?));
            Ok(())
        },
        ..SECRET
    },
    OptionSpec {
        key: "client_id_file",
        default: "",
        meaning: "File that contains the client id. Read again before a token request if it has changed; a pipe or device is read once, when the client is created.",
        read: |options, value| {
            options.client_id_file = Some(parse::path(value)?);
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "client_secret_file",
        default: "",
        meaning: "File that contains the client secret. Read again before a token request if it has changed; a pipe or device is read once, when the client is created.",
        read: |options, value| {
            options.client_secret_file = Some(parse::path(value)?);
            Ok(())
        },
        ..FILE_OF_SECRET
    },
    OptionSpec {
        key: "scope",
        default: "",
        meaning: "Scopes to request, separated by spaces. Required, unless each call names its own.",
        read: |options, value| {
            options.scope =
                Some(ScopeSet::parse(value).map_err(|error| error.message().to_owned())?);
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "token_url",
        default: token_url::DEFAULT_URL,
        meaning: "The token endpoint: https, or http for loopback only.",
        read: |options, value| {
            options.token_url = TokenUrl::parse(value)?;
            Ok(())
        },
        ..may_carry_secret(|value| is_plain_url(value) && !value.contains(['?', '#']))
    },
    OptionSpec {
        key: "client_auth",
        default: "post",
        meaning: "Client authentication: post (credentials in the form) or basic (HTTP Basic, RFC 6749 section 2.3.1).",
        read: |options, value| {
            options.client_auth = match value {
                "post" => ClientAuth::Post,
                "basic" => ClientAuth::Basic,
                _ => return Err("must be post or basic".to_owned()),
            };
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "params",
        default: "",
        meaning: "Additional form fields of the token request, as key=value&key=value.",
        read: |options, value| {
            options.params = parse::params(value)?;
            Ok(())
        },
        ..SECRET
    },
    OptionSpec {
        key: "name",
        default: "",
        meaning: "The API key's name, for auditing: part of every event and of the User-Agent.",
        read: |options, value| {
            options.name = Some(parse::header_text(value)?);
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "timeout",
        default: "30s",
        meaning: "A caller's longest wait for a token; 0: never wait.",
        read: |options, value| {
            let never = matches!(value, "0" | "0s" | "0ms" | "0m" | "0h");
            options.timeout = match never {
                true => Duration::ZERO,
                false => parse::duration(value).map_err(|problem| problem + "; 0: never wait")?,
            };
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "request_timeout",
        default: "10s",
        meaning: "Timeout of one token request; at most fetch_timeout.",
        read: |options, value| {
            options.policy_mut().request_timeout = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "connect_timeout",
        default: "5s",
        meaning: "Timeout for connecting, part of the request; at most fetch_timeout.",
        read: |options, value| {
            options.connect_timeout = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "fetch_timeout",
        default: "15s",
        meaning: "Timeout of one fetch with all its attempts: up to 3 while there is no valid token, otherwise 1.",
        read: |options, value| {
            options.policy_mut().fetch_timeout = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "refresh_before",
        default: "300s",
        meaning: "How long before expiry a token is renewed in the background; at most a quarter of its lifetime. A random jitter of up to 5 minutes (again at most a quarter) renews earlier: a 20-minute token after 10 to 15 minutes.",
        read: |options, value| {
            options.policy_mut().refresh_before = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "expiry_margin",
        default: "30s",
        meaning: "How long before expiry callers start to wait for the new token; at most a tenth of the lifetime.",
        read: |options, value| {
            options.policy_mut().expiry_margin = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "keep_warm",
        default: "false",
        meaning: "Renew tokens even without callers, so that no caller has to wait.",
        read: |options, value| {
            options.keep_warm = parse::boolean(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "max_requests_per_minute",
        default: "600",
        meaning: "Limit on this client's token requests per minute; 1 to 1000000.",
        read: |options, value| {
            options.policy_mut().max_requests_per_minute = parse::count(value, 1, 1_000_000)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "allow_narrowed_scope",
        default: "false",
        meaning: "Accept a token that grants fewer scopes than requested.",
        read: |options, value| {
            options.allow_narrowed_scope = parse::boolean(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "ca_file",
        default: "",
        meaning: "Root certificates (PEM) to trust instead of the system's. Read again for each fetch.",
        read: |options, value| {
            options.ca_file = Some(parse::path(value)?);
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "client_cert_file",
        default: "",
        meaning: "Client certificate (PEM) for mutual TLS. Read again for each fetch.",
        read: |options, value| {
            options.client_cert_file = Some(parse::path(value)?);
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "client_key_file",
        default: "",
        meaning: "Private key (PEM) of the client certificate.",
        read: |options, value| {
            options.client_key_file = Some(parse::path(value)?);
            Ok(())
        },
        ..FILE_OF_SECRET
    },
    OptionSpec {
        key: "proxy",
        default: "",
        meaning: "Proxy URL (http://, https:// or socks5://), or none; percent-encode user and password. Default: HTTPS_PROXY and NO_PROXY.",
        read: |options, value| {
            options.proxy = ProxyChoice::parse(value)?;
            Ok(())
        },
        ..may_carry_secret(|value| value == "none" || is_plain_url(value))
    },
    OptionSpec {
        key: "user_agent",
        default: USER_AGENT,
        meaning: "User-Agent of token requests.",
        read: |options, value| {
            options.user_agent = parse::header_text(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "api_hosts",
        default: "iris.trackunit.com",
        meaning: "Hosts that the HTTP adapters may send tokens to (https only), separated by spaces or commas. Loopback is always allowed.",
        read: |options, value| {
            options.api_hosts = parse::hosts(value)?;
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "log",
        default: "off",
        meaning: "Events to stderr: off, warn or info.",
        read: |options, value| {
            options.log = match value {
                "off" => LogLevel::Off,
                "warn" => LogLevel::Warn,
                "info" => LogLevel::Info,
                _ => return Err("must be off, warn or info".to_owned()),
            };
            Ok(())
        },
        ..PUBLIC
    },
    OptionSpec {
        key: "store",
        default: "memory",
        meaning: "Where tokens are shared between processes: memory (not shared), file (in the user's own directory), file:<dir> or, if built in, redis://<host>.",
        read: |options, value| {
            options.store = store_choice(value)?;
            Ok(())
        },
        ..may_carry_secret(|value| {
            #[cfg(feature = "redis")]
            if super::redis_url::is_meant(value) {
                return super::redis_url::parse(value).is_ok_and(|target| !target.has_login());
            }
            is_place(value) || is_plain_url(value)
        })
    },
    OptionSpec {
        key: "store_timeout",
        default: "250ms",
        meaning: "Timeout of one store operation.",
        read: |options, value| {
            options.store_timeout = parse::duration(value)?;
            Ok(())
        },
        ..PUBLIC
    },
];

pub(super) fn store_choice(value: &str) -> Result<StoreChoice, String> {
    let is_file = value == "file" || value.starts_with("file:");
    match value.strip_prefix("file:") {
        _ if value == "memory" => Ok(StoreChoice::Memory),
        _ if is_file && !cfg!(unix) => {
            Err("a file store is not supported on this system".to_owned())
        }
        Some(directory) => Ok(StoreChoice::File(Some(parse::path(directory)?))),
        None if is_file => Ok(StoreChoice::File(None)),
        #[cfg(feature = "redis")]
        _ if super::redis_url::is_meant(value) => {
            Ok(StoreChoice::Redis(super::redis_url::parse(value)))
        }
        #[cfg(not(feature = "redis"))]
        _ if value.starts_with("redis://") || value.starts_with("rediss://") => {
            Err("a Redis store is not built in; use memory or file".to_owned())
        }
        _ if cfg!(feature = "redis") => {
            Err("must be memory, file, file:<dir> or redis://<host>".to_owned())
        }
        _ => Err("must be memory, file or file:<dir>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_the_file_with_it_overrule_each_other() {
        for (key, other) in
            [("client_id", "client_id_file"), ("client_secret", "client_secret_file")]
        {
            assert_eq!(find(key).unwrap().twin(), Some(other));
            assert_eq!(find(other).unwrap().twin(), Some(key));
        }
        assert_eq!(find("scope").unwrap().twin(), None);
    }

    #[test]
    fn a_store_is_read_or_refused() {
        let read = |value| {
            let mut options = Options::default();
            find("store").unwrap().read_into(&mut options, value).map(|()| options.store)
        };
        assert_eq!(read("memory").unwrap(), StoreChoice::Memory);
        #[cfg(not(feature = "redis"))]
        for value in ["redis://localhost", "rediss://:hush@x"] {
            let error = read(value).unwrap_err();
            assert!(error.message().contains("not built in"));
            assert!(!error.message().contains("hush"));
        }
        #[cfg(feature = "redis")]
        for (value, is_good) in [
            ("redis://localhost", true),
            ("rediss://:hush@x", true),
            // A mistake costs no token either.
            ("redis:/hush", false),
        ] {
            let StoreChoice::Redis(choice) = read(value).unwrap() else { panic!("{value}") };
            assert_eq!(choice.is_ok(), is_good, "{value}: {choice:?}");
            assert!(!format!("{choice:?}").contains("hush"));
        }
        #[cfg(feature = "redis")]
        for (value, may_hold) in [
            ("redis://u:hush@x", true),
            ("redis://:hush@/run/redis.sock", true),
            ("redis://u:pass?hush@x", true),
            ("redis://x?hush", true),
            ("redis:hush", true),
            ("redis:/hush", true),
            ("redis://x#hush", true),
            ("rediss://x?prefix=a:&ca_file=/ca.pem", false),
            ("redis:///run/redis.sock?db=1", false),
        ] {
            assert_eq!(find("store").unwrap().holds_secret(value), may_hold, "{value}");
        }
        for value in ["", "files", "file:", "FILE", "disk"] {
            assert!(read(value).is_err(), "{value}");
        }
        if cfg!(unix) {
            assert_eq!(read("file").unwrap(), StoreChoice::File(None));
            assert_eq!(read("file:/x y").unwrap(), StoreChoice::File(Some("/x y".into())));
        }
    }
}
