//! What a client is told: options by name, from the program and from the environment.
//!
//! - [`options`] the option table, one declaration for every surface
//! - [`parse`] how the text of a value is read
//! - [`endpoint`] the token URL and the way to it, and where a token may be sent
//! - [`authority`] which host and port a URL names

pub(crate) mod authority;
pub(crate) mod endpoint;
pub(crate) mod options;
pub(crate) mod parse;

use std::fmt;

use crate::credentials::CredentialsFn;
use crate::error::Error;
use crate::events::EventFn;
use crate::process::Callback;
use crate::token::Secret;
use options::{OPTIONS, OptionSpec, Options};

/// The prefix of the environment variables.
pub(crate) const ENV_PREFIX: &str = "TRACKUNIT_";

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
    program: Values,
    environment: Values,
    mistake: Option<Error>,
    pub(crate) credentials: Option<Callback<CredentialsFn>>,
    pub(crate) events: Option<Callback<EventFn>>,
}

/// What is given for some options, by their keys. A list: they are few.
#[derive(Clone, Default)]
struct Values(Vec<(&'static str, Secret)>);

impl Values {
    fn insert(&mut self, key: &'static str, value: Secret) {
        self.0.retain(|(other, _)| *other != key);
        self.0.push((key, value));
    }

    fn get(&self, key: &str) -> Option<&Secret> {
        self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(key, _)| *key)
    }
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
        match options::find(key) {
            Some(option) => {
                // Read now, so that the first mistake is the first one made.
                if let Err(error) = option.read_into(&mut Options::default(), value) {
                    self.remember(error);
                }
                self.program.insert(option.key, Secret::new(value));
            }
            None => self.remember(unknown_key(key)),
        }
        self
    }

    /// Takes every `TRACKUNIT_<KEY>` that is set in the environment now and not empty.
    ///
    /// ```
    /// let mut config = tu_token::Config::new();
    /// config.load_env().set("scope", "asset.view"); // wins over TRACKUNIT_SCOPE
    /// ```
    pub fn load_env(&mut self) -> &mut Self {
        for option in OPTIONS {
            let variable = option.env_name();
            match std::env::var(&variable) {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    self.environment.insert(option.key, Secret::new(value));
                }
                Err(std::env::VarError::NotPresent) => {}
                Err(std::env::VarError::NotUnicode(_)) => {
                    self.remember(Error::config(format!("{variable} is not valid UTF-8")));
                }
            }
        }
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
    pub(crate) fn remember(&mut self, mistake: Error) {
        self.mistake.get_or_insert(mistake);
    }

    /// All options with their final values, or the first mistake.
    pub(crate) fn resolve(&self) -> Result<Options, Error> {
        self.resolve_beside(|variable| std::env::var_os(variable).is_some_and(|it| !it.is_empty()))
    }

    /// The same beside an environment, of which only `load_env` takes anything.
    fn resolve_beside(&self, is_set: fn(&str) -> bool) -> Result<Options, Error> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let mut options = Options::default();
        for option in OPTIONS {
            let overruled = option.twin().is_some_and(|twin| self.program.get(twin).is_some());
            if let Some(value) = self.program.get(option.key) {
                option.read_into(&mut options, value.reveal())?;
            } else if let Some(value) = self.environment.get(option.key).filter(|_| !overruled) {
                option.read_into(&mut options, value.reveal()).map_err(|error| {
                    Error::config(format!("{} (from {})", error.message(), option.env_name()))
                })?;
            }
        }
        options.finish(self.credentials.is_some(), is_set)?;
        Ok(options)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<&str> = self.program.keys().chain(self.environment.keys()).collect();
        f.debug_struct("Config").field("set", &set).finish_non_exhaustive()
    }
}

fn unknown_key(key: &str) -> Error {
    let shown: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
    let closest = OPTIONS
        .iter()
        .map(|option| (strsim::osa_distance(&shown.to_lowercase(), option.key), option.key))
        .min();
    match closest {
        Some((distance, close)) if distance <= 1 + close.len() / 4 => {
            Error::config(format!("unknown option \"{shown}\": did you mean {close}?"))
        }
        _ => Error::config(format!(
            "unknown option \"{shown}\"; the options are: {}",
            OPTIONS.iter().map(|option| option.key).collect::<Vec<_>>().join(", ")
        )),
    }
}

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
    fn twin(&self) -> Option<&'static str> {
        match self.key {
            "client_id" => Some("client_id_file"),
            "client_id_file" => Some("client_id"),
            "client_secret" => Some("client_secret_file"),
            "client_secret_file" => Some("client_secret"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_basics() -> Config {
        let mut config = Config::new();
        config.set("client_id", "id").set("client_secret", "hush").set("scope", "a");
        config
    }

    fn message(config: &Config) -> String {
        config.resolve().unwrap_err().message().to_owned()
    }

    #[test]
    fn a_slip_of_the_pen_gets_a_suggestion() {
        let mut config = with_basics();
        config.set("scopee", "x");
        assert!(message(&config).contains("did you mean scope?"));
        let mut config = with_basics();
        config.set("client-id", "x");
        assert!(message(&config).contains("did you mean client_id?"));
        let mut config = with_basics();
        config.set("colour", "x");
        assert!(message(&config).contains("the options are"));
    }

    #[test]
    fn the_first_mistake_is_reported() {
        let mut config = with_basics();
        config.set("timeout", "soon").set("nonsense_key", "x");
        assert!(message(&config).contains("timeout"));
    }

    #[test]
    fn what_is_required_is_asked_for() {
        let mut config = Config::new();
        config.set("client_secret", "hush");
        assert!(message(&config).contains("client_id"));
        let mut config = Config::new();
        config.set("client_id", "x");
        assert!(message(&config).contains("client_secret"));
    }

    #[test]
    fn what_is_set_but_was_not_loaded_is_told_so() {
        let refused = |config: &Config, is_set| {
            config.resolve_beside(is_set).unwrap_err().message().to_owned()
        };
        let all: fn(&str) -> bool = |_| true;
        let said = refused(&Config::new(), all);
        let load = "is set, but was not loaded: call load_env (in C tu_config_load_env)";
        assert!(said.contains("TRACKUNIT_CLIENT_ID ") && said.contains(load), "{said}");
        let file: fn(&str) -> bool = |variable| variable == "TRACKUNIT_CLIENT_SECRET_FILE";
        let mut config = Config::new();
        config.set("client_id", "id");
        let said = refused(&config, file);
        assert!(said.contains("TRACKUNIT_CLIENT_SECRET_FILE ") && said.contains(load), "{said}");
        let none: fn(&str) -> bool = |_| false;
        assert!(!refused(&config, none).contains("load_env"));
        // Whoever gives all that is needed has no need of the environment.
        assert!(with_basics().resolve_beside(all).is_ok());
        config.set("client_secret", "hush");
        let no_scope = |is_set| config.resolve_beside(is_set).unwrap().no_scope;
        assert!(no_scope(all).contains("TRACKUNIT_SCOPE is set, but was not loaded"));
        assert!(no_scope(none).contains("set the option scope (or TRACKUNIT_SCOPE)"));
    }

    #[test]
    fn a_value_and_its_file_contradict_each_other() {
        let mut config = with_basics();
        config.set("client_secret_file", "/run/secret");
        assert!(message(&config).contains("client_secret_file"));
    }

    #[test]
    fn the_program_switches_off_the_twin_of_the_environment() {
        let mut config = with_basics();
        config.environment.insert("client_secret_file", Secret::new("/nowhere"));
        config.environment.insert("scope", Secret::new("from-environment"));
        let options = config.resolve().unwrap();
        assert!(options.client_secret_file.is_none());
        assert_eq!(options.scope.unwrap().wire(), "a");
    }

    #[test]
    fn no_secret_is_shown() {
        let mut config = with_basics();
        assert!(!format!("{config:?}").contains("hush"));
        config.set("client_secret", "hu\nsh");
        assert!(!message(&config).contains("sh\""));
        let mut config = with_basics();
        config.set("proxy", "ftp://user:hush@host");
        assert!(!message(&config).contains("hush"));
        let mut config = with_basics();
        config.set("api_hosts", "https://user:hush@host");
        assert!(!message(&config).contains("hush"));
    }
}
