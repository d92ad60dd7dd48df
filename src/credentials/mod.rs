//! Where the client id and secret come from: given values, files, or a function of the program.
//!
//! - this file: what a program passes in
//! - [`source`] the client's source of credentials, and which pair is the latest
//! - [`asking`] reads files and calls the function, on threads that may hang with them

mod asking;
mod source;

use std::fmt;
use std::sync::Arc;

pub(crate) use asking::{Ask, is_asking_for};
pub(crate) use source::{Change, Pair, Source, View};

use crate::config::parse;
use crate::error::Cause;
use crate::secret::Secret;

/// A client id and client secret, used to obtain tokens.
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
    /// Creates credentials; both strings are wiped when dropped.
    ///
    /// ```
    /// let pair = tu_token::Credentials::new(String::from("id"), "secret");
    /// # drop(pair);
    /// ```
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: Secret::new(client_id), client_secret: Secret::new(client_secret) }
    }

    /// Checks that both can be sent.
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

/// A callback that supplies the credentials. Its argument says whether the endpoint refused the
/// last ones. It runs on a library thread, with no lock held, and must not wait for a token of its
/// own client.
///
/// All fetches that need credentials during a call share its result. Its running time does not
/// count against `fetch_timeout`; callers wait for it no longer than their own timeout. If a call
/// has not returned after 10 s, the function is called again on another thread, up to four times in
/// all, and the first result is used.
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
pub struct CredentialsFn(Box<Function>);

type Function = dyn Fn(bool) -> Result<Credentials, Lack> + Send + Sync;

/// Why a function returned no credentials.
#[derive(Default)]
pub(crate) struct Lack {
    /// For the error's message: text that the program chose to expose.
    pub(crate) message: Option<String>,
    pub(crate) cause: Option<Arc<Cause>>,
}

impl CredentialsFn {
    /// A function that may fail: its error becomes the `source` of the error that callers receive.
    /// (It is not part of the message: its text might contain a secret.)
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

    /// Like [`CredentialsFn::fallible`], for a function that may also return `None`.
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
