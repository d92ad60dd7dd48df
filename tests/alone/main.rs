//! Tests that need the process to themselves, one at a time: they change its working directory, fork it, or occupy all
//! the threads that the library has for a kind of work. The others are in `tests/integration`.

#[cfg(unix)]
mod credentials_change;
mod credentials_hang;
#[cfg(unix)]
mod directories;
mod logs;
#[path = "../support/mod.rs"]
mod support;
mod waits;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: each holds this while it runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
