//! Flags and environment as a client's configuration, with the source of each value.

use std::ffi::OsString;

use strsim::damerau_levenshtein;
use tu_token::{Config, OPTIONS, OptionSpec};

use crate::output;

/// The one option with a default of the command's own: runs share their tokens.
const SHARED: Option<(&str, &str)> = if cfg!(unix) { Some(("store", "file")) } else { None };

/// An option's default value in this command; empty if it has none.
pub fn default(option: &OptionSpec) -> &'static str {
    SHARED.filter(|(key, _)| *key == option.key).map_or(option.default, |(_, value)| value)
}

/// The client options given to this run.
#[derive(Clone)]
pub struct Settings {
    flags: Vec<(&'static OptionSpec, String)>,
}

/// Where an option's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment,
    /// Not set.
    Default,
}

impl Settings {
    pub fn new(flags: impl IntoIterator<Item = (&'static OptionSpec, String)>) -> Self {
        Self { flags: flags.into_iter().collect() }
    }

    /// The configuration from flags and environment; flags take precedence.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        for (option, value) in &self.flags {
            config.set(option.key, value);
        }
        config.load_env();
        config
    }

    /// The same, with a store that runs share, unless another one is set.
    pub fn sharing_config(&self) -> Config {
        let mut config = self.config();
        if let Some((key, value)) = SHARED.filter(|(key, _)| self.source_of(key) == Source::Default)
        {
            config.set(key, value);
        }
        config
    }

    /// Where an option's value comes from. A flag also overrides the twin option from the environment:
    /// a value, or the file that contains it.
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

    /// Like `source`, by the option's key.
    pub fn source_of(&self, key: &str) -> Source {
        OPTIONS
            .iter()
            .find(|option| option.key == key)
            .map_or(Source::Default, |option| self.source(option))
    }

    /// The current value as it was written, if there is one.
    pub fn value(&self, option: &OptionSpec) -> Option<String> {
        match self.source(option) {
            Source::Flag => self.flag(option.key).map(str::to_owned),
            Source::Environment => {
                std::env::var_os(option.env_name()).map(|value| value.to_string_lossy().into())
            }
            Source::Default => Some(default(option).to_owned()).filter(|value| !value.is_empty()),
        }
    }

    /// The flags whose values contain secrets, which every user of this machine can read.
    pub fn exposed_flags(&self) -> impl Iterator<Item = &'static OptionSpec> {
        self.flags
            .iter()
            .filter(|(option, value)| option.holds_secret(value))
            .map(|(option, _)| *option)
    }

    /// Warns about secrets on the command line.
    pub fn warn(&self) {
        for option in self.exposed_flags() {
            let variable = option.env_name();
            output::say(&format!(
                "tu-token: warning: --{} exposes a secret to every user who can list the processes \
                 of this machine; use {}",
                option.key.replace('_', "-"),
                match twin(option.key) {
                    Some(file) => format!("{variable} or --{}", file.replace('_', "-")),
                    None => variable,
                }
            ));
        }
    }

    fn flag(&self, key: &str) -> Option<&str> {
        self.flags.iter().find(|(option, _)| option.key == key).map(|(_, value)| value.as_str())
    }
}

/// The other option for the same value, given directly or in a file, if there is one.
fn twin(key: &str) -> Option<String> {
    let other = match key.strip_suffix("_file") {
        Some(value) => value.to_owned(),
        None => format!("{key}_file"),
    };
    OPTIONS.iter().any(|option| option.key == other).then_some(other)
}

/// Unknown environment variables, and the option that each seems to be a misspelling of.
pub fn misspelt() -> Vec<(String, &'static OptionSpec)> {
    let named = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|_| !value.is_empty())?;
        let option = meant(&name)?;
        Some((name, option))
    };
    let mut all: Vec<_> = std::env::vars_os().filter_map(named).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// The option that an unknown variable seems to be a misspelling of.
pub fn meant(variable: &str) -> Option<&'static OptionSpec> {
    if OPTIONS.iter().any(|option| option.env_name() == variable) {
        return None;
    }
    let upper = variable.to_uppercase();
    let Some(key) = upper.strip_prefix("TRACKUNIT_") else {
        // The prefix itself may be misspelt.
        return OPTIONS.iter().find(|option| damerau_levenshtein(&upper, &option.env_name()) <= 2);
    };
    let key = key.to_lowercase();
    let distance = |option: &OptionSpec| damerau_levenshtein(&key, option.key);
    let closest = OPTIONS.iter().min_by_key(|option| distance(option))?;
    if distance(closest) <= (closest.key.len() / 4).max(1) {
        return Some(closest);
    }
    // The last part of a key: `TRACKUNIT_SECRET`.
    let mut ends = OPTIONS.iter().filter(|option| option.key.ends_with(&format!("_{key}")));
    ends.next().filter(|_| ends.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_suggests_an_option() {
        for (variable, key) in [
            ("TRACKUNIT_TIMOUT", "timeout"),
            ("TRACKUNIT_SCOPES", "scope"),
            ("TRACKUNIT_CLIENTID", "client_id"),
            ("TRACKUNIT_CLIENT_SECERT", "client_secret"),
            ("TRACKUNIT_SECRET", "client_secret"),
            ("TRACKUNIT_ID", "client_id"),
            ("TRACKUNIT_URL", "token_url"),
            ("trackunit_scope", "scope"),
            ("TRACKUNT_SCOPE", "scope"),
            ("TRACK_UNIT_SCOPE", "scope"),
        ] {
            assert_eq!(meant(variable).map(|option| option.key), Some(key), "{variable}");
        }
    }

    #[test]
    fn option_names_and_unrelated_names_suggest_nothing() {
        let own = OPTIONS.iter().map(OptionSpec::env_name);
        let others = ["TRACKUNIT_TOKEN", "TRACKUNIT_HOME", "TRACKUNIT_STATE", "TRACKUNIT_FILE"];
        for variable in own.chain(others.map(str::to_owned)).chain(["HOME".to_owned()]) {
            assert_eq!(meant(&variable).map(|option| option.key), None, "{variable}");
        }
    }
}
