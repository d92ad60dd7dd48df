//! Builds a client option by option.

use std::time::Duration;

use super::{Client, Config};
use crate::credentials::CredentialsFn;
use crate::error::Error;
use crate::events::EventFn;

/// Options of a new [`Client`]. Setting never fails; [`Builder::build`] reports the first mistake.
///
/// ```
/// let mistake = tu_token::Client::builder().set("scopee", "asset.view").build().unwrap_err();
/// assert!(mistake.message().contains("did you mean scope?"));
/// ```
#[derive(Debug)]
pub struct Builder {
    pub(super) config: Config,
}

impl Builder {
    /// Sets any option of [`OPTIONS`](crate::OPTIONS) by its key.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .set("keep_warm", "true")
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.config.set(key, value);
        self
    }

    /// The API key's client id.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn client_id(self, value: &str) -> Self {
        self.set("client_id", value)
    }

    /// The API key's client secret.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn client_secret(self, value: &str) -> Self {
        self.set("client_secret", value)
    }

    /// The scopes to request, separated by spaces.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view site.view")
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn scope(self, value: &str) -> Self {
        self.set("scope", value)
    }

    /// The token endpoint.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .token_url("http://127.0.0.1:8477/token/v2")
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn token_url(self, value: &str) -> Self {
        self.set("token_url", value)
    }

    /// A caller's longest wait, rounded up to whole milliseconds; zero: never wait.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .timeout(std::time::Duration::from_millis(1500))
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn timeout(self, value: Duration) -> Self {
        // Rounded up, because zero means "never wait".
        self.set("timeout", &format!("{}ms", value.as_nanos().div_ceil(1_000_000)))
    }

    /// Takes options that are not set from `TRACKUNIT_*` environment variables.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .load_env()
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn load_env(mut self) -> Self {
        self.config.load_env();
        self
    }

    /// The function that supplies the credentials, instead of id and secret.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .scope("asset.view")
    ///     .on_credentials(|_refused| Some(tu_token::Credentials::new("id", "secret")))
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn on_credentials(mut self, function: impl Into<CredentialsFn>) -> Self {
        self.config.on_credentials(function);
        self
    }

    /// The function that receives events.
    ///
    /// ```
    /// let client = tu_token::Client::builder()
    ///     .client_id("id")
    ///     .client_secret("secret")
    ///     .scope("asset.view")
    ///     .on_event(|event: &tu_token::Event| eprintln!("{event}"))
    ///     .build()?;
    /// # Ok::<(), tu_token::Error>(())
    /// ```
    pub fn on_event(mut self, function: impl Into<EventFn>) -> Self {
        self.config.on_event(function);
        self
    }

    /// Creates the client. Reads the environment only after [`Builder::load_env`]. A missing scope
    /// is no mistake here: each get must then name one, or fails.
    ///
    /// ```
    /// let missing = tu_token::Client::builder().scope("asset.view").build().unwrap_err();
    /// assert_eq!(missing.kind(), tu_token::ErrorKind::Config);
    /// ```
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn build(self) -> Result<Client, Error> {
        Client::new(&self.config)
    }
}
