//! Where the client id and secret come from: given values, files, a function of the program.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::callback::{Callable, Callback};
use crate::config::options::Options;
use crate::config::parse;
use crate::error::{Cause, Error, ErrorKind};
use crate::fork::Kept;
use crate::token::Secret;

/// Largest credential file that is read.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A client id and its secret.
///
/// ```
/// let pair = tu_token::Credentials::new("id", "secret");
/// assert_eq!(format!("{pair:?}"), "Credentials(..)");
/// ```
#[derive(Clone)]
pub struct Credentials {
    pub(crate) client_id: Secret,
    pub(crate) client_secret: Secret,
}

impl Credentials {
    /// Takes both; they are wiped when dropped.
    ///
    /// ```
    /// let pair = tu_token::Credentials::new(String::from("id"), "secret");
    /// # drop(pair);
    /// ```
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: Secret::new(client_id), client_secret: Secret::new(client_secret) }
    }

    /// Whether both can be sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        let checked = |name: &str, secret: &Secret| {
            parse::credential(secret.reveal())
                .map(drop)
                .map_err(|problem| format!("{name} {problem}"))
        };
        checked("client_id", &self.client_id)?;
        checked("client_secret", &self.client_secret)
    }

    fn same_as(&self, other: &Credentials) -> bool {
        self.client_id == other.client_id && self.client_secret == other.client_secret
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// A function of the program that gives the credentials. It is told whether the pair it gave last
/// was refused, runs on a thread of the library's, never under a lock, and must not wait for a
/// token of the client it serves.
///
/// ```
/// # let emulator = tu_token_emulator::Emulator::start()?;
/// # let [(_, id), (_, secret), (_, scope), (_, token_url)] = emulator.client_options();
/// use tu_token::{Client, Credentials};
///
/// let client = Client::builder()
///     .scope(&scope)
///     .token_url(&token_url)
///     .on_credentials(move |_refused| Some(Credentials::new(&id, &secret)))
///     .build()?;
/// assert!(client.token().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CredentialsFn(Box<Ask>);

type Ask = dyn Fn(bool) -> Result<Credentials, Lack> + Send + Sync;

/// Why a function gave no credentials.
#[derive(Default)]
pub(crate) struct Lack {
    /// For the error's message: text that the program chose to be seen.
    pub(crate) message: Option<String>,
    pub(crate) cause: Option<Arc<Cause>>,
}

impl CredentialsFn {
    /// A function that tells why it has none: its error becomes the `source` of the error that the
    /// token's callers get. (The error's text stands in no message: it may hold anything.)
    ///
    /// ```
    /// use std::error::Error;
    /// use tu_token::{Client, CredentialsFn, ErrorKind};
    ///
    /// let client = Client::builder()
    ///     .scope("asset.view")
    ///     .on_credentials(CredentialsFn::fallible(|_refused| Err("the vault is sealed".into())))
    ///     .build()?;
    /// let error = client.token().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Credentials);
    /// assert_eq!(error.source().unwrap().to_string(), "the vault is sealed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fallible<F>(function: F) -> Self
    where
        F: Fn(bool) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        Self::optional(move |refused| function(refused).map(Some))
    }

    /// The same for a function that may also have none without a reason.
    ///
    /// ```
    /// use tu_token::{Client, Credentials, CredentialsFn, ErrorKind};
    ///
    /// let client = Client::builder()
    ///     .scope("asset.view")
    ///     .on_credentials(CredentialsFn::optional(|_refused| {
    ///         let file = std::env::temp_dir().join("nobody-has-put-it-there-yet");
    ///         Ok(std::fs::read_to_string(file).ok().map(|secret| Credentials::new("id", secret)))
    ///     }))
    ///     .build()?;
    /// assert_eq!(client.token().unwrap_err().kind(), ErrorKind::Credentials);
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn optional<F>(function: F) -> Self
    where
        F: Fn(bool) -> Result<Option<Credentials>, Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        Self::explaining(move |refused| match function(refused) {
            Ok(credentials) => credentials.ok_or_else(Lack::default),
            Err(cause) => Err(Lack { message: None, cause: Some(Arc::from(cause)) }),
        })
    }

    pub(crate) fn explaining(
        function: impl Fn(bool) -> Result<Credentials, Lack> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(function))
    }
}

impl<F: Fn(bool) -> Option<Credentials> + Send + Sync + 'static> From<F> for CredentialsFn {
    fn from(function: F) -> Self {
        Self::explaining(move |refused| function(refused).ok_or_else(Lack::default))
    }
}

impl fmt::Debug for CredentialsFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsFn(..)")
    }
}

/// Credentials as one request used them.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) credentials: Arc<Credentials>,
    /// Counts up whenever they change.
    pub(crate) version: u64,
}

#[derive(Clone)]
enum Place {
    Value(Secret),
    File(PathBuf),
}

#[derive(Clone)]
enum Origin {
    Given,
    Places {
        client_id: Place,
        client_secret: Place,
    },
    Function(Callback<CredentialsFn>),
    /// The client has gone, and its credentials with it.
    Released,
}

/// The credentials of one client, wherever they come from.
pub(crate) struct Source {
    /// Without it a forked child could not go on: it is kept whatever happens at the fork.
    state: Kept<SourceState>,
}

#[derive(Clone)]
struct SourceState {
    origin: Origin,
    latest: Option<Pair>,
    versions: u64,
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
        let origin = match (function, client_id, client_secret) {
            (Some(function), ..) => Origin::Function(function),
            (None, Some(client_id), Some(client_secret)) => {
                Origin::Places { client_id, client_secret }
            }
            // `Options::finish` has made sure that this does not happen.
            _ => Origin::Given,
        };
        Self { state: Kept::new(SourceState { origin, latest: None, versions: 0 }) }
    }

    /// Reads the credentials anew. `refused`: the last pair was. For a thread that may block.
    pub(crate) fn read(&self, refused: bool) -> Result<Pair, Error> {
        let way = self.state.lock().way()?;
        let credentials = match way {
            Way::Latest(pair) => return Ok(pair),
            Way::Places(client_id, client_secret) => Credentials {
                client_id: client_id.read("client_id")?,
                client_secret: client_secret.read("client_secret")?,
            },
            Way::Function(function) => function
                .call(|function| (function.0)(refused))
                .unwrap_or_else(|| Err(Lack::default()))
                .map_err(lacking)?,
        };
        credentials.check().map_err(|problem| unavailable(&problem))?;
        self.adopt(credentials)
    }

    /// Makes credentials the latest, unless a rotation came in between.
    fn adopt(&self, credentials: Credentials) -> Result<Pair, Error> {
        let mut state = self.state.lock();
        if matches!(state.origin, Origin::Released) {
            return Err(released());
        }
        if let Some(latest) = &state.latest
            && (matches!(state.origin, Origin::Given) || latest.credentials.same_as(&credentials))
        {
            return Ok(latest.clone());
        }
        Ok(state.replace(credentials))
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

    /// Whether asking again could bring something else.
    pub(crate) fn can_change(&self) -> bool {
        match &self.state.lock().origin {
            Origin::Given | Origin::Released => false,
            Origin::Function(_) => true,
            Origin::Places { client_id, client_secret } => {
                matches!(client_id, Place::File(_)) || matches!(client_secret, Place::File(_))
            }
        }
    }

    /// Whether they are read from files.
    pub(crate) fn is_files(&self) -> bool {
        let is_places = matches!(&self.state.lock().origin, Origin::Places { .. });
        is_places && self.can_change()
    }

    /// The credential files that other users of the machine can read.
    #[cfg(unix)]
    pub(crate) fn exposed_files(&self) -> Vec<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = match &self.state.lock().origin {
            Origin::Places { client_secret: Place::File(path), .. } => path.clone(),
            _ => return Vec::new(),
        };
        let readable_by_others = std::fs::metadata(&path)
            .is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0);
        if readable_by_others { vec![path] } else { Vec::new() }
    }

    #[cfg(not(unix))]
    pub(crate) fn exposed_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// How credentials are had this time, outside the lock.
enum Way {
    Latest(Pair),
    Places(Place, Place),
    Function(Callable<CredentialsFn>),
}

impl SourceState {
    fn way(&self) -> Result<Way, Error> {
        Ok(match &self.origin {
            Origin::Given => {
                Way::Latest(self.latest.clone().ok_or_else(|| unavailable("none were given"))?)
            }
            Origin::Places { client_id, client_secret } => {
                Way::Places(client_id.clone(), client_secret.clone())
            }
            Origin::Function(function) => Way::Function(function.callable()),
            Origin::Released => return Err(released()),
        })
    }

    fn replace(&mut self, credentials: Credentials) -> Pair {
        self.versions += 1;
        let pair = Pair { credentials: Arc::new(credentials), version: self.versions };
        self.latest = Some(pair.clone());
        pair
    }
}

impl Place {
    fn read(&self, name: &str) -> Result<Secret, Error> {
        match self {
            Place::Value(secret) => Ok(secret.clone()),
            Place::File(path) => read_file(path).map_err(|problem| {
                unavailable(&format!("{name}_file {}: {problem}", path.display()))
            }),
        }
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

fn released() -> Error {
    unavailable("the client has gone")
}

fn unavailable(problem: &str) -> Error {
    Error::new(ErrorKind::Credentials, format!("no credentials for the token request: {problem}"))
}

/// Reads a credential file. One trailing line break is dropped: editors and `echo` leave it.
pub(crate) fn read_file(path: &Path) -> Result<Secret, String> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot be read ({error})"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err("is too long to be a credential".to_owned());
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    parse::credential(line)?;
    Ok(Secret::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(function: impl Fn(bool) -> Option<Credentials> + Send + Sync + 'static) -> Source {
        Source::new(&mut Options::default(), Some(Callback::new(function.into())))
    }

    #[test]
    fn the_same_pair_keeps_its_version_and_another_gets_the_next() {
        let source = source(|refused| {
            Some(Credentials::new("id", if refused { "second" } else { "first" }))
        });
        assert_eq!(source.read(false).unwrap().version, 1);
        assert_eq!(source.read(false).unwrap().version, 1);
        assert_eq!(source.read(true).unwrap().version, 2);
    }

    #[test]
    fn a_rotation_ends_the_former_source() {
        let source = source(|_| Some(Credentials::new("id", "old")));
        source.read(false).unwrap();
        source.rotate(Credentials::new("id", "new"));
        assert_eq!(source.read(false).unwrap().credentials.client_secret.reveal(), "new");
        assert!(!source.can_change());
    }

    #[test]
    fn given_credentials_leave_the_options() {
        let given = |text: &str| Some(Secret::new(text));
        let mut options = Options { client_id: given("id"), ..Options::default() };
        options.client_secret = given("secret");
        let source = Source::new(&mut options, None);
        assert!(options.client_id.is_none() && options.client_secret.is_none());
        assert_eq!(source.read(false).unwrap().credentials.client_secret.reveal(), "secret");
    }

    #[test]
    fn what_a_function_failed_with_is_the_source_of_the_error() {
        let function = CredentialsFn::fallible(|_| Err("the vault is sealed".into()));
        let source = Source::new(&mut Options::default(), Some(Callback::new(function)));
        let error = source.read(false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(!error.message().contains("sealed"));
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "the vault is sealed");
    }

    #[test]
    fn nothing_given_is_an_error_that_says_so() {
        let error = source(|_| None).read(false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        let without_a_reason = Callback::new(CredentialsFn::optional(|_| Ok(None)));
        let other = Source::new(&mut Options::default(), Some(without_a_reason));
        assert_eq!(other.read(false).err().unwrap().message(), error.message());
        let empty = source(|_| Some(Credentials::new("id", ""))).read(false).err().unwrap();
        assert!(empty.message().contains("client_secret is empty"));
    }
}
