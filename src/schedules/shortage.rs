//! Simulated failure to start threads.

use std::cell::RefCell;

// All of a scenario's threads run on one thread of the machine.
std::thread_local! {
    static REFUSED: RefCell<Refused> = const { RefCell::new(Refused::NONE) };
}

struct Refused {
    names: &'static [&'static str],
    /// How many starts fail.
    left: usize,
}

impl Refused {
    const NONE: Self = Self { names: &[], left: 0 };
}

pub(super) const OF_ALL: &[&str] = &["tu-token", "tu-clock"];
/// The pool's threads.
pub(super) const OF_WORKERS: &[&str] = &["tu-token"];
pub(super) const OF_CLOCKS: &[&str] = &["tu-clock"];

/// From now on no thread with one of these names can be started.
pub(super) fn begin(names: &'static [&'static str]) {
    begin_for(names, usize::MAX);
}

/// The same for the next few starts.
pub(super) fn begin_for(names: &'static [&'static str], starts: usize) {
    REFUSED.set(Refused { names, left: starts });
}

pub(super) fn end() {
    REFUSED.set(Refused::NONE);
}

/// Whether a thread cannot be started now.
pub(crate) fn refuses(name: &str) -> bool {
    // While a start fails, other threads run.
    shuttle::thread::yield_now();
    REFUSED.with_borrow_mut(|refused| {
        let is_refused = refused.left > 0 && refused.names.contains(&name);
        refused.left -= usize::from(is_refused && refused.left < usize::MAX);
        is_refused
    })
}
