//! What was typed, with the environment: a client's configuration, and where each value comes from.

use tu_token::{Config, OPTIONS, OptionSpec};

use crate::output;

/// The one option that the command sets by itself: a run finds what an earlier one got.
const SHARED: Option<(&str, &str)> = if cfg!(unix) { Some(("store", "file")) } else { None };

/// An option's value in this command when nobody sets it; empty: none.
pub fn default(option: &OptionSpec) -> &'static str {
    SHARED.filter(|(key, _)| *key == option.key).map_or(option.default, |(_, value)| value)
}

/// The client's options as given to this run.
#[derive(Clone)]
pub struct Settings {
    flags: Vec<(&'static OptionSpec, String)>,
}

/// Where an option's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    /// Nobody has set it.
    Default,
}

impl Settings {
    pub fn new(flags: impl IntoIterator<Item = (&'static OptionSpec, String)>) -> Self {
        Self { flags: flags.into_iter().collect() }
    }

    /// The configuration: flags, then the environment.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        for (option, value) in &self.flags {
            config.set(option.key, value);
        }
        config.load_env();
        config
    }

    /// The same for runs that share their tokens, unless told otherwise.
    pub fn sharing_config(&self) -> Config {
        let mut config = self.config();
        if let Some((key, value)) = SHARED.filter(|(key, _)| self.source_of(key) == Source::Default)
        {
            config.set(key, value);
        }
        config
    }

    /// Where an option's value comes from. A flag also switches off the environment's other way to
    /// say the same: a value and the file that holds it.
    pub fn source(&self, option: &OptionSpec) -> Source {
        if self.flag(option.key).is_some() {
            return Source::Flag;
        }
        let overruled = twin(option.key).is_some_and(|twin| self.flag(&twin).is_some());
        match std::env::var_os(option.env_name()) {
            Some(value) if !value.is_empty() && !overruled => Source::Environment,
            _ => Source::Default,
        }
    }

    /// The same by its key.
    pub fn source_of(&self, key: &str) -> Source {
        OPTIONS
            .iter()
            .find(|option| option.key == key)
            .map_or(Source::Default, |option| self.source(option))
    }

    /// The value in force, as it was written; `None`: there is none.
    pub fn value(&self, option: &OptionSpec) -> Option<String> {
        match self.source(option) {
            Source::Flag => self.flag(option.key).map(str::to_owned),
            Source::Environment => {
                std::env::var_os(option.env_name()).map(|value| value.to_string_lossy().into())
            }
            Source::Default => Some(default(option).to_owned()).filter(|value| !value.is_empty()),
        }
    }

    /// The flags whose values are secrets: everybody on this machine can read them.
    pub fn exposed_flags(&self) -> Vec<&'static str> {
        let is_exposed = |key: &str, value: &str| match key {
            "client_secret" => true,
            "proxy" | "store" => value.contains('@'),
            _ => false,
        };
        self.flags
            .iter()
            .filter(|(option, value)| is_exposed(option.key, value))
            .map(|(option, _)| option.key)
            .collect()
    }

    /// Warns of secrets on the command line.
    pub fn warn(&self) {
        for key in self.exposed_flags() {
            output::say(&format!(
                "tu-token: warning: --{} shows a secret to everybody who can list the processes of \
                 this machine; use {}",
                key.replace('_', "-"),
                match key {
                    "client_secret" => "TRACKUNIT_CLIENT_SECRET or --client-secret-file".to_owned(),
                    _ => format!("TRACKUNIT_{}", key.to_uppercase()),
                }
            ));
        }
    }

    fn flag(&self, key: &str) -> Option<&str> {
        self.flags.iter().find(|(option, _)| option.key == key).map(|(_, value)| value.as_str())
    }
}

/// The option that says the same in another way, if there is one.
fn twin(key: &str) -> Option<String> {
    let other = match key.strip_suffix("_file") {
        Some(value) => value.to_owned(),
        None => format!("{key}_file"),
    };
    OPTIONS.iter().any(|option| option.key == other).then_some(other)
}
