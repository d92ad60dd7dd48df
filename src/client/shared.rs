//! What a program's handles and our threads have in common, and what changes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::names::Names;
use super::reading::Reading;
use super::state::{ClientState, Found, Slot};
use super::{Stats, fetch, wait};
use crate::cache::{Random, policy};
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

/// Most spellings of scopes that are remembered; further ones are read at each call.
const MOST_SPELLINGS: u32 = 40_000;

/// What the program's handles and our threads have in common.
pub(crate) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) source: Source,
    pub(super) endpoint: Endpoint,
    /// `None`: tokens stay in this process's memory.
    pub(super) store: Option<Bounded>,
    pub(super) events: Arc<EventQueue>,
    /// The entry of the client's own scope: no look-up.
    pub(super) own: Option<Arc<Slot>>,
    pub(super) names: Names<Arc<Slot>>,
    pub(super) spellings: AtomicU32,
    /// Every entry's slot; the state has it as well.
    pub(super) scopes: Arc<Names<Arc<Slot>>>,
    /// The state says so as well, if a fork has left it whole.
    pub(super) closed: AtomicBool,
    /// The fork generation that the published tokens belong to.
    pub(super) generation: AtomicU32,
    pub(super) state: Locked<ClientState>,
    pub(super) reading: Locked<Reading>,
}

/// Chance from the operating system: forked children draw different numbers.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    #[cfg(all(test, feature = "shuttle"))]
    fn unit(&mut self) -> f64 {
        crate::schedules::time::chance()
    }

    #[cfg(not(all(test, feature = "shuttle")))]
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

impl Shared {
    /// The state, made this process's own if it was the parent's, and told what the process knows of
    /// logins to the proxy.
    pub(super) fn state(self: &Arc<Self>) -> Guard<'_, ClientState> {
        loop {
            let refused = self.endpoint.refused_login();
            match self.own_state() {
                Ok(mut state) => {
                    state.limits.set_login(refused);
                    return state;
                }
                Err(None) => {}
                Err(Some(entries)) => {
                    let message = "this process is a fork; the client goes on";
                    self.events.tell(|| Event::new(EventKind::Fork, message));
                    self.keep_warm(0..entries);
                }
            }
        }
    }

    /// The state if it is this process's own. If not, it has been made that, by this call if it says
    /// how many entries there are.
    fn own_state(&self) -> Result<Guard<'_, ClientState>, Option<usize>> {
        let generation = process::generation();
        let mut state = self.state.lock();
        if state.found == Found::Own {
            return Ok(state);
        }
        if generation != process::generation() {
            // A signal handler has forked on the way here.
            return Err(None);
        }
        let policy = &self.options.policy;
        if state.found == Found::Blank {
            state.begin_anew(policy, generation, self.clock.reading(), &self.scopes);
            state.closed = self.closed.load(Ordering::SeqCst);
        } else {
            state.forked(policy, self.clock.now(), &mut SystemRandom);
        }
        self.generation.store(generation, Ordering::Release);
        let entries = state.cells.len();
        drop(state);
        // What else the parent's callers wait for is let go of now, not when it is next met.
        drop(self.reading.lock());
        wait::forget_parents_answers();
        threads::forget_parents_events();
        Err(Some(entries))
    }

    pub(super) fn closed_error() -> Error {
        Error::new(ErrorKind::Closed, "the client is closed; make a new one to get tokens")
    }

    /// The entry a scope stands for. Reads the scope only the first time it is spelled so.
    pub(super) fn slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        match self.slot_ref(scope.map(str::as_bytes)) {
            Some(slot) => Ok(slot.clone()),
            None => self.new_slot(scope),
        }
    }

    pub(super) fn new_slot(self: &Arc<Self>, scope: Option<&str>) -> Result<Arc<Slot>, Error> {
        let Some(name) = scope else {
            return Err(Error::argument(self.options.no_scope));
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

    pub(super) fn invalidate(self: &Arc<Self>, value: &str) {
        let now = self.clock.now();
        let fingerprint = fetch::fingerprint(value);
        let mut dropped = Vec::new();
        let mut doubt = false;
        {
            let mut state = self.state();
            for index in 0..state.cells.len() {
                let cell = &mut state.cells[index];
                // Once a token: an endpoint that hands the same one out again is not asked in
                // circles.
                let is_repeat = fingerprint.is_some() && cell.invalidated == fingerprint;
                let Some(token) = cell.slot.current.read().filter(|_| !is_repeat) else { continue };
                let age = cell.entry.life().map(|life| now.since(life.requested_at));
                if token.value() == value && cell.entry.invalidate(token.serial()) {
                    cell.slot.current.clear();
                    cell.invalidated.clone_from(&fingerprint);
                    dropped.push((cell.slot.clone(), cell.seal.clone()));
                    let is_young = age.is_some_and(|age| age < policy::JUST_FETCHED);
                    doubt |= is_young && !std::mem::replace(&mut state.v2_was_doubted, true);
                    state.publish_serve_until(&self.options.policy, index, now);
                }
            }
        }
        for (slot, seal) in &dropped {
            self.drop_from_store(seal, value);
            self.tell(slot, || {
                let mut event = Event::new(
                    EventKind::Invalidated,
                    "an API refused the token; the next call gets another",
                );
                event.fingerprint.clone_from(&fingerprint);
                event
            });
        }
        if doubt {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    "an API refused a token that was just fetched: it may not accept API Tokens v2 \
                     yet, or the key may have been revoked",
                )
            });
        }
        self.keep_warm(dropped.iter().map(|(slot, _)| slot.index));
    }

    pub(super) fn api_refused(self: &Arc<Self>, url: &str) {
        let Some(host) = host_to_send_to(url, &self.options.api_hosts) else { return };
        let is_new = add_new(&mut self.state().doubted_hosts, host.clone());
        if is_new {
            self.events.tell(|| {
                Event::new(
                    EventKind::Warning,
                    format!(
                        "{host} refused a token that was fetched for this very call: it may not \
                         accept API Tokens v2 yet"
                    ),
                )
            });
        }
    }

    pub(super) fn rotate(self: &Arc<Self>, credentials: Credentials) -> Result<(), Error> {
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
        // Whoever waits for what the former source gives, waits for nothing.
        self.release_parked(|_| true, None);
        self.keep_warm(entries);
        self.events.tell(|| Event::new(EventKind::Rotated, "the client has new credentials"));
        Ok(())
    }

    pub(super) fn wake(self: &Arc<Self>) {
        // First, so that no fetch that begins now shares a look-up of before.
        names::wake();
        let now = self.clock.now();
        let mut bells = Vec::new();
        let entries;
        self.endpoint.wake();
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
        // Where a function asks for them may be beyond the network that was away.
        self.doubt_source(now);
        self.ask_source_again();
        self.keep_warm(entries);
    }

    pub(super) fn stats(self: &Arc<Self>, scope: Option<&str>) -> Result<Stats, Error> {
        threads::catch_up();
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

    pub(super) fn close(self: &Arc<Self>) {
        let (mut waiters, mut bells) = (Vec::new(), Vec::new());
        self.closed.store(true, Ordering::SeqCst);
        {
            // A child that only closes the client needs no renewals and no threads.
            let mut state = loop {
                if let Ok(state) = self.own_state() {
                    break state;
                }
            };
            state.closed = true;
            state.trial = None;
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
        self.drop_parked();
    }

    /// Lets the client's functions go, each as soon as no call of it runs; events that wait to be told
    /// are told before.
    pub(super) fn release_functions(&self) {
        self.source.release();
        self.events.release();
    }
}
