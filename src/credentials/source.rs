//! The credentials of one client, wherever they come from, and which pair is the latest.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Ask, Credentials, CredentialsFn};
use crate::callback::{Callable, Callback};
use crate::config::options::Options;
use crate::error::{Error, ErrorKind};
use crate::fork::Kept;
use crate::token::Secret;

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

/// What a read has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// Files that could not be read can be, and hold what they held.
    Back,
    /// Files hold something else.
    Other,
}

#[derive(Clone)]
pub(super) enum Place {
    Value(Secret),
    File(PathBuf),
}

/// Where id and secret are.
#[derive(Clone)]
pub(crate) struct Places {
    pub(super) client_id: Place,
    pub(super) client_secret: Place,
}

impl Places {
    /// The files among them, each with its option.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let places =
            [("client_id_file", &self.client_id), ("client_secret_file", &self.client_secret)];
        places.into_iter().filter_map(|(option, place)| match place {
            Place::Value(_) => None,
            Place::File(path) => Some((option, path)),
        })
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
    /// The last read failed.
    is_unreadable: bool,
}

impl Source {
    /// Takes the credentials out of the options: a secret that is replaced or released is then
    /// left nowhere.
    pub(crate) fn new(options: &mut Options, function: Option<Callback<CredentialsFn>>) -> Self {
        let place = |value: Option<Secret>, file: Option<PathBuf>| {
            value.map(Place::Value).or(file.map(Place::File))
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
        let state = SourceState { origin, latest, versions, is_unreadable: false };
        Self { state: Kept::new(state) }
    }

    /// The pair, if there is nobody to ask for it: given by the program, and that is that.
    pub(crate) fn given(&self) -> Option<Result<Pair, Error>> {
        let state = self.state.lock();
        match &state.origin {
            Origin::Given => {
                Some(state.latest.clone().ok_or_else(|| unavailable("none were given")))
            }
            Origin::Released => Some(Err(released())),
            Origin::Places(_) | Origin::Function(_) => None,
        }
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

    /// Makes what was read the latest, unless a rotation came in between.
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
                return Ok((latest.ok_or_else(released)?, Change::Nothing));
            }
            Origin::Places(_) | Origin::Function(_) => {}
        }
        match checked {
            // Most reads change nothing, and so copy nothing.
            Ok(credentials) if state.is_known(&credentials) => {
                Ok((state.latest.clone().ok_or_else(released)?, Change::Nothing))
            }
            Ok(credentials) => Ok(state.adopt(credentials)),
            Err(error) => {
                // Without a thread nothing was learned about them.
                if error.kind() == ErrorKind::Credentials {
                    state.is_unreadable = true;
                }
                Err(error)
            }
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

    /// The version of the credentials known last.
    pub(crate) fn version(&self) -> u64 {
        self.state.lock().versions
    }

    /// The pair known last.
    pub(crate) fn latest(&self) -> Option<Pair> {
        self.state.lock().latest.clone()
    }

    /// Whether they are read from files.
    pub(crate) fn is_files(&self) -> bool {
        matches!(&self.state.lock().origin, Origin::Places(_))
    }

    /// Whether a function of the program gives them.
    pub(crate) fn is_function(&self) -> bool {
        matches!(&self.state.lock().origin, Origin::Function(_))
    }
}

impl SourceState {
    /// Whether these are what was read last.
    fn is_known(&self, credentials: &Credentials) -> bool {
        let latest = self.latest.as_ref();
        !self.is_unreadable && latest.is_some_and(|latest| latest.credentials.same_as(credentials))
    }

    fn adopt(&mut self, credentials: Credentials) -> (Pair, Change) {
        let was_unreadable = std::mem::take(&mut self.is_unreadable);
        let same = self.latest.as_ref().filter(|latest| latest.credentials.same_as(&credentials));
        if let Some(same) = same {
            let change = if was_unreadable { Change::Back } else { Change::Nothing };
            return (same.clone(), change);
        }
        if matches!(self.origin, Origin::Places(_)) {
            return (self.replace(credentials), Change::Other);
        }
        let pair = Pair { credentials: Arc::new(credentials), version: self.versions };
        self.latest = Some(pair.clone());
        (pair, Change::Nothing)
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

pub(super) fn unavailable(problem: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("no credentials for the token request: {problem}"))
}
