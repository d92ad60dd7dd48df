//! The option table. Keys, environment variables, defaults, parsers and the documentation of
//! every surface come from this one declaration.

use std::path::PathBuf;
use std::time::Duration;

use super::authority::Authority;
use super::parse;
use super::proxy::ProxyChoice;
use super::token_url::TokenUrl;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::secret::Secret;

/// One option: how it is called, what it means, how it is read.
///
/// ```
/// let secrets: Vec<&str> =
///     tu_token::OPTIONS.iter().filter(|option| option.secret).map(|option| option.key).collect();
/// assert!(secrets.contains(&"client_secret"));
/// ```
pub struct OptionSpec {
    /// The name in C and Python; in upper case behind `TRACKUNIT_` the environment variable.
    pub key: &'static str,
    /// The value when nobody sets it, as it would be written. Empty: none.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    read: fn(&mut Options, &str) -> Result<(), String>,
}

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
        format!("{ENV_PREFIX}{}", self.key.to_uppercase())
    }

    /// The option that says the same in another way: a value and the file that holds it.
    pub(super) fn twin(&self) -> Option<&'static str> {
        match self.key {
            "client_id" => Some("client_id_file"),
            "client_id_file" => Some("client_id"),
            "client_secret" => Some("client_secret_file"),
            "client_secret_file" => Some("client_secret"),
            _ => None,
        }
    }

    /// Reads a value into its place. The error names the option and shows no secret.
    pub(crate) fn read_into(&self, options: &mut Options, value: &str) -> Result<(), Error> {
        (self.read)(options, value).map_err(|problem| {
            let shown: String = value.chars().filter(|c| !c.is_control()).take(80).collect();
            // A URL with a password in it can stand anywhere by mistake.
            Error::config(match self.secret || value.contains('@') {
                true => format!("option {}: {problem}", self.key),
                false => format!("option {}: {problem} (found \"{shown}\")", self.key),
            })
        })
    }
}

/// How the client proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    #[default]
    Post,
    Basic,
}

/// Which events go to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    #[default]
    Off,
    Warn,
    Info,
}

/// Where tokens are kept beyond this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    #[default]
    Memory,
    /// In a directory; in the user's own if none is named.
    File(Option<PathBuf>),
}

/// What the options say about the life of a token; `cache::policy` says what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) refresh_before: Duration,
    pub(crate) expiry_margin: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_requests_per_minute: u32,
}

/// Every option with its final value.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) client_id: Option<Secret>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_id_file: Option<PathBuf>,
    pub(crate) client_secret_file: Option<PathBuf>,
    pub(crate) scope: Option<ScopeSet>,
    /// What a call hears that names no scope either.
    pub(crate) no_scope: &'static str,
    pub(crate) token_url: TokenUrl,
    pub(crate) client_auth: ClientAuth,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) name: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) policy: Policy,
    pub(crate) keep_warm: bool,
    pub(crate) allow_narrowed_scope: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_cert_file: Option<PathBuf>,
    pub(crate) client_key_file: Option<PathBuf>,
    pub(crate) proxy: ProxyChoice,
    pub(crate) user_agent: String,
    pub(crate) api_hosts: Vec<Authority>,
    pub(crate) log: LogLevel,
    pub(crate) store: StoreChoice,
    pub(crate) store_timeout: Duration,
}

const NO_SCOPE: &str = "no scope: set the option scope (or TRACKUNIT_SCOPE), or name one in the call, \
     such as \"asset.view\"";
const SCOPE_NOT_LOADED: &str = "no scope: TRACKUNIT_SCOPE is set, but was not loaded: call load_env (in \
     C tu_config_load_env), set the option scope, or name one in the call";

/// The default User-Agent.
const USER_AGENT: &str = concat!("tu-token/", env!("CARGO_PKG_VERSION"));

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: None,
            client_secret: None,
            client_id_file: None,
            client_secret_file: None,
            scope: None,
            no_scope: NO_SCOPE,
            token_url: TokenUrl::default(),
            client_auth: ClientAuth::Post,
            params: Vec::new(),
            name: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            policy: Policy {
                refresh_before: Duration::from_secs(300),
                expiry_margin: Duration::from_secs(30),
                fetch_timeout: Duration::from_secs(15),
                request_timeout: Duration::from_secs(10),
                max_requests_per_minute: 600,
            },
            keep_warm: false,
            allow_narrowed_scope: false,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            proxy: ProxyChoice::FromEnvironment,
            user_agent: USER_AGENT.to_owned(),
            api_hosts: vec![Authority { host: "iris.trackunit.com".to_owned(), port: None }],
            log: LogLevel::Off,
            store: StoreChoice::Memory,
            store_timeout: Duration::from_millis(250),
        }
    }
}

impl Options {
    /// How long the making of a client waits for the files that it names.
    pub(crate) fn file_patience(&self) -> Duration {
        // A client that never waits for tokens has to wait for these.
        if self.timeout.is_zero() { self.policy.fetch_timeout } else { self.timeout }
    }

    /// What can only be judged when all options are known. `is_set` looks at an environment variable:
    /// what has not been given may stand there, and not have been loaded.
    pub(super) fn finish(
        &mut self,
        has_callback: bool,
        is_set: fn(&str) -> bool,
    ) -> Result<(), Error> {
        if self.scope.is_none() && is_set("TRACKUNIT_SCOPE") {
            self.no_scope = SCOPE_NOT_LOADED;
        }
        let policy = &mut self.policy;
        if policy.refresh_before < policy.expiry_margin {
            return Err(Error::config(format!(
                "option refresh_before ({:?}) is below expiry_margin ({:?}): a token would be \
                 about to end before it is renewed",
                policy.refresh_before, policy.expiry_margin
            )));
        }
        policy.request_timeout = policy.request_timeout.min(policy.fetch_timeout);
        self.connect_timeout = self.connect_timeout.min(policy.fetch_timeout);
        exclusive("client_id", self.client_id.is_some(), self.client_id_file.is_some())?;
        exclusive(
            "client_secret",
            self.client_secret.is_some(),
            self.client_secret_file.is_some(),
        )?;
        if !has_callback {
            let id = self.client_id.is_some() || self.client_id_file.is_some();
            let secret = self.client_secret.is_some() || self.client_secret_file.is_some();
            required("client_id", id, is_set)?;
            required("client_secret", secret, is_set)?;
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return Err(Error::config(
                "options client_cert_file and client_key_file go together: one of them is missing",
            ));
        }
        Ok(())
    }
}

fn exclusive(key: &str, value: bool, file: bool) -> Result<(), Error> {
    if value && file {
        return Err(Error::config(format!(
            "options {key} and {key}_file are both set: keep one of them"
        )));
    }
    Ok(())
}

fn required(key: &str, given: bool, is_set: fn(&str) -> bool) -> Result<(), Error> {
    if given {
        return Ok(());
    }
    let variable = format!("TRACKUNIT_{}", key.to_uppercase());
    let [value, file] = ["", "_FILE"].map(|ending| format!("{variable}{ending}"));
    let found = [value, file].into_iter().find(|variable| is_set(variable));
    Err(Error::config(match found {
        Some(variable) => format!(
            "option {key} is missing: {variable} is set, but was not loaded: call load_env (in C \
             tu_config_load_env) before the client is made"
        ),
        None => format!(
            "option {key} is missing: set it, {key}_file, or the environment variable {variable}"
        ),
    }))
}

fn store_choice(value: &str) -> Result<StoreChoice, String> {
    let is_file = value == "file" || value.starts_with("file:");
    match value.strip_prefix("file:") {
        _ if value == "memory" => Ok(StoreChoice::Memory),
        _ if is_file && !cfg!(unix) => {
            Err("a file store is not built in on this system".to_owned())
        }
        Some(directory) => Ok(StoreChoice::File(Some(parse::path(directory)?))),
        None if is_file => Ok(StoreChoice::File(None)),
        _ if value.starts_with("redis://") || value.starts_with("rediss://") => {
            Err("a Redis store is not built in; use memory or file".to_owned())
        }
        _ => Err("is memory, file or file:<dir>".to_owned()),
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
        meaning: "The API key's client id. Required, unless client_id_file or a callback gives it.",
        secret: false,
        read: |options, value| {
            options.client_id = Some(Secret::new(parse::credential(value)?));
            Ok(())
        },
    },
    OptionSpec {
        key: "client_secret",
        default: "",
        meaning: "The API key's client secret. Required, unless client_secret_file or a callback gives it.",
        secret: true,
        read: |options, value| {
            options.client_secret = Some(Secret::new(parse::credential(value)?));
            Ok(())
        },
    },
    OptionSpec {
        key: "client_id_file",
        default: "",
        meaning: "A file that holds the client id. Read when changed, before each token request; a pipe or device once, when the client is made.",
        secret: false,
        read: |options, value| {
            options.client_id_file = Some(parse::path(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "client_secret_file",
        default: "",
        meaning: "A file that holds the client secret. Read when changed, before each token request; a pipe or device once, when the client is made.",
        secret: false,
        read: |options, value| {
            options.client_secret_file = Some(parse::path(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "scope",
        default: "",
        meaning: "The scopes to ask for, separated by blanks. Required, unless each call names its own.",
        secret: false,
        read: |options, value| {
            options.scope =
                Some(ScopeSet::parse(value).map_err(|error| error.message().to_owned())?);
            Ok(())
        },
    },
    OptionSpec {
        key: "token_url",
        default: "https://auth.trackunit.com/token/v2",
        meaning: "The token endpoint: https, or plain http to this machine alone.",
        // It may hold user info by mistake; then it must not be shown.
        secret: true,
        read: |options, value| {
            options.token_url = TokenUrl::parse(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "client_auth",
        default: "post",
        meaning: "How the client proves who it is: post (in the form) or basic (RFC 6749 section 2.3.1).",
        secret: false,
        read: |options, value| {
            options.client_auth = match value {
                "post" => ClientAuth::Post,
                "basic" => ClientAuth::Basic,
                _ => return Err("is post or basic".to_owned()),
            };
            Ok(())
        },
    },
    OptionSpec {
        key: "params",
        default: "",
        meaning: "More form fields for the token request, as key=value&key=value.",
        secret: true,
        read: |options, value| {
            options.params = parse::params(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "name",
        default: "",
        meaning: "The API key's name, for audit: it is in every event and in the User-Agent.",
        secret: false,
        read: |options, value| {
            options.name = Some(parse::header_text(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "timeout",
        default: "30s",
        meaning: "A caller's longest wait for a token; 0: never wait.",
        secret: false,
        read: |options, value| {
            let never = matches!(value, "0" | "0s" | "0ms" | "0m" | "0h");
            options.timeout = match never {
                true => Duration::ZERO,
                false => parse::duration(value).map_err(|problem| problem + "; 0: never wait")?,
            };
            Ok(())
        },
    },
    OptionSpec {
        key: "request_timeout",
        default: "10s",
        meaning: "The longest time of one token request; cut to fetch_timeout.",
        secret: false,
        read: |options, value| {
            options.policy.request_timeout = parse::duration(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "connect_timeout",
        default: "5s",
        meaning: "The longest time to connect, within a request; cut to fetch_timeout.",
        secret: false,
        read: |options, value| {
            options.connect_timeout = parse::duration(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "fetch_timeout",
        default: "15s",
        meaning: "The longest time of one fetch with all its attempts: up to 3 while there is no token, else 1.",
        secret: false,
        read: |options, value| {
            options.policy.fetch_timeout = parse::duration(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "refresh_before",
        default: "300s",
        meaning: "How long before its end a token is due for renewal in the background, at most a quarter of its life; by chance up to 5 minutes (again at most a quarter) earlier: a token of 20 minutes after 10 to 15.",
        secret: false,
        read: |options, value| {
            options.policy.refresh_before = parse::duration(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "expiry_margin",
        default: "30s",
        meaning: "How long before its end callers wait for the next token; at most a tenth of its life.",
        secret: false,
        read: |options, value| {
            options.policy.expiry_margin = parse::duration(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "keep_warm",
        default: "false",
        meaning: "Renew even if nobody asks, so that no caller ever waits.",
        secret: false,
        read: |options, value| {
            options.keep_warm = parse::boolean(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "max_requests_per_minute",
        default: "600",
        meaning: "The most token requests this client makes in a minute; 1 to 1000000.",
        secret: false,
        read: |options, value| {
            options.policy.max_requests_per_minute = parse::count(value, 1, 1_000_000)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "allow_narrowed_scope",
        default: "false",
        meaning: "Accept a token that was granted fewer scopes than asked for.",
        secret: false,
        read: |options, value| {
            options.allow_narrowed_scope = parse::boolean(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "ca_file",
        default: "",
        meaning: "Root certificates (PEM) to trust in place of the system's. Read again for each fetch.",
        secret: false,
        read: |options, value| {
            options.ca_file = Some(parse::path(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "client_cert_file",
        default: "",
        meaning: "The client certificate (PEM) for mutual TLS. Read again for each fetch.",
        secret: false,
        read: |options, value| {
            options.client_cert_file = Some(parse::path(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "client_key_file",
        default: "",
        meaning: "The client certificate's private key (PEM).",
        secret: false,
        read: |options, value| {
            options.client_key_file = Some(parse::path(value)?);
            Ok(())
        },
    },
    OptionSpec {
        key: "proxy",
        default: "",
        meaning: "http://, https:// or socks5:// proxy, or none; user and password are percent-encoded. Default: HTTPS_PROXY and NO_PROXY.",
        secret: true,
        read: |options, value| {
            options.proxy = ProxyChoice::parse(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "user_agent",
        default: USER_AGENT,
        meaning: "The User-Agent of token requests.",
        secret: false,
        read: |options, value| {
            options.user_agent = parse::header_text(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "api_hosts",
        default: "iris.trackunit.com",
        meaning: "Hosts the HTTP adapters may send the token to, by https, separated by blanks or commas. This machine is always allowed.",
        secret: false,
        read: |options, value| {
            options.api_hosts = parse::hosts(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "log",
        default: "off",
        meaning: "Events to stderr: off, warn or info.",
        secret: false,
        read: |options, value| {
            options.log = match value {
                "off" => LogLevel::Off,
                "warn" => LogLevel::Warn,
                "info" => LogLevel::Info,
                _ => return Err("is off, warn or info".to_owned()),
            };
            Ok(())
        },
    },
    OptionSpec {
        key: "store",
        default: "memory",
        meaning: "Where tokens are shared beyond this process: memory (nowhere), file (in the user's own directory) or file:<dir>.",
        // A store's address may hold a password.
        secret: true,
        read: |options, value| {
            options.store = store_choice(value)?;
            Ok(())
        },
    },
    OptionSpec {
        key: "store_timeout",
        default: "250ms",
        meaning: "The longest time of one store operation.",
        secret: false,
        read: |options, value| {
            options.store_timeout = parse::duration(value)?;
            Ok(())
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_as_written_are_the_defaults_as_built() {
        let built = format!("{:?}", Options::default());
        let mut read = Options::default();
        for option in OPTIONS.iter().filter(|option| !option.default.is_empty()) {
            option.read_into(&mut read, option.default).unwrap();
        }
        assert_eq!(format!("{read:?}"), built);
    }

    #[test]
    fn a_store_is_read_or_refused() {
        let read = |value| {
            let mut options = Options::default();
            find("store").unwrap().read_into(&mut options, value).map(|()| options.store)
        };
        assert_eq!(read("memory").unwrap(), StoreChoice::Memory);
        for value in ["redis://localhost", "rediss://:hush@x"] {
            let error = read(value).unwrap_err();
            assert!(error.message().contains("not built in"));
            assert!(!error.message().contains("hush"));
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
