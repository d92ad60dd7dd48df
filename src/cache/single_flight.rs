//! Single-flight for work that may hang.
//!
//! A caller joins the work in progress for its key. If that has been running for long, it may never
//! end: another try starts in parallel, up to a limit, and the first to end serves every caller
//! that waits then. This is bookkeeping only; the user brings the threads and the work.

use super::policy::{HUNG, MAX_UNANSWERED};
use crate::clock::BootTime;
use crate::process::Inherited;

/// Identifies one try.
pub(crate) type Ticket = u64;

#[derive(Clone, Debug)]
struct UnderWay<K, W> {
    key: K,
    /// Unfinished tries, oldest first.
    tries: Vec<(Ticket, BootTime)>,
    /// The most recently started try that has obtained a result.
    obtained: Ticket,
    waiting: Vec<W>,
}

/// The work in progress by key, with its waiters.
#[derive(Clone, Debug)]
pub(crate) struct SingleFlight<K, W> {
    under_way: Vec<UnderWay<K, W>>,
    last: Ticket,
}

impl<K, W> Default for SingleFlight<K, W> {
    fn default() -> Self {
        Self { under_way: Vec::new(), last: 0 }
    }
}

/// The work of the parent's threads, and its waiters, belong to the parent.
impl<K, W> Inherited for SingleFlight<K, W> {
    type Remains = Vec<W>;

    fn adopt(&mut self) -> Vec<W> {
        let parents = std::mem::take(&mut self.under_way);
        parents.into_iter().flat_map(|under_way| under_way.waiting).collect()
    }
}

impl<K: Eq, W> SingleFlight<K, W> {
    /// Joins the work in progress. If a ticket is returned, the caller must start a try.
    pub(crate) fn join(&mut self, key: K, waiting: Option<W>, now: BootTime) -> Option<Ticket> {
        let place = self.under_way.iter().position(|under_way| under_way.key == key);
        let place = place.unwrap_or_else(|| {
            let (tries, obtained, waiting) = (Vec::new(), 0, Vec::new());
            self.under_way.push(UnderWay { key, tries, obtained, waiting });
            self.under_way.len() - 1
        });
        let under_way = &mut self.under_way[place];
        under_way.waiting.extend(waiting);
        let may_hang = under_way.tries.last().is_none_or(|(_, begun)| now >= begun.after(HUNG));
        (may_hang && under_way.tries.len() < MAX_UNANSWERED).then(|| {
            self.last += 1;
            under_way.tries.push((self.last, now));
            self.last
        })
    }

    /// Stops relying on tries that began by then: the next to join starts another.
    pub(crate) fn suspect(&mut self, key: &K, begun_by: BootTime) {
        let under_way = self.under_way.iter_mut().filter(|under_way| under_way.key == *key);
        for (_, begun) in under_way.flat_map(|under_way| &mut under_way.tries) {
            if *begun <= begun_by {
                *begun = BootTime::ZERO;
            }
        }
    }

    /// Whether more than one try for this key is in progress.
    pub(crate) fn is_tried_again(&self, key: &K) -> bool {
        self.under_way.iter().any(|under_way| under_way.key == *key && under_way.tries.len() > 1)
    }

    /// Whether a try for this key that began by then is in progress.
    pub(crate) fn is_under_way_since(&self, key: &K, begun_by: BootTime) -> bool {
        let mut of_key = self.under_way.iter().filter(|under_way| under_way.key == *key);
        of_key.any(|under_way| under_way.tries.iter().any(|(_, begun)| *begun <= begun_by))
    }

    /// Whether any work with a matching key is in progress.
    pub(crate) fn is_under_way(&self, is_such: impl Fn(&K) -> bool) -> bool {
        self.under_way.iter().any(|under_way| is_such(&under_way.key))
    }

    /// Whether this try is still in progress.
    pub(crate) fn is_open(&self, ticket: Ticket) -> bool {
        let mut tries = self.under_way.iter().flat_map(|under_way| &under_way.tries);
        tries.any(|(other, _)| *other == ticket)
    }

    /// Whether the result of this try is the newest: false if a later try has already obtained one.
    pub(crate) fn is_newest(&self, key: &K, ticket: Ticket) -> bool {
        self.under_way.iter().any(|under_way| under_way.key == *key && under_way.obtained < ticket)
    }

    /// A try has ended, with or without a result. Returns the waiters.
    pub(crate) fn end(&mut self, key: &K, ticket: Ticket, has_obtained: bool) -> Vec<W> {
        let place = self.under_way.iter().position(|under_way| {
            let is_one_of_its = under_way.tries.iter().any(|(other, _)| *other == ticket);
            under_way.key == *key && is_one_of_its
        });
        let Some(place) = place else { return Vec::new() };
        let under_way = &mut self.under_way[place];
        under_way.tries.retain(|(other, _)| *other != ticket);
        if has_obtained {
            under_way.obtained = under_way.obtained.max(ticket);
        }
        let waiting = std::mem::take(&mut under_way.waiting);
        if under_way.tries.is_empty() {
            self.under_way.swap_remove(place);
        }
        waiting
    }

    /// Drops all work in progress.
    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(1_000_000_000_000).after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_try_is_open_until_it_ends() {
        let mut flight: SingleFlight<_, ()> = SingleFlight::default();
        let first = flight.join("key", None, at(0)).unwrap();
        assert!(flight.is_open(first));
        flight.end(&"key", first, true);
        let second = flight.join("key", None, at(1)).unwrap();
        assert!(!flight.is_open(first) && flight.is_open(second));
    }

    #[test]
    fn a_try_is_under_way_since_it_began_and_ends_by_its_own_key() {
        let mut flight: SingleFlight<_, ()> = SingleFlight::default();
        let ticket = flight.join("key", None, at(5)).unwrap();
        flight.join("another", None, at(0)).unwrap();
        assert!(
            !flight.is_under_way_since(&"key", at(4)) && flight.is_under_way_since(&"key", at(5))
        );
        flight.end(&"another", ticket, true);
        assert!(flight.is_open(ticket) && flight.is_under_way(|key| *key == "another"));
        flight.end(&"none", ticket, true);
        assert!(flight.is_open(ticket));
    }

    #[test]
    fn callers_join_the_work_in_progress() {
        let mut flight = SingleFlight::default();
        let ticket = flight.join("key", Some(1), at(0)).expect("the first begins");
        assert_eq!(flight.join("key", Some(2), at(1)), None);
        assert!(flight.join("another", Some(3), at(1)).is_some());
        assert_eq!(flight.end(&"key", ticket, true), [1, 2]);
        assert!(!flight.is_under_way(|key| *key == "key"));
        assert!(flight.join("key", None, at(1)).is_some(), "the previous one has ended");
    }

    #[test]
    fn hung_work_is_retried_in_parallel_and_the_first_result_serves_all() {
        let mut flight = SingleFlight::default();
        let mut tickets = Vec::new();
        for second in 0..200 {
            tickets.extend(flight.join("key", Some(second), at(second)));
        }
        assert_eq!(tickets.len(), MAX_UNANSWERED);
        assert_eq!(flight.end(&"key", tickets[2], true).len(), 200);
        // A caller that joins the rest is served by whichever ends first, even if that result is
        // older.
        assert_eq!(flight.join("key", Some(200), at(31)), None);
        assert!(!flight.is_newest(&"key", tickets[0]) && flight.is_newest(&"key", tickets[3]));
        assert_eq!(flight.end(&"key", tickets[0], true), [200]);
        // A try without a result outdates no other.
        assert!(flight.end(&"key", tickets[3], false).is_empty());
        assert!(!flight.is_newest(&"key", tickets[1]));
    }

    #[test]
    fn a_suspected_try_is_retried() {
        let mut flight = SingleFlight::<_, ()>::default();
        assert!(flight.join("key", None, at(0)).is_some());
        flight.suspect(&"key", at(0).before(Duration::from_nanos(1)));
        assert!(flight.join("key", None, at(1)).is_none(), "too recent to be suspected");
        flight.suspect(&"key", at(0));
        assert!(flight.join("key", None, at(1)).is_some());
    }

    #[test]
    fn a_forked_child_does_not_join_its_parents_work() {
        let mut flight = SingleFlight::default();
        let ticket = flight.join("key", Some(1), at(0)).unwrap();
        assert_eq!(flight.adopt(), [1]);
        assert!(flight.end(&"key", ticket, true).is_empty());
        assert!(flight.join("key", None, at(0)).is_some());
    }
}
