//! The variables that a client heeds besides those of its options, as they were at one moment.
//!
//! They are read together, because a thread of a program may read them only while no other changes
//! them (setenv(3)). Creating a client also reads files, which Python does without the interpreter's
//! lock; and that lock is what keeps its other threads from changing the environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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

/// The default: none is set.
#[derive(Clone, Default)]
pub(crate) struct Variables(Vec<(&'static str, OsString)>);

impl Variables {
    /// As they are now.
    pub(crate) fn now() -> Self {
        let mut set = Vec::new();
        for name in &HEEDED {
            if let Some(value) = env::var_os(name) {
                set.push((*name, value));
            }
        }
        Self(set)
    }

    /// The same, with what [`Self::home`] would look for later.
    pub(crate) fn now_with_home() -> Self {
        let variables = Self::now();
        let home = variables.home();
        variables.with_home(home)
    }

    /// `None`: the user has none, as in a container whose user is a mere number. Then a relative one,
    /// which nobody uses; an empty one would be looked for again.
    fn with_home(mut self, home: Option<PathBuf>) -> Self {
        self.0.retain(|(name, _)| *name != "HOME");
        self.0.push(("HOME", home.unwrap_or_else(|| ".".into()).into()));
        self
    }

    /// Only these are set.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&'static str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| (*name, value.into())).collect())
    }

    /// The value of one of the variables above, empty or not.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_os_str())
    }

    /// The same if it is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The user's home; without `HOME`, as the user database has it. Only an absolute one is one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.filled("HOME").map(PathBuf::from).or_else(env::home_dir)
    }
}

/// A proxy's password may be among them. (The C library's allocator wipes whatever is freed.)
#[cfg(not(feature = "capi"))]
impl Drop for Variables {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            zeroize::Zeroize::zeroize(&mut std::mem::take(value).into_encoded_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_set_when_it_was_read() {
        let variables = Variables::now();
        for name in HEEDED {
            assert_eq!(variables.get(name), env::var_os(name).as_deref(), "{name}");
        }
        assert_eq!(variables.home(), env::home_dir());
        let held = Variables::now_with_home();
        assert_eq!(held.filled("HOME").map(PathBuf::from), env::home_dir());
        assert_eq!(variables.get("PATH"), None, "no client heeds it");
        let homeless = Variables::default().with_home(None);
        assert!(homeless.home().is_some_and(|home| home.is_relative()), "it was looked for again");
    }
}
