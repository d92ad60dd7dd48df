//! How long a token lives.

use std::time::Duration;

use crate::clock::BootTime;

/// The numbers of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Just before the request that brought it was sent.
    pub(crate) requested_at: BootTime,
    pub(crate) lifetime: Duration,
    /// When a caller first causes a renewal.
    pub(crate) fresh_until: BootTime,
}

impl Life {
    pub(crate) fn expires_at(&self) -> BootTime {
        self.requested_at.after(self.lifetime)
    }
}
