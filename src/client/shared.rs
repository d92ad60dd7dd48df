//! What a client's handles and the library's threads share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Stats;
use super::drive::StepContext;
use super::messages::{error_of, fingerprint};
use super::names::Names;
use super::state::{Chance, ClientState, Found, Seat, Slot, Slots};
use super::wait;
use crate::cache::core::Settings;
use crate::cache::counters::LastError;
use crate::cache::input::Input;
use crate::cache::jumps::Jump;
use crate::clock::Clock;
use crate::config::api_hosts::host_to_send_to;
use crate::config::options::Options;
use crate::credentials::{Credentials, Source};
use crate::endpoint::{Endpoint, names};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind, EventQueue};
use crate::lists::add_new;
use crate::process::{self, Guard, Locked};
use crate::scope::ScopeSet;
use crate::store::Bounded;
use crate::sync::atomic::{AtomicBool, AtomicU32};
use crate::threads;

/// Maximum number of scope spellings remembered; others are parsed at each call.
const MAX_SPELLINGS: u32 = 40_000;

/// What a client's handles and the library's threads share.
pub(crate) struct Shared {
    pub(super) options: Arc<Options>,
    pub(super) clock: Clock,
    pub(super) source: Source,
    pub(super) endpoint: Endpoint,
    /// `None`: tokens are only kept in memory.
    pub(super) store: Option<Bounded>,
    pub(super) events: Arc<EventQueue>,
    /// The slot of the client's own scope, which needs no lookup.
    pub(super) own: Option<Arc<Slot>>,
    /// The other slots by canonical scope.
    pub(super) scopes: Names<Arc<Slot>>,
    /// Slots by scopes as callers spell them.
    pub(super) names: Names<Arc<Slot>>,
    pub(super) spellings: AtomicU32,
    /// Also in the state, unless a fork has left that inconsistent.
    pub(super) closed: AtomicBool,
    /// The fork generation of the published tokens.
    pub(super) generation: AtomicU32,
    pub(super) state: Locked<ClientState>,
}

impl Shared {
    /// The state. After a fork, it is made this process's own first.
    pub(super) fn state(self: &Arc<Self>) -> Guard<'_, ClientState> {
        #[cfg(test)]
        super::lock_counts::note();
        loop {
            let state = self.state.lock();
            if state.found == Found::Own {
                return state;
            }
            drop(state);
            self.adopt(None);
        }
    }

    /// Tells the core about a fork, if it does not know yet. `first`: input to be handled before
    /// that.
    fn adopt(self: &Arc<Self>, first: Option<Input<Error>>) {
        let (chance, refused_login) = (Chance::draw(), self.endpoint.refused_login());
        let generation = process::generation();
        let mut context = StepContext::default();
        let (is_closed, step, laters) = {
            let mut state = self.state.lock();
            // A signal handler may have forked on the way here.
            if state.found == Found::Own || generation != process::generation() {
                return;
            }
            let now = self.clock.now();
            let mut first = first;
            if state.found == Found::Blank {
                let settings = settings(&self.options, self.own.is_some(), self.store.as_ref());
                state.rebuild(settings, generation, self.clock.reading(), self.slots());
                let was_closed = self.closed.load(Ordering::SeqCst);
                first = first.or(was_closed.then_some(Input::Close));
            }
            state.found = Found::Own;
            if let Some(first) = first {
                state.take(now, Chance::default(), None, first);
            }
            let outputs = state.take(now, chance, refused_login, Input::Forked);
            self.generation.store(generation, Ordering::Release);
            let (is_closed, step) = (state.core.is_closed(), outputs.step);
            (is_closed, step, self.settle(&mut state, &mut context, outputs, now))
        };
        // Drop everything else that the parent's callers wait for now, not at its next use.
        wait::drop_parents_callbacks();
        threads::forget_parents_events();
        if !is_closed {
            let message = "the process forked; the client continues in the child";
            self.events.tell(|| Event::new(EventKind::Fork, message));
        }
        self.carry_out(&mut context, step, laters);
    }

    pub(super) fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "the client is closed; create a new one")
    }

    /// The slot of a scope. Parses the scope only the first time it is spelled like this.
    pub(super) fn slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        match self.slot_ref(scope.map(str::as_bytes)) {
            Some(slot) => Ok(slot.clone()),
            None => self.new_slot(scope),
        }
    }

    fn slots(&self) -> Slots<'_> {
        Slots { own: self.own.as_ref(), others: &self.scopes }
    }

    pub(super) fn new_slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        let Some(name) = scope else {
            return Err(Error::argument(self.options.no_scope));
        };
        let parsed = ScopeSet::parse(name)?;
        let now = self.clock.now();
        let slot = self.state().slot_for(parsed, now, self.slots())?;
        if self.spellings.load(Ordering::Relaxed) < MAX_SPELLINGS {
            self.spellings.fetch_add(1, Ordering::Relaxed);
            self.names.insert(name, slot.clone());
        }
        Ok(slot)
    }

    pub(super) fn invalidate(self: &Arc<Self>, value: &str) {
        let fingerprint = fingerprint(value);
        let mut next = 0;
        loop {
            let mut dropped = None;
            let mut context =
                StepContext { fingerprint: fingerprint.clone(), ..StepContext::default() };
            self.step(&mut context, &mut |state, _, _| {
                let seats = state.seats.iter_mut().enumerate().skip(next);
                let is_it = |seat: &Seat| {
                    // Once per token: an endpoint that returns the same token again must not be
                    // asked in a loop.
                    seat.shows(value) && !(fingerprint.is_some() && seat.invalidated == fingerprint)
                };
                let (entry, seat) = seats.into_iter().find(|(_, seat)| is_it(seat))?;
                let serial = seat.slot.current.read()?.serial();
                seat.invalidated.clone_from(&fingerprint);
                dropped = Some(seat.seal.clone());
                next = entry + 1;
                Some(Input::Invalidate { entry, serial })
            });
            let Some(seal) = dropped else { return };
            self.drop_from_store(&seal, value);
        }
    }

    pub(super) fn api_refused(self: &Arc<Self>, url: &str) {
        let Some(host) = host_to_send_to(url, &self.options.api_hosts) else { return };
        let is_new = add_new(&mut self.state().warned_hosts, host.clone());
        if is_new {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    format!(
                        "{host} refused a token fetched for this very request: it may not \
                         accept API Tokens v2 yet"
                    ),
                )
            });
        }
    }

    pub(super) fn rotate(self: &Arc<Self>, credentials: Credentials) -> Result<(), Error> {
        if self.state().core.is_closed() {
            return Err(Self::closed_error());
        }
        let version = self.source.rotate(credentials);
        self.step(&mut StepContext::default(), &mut |_, _, _| Some(Input::Rotated { version }));
        self.events.tell(|| Event::new(EventKind::Rotated, "the client has new credentials"));
        Ok(())
    }

    pub(super) fn wake(self: &Arc<Self>) {
        // First, so that a fetch that starts now does not share an old name lookup.
        names::wake();
        self.endpoint.wake();
        self.step(&mut StepContext::default(), &mut |_, _, _| Some(Input::Wake));
    }

    pub(super) fn stats(self: &Arc<Self>, scope: Option<&str>) -> Result<Stats, Error> {
        threads::catch_up();
        let slot = self.slot(scope)?;
        let (entry, refused_login) = (slot.index, self.endpoint.refused_login());
        let mut state = self.state();
        let (now, core) = (self.clock.now(), &mut state.core);
        let counters = core.counters(entry).clone();
        let life = core.life(entry).copied();
        Ok(Stats {
            state: core.state(entry, now),
            last_error: counters.last_error.map(|error| match *error {
                LastError::Fault(fault) => error_of(&fault).kind(),
                LastError::CredentialsPending => ErrorKind::Credentials,
            }),
            expires_in: life.map_or(Duration::ZERO, |life| life.expires_at().until(now)),
            next_request_in: core.next_request_in(entry, now, refused_login),
            last_fetch: counters.last_fetch,
            waits: counters.waits,
            requests: counters.requests,
            renewals: counters.renewals,
            failures: counters.failures,
        })
    }

    pub(super) fn close(self: &Arc<Self>) {
        self.closed.store(true, Ordering::SeqCst);
        // A child that only closes the client needs no renewals and no threads.
        self.adopt(Some(Input::Close));
        let mut forgotten = Vec::new();
        self.step(&mut StepContext::default(), &mut |state, _, _| {
            forgotten = std::mem::take(&mut state.fetches);
            state.tried = None;
            Some(Input::Close)
        });
        for fetch in forgotten {
            if let Some(bell) = &fetch.bell {
                bell.put(());
            }
        }
    }

    /// Reports a suspend or a wall clock change.
    pub(super) fn report_jump(&self, jump: Jump) {
        let (what, by) = match jump {
            Jump::Slept(by) => ("the machine slept for", by),
            Jump::Forward(by) => ("the wall clock was set forward by", by),
            Jump::Back(by) => ("the wall clock was set back by", by),
        };
        self.events.tell(|| {
            let message = format!("{what} {} s; cached tokens expire as before", by.as_secs());
            let mut event = Event::new(EventKind::Clock, message);
            event.duration = by;
            event
        });
    }

    /// Reports oddities of the files used for connections.
    pub(super) fn report_trust(&self) {
        for message in self.endpoint.news() {
            self.events.tell(|| Event::new(EventKind::Warning, message));
        }
    }

    /// Releases the client's callbacks, each as soon as no call of it is running; pending events
    /// are delivered first.
    pub(super) fn release_functions(&self) {
        self.source.release();
        self.events.release();
    }
}

/// The core's settings, from the options. `has_own`: the client has a scope of its own.
pub(super) fn settings(options: &Options, has_own: bool, store: Option<&Bounded>) -> Settings {
    Settings {
        policy: options.policy.clone(),
        keep_warm: options.keep_warm,
        // The client's own scope is its first entry.
        own: has_own.then_some(0),
        store_timeout: store.map(Bounded::timeout),
    }
}
