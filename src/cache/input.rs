//! What the core is told: everything that happens to a client, as one list.

use std::time::Duration;

use super::Random;
use super::entry::Want;
use super::flight::{Failure, FlightId};
use super::joint::Ticket;
use super::limits::Blocked;
use crate::clock::BootTime;

/// Something that happened. An input about a fetch that is not known does nothing.
#[derive(Clone, Debug)]
pub(crate) enum Input<E> {
    /// A caller asks; or asks again, because its wait has ended.
    Ask {
        entry: usize,
        want: Want,
        waited: Option<Waited>,
    },
    /// A caller that fails could be helped by other credentials in the files.
    LookAtFiles,
    /// There is a thread for a fetch: to begin it, or to go on where it has waited.
    ThreadReady {
        flight: FlightId,
        hand: Hand<E>,
    },
    /// No thread can be had for a fetch.
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
    /// What was granted is in the store, or cannot be saved.
    Saved {
        flight: FlightId,
        granted: Granted,
    },
    /// The store was looked into. `None`: it has no record of use.
    Looked {
        flight: FlightId,
        record: Option<Record>,
        hand: Hand<E>,
    },
    /// The store's lock was tried.
    LockTried {
        flight: FlightId,
        lock: Lock,
    },
    /// The other processes know when they may renew the token.
    Announced {
        flight: FlightId,
        hand: Hand<E>,
    },
    /// An asking for credentials has ended: with a pair, or it `brought` none. `version`: what the
    /// files hold is another pair.
    CredentialsRead {
        refused: bool,
        ticket: Ticket,
        brought: bool,
        version: Option<u64>,
    },
    /// Files hang, so fetches go on with the pair that was read last.
    CredentialsLate {
        refused: bool,
        version: Option<u64>,
    },
    /// Nobody has to be asked for credentials any more: the program gave them.
    CredentialsGiven {
        refused: bool,
        ticket: Ticket,
    },
    /// An alarm rings.
    Tick {
        entry: usize,
    },
    /// An API refused a token.
    Invalidate {
        entry: usize,
        serial: u64,
    },
    /// The program gave other credentials.
    Rotated {
        version: u64,
    },
    /// The network is back.
    Wake,
    /// This process is a fork of the one in which all else happened.
    Forked,
    Close,
}

/// What ended a caller's wait, and how long it was told to wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// From then on the token that is there will do.
    pub(crate) serve_at: Option<BootTime>,
    /// It was told that the fetch failed.
    pub(crate) failed: bool,
}

/// A token that the endpoint granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) lifetime: Duration,
    /// The very token that is cached already.
    pub(crate) same_value: bool,
}

/// Where credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Given,
    Files,
    Function,
}

/// What is known of the credentials' source at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    /// Counts up when the program rotates them, or a file holds others.
    pub(crate) version: u64,
}

/// What the thread of a fetch has in its hands.
#[derive(Clone, Debug)]
pub(crate) struct Hand<E> {
    pub(crate) source: Source,
    /// `None`: the source has to be asked.
    pub(crate) credentials: Option<Result<Pair, Unread<E>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) version: u64,
    /// Not the pair that this fetch was refused with.
    pub(crate) is_other: bool,
    /// The source was asked for it by this fetch, or on its behalf.
    pub(crate) was_asked_for: bool,
}

/// Why there are no credentials.
#[derive(Clone, Debug)]
pub(crate) enum Unread<E> {
    Failed(E),
    /// Nothing was learned about them: no thread can be had to ask.
    NoThread(E),
}

/// A record of a token in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) requested_at: BootTime,
    pub(crate) lifetime: Duration,
    /// How often its renewal was begun without a success, and when it may be begun again.
    pub(crate) tried: u64,
    pub(crate) again_at: BootTime,
    /// It is that of the token that this process has.
    pub(crate) same_value: bool,
    /// An API has refused its token.
    pub(crate) was_refused: bool,
}

/// What became of a try for the store's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Taken,
    /// Another process has it.
    Busy,
    /// It cannot be taken: the fetch does without.
    Failed,
}

/// What the core asks while it decides, because only its surroundings know.
pub(crate) trait Around<E>: Random {
    /// Whether somebody waits for the entry's fetch.
    fn has_waiters(&self, entry: usize) -> bool;
    /// Whether somebody has asked for the entry since this was last asked.
    fn was_asked(&mut self, entry: usize) -> bool;
    /// The refused login to the proxy, that all clients of the process share.
    fn refused_login(&self) -> Option<Blocked<E>>;
}
