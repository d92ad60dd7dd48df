//! The client: the cached tokens of one set of credentials.
//!
//! - this file: the public API; [`config`], [`builder`], [`future`]
//! - [`hit`] a cache hit: no lock; [`known`] without a lookup of the scope
//! - [`get`], [`get_async`] callers that wait
//! - [`shared`] what its handles and the library's threads share
//! - [`names`] from a scope as spelled to its entry
//! - [`state`] the state behind the client's one lock: the core (`cache::core`), and what the
//!   client keeps beside it
//! - [`drive`] passes inputs to the core and carries out its outputs
//! - [`fetch`] a fetch on its worker thread; [`stored`] its use of a token store
//! - [`reading`] reading credentials
//! - [`wait`] waiters and callbacks
//! - [`watched`] how wrappers see without a call that their copy of a token is current
//! - [`messages`] turns the core's decisions into errors and events

mod builder;
mod config;
mod drive;
mod fetch;
mod future;
mod get;
mod get_async;
mod hit;
mod known;
mod messages;
mod names;
mod reading;
mod shared;
mod state;
mod stored;
mod wait;
mod watched;

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

pub use builder::Builder;
pub use config::Config;
pub use future::TokenFuture;
#[doc(hidden)]
pub use known::KnownScope;
pub use wait::Cancel;

use crate::cache::entry::State;
use crate::clock::Clock;
use crate::config::api_hosts::host_to_send_to;
use crate::config::options::Options;
use crate::credentials::{Credentials, Source};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::events::EventQueue;
use crate::process::{self, Locked};
use crate::store::Bounded;
use crate::sync::atomic::{AtomicBool, AtomicU32};
use crate::token::Token;
use names::Names;
use shared::Shared;
use state::ClientState;

/// Fetches, caches and hands out the access tokens of one API key.
///
/// Cheap to clone; clones share one cache. Methods may be called from any thread and in a fork
/// child. Dropping the last clone closes the client.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// let token = client.token()?;
/// let same = client.clone().token()?; // a clone is the same client: no second request
/// assert_eq!(token.value(), same.value());
/// assert_eq!(emulator.token_requests(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Counts the program's handles; the library's threads hold only `shared`.
    _handle: Arc<Handle>,
}

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
        self.0.release_functions();
    }
}

/// Room on the stack for the token of [`Client::with_token`], in words.
const LENT_WORDS: usize = 256;

/// Options of one get.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use std::time::Duration;
/// use tu_token::GetOptions;
///
/// let token = client.get(&GetOptions {
///     scope: Some("site.view"),
///     timeout: Some(Duration::from_secs(5)),
///     min_ttl: Duration::from_secs(60),
///     ..GetOptions::default()
/// })?;
/// assert_eq!(token.scope(), "site.view");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GetOptions<'a> {
    /// Space-separated scopes; `None`: the client's `scope` option.
    pub scope: Option<&'a str>,
    /// Longest wait; `None`: the client's `timeout`; zero: do not wait.
    pub timeout: Option<Duration>,
    /// Least remaining lifetime wanted; best effort.
    pub min_ttl: Duration,
    /// Cancels the wait.
    pub cancel: Option<&'a Cancel>,
}

/// State and counters of one cache entry. Cache hits are not counted: threads would contend for the
/// counter.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// client.token()?;
/// let stats = client.stats(None)?;
/// assert_eq!((stats.state, stats.requests), (tu_token::State::Fresh, 1));
/// assert!(stats.last_error.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// State of the cached token.
    pub state: State,
    /// Failure of the last fetch; `None` if it succeeded or there was none.
    pub last_error: Option<ErrorKind>,
    /// Remaining lifetime of the cached token.
    pub expires_in: Duration,
    /// Time until the next token request is allowed; zero: now.
    pub next_request_in: Duration,
    /// Duration of the last fetch.
    pub last_fetch: Duration,
    /// Calls that waited for a fetch.
    pub waits: u64,
    /// Token requests sent.
    pub requests: u64,
    /// Tokens received while the previous one was still valid.
    pub renewals: u64,
    /// Failed fetches.
    pub failures: u64,
}

impl Client {
    /// Creates a client. Makes no request and reads only the files that the options name.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// let mut config = tu_token::Config::new();
    /// for (key, value) in emulator.client_options() {
    ///     config.set(key, &value);
    /// }
    /// let client = tu_token::Client::new(&config)?;
    /// assert!(client.token().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::InvalidArgument`]: the first mistake in the options.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_clock(config, Clock::System)
    }

    /// Creates a client with another clock. For tests.
    #[doc(hidden)]
    pub fn with_clock(config: &Config, clock: Clock) -> Result<Self, Error> {
        let (of_endpoint, variables) = (clock.clone(), config.variables());
        let endpoint = |options: &mut _| Endpoint::new(options, &of_endpoint, &variables);
        Self::with_store(config, clock, endpoint, |options| stored::open(options, &variables))
    }

    #[cfg(test)]
    pub(crate) fn with_endpoint(
        config: &Config,
        clock: Clock,
        endpoint: impl FnOnce(&mut Arc<Options>) -> Result<Endpoint, Error>,
    ) -> Result<Self, Error> {
        let store = |options: &Options| stored::open(options, &config.variables());
        Self::with_store(config, clock, endpoint, store)
    }

    fn with_store(
        config: &Config,
        clock: Clock,
        endpoint: impl FnOnce(&mut Arc<Options>) -> Result<Endpoint, Error>,
        store: impl FnOnce(&Options) -> Option<Bounded>,
    ) -> Result<Self, Error> {
        process::install_handlers();
        clock.prepare();
        let mut options = config.resolve()?;
        let source = Source::new(&mut options, config.credentials.clone());
        let (name, scope) = (options.name.take().unwrap_or_default(), options.scope.take());
        let mut options = Arc::new(options);
        let endpoint = endpoint(&mut options)?;
        let store = store(&options);
        let settings = shared::settings(&options, scope.is_some(), store.as_ref());
        let mut state = ClientState::new(settings, clock.reading());
        let now = clock.now();
        let own = scope.map(|scope| state.add_slot(scope, now, None));
        let shared = Arc::new(Shared {
            endpoint,
            store,
            source,
            events: EventQueue::new(&name, config.events.clone(), options.log),
            own,
            scopes: Names::new(),
            names: Names::new(),
            spellings: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            generation: AtomicU32::new(process::generation()),
            state: Locked::new(state),
            clock,
            options,
        });
        shared.check_files()?;
        shared.report_trust();
        if let Some(own) = &shared.own {
            shared.tick(own.index);
        }
        Ok(Self { _handle: Arc::new(Handle(shared.clone())), shared })
    }

    /// Creates a client with all options from `TRACKUNIT_*` environment variables.
    ///
    /// ```
    /// match tu_token::Client::from_env() {
    ///     Ok(client) => println!("{client:?}"),
    ///     Err(error) => eprintln!("{error}"), // names the variable that is missing
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Config::new().load_env())
    }

    /// Starts building a client, option by option.
    ///
    /// ```
    /// # let emulator = tu_token_emulator::Emulator::start()?;
    /// # let [(_, id), (_, secret), _, (_, token_url)] = emulator.client_options();
    /// let client = tu_token::Client::builder()
    ///     .client_id(&id)
    ///     .client_secret(&secret)
    ///     .scope("asset.view")
    ///     .token_url(&token_url)
    ///     .build()?;
    /// assert!(client.token().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> Builder {
        Builder { config: Config::new() }
    }

    /// Returns a valid token for the client's `scope` option. Waits at most the client's `timeout`.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let token = client.token()?;
    /// assert_eq!(token.scope(), "asset.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Any kind but `Cancelled`; while a valid token exists, only `Closed`.
    #[inline]
    pub fn token(&self) -> Result<Token, Error> {
        match self.shared.at_hand(None, Duration::ZERO) {
            Some(token) => Ok(token),
            None => self.get(&GetOptions::default()),
        }
    }

    /// Calls a function with a token for the client's `scope` option and wipes the token
    /// afterwards. Does not allocate if the token is cached and has at most 1,900 bytes together
    /// with its scope.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let length = client.with_token(|token| token.bearer().len())?;
    /// assert!(length > "Bearer ".len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::token`].
    #[inline]
    pub fn with_token<R>(&self, function: impl FnOnce(&Token) -> R) -> Result<R, Error> {
        let mut room = [const { MaybeUninit::uninit() }; LENT_WORDS];
        match self.shared.lend_at_hand(None, &mut room) {
            Some(token) => Ok(function(&token)),
            None => self.get(&GetOptions::default()).map(|token| function(&token)),
        }
    }

    /// Returns a valid token, with options.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use tu_token::{ErrorKind, GetOptions};
    ///
    /// let refused = client.get(&GetOptions { scope: Some("site.update"), ..GetOptions::default() });
    /// assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidScope);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Any kind; while a valid token exists, only `Cancelled`, `Closed` and `InvalidArgument`.
    pub fn get(&self, options: &GetOptions<'_>) -> Result<Token, Error> {
        self.shared.get(options)
    }

    /// Copies `Bearer <token>` into `buffer` and returns its length; does not allocate if the token
    /// is cached. `scope`: `None` means the client's `scope` option.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let mut buffer = [0; 2048];
    /// let length = client.copy_bearer(None, &mut buffer)?;
    /// assert!(buffer[..length].starts_with(b"Bearer "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::token`]; [`ErrorKind::InvalidArgument`] if the buffer is too small.
    #[inline]
    pub fn copy_bearer(&self, scope: Option<&str>, buffer: &mut [u8]) -> Result<usize, Error> {
        match self.shared.copy_at_hand(scope.map(str::as_bytes), buffer, |_, _| {}) {
            Some(copied) => Ok(copied),
            None => self.copy_slowly(scope, buffer),
        }
    }

    #[cold]
    fn copy_slowly(&self, scope: Option<&str>, buffer: &mut [u8]) -> Result<usize, Error> {
        let token = self.get(&GetOptions { scope, ..GetOptions::default() })?;
        token.copy_bearer(buffer).map_err(|needed| {
            Error::argument(format!(
                "the buffer has {} bytes; the token needs {needed}",
                buffer.len()
            ))
        })
    }

    /// Requests a token without blocking. Calls `function` exactly once: before this returns if the
    /// result is known, otherwise on a library thread. It should return quickly.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use std::sync::mpsc;
    /// use tu_token::GetOptions;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// client.get_async(&GetOptions::default(), move |outcome| {
    ///     let _ = sender.send(outcome.map(|token| token.scope().to_owned()));
    /// })?;
    /// assert_eq!(receiver.recv()??, "asset.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::Internal`] (retryable) if the thread for
    /// timeouts cannot be started. The function is then not called.
    pub fn get_async(
        &self,
        options: &GetOptions<'_>,
        function: impl FnOnce(Result<Token, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        if let Some(outcome) = self.shared.known(options)? {
            function(outcome);
            return Ok(());
        }
        self.shared.get_async(options, Box::new(function)).map(drop)
    }

    /// A token for the client's `scope` option, as a future that works with any runtime. Dropping
    /// the future ends the wait; the fetch continues.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn block_on<F: Future>(future: F) -> F::Output { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future) }
    /// let scope = block_on(async {
    ///     let token = client.token_async().await?;
    ///     Ok::<_, tu_token::Error>(token.scope().to_owned())
    /// })?;
    /// assert_eq!(scope, "asset.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn token_async(&self) -> TokenFuture {
        self.get_future(&GetOptions::default())
    }

    /// Reports that an API answered 401 to this token: it will not be served again. No effect if a
    /// newer token is already cached. Do not call this after 403 or 429.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let refused = client.token()?;
    /// client.invalidate(&refused);
    /// assert_ne!(client.token()?.value(), refused.value());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate(&self, token: &Token) {
        self.shared.invalidate(token.value());
    }

    /// Like [`Client::invalidate`], for a token given as text: bare or as `Bearer <token>`.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let header = client.token()?.bearer().to_owned();
    /// client.invalidate_value(&header);
    /// assert_ne!(client.token()?.bearer(), header);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate_value(&self, token: &str) {
        let bare = match token.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => &token[7..],
            _ => token,
        };
        self.shared.invalidate(bare);
    }

    /// The timeout of a call that sets none. For the command.
    pub(crate) fn timeout(&self) -> Duration {
        self.shared.options.timeout
    }

    /// Age of a cached token since its request, also if another process made it. For the command.
    pub(crate) fn age_of(&self, token: &Token) -> Option<Duration> {
        let now = self.shared.clock.now();
        let state = self.shared.state();
        let entry = state.seats.iter().position(|seat| seat.shows(token.value()))?;
        state.core.life(entry).map(|life| now.since(life.requested_at))
    }

    /// Replaces the credentials, whatever their previous source (values, files or callback), from
    /// the next token request on. Cached tokens stay in use; remembered refusals are forgotten.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let token = client.token()?;
    /// client.rotate("another id", "another secret")?;
    /// assert_eq!(client.token()?.value(), token.value()); // for as long as it is fresh
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the id or secret cannot be sent; [`ErrorKind::Closed`].
    pub fn rotate(&self, client_id: &str, client_secret: &str) -> Result<(), Error> {
        let credentials = Credentials::new(client_id, client_secret);
        credentials.check().map_err(Error::argument)?;
        self.shared.rotate(credentials)
    }

    /// Reports that the network is back: ends the backoff after failures, immediately for waiting
    /// callers and within 5 s (random) for background renewals. A `Retry-After` from the server
    /// still holds. A login that the proxy refused is retried at most once in 10 minutes.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// client.wake(); // from a network manager's "connected" signal, for instance
    /// assert!(client.token().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// State and counters of the cache entry for a scope; `None`: the client's `scope` option.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// client.token()?;
    /// assert_eq!(client.stats(None)?.waits, 1);
    /// assert_eq!(client.stats(Some("site.view"))?.state, tu_token::State::Empty);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the scope is invalid, or missing.
    pub fn stats(&self, scope: Option<&str>) -> Result<Stats, Error> {
        self.shared.stats(scope)
    }

    /// Whether a token may be sent to this URL: https to a host in the option `api_hosts`, or
    /// loopback over http or https. Check again after each redirect.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert!(client.may_send_to("https://iris.trackunit.com/api/asset/v2/assets"));
    /// assert!(!client.may_send_to("https://example.com/"));
    /// assert!(!client.may_send_to("http://iris.trackunit.com/")); // in clear
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn may_send_to(&self, url: &str) -> bool {
        host_to_send_to(url, &self.shared.options.api_hosts).is_some()
    }

    /// Reports that the API at this URL also answered 401 to the token fetched after the
    /// invalidation. Only emits an event, once per host, saying that the API may not accept API
    /// Tokens v2 yet. For HTTP adapters.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// // After a 401, an invalidation, and a second 401:
    /// client.api_refused("https://iris.trackunit.com/api/asset/v2/assets");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn api_refused(&self, url: &str) {
        self.shared.api_refused(url);
    }

    /// Closes the client: waiting calls return [`ErrorKind::Closed`], and so do later ones that
    /// need a token or rotate. Never blocks. The client's callbacks are dropped once no call to
    /// them is running; events already queued are delivered first.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// client.close();
    /// assert_eq!(client.token().unwrap_err().kind(), tu_token::ErrorKind::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.shared.close();
        self.shared.release_functions();
    }

    /// Like [`Client::close`], but keeps the callbacks until the client is freed: C programs may
    /// still read data that their `drop` releases.
    #[cfg(feature = "capi")]
    pub(crate) fn close_and_keep_functions(&self) {
        self.shared.close();
    }

    /// The other half of [`Client::close`].
    #[cfg(feature = "capi")]
    pub(crate) fn release_functions(&self) {
        self.shared.release_functions();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.shared.events.client_name())
            .field("token_url", &self.shared.options.token_url.to_string())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod alarm_tests;
#[cfg(test)]
mod lock_counts;
