//! Maps a scope, as spelled by a caller, to its cache entry, without a lock and without parsing.
//! Also lists all entries by canonical scope, where a forked child finds them whatever happened at
//! the fork.
//!
//! This is a trie over the bits of the name's hash, and nodes are only added. Readers follow
//! pointers that change once, from null to a node; a fork during an insertion leaves a valid trie.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use once_cell::race::OnceBox;

/// Three bits of the hash select one of eight children.
const BITS: u32 = 3;
const CHILDREN: usize = 1 << BITS;

struct Node<T> {
    name: Box<str>,
    value: T,
    children: [OnceBox<Node<T>>; CHILDREN],
}

/// A set of names that only grows.
pub(crate) struct Names<T> {
    hasher: RandomState,
    root: OnceBox<Node<T>>,
}

impl<T> Names<T> {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), root: OnceBox::new() }
    }

    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        let mut hash = self.hasher.hash_one(name);
        let mut node = self.root.get()?;
        while node.name.as_bytes() != name {
            node = node.children[hash as usize % CHILDREN].get()?;
            hash = hash.rotate_right(BITS);
        }
        Some(&node.value)
    }

    /// Visits every value.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&T)) {
        let mut nodes: Vec<&Node<T>> = self.root.get().into_iter().collect();
        while let Some(node) = nodes.pop() {
            show(&node.value);
            nodes.extend(node.children.iter().filter_map(OnceBox::get));
        }
    }

    /// Adds a name. If it exists already, perhaps added by another thread, the existing value
    /// stays.
    pub(crate) fn insert(&self, name: &str, value: T) {
        let mut hash = self.hasher.hash_one(name.as_bytes());
        let mut new = Box::new(Node {
            name: name.into(),
            value,
            children: std::array::from_fn(|_| OnceBox::new()),
        });
        let mut place = &self.root;
        loop {
            match place.set(new) {
                Ok(()) => return,
                Err(back) => new = back,
            }
            let Some(node) = place.get().filter(|node| *node.name != *new.name) else { return };
            place = &node.children[hash as usize % CHILDREN];
            hash = hash.rotate_right(BITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again_and_no_other() {
        let names = Names::new();
        assert!(names.get(b"a").is_none());
        for number in 0..10_000 {
            names.insert(&format!("scope.{number}"), number);
        }
        for number in 0..10_000 {
            assert_eq!(names.get(format!("scope.{number}").as_bytes()), Some(&number));
        }
        assert!(names.get(b"scope.10000").is_none());
        let mut all = Vec::new();
        names.for_each(|number| all.push(*number));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10_000));
    }

    #[test]
    fn the_first_value_of_a_name_stays() {
        let names = Names::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let names = &names;
                scope.spawn(move || {
                    (0..500).for_each(|n| names.insert(&n.to_string(), (n, thread)))
                });
            }
        });
        for number in 0..500 {
            assert_eq!(names.get(number.to_string().as_bytes()).unwrap().0, number);
        }
    }
}
