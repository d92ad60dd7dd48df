//! What a job is for: the table of ranks.

use Rank::{Awaited, Background, Call, Continued, ContinuedRenewal, Read, Resolve, Store, Tell};
use Without::{Owed, Refused, RefusedAtOnce};

/// In the order in which their jobs get threads. [`TABLE`] has what else holds for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Calls functions of callers whose wait has ended.
    Call,
    /// Hands out events.
    Tell,
    /// An operation on a token store, which a fetch waits for.
    Store,
    /// A file or a credentials function, which a fetch or the making of a client waits for.
    Read,
    /// A look-up of a host name, which a fetch waits for.
    Resolve,
    /// A fetch that gave its thread back while it could only wait, and goes on; somebody waits for it.
    Continued,
    /// The same of a renewal.
    ContinuedRenewal,
    /// A fetch that somebody waits for.
    Awaited,
    /// A renewal.
    Background,
}

/// At most so many jobs of these ranks run at a time.
pub(super) struct Limit {
    pub(super) of: &'static [Rank],
    pub(super) most: usize,
    /// Whether those count, too, that have run for longer than such a job does: they hang.
    pub(super) with_hung: bool,
}

/// What becomes of a job that no thread can be had for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// It stays, and a thread is tried for again and again.
    Owed,
    /// It is refused, unless there is a thread of ours that will come to it.
    Refused,
    /// It is refused, even if there are threads that may come to it: those may wait for it.
    RefusedAtOnce,
}

pub(super) struct Row {
    pub(super) rank: Rank,
    pub(super) limits: &'static [Limit],
    pub(super) without: Without,
    /// What it is when somebody waits for it.
    pub(super) awaited: Rank,
}

pub(super) const RANKS: usize = 9;

/// Look-ups of names have no limit here: there are a few at most for each host, and one that hangs must
/// not keep another host's from its thread.
#[rustfmt::skip]
pub(super) static TABLE: [Row; RANKS] = [
    row(Call,             &[CALLS],                 Owed,          Call),
    row(Tell,             &[TELLS],                 Owed,          Tell),
    row(Store,            &[STORES],                Refused,       Store),
    row(Read,             &[READS, READS_AND_HUNG], Refused,       Read),
    row(Resolve,          &[],                      RefusedAtOnce, Resolve),
    row(Continued,        &[FETCHES],               Owed,          Continued),
    row(ContinuedRenewal, &[FETCHES, RENEWALS],     Owed,          Continued),
    row(Awaited,          &[FETCHES],               Refused,       Awaited),
    row(Background,       &[FETCHES, RENEWALS],     Refused,       Awaited),
];

/// Threads that call functions of callers; they are not held back by fetches.
const CALLS: Limit = at_most(8, &[Call]);
/// Events come one at a time, in order.
const TELLS: Limit = at_most(1, &[Tell]);
/// Threads that fetches have store operations done by; one whose operation hangs stays taken.
const STORES: Limit = at_most(8, &[Store]);
/// Threads that read files and call credentials functions, so that one that hangs is in nobody's way;
/// and how many there may be with those that have hung for so long that they no longer count.
const READS: Limit = at_most(8, &[Read]);
const READS_AND_HUNG: Limit = Limit { with_hung: true, ..at_most(64, &[Read]) };
/// Fetches, and how many of them may be renewals.
const FETCHES: Limit = at_most(64, &[Continued, ContinuedRenewal, Awaited, Background]);
const RENEWALS: Limit = at_most(8, &[ContinuedRenewal, Background]);

const fn at_most(most: usize, of: &'static [Rank]) -> Limit {
    Limit { of, most, with_hung: false }
}

const fn row(rank: Rank, limits: &'static [Limit], without: Without, awaited: Rank) -> Row {
    Row { rank, limits, without, awaited }
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

    /// Somebody who begins to wait for a job does not have it begun later.
    #[test]
    fn what_is_awaited_goes_first() {
        for row in &TABLE {
            assert!(row.awaited as usize <= row.rank as usize, "{:?}", row.rank);
            assert_eq!(row.awaited.row().awaited, row.awaited);
        }
    }
}
