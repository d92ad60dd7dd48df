//! The memory orderings of the sequence lock in `cache/current.rs`, by [`loom`].
//!
//! That file is compiled a second time here, with loom's atomics: a load may then bring any value
//! that the C++ memory model lets it, and all ways to do so are gone through, up to a bound of
//! preemptions. A word more multiplies them, so the tokens are a few words without a text.

#[allow(clippy::duplicate_mod, dead_code)]
#[path = "../cache/current.rs"]
mod current;

use loom::sync::Arc;
use loom::sync::atomic;
use loom::thread;

use crate::Token;
use crate::clock::BootTime;
use crate::token::GROUP;
use current::Current;

const NOW: BootTime = BootTime::from_nanos(5);
const LATER: BootTime = BootTime::from_nanos(7);

/// The smallest block, with the same number in every word: the time of its end is one of them.
fn token(number: u64) -> Token {
    Token::from_words(vec![number; GROUP].into())
}

fn read(current: &Current) -> Option<Vec<u64>> {
    let view = current.look(NOW, NOW)?;
    let words = view.to_words();
    view.holds().then(|| words.into_vec())
}

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(scenario);
}

#[test]
fn no_ordering_lets_a_reader_see_a_mixture() {
    explore(|| {
        let current = Arc::new(Current::default());
        current.publish(&token(8), LATER);
        let writer = {
            let current = current.clone();
            thread::spawn(move || current.publish(&token(9), LATER))
        };
        if let Some(words) = read(&current) {
            assert!(words == [8; GROUP] || words == [9; GROUP], "{words:?}");
        }
        writer.join().unwrap();
        assert_eq!(read(&current).unwrap(), [9; GROUP]);
    });
}

#[test]
fn no_ordering_lets_a_reader_see_a_wiped_token() {
    explore(|| {
        let current = Arc::new(Current::default());
        current.publish(&token(8), LATER);
        let writer = {
            let current = current.clone();
            thread::spawn(move || current.clear())
        };
        if let Some(words) = read(&current) {
            assert_eq!(words, [8; GROUP]);
        }
        writer.join().unwrap();
        assert!(read(&current).is_none());
    });
}
