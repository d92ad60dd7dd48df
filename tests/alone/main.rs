//! Tests that need the process for themselves, one at a time: they change its working directory, fork it, or keep
//! every thread busy that the library has for a kind of work. What does not need that is in `tests/integration`.

#[cfg(unix)]
mod credentials_change;
mod credentials_hang;
#[cfg(unix)]
mod directories;
#[path = "../support/mod.rs"]
mod support;
mod waits;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: each holds this while it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
