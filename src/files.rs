//! Files that the options name, read so that nobody hangs with them.
//!
//! A system call on a file may take for ever (a pipe that nobody writes to, a file server that is
//! down), and nothing can end it. So files are read on threads of the pool that are there for that,
//! never on a caller's or a fetch's, and one read of a path serves everybody in the process who asks
//! for it meanwhile.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::cache::policy::HUNG;
use crate::clock::Clock;
use crate::fork::{Locked, Mailbox};
use crate::joint::{Joint, Ticket};
use crate::runtime::{self, Job, Rank};
use crate::sync::global;

/// Most that is read of a file: more than any list of certificates has.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What a file holds. Wiped when dropped.
pub(crate) struct Content {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Other users of the machine can read it.
    pub(crate) is_exposed: bool,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It cannot be: words that go behind its name.
    Problem(String),
    /// No thread can be started for it.
    NoThread(String),
    /// It has not ended within this time.
    Slow(Duration),
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unread::Problem(problem) => f.write_str(problem),
            Unread::NoThread(problem) => {
                write!(f, "cannot be read: no thread can be started for it ({problem})")
            }
            Unread::Slow(limit) => write!(
                f,
                "could not be read in time (within {limit:?}): it may be a pipe that nobody writes \
                 to, or on a file system that hangs"
            ),
        }
    }
}

type Outcome = Result<Arc<Content>, Unread>;
type Waiting = Box<dyn FnOnce(Outcome) + Send>;

global! {
    static READS: Locked<Joint<PathBuf, Waiting>> = Locked::new(Joint::new());
}

/// Has a file read and `then` called with what it holds, on the thread that reads, or on one that
/// finds out that no thread can be had, this one perhaps. `then` is to be short. `anew`: the read that is under way hangs, as far as the
/// asker knows.
pub(crate) fn read(path: &Path, anew: bool, then: impl FnOnce(Outcome) + Send + 'static) {
    let now = Clock::System.now();
    let path = path.to_owned();
    let (forgotten, begins) = {
        let mut reads = READS.lock();
        let forgotten = reads.renew();
        if anew {
            reads.doubt(&path, now);
        }
        (forgotten, reads.join(path.clone(), Some(Box::new(then)), now))
    };
    drop(forgotten);
    let Some(ticket) = begins else { return };
    let job = Job::or_refused(HUNG, move |there_is_a_thread| {
        let outcome = match there_is_a_thread {
            Ok(()) => read_here(&path),
            Err(error) => Err(Unread::NoThread(error.to_string())),
        };
        ended(&path, ticket, outcome);
    });
    let _ = runtime::submit(&job, Rank::Read);
}

/// The same for somebody who waits for it, not longer than `limit`.
pub(crate) fn read_within(path: &Path, limit: Duration) -> Outcome {
    let outcome = Arc::new(Mailbox::default());
    let told = outcome.clone();
    read(path, false, move |read| {
        told.put(read);
    });
    let clock = Clock::System;
    outcome.take(&clock, clock.now().after(limit)).unwrap_or(Err(Unread::Slow(limit)))
}

/// Whether a file is being read.
pub(crate) fn is_being_read(path: &Path) -> bool {
    READS.lock().is_under_way(&path.to_owned())
}

fn ended(path: &Path, ticket: Ticket, outcome: Outcome) {
    let waiting = READS.lock().end(&path.to_owned(), ticket, outcome.is_ok());
    for then in waiting {
        then(outcome.clone());
    }
}

fn read_here(path: &Path) -> Outcome {
    let read = || -> io::Result<Content> {
        let file = std::fs::File::open(path)?;
        let is_exposed = is_exposed(&file);
        // Not grown while it is read: what it grew out of would not be wiped.
        let length = file.metadata().map_or(0, |metadata| metadata.len()).min(MAX_BYTES);
        let room = usize::try_from(length).unwrap_or_default() + 4096;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(Content { bytes, is_exposed })
    };
    match read() {
        Ok(content) if content.bytes.len() as u64 > MAX_BYTES => {
            Err(Unread::Problem("is too long".to_owned()))
        }
        Ok(content) => Ok(Arc::new(content)),
        Err(error) => Err(Unread::Problem(format!("cannot be read ({error})"))),
    }
}

#[cfg(unix)]
fn is_exposed(file: &std::fs::File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &std::fs::File) -> bool {
    false
}
