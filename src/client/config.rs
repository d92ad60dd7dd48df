//! What a client is made of: options by name, and two functions of the program.

use std::fmt;

use crate::config::given::Given;
use crate::config::options::Options;
use crate::credentials::CredentialsFn;
use crate::error::Error;
use crate::events::EventFn;
use crate::process::Callback;

/// The options of a client to be.
///
/// Setting never fails: the first mistake is remembered and reported when the client is built.
/// What the program sets wins over the environment, in any order.
///
/// ```
/// let mut config = tu_token::Config::new();
/// config.set("client_id", "id").set("client_secret", "secret").set("scope", "asset.view");
/// assert!(tu_token::Client::new(&config).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Config {
    given: Given,
    pub(crate) credentials: Option<Callback<CredentialsFn>>,
    pub(crate) events: Option<Callback<EventFn>>,
}

impl Config {
    /// The defaults of the option table; nothing is taken from the environment but by [`Config::load_env`].
    ///
    /// ```
    /// let client = tu_token::Client::new(&tu_token::Config::new());
    /// assert!(client.unwrap_err().message().contains("client_id"));
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option by its key in the table. A second value replaces the first.
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

    /// Takes every `TRACKUNIT_<KEY>` that is set in the environment now and not empty.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.load_env().set("scope", "asset.view"); // wins over TRACKUNIT_SCOPE
    /// ```
    pub fn load_env(&mut self) -> &mut Self {
        self.given.load_env();
        self
    }

    /// Sets the function that is asked for the client id and secret before each token request. It
    /// takes the place of `client_id` and `client_secret`.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.on_credentials(|refused| {
    ///     // `refused`: the endpoint did not take the last pair; look for a newer one.
    ///     let _ = refused;
    ///     Some(tu_token::Credentials::new("id", "secret"))
    /// });
    /// ```
    pub fn on_credentials(&mut self, function: impl Into<CredentialsFn>) -> &mut Self {
        self.credentials = Some(Callback::new(function.into()));
        self
    }

    /// Sets the function that is told what happens.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.on_event(|event: &tu_token::Event| eprintln!("{event}"));
    /// ```
    pub fn on_event(&mut self, function: impl Into<EventFn>) -> &mut Self {
        self.events = Some(Callback::new(function.into()));
        self
    }

    /// Remembers a mistake if it is the first.
    #[cfg(feature = "capi")]
    pub(crate) fn remember(&mut self, mistake: Error) {
        self.given.remember(mistake);
    }

    /// All options with their final values, or the first mistake.
    pub(crate) fn resolve(&self) -> Result<Options, Error> {
        self.given.resolve(self.credentials.is_some())
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
}
