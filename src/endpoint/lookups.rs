//! Which look-ups of names are in progress and who waits for them: decisions without threads and
//! clocks.
//!
//! A look-up cannot be cancelled, only abandoned. So it is shared while it is likely to finish: not
//! when it is older than a caller would wait for it, and not when it began before the network came
//! back. Then another is started as well, up to a limit. Whichever answers first serves all who
//! wait for that host; a failure counts only if no later look-up is in progress.

use crate::clock::BootTime;
use crate::lists::add_new;
use std::time::Duration;

/// Maximum number of unanswered look-ups per host. Beyond it no more are started.
pub(crate) const MOST_UNANSWERED: usize = 4;

/// A look-up to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) id: u64,
    pub(crate) host: String,
    pub(crate) at: BootTime,
}

#[derive(Debug)]
struct Lookup {
    id: u64,
    host: String,
    begun: BootTime,
    /// The number of wakes when it began.
    wakes: u64,
}

/// The look-ups of one process. `W` is a waiter.
#[derive(Debug)]
pub(crate) struct Lookups<W> {
    last: u64,
    wakes: u64,
    running: Vec<Lookup>,
    waiting: Vec<(String, W)>,
}

impl<W> Default for Lookups<W> {
    fn default() -> Self {
        Self { last: 0, wakes: 0, running: Vec::new(), waiting: Vec::new() }
    }
}

impl<W> Lookups<W> {
    /// Adds a waiter for a host's addresses, which shares a look-up younger than `patience`.
    /// Returns the look-up to start for it, if any.
    pub(crate) fn join(
        &mut self,
        host: &str,
        now: BootTime,
        patience: Duration,
        who: W,
    ) -> Option<Start> {
        self.waiting.push((host.to_owned(), who));
        self.start_unless_fresh(host, now, patience)
    }

    /// The same without a waiter.
    pub(crate) fn start_unless_fresh(
        &mut self,
        host: &str,
        now: BootTime,
        patience: Duration,
    ) -> Option<Start> {
        let is_fresh =
            |lookup: &Lookup| lookup.wakes == self.wakes && now < lookup.begun.after(patience);
        let (fresh, stale): (Vec<_>, Vec<_>) = self.of(host).partition(|lookup| is_fresh(lookup));
        let may_start = fresh.is_empty() && stale.len() < MOST_UNANSWERED;
        may_start.then(|| self.start(host, now))
    }

    /// The network is back: returns what to start for the waiters of older look-ups.
    pub(crate) fn wake(&mut self, now: BootTime) -> Vec<Start> {
        self.wakes += 1;
        let mut hosts: Vec<String> = Vec::new();
        for (host, _) in &self.waiting {
            add_new(&mut hosts, host.clone());
        }
        hosts.retain(|host| self.of(host).count() < MOST_UNANSWERED);
        hosts.into_iter().map(|host| self.start(&host, now)).collect()
    }

    /// A look-up has ended. Returns the waiters to notify.
    pub(crate) fn ended(&mut self, id: u64, has_found: bool) -> Vec<W> {
        let Some(at) = self.running.iter().position(|lookup| lookup.id == id) else {
            // The parent's, or one that no longer counts.
            return Vec::new();
        };
        let host = self.running.swap_remove(at).host;
        if !has_found && self.of(&host).any(|other| other.id > id) {
            return Vec::new();
        }
        let (told, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(other, _)| *other == host);
        self.waiting = waiting;
        let told: Vec<(String, W)> = told;
        told.into_iter().map(|(_, who)| who).collect()
    }

    /// Removes a waiter.
    pub(crate) fn leave(&mut self, is_who: impl Fn(&W) -> bool) -> Option<W> {
        let at = self.waiting.iter().position(|(_, who)| is_who(who))?;
        Some(self.waiting.swap_remove(at).1)
    }

    /// In a forked child: removes and returns everything of the parent.
    pub(crate) fn forked(&mut self) -> Self {
        let fresh = Self { last: self.last, wakes: self.wakes, ..Self::default() };
        std::mem::replace(self, fresh)
    }

    fn of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Lookup> {
        self.running.iter().filter(move |lookup| lookup.host == host)
    }

    fn start(&mut self, host: &str, now: BootTime) -> Start {
        self.last += 1;
        let (id, host) = (self.last, host.to_owned());
        self.running.push(Lookup { id, host: host.clone(), begun: now, wakes: self.wakes });
        Start { id, host, at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: BootTime = BootTime::from_nanos(1_000_000_000_000);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> BootTime {
        BEGIN.after(Duration::from_secs(seconds))
    }

    /// Adds a waiter; returns the id of the look-up started.
    fn join(lookups: &mut Lookups<u32>, seconds: u64, who: u32) -> Option<u64> {
        lookups.join("host", at(seconds), PATIENCE, who).map(|start| start.id)
    }

    #[test]
    fn a_young_lookup_is_shared_and_an_old_one_is_not() {
        let mut lookups = Lookups::default();
        assert_eq!(join(&mut lookups, 0, 1), Some(1));
        assert_eq!(join(&mut lookups, 4, 2), None);
        assert_eq!(join(&mut lookups, 5, 3), Some(2));
        assert!(lookups.join("another", at(5), PATIENCE, 4).is_some());
        // The later one answers first, and serves the waiters of the earlier one too.
        assert_eq!(lookups.ended(2, true), [1, 2, 3]);
        assert!(lookups.ended(1, true).is_empty());
    }

    #[test]
    fn after_a_wake_earlier_look_ups_are_not_joined() {
        let mut lookups = Lookups::default();
        assert!(lookups.wake(at(0)).is_empty());
        assert_eq!(join(&mut lookups, 0, 1), Some(1));
        // Those who wait at that moment profit at once.
        let started = lookups.wake(at(1));
        assert_eq!(started, [Start { id: 2, host: "host".to_owned(), at: at(1) }]);
        assert_eq!(join(&mut lookups, 1, 2), None);
        assert_eq!(lookups.ended(2, true), [1, 2]);
        // There are no waiters any more: the next wake starts nothing, the next caller does.
        assert!(lookups.wake(at(2)).is_empty());
        assert_eq!(join(&mut lookups, 2, 3), Some(3));
    }

    #[test]
    fn a_failure_counts_only_if_no_later_look_up_is_in_progress() {
        let mut lookups = Lookups::default();
        join(&mut lookups, 0, 1);
        lookups.wake(at(1));
        assert!(lookups.ended(1, false).is_empty());
        assert_eq!(lookups.ended(2, false), [1]);
        join(&mut lookups, 2, 2);
        lookups.wake(at(3));
        assert_eq!(lookups.ended(4, false), [2]);
        assert!(lookups.ended(3, false).is_empty());
    }

    #[test]
    fn unanswered_lookups_do_not_pile_up() {
        let mut lookups = Lookups::default();
        let started: Vec<_> =
            (0..10).filter_map(|turn| join(&mut lookups, turn * 10, turn as u32)).collect();
        assert_eq!(started, [1, 2, 3, 4]);
        assert!(lookups.wake(at(200)).is_empty());
        // When one ends there is room for another.
        assert!(lookups.ended(1, false).is_empty());
        assert_eq!(join(&mut lookups, 201, 10), Some(5));
        assert_eq!(lookups.leave(|who| *who == 10), Some(10));
        assert_eq!(lookups.ended(3, true), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_child_does_not_share_its_parents_look_ups() {
        let mut lookups = Lookups::default();
        join(&mut lookups, 0, 1);
        lookups.forked();
        assert!(lookups.wake(at(0)).is_empty());
        assert_eq!(join(&mut lookups, 0, 2), Some(2));
        assert!(lookups.ended(1, true).is_empty());
        assert_eq!(lookups.ended(2, true), [2]);
    }
}
