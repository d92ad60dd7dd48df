//! Options of a client, by name, and its two callbacks.

use std::env;
use std::fmt;

use crate::config::given::Given;
use crate::config::options::Options;
use crate::config::variables::Variables;
use crate::credentials::CredentialsFn;
use crate::endpoint;
use crate::error::Error;
use crate::events::EventFn;
use crate::process::Callback;

/// Options for [`Client::new`](crate::Client::new).
///
/// Setting never fails: the first mistake is reported when the client is created. Values set here
/// take precedence over the environment, regardless of order.
///
/// ```
/// let mut config = tu_token::Config::new();
/// config.set("client_id", "id").set("client_secret", "secret").set("scope", "asset.view");
/// assert!(tu_token::Client::new(&config).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Config {
    given: Given,
    /// As it was when the program asked for that; `None`: what it is when the client is created.
    variables: Option<Variables>,
    pub(crate) credentials: Option<Callback<CredentialsFn>>,
    pub(crate) events: Option<Callback<EventFn>>,
}

impl Config {
    /// The defaults of [`OPTIONS`](crate::OPTIONS). The environment is read only by
    /// [`Config::load_env`].
    ///
    /// ```
    /// let client = tu_token::Client::new(&tu_token::Config::new());
    /// assert!(client.unwrap_err().message().contains("client_id"));
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option by its key. Setting a key again replaces its value.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.set("timeout", "soon");
    /// assert!(tu_token::Client::new(&config).unwrap_err().message().contains("timeout"));
    /// ```
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        self.given.set(key, value);
        self
    }

    /// Reads every environment variable `TRACKUNIT_<KEY>` that is set and not empty at this moment.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.load_env().set("scope", "asset.view"); // overrides TRACKUNIT_SCOPE
    /// ```
    pub fn load_env(&mut self) -> &mut Self {
        self.given.load_env();
        self
    }

    /// Remembers what else of the environment the client will heed (proxies, trust store, the user's
    /// directories), so that creating the client does not look at it. For after all options are set:
    /// without `HOME` the user's home is looked up, which may take long (LDAP), if it is needed.
    #[doc(hidden)]
    pub fn hold_environment(&mut self) -> &mut Self {
        endpoint::read_environment();
        self.variables = Some(match self.given.needs_home() {
            true => Variables::now_with_home(),
            false => Variables::now(),
        });
        self
    }

    pub(crate) fn variables(&self) -> Variables {
        self.variables.clone().unwrap_or_else(Variables::now)
    }

    /// Sets the function that supplies the client id and secret before each token request, instead
    /// of `client_id` and `client_secret`.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.on_credentials(|refused| {
    ///     // `refused`: the endpoint refused the last credentials; look for newer ones.
    ///     let _ = refused;
    ///     Some(tu_token::Credentials::new("id", "secret"))
    /// });
    /// ```
    pub fn on_credentials(&mut self, function: impl Into<CredentialsFn>) -> &mut Self {
        self.credentials = Some(Callback::new(function.into()));
        self
    }

    /// Sets the function that receives events.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.on_event(|event: &tu_token::Event| eprintln!("{event}"));
    /// ```
    pub fn on_event(&mut self, function: impl Into<EventFn>) -> &mut Self {
        self.events = Some(Callback::new(function.into()));
        self
    }

    /// Records a mistake if it is the first.
    #[cfg(feature = "capi")]
    pub(crate) fn remember(&mut self, mistake: Error) {
        self.given.remember(mistake);
    }

    /// All options with their final values, or the first mistake.
    pub(crate) fn resolve(&self) -> Result<Options, Error> {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        // After the environment was loaded, nothing can have been missed.
        let was_missed = |name: &str| self.variables.is_none() && is_set(name);
        self.given.resolve(self.credentials.is_some(), was_missed)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<&str> = self.given.keys().collect();
        f.debug_struct("Config").field("set", &set).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown() {
        let mut config = Config::new();
        config.set("client_secret", "hush").set("scope", "asset.view");
        assert_eq!(format!("{config:?}"), "Config { set: [\"client_secret\", \"scope\"], .. }");
    }

    #[test]
    fn a_client_heeds_the_environment_that_is_held() {
        let mut config = Config::new();
        config.hold_environment();
        assert!(config.variables.is_some());
        config.variables = Some(Variables::of(&[("https_proxy", "no proxy")]));
        config.set("client_id", "id").set("client_secret", "secret");
        let mistake = crate::Client::new(&config).unwrap_err();
        assert!(mistake.message().contains("https_proxy is not a proxy URL"), "{mistake}");
    }
}
