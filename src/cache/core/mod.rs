//! The core: one value with one entry point.
//!
//! A client passes in what happened and the time, and gets back a list of what to do. The core
//! starts no thread, does no I/O, reads no clock and takes no lock. It also formats no text: it is
//! generic over the error type it remembers. So a gateway, a simulation of a hundred thousand
//! clients under virtual time and the tests all run the same steps in the same order.
//!
//! - this file: the value, its entry point, and read-only accessors
//! - [`ask`] callers
//! - [`fetch`] a fetch on its worker thread: its attempts and its end
//! - [`credentials`] waiting for credentials, and refused credentials
//! - [`visit`] the fetch's visit to the store
//! - [`changes`] automatic renewals, and what happens to the client as a whole

mod ask;
mod changes;
mod credentials;
mod fetch;
#[cfg(any(test, feature = "__fuzz"))]
// The fuzzer needs less of it than the tests.
#[cfg_attr(not(test), allow(dead_code, unused_imports))]
pub(crate) mod scenes;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use super::entry::{Entry, State};
use super::flight::{Fault, FlightId};
use super::input::{Environment, Input};
use super::limits::{Blocked, Limits, Obstacle};
use super::output::{Output, Outputs};
use super::policy::Policy;
use super::single_flight::{SingleFlight, Ticket};
use crate::clock::BootTime;
use crate::life::Life;
use fetch::Flight;

/// Settings of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) policy: Arc<Policy>,
    pub(crate) keep_warm: bool,
    /// The entry that is kept warm whether or not anyone asks for it.
    pub(crate) own: Option<usize>,
    /// Limit for one store operation. `None`: there is no store.
    pub(crate) store_timeout: Option<Duration>,
}

/// All decision state of a client.
#[derive(Clone, Debug)]
pub(crate) struct Core<E> {
    settings: Settings,
    limits: Limits<Fault<E>>,
    entries: Vec<Entry<E>>,
    flights: Vec<Flight<E>>,
    /// Reads of the credential source in progress. The key: whether the previous credentials were
    /// refused.
    reads: SingleFlight<bool, ()>,
    /// The fetch that is trying out replacements for refused credentials.
    trial: Option<FlightId>,
    credentials_version: u64,
    files_checked_at: BootTime,
    budget_reported_at: Option<BootTime>,
    v2_warned: bool,
    closed: bool,
    now: BootTime,
    step: u64,
    last_flight: FlightId,
    last_serial: u64,
}

impl<E: Clone> Core<E> {
    /// Fetch ids and token serials count up from `first`.
    pub(crate) fn new(settings: Settings, first: u64) -> Self {
        Self {
            limits: Limits::new(&settings.policy),
            settings,
            // Most clients have one scope; a list that grows by itself would start with room for
            // four.
            entries: Vec::with_capacity(1),
            flights: Vec::new(),
            reads: SingleFlight::default(),
            trial: None,
            credentials_version: 0,
            files_checked_at: BootTime::ZERO,
            budget_reported_at: None,
            v2_warned: false,
            closed: false,
            now: BootTime::ZERO,
            step: first,
            last_flight: first,
            last_serial: first,
        }
    }

    /// Adds an entry and returns its index, counting from 0.
    pub(crate) fn add_entry(&mut self, now: BootTime) -> usize {
        self.entries.push(Entry::new(now));
        self.entries.len() - 1
    }

    /// The only entry point: records what happened and returns what to do.
    pub(crate) fn handle(
        &mut self,
        now: BootTime,
        env: &mut dyn Environment<E>,
        input: Input<E>,
    ) -> Outputs<E> {
        // A thread that waited for the lock may bring a time from before the last step.
        self.now = self.now.max(now);
        self.step += 1;
        self.limits.set_login(env.refused_login().map(as_fault));
        let number = self.step;
        let now = self.now;
        let (touched, stale) = (Entries::default(), Entries::default());
        let mut step =
            Step { core: self, now, env, list: Vec::with_capacity(USUAL_OUTPUTS), touched, stale };
        step.take(input);
        step.schedule_touched();
        step.end_trial();
        step.update_readers();
        let list = step.list;
        if self.flights.is_empty() {
            // There may be thousands of idle clients: free the list's memory.
            self.flights = Vec::new();
        }
        Outputs { step: number, list }
    }

    // --- read-only -------------------------------------------------------------------------------

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn state(&self, index: usize, now: BootTime) -> State {
        self.entries[index].state(&self.settings.policy, now)
    }

    /// Whether the entry has an unexpired token.
    pub(crate) fn is_valid(&self, index: usize, now: BootTime) -> bool {
        !matches!(self.state(index, now), State::Empty | State::Expired)
    }

    pub(crate) fn life(&self, index: usize) -> Option<&Life> {
        self.entries[index].life()
    }

    pub(crate) fn counters(&self, index: usize) -> &Counters<E> {
        &self.entries[index].counters
    }

    /// Until when the entry's readers need not ask.
    pub(crate) fn serve_until(&mut self, index: usize, now: BootTime) -> BootTime {
        let entry = &self.entries[index];
        entry.serve_until(&self.settings.policy, &mut self.limits, now)
    }

    /// Time until the next request may be sent, given what is known of logins to the proxy.
    pub(crate) fn next_request_in(
        &mut self,
        index: usize,
        now: BootTime,
        refused_login: Option<Blocked<E>>,
    ) -> Duration {
        self.limits.set_login(refused_login.map(as_fault));
        self.entries[index].next_request_in(&mut self.limits, now)
    }

    /// The entry of a fetch. `None`: the fetch is unknown.
    pub(crate) fn entry_of(&self, flight: FlightId) -> Option<usize> {
        self.flights.iter().find(|other| other.id == flight).map(|flight| flight.entry)
    }

    /// Whether the result of this read of the credentials is still useful.
    pub(crate) fn wants_read(&self, refused: bool, ticket: Ticket) -> bool {
        self.reads.is_newest(&refused, ticket) || self.someone_waits_for_read(refused)
    }

    /// Whether this read of the credentials is still in progress.
    pub(crate) fn is_being_read(&self, ticket: Ticket) -> bool {
        self.reads.is_open(ticket)
    }
}

/// Enough for nearly every step, so that the list need not grow.
const USUAL_OUTPUTS: usize = 8;

/// The state of one step.
struct Step<'a, E> {
    core: &'a mut Core<E>,
    now: BootTime,
    env: &'a mut dyn Environment<E>,
    list: Vec<Output<E>>,
    /// Entries whose next renewal must be scheduled.
    touched: Entries,
    /// Entries whose readers' `serve_until` may be out of date.
    stale: Entries,
}

/// A set of entries. Nearly every step concerns one entry; a step that concerns several is treated
/// as one that concerns all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Entries {
    #[default]
    None,
    One(usize),
    All,
}

impl Entries {
    fn add(&mut self, index: usize) {
        *self = match *self {
            Self::None => Self::One(index),
            Self::One(other) if other == index => return,
            _ => Self::All,
        };
    }
}

impl<E: Clone> Step<'_, E> {
    fn take(&mut self, input: Input<E>) {
        match input {
            Input::Close => self.close(),
            Input::Forked => self.forked(),
            Input::Ask { entry: index, want, waited } => self.ask(index, want, waited),
            _ if self.core.closed => {}
            Input::LookAtFiles => self.look_at_files(),
            Input::ThreadReady { flight, status } => self.thread_ready(flight, status),
            Input::NotStarted { flight, error } => self.not_started(flight, error),
            Input::Answered { flight, answer, source } => self.answered(flight, answer, source),
            Input::Saved { flight, granted } => self.saved(flight, granted),
            Input::Looked { flight, record, status } => self.looked(flight, record, status),
            Input::LockTried { flight, lock } => self.lock_tried(flight, lock),
            Input::Announced { flight, status } => self.announced(flight, status),
            Input::CredentialsRead { refused, ticket, obtained, version } => {
                self.core.reads.end(&refused, ticket, obtained);
                self.have_read(refused, version);
            }
            Input::CredentialsLate { refused, version } => self.have_read(refused, version),
            Input::CredentialsGiven { refused, ticket } => {
                self.core.reads.end(&refused, ticket, false);
                self.release_all();
            }
            Input::Tick { entry: index } => self.tick(index),
            Input::Invalidate { entry: index, serial } => self.invalidate(index, serial),
            Input::Rotated { version } => self.rotated(version),
            Input::Wake => self.wake(),
        }
    }

    fn put(&mut self, output: Output<E>) {
        self.list.push(output);
    }

    /// An entry of the client, and the limits shared by all entries.
    fn entry(&mut self, index: usize) -> (&mut Entry<E>, &mut Limits<Fault<E>>, &Policy) {
        let Core { entries, limits, settings, .. } = &mut *self.core;
        (&mut entries[index], limits, &settings.policy)
    }

    /// Tells readers until when they need not ask.
    fn update_readers(&mut self) {
        match self.stale {
            Entries::None => {}
            Entries::All => self.put(Output::ServeUntilOfAll),
            Entries::One(index) => {
                let until = self.core.serve_until(index, self.now);
                self.put(Output::ServeUntil { entry: index, until });
            }
        }
    }
}

fn as_fault<E>(blocked: Blocked<E>) -> Blocked<Fault<E>> {
    let obstacle = blocked.obstacle.map(|obstacle| match obstacle {
        Obstacle::Remembered(error) => Obstacle::Remembered(Fault::Reported(error)),
        Obstacle::Budget { most, last } => {
            Obstacle::Budget { most, last: last.map(Fault::Reported) }
        }
    });
    Blocked { until: blocked.until, obstacle }
}
