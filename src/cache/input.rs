//! The core's inputs: everything that can happen to a client.

use std::time::Duration;

use super::Random;
use super::entry::Want;
use super::flight::{Failure, FlightId};
use super::limits::Blocked;
use super::single_flight::Ticket;
use crate::clock::BootTime;

/// Something that happened. An input about an unknown fetch has no effect.
#[derive(Clone, Debug)]
pub(crate) enum Input<E> {
    /// A caller asks; or asks again, because its wait has ended.
    Ask {
        entry: usize,
        want: Want,
        waited: Option<Waited>,
    },
    /// A call is about to fail; the credential files may have changed.
    LookAtFiles,
    /// A thread is ready for a fetch, to begin it or to continue it after a wait.
    ThreadReady {
        flight: FlightId,
        status: CredentialStatus<E>,
    },
    /// No thread is available for a fetch.
    NotStarted {
        flight: FlightId,
        error: E,
    },
    /// The endpoint answered, or the attempt failed.
    Answered {
        flight: FlightId,
        answer: Result<Granted, Failure<E>>,
        source: Source,
    },
    /// The granted token has been saved, or could not be.
    Saved {
        flight: FlightId,
        granted: Granted,
    },
    /// The store was read. `None`: it has no usable record.
    Looked {
        flight: FlightId,
        record: Option<Record>,
        status: CredentialStatus<E>,
    },
    /// The store's lock was tried.
    LockTried {
        flight: FlightId,
        lock: Lock,
    },
    /// The record now says when other processes may renew the token.
    Announced {
        flight: FlightId,
        status: CredentialStatus<E>,
    },
    /// A read of the credentials has ended; `obtained`: with credentials. `version`: the files hold
    /// different ones.
    CredentialsRead {
        refused: bool,
        ticket: Ticket,
        obtained: bool,
        version: Option<u64>,
    },
    /// The files hang, so fetches continue with the credentials that were read last.
    CredentialsLate {
        refused: bool,
        version: Option<u64>,
    },
    /// The program has set the credentials: the source need not be asked any more.
    CredentialsGiven {
        refused: bool,
        ticket: Ticket,
    },
    /// An alarm fired.
    Tick {
        entry: usize,
    },
    /// An API refused a token.
    Invalidate {
        entry: usize,
        serial: u64,
    },
    /// The program replaced the credentials.
    Rotated {
        version: u64,
    },
    /// The network is back.
    Wake,
    /// This process is a fork of the one that got all earlier inputs.
    Forked,
    Close,
}

/// How a caller's wait ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// From this time on the cached token is good enough.
    pub(crate) serve_at: Option<BootTime>,
    /// The caller was told that the fetch failed.
    pub(crate) failed: bool,
}

/// A token granted by the endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) lifetime: Duration,
    /// It is the token that is already cached.
    pub(crate) same_value: bool,
}

/// Where the credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Given,
    Files,
    Function,
}

/// The current state of the credential source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    /// Incremented when the program rotates the credentials or a file changes.
    pub(crate) version: u64,
}

/// What the fetch's thread knows about its credentials.
#[derive(Clone, Debug)]
pub(crate) struct CredentialStatus<E> {
    pub(crate) source: Source,
    /// `None`: the source must be asked.
    pub(crate) credentials: Option<Result<Pair, NoCredentials<E>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) version: u64,
    /// They differ from those the fetch was refused with.
    pub(crate) is_other: bool,
    /// The source was asked for them by this fetch, or on its behalf.
    pub(crate) was_requested: bool,
}

/// Why there are no credentials.
#[derive(Clone, Debug)]
pub(crate) enum NoCredentials<E> {
    Failed(E),
    /// No thread was available to read them, so nothing is known about them.
    NoThread(E),
}

/// A token's record in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) requested_at: BootTime,
    pub(crate) lifetime: Duration,
    /// Its lifetime as the endpoint granted it; this process may use it for less.
    pub(crate) granted_for: Duration,
    /// The renewal time of the process that fetched it; not after the request: unknown.
    pub(crate) fresh_until: BootTime,
    /// How many renewals have been tried without success, and when the next may start.
    pub(crate) tried: u64,
    pub(crate) again_at: BootTime,
    /// It is for the token that this process has cached.
    pub(crate) same_value: bool,
    /// An API has refused its token.
    pub(crate) was_refused: bool,
}

/// The result of trying to take the store's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Taken,
    /// Another process holds it. `is_successor`: the one that this fetch waited for before has died.
    Busy {
        is_successor: bool,
    },
    /// It cannot be taken; the fetch continues without it.
    Failed,
}

/// What the core needs from its environment while it decides.
pub(crate) trait Environment<E>: Random {
    /// Whether any caller waits for the entry's fetch.
    fn has_waiters(&self, entry: usize) -> bool;
    /// Whether a caller has asked for the entry since the previous call of this.
    fn was_asked(&mut self, entry: usize) -> bool;
    /// The proxy's refusal of a login, shared by all clients of the process.
    fn refused_login(&self) -> Option<Blocked<E>>;
}
