//! Counters of an entry.

use std::time::Duration;

use super::flight::Fault;

/// Counters of an entry since the client was created.
#[derive(Clone, Debug)]
pub(crate) struct Counters<E> {
    pub(crate) waits: u64,
    pub(crate) requests: u64,
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    pub(crate) last_fetch: Duration,
    pub(crate) last_error: Option<Box<LastError<E>>>,
}

/// How the last fetch failed.
#[derive(Clone, Debug)]
pub(crate) enum LastError<E> {
    Fault(Fault<E>),
    /// Its credentials did not arrive.
    CredentialsPending,
}

impl<E> Default for Counters<E> {
    fn default() -> Self {
        Self {
            waits: 0,
            requests: 0,
            renewals: 0,
            failures: 0,
            last_fetch: Duration::ZERO,
            last_error: None,
        }
    }
}
