//! The core as one value with one door.
//!
//! A client is handed what happens, with the time, and answers with what is to be done. It starts no
//! thread, does no I/O, looks at no clock and takes no lock; nor does it know how anything is put into
//! words: it is generic over the errors that it remembers. So the same steps, in the same order, are
//! taken in a gateway, under virtual time in a simulation of a hundred thousand clients, and by the
//! tests.
//!
//! - this file: the value, its door, and what can be read off it
//! - [`ask`] callers
//! - [`fetch`] a fetch on its thread: its attempts and its end
//! - [`credentials`] its wait for credentials, and refused ones
//! - [`visit`] its visit to the store
//! - [`changes`] renewals by themselves, and what happens to the client as a whole

mod ask;
mod changes;
mod credentials;
mod fetch;
#[cfg(test)]
mod scenes;
mod visit;

use std::time::Duration;

use super::counters::Counters;
use super::entry::{Entry, State};
use super::flight::{Fault, FlightId};
use super::input::{Around, Input};
use super::joint::{Joint, Ticket};
use super::limits::{Blocked, Limits, Obstacle};
use super::output::{Output, Outputs};
use super::policy::Policy;
use crate::clock::BootTime;
use crate::life::Life;
use fetch::Flight;

/// What a client is set to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) keep_warm: bool,
    /// The entry that is kept warm whether it is asked for or not.
    pub(crate) own: Option<usize>,
    /// How long one operation on the store may take, if there is one.
    pub(crate) store_timeout: Option<Duration>,
}

/// Everything about a client that is decided.
#[derive(Clone, Debug)]
pub(crate) struct Core<E> {
    settings: Settings,
    limits: Limits<Fault<E>>,
    entries: Vec<Entry<E>>,
    flights: Vec<Flight<E>>,
    /// What the source is being asked for: by whether the last pair was refused.
    reads: Joint<bool, ()>,
    /// The fetch that tries out other credentials than those that were refused.
    trial: Option<FlightId>,
    credentials_version: u64,
    looked_at_files: BootTime,
    budget_told_at: Option<BootTime>,
    v2_was_doubted: bool,
    closed: bool,
    now: BootTime,
    step: u64,
    last_flight: FlightId,
    last_serial: u64,
}

impl<E: Clone> Core<E> {
    /// `first`: numbers of fetches and tokens count from there.
    pub(crate) fn new(settings: Settings, first: u64) -> Self {
        Self {
            limits: Limits::new(&settings.policy),
            settings,
            // Most clients have one scope; growing by itself, a list would begin with four places.
            entries: Vec::with_capacity(1),
            flights: Vec::new(),
            reads: Joint::default(),
            trial: None,
            credentials_version: 0,
            looked_at_files: BootTime::ZERO,
            budget_told_at: None,
            v2_was_doubted: false,
            closed: false,
            now: BootTime::ZERO,
            step: first,
            last_flight: first,
            last_serial: first,
        }
    }

    /// One more entry: its number, from 0.
    pub(crate) fn add_entry(&mut self, now: BootTime) -> usize {
        self.entries.push(Entry::new(now));
        self.entries.len() - 1
    }

    /// The one way in: takes note of what has happened, and says what is to be done.
    pub(crate) fn handle(
        &mut self,
        now: BootTime,
        around: &mut dyn Around<E>,
        input: Input<E>,
    ) -> Outputs<E> {
        // Whoever had to wait for the lock may bring the time from before.
        self.now = self.now.max(now);
        self.step += 1;
        self.limits.set_login(around.refused_login().map(told));
        let number = self.step;
        let now = self.now;
        let (touched, stale) = (Entries::default(), Entries::default());
        let mut step = Step {
            core: self,
            now,
            around,
            list: Vec::with_capacity(MOST_OUTPUTS),
            touched,
            stale,
        };
        step.take(input);
        step.look_after_touched();
        step.end_trial();
        step.tell_readers();
        let list = step.list;
        if self.flights.is_empty() {
            // A client that fetches nothing, and there may be thousands, keeps no room for it.
            self.flights = Vec::new();
        }
        Outputs { step: number, list }
    }

    // --- what can be read off -------------------------------------------------------------------

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn state(&self, index: usize, now: BootTime) -> State {
        self.entries[index].state(&self.settings.policy, now)
    }

    /// Whether the entry has a token that lives.
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

    /// How long until the next request may be made, with what is known of logins to the proxy.
    pub(crate) fn next_request_in(
        &mut self,
        index: usize,
        now: BootTime,
        refused_login: Option<Blocked<E>>,
    ) -> Duration {
        self.limits.set_login(refused_login.map(told));
        self.entries[index].next_request_in(&mut self.limits, now)
    }

    /// The entry of a fetch that is known.
    pub(crate) fn entry_of(&self, flight: FlightId) -> Option<usize> {
        self.flights.iter().find(|other| other.id == flight).map(|flight| flight.entry)
    }

    /// Whether what an asking for credentials brings is of use to anybody.
    pub(crate) fn wants_read(&self, refused: bool, ticket: Ticket) -> bool {
        self.reads.is_news(&refused, ticket) || self.someone_waits_for_read(refused)
    }

    /// Whether an asking for credentials has not ended.
    pub(crate) fn is_being_read(&self, ticket: Ticket) -> bool {
        self.reads.is_open(ticket)
    }
}

/// Of nearly every step: with room for them from the start, a list need not grow.
const MOST_OUTPUTS: usize = 8;

/// What is under way within one step.
struct Step<'a, E> {
    core: &'a mut Core<E>,
    now: BootTime,
    around: &'a mut dyn Around<E>,
    list: Vec<Output<E>>,
    /// Entries whose next renewal has to be looked at.
    touched: Entries,
    /// Entries whose readers may have to ask at another time than they know.
    stale: Entries,
}

/// Nearly every step is about one entry; a step about several may as well be about all.
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
            Input::ThreadReady { flight, hand } => self.thread_ready(flight, hand),
            Input::NotStarted { flight, error } => self.not_started(flight, error),
            Input::Answered { flight, answer, source } => self.answered(flight, answer, source),
            Input::Saved { flight, granted } => self.saved(flight, granted),
            Input::Looked { flight, record, hand } => self.looked(flight, record, hand),
            Input::LockTried { flight, lock } => self.lock_tried(flight, lock),
            Input::Announced { flight, hand } => self.announced(flight, hand),
            Input::CredentialsRead { refused, ticket, brought, version } => {
                self.core.reads.end(&refused, ticket, brought);
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

    /// An entry of the client, and what binds all of them.
    fn entry(&mut self, index: usize) -> (&mut Entry<E>, &mut Limits<Fault<E>>, &Policy) {
        let Core { entries, limits, settings, .. } = &mut *self.core;
        (&mut entries[index], limits, &settings.policy)
    }

    /// Tells readers until when they need not ask.
    fn tell_readers(&mut self) {
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

fn told<E>(blocked: Blocked<E>) -> Blocked<Fault<E>> {
    let obstacle = blocked.obstacle.map(|obstacle| match obstacle {
        Obstacle::Remembered(error) => Obstacle::Remembered(Fault::Told(error)),
        Obstacle::Budget { most, last } => Obstacle::Budget { most, last: last.map(Fault::Told) },
    });
    Blocked { until: blocked.until, obstacle }
}
