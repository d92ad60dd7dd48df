//! The lifetime of a token.

use std::time::Duration;

use crate::clock::BootTime;

/// The times of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Just before the request that obtained it was sent.
    pub(crate) requested_at: BootTime,
    pub(crate) lifetime: Duration,
    /// From then on, a call starts a renewal.
    pub(crate) fresh_until: BootTime,
}

impl Life {
    pub(crate) fn expires_at(&self) -> BootTime {
        self.requested_at.after(self.lifetime)
    }
}
