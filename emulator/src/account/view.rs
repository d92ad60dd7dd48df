//! A key as it can be shown: everything but its secret.

use serde::Serialize;

use super::Key;
use crate::clock::rfc3339;

/// An API key without its secret. Times are the emulator's, in RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// The client id.
    pub client_id: String,
    /// The key's name, unique among the active keys.
    pub name: String,
    /// What the key is used for.
    pub description: String,
    /// The scopes that the key may request.
    pub scopes: Vec<String>,
    /// `"active"` or `"revoked"`.
    pub state: &'static str,
    /// When the key was created.
    pub created: String,
    /// When it last received a new secret.
    pub rotated: Option<String>,
    /// When it was revoked.
    pub revoked: Option<String>,
    /// The number of tokens issued so far.
    pub tokens_minted: u64,
    /// When the last token was issued.
    pub last_used: Option<String>,
}

impl ApiKey {
    /// Whether it can obtain tokens.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.revoked.is_none()
    }
}

impl From<&Key> for ApiKey {
    fn from(key: &Key) -> ApiKey {
        ApiKey {
            client_id: key.client_id.clone(),
            name: key.name.clone(),
            description: key.description.clone(),
            scopes: key.scopes.clone(),
            state: if key.is_active() { "active" } else { "revoked" },
            created: rfc3339(key.created),
            rotated: key.rotated.map(rfc3339),
            revoked: key.revoked.map(rfc3339),
            tokens_minted: key.tokens_minted,
            last_used: key.last_used.map(rfc3339),
        }
    }
}
