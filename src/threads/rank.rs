//! What a job is for: the table of ranks.

use Rank::{Awaited, Background, Call, Continued, ContinuedRenewal, Events, Read, Resolve, Store};
use WithoutThread::{Kept, Refused, RefusedAtOnce};

/// In the order in which jobs receive threads. [`TABLE`] has their other properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Calls functions of callers whose wait has ended.
    Call,
    /// Delivers events.
    Events,
    /// A store operation that a fetch waits for.
    Store,
    /// A file read or a call of a credentials function that a fetch or the creation of a client
    /// waits for.
    Read,
    /// A name resolution that a fetch waits for.
    Resolve,
    /// Continues a fetch with a waiter; the fetch returned its thread while it could only wait.
    Continued,
    /// The same for a renewal without a waiter.
    ContinuedRenewal,
    /// A fetch with a waiter.
    Awaited,
    /// A renewal without a waiter.
    Background,
}

/// A limit on concurrently running jobs of some ranks.
pub(super) struct Limit {
    pub(super) of: &'static [Rank],
    pub(super) most: usize,
    /// Whether jobs count that have run for longer than `Job::longest`: they hang.
    pub(super) with_hung: bool,
}

/// What happens to a job when no thread can be started for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithoutThread {
    /// It stays queued, and starting a thread is retried.
    Kept,
    /// It is refused, unless a thread of the library exists that will get to it.
    Refused,
    /// It is refused even if such threads exist: they may be waiting for it.
    RefusedAtOnce,
}

pub(super) struct Row {
    pub(super) rank: Rank,
    pub(super) limits: &'static [Limit],
    pub(super) without_thread: WithoutThread,
    /// Its rank once a caller waits for it.
    pub(super) awaited: Rank,
}

pub(super) const RANKS: usize = 9;

/// Name resolutions have no limit here: there are only a few per host, and one that hangs must not
/// keep another host's from its thread.
#[rustfmt::skip]
pub(super) static TABLE: [Row; RANKS] = [
    row(Call,             &[CALLS],                 Kept,          Call),
    row(Events,             &[EVENTS],                 Kept,          Events),
    row(Store,            &[STORES],                Refused,       Store),
    row(Read,             &[READS, READS_AND_HUNG], Refused,       Read),
    row(Resolve,          &[],                      RefusedAtOnce, Resolve),
    row(Continued,        &[FETCHES],               Kept,          Continued),
    row(ContinuedRenewal, &[FETCHES, RENEWALS],     Kept,          Continued),
    row(Awaited,          &[FETCHES],               Refused,       Awaited),
    row(Background,       &[FETCHES, RENEWALS],     Refused,       Awaited),
];

/// Threads that call functions of callers; fetches do not hold them back.
const CALLS: Limit = at_most(8, &[Call]);
/// Events are delivered one at a time, in order.
const EVENTS: Limit = at_most(1, &[Events]);
/// Threads that run store operations for fetches; one whose operation hangs stays occupied.
const STORES: Limit = at_most(8, &[Store]);
/// Threads that read files and call credentials functions, so that one that hangs blocks nothing
/// else; and the limit that includes those that have hung for so long that they no longer count.
const READS: Limit = at_most(8, &[Read]);
const READS_AND_HUNG: Limit = Limit { with_hung: true, ..at_most(64, &[Read]) };
/// Fetches, and how many of them may be renewals.
const FETCHES: Limit = at_most(64, &[Continued, ContinuedRenewal, Awaited, Background]);
const RENEWALS: Limit = at_most(8, &[ContinuedRenewal, Background]);

const fn at_most(most: usize, of: &'static [Rank]) -> Limit {
    Limit { of, most, with_hung: false }
}

const fn row(
    rank: Rank,
    limits: &'static [Limit],
    without_thread: WithoutThread,
    awaited: Rank,
) -> Row {
    Row { rank, limits, without_thread, awaited }
}

impl Rank {
    pub(super) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_has_its_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.rank as usize, index, "{:?}", row.rank);
            assert!(row.limits.iter().all(|limit| limit.of.contains(&row.rank)));
        }
    }

    /// Starting to wait for a job must never delay it.
    #[test]
    fn an_awaited_job_never_ranks_lower() {
        for row in &TABLE {
            assert!(row.awaited as usize <= row.rank as usize, "{:?}", row.rank);
            assert_eq!(row.awaited.row().awaited, row.awaited);
        }
    }
}
