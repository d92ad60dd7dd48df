//! Files that the options name: read when a client is made, and again when they have changed.
//!
//! A system call on a file may take for ever (a pipe that nobody writes to, a file server that is
//! down), and nothing can end it. So files are looked at on threads of the pool that are there for
//! that, never on a caller's or a fetch's, and one look at a path serves everybody in the process who
//! asks for the same meanwhile.
//!
//! What is not a regular file (a pipe, a device, the program's own standard input) gives its text
//! once: it is read when a client is made, and never again. [`again`] decides on all others.

mod again;

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use again::Why;
use again::{Known, Now, Stamp, Verdict, verdict};
use zeroize::Zeroizing;

use crate::cache::joint::{Joint, Ticket};
use crate::cache::policy::HUNG;
use crate::clock::Clock;
use crate::process::{AnyProcess, Inherited, Kept, Locked, Mailbox};
use crate::sync::global;
use crate::threads::{self, Job, Rank};

/// Most that is read of a file: more than any list of certificates has.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most links that are followed from one name to the next, as the system has it.
const MOST_LINKS: usize = 40;
const NANOS_PER_MS: i64 = 1_000_000;

/// What a file held when it was read. Wiped when dropped.
pub(crate) struct Content {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Other users of the machine can read it.
    pub(crate) is_exposed: bool,
    known: Known,
    /// It is not read again.
    is_for_good: bool,
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

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
/// What is done with it. Boxed, because each kind of it would make the way there once more.
type Then = Box<dyn FnOnce(Outcome) + Send>;

/// A file that an option names, and what it held last.
pub(crate) struct Named {
    path: PathBuf,
    /// A forked child may not be able to read it any more.
    content: Kept<AnyProcess<Option<Arc<Content>>>>,
    is_for_good: AtomicBool,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Named {
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        let (content, is_for_good) = (Kept::new(AnyProcess(None)), AtomicBool::new(false));
        Arc::new(Self { path, content, is_for_good })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, for a message.
    pub(crate) fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// Whether it was read and will not be read again.
    pub(crate) fn is_for_good(&self) -> bool {
        self.is_for_good.load(Ordering::Relaxed)
    }

    /// Whether it is being looked at.
    pub(crate) fn is_being_read(&self) -> bool {
        LOOKS.lock().joint.is_under_way(|look| look.path == self.path.as_os_str())
    }

    /// Has the file looked at, and read if need be, and `then` called with what it holds: on the
    /// thread that looks, or on one that finds out that no thread can be had, this one perhaps; on
    /// this one if there is nothing to look at. `then` is to be short. `anew`: the look that is under
    /// way hangs, as far as the asker knows.
    pub(crate) fn look(self: &Arc<Self>, why: Why, anew: bool, then: Then) {
        let content = self.content.lock().0.clone();
        if let Some(content) = content.as_ref().filter(|_| self.is_for_good()) {
            return then(Ok(content.clone()));
        }
        let named = self.clone();
        let then = Box::new(move |outcome: Outcome| {
            if let Ok(content) = &outcome {
                named.adopt(content);
            }
            drop(named);
            then(outcome);
        });
        look(&self.path, content, why, anew, then);
    }

    fn adopt(&self, content: &Arc<Content>) {
        self.content.lock().0 = Some(content.clone());
        self.is_for_good.store(content.is_for_good, Ordering::Relaxed);
    }

    /// What it holds, for somebody who waits for it, not longer than `limit`.
    pub(crate) fn read_within(self: &Arc<Self>, limit: Duration) -> Outcome {
        let outcome = Arc::new(Mailbox::default());
        let told = outcome.clone();
        let then = Box::new(move |read| {
            told.put(read);
        });
        self.look(Why::Use, false, then);
        let clock = Clock::System;
        outcome.take(&clock, clock.now().after(limit)).unwrap_or(Err(Unread::Slow(limit)))
    }
}

// --- one look for all who ask ----------------------------------------------------------------

/// What is looked for: those who know the same of a file share a look at it.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    path: OsString,
    known: Option<Stamp>,
    why: Why,
}

#[derive(Default)]
struct Looks {
    joint: Joint<Look, Then>,
    /// What pipes gave, as long as a client has it: another one that names the same pipe would find
    /// nothing in it.
    pipes: Vec<Weak<Content>>,
}

/// A pipe is read once, by whichever process does.
impl Inherited for Looks {
    type Remains = Vec<Then>;

    fn adopt(&mut self) -> Self::Remains {
        self.joint.adopt()
    }
}

global! {
    static LOOKS: Locked<Looks> = Locked::empty();
}

fn look(path: &Path, content: Option<Arc<Content>>, why: Why, anew: bool, then: Then) {
    let now = Clock::System.now();
    let known = content.as_ref().map(|content| content.known.stamp);
    let look = Look { path: path.as_os_str().to_owned(), known, why };
    let begins = {
        let looks = &mut LOOKS.lock().joint;
        if anew {
            looks.doubt(&look, now);
        }
        looks.join(look.clone(), Some(then), now)
    };
    let Some(ticket) = begins else { return };
    let job = Job::or_refused(HUNG, move |there_is_a_thread| {
        let outcome = match there_is_a_thread {
            Ok(()) => look_here(&look, content),
            Err(error) => Err(Unread::NoThread(error.to_string())),
        };
        ended(&look, ticket, outcome);
    });
    let _ = threads::submit(&job, Rank::Read);
}

fn ended(look: &Look, ticket: Ticket, outcome: Outcome) {
    let mut waiting = LOOKS.lock().joint.end(look, ticket, outcome.is_ok());
    let last = waiting.pop();
    for then in waiting {
        then(outcome.clone());
    }
    // Whoever is told last has it to itself: this thread keeps nothing that was read.
    if let Some(last) = last {
        last(outcome);
    }
}

// --- on a thread that may hang ---------------------------------------------------------------

fn look_here(look: &Look, former: Option<Arc<Content>>) -> Outcome {
    let read = || -> io::Result<Option<Content>> {
        let now = Now::by_the_clocks();
        let known = former.as_ref().map(|former| &former.known);
        let path = Path::new(&look.path);
        let found = Stamp::of(&std::fs::metadata(path)?);
        match verdict(known, &found, look.why) {
            Verdict::Keep => return Ok(None),
            Verdict::NotAgain => return Err(not_again()),
            Verdict::Read => {}
        }
        let descriptor = descriptor(path);
        let file = open(path, descriptor, known.is_some())?;
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        // It may have become another since it was looked at.
        if known.is_some() && !stamp.is_regular {
            return Err(not_again());
        }
        let bytes = bytes_of(file, stamp.size)?;
        Ok(Some(Content {
            known: Known::of(known, stamp, bytes.len(), now),
            bytes,
            is_exposed: is_exposed(&metadata),
            is_for_good: !stamp.is_regular || descriptor.is_some(),
        }))
    };
    match read() {
        Ok(Some(content)) if content.bytes.len() as u64 > MAX_BYTES => {
            Err(Unread::Problem("is too long".to_owned()))
        }
        Ok(Some(content)) => Ok(shared(content)),
        Ok(None) => former.ok_or_else(|| Unread::Problem("is not known".to_owned())),
        Err(error) => Err(Unread::Problem(format!("cannot be read ({error})"))),
    }
}

fn not_again() -> io::Error {
    io::Error::other("it is no regular file any more; a pipe or device is read only once")
}

fn bytes_of(file: File, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Not grown while it is read: what it grew out of would not be wiped.
    let room = usize::try_from(size.min(MAX_BYTES)).unwrap_or_default() + 4096;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    // It is kept: without the room that was not needed.
    Ok(Zeroizing::new(bytes.as_slice().to_vec()))
}

/// The open file of a process that a name stands for: `/dev/stdin`, `/dev/fd/3`, a link there. Soon it
/// may stand for something else, or nothing.
fn descriptor(path: &Path) -> Option<i32> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let (directory, number) = path.to_str()?.rsplit_once('/')?;
        let is_of_system = directory.starts_with("/proc/") || directory.starts_with("/dev/");
        if is_of_system && directory.ends_with("/fd") {
            return number.parse().ok();
        }
        path = Path::new("/").join(directory).join(std::fs::read_link(&path).ok()?);
    }
    None
}

/// Opens a file. A socket cannot be opened, but the program's standard input may be one (inetd,
/// Node.js): it is open already. One that `is_known` was a regular file when it was looked at; if a
/// pipe has taken its place since, opening that must not wait for a writer.
#[cfg(unix)]
fn open(path: &Path, descriptor: Option<i32>, is_known: bool) -> io::Result<File> {
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = if is_known { libc::O_NONBLOCK } else { 0 };
    let opened = match File::options().read(true).custom_flags(flags).open(path) {
        // Somebody holds a lease on it (fcntl(2), file servers do), and is to give it up: that is
        // waited for. A pipe never says so.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path),
        opened => opened,
    };
    let is_socket = matches!(&opened, Err(error) if error.raw_os_error() == Some(libc::ENXIO));
    let Some(descriptor) = descriptor.filter(|_| is_socket && is_of_this_process(path)) else {
        return opened;
    };
    // SAFETY: it touches no memory, and fails if there is no such descriptor.
    let other = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: the descriptor was just made and is nobody else's.
    if other < 0 { opened } else { Ok(unsafe { File::from_raw_fd(other) }) }
}

#[cfg(not(unix))]
fn open(path: &Path, _: Option<i32>, _: bool) -> io::Result<File> {
    File::open(path)
}

/// Whether what is open under this name is so in this process.
#[cfg(unix)]
fn is_of_this_process(path: &Path) -> bool {
    let name = path.to_str().unwrap_or_default();
    !name.starts_with("/proc/") || name.starts_with("/proc/self/")
}

/// What was read, or what the same pipe gave before if there is nothing left in it.
fn shared(content: Content) -> Arc<Content> {
    let content = Arc::new(content);
    if !content.is_for_good {
        return content;
    }
    let identity = content.known.stamp.identity;
    let pipes = &mut LOOKS.lock().pipes;
    pipes.retain(|other| other.strong_count() > 0);
    if content.bytes.is_empty() {
        let mut others = pipes.iter().rev().filter_map(Weak::upgrade);
        let same = others.find(|other| other.known.stamp.identity == identity);
        return same.unwrap_or(content);
    }
    pipes.push(Arc::downgrade(&content));
    content
}

// --- what the system says --------------------------------------------------------------------

impl Now {
    fn by_the_clocks() -> Self {
        let wall = Clock::System.wall_ms().saturating_mul(NANOS_PER_MS);
        Self { steady: Instant::now(), wall }
    }
}

#[cfg(unix)]
impl Stamp {
    #[inline(never)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanos = |seconds: i64, nanos: i64| {
            seconds.saturating_mul(1000 * NANOS_PER_MS).saturating_add(nanos)
        };
        Self {
            is_regular: metadata.is_file(),
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(not(unix))]
impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let nanos = |time: io::Result<std::time::SystemTime>| {
            let since = time.ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_nanos()).ok()
        };
        Self {
            is_regular: metadata.is_file(),
            identity: (0, 0),
            size: metadata.len(),
            modified: nanos(metadata.modified()).unwrap_or_default(),
            changed: nanos(metadata.created()).unwrap_or_default(),
        }
    }
}

#[cfg(unix)]
fn is_exposed(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &Metadata) -> bool {
    false
}

#[cfg(all(test, unix, not(feature = "__shuttle")))]
mod tests;
