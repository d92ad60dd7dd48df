//! Jobs for the pool's threads.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::rank::{Rank, TABLE};
use crate::leftovers::{Depth, wipe_thread};
use crate::process::Parcel;
use crate::sync::atomic::AtomicU8;

/// Receives `Ok` on a pool thread, where it may block, or the error if no thread can be started.
type Body = Box<dyn FnOnce(Result<(), &io::Error>) + Send>;

/// Work for a thread of the pool, done once.
pub(crate) struct Job {
    body: Parcel<Body>,
    /// After this long it no longer counts against limits: it may hang where no timeout applies.
    pub(super) longest: Duration,
    /// How much of the stack is wiped after it.
    depth: Depth,
    /// The rank it was submitted with, plus one (0: not submitted), and the flag [`AWAITED`].
    standing: AtomicU8,
}

/// A caller waits for it, whatever rank it was or will be submitted with.
const AWAITED: u8 = 1 << 7;

impl Job {
    pub(crate) fn new(longest: Duration, body: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Self::of_depth(Depth::Deep, longest, body)
    }

    /// The same for a job that is known not to use more of its thread's stack.
    pub(crate) fn of_depth(
        depth: Depth,
        longest: Duration,
        body: impl FnOnce() + Send + 'static,
    ) -> Arc<Self> {
        Self::or_refused_of_depth(depth, longest, move |there_is_a_thread| {
            if there_is_a_thread.is_ok() {
                body();
            }
        })
    }

    /// The same for a job whose submitter must learn that it will not run: the body is called
    /// exactly once, with the error if no thread can be started, on whichever thread finds that
    /// out.
    pub(crate) fn or_refused(
        longest: Duration,
        body: impl FnOnce(Result<(), &io::Error>) + Send + 'static,
    ) -> Arc<Self> {
        Self::or_refused_of_depth(Depth::Deep, longest, body)
    }

    /// Both at once.
    pub(crate) fn or_refused_of_depth(
        depth: Depth,
        longest: Duration,
        body: impl FnOnce(Result<(), &io::Error>) + Send + 'static,
    ) -> Arc<Self> {
        let (body, standing) = (Parcel::new(Box::new(body) as Body), AtomicU8::new(0));
        Arc::new(Self { body, longest, depth, standing })
    }

    pub(super) fn take(&self) -> Option<Body> {
        self.body.take()
    }

    /// Runs the job, unless it has been run or refused.
    pub(super) fn run(&self) {
        if let Some(body) = self.take() {
            // A panic is a bug of the library; it must not cost the pool this thread.
            let ended = catch_unwind(AssertUnwindSafe(|| body(Ok(()))));
            // The thread may now be idle for a long time, or end: its stack would stay.
            wipe_thread(if ended.is_ok() { self.depth } else { Depth::Deep });
        }
    }

    /// Refuses the job. Returns `false` if it was already run or refused.
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

    /// Called on submission. Returns the rank to queue it with: a caller may already wait for it.
    pub(super) fn submitted(&self, rank: Rank) -> Rank {
        let is_awaited = self.standing.fetch_or(rank as u8 + 1, Ordering::SeqCst) & AWAITED != 0;
        if is_awaited { rank.row().awaited } else { rank }
    }

    /// A caller now waits for the job. Returns the rank to queue it with a second time, if it has
    /// been submitted and that makes a difference.
    pub(super) fn awaited(&self) -> Option<Rank> {
        let before = self.standing.fetch_or(AWAITED, Ordering::SeqCst);
        let row = TABLE.get(usize::from(before).wrapping_sub(1))?;
        (row.awaited != row.rank && self.is_open()).then_some(row.awaited)
    }
}
