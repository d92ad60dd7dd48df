//! The core's outputs: a list of things to do.
//!
//! Those under the client's lock are carried out by the thread that holds it, before it lets go;
//! the others afterwards, in order. The outputs of two steps may be carried out in either order.

use std::time::Duration;

use super::entry::GivenUp;
use super::flight::{Fault, FlightId};
use super::limits::Obstacle;
use super::single_flight::Ticket;
use crate::clock::BootTime;
use crate::life::Life;

/// The result of one step.
#[derive(Debug)]
pub(crate) struct Outputs<E> {
    /// Counts the client's steps. Of two alarms, the one from the later step counts.
    pub(crate) step: u64,
    pub(crate) list: Vec<Output<E>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Output<E> {
    // --- for the caller that asked ---
    /// Return the cached token.
    Serve {
        entry: usize,
    },
    /// Ask again at that time at the latest.
    Wait {
        entry: usize,
        wait: Wait,
    },
    Fail(Reason<E>),
    /// The credential files are being read.
    Looking,

    // --- under the lock ---
    /// Publish this token to readers; they need not ask before `serve_until`.
    Publish {
        entry: usize,
        serial: u64,
        life: Life,
        serve_until: BootTime,
    },
    /// The published token got a new renewal time.
    Redraw {
        entry: usize,
        fresh_until: BootTime,
        serve_until: BootTime,
    },
    ServeUntil {
        entry: usize,
        until: BootTime,
    },
    /// The same for every entry, by [`super::core::Core::serve_until`].
    ServeUntilOfAll,
    /// Readers find no token.
    Clear {
        entry: usize,
    },
    /// End the waits for an entry's fetch.
    Finish {
        entry: usize,
        outcome: Outcome<E>,
    },
    /// The fetch waits without a thread. `refused`: for other credentials than it used.
    Park {
        flight: FlightId,
        refused: bool,
    },
    /// Remember the credentials that this fetch tries out: the fetches waiting for the trial will
    /// use them.
    NoteTrial {
        flight: FlightId,
    },
    /// The fetch is over.
    Forget {
        flight: FlightId,
    },

    // --- about a fetch ---
    /// Get it a thread.
    Start {
        flight: FlightId,
        entry: usize,
        rank: Rank,
        resume_with: ResumeWith,
    },
    /// It now has a waiter: move it forward in the queue.
    Hasten {
        flight: FlightId,
    },
    /// What its thread does next.
    Do {
        flight: FlightId,
        task: Task,
    },
    /// Wait until then without holding a thread; see [`Output::Park`].
    Pause {
        flight: FlightId,
        until: BootTime,
        rank: Rank,
    },

    // --- other ---
    /// Read the credentials. `is_retry`: in parallel with a read that hangs.
    AskSource {
        refused: bool,
        ticket: Ticket,
        is_retry: bool,
    },
    /// Reading the files hangs: continue with the credentials read last.
    UseLastPair {
        refused: bool,
    },
    /// Check the entry at that time.
    Alarm {
        entry: usize,
        at: BootTime,
    },
    /// Write into the store's record when the token may be renewed. Done before waiters are
    /// notified, because a short-lived process may exit as soon as it has its result.
    PutOff {
        flight: FlightId,
        wait: Duration,
    },
    /// Work that has held its thread for too long no longer counts against the limit: others may
    /// start.
    MakeRoom,
    Notify {
        entry: usize,
        notice: Notice<E>,
    },
}

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) until: BootTime,
    /// From this time on the cached token is good enough.
    pub(crate) serve_at: Option<BootTime>,
}

/// Why a caller gets no token.
#[derive(Clone, Debug)]
pub(crate) enum Reason<E> {
    Closed,
    /// The error that ended its wait.
    AlreadyReported,
    /// The caller does not wait, and there is no token yet.
    Pending {
        credentials_pending: bool,
    },
    /// The caller's time is over. `credentials_pending`: the fetch waits for its credentials.
    TimedOut {
        credentials_pending: bool,
    },
    /// No fetch may start.
    Blocked {
        obstacle: Obstacle<Fault<E>>,
        wait: Duration,
    },
    /// The fetch it waited for failed.
    Failed {
        fault: Fault<E>,
        wait: Duration,
    },
    /// The fetch could not be made, for a reason unrelated to the endpoint.
    NotMade(E),
    /// The token expired before it could be handed out.
    Ended,
}

/// The result of a fetch for its waiters.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<E> {
    Token,
    /// The token is about to expire: ask again.
    AskAgain,
    Fail(Reason<E>),
}

/// Which fetch gets a thread first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It had begun and continues.
    Continued,
    /// Likewise, and no caller waits for it.
    ContinuedRenewal,
    /// A caller waits for it.
    Awaited,
    Background,
}

/// The credentials a fetch continues with after waiting for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeWith {
    Nothing,
    /// Those that were just read.
    Credentials,
    /// Those that this fetch has tried out.
    TriedPair(FlightId),
}

/// What a fetch's thread does next. Its result comes back as an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Send a request that takes at most `limit`; the fetch has already used `spent` of its time.
    Send { limit: Duration, spent: Duration },
    /// Continue at once, with [`super::input::Input::ThreadReady`].
    GoOn,
    /// Read the record in the store.
    Look,
    /// Try to take the store's lock.
    TryLock,
    /// Write into the record when the token may be renewed.
    Announce { again_at: BootTime },
    /// Save the token; its record says when its renewal may begin.
    Save { fresh_for: Duration },
}

/// Why a readable record is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Refused,
    NotNewer,
    /// For a caller's `min_ttl`.
    TooShort,
}

/// Something worth reporting to the program, as an event.
#[derive(Clone, Debug)]
pub(crate) enum Notice<E> {
    FetchStarted,
    Succeeded {
        attempt: u32,
        took: Duration,
        lifetime: Duration,
    },
    StoreHit {
        took: Duration,
    },
    StoreMiss {
        why: Option<Miss>,
        took: Duration,
    },
    AttemptFailed {
        fault: Fault<E>,
        attempt: u32,
        took: Duration,
        wait: Duration,
    },
    GivenUp {
        how: GivenUp,
        wait: Duration,
    },
    /// The renewal failed; the cached token is still handed out.
    ServedWhileFailing {
        fault: Fault<E>,
        wait: Duration,
    },
    Budget {
        obstacle: Obstacle<Fault<E>>,
        wait: Duration,
    },
    Invalidated,
    /// An API refused a token that had just been fetched.
    FreshTokenRefused,
}
