//! All options with their final values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::authority::Authority;
use super::proxy::ProxyChoice;
#[cfg(feature = "redis")]
use super::redis_url;
use super::table::OPTIONS;
use super::token_url::TokenUrl;
use crate::error::Error;
use crate::scope::ScopeSet;
use crate::secret::Secret;

/// How the client authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Post,
    Basic,
}

/// Which events go to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Off,
    Warn,
    Info,
}

/// Where tokens are stored beyond this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    Memory,
    /// In a directory; in the user's own if none is named.
    File(Option<PathBuf>),
    /// On a server; or why its URL is not one.
    #[cfg(feature = "redis")]
    Redis(redis_url::Choice),
}

/// The options about a token's life; `cache::policy` derives the rest from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) refresh_before: Duration,
    pub(crate) expiry_margin: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_requests_per_minute: u32,
}

/// All options with their final values.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) client_id: Option<Secret>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_id_file: Option<PathBuf>,
    pub(crate) client_secret_file: Option<PathBuf>,
    pub(crate) scope: Option<ScopeSet>,
    /// The error message of a call that names no scope either.
    pub(crate) no_scope: &'static str,
    pub(crate) token_url: TokenUrl,
    pub(crate) client_auth: ClientAuth,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) name: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) policy: Arc<Policy>,
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
    /// What was set, as text, except what most clients have of their own: credentials, scope and
    /// name.
    pub(crate) given: Vec<(&'static str, Secret)>,
}

const NO_SCOPE: &str = "no scope: set the option scope (or TRACKUNIT_SCOPE), or name one in the call, \
     such as \"asset.view\"";
const SCOPE_NOT_LOADED: &str = "no scope: TRACKUNIT_SCOPE is set, but was not loaded: call load_env (in \
     C tu_config_load_env), set the option scope, or name one in the call";

impl Default for Options {
    /// The defaults of the option table.
    fn default() -> Self {
        let mut options = Self::unread();
        for option in OPTIONS.iter().filter(|option| !option.default.is_empty()) {
            let read = option.read_into(&mut options, option.default);
            debug_assert!(read.is_ok(), "{read:?}");
        }
        options
    }
}

impl Options {
    /// Before anything is parsed. Placeholders stand for everything that has a default in the
    /// table.
    fn unread() -> Self {
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
            timeout: Duration::ZERO,
            connect_timeout: Duration::ZERO,
            policy: Arc::default(),
            keep_warm: false,
            allow_narrowed_scope: false,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            proxy: ProxyChoice::FromEnvironment,
            user_agent: String::new(),
            api_hosts: Vec::new(),
            log: LogLevel::Off,
            store: StoreChoice::Memory,
            store_timeout: Duration::ZERO,
            given: Vec::new(),
        }
    }

    pub(super) fn policy_mut(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.policy)
    }

    /// Whether everything but credentials, scope and name is the same.
    pub(crate) fn are_like(&self, other: &Self) -> bool {
        self.given == other.given
            && self.no_scope == other.no_scope
            && self.files() == other.files()
    }

    /// The same text names another file once the current directory has changed.
    fn files(&self) -> ([Option<&PathBuf>; 3], &StoreChoice) {
        let paths = [&self.ca_file, &self.client_cert_file, &self.client_key_file];
        (paths.map(Option::as_ref), &self.store)
    }

    /// The User-Agent of a client with this name.
    pub(crate) fn user_agent_of(&self, name: Option<&str>) -> String {
        match name {
            Some(name) => format!("{} ({name})", self.user_agent),
            None => self.user_agent.clone(),
        }
    }

    /// How long the creation of a client waits for the files it names.
    pub(crate) fn file_patience(&self) -> Duration {
        // A client that never waits for tokens still has to wait for these.
        if self.timeout.is_zero() { self.policy.fetch_timeout } else { self.timeout }
    }

    /// Checks that need all options. `is_set` checks an environment variable: a missing option may
    /// be set there but not loaded.
    pub(super) fn finish(
        &mut self,
        has_callback: bool,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Result<(), Error> {
        if self.scope.is_none() && is_set("TRACKUNIT_SCOPE") {
            self.no_scope = SCOPE_NOT_LOADED;
        }
        let policy = self.policy_mut();
        if policy.refresh_before < policy.expiry_margin {
            return Err(Error::config(format!(
                "option refresh_before ({:?}) is below expiry_margin ({:?}): a token would be \
                 close to expiry before its renewal starts",
                policy.refresh_before, policy.expiry_margin
            )));
        }
        policy.request_timeout = policy.request_timeout.min(policy.fetch_timeout);
        self.connect_timeout = self.connect_timeout.min(self.policy.fetch_timeout);
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
                "options client_cert_file and client_key_file must be set together: one is missing",
            ));
        }
        Ok(())
    }
}

fn exclusive(key: &str, value: bool, file: bool) -> Result<(), Error> {
    if value && file {
        return Err(Error::config(format!(
            "options {key} and {key}_file are both set: remove one"
        )));
    }
    Ok(())
}

fn required(key: &str, given: bool, is_set: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    if given {
        return Ok(());
    }
    let variable = format!("TRACKUNIT_{}", key.to_uppercase());
    let [value, file] = ["", "_FILE"].map(|ending| format!("{variable}{ending}"));
    let found = [value, file].into_iter().find(|variable| is_set(variable));
    Err(Error::config(match found {
        Some(variable) => format!(
            "option {key} is missing: {variable} is set, but was not loaded: call load_env (in C \
             tu_config_load_env) before the client is created"
        ),
        None => format!(
            "option {key} is missing: set it, {key}_file, or the environment variable {variable}"
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_waited_for_as_long_as_tokens_or_as_a_fetch_takes() {
        let mut options = Options { timeout: Duration::from_secs(3), ..Options::default() };
        assert_eq!(options.file_patience(), Duration::from_secs(3));
        options.timeout = Duration::ZERO;
        assert_eq!(options.file_patience(), Duration::from_secs(15));
    }

    #[test]
    fn options_with_the_same_text_differ_if_it_names_other_files() {
        let given = vec![("ca_file", Secret::new("roots.pem"))];
        let base = Options { given, ca_file: Some("/one/roots.pem".into()), ..Options::default() };
        assert!(base.are_like(&base.clone()));
        let file = || Some(PathBuf::from("/other/roots.pem"));
        for other in [
            Options { ca_file: file(), ..base.clone() },
            Options { client_cert_file: file(), ..base.clone() },
            Options { client_key_file: file(), ..base.clone() },
            Options { store: StoreChoice::File(file()), ..base.clone() },
            Options { given: Vec::new(), ..base.clone() },
        ] {
            assert!(!base.are_like(&other));
        }
    }

    #[test]
    fn unset_options_have_the_documented_defaults() {
        let options = Options::default();
        let (seconds, policy) = (Duration::from_secs, &options.policy);
        assert_eq!((options.timeout, options.connect_timeout), (seconds(30), seconds(5)));
        assert_eq!((policy.request_timeout, policy.fetch_timeout), (seconds(10), seconds(15)));
        assert_eq!((policy.refresh_before, policy.expiry_margin), (seconds(300), seconds(30)));
        assert_eq!(policy.max_requests_per_minute, 600);
        assert_eq!(options.store_timeout, Duration::from_millis(250));
        let hosts: Vec<String> = options.api_hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["iris.trackunit.com"]);
        assert!(options.user_agent.starts_with("tu-token/"));
        assert_eq!(options.token_url.to_string(), "https://auth.trackunit.com/token/v2");
    }

    #[test]
    fn every_default_in_the_table_parses() {
        for option in OPTIONS.iter().filter(|option| !option.default.is_empty()) {
            let mut options = Options::unread();
            option.read_into(&mut options, option.default).unwrap();
        }
    }
}
