//! Reads credential files and calls the program's function, on pool threads that may hang with
//! them.
//!
//! Credential files are read in one place only: [`ValueOrFile::read`].

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::source::{CredentialFiles, Reader, ValueOrFile, unavailable};
use super::{Change, Credentials, CredentialsFn, Lack, Pair, Source};
use crate::cache::policy::HUNG;
use crate::clock::Clock;
use crate::config::parse;
use crate::error::{Error, ErrorKind};
use crate::files::{Content, Named, Unread, Why};
use crate::process::{Callable, Mailbox, Process};
use crate::secret::Secret;
use crate::threads::{self, Job, Rank};
use crate::words;

/// Maximum size of a credential file.
const MAX_FILE_BYTES: usize = 64 * 1024;

crate::sync::thread_local! {
    /// The client whose credentials function is running on this thread.
    static ASKING: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is running the credentials function of a client, identified by its address.
pub(crate) fn is_asking_for(client: usize) -> bool {
    client != 0 && ASKING.with(Cell::get) == client
}

/// Marks the thread while it runs a client's credentials function.
struct Asking(usize);

impl Asking {
    fn of(client: usize) -> Self {
        Self(ASKING.with(|asking| asking.replace(client)))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.with(|asking| asking.set(self.0));
    }
}

/// Files that other users can read.
pub(crate) type Exposed = [Option<PathBuf>; 2];

/// What was read, and which of the files other users can read.
pub(crate) struct Read {
    pub(crate) credentials: Credentials,
    pub(crate) exposed: Exposed,
}

/// A request for credentials.
pub(crate) struct Ask(pub(super) Reader);

impl Ask {
    /// Starts the request and passes its outcome to `then`: on the thread that reads, or on one
    /// that finds that no thread can be started (possibly this one). `then` must be short.
    /// `client`: address of the client they are for. `refused`: the endpoint refused the last ones.
    /// `restart`: the request in progress hangs.
    pub(crate) fn begin(
        self,
        client: usize,
        refused: bool,
        restart: bool,
        then: impl FnOnce(Result<Read, Error>) + Send + 'static,
    ) {
        match self.0 {
            Reader::Files(files) => {
                let why = if refused { Why::Refused } else { Why::Use };
                files.read(why, restart, Box::new(then));
            }
            Reader::Function(function) => {
                let job = Job::or_refused(HUNG, move |there_is_a_thread| {
                    if let Err(error) = there_is_a_thread {
                        return then(Err(no_thread(&words::of(error))));
                    }
                    let process = Process::this();
                    let credentials = call(&function, client, refused);
                    // If the function forked and this is the child, the request is the parent's.
                    if process.is_this() {
                        then(
                            credentials
                                .map(|credentials| Read { credentials, exposed: [None, None] }),
                        );
                    }
                });
                let _ = threads::submit(&job, Rank::Read);
            }
        }
    }
}

fn call(
    function: &Callable<CredentialsFn>,
    client: usize,
    refused: bool,
) -> Result<Credentials, Error> {
    let _asking = Asking::of(client);
    let given = catch_unwind(AssertUnwindSafe(|| function.call(|function| (function.0)(refused))));
    match given {
        Ok(given) => given.unwrap_or_else(|| Err(Lack::default())).map_err(lacking),
        Err(_panic) => Err(unavailable("the credentials callback panicked")),
    }
}

fn lacking(lack: Lack) -> Error {
    let problem = match (&lack.message, &lack.cause) {
        (Some(message), _) => &format!("the credentials callback failed: {message}"),
        (None, Some(_)) => "the credentials callback failed",
        (None, None) => "the credentials callback gave none",
    };
    unavailable(problem).with_cause(lack.cause)
}

/// An error that says nothing about the credentials themselves.
fn no_thread(problem: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("no thread can be started to obtain the credentials: {problem}"),
    )
    .with_retryable(true)
}

// --- files -----------------------------------------------------------------------------------

type Then = Box<dyn FnOnce(Result<Read, Error>) + Send>;
type ThenHalf = Box<dyn FnOnce(Result<Half, Error>) + Send>;

/// How often id and secret are read again because the id changed in between.
const MAX_REREADS: u32 = 4;

impl CredentialFiles {
    /// Reads one after the other: most clients have only one file.
    fn read(self, why: Why, restart: bool, then: Then) {
        let client_id = self.client_id.clone();
        let then = Box::new(move |read| match read {
            Err(error) => then(Err(error)),
            Ok(client_id) => self.read_secret(client_id, why, restart, MAX_REREADS, then),
        });
        client_id.read("client_id_file", why, restart, then);
    }

    /// Reads the secret that belongs to an id. If the id has changed meanwhile, the two may belong
    /// to different pairs.
    fn read_secret(self, client_id: Half, why: Why, restart: bool, tries: u32, then: Then) {
        let both_may_change = self.files().count() == 2;
        let client_secret = self.client_secret.clone();
        let then = Box::new(move |read: Result<Half, Error>| match read {
            Ok(client_secret) if both_may_change => {
                let id = self.client_id.clone();
                let then = Box::new(move |read: Result<Half, Error>| match read {
                    Ok(again) if again.secret != client_id.secret => match tries {
                        0 => then(Err(unavailable("client_id_file changes at each read"))),
                        _ => self.read_secret(again, why, restart, tries - 1, then),
                    },
                    read => then(read.map(|client_id| client_id.with(client_secret))),
                });
                id.read("client_id_file", Why::Use, restart, then);
            }
            read => then(read.map(|client_secret| client_id.with(client_secret))),
        });
        client_secret.read("client_secret_file", why, restart, then);
    }
}

/// The id or the secret, and its file if other users can read it.
struct Half {
    secret: Secret,
    exposed: Option<PathBuf>,
}

impl Half {
    fn with(self, client_secret: Half) -> Read {
        let exposed = [self.exposed, client_secret.exposed];
        let (client_id, client_secret) = (self.secret, client_secret.secret);
        Read { credentials: Credentials { client_id, client_secret }, exposed }
    }
}

impl ValueOrFile {
    /// The only place where credential files are read.
    fn read(self, option: &'static str, why: Why, restart: bool, then: ThenHalf) {
        match self {
            ValueOrFile::Value(secret) => then(Ok(Half { secret, exposed: None })),
            ValueOrFile::File(file) => {
                let named = file.clone();
                let then = Box::new(move |read| then(of_file(option, &named, read)));
                file.refresh(why, restart, then);
            }
        }
    }
}

fn of_file(option: &str, file: &Named, read: Result<Arc<Content>, Unread>) -> Result<Half, Error> {
    let content = match read {
        Err(Unread::NoThread(problem)) => return Err(no_thread(&problem)),
        read => read.map_err(|unread| unread.to_string()),
    };
    let half = content.and_then(|content| {
        let exposed = content.is_exposed.then(|| file.path().to_owned());
        Ok(Half { secret: secret(&content.bytes)?, exposed })
    });
    half.map_err(|problem| unavailable(&format!("{option} {}: {problem}", file.display())))
}

/// Drops one trailing line break and a byte order mark: editors and `echo` add them.
fn secret(bytes: &[u8]) -> Result<Secret, String> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err("is too long for a credential".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "cannot be read (it is not UTF-8)")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    parse::credential(line)?;
    Ok(Secret::new(line))
}

// --- waiting for them ---------------------------------------------------------------------------

impl Source {
    /// Reads the credentials and waits for them, at most `limit`: those that a fetch would use, and
    /// the files that other users can read.
    pub(crate) fn read_within(&self, limit: Duration) -> Result<(Pair, Exposed), Error> {
        let Some(ask) = self.ask() else {
            return self
                .given()
                .unwrap_or_else(|| Err(unavailable("there are none")))
                .map(|pair| (pair, [None, None]));
        };
        let answer = Arc::new(Mailbox::default());
        let told = answer.clone();
        ask.begin(0, false, false, move |read| {
            told.put(read);
        });
        let clock = Clock::System;
        let Some(read) = answer.take(&clock, clock.now().after(limit)) else {
            let (what, slow) = (self.what_is_asked(), Unread::Slow(limit));
            return Err(unavailable(&format!("{what} {slow}")));
        };
        let Read { credentials, exposed } = read?;
        let (pair, _) = self.adopt(Ok(credentials))?;
        Ok((pair, exposed))
    }

    /// The last known credentials, for use while the files cannot be read in time.
    pub(crate) fn last_of_files(&self) -> Option<(Pair, Change)> {
        let late = || self.adopt(Err(unavailable(&self.what_is_awaited()))).ok();
        self.is_files().then(late).flatten()
    }

    /// What has not provided the credentials yet, for the message about a wait.
    pub(crate) fn what_is_awaited(&self) -> String {
        match self.ask() {
            Some(Ask(Reader::Files(_))) => format!(
                "{} has not been read yet: it may be on a file system that hangs",
                self.what_is_asked()
            ),
            _ => "the credentials function has not returned yet".to_owned(),
        }
    }

    /// The function, or the file that is being read.
    fn what_is_asked(&self) -> String {
        let Some(Ask(Reader::Files(files))) = self.ask() else {
            return "the credentials function".to_owned();
        };
        let named = |(option, file): (&str, &Arc<Named>)| format!("{option} {}", file.display());
        let first = files.files().next().map(named);
        let being_read = files.files().find(|(_, file)| file.is_being_read()).map(named);
        being_read.or(first).unwrap_or_default()
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
#[path = "tests.rs"]
mod tests;
