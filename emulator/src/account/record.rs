//! A key as the account holds and stores it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::IssuedKey;
use super::secret::SecretHash;
use crate::{one_line, scope};

/// One API key of the account. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// 1, 2, 3 ... in order of creation.
    pub(crate) number: u64,
    pub(crate) client_id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) scopes: Vec<String>,
    /// The current one and, if rotations overlap, the previous one.
    pub(super) secrets: Vec<SecretHash>,
    pub(super) created: u64,
    pub(super) rotated: Option<u64>,
    pub(super) revoked: Option<u64>,
    pub(crate) tokens_minted: u64,
    /// When the last token was issued.
    pub(super) last_used: Option<u64>,
}

impl Key {
    /// Whether the key may request all of these scopes. Case-sensitive.
    pub(crate) fn allows(&self, scopes: &BTreeSet<String>) -> bool {
        scopes.iter().all(|scope| self.scopes.contains(scope))
    }

    /// The scopes that the key may request.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Validates a key from a file. Earlier versions accepted invisible characters in names; they are replaced by a visible
    /// mark.
    pub(crate) fn sound(mut self) -> Option<Key> {
        let is_scope =
            |text: &String| scope::words(text).is_some_and(|words| words == [text.as_str()]);
        let texts = [&self.client_id, &self.name, &self.description];
        if texts.iter().any(|text| text.chars().any(char::is_control))
            || self.client_id.is_empty()
            || !self.scopes.iter().all(is_scope)
        {
            return None;
        }
        for text in [&mut self.name, &mut self.description] {
            *text = one_line::shown(text);
        }
        Some(self)
    }

    /// Moves all its times back.
    pub(crate) fn shift_back(&mut self, milliseconds: u64) {
        self.created = self.created.saturating_sub(milliseconds);
        for time in [&mut self.rotated, &mut self.revoked, &mut self.last_used] {
            *time = time.map(|time| time.saturating_sub(milliseconds));
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.revoked.is_none()
    }

    pub(super) fn issued(&self, client_secret: String) -> IssuedKey {
        IssuedKey {
            name: self.name.clone(),
            description: self.description.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            scopes: self.scopes.clone(),
        }
    }
}
