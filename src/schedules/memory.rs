//! The memory orderings of the sequence lock in `cache/current.rs`, explored with [`loom`].
//!
//! That file is compiled a second time here, with loom's atomics. A load may then return any value
//! that the C++ memory model allows, and all possibilities are explored, up to a bound on
//! preemptions. Each additional word multiplies them, so the tokens are a few words without text.

#[allow(clippy::duplicate_mod, dead_code)]
#[path = "../cache/copy.rs"]
mod copy;
#[allow(clippy::duplicate_mod, dead_code)]
#[path = "../cache/current.rs"]
mod current;

use std::sync::Mutex;
use std::time::Duration;

use loom::sync::{Arc, atomic};
use loom::thread;

use crate::Token;
use crate::clock::BootTime;
use current::Current;

const PREEMPTIONS: usize = 3;
/// As few as the file allows.
const WORDS: usize = 6;
const NOW: BootTime = BootTime::from_nanos(5);
const LATER: BootTime = BootTime::from_nanos(7);

/// The smallest block, with the same number in every word, including the expiry.
fn token(number: u64) -> Token {
    // SAFETY: its text is not read.
    unsafe { Token::from_words(vec![number; WORDS].into()) }
}

fn read(current: &Current) -> Option<Vec<u64>> {
    let view = current.look_at(NOW, Duration::ZERO)?;
    let words = view.to_words()?;
    view.holds().then(|| words.into_vec())
}

/// Replaces token 8 while it is read. Returns everything that a reader may have seen.
///
/// Loom allows the first thread to be preempted at few places only, so each of the two is that
/// thread once.
fn seen_during(write: fn(&Current)) -> Vec<Option<Vec<u64>>> {
    let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
    for reader_begins in [false, true] {
        let seen = seen.clone();
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(PREEMPTIONS);
        model.check(move || {
            let current = Arc::new(Current::default());
            current.publish(&token(8), LATER);
            let other = current.clone();
            let outcome = if reader_begins {
                let writer = thread::spawn(move || write(&other));
                let outcome = read(&current);
                writer.join().unwrap();
                outcome
            } else {
                let reader = thread::spawn(move || read(&other));
                write(&current);
                reader.join().unwrap()
            };
            seen.lock().unwrap().push(outcome);
        });
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort();
    seen.dedup();
    seen
}

#[test]
fn no_ordering_lets_a_reader_see_a_mixture() {
    let seen = seen_during(|current| current.publish(&token(9), LATER));
    assert_eq!(seen, [None, Some(vec![8; WORDS]), Some(vec![9; WORDS])]);
}

#[test]
fn no_ordering_lets_a_reader_see_a_wiped_token() {
    let seen = seen_during(Current::clear);
    assert_eq!(seen, [None, Some(vec![8; WORDS])]);
}
