//! The credentials of one client, wherever they come from, and which pair is the latest.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Ask, Credentials, CredentialsFn};
use crate::cache::input::{self, SourceKind};
use crate::config::options::Options;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::files::Named;
use crate::process::{Callable, Callback, Inherited, Kept};
use crate::secret::Secret;

/// The credentials that one request uses.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) credentials: Arc<Credentials>,
    /// Incremented when the credentials are rotated, or a file has other content. Not by a
    /// function's results: each call may return other credentials.
    pub(crate) version: u64,
}

impl Pair {
    pub(crate) fn same_as(&self, other: &Pair) -> bool {
        self.version == other.version && self.credentials.same_as(&other.credentials)
    }
}

/// A snapshot of the source.
pub(crate) struct View {
    pub(crate) source: input::Source,
    /// The credentials, if they need not be requested.
    pub(crate) given: Option<Result<Pair, Error>>,
    /// The last known credentials.
    pub(crate) latest: Option<Pair>,
}

/// What a read has changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Files have other content.
    pub(crate) is_other: bool,
    /// An event: the files cannot be read any more, or can be read again.
    pub(crate) told: Option<Event>,
}

#[derive(Clone)]
pub(super) enum ValueOrFile {
    Value(Secret),
    File(Arc<Named>),
}

/// Where id and secret are, at least one of them in a file.
#[derive(Clone)]
pub(crate) struct CredentialFiles {
    pub(super) client_id: ValueOrFile,
    pub(super) client_secret: ValueOrFile,
}

impl CredentialFiles {
    /// The files, each with its option's key.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Arc<Named>)> {
        let files =
            [("client_id_file", &self.client_id), ("client_secret_file", &self.client_secret)];
        files.into_iter().filter_map(|(option, half)| match half {
            ValueOrFile::Value(_) => None,
            ValueOrFile::File(file) => Some((option, file)),
        })
    }

    /// Whether everything has been read and will not be read again.
    fn are_final(&self) -> bool {
        self.files().all(|(_, file)| file.is_final())
    }
}

#[derive(Clone)]
enum Provider {
    Given,
    /// Boxed: a program may have thousands of clients, few of them with files.
    Files(Box<CredentialFiles>),
    Function(Callback<CredentialsFn>),
    /// The client is gone, and its credentials with it.
    Released,
}

/// How credentials that must be requested are obtained.
pub(super) enum Reader {
    Files(CredentialFiles),
    Function(Callable<CredentialsFn>),
}

/// The credentials of one client.
pub(crate) struct Source {
    /// A forked child needs it: it is kept in every fork.
    state: Kept<SourceState>,
}

#[derive(Clone)]
struct SourceState {
    provider: Provider,
    latest: Option<Pair>,
    versions: u64,
    /// Why the files cannot be read; the latest credentials are used meanwhile.
    unread: Option<String>,
}

impl Source {
    /// Takes the credentials out of the options, so that a secret that is replaced or released is
    /// left nowhere.
    pub(crate) fn new(options: &mut Options, function: Option<Callback<CredentialsFn>>) -> Self {
        let half = |value: Option<Secret>, file: Option<PathBuf>| {
            value.map(ValueOrFile::Value).or(file.map(|path| ValueOrFile::File(Named::new(path))))
        };
        let client_id = half(options.client_id.take(), options.client_id_file.take());
        let client_secret = half(options.client_secret.take(), options.client_secret_file.take());
        let (mut latest, mut versions) = (None, 0);
        let provider = match (function, client_id, client_secret) {
            (Some(function), ..) => Provider::Function(function),
            (
                None,
                Some(ValueOrFile::Value(client_id)),
                Some(ValueOrFile::Value(client_secret)),
            ) => {
                let credentials = Arc::new(Credentials { client_id, client_secret });
                versions = 1;
                latest = Some(Pair { credentials, version: versions });
                Provider::Given
            }
            (None, Some(client_id), Some(client_secret)) => {
                Provider::Files(Box::new(CredentialFiles { client_id, client_secret }))
            }
            // Excluded by `Options::finish`.
            _ => Provider::Given,
        };
        let state = SourceState { provider, latest, versions, unread: None };
        Self { state: Kept::new(state) }
    }

    /// The credentials, if they need not be requested: the program passed them in.
    pub(crate) fn given(&self) -> Option<Result<Pair, Error>> {
        self.state.lock().given()
    }

    /// Everything that a fetch needs to know of the source now.
    pub(crate) fn view(&self) -> View {
        let state = self.state.lock();
        let kind = match &state.provider {
            Provider::Function(_) => SourceKind::Function,
            Provider::Files(files) if !files.are_final() => SourceKind::Files,
            _ => SourceKind::Given,
        };
        let (given, latest) = (state.given(), state.latest.clone());
        let source = input::Source { kind, version: state.versions };
        View { source, given, latest }
    }

    /// A request for the credentials, to be made outside the lock. `None`: they are
    /// [given](Source::given).
    pub(crate) fn ask(&self) -> Option<Ask> {
        let reader = match &self.state.lock().provider {
            Provider::Given | Provider::Released => return None,
            Provider::Files(files) => Reader::Files((**files).clone()),
            Provider::Function(function) => Reader::Function(function.callable()),
        };
        Some(Ask(reader))
    }

    /// Makes what was read the latest pair, unless the credentials were rotated in between. While
    /// files cannot be read, the latest pair stays.
    pub(crate) fn adopt(&self, read: Result<Credentials, Error>) -> Result<(Pair, Change), Error> {
        let checked = read.and_then(|credentials| {
            credentials.check().map_err(|problem| unavailable(&problem))?;
            Ok(credentials)
        });
        let mut state = self.state.lock();
        match &state.provider {
            Provider::Released => return Err(released()),
            Provider::Given => {
                let latest = state.latest.clone();
                return Ok((latest.ok_or_else(released)?, Change::default()));
            }
            Provider::Files(_) | Provider::Function(_) => {}
        }
        match checked {
            // Most reads change nothing, and then nothing is copied.
            Ok(credentials) if state.is_known(&credentials) => {
                Ok((state.latest.clone().ok_or_else(released)?, Change::default()))
            }
            Ok(credentials) => Ok(state.take_over(credentials)),
            // No thread could be started: that says nothing about the credentials.
            Err(error) if error.kind() != ErrorKind::Credentials => Err(error),
            Err(error) => match &state.latest {
                Some(latest) if matches!(state.provider, Provider::Files(_)) => {
                    let latest = latest.clone();
                    Ok((latest, state.lose(&error)))
                }
                _ => Err(error),
            },
        }
    }

    /// Releases everything: the client is gone. A fetch still in progress obtains no more
    /// credentials.
    pub(crate) fn release(&self) {
        let (_origin, _latest) = {
            let mut state = self.state.lock();
            // A callback's destructor is foreign code: run it outside the lock.
            (std::mem::replace(&mut state.provider, Provider::Released), state.latest.take())
        };
    }

    /// Replaces the source, whatever it was, with given credentials.
    pub(crate) fn rotate(&self, credentials: Credentials) -> u64 {
        let (version, _former) = {
            let mut state = self.state.lock();
            let former = std::mem::replace(&mut state.provider, Provider::Given);
            // The previous provider may be a callback whose destructor is foreign code: run it
            // outside the lock.
            (state.replace(credentials).version, former)
        };
        version
    }

    /// Whether they are in files that may change.
    pub(crate) fn is_files(&self) -> bool {
        matches!(&self.state.lock().provider, Provider::Files(files) if !files.are_final())
    }
}

/// A child keeps its parent's credentials.
impl Inherited for SourceState {
    type Remains = ();

    fn adopt(&mut self) {}
}

impl SourceState {
    fn given(&self) -> Option<Result<Pair, Error>> {
        match &self.provider {
            Provider::Given => Some(self.latest.clone().ok_or_else(|| unavailable("none are set"))),
            Provider::Released => Some(Err(released())),
            Provider::Files(files) if files.are_final() => self.latest.clone().map(Ok),
            Provider::Files(_) | Provider::Function(_) => None,
        }
    }

    /// Whether these are the ones last read.
    fn is_known(&self, credentials: &Credentials) -> bool {
        let latest = self.latest.as_ref();
        self.unread.is_none()
            && latest.is_some_and(|latest| latest.credentials.same_as(credentials))
    }

    fn take_over(&mut self, credentials: Credentials) -> (Pair, Change) {
        let told = self
            .unread
            .take()
            .map(|_| Event::new(EventKind::Warning, "the credential files can be read again"));
        let same = self.latest.as_ref().filter(|latest| latest.credentials.same_as(&credentials));
        if let Some(same) = same {
            return (same.clone(), Change { is_other: false, told });
        }
        if matches!(self.provider, Provider::Files(_)) {
            return (self.replace(credentials), Change { is_other: true, told });
        }
        let pair = Pair { credentials: Arc::new(credentials), version: self.versions };
        self.latest = Some(pair.clone());
        (pair, Change::default())
    }

    /// Files cannot be read. Reported once, not at each request.
    fn lose(&mut self, error: &Error) -> Change {
        let problem = error.message().strip_prefix(NONE_FOR).unwrap_or_default();
        let is_told = self.unread.as_deref() == Some(problem);
        let told = (!is_told).then(|| {
            self.unread = Some(problem.to_owned());
            let message = format!("{problem}; the last credentials read are used meanwhile");
            let mut event = Event::new(EventKind::Warning, message);
            event.error = Some(ErrorKind::Credentials);
            event
        });
        Change { is_other: false, told }
    }

    fn replace(&mut self, credentials: Credentials) -> Pair {
        self.versions += 1;
        let pair = Pair { credentials: Arc::new(credentials), version: self.versions };
        self.latest = Some(pair.clone());
        pair
    }
}

fn released() -> Error {
    unavailable("the client was closed")
}

const NONE_FOR: &str = "no credentials for the token request: ";

pub(super) fn unavailable(problem: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("{NONE_FOR}{problem}"))
}
