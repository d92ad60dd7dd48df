//! Building a client by naming options.

use std::time::Duration;

use super::Client;
use crate::config::Config;
use crate::credentials::CredentialsFn;
use crate::error::Error;
use crate::events::EventFn;

/// Options on their way to a [`Client`]. Setting never fails; [`Builder::build`] tells the first
/// mistake.
#[derive(Debug)]
pub struct Builder {
    pub(super) config: Config,
}

impl Builder {
    /// Sets any option of the table by its key.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.config.set(key, value);
        self
    }

    /// The API key's client id.
    pub fn client_id(self, value: &str) -> Self {
        self.set("client_id", value)
    }

    /// The API key's client secret.
    pub fn client_secret(self, value: &str) -> Self {
        self.set("client_secret", value)
    }

    /// The scopes to ask for, separated by blanks.
    pub fn scope(self, value: &str) -> Self {
        self.set("scope", value)
    }

    /// The token endpoint.
    pub fn token_url(self, value: &str) -> Self {
        self.set("token_url", value)
    }

    /// A caller's longest wait; zero: never wait.
    pub fn timeout(self, value: Duration) -> Self {
        self.set("timeout", &format!("{}ms", value.as_millis()))
    }

    /// Whatever is not set is taken from `TRACKUNIT_*` environment variables.
    pub fn load_env(mut self) -> Self {
        self.config.load_env();
        self
    }

    /// The function that gives the credentials, in the place of id and secret.
    pub fn on_credentials(mut self, function: impl Into<CredentialsFn>) -> Self {
        self.config.on_credentials(function);
        self
    }

    /// The function that is told what happens.
    pub fn on_event(mut self, function: impl Into<EventFn>) -> Self {
        self.config.on_event(function);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn build(self) -> Result<Client, Error> {
        Client::new(&self.config)
    }
}
