//! A running emulator as a Rust value: one thread, one runtime and one port, which dropping it releases.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{ApiKey, IssuedKey, KeyError, NewKey};
use crate::builder::{Builder, StartError};
use crate::clock::MAX_OFFSET;
use crate::faults::queue::QueuedFault;
use crate::faults::{Fault, FaultError};
use crate::journal::Entry;
use crate::route::{self, TOKEN, TOKEN_PATH};
use crate::shell::usual_scope;
use crate::thread::Running;
use crate::world::World;

/// A running emulator. All methods can be called from any thread, and take effect before they return.
///
/// Dropping it closes the port and all connections, and ends its thread.
///
/// ```
/// use std::time::Duration;
/// use tu_token_emulator::{Emulator, Fault};
///
/// let emulator = Emulator::start()?;
/// emulator.faults([Fault::status(503).retry_after(1).once()])?;
/// emulator.advance(Duration::from_secs(1200));
/// assert_eq!(emulator.token_requests(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Emulator {
    pub(crate) running: Running,
    pub(crate) world: Arc<World>,
    pub(crate) demo: Option<IssuedKey>,
    pub(crate) keys: Vec<IssuedKey>,
}

impl Emulator {
    /// Starts an emulator with default settings on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start() -> Result<Emulator, StartError> {
        Builder::default().start()
    }

    /// Configures an emulator before starting it.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The base URL of all routes, without a trailing slash: `http://127.0.0.1:8477`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The token endpoint: `http://127.0.0.1:8477/token/v2`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}{TOKEN_PATH}", self.url())
    }

    /// The options for a client that uses this emulator with the demo key: `client_id`, `client_secret`, `scope` and
    /// `token_url`, named as in every language.
    ///
    /// # Panics
    /// Like [`Emulator::demo_key`].
    ///
    /// ```
    /// let emulator = tu_token_emulator::Emulator::start()?;
    /// let [client_id, ..] = emulator.client_options();
    /// assert_eq!(client_id, ("client_id", emulator.demo_key().client_id.clone()));
    /// # Ok::<(), tu_token_emulator::StartError>(())
    /// ```
    #[must_use]
    pub fn client_options(&self) -> [(&'static str, String); 4] {
        let key = self.demo_key();
        [
            ("client_id", key.client_id.clone()),
            ("client_secret", key.client_secret.clone()),
            ("scope", usual_scope(&key.scopes).to_owned()),
            ("token_url", self.token_url()),
        ]
    }

    /// The demo key as it was at the start; later rotations are not reflected.
    ///
    /// # Panics
    /// If the state file already contained keys and [`Builder::fresh_demo_key`] was not set: then the demo key's secret
    /// is not known. [`Emulator::issued_demo_key`] returns `None` in that case.
    #[must_use]
    pub fn demo_key(&self) -> &IssuedKey {
        self.issued_demo_key().expect("the demo key is from an earlier run, its secret not known")
    }

    /// The demo key, if its secret is known; see [`Emulator::demo_key`].
    #[must_use]
    pub fn issued_demo_key(&self) -> Option<&IssuedKey> {
        self.demo.as_ref()
    }

    /// All keys, including revoked ones, in order of creation.
    #[must_use]
    pub fn keys(&self) -> Vec<ApiKey> {
        self.world.keys()
    }

    /// A key added with [`Builder::key`], by its name, as it was at the start.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&IssuedKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Creates a key.
    ///
    /// # Errors
    /// The account is full, the name is taken, or the key is invalid.
    pub fn create_key(&self, key: NewKey) -> Result<IssuedKey, KeyError> {
        self.world.create_key(key)
    }

    /// Gives a key a new secret.
    ///
    /// # Errors
    /// No active key has this id, or the state file cannot be written.
    pub fn rotate(&self, client_id: &str) -> Result<IssuedKey, KeyError> {
        self.world.rotate(client_id)
    }

    /// Revokes a key. Its tokens stay valid until they expire, unless [`revoke_ends_tokens`](crate::Readings) is set.
    ///
    /// # Errors
    /// No active key has this id, or the state file cannot be written.
    pub fn revoke(&self, client_id: &str) -> Result<(), KeyError> {
        self.world.revoke(client_id)
    }

    /// Advances the emulator's clock, so that tokens expire, and returns its total offset. The offset is limited to a
    /// hundred years, and does not change if the state file cannot be written.
    pub fn advance(&self, by: Duration) -> Duration {
        let room = MAX_OFFSET.saturating_sub(self.world.clock.offset());
        // The returned offset shows whether that worked.
        let _ = self.world.advance(by.min(room));
        self.world.clock.offset()
    }

    /// Queues faults behind the pending ones and returns their ids. Either all are accepted or none.
    ///
    /// # Errors
    /// A fault is invalid; the message says why.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) -> Result<Vec<u64>, FaultError> {
        self.world.add_faults(faults.into_iter().collect())
    }

    /// The faults that are still pending.
    #[must_use]
    pub fn waiting_faults(&self) -> Vec<QueuedFault> {
        self.world.faults()
    }

    /// Clears all faults. Requests held by a `delay` continue at once.
    pub fn clear_faults(&self) {
        self.world.clear_faults();
    }

    /// The requests so far, up to the last 100,000.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.world.journal(None)
    }

    /// Clears the journal and resets the counts.
    pub fn clear_journal(&self) {
        self.world.clear_journal();
    }

    /// The number of requests to the token endpoint since the start or the last [`Emulator::clear_journal`], whatever their
    /// outcome.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.requests(TOKEN)
    }

    /// The number of requests to any route: `"token"`, or the beginning of a path.
    ///
    /// # Panics
    /// If no request can match the route, because it is misspelt (`"api"` without a slash) or one of the emulator's own: a
    /// count of 0 would be misleading.
    #[must_use]
    pub fn requests(&self, route: &str) -> u64 {
        if let Err(reason) = route::check_journal_pattern(route) {
            panic!("{reason}");
        }
        self.world.count(Some(route))
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Emulator").field("url", &self.url()).finish_non_exhaustive()
    }
}
