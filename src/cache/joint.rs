//! Work that may hang, done once for all who ask for it meanwhile.
//!
//! Whoever asks joins the work of that key that is under way. If it has been for long, it may never
//! end: another try is begun beside it, a few in all, and the first that ends serves everybody who
//! waits then. This is bookkeeping alone; the threads and the work are its user's.

use super::policy::{HUNG, MOST_UNANSWERED};
use crate::clock::BootTime;
use crate::process::Inherited;

/// One try.
pub(crate) type Ticket = u64;

#[derive(Clone, Debug)]
struct UnderWay<K, W> {
    key: K,
    /// The tries that have not ended, oldest first.
    tries: Vec<(Ticket, BootTime)>,
    /// The youngest that has, and brought something.
    brought: Ticket,
    waiting: Vec<W>,
}

/// The work under way, by key, with those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Joint<K, W> {
    under_way: Vec<UnderWay<K, W>>,
    last: Ticket,
}

impl<K, W> Default for Joint<K, W> {
    fn default() -> Self {
        Self { under_way: Vec::new(), last: 0 }
    }
}

/// What the parent's threads do, and those who wait for it, are the parent's.
impl<K, W> Inherited for Joint<K, W> {
    type Remains = Vec<W>;

    fn adopt(&mut self) -> Vec<W> {
        let parents = std::mem::take(&mut self.under_way);
        parents.into_iter().flat_map(|under_way| under_way.waiting).collect()
    }
}

impl<K: Eq, W> Joint<K, W> {
    /// Joins what is under way. A ticket: whoever joined has to begin a try.
    pub(crate) fn join(&mut self, key: K, waiting: Option<W>, now: BootTime) -> Option<Ticket> {
        let place = self.under_way.iter().position(|under_way| under_way.key == key);
        let place = place.unwrap_or_else(|| {
            let (tries, brought, waiting) = (Vec::new(), 0, Vec::new());
            self.under_way.push(UnderWay { key, tries, brought, waiting });
            self.under_way.len() - 1
        });
        let under_way = &mut self.under_way[place];
        under_way.waiting.extend(waiting);
        let may_hang = under_way.tries.last().is_none_or(|(_, begun)| now >= begun.after(HUNG));
        (may_hang && under_way.tries.len() < MOST_UNANSWERED).then(|| {
            self.last += 1;
            under_way.tries.push((self.last, now));
            self.last
        })
    }

    /// No longer counts on the tries that are at least so old: the next to join begins another.
    pub(crate) fn doubt(&mut self, key: &K, begun_by: BootTime) {
        let under_way = self.under_way.iter_mut().filter(|under_way| under_way.key == *key);
        for (_, begun) in under_way.flat_map(|under_way| &mut under_way.tries) {
            if *begun <= begun_by {
                *begun = BootTime::ZERO;
            }
        }
    }

    /// Whether more than one try of this key is under way.
    pub(crate) fn is_tried_again(&self, key: &K) -> bool {
        self.under_way.iter().any(|under_way| under_way.key == *key && under_way.tries.len() > 1)
    }

    /// Whether a try of this key is under way that is at least so old.
    pub(crate) fn is_under_way_since(&self, key: &K, begun_by: BootTime) -> bool {
        let mut of_key = self.under_way.iter().filter(|under_way| under_way.key == *key);
        of_key.any(|under_way| under_way.tries.iter().any(|(_, begun)| *begun <= begun_by))
    }

    /// Whether anything of such a key is under way.
    pub(crate) fn is_under_way(&self, is_such: impl Fn(&K) -> bool) -> bool {
        self.under_way.iter().any(|under_way| is_such(&under_way.key))
    }

    /// Whether a try has not ended.
    pub(crate) fn is_open(&self, ticket: Ticket) -> bool {
        let mut tries = self.under_way.iter().flat_map(|under_way| &under_way.tries);
        tries.any(|(other, _)| *other == ticket)
    }

    /// Whether what a try brings is news: not so if a younger one has brought its own.
    pub(crate) fn is_news(&self, key: &K, ticket: Ticket) -> bool {
        self.under_way.iter().any(|under_way| under_way.key == *key && under_way.brought < ticket)
    }

    /// A try has ended, and has brought something or not. Those who wait.
    pub(crate) fn end(&mut self, key: &K, ticket: Ticket, has_brought: bool) -> Vec<W> {
        let place = self.under_way.iter().position(|under_way| {
            let is_one_of_its = under_way.tries.iter().any(|(other, _)| *other == ticket);
            under_way.key == *key && is_one_of_its
        });
        let Some(place) = place else { return Vec::new() };
        let under_way = &mut self.under_way[place];
        under_way.tries.retain(|(other, _)| *other != ticket);
        if has_brought {
            under_way.brought = under_way.brought.max(ticket);
        }
        let waiting = std::mem::take(&mut under_way.waiting);
        if under_way.tries.is_empty() {
            self.under_way.swap_remove(place);
        }
        waiting
    }

    /// Lets go of all that is under way.
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
    fn a_try_is_open_until_it_ends_itself() {
        let mut joint: Joint<_, ()> = Joint::default();
        let first = joint.join("key", None, at(0)).unwrap();
        assert!(joint.is_open(first));
        joint.end(&"key", first, true);
        let second = joint.join("key", None, at(1)).unwrap();
        assert!(!joint.is_open(first) && joint.is_open(second));
    }

    #[test]
    fn whoever_comes_meanwhile_joins() {
        let mut joint = Joint::default();
        let ticket = joint.join("key", Some(1), at(0)).expect("the first begins");
        assert_eq!(joint.join("key", Some(2), at(1)), None);
        assert!(joint.join("another", Some(3), at(1)).is_some());
        assert_eq!(joint.end(&"key", ticket, true), [1, 2]);
        assert!(!joint.is_under_way(|key| *key == "key"));
        assert!(joint.join("key", None, at(1)).is_some(), "it has ended: the next one begins");
    }

    #[test]
    fn what_hangs_is_tried_beside_a_few_times_and_the_first_that_ends_serves_all() {
        let mut joint = Joint::default();
        let mut tickets = Vec::new();
        for second in 0..200 {
            tickets.extend(joint.join("key", Some(second), at(second)));
        }
        assert_eq!(tickets.len(), MOST_UNANSWERED);
        assert_eq!(joint.end(&"key", tickets[2], true).len(), 200);
        // Whoever joins what is left is served by what ends first, though it may be no news.
        assert_eq!(joint.join("key", Some(200), at(31)), None);
        assert!(!joint.is_news(&"key", tickets[0]) && joint.is_news(&"key", tickets[3]));
        assert_eq!(joint.end(&"key", tickets[0], true), [200]);
        // What brings nothing outdates nothing.
        assert!(joint.end(&"key", tickets[3], false).is_empty());
        assert!(!joint.is_news(&"key", tickets[1]));
    }

    #[test]
    fn a_doubt_begins_another_try() {
        let mut joint = Joint::<_, ()>::default();
        assert!(joint.join("key", None, at(0)).is_some());
        joint.doubt(&"key", at(0).before(Duration::from_nanos(1)));
        assert!(joint.join("key", None, at(1)).is_none(), "it is too young to be doubted");
        joint.doubt(&"key", at(0));
        assert!(joint.join("key", None, at(1)).is_some());
    }

    #[test]
    fn a_forked_child_joins_nothing_of_its_parents() {
        let mut joint = Joint::default();
        let ticket = joint.join("key", Some(1), at(0)).unwrap();
        assert_eq!(joint.adopt(), [1]);
        assert!(joint.end(&"key", ticket, true).is_empty());
        assert!(joint.join("key", None, at(0)).is_some());
    }
}
