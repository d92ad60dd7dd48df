//! A client's mutable state, under its one lock: the pure entries and who waits for them.

use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use super::wait::Waiter;
use crate::cache::Random;
use crate::cache::current::Current;
use crate::cache::entry::{Entry, FlightId, State, Want};
use crate::cache::jumps::Jumps;
use crate::cache::limits::Limits;
use crate::cache::policy::Policy;
use crate::clock::{BootTime, Clock, Reading};
use crate::credentials::Pair;
use crate::error::{Error, ErrorKind};
use crate::process::{Inherited, Mailbox};
use crate::scope::ScopeSet;
use crate::store::seal::Seal;
use crate::sync::atomic::AtomicBool;
use crate::threads::Job;
use crate::token::Token;

/// Most different scopes of one client: beyond it, a program is most likely making them up.
const MOST_SCOPES: usize = 10_000;

/// One entry as readers see it.
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) scope: ScopeSet,
    pub(crate) current: Current,
    /// Somebody asked since this was last looked at; for `keep_warm`.
    pub(crate) asked: AtomicBool,
}

/// Counters of an entry, since the client was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) waits: u64,
    pub(crate) requests: u64,
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    pub(crate) last_fetch: Duration,
    pub(crate) last_error: Option<ErrorKind>,
}

/// One entry and its surroundings.
pub(crate) struct Cell {
    pub(crate) slot: Arc<Slot>,
    pub(crate) entry: Entry,
    pub(crate) waiters: Vec<Arc<Waiter>>,
    /// The fetch under way, on its way to a thread.
    pub(crate) job: Option<Arc<Job>>,
    /// Rung to end a fetch's pause between two attempts.
    pub(crate) bell: Option<Arc<Mailbox<()>>>,
    pub(crate) counters: Counters,
    /// The longest `min_ttl` of those who wait.
    pub(crate) wanted_ttl: Duration,
    /// What sealed the token's record, if there is a store.
    pub(crate) seal: Option<Arc<Seal>>,
    /// Which token an API refused last.
    pub(crate) invalidated: Option<String>,
    /// A caller that does not wait is owed a fetch that may not start yet.
    pub(crate) start_is_owed: bool,
    /// For `keep_warm`: when somebody last asked, as far as it was noticed.
    pub(crate) asked_at: BootTime,
}

impl Cell {
    fn new(slot: Arc<Slot>, now: BootTime) -> Self {
        Self {
            slot,
            entry: Entry::default(),
            waiters: Vec::new(),
            job: None,
            bell: None,
            counters: Counters::default(),
            wanted_ttl: Duration::ZERO,
            seal: None,
            invalidated: None,
            start_is_owed: false,
            asked_at: now,
        }
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.iter().any(|waiter| waiter.is_open())
    }

    /// Lets go of the fetch that was under way, and hands over those who waited for it.
    pub(crate) fn end_fetch(&mut self) -> Vec<Arc<Waiter>> {
        self.job = None;
        self.bell = None;
        self.wanted_ttl = Duration::ZERO;
        std::mem::take(&mut self.waiters)
    }

    /// Adds a waiter; those that are over make room.
    pub(crate) fn add_waiter(&mut self, waiter: Arc<Waiter>) {
        if self.waiters.len() == self.waiters.capacity() {
            self.waiters.retain(|waiter| waiter.is_open());
        }
        self.waiters.push(waiter);
    }
}

/// A fetch that asks for other credentials than those that were refused, and tries them out.
pub(crate) struct Trial {
    pub(crate) index: usize,
    pub(crate) id: FlightId,
    /// What it was given.
    pub(crate) given: Option<Pair>,
}

/// What the process has found its state to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Own,
    /// The parent's, whose callers and fetches it is rid of; what is left to do takes the client.
    Parents,
    /// There was a fork that did not leave it whole; see [`ClientState`]'s `Default`.
    Blank,
}

/// Everything of a client that changes.
pub(crate) struct ClientState {
    pub(crate) found: Found,
    pub(crate) closed: bool,
    pub(crate) limits: Limits,
    pub(crate) cells: Vec<Cell>,
    pub(crate) credentials_version: u64,
    pub(crate) looked_at_files: BootTime,
    pub(crate) trial: Option<Trial>,
    pub(crate) jumps: Jumps,
    /// That some API may not accept these tokens was told.
    pub(crate) v2_was_doubted: bool,
    /// Of which hosts that was told, by those who know the host.
    pub(crate) doubted_hosts: Vec<String>,
    /// When the event was told that the budget has run out.
    pub(crate) budget_told_at: Option<BootTime>,
    /// Every entry's slot by its canonical scope. Not in the lock alone: see [`Default`].
    pub(crate) scopes: Arc<Names<Arc<Slot>>>,
    last_flight: FlightId,
    last_serial: u64,
}

/// What waits and what fetches is the parent's.
impl Inherited for ClientState {
    /// Their functions are dropped, not called: the parent calls its own.
    type Remains = Vec<Arc<Waiter>>;

    fn adopt(&mut self) -> Self::Remains {
        if self.found == Found::Own {
            self.found = Found::Parents;
        }
        self.trial = None;
        self.cells.iter_mut().flat_map(Cell::end_fetch).collect()
    }
}

impl ClientState {
    pub(crate) fn new(policy: &Policy, clocks: Reading) -> Self {
        Self::within(Limits::new(policy), clocks)
    }

    fn within(limits: Limits, clocks: Reading) -> Self {
        Self {
            found: Found::Own,
            closed: false,
            limits,
            // Most clients have one scope; growing by itself, a list would begin with four places.
            cells: Vec::with_capacity(1),
            credentials_version: 0,
            looked_at_files: BootTime::ZERO,
            trial: None,
            jumps: Jumps::new(clocks),
            v2_was_doubted: false,
            doubted_hosts: Vec::new(),
            budget_told_at: None,
            scopes: Arc::new(Names::new()),
            last_flight: 0,
            last_serial: 0,
        }
    }

    /// The entry of a scope set, made if it is new.
    pub(crate) fn slot_for(&mut self, scope: ScopeSet, now: BootTime) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.scopes.get(scope.canonical().as_bytes()) {
            return Ok(slot.clone());
        }
        let index = self.cells.len();
        if index >= MOST_SCOPES {
            return Err(Error::argument(format!(
                "this client has been asked for {MOST_SCOPES} different scopes already, the most \
                 that are kept; use one client per set of purposes"
            )));
        }
        let slot = Arc::new(Slot {
            index,
            scope,
            current: Current::default(),
            asked: AtomicBool::new(false),
        });
        self.scopes.insert(slot.scope.canonical(), slot.clone());
        self.cells.push(Cell::new(slot.clone(), now));
        Ok(slot)
    }

    pub(crate) fn next_flight(&mut self) -> FlightId {
        self.last_flight += 1;
        self.last_flight
    }

    pub(crate) fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }

    /// One cell together with what binds all of them.
    pub(crate) fn cell(&mut self, index: usize) -> (&mut Cell, &mut Limits) {
        (&mut self.cells[index], &mut self.limits)
    }

    /// Tells an entry's readers until when they need not ask.
    pub(crate) fn publish_serve_until(&mut self, policy: &Policy, index: usize, now: BootTime) {
        let (cell, limits) = self.cell(index);
        let until = cell.entry.serve_until(policy, limits, now);
        cell.slot.current.set_serve_until(until);
    }

    /// The same for all entries, after something that binds all of them has changed.
    pub(crate) fn publish_all(&mut self, policy: &Policy, now: BootTime) {
        for index in 0..self.cells.len() {
            self.publish_serve_until(policy, index, now);
        }
    }

    /// Asks without a caller: the fetch that is to be started, if it is time for one.
    pub(crate) fn ask_for_nobody(
        &mut self,
        policy: &Policy,
        index: usize,
        now: BootTime,
    ) -> Option<FlightId> {
        let flight = self.next_flight();
        let (cell, limits) = self.cell(index);
        let want = Want { at_once: true, ..Want::default() };
        let start = cell.entry.ask(policy, limits, &want, now, flight).start;
        self.publish_serve_until(policy, index, now);
        start
    }

    /// The cached token, if it lives.
    pub(crate) fn valid_token(
        &mut self,
        policy: &Policy,
        index: usize,
        now: BootTime,
    ) -> Option<Token> {
        let cell = &self.cells[index];
        match cell.entry.state(policy, now) {
            State::Empty | State::Expired => None,
            _ => cell.slot.current.read(),
        }
    }

    /// Other credentials are in use from now on.
    pub(crate) fn credentials_changed(&mut self, policy: &Policy, version: u64, now: BootTime) {
        if version <= self.credentials_version {
            return;
        }
        self.credentials_version = version;
        self.limits.credentials_changed();
        for cell in &mut self.cells {
            cell.entry.credentials_changed();
        }
        self.publish_all(policy, now);
    }

    /// The process is a fork, and what its parent knew may have been half changed: there are the
    /// same entries, and nothing in them.
    pub(crate) fn begin_anew(
        &mut self,
        policy: &Policy,
        generation: u32,
        clocks: Reading,
        scopes: &Arc<Names<Arc<Slot>>>,
    ) {
        // Each in its place: a name that the parent was just moving may come twice.
        let mut slots = Vec::new();
        scopes.for_each(|slot| {
            slots.resize(slots.len().max(slot.index + 1), None);
            slots[slot.index] = Some(slot.clone());
        });
        // Numbers that the parent gave out are not given out again.
        let first = u64::from(generation) << 40;
        *self = Self {
            scopes: scopes.clone(),
            last_flight: first,
            last_serial: first,
            ..Self::new(policy, clocks)
        };
        for slot in slots.into_iter().flatten() {
            slot.current.clear();
            self.cells.push(Cell::new(slot, clocks.boot));
        }
    }

    /// Whether the fetch that tries out other credentials is still under way.
    pub(crate) fn trial_is_under_way(&self) -> bool {
        let trial = self.trial.as_ref();
        trial.is_some_and(|trial| self.cells[trial.index].entry.flight() == Some(trial.id))
    }

    /// The process is a fork of the one that filled this in. The tokens, the budget and the waits that
    /// a server asked for are ours too.
    pub(crate) fn forked(&mut self, policy: &Policy, now: BootTime, random: &mut dyn Random) {
        self.found = Found::Own;
        for index in 0..self.cells.len() {
            let (cell, limits) = self.cell(index);
            cell.start_is_owed = false;
            cell.entry.forked(policy, random);
            let serve_until = cell.entry.serve_until(policy, limits, now);
            if let (Some(mut token), Some(life)) = (cell.slot.current.read(), cell.entry.life()) {
                token.set_fresh_until(life.fresh_until);
                cell.slot.current.publish(&token, serve_until);
            }
        }
    }
}

/// What a child finds if it could not be seen to that nobody was changing the parent's state at the
/// fork (see `process`).
impl Default for ClientState {
    fn default() -> Self {
        let whole = Self::within(Limits::default(), Clock::System.reading());
        Self { found: Found::Blank, ..whole }
    }
}
