//! A fetch's wait for its credentials, which are read from files or given by a function.
//!
//! Both may hang, so neither is done by a fetch or by a caller: a thread that is there for that asks
//! (see `credentials::asking`), once for all fetches of the client that need the same. A fetch that
//! waits for it is *parked*: it holds no thread, its own time stands still, and it goes on, on a
//! thread of the pool, when the credentials have come. If they do not come, it is given up when
//! nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use super::fetch::Flight;
use super::shared::{Shared, SystemRandom};
use super::state::Slot;
use super::wait;
use crate::cache::entry::{FlightId, GivenUp};
use crate::cache::policy;
use crate::clock::{BootTime, Clock};
use crate::credentials::{Change, Credentials, Pair};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::joint::{Joint, Ticket};
use crate::process::{Inherited, Mailbox};
use crate::threads::{self, Rank};

/// What a parked fetch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Credentials; with true, others than those that were refused.
    Credentials(bool),
    /// Another fetch has asked for others, and tries them out.
    Trial,
    /// A thread.
    Thread,
}

/// What became of a look at credential files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There are none, or somebody has looked just now.
    NotDue,
    /// It is under way.
    Begun,
    Ended,
}

/// What is being read for a client, and the fetches that wait for it.
#[derive(Default)]
pub(super) struct Reading {
    /// By whether the last pair was refused.
    asked: Joint<bool, ()>,
    /// A caller who waits a moment for the look at the files.
    looker: Option<Arc<Mailbox<()>>>,
    parked: Vec<(Flight, For)>,
}

/// Fetches of the parent's, and those who wait for what it asks for, are the parent's.
impl Inherited for Reading {
    type Remains = (Vec<(Flight, For)>, Option<Arc<Mailbox<()>>>);

    fn adopt(&mut self) -> Self::Remains {
        self.asked.adopt();
        (std::mem::take(&mut self.parked), self.looker.take())
    }
}

impl Reading {
    fn waits_for(&self, refused: bool) -> bool {
        self.parked.iter().any(|(_, parked)| *parked == For::Credentials(refused))
    }

    /// Joins those who ask. If it is for the newcomer to ask: the name of that, and whether another
    /// asking is under way that may hang.
    fn begins(&mut self, refused: bool, now: BootTime) -> Option<(Ticket, bool)> {
        let ticket = self.asked.join(refused, None, now)?;
        Some((ticket, self.asked.is_tried_again(&refused)))
    }

    /// Lets those who wait for something go on; which they are.
    fn release(
        &mut self,
        waits_for: impl Fn(For) -> bool,
        read: Option<&Result<Pair, Error>>,
    ) -> Vec<(usize, FlightId)> {
        // What waits for a thread has been told already.
        let parked = self
            .parked
            .iter_mut()
            .filter(|(_, parked_for)| *parked_for != For::Thread && waits_for(*parked_for));
        parked
            .map(|(flight, parked_for)| {
                *parked_for = For::Thread;
                flight.fresh_pair = read.cloned();
                (flight.slot.index, flight.id)
            })
            .collect()
    }
}

impl Shared {
    /// Has a fetch wait, on no thread.
    pub(super) fn park(self: &Arc<Self>, flight: Flight, parked_for: For) {
        let (index, id) = (flight.slot.index, flight.id);
        let now = self.clock.now();
        {
            let mut state = self.state();
            if state.closed || !state.cells[index].entry.waits_for_credentials(id, now) {
                return;
            }
            state.publish_serve_until(&self.options.policy, index, now);
        }
        let (former, begins, hung) = {
            let mut reading = self.reading.lock();
            // An entry has one fetch: what was parked for it has been given up.
            let former = reading.parked.iter().position(|(other, _)| other.slot.index == index);
            let former = former.map(|place| reading.parked.swap_remove(place));
            reading.parked.push((flight, parked_for));
            let begins = match parked_for {
                For::Credentials(refused) => {
                    reading.begins(refused, now).map(|begins| (refused, begins))
                }
                For::Trial | For::Thread => None,
            };
            let hung_since = now.before(policy::FILE_PATIENCE);
            let hung = [false, true].into_iter().find(|refused| {
                parked_for == For::Credentials(*refused)
                    && reading.asked.is_under_way_since(refused, hung_since)
            });
            (former, begins, hung)
        };
        drop(former);
        if let Some((refused, (ticket, anew))) = begins {
            self.begin_asking(refused, ticket, anew);
        }
        if let Some(refused) = hung {
            self.do_without_files(refused);
        }
        // What has ended in the meantime has told those who were parked then.
        if self.source.given().is_some() {
            self.release_parked(|_| true, None);
        }
        self.end_trial();
        if self.state().closed {
            self.drop_parked();
        }
    }

    /// Asks for the credentials, unless somebody does already.
    fn ask_source(self: &Arc<Self>, refused: bool) {
        let now = self.clock.now();
        let begins = self.reading.lock().begins(refused, now);
        if let Some((ticket, anew)) = begins {
            self.begin_asking(refused, ticket, anew);
        }
    }

    fn begin_asking(self: &Arc<Self>, refused: bool, ticket: Ticket, anew: bool) {
        let shared = Arc::downgrade(self);
        let address = Arc::as_ptr(self) as usize;
        let Some(ask) = self.source.ask() else {
            // Rotated just now: whoever is parked is told so.
            self.reading.lock().asked.end(&refused, ticket, false);
            return;
        };
        if self.source.is_files() {
            let late = Clock::System.now().after(policy::FILE_PATIENCE);
            threads::at(late, shared.clone(), move |shared| {
                let is_open = shared.reading.lock().asked.is_open(ticket);
                if is_open {
                    shared.do_without_files(refused);
                }
            });
        }
        ask.begin(address, refused, anew, move |read| {
            if let Some(shared) = shared.upgrade() {
                shared.have_read(refused, ticket, read.map(|read| read.credentials));
            }
        });
    }

    /// Files hang, and so cannot be read: fetches that wait for them go on with the pair that was
    /// read last.
    fn do_without_files(self: &Arc<Self>, refused: bool) {
        if let Some((pair, change)) = self.source.last_of_files() {
            self.note_change(&pair, change);
            self.release_parked(|parked| parked == For::Credentials(refused), Some(&Ok(pair)));
        }
    }

    /// The credentials have come, or the reason why not.
    fn have_read(
        self: &Arc<Self>,
        refused: bool,
        ticket: Ticket,
        read: Result<Credentials, Error>,
    ) {
        {
            let mut reading = self.reading.lock();
            if !reading.asked.is_news(&refused, ticket) && !reading.waits_for(refused) {
                reading.asked.end(&refused, ticket, false);
                return;
            }
        }
        let read = self.source.adopt(read).map(|(pair, change)| {
            self.note_change(&pair, change);
            pair
        });
        let (released, looker) = {
            let mut reading = self.reading.lock();
            reading.asked.end(&refused, ticket, read.is_ok());
            let parked = |parked| parked == For::Credentials(refused);
            (reading.release(parked, Some(&read)), reading.looker.take())
        };
        if let Some(looker) = looker {
            looker.put(());
        }
        self.let_go_on(released);
    }

    /// If files hold something else than they did, what the former credentials earned is forgotten. If
    /// they cannot be read any more, or can be again, whoever listens to events is told.
    fn note_change(self: &Arc<Self>, pair: &Pair, change: Change) {
        if let Some(event) = change.told {
            self.events.tell(|| event);
        }
        if !change.is_other {
            return;
        }
        let now = self.clock.now();
        let entries = {
            let mut state = self.state();
            state.credentials_changed(&self.options.policy, pair.version, now);
            0..state.cells.len()
        };
        self.keep_warm(entries);
    }

    /// Lets parked fetches go on, each on a thread.
    pub(super) fn release_parked(
        self: &Arc<Self>,
        waits_for: impl Fn(For) -> bool,
        read: Option<&Result<Pair, Error>>,
    ) {
        let released = self.reading.lock().release(waits_for, read);
        self.let_go_on(released);
    }

    fn let_go_on(self: &Arc<Self>, released: Vec<(usize, FlightId)>) {
        for (index, id) in released {
            let rank = {
                let state = self.state();
                let entry = &state.cells[index].entry;
                if state.closed || entry.flight() != Some(id) {
                    continue;
                }
                if entry.is_awaited() { Rank::Awaited } else { Rank::Background }
            };
            // Without a thread the fetch is withdrawn, and its callers are told.
            let _ = self.start_flight(index, id, rank);
        }
    }

    /// Takes up a parked fetch that may go on; `None`: there is none of this name.
    pub(super) fn take_up(self: &Arc<Self>, index: usize, id: FlightId) -> Option<Flight> {
        let mut flight = {
            let mut reading = self.reading.lock();
            let is_it = |(flight, parked_for): &(Flight, For)| {
                *parked_for == For::Thread && (flight.slot.index, flight.id) == (index, id)
            };
            let place = reading.parked.iter().position(is_it)?;
            reading.parked.swap_remove(place).0
        };
        let now = self.clock.now();
        let mut state = self.state();
        let waited = state.cells[index].entry.goes_on(id, now);
        state.publish_serve_until(&self.options.policy, index, now);
        drop(state);
        flight.attempts.stood_still(waited?);
        Some(flight)
    }

    /// The client is closed: nobody waits for anything.
    pub(super) fn drop_parked(&self) {
        let parked = std::mem::take(&mut self.reading.lock().parked);
        drop(parked);
    }

    // --- what hangs -------------------------------------------------------------------------

    /// Somebody waits for a fetch that waits for its credentials: if they have not come for long,
    /// they are asked for once more.
    pub(super) fn ask_source_again(self: &Arc<Self>) {
        let now = self.clock.now();
        for refused in [false, true] {
            let begins = {
                let mut reading = self.reading.lock();
                // What has just come is on its way to those who wait.
                let is_awaited = reading.waits_for(refused)
                    && reading.asked.is_under_way(|asked| *asked == refused);
                is_awaited.then(|| reading.begins(refused, now)).flatten()
            };
            if let Some((ticket, anew)) = begins {
                self.begin_asking(refused, ticket, anew);
            }
        }
        // A read that has hung for long holds no place any more: another one may begin.
        threads::start_waiting_jobs();
    }

    /// No longer counts on what has been asked for a second or longer: the next to ask begins anew.
    pub(super) fn doubt_source(&self, now: BootTime) {
        let mut reading = self.reading.lock();
        for refused in [false, true] {
            reading.asked.doubt(&refused, now.before(policy::MIN_SPACING));
        }
    }

    /// Gives up the entry's fetch if it has overrun its time, or if its credentials do not come and
    /// nobody waits for it any more.
    pub(super) fn give_up_overrun(self: &Arc<Self>, index: usize) {
        let now = self.clock.now();
        let (given_up, is_unread, waiters, slot, wait) = {
            let mut state = self.state();
            let (cell, limits) = state.cell(index);
            let given_up = cell.entry.give_up(limits, now, &mut SystemRandom);
            let is_unread = cell.entry.is_unread();
            let wait = cell.entry.next_request_in(limits, now);
            let mut waiters = Vec::new();
            if let Some(given_up) = &given_up {
                cell.counters.failures += 1;
                cell.counters.last_error = Some(given_up.kind());
                waiters = cell.end_fetch();
                if matches!(given_up, GivenUp::Unread) {
                    // Their time has passed, and that is what they are told.
                    cell.waiters = std::mem::take(&mut waiters);
                }
            }
            let slot = cell.slot.clone();
            if given_up.is_some() {
                state.publish_serve_until(&self.options.policy, index, now);
            }
            (given_up, is_unread, waiters, slot, wait)
        };
        match given_up {
            None if is_unread => return self.ask_source_again(),
            None => return,
            Some(GivenUp::Overrun(error)) => {
                self.tell_given_up(&slot, error.kind(), error.message(), wait);
                wait::end_elsewhere(waiters, &error.with_retry_after(Some(wait)));
            }
            Some(GivenUp::Unread) => {
                self.doubt_source(now);
                let why = format!(
                    "no credentials for the token request: {}, and nobody waits for it any more",
                    self.source.what_is_awaited()
                );
                self.tell_given_up(&slot, ErrorKind::Credentials, &why, wait);
            }
        }
        self.end_trial();
        threads::start_waiting_jobs();
    }

    fn tell_given_up(&self, slot: &Slot, kind: ErrorKind, why: &str, wait: Duration) {
        self.tell(slot, || {
            let mut event = Event::new(EventKind::FetchFailed, why);
            event.error = Some(kind);
            event.wait = Some(wait);
            event
        });
    }

    /// What the entry's fetch waits for, if it waits for its credentials, or its successor will.
    pub(super) fn what_is_unread(self: &Arc<Self>, index: usize) -> Option<String> {
        let now = self.clock.now();
        let is_unread = self.state().cells[index].entry.is_unread();
        let is_asked = {
            let reading = self.reading.lock();
            let by = if is_unread { now } else { now.before(policy::MIN_SPACING) };
            [false, true].iter().any(|refused| reading.asked.is_under_way_since(refused, by))
        };
        is_asked.then(|| self.source.what_is_awaited())
    }

    // --- files ---------------------------------------------------------------------------------

    /// Credential files that cannot be read are a mistake in the options, told at once.
    pub(super) fn check_files(&self) -> Result<(), Error> {
        if !self.source.is_files() {
            return Ok(());
        }
        let read = self.source.read_within(self.options.file_patience());
        let (_, exposed) = read.map_err(|error| match error.kind() {
            ErrorKind::Credentials => Error::config(error.message()),
            _ => error,
        })?;
        for path in exposed.into_iter().flatten() {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    format!("{} can be read by other users of this machine", path.display()),
                )
            });
        }
        Ok(())
    }

    /// While callers fail, credential files are looked at once a second: the person who mends them
    /// should not have to wait, or to restart anything. A thread waits for it for a moment at most.
    pub(super) fn look_at_files(self: &Arc<Self>, patience: Duration) -> Look {
        if !self.source.is_files() {
            return Look::NotDue;
        }
        let now = self.clock.now();
        let is_due = {
            let looked_at = &mut self.state().looked_at_files;
            let is_due = now.since(*looked_at) >= policy::FILE_LOOK_SPACING;
            if is_due {
                *looked_at = now;
            }
            is_due
        };
        if !is_due {
            return Look::NotDue;
        }
        let looked = Arc::new(Mailbox::default());
        self.reading.lock().looker = Some(looked.clone());
        self.ask_source(false);
        let clock = Clock::System;
        let has_ended =
            !patience.is_zero() && looked.take(&clock, clock.now().after(patience)).is_some();
        if has_ended { Look::Ended } else { Look::Begun }
    }
}
