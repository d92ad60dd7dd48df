//! Files that the options name: read when a client is created, and again when they have changed.
//!
//! A system call on a file may block forever (a pipe without a writer, a file server that is down),
//! and nothing can interrupt it. So files are accessed only on pool threads dedicated to that,
//! never on a caller's or a fetch's thread, and one check of a path serves all threads of the
//! process that request the same check meanwhile.
//!
//! What is not a regular file (a pipe, a device, the program's own standard input) delivers its
//! text only once: it is read when a client is created, and never again. [`again`] decides about
//! all others.

mod again;

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use again::{Known, Now, Stamp, Verdict, Why, verdict};
use zeroize::Zeroizing;

use crate::cache::policy::HUNG;
use crate::cache::single_flight::{SingleFlight, Ticket};
use crate::clock::Clock;
use crate::process::{AnyProcess, Inherited, Kept, Locked, Mailbox};
use crate::sync::global;
use crate::threads::{self, Job, Rank};
use crate::words;

/// Maximum number of bytes read from a file: more than any list of certificates has.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Maximum number of symbolic links followed, the same as the system's.
const MOST_LINKS: usize = 40;
const NANOS_PER_MS: i64 = 1_000_000;

/// The content of a file when it was last read. Wiped when dropped.
pub(crate) struct Content {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Other users of the machine can read the file.
    pub(crate) is_exposed: bool,
    known: Known,
    /// The file is not read again.
    is_final: bool,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It cannot be read; the text completes a sentence that starts with the file's name.
    Problem(String),
    /// No thread can be started to read it.
    NoThread(String),
    /// Reading did not finish within this time.
    Slow(Duration),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Problem(problem) => f.write_str(problem),
            Unread::NoThread(problem) => {
                write!(f, "cannot be read: no thread can be started ({problem})")
            }
            Unread::Slow(limit) => write!(
                f,
                "could not be read in time (within {limit:?}): it may be a pipe without a writer, \
                 or on a file system that hangs"
            ),
        }
    }
}

type Outcome = Result<Arc<Content>, Unread>;
/// Receives the outcome. Boxed, because each closure type would duplicate the code that passes it.
type OnRead = Box<dyn FnOnce(Outcome) + Send>;

/// A file that an option names, and its last known content.
pub(crate) struct Named {
    path: PathBuf,
    /// Kept in a forked child too, which may no longer be able to read the file.
    content: Kept<AnyProcess<Option<Arc<Content>>>>,
    is_final: AtomicBool,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Named {
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        let (content, is_final) = (Kept::new(AnyProcess(None)), AtomicBool::new(false));
        Arc::new(Self { path, content, is_final })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, for a message.
    pub(crate) fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// Whether it has been read and will not be read again.
    pub(crate) fn is_final(&self) -> bool {
        self.is_final.load(Ordering::Relaxed)
    }

    /// Whether a check of it is in progress.
    pub(crate) fn is_being_read(&self) -> bool {
        CHECKS.lock().joint.is_under_way(|check| check.path == self.path.as_os_str())
    }

    /// Checks the file, reads it if need be, and passes the content to `then`: on the thread that
    /// checks, on any thread that finds that none can be started (possibly this one), or on this
    /// one if there is nothing to check. `then` must be short. `restart`: the caller has found that
    /// the check in progress hangs.
    pub(crate) fn refresh(self: &Arc<Self>, why: Why, restart: bool, then: OnRead) {
        let content = self.content.lock().0.clone();
        if let Some(content) = content.as_ref().filter(|_| self.is_final()) {
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
        check(&self.path, content, why, restart, then);
    }

    fn adopt(&self, content: &Arc<Content>) {
        self.content.lock().0 = Some(content.clone());
        self.is_final.store(content.is_final, Ordering::Relaxed);
    }

    /// Waits for the content, at most `limit`.
    pub(crate) fn read_within(self: &Arc<Self>, limit: Duration) -> Outcome {
        let outcome = Arc::new(Mailbox::default());
        let told = outcome.clone();
        let then = Box::new(move |read| {
            told.put(read);
        });
        self.refresh(Why::Use, false, then);
        let clock = Clock::System;
        outcome.take(&clock, clock.now().after(limit)).unwrap_or(Err(Unread::Slow(limit)))
    }
}

// --- one check for all callers -----------------------------------------------------------------

/// What is checked: callers with the same knowledge of a file share one check.
#[derive(Clone, PartialEq, Eq)]
struct Check {
    path: OsString,
    known: Option<Stamp>,
    why: Why,
}

#[derive(Default)]
struct Checks {
    joint: SingleFlight<Check, OnRead>,
    /// What pipes delivered, as long as a client uses it: another client that names the same pipe
    /// would find nothing left in it.
    pipes: Vec<Weak<Content>>,
}

/// A pipe is read once, by whichever process is first.
impl Inherited for Checks {
    type Remains = Vec<OnRead>;

    fn adopt(&mut self) -> Self::Remains {
        self.joint.adopt()
    }
}

global! {
    static CHECKS: Locked<Checks> = Locked::empty();
}

fn check(path: &Path, content: Option<Arc<Content>>, why: Why, restart: bool, then: OnRead) {
    let now = Clock::System.now();
    let known = content.as_ref().map(|content| content.known.stamp);
    let check = Check { path: path.as_os_str().to_owned(), known, why };
    let begins = {
        let checks = &mut CHECKS.lock().joint;
        if restart {
            checks.suspect(&check, now);
        }
        checks.join(check.clone(), Some(then), now)
    };
    let Some(ticket) = begins else { return };
    let job = Job::or_refused(HUNG, move |there_is_a_thread| {
        let outcome = match there_is_a_thread {
            Ok(()) => check_here(&check, content),
            Err(error) => Err(Unread::NoThread(words::of(error))),
        };
        finish(&check, ticket, outcome);
    });
    let _ = threads::submit(&job, Rank::Read);
}

fn finish(check: &Check, ticket: Ticket, outcome: Outcome) {
    let mut waiting = CHECKS.lock().joint.end(check, ticket, outcome.is_ok());
    let last = waiting.pop();
    for then in waiting {
        then(outcome.clone());
    }
    // The last one gets the only reference: this thread keeps nothing of the content.
    if let Some(last) = last {
        last(outcome);
    }
}

// --- on a thread that may hang ------------------------------------------------------------------

fn check_here(check: &Check, former: Option<Arc<Content>>) -> Outcome {
    let read = || -> io::Result<Option<Content>> {
        let now = Now::by_the_clocks();
        let known = former.as_ref().map(|former| &former.known);
        let path = Path::new(&check.path);
        let found = Stamp::of(&std::fs::metadata(path)?);
        match verdict(known, &found, check.why) {
            Verdict::Keep => return Ok(None),
            Verdict::NotAgain => return Err(not_again()),
            Verdict::Read => {}
        }
        let descriptor = descriptor(path);
        let file = open(path, descriptor, known.is_some())?;
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        // It may have been replaced since it was checked.
        if known.is_some() && !stamp.is_regular {
            return Err(not_again());
        }
        let bytes = bytes_of(file, stamp.size)?;
        Ok(Some(Content {
            known: Known::of(known, stamp, bytes.len(), now),
            bytes,
            is_exposed: is_exposed(&metadata),
            is_final: !stamp.is_regular || descriptor.is_some(),
        }))
    };
    match read() {
        Ok(Some(content)) if content.bytes.len() as u64 > MAX_BYTES => {
            Err(Unread::Problem("is too long".to_owned()))
        }
        Ok(Some(content)) => Ok(shared(content)),
        Ok(None) => former.ok_or_else(|| Unread::Problem("is not known".to_owned())),
        Err(error) => Err(Unread::Problem(format!("cannot be read ({})", words::of(&error)))),
    }
}

/// Reads a file that holds no secret, on this thread, and returns what is known of it now.
pub(crate) fn read_here(path: &Path, former: Option<&Known>) -> io::Result<(Vec<u8>, Known)> {
    let now = Now::by_the_clocks();
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    // One more than it should need: it ends where nothing more can be read.
    let mut bytes = Vec::with_capacity(stamp.size.min(MAX_BYTES) as usize + 1);
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let known = Known::of(former, stamp, bytes.len(), now);
    Ok((bytes, known))
}

fn not_again() -> io::Error {
    io::Error::other("it is no longer a regular file; a pipe or device is read only once")
}

fn bytes_of(file: File, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = file.take(MAX_BYTES + 1);
    let mut room = usize::try_from(size.min(MAX_BYTES)).unwrap_or_default() + 4096;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    loop {
        file.by_ref().take((room - bytes.len()) as u64).read_to_end(&mut bytes)?;
        if bytes.len() < room {
            break;
        }
        // A pipe does not tell how much it holds. A buffer that grew by itself would leave unwiped
        // copies behind.
        room *= 2;
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(&bytes);
        bytes = larger;
    }
    // It is kept, so without the excess capacity.
    Ok(Zeroizing::new(bytes.as_slice().to_vec()))
}

/// The descriptor that a path refers to: `/dev/stdin`, `/dev/fd/3`, a link to one. Soon it may
/// refer to something else, or nothing.
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
/// Node.js): its descriptor is duplicated instead. A file that `is_known` was a regular one when it
/// was checked; if a pipe has replaced it since, opening must not wait for a writer.
#[cfg(unix)]
fn open(path: &Path, descriptor: Option<i32>, is_known: bool) -> io::Result<File> {
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = if is_known { libc::O_NONBLOCK } else { 0 };
    let opened = match File::options().read(true).custom_flags(flags).open(path) {
        // Another process holds a lease on it (fcntl(2); file servers do) and is being asked to
        // release it: wait for that. Opening a pipe never fails this way.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path),
        opened => opened,
    };
    let is_socket = matches!(&opened, Err(error) if error.raw_os_error() == Some(libc::ENXIO));
    let Some(descriptor) = descriptor.filter(|_| is_socket && is_of_this_process(path)) else {
        return opened;
    };
    // SAFETY: it touches no memory, and fails if there is no such descriptor.
    let other = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: the descriptor was just created, and nothing else owns it.
    if other < 0 { opened } else { Ok(unsafe { File::from_raw_fd(other) }) }
}

#[cfg(not(unix))]
fn open(path: &Path, _: Option<i32>, _: bool) -> io::Result<File> {
    File::open(path)
}

/// Whether this path refers to this process's own descriptors.
#[cfg(unix)]
fn is_of_this_process(path: &Path) -> bool {
    let name = path.to_str().unwrap_or_default();
    !name.starts_with("/proc/") || name.starts_with("/proc/self/")
}

/// The content, or what the same pipe delivered before if there is nothing left in it.
fn shared(content: Content) -> Arc<Content> {
    let content = Arc::new(content);
    if !content.is_final {
        return content;
    }
    let identity = content.known.stamp.identity;
    let pipes = &mut CHECKS.lock().pipes;
    pipes.retain(|other| other.strong_count() > 0);
    if content.bytes.is_empty() {
        let mut others = pipes.iter().rev().filter_map(Weak::upgrade);
        let same = others.find(|other| other.known.stamp.identity == identity);
        return same.unwrap_or(content);
    }
    pipes.push(Arc::downgrade(&content));
    content
}

// --- clocks and metadata ------------------------------------------------------------------------

impl Now {
    pub(crate) fn by_the_clocks() -> Self {
        let wall = Clock::System.wall_ms().saturating_mul(NANOS_PER_MS);
        Self { steady: Instant::now(), wall }
    }
}

impl Stamp {
    /// Checks a file on this thread.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
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
