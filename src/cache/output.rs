//! What the core wants done: a work list.
//!
//! [`Output::is_locked`] ones are carried out by whoever holds the client's lock, before it is let
//! go; the others afterwards, in their order. Those of two steps may be carried out in either order.

use std::time::Duration;

use super::entry::GivenUp;
use super::flight::{Fault, FlightId};
use super::joint::Ticket;
use super::limits::Obstacle;
use crate::clock::BootTime;
use crate::life::Life;

/// What one step led to.
#[derive(Debug)]
pub(crate) struct Outputs<E> {
    /// Counts the steps of a client: of two alarms, the one of the later step counts.
    pub(crate) step: u64,
    pub(crate) list: Vec<Output<E>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Output<E> {
    // --- to the caller that asked ---
    /// The token that is there.
    Serve {
        entry: usize,
    },
    /// Ask again, at the latest then.
    Wait {
        entry: usize,
        wait: Wait,
    },
    Fail(Reason<E>),
    /// The credential files are being looked at.
    Looking,

    // --- under the lock ---
    /// Readers are given this token, and need not ask before `serve_until`.
    Publish {
        entry: usize,
        serial: u64,
        life: Life,
        serve_until: BootTime,
    },
    /// The published token is drawn another life.
    Redraw {
        entry: usize,
        fresh_until: BootTime,
        serve_until: BootTime,
    },
    ServeUntil {
        entry: usize,
        until: BootTime,
    },
    /// The same for every entry: as [`super::core::Core::serve_until`] says.
    ServeUntilOfAll,
    /// Readers find nothing.
    Clear {
        entry: usize,
    },
    /// Ends the waits for an entry's fetch.
    Finish {
        entry: usize,
        outcome: Outcome<E>,
    },
    /// The fetch waits, on no thread. `refused`: for another pair than the one it used.
    Park {
        flight: FlightId,
        refused: bool,
    },
    /// Of the pair that this fetch was given, others will want to know if it is good.
    NoteTrial {
        flight: FlightId,
    },
    /// The fetch is over.
    Forget {
        flight: FlightId,
    },

    // --- a fetch ---
    /// Needs a thread.
    Start {
        flight: FlightId,
        entry: usize,
        rank: Rank,
        brings: Brings,
    },
    /// Somebody waits for it from now on.
    Hasten {
        flight: FlightId,
    },
    /// The next thing that its thread does.
    Do {
        flight: FlightId,
        task: Task,
    },
    /// Waits until then, on no thread; see [`Output::Park`].
    Pause {
        flight: FlightId,
        until: BootTime,
        rank: Rank,
    },

    // --- others ---
    /// The source is asked for credentials. `anew`: beside an asking that hangs.
    AskSource {
        refused: bool,
        ticket: Ticket,
        anew: bool,
    },
    /// Files that were asked hang.
    DoWithoutFiles {
        refused: bool,
    },
    /// The entry is to be looked at then.
    Alarm {
        entry: usize,
        at: BootTime,
    },
    /// The store's record is to say when the token may be renewed: before anybody is told, because
    /// a command may end as soon as it has its token.
    PutOff {
        flight: FlightId,
        wait: Duration,
    },
    /// What holds threads for too long counts no more: others may begin.
    MakeRoom,
    Tell {
        entry: usize,
        news: News<E>,
    },
}

/// How a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) until: BootTime,
    /// From then on the token that is there will do.
    pub(crate) serve_at: Option<BootTime>,
}

/// Why a caller gets no token.
#[derive(Clone, Debug)]
pub(crate) enum Reason<E> {
    Closed,
    /// What it was told when its wait ended.
    AsTold,
    /// It does not wait, and there is no token yet.
    Pending {
        unread: bool,
    },
    /// Its own time is over. `unread`: the fetch waits for its credentials.
    TimedOut {
        unread: bool,
    },
    /// A fetch may not start.
    Blocked {
        obstacle: Obstacle<Fault<E>>,
        wait: Duration,
    },
    /// The fetch that was waited for failed.
    Failed {
        fault: Fault<E>,
        wait: Duration,
    },
    /// The fetch could not be made, for a reason that says nothing about the endpoint.
    NotMade(E),
    /// The token had ended before it could be handed out.
    Ended,
}

/// What a fetch ends with for those who wait.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<E> {
    Token,
    /// They ask again: the token is about to end.
    AskAgain,
    Fail(Reason<E>),
}

/// Who gets a thread first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Had begun, and goes on.
    Continued,
    /// The same of one that nobody waits for.
    ContinuedRenewal,
    /// Somebody waits for it.
    Awaited,
    Background,
}

/// What a fetch that waited for credentials goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brings {
    Nothing,
    /// What was read just now.
    Credentials,
    /// The pair that this fetch has tried out.
    TriedPair(FlightId),
}

/// What a fetch's thread does next. What comes of it is an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Sends a request: it may take so long, and the fetch has spent that much before.
    Send {
        limit: Duration,
        spent: Duration,
    },
    /// Goes on at once: [`super::input::Input::ThreadReady`].
    GoOn,
    /// Looks for a record in the store.
    Look,
    /// Tries to take the store's lock.
    TryLock,
    /// Writes into the record when the token may be renewed.
    Announce {
        again_at: BootTime,
    },
    Save,
}

/// Why a record of the store is of no use, though it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Refused,
    NotNewer,
    /// For a caller's `min_ttl`.
    TooShort,
}

/// Something that a program may want to know.
#[derive(Clone, Debug)]
pub(crate) enum News<E> {
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
    /// The renewal failed, and the token that is there is handed out all the same.
    ServedWhileFailing {
        fault: Fault<E>,
        wait: Duration,
    },
    Budget {
        obstacle: Obstacle<Fault<E>>,
        wait: Duration,
    },
    Invalidated,
    /// A token that had just been fetched was refused.
    Doubted,
}
