//! Which mutant is switched on: added to the copy of the library that tests/mutants.py builds.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const UNKNOWN: usize = usize::MAX;
const TRACED: usize = usize::MAX - 1;
const MOST: usize = 1 << 14;

static ACTIVE: AtomicUsize = AtomicUsize::new(UNKNOWN);
static SEEN: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

/// Whether this mutant replaces the original code.
#[inline]
pub(crate) fn is(mutant: usize) -> bool {
    match ACTIVE.load(Relaxed) {
        UNKNOWN => {
            ACTIVE.store(read(), Relaxed);
            is(mutant)
        }
        TRACED => {
            SEEN[mutant].store(true, Relaxed);
            false
        }
        active => active == mutant,
    }
}

fn read() -> usize {
    // The first panic decides: no shrinking, no further test.
    if std::env::var_os("MUTANT_ENDS_AT_PANIC").is_some() {
        // SAFETY: ends the process at once.
        std::panic::set_hook(Box::new(|_| unsafe { libc::_exit(101) }));
    }
    match std::env::var("MUTANT").as_deref() {
        Ok("trace") => {
            // SAFETY: the function is valid as long as the process.
            unsafe { libc::atexit(write_seen) };
            TRACED
        }
        Ok(number) => number.parse().expect("a number"),
        Err(_) => 0,
    }
}

extern "C" fn write_seen() {
    let seen: String =
        (0..MOST).filter(|at| SEEN[*at].load(Relaxed)).map(|at| format!("{at} ")).collect();
    let path = std::env::var_os("MUTANT_TRACE").expect("a path");
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(seen.as_bytes())).expect("the trace");
}
