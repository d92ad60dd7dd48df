//! New keys, issued keys, and errors about keys.

use std::fmt;

use crate::journal::shortened;
use crate::state::StateError;

/// The properties of a new API key.
#[derive(Clone)]
pub struct NewKey {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) scopes: String,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
}

impl NewKey {
    /// A key with this name that may request these scopes (separated by spaces).
    #[must_use]
    pub fn new(name: impl Into<String>, scopes: impl Into<String>) -> NewKey {
        NewKey {
            name: name.into(),
            description: String::new(),
            scopes: scopes.into(),
            client_id: None,
            client_secret: None,
        }
    }

    /// Describes what the key is used for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> NewKey {
        self.description = description.into();
        self
    }

    /// Uses this id instead of a random one. For tests.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> NewKey {
        self.client_id = Some(client_id.into());
        self
    }

    /// Uses this secret instead of a random one. For tests: unlike a random secret, it may be guessable.
    #[must_use]
    pub fn client_secret(mut self, client_secret: impl Into<String>) -> NewKey {
        self.client_secret = Some(client_secret.into());
        self
    }
}

/// A key including its secret, as it is shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedKey {
    /// The key's name, unique among the active keys.
    pub name: String,
    /// What the key is used for.
    pub description: String,
    /// The client id.
    pub client_id: String,
    /// The client secret. The emulator keeps only a hash of it.
    pub client_secret: String,
    /// The scopes that the key may request, in the given order without duplicates.
    pub scopes: Vec<String>,
}

/// Everything but the secret.
impl fmt::Debug for IssuedKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("IssuedKey")
            .field("name", &self.name)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Why a key could not be created, rotated or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A key needs a name.
    NoName,
    /// Another active key has this name.
    NameTaken(String),
    /// A key needs at least one scope.
    NoScopes,
    /// The list of scopes contains a character that is not allowed in a scope.
    BadScopes(String),
    /// The list has more than this many scopes.
    TooManyScopes(usize),
    /// The account has this many active keys, which is its limit.
    TooMany(usize),
    /// A given id is empty, too long, not one line of visible text, or in use.
    BadClientId,
    /// A given secret is empty, too long, or not one line of visible text.
    BadClientSecret,
    /// A name or description is too long, or not one line of visible text.
    BadText {
        /// `"name"` or `"description"`.
        what: &'static str,
        /// The maximum number of characters.
        most: usize,
    },
    /// The account has no access to the API Keys application.
    NoApp,
    /// No key has this id.
    Unknown(String),
    /// The key with this id was revoked.
    Revoked(String),
    /// The state file could not be written; nothing was changed.
    NotKept(StateError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::NoName => out.write_str("an API key needs a name"),
            KeyError::NameTaken(name) => write!(out, "another active API key is named {name:?}"),
            KeyError::NoScopes => out.write_str("an API key needs at least one allowed scope"),
            KeyError::BadScopes(scopes) => write!(
                out,
                "{:?} is not a list of scopes: words of printable ASCII without quotes or backslashes, separated by spaces",
                shortened(scopes)
            ),
            KeyError::TooManyScopes(most) => {
                write!(out, "an API key allows at most {most} scopes")
            }
            KeyError::TooMany(limit) => {
                write!(
                    out,
                    "the account has reached its limit of {limit} active API keys: revoke one first"
                )
            }
            KeyError::BadClientId => out.write_str(
                "the client id is empty, too long, contains an invisible character, or is in use",
            ),
            KeyError::BadClientSecret => out.write_str(
                "the client secret is empty, too long, or contains an invisible character",
            ),
            KeyError::BadText { what, most } => {
                write!(
                    out,
                    "the {what} of an API key must be one line of at most {most} visible characters"
                )
            }
            KeyError::NoApp => {
                out.write_str("the account has no access to the API Keys application")
            }
            KeyError::Unknown(id) => {
                write!(out, "no API key has the client id {:?}", shortened(id))
            }
            KeyError::Revoked(id) => write!(out, "the API key {id:?} was revoked"),
            KeyError::NotKept(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for KeyError {}
