//! What the pool's threads do, and what it is for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::process::Parcel;

/// Told that there is a thread, on which it may take its time, or why there is none.
type Body = Box<dyn FnOnce(Result<(), &io::Error>) + Send>;

/// Something to be done by a thread of the pool, once.
pub(crate) struct Job {
    body: Parcel<Body>,
    /// After this long it no longer counts as running: it may hang where no limit reaches.
    pub(super) longest: Duration,
}

impl Job {
    pub(crate) fn new(longest: Duration, body: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Self::or_refused(longest, move |there_is_a_thread| {
            if there_is_a_thread.is_ok() {
                body();
            }
        })
    }

    /// The same for what has to be told if it is not done: once, with why no thread can be had, by
    /// whichever thread finds that out.
    pub(crate) fn or_refused(
        longest: Duration,
        body: impl FnOnce(Result<(), &io::Error>) + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { body: Parcel::new(Box::new(body)), longest })
    }

    pub(super) fn take(&self) -> Option<Body> {
        self.body.take()
    }

    /// Does it, unless it has been done, or refused.
    pub(super) fn run(&self) {
        if let Some(body) = self.take() {
            // A panic is a bug of ours; it must not take the thread's place in the pool with it.
            let _ = catch_unwind(AssertUnwindSafe(|| body(Ok(()))));
        }
    }

    /// Whether it was neither done nor refused before.
    pub(super) fn refuse(&self, error: &io::Error) -> bool {
        let body = self.take();
        let is_open = body.is_some();
        if let Some(body) = body {
            body(Err(error));
        }
        is_open
    }

    pub(super) fn is_open(&self) -> bool {
        !self.body.is_empty()
    }
}

/// What a job is for: who goes first, and how many may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Calls functions of callers whose wait has ended.
    Call,
    /// An operation on a token store, which a fetch waits for.
    Store,
    /// A file or a credentials function, which a fetch or the making of a client waits for.
    Read,
    /// A fetch that somebody waits for.
    Awaited,
    /// A renewal.
    Background,
}
