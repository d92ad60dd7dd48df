//! The variables that a client heeds besides those of its options, as they were at one moment.
//!
//! They are read together, because a thread of a program may read them only while no other changes
//! them (setenv(3)). Creating a client also reads files, which Python does without the interpreter's
//! lock; and that lock is what keeps its other threads from changing the environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use zeroize::Zeroize;

/// Proxies, trust store, and the user's directories. The value of a proxy may contain a password.
const HEEDED: [&str; 9] = [
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "HOME",
];

/// Options that a program may have set there without loading them, which an error then says.
const MISSED: [&str; 5] = [
    "TRACKUNIT_CLIENT_ID",
    "TRACKUNIT_CLIENT_ID_FILE",
    "TRACKUNIT_CLIENT_SECRET",
    "TRACKUNIT_CLIENT_SECRET_FILE",
    "TRACKUNIT_SCOPE",
];

/// The default: nothing is set.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    values: [Option<OsString>; HEEDED.len()],
    missed: [bool; MISSED.len()],
}

impl Environment {
    /// As it is now.
    pub(crate) fn now() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { values: HEEDED.map(env::var_os), missed: MISSED.map(is_set) }
    }

    /// One in which only these are set.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let find = |name| variables.iter().find(|(other, _)| *other == name);
        Self {
            values: HEEDED.map(|name| find(name).map(|(_, value)| OsString::from(value))),
            missed: MISSED.map(|name| find(name).is_some()),
        }
    }

    /// The value of one of the variables above, empty or not.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        let at = HEEDED.iter().position(|heeded| *heeded == name)?;
        self.values[at].as_deref()
    }

    /// The same, if it is UTF-8.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.to_str()?.to_owned())
    }

    /// Whether a variable of an option is set and not empty.
    pub(crate) fn is_set(&self, option: &str) -> bool {
        MISSED.iter().zip(self.missed).any(|(name, is_set)| is_set && *name == option)
    }

    /// The user's home; without `HOME`, as the user database has it.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let named = self.get("HOME").filter(|home| !home.is_empty());
        named.map(PathBuf::from).or_else(env::home_dir)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        for value in self.values.iter_mut().flatten() {
            std::mem::take(value).into_encoded_bytes().zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_set_when_it_was_read() {
        let environment = Environment::now();
        for name in HEEDED {
            assert_eq!(environment.get(name), env::var_os(name).as_deref(), "{name}");
        }
        assert_eq!(environment.home(), env::home_dir());
        assert_eq!(environment.get("PATH"), None, "no client heeds it");
        assert!(!environment.is_set("TRACKUNIT_SCOPE"));
    }
}
