//! Who holds a lock, as those see it who wait for it: a decision without clocks and system calls.

#[cfg(any(feature = "redis", feature = "__simulation", test))]
use std::time::Duration;

use crate::clock::BootTime;

/// A process that holds a lock, as others see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Tells holders apart; the process id if the lock ends with the process. 0: unknown.
    pub(crate) id: u64,
    /// How long the lock lasts unless it is renewed or released, if it ends by itself.
    #[cfg(any(feature = "redis", feature = "__simulation", test))]
    pub(crate) left: Option<Duration>,
    /// How much longer the store keeps the record that the lock is for, if it ends its life.
    #[cfg(any(feature = "redis", feature = "__simulation", test))]
    pub(crate) record_left: Option<Duration>,
}

impl Holder {
    /// A process whose lock ends with it.
    pub(crate) fn process(id: u64) -> Self {
        #[allow(clippy::needless_update)] // It has one field if servers are not built in.
        Self { id, ..Self::default() }
    }
}

/// The result of trying to take a lock.
#[derive(Debug)]
pub(crate) enum Tried<L> {
    Taken(L),
    Held(Holder),
}

#[cfg(test)]
impl<L> Tried<L> {
    /// The lock, if it was taken.
    pub(crate) fn taken(self) -> Option<L> {
        match self {
            Self::Taken(lock) => Some(lock),
            Self::Held(_) => None,
        }
    }
}

/// The holder that a fetch waits for, and when it was last seen to hold the lock, at the earliest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch(Option<(Holder, BootTime)>);

impl Watch {
    /// A try for the lock, begun at `tried_at`, found this holder. Returns whether the one before
    /// it has died. If that has released the lock, its fetch has failed, and so may this one: that
    /// is no reason to wait any longer.
    pub(crate) fn sees(&mut self, holder: Holder, tried_at: BootTime, now: BootTime) -> bool {
        if holder.id == 0 {
            return false;
        }
        let former = self.0.replace((holder, tried_at));
        former.is_some_and(|(former, at)| former.id != holder.id && has_died(&former, at, now))
    }
}

fn has_died(holder: &Holder, seen_at: BootTime, now: BootTime) -> bool {
    #[cfg(any(feature = "redis", feature = "__simulation", test))]
    if let Some(left) = holder.left {
        return now >= seen_at.after(left);
    }
    let _ = (seen_at, now);
    #[cfg(unix)]
    return super::lock::has_ended(holder.id);
    #[cfg(not(unix))]
    return false;
}

/// Whether a store that keeps a record for `left` has another one than the one that would have
/// ended at `known`: one that it keeps longer.
#[cfg(any(feature = "redis", feature = "__simulation", test))]
pub(crate) fn is_new_record(
    known: Option<BootTime>,
    left: Option<Duration>,
    now: BootTime,
) -> bool {
    const NOTICEABLE: Duration = Duration::from_secs(1);
    let known = known.map_or(BootTime::ZERO, |at| at.after(NOTICEABLE));
    left.is_some_and(|left| now.after(left) > known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> BootTime {
        BootTime::ZERO.after(Duration::from_millis(1_000_000 + ms))
    }

    #[test]
    fn a_holder_is_succeeded_if_its_lock_ran_out() {
        let held =
            |id, left| Holder { id, left: Some(Duration::from_millis(left)), ..Holder::default() };
        for (second, seen_at, expected) in [
            // The first would have ended at 10,000.
            (held(2, 500), 10_000, true),
            (held(2, 500), 9_999, false),
            // The same one has renewed it.
            (held(1, 500), 11_000, false),
            (held(0, 0), 11_000, false),
        ] {
            let mut watch = Watch::default();
            assert!(!watch.sees(held(1, 10_500), at(0), at(1)), "it is the first");
            assert!(!watch.sees(held(1, 200), at(9_800), at(9_801)));
            assert_eq!(watch.sees(second, at(seen_at), at(seen_at)), expected, "{second:?}");
            assert!(!watch.sees(second, at(seen_at + 1), at(seen_at + 1)), "once");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_ended_has_died() {
        let by = |id: u32| Holder::process(id.into());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = child.id();
        child.wait().unwrap();
        for (former, has_died) in [(ended, true), (std::process::id(), false)] {
            let mut watch = Watch::default();
            assert!(!watch.sees(by(former), at(0), at(0)));
            assert_eq!(watch.sees(by(1), at(1), at(1)), has_died);
        }
    }

    #[test]
    fn a_record_that_is_kept_longer_is_a_new_one() {
        let seconds = Duration::from_secs;
        assert!(!is_new_record(None, None, at(0)));
        assert!(is_new_record(None, Some(seconds(10)), at(0)));
        assert!(is_new_record(Some(at(5_000)), Some(seconds(10)), at(0)));
        assert!(!is_new_record(Some(at(9_500)), Some(seconds(10)), at(0)));
    }
}
