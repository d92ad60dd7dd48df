//! A key on its way in, a key on its way out, and why there may be none.

use std::fmt;

use crate::journal::shortened;
use crate::state::StateError;

/// What a new API key shall be.
#[derive(Clone)]
pub struct NewKey {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) scopes: String,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
}

impl NewKey {
    /// A key with this name, which may ask for these scopes (blanks between them).
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

    /// Says what the key is used for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> NewKey {
        self.description = description.into();
        self
    }

    /// Takes this id instead of a random one. For tests.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> NewKey {
        self.client_id = Some(client_id.into());
        self
    }

    /// Takes this secret instead of a random one. For tests: a random secret cannot be guessed, this one may be.
    #[must_use]
    pub fn client_secret(mut self, client_secret: impl Into<String>) -> NewKey {
        self.client_secret = Some(client_secret.into());
        self
    }
}

/// A key as it is handed out once, secret included.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedKey {
    /// The key's name, unique among the active keys.
    pub name: String,
    /// What the key is used for.
    pub description: String,
    /// The public half of the credentials.
    pub client_id: String,
    /// The secret half. The emulator itself keeps only a hash of it.
    pub client_secret: String,
    /// The scopes the key may ask for, in the order they were given, each once.
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

/// Why a key could not be made, rotated or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A key needs a name.
    NoName,
    /// An active key has this name already.
    NameTaken(String),
    /// A key needs at least one scope.
    NoScopes,
    /// The list of scopes contains a character that no scope may have.
    BadScopes(String),
    /// The list of scopes is longer than this.
    TooManyScopes(usize),
    /// The account has this many active keys, and no more are allowed.
    TooMany(usize),
    /// A given id is empty, too long, not one line of visible text, or belongs to a key already.
    BadClientId,
    /// A given secret is empty, too long, or not one line of visible text.
    BadClientSecret,
    /// A name or description is too long, or not one line of visible text.
    BadText {
        /// `"name"` or `"description"`.
        what: &'static str,
        /// How many characters it may have.
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
            KeyError::NameTaken(name) => write!(out, "an active API key is named {name:?} already"),
            KeyError::NoScopes => out.write_str("an API key needs at least one allowed scope"),
            KeyError::BadScopes(scopes) => write!(
                out,
                "{:?} is not a list of scopes: words of printable ASCII without quotes or backslashes, with blanks between them",
                shortened(scopes)
            ),
            KeyError::TooManyScopes(most) => {
                write!(out, "an API key allows at most {most} scopes")
            }
            KeyError::TooMany(limit) => {
                write!(out, "the account has {limit} active API keys, its limit: revoke one first")
            }
            KeyError::BadClientId => out.write_str(
                "the client id is empty, too long, has an invisible character, or is taken",
            ),
            KeyError::BadClientSecret => {
                out.write_str("the client secret is empty, too long, or has an invisible character")
            }
            KeyError::BadText { what, most } => {
                write!(
                    out,
                    "the {what} of an API key is one line of at most {most} characters, none of them invisible"
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
