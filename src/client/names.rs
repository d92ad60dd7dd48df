//! Maps a scope, as spelled by a caller, to its cache entry, without a lock and without parsing.
//! Also lists entries by canonical scope, where a forked child finds them whatever happened at the
//! fork.
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
    hash: u64,
    name: Box<str>,
    value: T,
    children: [OnceBox<Node<T>>; CHILDREN],
}

/// A set of names that only grows.
pub(crate) struct Names<T> {
    keys: [u64; 2],
    root: OnceBox<Node<T>>,
}

impl<T> Names<T> {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self { keys: [0, 1].map(|number: u8| random.hash_one(number)), root: OnceBox::new() }
    }

    #[inline(always)]
    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        let hash = hash(self.keys, name);
        let (mut node, mut path) = (self.root.get()?, hash);
        while node.hash != hash || !is_equal(node.name.as_bytes(), name) {
            node = node.children[path as usize % CHILDREN].get()?;
            path = path.rotate_right(BITS);
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
        let hash = hash(self.keys, name.as_bytes());
        let mut path = hash;
        let mut new = Box::new(Node {
            hash,
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
            place = &node.children[path as usize % CHILDREN];
            path = path.rotate_right(BITS);
        }
    }
}

/// `==`, without the calls that it takes in code compiled for size.
#[inline(always)]
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    // SAFETY: both have that many bytes.
    one.len() == other.len()
        && unsafe { libc::memcmp(one.as_ptr().cast(), other.as_ptr().cast(), one.len()) } == 0
}

/// Mixes in eight bytes at a time, with one multiplication: a lookup is part of every hit that names
/// a scope. The keys are random and secret, so that a program's users who may choose scopes cannot
/// choose many with the same hash, which would make lookups slow.
#[inline(always)]
fn hash([key, factor]: [u64; 2], name: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(factor | 1);
        product as u64 ^ (product >> 64) as u64
    };
    let (mut hash, mut rest) = (key ^ name.len() as u64, name);
    // Patterns, because methods of slices are calls in code compiled for size.
    while let &[a, b, c, d, e, f, g, h, ref others @ ..] = rest {
        hash = mix(hash, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        rest = others;
    }
    let mut last = 0;
    if let (&[a, b, c, d, ..], &[.., e, f, g, h]) = (rest, rest) {
        let (first, other) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        last = u64::from(first) << 32 | u64::from(other);
    } else {
        for byte in rest {
            last = last << 8 | u64::from(*byte);
        }
    }
    mix(hash, last)
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
    fn names_of_every_length_have_hashes_of_their_own() {
        let keys = Names::<()>::new().keys;
        let text: Vec<u8> = (b'!'..=b'~').collect();
        let mut hashes = std::collections::HashSet::new();
        let mut count = 0;
        for length in 0..=40 {
            for from in 0..=40 {
                let name = &text[from..from + length];
                if length > 0 || from == 0 {
                    count += 1;
                    hashes.insert(hash(keys, name));
                }
            }
        }
        assert_eq!(hashes.len(), count);
        let other = Names::<()>::new().keys;
        assert_ne!(hash(keys, b"asset.view"), hash(other, b"asset.view"));
    }

    /// Names of 16 bytes with the hash of the first: the second word makes up for what the first one changes.
    fn names_of_one_hash(keys: [u64; 2], count: usize) -> Vec<String> {
        let word = |text: &str| u64::from_le_bytes(text.as_bytes().try_into().unwrap());
        // With the length, which is part of the start, but without the last, empty rest.
        let after_first = |text: &str| {
            let product = u128::from(keys[0] ^ 16 ^ word(text)) * u128::from(keys[1] | 1);
            product as u64 ^ (product >> 64) as u64
        };
        let goal = after_first("00000000") ^ word("00000000");
        let names = (0..).map(|number| format!("{number:08}")).filter_map(|first| {
            let second = (goal ^ after_first(&first)).to_le_bytes();
            let is_ascii = second.iter().all(u8::is_ascii);
            is_ascii.then(|| first + std::str::from_utf8(&second).unwrap())
        });
        names.take(count).collect()
    }

    #[test]
    fn names_of_one_hash_are_kept_apart() {
        let names = Names::new();
        let mut all = names_of_one_hash(names.keys, 200);
        let missing = all.pop().unwrap();
        for name in all.iter().chain([&missing]) {
            assert_eq!(hash(names.keys, name.as_bytes()), hash(names.keys, missing.as_bytes()));
        }
        for (number, name) in all.iter().enumerate() {
            assert_eq!(names.get(name.as_bytes()), None);
            names.insert(name, number);
        }
        for (number, name) in all.iter().enumerate() {
            assert_eq!(names.get(name.as_bytes()), Some(&number));
        }
        assert_eq!(names.get(missing.as_bytes()), None);
    }

    #[test]
    fn many_similar_names_make_no_long_paths() {
        let names = Names::new();
        (0..10_000).for_each(|number| names.insert(&format!("scope.{number}"), number));
        let (mut longest, mut nodes) = (0, vec![(1, names.root.get().unwrap())]);
        while let Some((depth, node)) = nodes.pop() {
            longest = longest.max(depth);
            nodes.extend(
                node.children.iter().filter_map(OnceBox::get).map(|node| (depth + 1, node)),
            );
        }
        // A tree of the same names that is as flat as can be has six levels.
        assert!(longest <= 14, "{longest}");
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
