//! Scopes that a caller has used before, for hits that look up no name. For the Python module, which
//! recognizes a scope by its `str` object.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::state::Slot;

/// A scope that has a cache entry. Valid for the client it comes from, also in a fork child.
pub struct KnownScope(Arc<Slot>);

impl Client {
    /// `None`: no call has spelled the scope like this yet.
    #[doc(hidden)]
    pub fn known_scope(&self, scope: &str) -> Option<KnownScope> {
        self.shared.slot_ref(Some(scope.as_bytes())).cloned().map(KnownScope)
    }

    /// Like [`Client::serial_at_hand_for`], for a scope of this client.
    #[doc(hidden)]
    #[inline]
    pub fn serial_of_known(&self, scope: &KnownScope, min_ttl: Duration) -> Option<NonZeroU64> {
        self.shared.serial_in(&scope.0, min_ttl)
    }
}
