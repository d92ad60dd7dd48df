//! The option values set by the program and by the environment.

use std::env::VarError;

use super::options::{Options, StoreChoice};
use super::parse;
use super::table::{self, OPTIONS};
use crate::error::Error;
use crate::secret::Secret;

/// Option values as text. The program's take precedence over the environment's, in any order; the
/// first mistake is remembered and reported once everything is read.
#[derive(Clone, Default)]
pub(crate) struct Given {
    program: Values,
    environment: Values,
    mistake: Option<Error>,
}

/// Values by option key. A list: they are few.
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

/// What most clients have of their own.
const OF_ONE_CLIENT: [&str; 6] =
    ["client_id", "client_secret", "client_id_file", "client_secret_file", "scope", "name"];

impl Given {
    /// Sets a value by the program, replacing an earlier one.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        match table::find(key) {
            Some(option) => {
                // Parsed now, so that the mistake reported is the first one made.
                if let Err(error) = option.read_into(&mut Options::default(), value) {
                    self.remember(error);
                }
                self.program.insert(option.key, Secret::new(value));
            }
            None => self.remember(unknown_key(key)),
        }
    }

    /// Takes the variables that are set in the environment now and not empty.
    pub(crate) fn load_env(&mut self) {
        self.load(|variable| std::env::var(variable));
    }

    fn load(&mut self, read: impl Fn(&str) -> Result<String, VarError>) {
        for option in OPTIONS {
            let variable = option.env_name();
            match read(&variable) {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    self.environment.insert(option.key, Secret::new(value));
                }
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    self.remember(Error::config(format!("{variable} is not valid UTF-8")));
                }
            }
        }
    }

    /// Remembers a mistake if it is the first.
    pub(crate) fn remember(&mut self, mistake: Error) {
        self.mistake.get_or_insert(mistake);
    }

    /// The keys that are set.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.program.keys().chain(self.environment.keys())
    }

    /// Whether the store is in one of the user's own directories.
    pub(crate) fn needs_home(&self) -> bool {
        let store = self.program.get("store").or(self.environment.get("store"));
        let choice = store.map(|store| table::store_choice(store.reveal()));
        matches!(choice, Some(Ok(StoreChoice::File(None))))
    }

    /// All options with their final values, or the first mistake. `has_callback`: a function of the
    /// program provides the credentials. `is_set` checks an environment variable of an option that
    /// is missing: it may be set there but not loaded.
    pub(crate) fn resolve(
        &self,
        has_callback: bool,
        is_set: impl Fn(&str) -> bool,
    ) -> Result<Options, Error> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let mut options = Options::default();
        for option in OPTIONS {
            let overruled = option.twin().is_some_and(|twin| self.program.get(twin).is_some());
            let by_program = self.program.get(option.key);
            let by_environment = self.environment.get(option.key).filter(|_| !overruled);
            let Some(value) = by_program.or(by_environment) else { continue };
            option.read_into(&mut options, value.reveal()).map_err(|error| match by_program {
                Some(_) => error,
                None => Error::config(format!("{} (from {})", error.message(), option.env_name())),
            })?;
            if !OF_ONE_CLIENT.contains(&option.key) {
                options.given.push((option.key, value.clone()));
            }
        }
        options.finish(has_callback, &is_set)?;
        Ok(options)
    }
}

fn unknown_key(key: &str) -> Error {
    let shown = parse::shown(key, 64);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str)]) -> Given {
        let mut given = Given::default();
        values.iter().for_each(|(key, value)| given.set(key, value));
        given
    }

    /// The required options, and more.
    fn with(more: &[(&str, &str)]) -> Given {
        let basics = [("client_id", "id"), ("client_secret", "hush"), ("scope", "a")];
        of(&[&basics, more].concat())
    }

    fn none(_: &str) -> bool {
        false
    }

    fn message(given: &Given) -> String {
        given.resolve(false, none).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        assert!(message(&with(&[("scopee", "x")])).contains("did you mean scope?"));
        assert!(message(&with(&[("client-id", "x")])).contains("did you mean client_id?"));
        assert!(message(&with(&[("colour", "x")])).contains("the options are"));
        // Of a short key one letter may be wrong.
        assert!(message(&with(&[("lof", "x")])).contains("did you mean log?"));
    }

    #[test]
    fn the_first_mistake_is_reported() {
        let given = with(&[("timeout", "soon"), ("nonsense_key", "x")]);
        assert!(message(&given).contains("timeout"));
    }

    #[test]
    fn required_options_are_named() {
        assert!(message(&of(&[("client_secret", "hush")])).contains("client_id"));
        assert!(message(&of(&[("client_id", "x")])).contains("client_secret"));
    }

    #[test]
    fn the_home_is_needed_by_a_store_without_a_directory() {
        for (store, needs_home) in [("file", true), ("memory", false), ("file:/var/tokens", false)]
        {
            let mut given = with(&[("store", store)]);
            assert_eq!(given.needs_home(), needs_home, "{store}");
            given.environment.insert("store", Secret::new("file"));
            assert_eq!(given.needs_home(), needs_home, "{store}");
        }
        let mut given = with(&[]);
        assert!(!given.needs_home());
        given.environment.insert("store", Secret::new("file"));
        assert!(given.needs_home());
    }

    #[test]
    fn a_variable_that_is_set_but_was_not_loaded_is_named() {
        let refused =
            |given: &Given, is_set| given.resolve(false, is_set).unwrap_err().message().to_owned();
        let all: fn(&str) -> bool = |_| true;
        let said = refused(&Given::default(), all);
        let load = "is set, but was not loaded: call load_env (in C tu_config_load_env)";
        assert!(said.contains("TRACKUNIT_CLIENT_ID ") && said.contains(load), "{said}");
        let file: fn(&str) -> bool = |variable| variable == "TRACKUNIT_CLIENT_SECRET_FILE";
        let mut given = of(&[("client_id", "id")]);
        let said = refused(&given, file);
        assert!(said.contains("TRACKUNIT_CLIENT_SECRET_FILE ") && said.contains(load), "{said}");
        assert!(!refused(&given, none).contains("load_env"));
        // A program that sets everything itself needs nothing from the environment.
        assert!(with(&[]).resolve(false, all).is_ok());
        given.set("client_secret", "hush");
        let no_scope = |is_set| given.resolve(false, is_set).unwrap().no_scope;
        assert!(no_scope(all).contains("TRACKUNIT_SCOPE is set, but was not loaded"));
        assert!(no_scope(none).contains("set the option scope (or TRACKUNIT_SCOPE)"));
    }

    #[test]
    fn a_value_and_its_file_contradict_each_other() {
        let given = with(&[("client_secret_file", "/run/secret")]);
        assert!(message(&given).contains("client_secret_file"));
    }

    #[test]
    fn an_option_of_the_program_overrides_its_twin_from_the_environment() {
        let mut given = with(&[]);
        given.environment.insert("client_secret_file", Secret::new("/nowhere"));
        given.environment.insert("scope", Secret::new("from-environment"));
        let options = given.resolve(false, none).unwrap();
        assert!(options.client_secret_file.is_none());
        assert_eq!(options.scope.unwrap().wire(), "a");
    }

    #[test]
    fn the_environment_is_read_by_the_names_of_the_options() {
        let mut given = of(&[("client_id", "id"), ("client_secret", "hush")]);
        given.load_env();
        given.load(|variable| match variable {
            "TRACKUNIT_SCOPE" => Ok("from-environment".to_owned()),
            "TRACKUNIT_TIMEOUT" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        });
        assert_eq!(given.resolve(false, none).unwrap().scope.unwrap().wire(), "from-environment");
        assert!(given.keys().any(|key| key == "scope"));
        assert!(!given.keys().any(|key| key == "timeout"), "an empty variable is not set");
        given.load(|variable| match variable {
            "TRACKUNIT_TIMEOUT" => Ok("soon".to_owned()),
            _ => Err(VarError::NotPresent),
        });
        let said = message(&given);
        assert!(said.contains("timeout") && said.contains("(from TRACKUNIT_TIMEOUT)"), "{said}");
        given.load(|variable| match variable {
            "TRACKUNIT_NAME" => Err(VarError::NotUnicode("\u{fffd}".into())),
            _ => Err(VarError::NotPresent),
        });
        assert_eq!(message(&given), "TRACKUNIT_NAME is not valid UTF-8");
    }

    #[test]
    fn a_renewal_starts_before_the_margin() {
        let said = message(&with(&[("refresh_before", "10s"), ("expiry_margin", "11s")]));
        assert!(said.contains("refresh_before (10s) is below expiry_margin (11s)"), "{said}");
        assert!(
            with(&[("refresh_before", "10s"), ("expiry_margin", "10s")])
                .resolve(false, none)
                .is_ok()
        );
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!message(&with(&[("client_secret", "hu\nsh")])).contains("sh\""));
        for (key, value) in
            [("proxy", "ftp://user:hush@host"), ("api_hosts", "https://user:hush@host")]
        {
            assert!(!message(&with(&[(key, value)])).contains("hush"), "{key}");
        }
    }
}
