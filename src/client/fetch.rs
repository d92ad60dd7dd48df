//! A fetch's way, on a thread of ours: credentials, request, answer, and who is told.

use std::sync::Arc;
use std::time::Duration;

use once_cell::race::OnceBox;

use super::reading::For;
use super::shared::{Shared, SystemRandom};
use super::state::Slot;
use super::stored::Stored;
use super::wait::{self, Waiter};
use crate::cache::entry::{FlightId, Grant, State};
use crate::cache::flight::{Attempts, Class, Failure};
use crate::cache::jumps::Jump;
use crate::cache::limits::Blocked;
use crate::cache::policy;
use crate::clock::BootTime;
use crate::credentials::Pair;
use crate::endpoint::{Granted, TimeLimit};
use crate::error::{Cause, Error, ErrorKind};
use crate::events::{Event, EventKind};
use crate::life::Life;
use crate::process::Mailbox;
use crate::token::Token;

/// A fetch under way.
pub(super) struct Flight {
    pub(super) id: FlightId,
    pub(super) slot: Arc<Slot>,
    pub(super) attempts: Attempts,
    /// Rung to end a pause.
    pub(super) bell: Arc<Mailbox<()>>,
    pub(super) started: BootTime,
    /// When the attempt that is under way began: to read the credentials, then to ask.
    attempt_began: BootTime,
    /// It is past its look into the store, and has told that it asks for a token.
    has_told: bool,
    /// A refused pair was read again from its source; once a fetch.
    pub(super) reread: bool,
    /// How often it asked again because its pair had been replaced.
    replaced: u32,
    /// A pair that was refused, and how, while its source is asked for another.
    pub(super) refused: Option<(Failure, Pair)>,
    /// What was read: for the next attempt.
    pub(super) fresh_pair: Option<Result<Pair, Error>>,
    /// What it has to do with the store, if there is one.
    pub(super) stored: Stored,
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Endpoint,
    /// Its renewal was begun so often without a success, and may be begun again then.
    Store {
        tried: u64,
        again_at: BootTime,
    },
}

/// What one attempt led to.
pub(super) enum Step {
    Granted(Granted, BootTime),
    /// Try again at this time.
    Again(BootTime),
    /// With the version of the credentials it was told about, and what the program's function failed
    /// with.
    Failed(Failure, u64, Option<Arc<Cause>>),
    /// The client was closed, the fetch given up, or a callback forked and this is the child.
    Unwanted,
    /// Not allowed to ask; nothing was learned about the endpoint.
    Blocked(Error),
    /// It waits, and holds no thread.
    Park(For),
}

/// How a fetch whose last attempt failed ends.
enum End {
    /// Not at all: its credentials have been replaced.
    Replaced,
    /// The client was closed, or the fetch had been given up.
    Nobodys,
    Failed {
        waiters: Vec<Arc<Waiter>>,
        serving: bool,
    },
}

impl Flight {
    /// Whether it may ask again because its pair was replaced meanwhile.
    pub(super) fn may_be_replaced(&mut self) -> bool {
        self.replaced += 1;
        self.replaced <= policy::MOST_REPLACED
    }
}

impl Shared {
    pub(super) fn run_flight(self: &Arc<Self>, index: usize, id: FlightId) {
        self.notice_jumps();
        let flight = self.take_up(index, id).or_else(|| self.begin(index, id));
        if let Some(flight) = flight {
            self.go_on(flight);
        }
    }

    /// Goes on with a fetch until it ends, or has to wait for its credentials.
    fn go_on(self: &Arc<Self>, mut flight: Flight) {
        let (index, id) = (flight.slot.index, flight.id);
        loop {
            match self.step(&mut flight) {
                Step::Unwanted => return,
                Step::Park(parked_for) => return self.park(flight, parked_for),
                Step::Granted(granted, requested_at) => {
                    return self.succeed(&flight, &granted, requested_at, Origin::Endpoint);
                }
                Step::Failed(failure, version, cause) => {
                    if self.fail(&mut flight, failure, version, cause) {
                        return;
                    }
                }
                Step::Blocked(error) => return self.withdraw_flight(index, id, &error),
                Step::Again(at) => {
                    flight.bell.take(&self.clock, at);
                    if !self.is_wanted(&flight) {
                        return;
                    }
                    flight.attempt_began = self.clock.now();
                }
            }
        }
    }

    fn step(self: &Arc<Self>, flight: &mut Flight) -> Step {
        if let Some((failure, pair)) = flight.refused.take() {
            return self.after_asking_anew(flight, failure, &pair);
        }
        if !flight.has_told {
            if self.store.is_some() {
                if flight.fresh_pair.is_none() {
                    let Some(read) = self.source.given() else {
                        return Step::Park(For::Credentials(false));
                    };
                    flight.fresh_pair = Some(read);
                }
                if !self.must_ask_endpoint(flight) {
                    return Step::Unwanted;
                }
            }
            flight.has_told = true;
            self.tell(&flight.slot, || Event::new(EventKind::FetchStarted, "asking for a token"));
        }
        self.attempt(flight)
    }

    fn begin(self: &Arc<Self>, index: usize, id: FlightId) -> Option<Flight> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let (cell, limits) = state.cell(index);
        let has_waiters = cell.has_waiters();
        let begun = cell.entry.begin(&self.options.policy, limits, id, has_waiters, now);
        if self.store.is_some() {
            let at = now.after(self.longest_store_look());
            cell.entry.begins_at(&self.options.policy, id, at);
        }
        let Some(attempts) = begun else {
            if cell.entry.flight().is_none() {
                cell.job = None;
            }
            state.publish_serve_until(&self.options.policy, index, now);
            return None;
        };
        let bell = Arc::<Mailbox<()>>::default();
        cell.bell = Some(bell.clone());
        let slot = cell.slot.clone();
        state.publish_serve_until(&self.options.policy, index, now);
        Some(Flight {
            id,
            slot,
            attempts,
            bell,
            started: now,
            attempt_began: now,
            has_told: false,
            reread: false,
            replaced: 0,
            refused: None,
            fresh_pair: None,
            stored: Stored::default(),
        })
    }

    pub(super) fn is_wanted(self: &Arc<Self>, flight: &Flight) -> bool {
        let state = self.state();
        !state.closed && state.cells[flight.slot.index].entry.flight() == Some(flight.id)
    }

    fn attempt(self: &Arc<Self>, flight: &mut Flight) -> Step {
        let Some(read) = flight.fresh_pair.take().or_else(|| self.source.given()) else {
            return Step::Park(For::Credentials(false));
        };
        if !self.is_wanted(flight) {
            return Step::Unwanted;
        }
        let pair = match read {
            Ok(pair) => pair,
            // No thread could be started to read them.
            Err(error) if error.kind() == ErrorKind::Internal => return Step::Blocked(error),
            Err(error) => {
                flight.attempts.next(self.clock.now());
                return self.attempt_failed(
                    flight,
                    Failure::transient(error),
                    self.source.version(),
                );
            }
        };
        let limit = match self.may_request(flight) {
            Ok(limit) => limit,
            Err(blocked) => return self.wait_out(flight, &blocked),
        };
        let requested_at = self.clock.now();
        flight.attempt_began = requested_at;
        let asked =
            self.endpoint.fetch(&self.options, &pair.credentials, &flight.slot.scope, limit);
        self.tell_news();
        match asked {
            Ok(granted) => self.granted(flight, granted, requested_at, pair),
            Err(failure) => self.refused_or_failed(flight, failure, pair),
        }
    }

    /// The endpoint granted a token. It may end before anybody has it, on its way here or while it
    /// is saved: that is a failure like another.
    fn granted(
        self: &Arc<Self>,
        flight: &mut Flight,
        granted: Granted,
        requested_at: BootTime,
        pair: Pair,
    ) -> Step {
        let version = pair.version;
        let has_ended = || requested_at.after(granted.lifetime) <= self.clock.now();
        if !has_ended() {
            flight.stored.used = Some(pair);
            // First: a command may end as soon as it has its token.
            self.put_into_store(flight, &granted, requested_at);
        }
        if !has_ended() {
            return Step::Granted(granted, requested_at);
        }
        let error = Error::new(
            ErrorKind::BadResponse,
            format!("the token had ended before it arrived: it lives {:?}", granted.lifetime),
        );
        self.attempt_failed(flight, Failure::transient(error), version)
    }

    /// Counts the request if it may be sent.
    fn may_request(self: &Arc<Self>, flight: &mut Flight) -> Result<TimeLimit, Blocked> {
        let now = self.clock.now();
        let mut state = self.state();
        state.limits.may_request(now)?;
        state.limits.count_request(now);
        state.cells[flight.slot.index].counters.requests += 1;
        let spent = flight.attempts.spent(&self.options.policy, now);
        Ok(TimeLimit { attempt: flight.attempts.next(now), spent })
    }

    /// A wait that ends inside the fetch is waited for, any other ends the fetch.
    fn wait_out(self: &Arc<Self>, flight: &Flight, blocked: &Blocked) -> Step {
        if let Some(at) = flight.attempts.within(blocked.until) {
            return Step::Again(at);
        }
        let now = self.clock.now();
        let error = blocked.error_at(now).unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, "a fetch was blocked for no known reason")
        });
        self.tell_budget(&flight.slot, &error);
        Step::Blocked(error)
    }

    pub(super) fn attempt_failed(
        self: &Arc<Self>,
        flight: &Flight,
        mut failure: Failure,
        version: u64,
    ) -> Step {
        let now = self.clock.now();
        // What is remembered is let go under the lock, where no foreign code may run. So the cause
        // goes to those who wait for this very fetch, and to nobody later.
        let cause = failure.error.take_cause();
        let again = {
            let mut state = self.state();
            let (cell, limits) = state.cell(flight.slot.index);
            let has_waiters = cell.has_waiters();
            let attempts = &flight.attempts;
            let random = &mut SystemRandom;
            cell.entry.attempt_failed(limits, attempts, &failure, has_waiters, now, random)
        };
        match again {
            Some(at) => {
                self.tell_attempt(flight, &failure.error, Some(at.until(now)), now);
                Step::Again(at)
            }
            // How long until the next is known when the fetch's end has been recorded.
            None => Step::Failed(failure, version, cause),
        }
    }

    /// Tells of a failed attempt. `wait`: until the next one, of this fetch or of another.
    fn tell_attempt(
        self: &Arc<Self>,
        flight: &Flight,
        error: &Error,
        wait: Option<Duration>,
        now: BootTime,
    ) {
        self.tell(&flight.slot, || {
            let told = error.clone().told(wait);
            let mut event = Event::new(EventKind::FetchFailed, told.message());
            event.error = Some(told.kind());
            event.http_status = told.http_status();
            event.attempt = flight.attempts.made();
            event.duration = now.since(flight.attempt_began);
            event.wait = wait;
            event
        });
    }

    pub(super) fn succeed(
        self: &Arc<Self>,
        flight: &Flight,
        granted: &Granted,
        requested_at: BootTime,
        origin: Origin,
    ) {
        let policy = &self.options.policy;
        let index = flight.slot.index;
        let now = self.clock.now();
        let was_refused;
        let (token, is_new, waiters, entries) = {
            let mut state = self.state();
            if state.closed {
                return;
            }
            let serial = state.next_serial();
            was_refused = state.limits.has_refusal();
            let (cell, limits) = state.cell(index);
            let held = cell.slot.current.read();
            let same_value =
                held.as_ref().is_some_and(|held| held.value() == granted.value.reveal());
            let was_valid = held.is_some_and(|held| held.expires_at() > now);
            let grant = Grant { serial, requested_at, lifetime: granted.lifetime, same_value };
            let is_new =
                cell.entry.granted(policy, limits, flight.id, &grant, now, &mut SystemRandom);
            let mut looks_again = false;
            if let Origin::Store { tried, again_at } = origin {
                cell.entry.found(tried, again_at);
                // About to end: its callers wait for its successor, as they would have for one that
                // this process had already.
                looks_again = cell.entry.state(policy, now) == State::Hard;
            }
            let serve_until = cell.entry.serve_until(policy, limits, now);
            if let (true, Some(life)) = (is_new, cell.entry.life()) {
                let token = self.make_token(granted, serial, life, now);
                cell.slot.current.publish(&token, serve_until);
                cell.counters.renewals += u64::from(was_valid);
            }
            cell.counters.last_fetch = now.since(flight.started);
            cell.counters.last_error = None;
            let waiters = cell.end_fetch();
            // A success ends what bound the other entries too.
            state.publish_all(policy, now);
            let entries = 0..state.cells.len();
            let token = state.valid_token(policy, index, now);
            (token.filter(|_| !looks_again).ok_or(looks_again), is_new, waiters, entries)
        };
        match origin {
            Origin::Endpoint => self.tell_success(flight, granted, now),
            Origin::Store { .. } if is_new => self.tell_hit(flight, granted, now),
            Origin::Store { .. } => {}
        }
        self.finish(
            waiters,
            token.map_err(|looks_again| match looks_again {
                true => wait::look_again(),
                false => Error::new(
                    ErrorKind::BadResponse,
                    "the token had ended before it could be handed out",
                ),
            }),
        );
        // The end of a refusal lets every entry be kept warm again.
        self.keep_warm(if was_refused { entries } else { index..index + 1 });
    }

    fn make_token(&self, granted: &Granted, serial: u64, life: &Life, now: BootTime) -> Token {
        let left = i64::try_from(life.expires_at().until(now).as_millis()).unwrap_or(i64::MAX);
        let unix_ms = self.clock.wall_ms().saturating_add(left);
        Token::new(granted.value.reveal(), &granted.scope, serial, life, unix_ms)
    }

    fn tell_success(self: &Arc<Self>, flight: &Flight, granted: &Granted, now: BootTime) {
        self.tell(&flight.slot, || {
            let mut event = Event::new(
                EventKind::FetchSucceeded,
                format!("got a token that lives {} s", granted.lifetime.as_secs()),
            );
            event.http_status = Some(200);
            event.attempt = flight.attempts.made();
            event.duration = now.since(flight.started);
            event.fingerprint = fingerprint(granted.value.reveal());
            event
        });
        for warning in &granted.warnings {
            self.tell(&flight.slot, || Event::new(EventKind::Warning, warning.as_str()));
        }
    }

    /// Records a failed fetch and tells those who wait. Not so if the credentials it was refused
    /// with have been replaced: then false, and the fetch asks again with the new ones.
    fn fail(
        self: &Arc<Self>,
        flight: &mut Flight,
        failure: Failure,
        version: u64,
        cause: Option<Arc<Cause>>,
    ) -> bool {
        let now = self.clock.now();
        let error = failure.error.clone();
        let (end, wait) = self.record(flight, failure, version, now);
        self.tell_attempt(flight, &error, wait, now);
        let (waiters, serving) = match end {
            End::Replaced => return false,
            End::Nobodys => return true,
            End::Failed { waiters, serving } => (waiters, serving),
        };
        if serving {
            // First: a command may end as soon as it has its token.
            self.put_off_renewals(flight, wait);
            self.tell(&flight.slot, || {
                let mut event = Event::new(
                    EventKind::ServedWhileFailing,
                    "the renewal failed; the token that is there is still handed out",
                );
                event.error = Some(error.kind());
                event.wait = wait;
                event
            });
        }
        self.finish(waiters, Err(error.told(wait).with_cause(cause)));
        self.keep_warm([flight.slot.index]);
        true
    }

    /// What a failed fetch changes, and how long until the next may start.
    fn record(
        self: &Arc<Self>,
        flight: &mut Flight,
        failure: Failure,
        version: u64,
        now: BootTime,
    ) -> (End, Option<Duration>) {
        let mut state = self.state();
        if state.closed {
            return (End::Nobodys, None);
        }
        let is_refusal = matches!(failure.class, Class::Refused | Class::Terminal);
        if is_refusal && version < state.credentials_version && flight.may_be_replaced() {
            return (End::Replaced, Some(Duration::ZERO));
        }
        let kind = failure.error.kind();
        let (cell, limits) = state.cell(flight.slot.index);
        let is_believed = cell.entry.failed(limits, flight.id, failure, now, &mut SystemRandom);
        let wait = Some(cell.entry.next_request_in(limits, now));
        if !is_believed {
            return (End::Nobodys, wait);
        }
        cell.counters.failures += 1;
        cell.counters.last_error = Some(kind);
        cell.counters.last_fetch = now.since(flight.started);
        let waiters = cell.end_fetch();
        let serving = cell.entry.life().is_some_and(|life| life.expires_at() > now);
        state.publish_all(&self.options.policy, now);
        (End::Failed { waiters, serving }, wait)
    }

    /// Ends a fetch that could not be made, and the waits for it. Nothing is remembered.
    pub(super) fn withdraw_flight(self: &Arc<Self>, index: usize, id: FlightId, error: &Error) {
        let now = self.clock.now();
        let waiters = {
            let mut state = self.state();
            let (cell, limits) = state.cell(index);
            if cell.entry.flight() != Some(id) {
                return;
            }
            cell.entry.withdraw(limits, id, now);
            let waiters = cell.end_fetch();
            state.publish_serve_until(&self.options.policy, index, now);
            waiters
        };
        self.finish(waiters, Err(error.clone()));
        self.keep_warm([index]);
    }

    fn finish(self: &Arc<Self>, waiters: Vec<Arc<Waiter>>, outcome: Result<Token, Error>) {
        self.end_trial();
        let outcome = outcome.map(Arc::new);
        // Threads first: a function may take its time.
        let (calls, threads): (Vec<_>, Vec<_>) =
            waiters.into_iter().partition(|waiter| waiter.is_call());
        for waiter in threads {
            waiter.complete(outcome.clone());
        }
        wait::call_soon(calls, &outcome);
    }

    /// Tells of a suspend, or of a wall clock that was set, since the last look.
    pub(super) fn notice_jumps(self: &Arc<Self>) {
        let jumps = self.state().jumps.look(self.clock.reading());
        for jump in jumps {
            let (what, by) = match jump {
                Jump::Slept(by) => ("the machine slept for", by),
                Jump::Forward(by) => ("the wall clock was set forward by", by),
                Jump::Back(by) => ("the wall clock was set back by", by),
            };
            self.events.tell(|| {
                let message =
                    format!("{what} {} s; cached tokens end when they would have", by.as_secs());
                let mut event = Event::new(EventKind::Clock, message);
                event.duration = by;
                event
            });
        }
    }

    /// Tells what is odd about the files that connections are made with.
    pub(super) fn tell_news(&self) {
        for message in self.endpoint.news() {
            self.events.tell(|| Event::new(EventKind::Warning, message));
        }
    }

    pub(super) fn tell(&self, slot: &Slot, event: impl FnOnce() -> Event) {
        self.events.tell(|| {
            let mut event = event();
            event.scope = slot.scope.canonical().to_owned();
            event
        });
    }
}

/// Eight hex digits that tell tokens apart and nothing about them: a hash keyed with chance.
pub(super) fn fingerprint(token: &str) -> Option<String> {
    static KEY: OnceBox<ring::hmac::Key> = OnceBox::new();
    let key = KEY.get_or_try_init(|| {
        let random = ring::rand::SystemRandom::new();
        ring::hmac::Key::generate(ring::hmac::HMAC_SHA256, &random).map(Box::new)
    });
    let tag = ring::hmac::sign(key.ok()?, token.as_bytes());
    Some(tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}
