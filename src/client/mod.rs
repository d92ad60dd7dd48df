//! The client: the cached tokens of one set of credentials.
//!
//! - this file: what a program calls
//! - [`names`] from a scope as spelled to its entry
//! - [`state`] what changes, under one lock
//! - [`get`], [`get_async`] a caller's way to a token
//! - [`fetch`] a fetch's way, on a thread of ours
//! - [`wait`] those who wait

mod fetch;
mod get;
mod get_async;
mod names;
mod state;
mod wait;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use wait::Cancel;

use crate::cache::Random;
use crate::cache::entry::{State, Want};
use crate::cache::policy::{KEEP_WARM_IDLE, OVERRUN};
use crate::clock::{BootTime, Clock};
use crate::config::Config;
use crate::config::options::Options;
use crate::credentials::{Credentials, CredentialsFn, Source};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventFn, EventKind, EventQueue};
use crate::fork::{self, Guard, Locked};
use crate::runtime::{self, Rank};
use crate::scope::ScopeSet;
use crate::token::Token;
use names::Names;
use state::{ClientState, Slot};

/// Most spellings of scopes that are remembered; further ones are read at each call.
const MOST_SPELLINGS: u32 = 40_000;

/// Gets, keeps and hands out the access tokens of one API key.
///
/// Cheap to clone: clones are one client. Every method may be called from any thread, also after a
/// fork. When the last clone is dropped the client is closed.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Counts the program's handles; threads of ours hold `shared` alone.
    _handle: Arc<Handle>,
}

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the program's handles and our threads have in common.
pub(crate) struct Shared {
    options: Options,
    clock: Clock,
    source: Source,
    endpoint: Endpoint,
    events: Arc<EventQueue>,
    /// The entry of the client's own scope: no look-up.
    own: Option<Arc<Slot>>,
    names: Names<Arc<Slot>>,
    spellings: AtomicU32,
    /// The fork generation that the published tokens belong to.
    generation: AtomicU32,
    state: Locked<ClientState>,
}

/// How a token is asked for.
#[derive(Clone, Debug, Default)]
pub struct GetOptions<'a> {
    /// Scopes, separated by blanks; the client's own if `None`.
    pub scope: Option<&'a str>,
    /// The longest wait; the client's `timeout` if `None`; zero: do not wait.
    pub timeout: Option<Duration>,
    /// The token should live at least this much longer; best effort.
    pub min_ttl: Duration,
    /// Ends the wait early.
    pub cancel: Option<&'a Cancel>,
}

/// What an entry has been through. Hits are not counted: threads would share the counter.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// What the cached token is worth now.
    pub state: State,
    /// The failure of the last fetch; `None` if it brought a token or there was none.
    pub last_error: Option<ErrorKind>,
    /// Life left of the cached token.
    pub expires_in: Duration,
    /// How long until a token request may be made; zero: now.
    pub next_request_in: Duration,
    /// How long the last fetch took.
    pub last_fetch: Duration,
    /// Calls that had to wait for a fetch.
    pub waits: u64,
    /// Token requests sent.
    pub requests: u64,
    /// Tokens received in the place of a valid one.
    pub renewals: u64,
    /// Failed fetches.
    pub failures: u64,
}

/// Chance from the operating system: forked children draw different numbers.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn unit(&mut self) -> f64 {
        let mut bytes = [0; 8];
        let random = ring::rand::SystemRandom::new();
        match ring::rand::SecureRandom::fill(&random, &mut bytes) {
            // The 53 bits that an f64 holds exactly.
            Ok(()) => (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64,
            Err(_) => 0.5,
        }
    }
}

impl Client {
    /// Builds a client. Makes no request and reads no file but those the options name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::InvalidArgument`]: the first mistake in the options.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_clock(config, Clock::System)
    }

    /// Builds a client that lives by another clock. For tests.
    #[doc(hidden)]
    pub fn with_clock(config: &Config, clock: Clock) -> Result<Self, Error> {
        fork::install_handlers();
        let options = config.resolve()?;
        let name = options.name.clone().unwrap_or_default();
        let mut state = ClientState::new(&options.policy, fork::generation());
        let now = clock.now();
        let own = options.scope.clone().map(|scope| state.slot_for(scope, now)).transpose()?;
        let shared = Arc::new(Shared {
            endpoint: Endpoint::new(&options)?,
            source: Source::new(&options, config.credentials.clone()),
            events: EventQueue::new(&name, config.events.clone(), options.log),
            own,
            names: Names::new(),
            spellings: AtomicU32::new(0),
            generation: AtomicU32::new(fork::generation()),
            state: Locked::new(state),
            clock,
            options,
        });
        shared.check_files()?;
        shared.keep_warm(shared.own.as_ref().map(|own| own.index));
        Ok(Self { _handle: Arc::new(Handle(shared.clone())), shared })
    }

    /// Builds a client from `TRACKUNIT_*` environment variables alone.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Config::new().load_env())
    }

    /// Starts to build a client by naming options.
    pub fn builder() -> Builder {
        Builder { config: Config::new() }
    }

    /// A token for the client's own scope, valid now. Waits if it must, at most `timeout`.
    ///
    /// # Errors
    /// Every kind but `Pending` and `Cancelled`; only if there is no valid token.
    pub fn token(&self) -> Result<Token, Error> {
        self.get(&GetOptions::default())
    }

    /// Calls a function with a token for the client's own scope and wipes the token afterwards.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub fn with_token<R>(&self, function: impl FnOnce(&Token) -> R) -> Result<R, Error> {
        self.token().map(|token| function(&token))
    }

    /// A token as asked for.
    ///
    /// # Errors
    /// Every kind; only `Cancelled`, `Closed` and `InvalidArgument` while there is a valid token.
    pub fn get(&self, options: &GetOptions<'_>) -> Result<Token, Error> {
        self.shared.get(options)
    }

    /// Copies `Bearer <token>` into `buffer` and returns its length, without an allocation when
    /// the token is at hand. If the buffer is too small, the length needed is returned as `Err`
    /// inside `Ok` and nothing is written.
    #[doc(hidden)]
    pub fn copy_bearer(
        &self,
        scope: Option<&str>,
        buffer: &mut [u8],
    ) -> Result<Result<usize, usize>, Error> {
        self.shared.copy_bearer(scope, buffer)
    }

    /// A token as asked for, handed to a function: before this returns if it is at hand, else on a
    /// thread of the library's, exactly once. The function should be short.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] or [`ErrorKind::Internal`]; the function is then not called.
    pub fn get_async(
        &self,
        options: &GetOptions<'_>,
        function: impl FnOnce(Result<Token, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.shared.get_async(options, Box::new(function))
    }

    /// A token for the client's own scope, as a future that needs no particular runtime. Dropping
    /// the future gives up the wait, not the fetch.
    pub fn token_async(&self) -> TokenFuture {
        self.get_future(&GetOptions::default())
    }

    /// A token as asked for, as a future.
    pub fn get_future(&self, options: &GetOptions<'_>) -> TokenFuture {
        let cancel = options.cancel.cloned().unwrap_or_default();
        let slot = Arc::new(Mutex::new(Parked::default()));
        let place = slot.clone();
        let with_cancel = GetOptions { cancel: Some(&cancel), ..options.clone() };
        let started = self.get_async(&with_cancel, move |outcome| {
            let waker = {
                let mut parked = place.lock().unwrap_or_else(PoisonError::into_inner);
                parked.outcome = Some(outcome);
                parked.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        if let Err(error) = started {
            slot.lock().unwrap_or_else(PoisonError::into_inner).outcome = Some(Err(error));
        }
        TokenFuture { parked: slot }
    }

    /// An API answered 401 to this token: it is not handed out again. If a newer one is cached
    /// already, nothing happens. Neither 403 nor 429 is a reason to call this.
    pub fn invalidate(&self, token: &Token) {
        self.shared.invalidate(token.value());
    }

    /// The same for a token known by its text, bare or as `Bearer <token>`.
    pub fn invalidate_value(&self, token: &str) {
        let bare = match token.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => &token[7..],
            _ => token,
        };
        self.shared.invalidate(bare);
    }

    /// Uses other credentials from the next request on; they take the place of values, files or
    /// callback. Cached tokens stay in use; remembered refusals are forgotten.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]: one of them cannot be sent. [`ErrorKind::Closed`].
    pub fn rotate(&self, client_id: &str, client_secret: &str) -> Result<(), Error> {
        let credentials = Credentials::new(client_id, client_secret);
        credentials.check().map_err(Error::argument)?;
        self.shared.rotate(credentials)
    }

    /// The network is back: pauses after failures end now for whoever waits, and within five
    /// seconds for renewals. What a server asked for by `Retry-After` still holds.
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// What has happened to the entry of a scope; the client's own if `None`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]: the scope cannot be one.
    pub fn stats(&self, scope: Option<&str>) -> Result<Stats, Error> {
        self.shared.stats(scope)
    }

    /// Whether the HTTP adapters may send a token to this URL: https to a host of `api_hosts`, or
    /// any to this machine.
    pub fn may_send_to(&self, url: &str) -> bool {
        crate::config::endpoint::may_send_to(url, &self.shared.options.api_hosts)
    }

    /// Ends the client: waits return [`ErrorKind::Closed`], and so does every later call that asks
    /// for a token or rotates. Never blocks.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.shared.options.name)
            .field("token_url", &self.shared.options.token_url.uri().to_string())
            .finish_non_exhaustive()
    }
}

/// Options on their way to a [`Client`]. Setting never fails; [`Builder::build`] tells the first
/// mistake.
#[derive(Debug)]
pub struct Builder {
    config: Config,
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

#[derive(Default)]
struct Parked {
    outcome: Option<Result<Token, Error>>,
    waker: Option<Waker>,
}

/// A token to come. Made by [`Client::token_async`].
pub struct TokenFuture {
    parked: Arc<Mutex<Parked>>,
}

impl fmt::Debug for TokenFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFuture(..)")
    }
}

impl Future for TokenFuture {
    type Output = Result<Token, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        match parked.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                parked.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Shared {
    /// The state, made this process's own if it was the parent's.
    fn state(self: &Arc<Self>) -> Guard<'_, ClientState> {
        let generation = fork::generation();
        let mut state = self.state.lock();
        if state.generation == generation {
            return state;
        }
        let now = self.clock.now();
        let forgotten = state.forked(&self.options.policy, generation, now, &mut SystemRandom);
        let entries = 0..state.cells.len();
        self.generation.store(generation, Ordering::Release);
        drop(state);
        // Functions of the parent's callers are dropped, not called: the parent calls its own.
        drop(forgotten);
        self.events
            .tell(|| Event::new(EventKind::Fork, "this process is a fork; the client goes on"));
        self.keep_warm(entries);
        self.state.lock()
    }

    fn is_own_generation(&self) -> bool {
        self.generation.load(Ordering::Acquire) == fork::generation()
    }

    fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "the client is closed; make a new one to get tokens")
    }

    /// The entry a scope stands for. Reads the scope only the first time it is spelled so.
    fn slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        match self.slot_ref(scope) {
            Some(slot) => Ok(slot.clone()),
            None => self.new_slot(scope),
        }
    }

    /// The same, if the spelling is known.
    #[inline]
    fn slot_ref(&self, scope: Option<&str>) -> Option<&Arc<Slot>> {
        match scope {
            None => self.own.as_ref(),
            Some(name) => self.names.get(name),
        }
    }

    fn new_slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        let Some(name) = scope else {
            return Err(Error::argument(
                "no scope: neither the call names one nor the client's configuration",
            ));
        };
        let parsed = ScopeSet::parse(name)?;
        let now = self.clock.now();
        let slot = self.state().slot_for(parsed, now)?;
        if self.spellings.load(Ordering::Relaxed) < MOST_SPELLINGS {
            self.spellings.fetch_add(1, Ordering::Relaxed);
            self.names.insert(name, slot.clone());
        }
        Ok(slot)
    }

    /// Credential files that cannot be read are a mistake in the options, told at once.
    fn check_files(&self) -> Result<(), Error> {
        if self.source.is_files() {
            self.source.read(false).map_err(|error| Error::config(error.message()))?;
        }
        for path in self.source.exposed_files() {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    format!("{} can be read by other users of this machine", path.display()),
                )
            });
        }
        Ok(())
    }

    fn invalidate(self: &Arc<Self>, value: &str) {
        let policy = &self.options.policy;
        let now = self.clock.now();
        let fingerprint = fetch::fingerprint(value);
        let mut dropped = Vec::new();
        {
            let mut state = self.state();
            for index in 0..state.cells.len() {
                let cell = &mut state.cells[index];
                // Once a token: an endpoint that hands the same one out again is not asked in
                // circles.
                let is_repeat = fingerprint.is_some() && cell.invalidated == fingerprint;
                let Some(token) = cell.slot.current.read().filter(|_| !is_repeat) else { continue };
                if token.value() == value && cell.entry.invalidate(token.serial()) {
                    cell.slot.current.clear();
                    cell.invalidated.clone_from(&fingerprint);
                    dropped.push(cell.slot.clone());
                    state.publish_serve_until(policy, index, now);
                }
            }
        }
        for slot in &dropped {
            self.events.tell(|| {
                let mut event = Event::new(
                    EventKind::Invalidated,
                    "an API refused the token; the next call gets another",
                );
                event.scope = slot.scope.canonical().to_owned();
                event.fingerprint.clone_from(&fingerprint);
                event
            });
        }
        self.keep_warm(dropped.iter().map(|slot| slot.index));
    }

    fn rotate(self: &Arc<Self>, credentials: Credentials) -> Result<(), Error> {
        if self.state().closed {
            return Err(Self::closed_error());
        }
        let version = self.source.rotate(credentials);
        let now = self.clock.now();
        let entries = {
            let mut state = self.state();
            state.credentials_changed(&self.options.policy, version, now);
            0..state.cells.len()
        };
        self.keep_warm(entries);
        self.events.tell(|| Event::new(EventKind::Rotated, "the client has new credentials"));
        Ok(())
    }

    fn wake(self: &Arc<Self>) {
        let now = self.clock.now();
        let mut bells = Vec::new();
        let entries;
        {
            let mut state = self.state();
            state.limits.wake(now);
            for cell in &mut state.cells {
                cell.entry.wake(now, &mut SystemRandom);
                bells.extend(cell.bell.clone());
            }
            state.publish_all(&self.options.policy, now);
            entries = 0..state.cells.len();
        }
        for bell in bells {
            bell.put(());
        }
        self.keep_warm(entries);
    }

    fn stats(self: &Arc<Self>, scope: Option<&str>) -> Result<Stats, Error> {
        let slot = self.slot(scope)?;
        let now = self.clock.now();
        let mut state = self.state();
        let (cell, limits) = state.cell(slot.index);
        Ok(Stats {
            state: cell.entry.state(&self.options.policy, now),
            last_error: cell.counters.last_error,
            expires_in: cell
                .entry
                .life()
                .map_or(Duration::ZERO, |life| life.expires_at().until(now)),
            next_request_in: cell.entry.next_request_in(limits, now),
            last_fetch: cell.counters.last_fetch,
            waits: cell.counters.waits,
            requests: cell.counters.requests,
            renewals: cell.counters.renewals,
            failures: cell.counters.failures,
        })
    }

    fn close(self: &Arc<Self>) {
        let (mut waiters, mut bells) = (Vec::new(), Vec::new());
        {
            let mut state = self.state();
            state.closed = true;
            for cell in &mut state.cells {
                waiters.append(&mut cell.waiters);
                bells.extend(cell.bell.take());
                cell.slot.current.clear();
            }
        }
        wait::end_elsewhere(waiters, &Self::closed_error());
        for bell in bells {
            bell.put(());
        }
    }

    /// With `keep_warm`, sees to it that entries are renewed without being asked for.
    fn keep_warm(self: &Arc<Self>, indexes: impl IntoIterator<Item = usize>) {
        if self.options.keep_warm {
            for index in indexes {
                self.renew_if_due(index, None);
            }
        }
    }

    /// Starts a renewal that is due, or has this called again when it will be. `alarm`: the point
    /// in time this was set for; one that has been set anew since is ignored.
    fn renew_if_due(self: &Arc<Self>, index: usize, alarm: Option<BootTime>) {
        self.give_up_overrun(index);
        let policy = &self.options.policy;
        let now = self.clock.now();
        let (mut start, mut wait_until) = (None, None);
        {
            let mut state = self.state();
            if state.closed || alarm.is_some_and(|at| state.cells[index].alarm != Some(at)) {
                return;
            }
            let flight = state.next_flight();
            let (cell, limits) = state.cell(index);
            if cell.slot.asked.swap(false, Ordering::Relaxed) {
                cell.asked_at = now;
            }
            let is_own = self.own.as_ref().is_some_and(|own| own.index == index);
            let is_wanted = is_own || now.since(cell.asked_at) < KEEP_WARM_IDLE;
            // A fetch under way sets the alarm when it ends; if it never does, it is given up.
            let overdue = now.after(policy.fetch_timeout).after(OVERRUN);
            let end_of_fetch =
                cell.entry.flight().map(|_| cell.entry.give_up_at().unwrap_or(overdue));
            let next = end_of_fetch.or_else(|| cell.entry.renew_at(limits, now));
            cell.alarm = next.filter(|_| is_wanted);
            match cell.alarm {
                Some(due) if due <= now => {
                    let want = Want { at_once: true, ..Want::default() };
                    start = cell.entry.ask(policy, limits, &want, now, flight).start;
                    state.publish_serve_until(policy, index, now);
                }
                due => wait_until = due,
            }
        }
        if let Some(flight) = start {
            // Without a thread there is no renewal; the next caller will find out.
            let _ = self.start_flight(index, flight, Rank::Background);
        }
        if let Some(due) = wait_until {
            runtime::at(due, Arc::downgrade(self), move |shared| {
                shared.renew_if_due(index, Some(due));
            });
        }
    }
}
