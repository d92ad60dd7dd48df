//! What the pool's threads do.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::rank::{Rank, TABLE};
use crate::process::Parcel;
use crate::sync::atomic::AtomicU8;

/// Told that there is a thread, on which it may take its time, or why there is none.
type Body = Box<dyn FnOnce(Result<(), &io::Error>) + Send>;

/// Something to be done by a thread of the pool, once.
pub(crate) struct Job {
    body: Parcel<Body>,
    /// After this long it no longer counts as running: it may hang where no limit reaches.
    pub(super) longest: Duration,
    /// The number of the rank that it was submitted as, from 1; and whether it is [`AWAITED`].
    standing: AtomicU8,
}

/// Somebody waits for it, whatever it was submitted as, or will be.
const AWAITED: u8 = 1 << 7;

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
        let (body, standing) = (Parcel::new(Box::new(body) as Body), AtomicU8::new(0));
        Arc::new(Self { body, longest, standing })
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

    /// It is being submitted: which rank it has, as somebody may wait for it by now.
    pub(super) fn submitted(&self, rank: Rank) -> Rank {
        let is_awaited = self.standing.fetch_or(rank as u8 + 1, Ordering::SeqCst) & AWAITED != 0;
        if is_awaited { rank.row().awaited } else { rank }
    }

    /// Somebody waits for it. The rank that it is to be queued as once more: if it has been submitted,
    /// and this makes a difference.
    pub(super) fn awaited(&self) -> Option<Rank> {
        let before = self.standing.fetch_or(AWAITED, Ordering::SeqCst);
        let row = TABLE.get(usize::from(before).wrapping_sub(1))?;
        (row.awaited != row.rank && self.is_open()).then_some(row.awaited)
    }
}
