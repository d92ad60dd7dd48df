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

/// Credentials as one request used them.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) credentials: Arc<Credentials>,
    /// Counts up when they are rotated, or a file holds others. What a function gives is no other
    /// version: it may give another pair at each call.
    pub(crate) version: u64,
}

impl Pair {
    pub(crate) fn same_as(&self, other: &Pair) -> bool {
        self.version == other.version && self.credentials.same_as(&other.credentials)
    }
}

/// The source as it stands at a moment.
pub(crate) struct View {
    pub(crate) source: input::Source,
    /// The pair, if there is nobody to ask for it.
    pub(crate) given: Option<Result<Pair, Error>>,
    /// The pair known last.
    pub(crate) latest: Option<Pair>,
}

/// What a read has changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Files hold something else.
    pub(crate) is_other: bool,
    /// They cannot be read any more, or can be again.
    pub(crate) told: Option<Event>,
}

#[derive(Clone)]
pub(super) enum Place {
    Value(Secret),
    File(Arc<Named>),
}

/// Where id and secret are.
#[derive(Clone)]
pub(crate) struct Places {
    pub(super) client_id: Place,
    pub(super) client_secret: Place,
}

impl Places {
    /// The files among them, each with its option.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Arc<Named>)> {
        let places =
            [("client_id_file", &self.client_id), ("client_secret_file", &self.client_secret)];
        places.into_iter().filter_map(|(option, place)| match place {
            Place::Value(_) => None,
            Place::File(file) => Some((option, file)),
        })
    }

    /// Whether everything was read and will not be read again.
    fn are_for_good(&self) -> bool {
        self.files().all(|(_, file)| file.is_for_good())
    }
}

#[derive(Clone)]
enum Origin {
    Given,
    Places(Places),
    Function(Callback<CredentialsFn>),
    /// The client has gone, and its credentials with it.
    Released,
}

/// How credentials are had that have to be asked for.
pub(super) enum Way {
    Places(Places),
    Function(Callable<CredentialsFn>),
}

/// The credentials of one client.
pub(crate) struct Source {
    /// Without it a forked child could not go on: it is kept whatever happens at the fork.
    state: Kept<SourceState>,
}

#[derive(Clone)]
struct SourceState {
    origin: Origin,
    latest: Option<Pair>,
    versions: u64,
    /// Why files cannot be read; the latest pair serves meanwhile.
    unread: Option<String>,
}

impl Source {
    /// Takes the credentials out of the options: a secret that is replaced or released is then
    /// left nowhere.
    pub(crate) fn new(options: &mut Options, function: Option<Callback<CredentialsFn>>) -> Self {
        let place = |value: Option<Secret>, file: Option<PathBuf>| {
            value.map(Place::Value).or(file.map(|path| Place::File(Named::new(path))))
        };
        let client_id = place(options.client_id.take(), options.client_id_file.take());
        let client_secret = place(options.client_secret.take(), options.client_secret_file.take());
        let (mut latest, mut versions) = (None, 0);
        let origin = match (function, client_id, client_secret) {
            (Some(function), ..) => Origin::Function(function),
            (None, Some(Place::Value(client_id)), Some(Place::Value(client_secret))) => {
                let credentials = Arc::new(Credentials { client_id, client_secret });
                versions = 1;
                latest = Some(Pair { credentials, version: versions });
                Origin::Given
            }
            (None, Some(client_id), Some(client_secret)) => {
                Origin::Places(Places { client_id, client_secret })
            }
            // `Options::finish` has made sure that this does not happen.
            _ => Origin::Given,
        };
        let state = SourceState { origin, latest, versions, unread: None };
        Self { state: Kept::new(state) }
    }

    /// The pair, if there is nobody to ask for it: given by the program, and that is that.
    pub(crate) fn given(&self) -> Option<Result<Pair, Error>> {
        self.state.lock().given()
    }

    /// All that a fetch needs to know of the source at this moment.
    pub(crate) fn view(&self) -> View {
        let state = self.state.lock();
        let kind = match &state.origin {
            Origin::Function(_) => SourceKind::Function,
            Origin::Places(places) if !places.are_for_good() => SourceKind::Files,
            _ => SourceKind::Given,
        };
        let (given, latest) = (state.given(), state.latest.clone());
        let source = input::Source { kind, version: state.versions };
        View { source, given, latest }
    }

    /// A way to ask for it, from outside the lock. `None`: it is [given](Source::given).
    pub(crate) fn ask(&self) -> Option<Ask> {
        let way = match &self.state.lock().origin {
            Origin::Given | Origin::Released => return None,
            Origin::Places(places) => Way::Places(places.clone()),
            Origin::Function(function) => Way::Function(function.callable()),
        };
        Some(Ask(way))
    }

    /// Makes what was read the latest, unless a rotation came in between. While files cannot be read,
    /// the latest stays.
    pub(crate) fn adopt(&self, read: Result<Credentials, Error>) -> Result<(Pair, Change), Error> {
        let checked = read.and_then(|credentials| {
            credentials.check().map_err(|problem| unavailable(&problem))?;
            Ok(credentials)
        });
        let mut state = self.state.lock();
        match &state.origin {
            Origin::Released => return Err(released()),
            Origin::Given => {
                let latest = state.latest.clone();
                return Ok((latest.ok_or_else(released)?, Change::default()));
            }
            Origin::Places(_) | Origin::Function(_) => {}
        }
        match checked {
            // Most reads change nothing, and so copy nothing.
            Ok(credentials) if state.is_known(&credentials) => {
                Ok((state.latest.clone().ok_or_else(released)?, Change::default()))
            }
            Ok(credentials) => Ok(state.take_over(credentials)),
            // Without a thread nothing was learned about them.
            Err(error) if error.kind() != ErrorKind::Credentials => Err(error),
            Err(error) => match &state.latest {
                Some(latest) if matches!(state.origin, Origin::Places(_)) => {
                    let latest = latest.clone();
                    Ok((latest, state.lose(&error)))
                }
                _ => Err(error),
            },
        }
    }

    /// Lets go of everything: the client has gone. A fetch that is still under way gets no more.
    pub(crate) fn release(&self) {
        let (_origin, _latest) = {
            let mut state = self.state.lock();
            // A callback's drop is foreign code: outside the lock.
            (std::mem::replace(&mut state.origin, Origin::Released), state.latest.take())
        };
    }

    /// Puts other credentials in the place of whatever the source was.
    pub(crate) fn rotate(&self, credentials: Credentials) -> u64 {
        let (version, _former) = {
            let mut state = self.state.lock();
            let former = std::mem::replace(&mut state.origin, Origin::Given);
            // The former origin may be a callback whose drop is foreign code: outside the lock.
            (state.replace(credentials).version, former)
        };
        version
    }

    /// Whether they are in files that may change.
    pub(crate) fn is_files(&self) -> bool {
        matches!(&self.state.lock().origin, Origin::Places(places) if !places.are_for_good())
    }
}

/// A child has its parent's credentials.
impl Inherited for SourceState {
    type Remains = ();

    fn adopt(&mut self) {}
}

impl SourceState {
    fn given(&self) -> Option<Result<Pair, Error>> {
        match &self.origin {
            Origin::Given => {
                Some(self.latest.clone().ok_or_else(|| unavailable("none were given")))
            }
            Origin::Released => Some(Err(released())),
            Origin::Places(places) if places.are_for_good() => self.latest.clone().map(Ok),
            Origin::Places(_) | Origin::Function(_) => None,
        }
    }

    /// Whether these are what was read last.
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
        if matches!(self.origin, Origin::Places(_)) {
            return (self.replace(credentials), Change { is_other: true, told });
        }
        let pair = Pair { credentials: Arc::new(credentials), version: self.versions };
        self.latest = Some(pair.clone());
        (pair, Change::default())
    }

    /// Files cannot be read. That is told once, not at each request.
    fn lose(&mut self, error: &Error) -> Change {
        let problem = error.message().strip_prefix(NONE_FOR).unwrap_or_default();
        let is_told = self.unread.as_deref() == Some(problem);
        let told = (!is_told).then(|| {
            self.unread = Some(problem.to_owned());
            let message =
                format!("{problem}; the credentials that were read last are used meanwhile");
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
    unavailable("the client has gone")
}

const NONE_FOR: &str = "no credentials for the token request: ";

pub(super) fn unavailable(problem: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("{NONE_FOR}{problem}"))
}
