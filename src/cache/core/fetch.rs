//! A fetch on its worker thread: how it begins, its attempts, and how it ends.
//!
//! A fetch that only waits (between two attempts, for a limit of the client, for another process's
//! lock) holds no thread; it gets one when the wait is over.

use std::time::Duration;

use super::super::counters::LastError;
use super::super::entry::{GivenUp, Grant, State, hard_at};
use super::super::flight::{Attempts, Failure, FlightId};
use super::super::input::{CredentialStatus, Granted, NoCredentials, Record, Source};
use super::super::limits::Blocked;
use super::super::output::{Notice, Outcome, Output, Rank, Reason, ResumeWith, Task};
use super::super::policy::{self, Policy, Renewal};
use super::visit::Visit;
use super::{Core, Entries, Fault, Settings, Step};
use crate::clock::BootTime;
use crate::life::Life;

/// One fetch, from its start to its end. An entry has one current fetch; others were given up and
/// may still report a result.
#[derive(Clone, Debug)]
pub(super) struct Flight<E> {
    pub(super) id: FlightId,
    pub(super) entry: usize,
    pub(super) stage: Stage,
    attempts: Attempts,
    began: BootTime,
    /// Start of the attempt, including the wait for its credentials.
    attempt_began: BootTime,
    /// It is past the store, and its start has been reported.
    start_reported: bool,
    /// The version of the credentials it uses.
    pub(super) version: u64,
    /// Its source has been asked to replace refused credentials; happens once per fetch.
    pub(super) was_reread: bool,
    /// How often it retried because its credentials had been replaced.
    replaced: u32,
    /// The refusal, while the source is asked for other credentials.
    pub(super) refused: Option<Failure<Fault<E>>>,
    /// `None`: there is no store.
    pub(super) visit: Option<Visit>,
    /// It was promised to a caller that does not wait.
    pub(super) is_promised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No thread has picked it up yet.
    Queued,
    Waits(For),
    /// Its thread is at the store; the endpoint has not been asked yet.
    AtStore,
    Sending {
        at: BootTime,
    },
    Saving {
        sent_at: BootTime,
        /// The renewal time that the record says.
        fresh_until: BootTime,
    },
}

/// Where a token came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// The endpoint; there is no store.
    Endpoint,
    /// The endpoint, and its record says this renewal time.
    Saved(BootTime),
    Store(Record),
}

impl Origin {
    fn is_store(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

impl Stage {
    /// A thread is all it needs to begin or to continue.
    fn has_no_thread(self) -> bool {
        matches!(self, Self::Queued | Self::Waits(For::Thread | For::Time(_)))
    }
}

/// What a fetch waits for, without holding a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// `true`: other credentials than those that were refused.
    Credentials(bool),
    /// Another fetch tries out replacement credentials.
    Trial,
    /// A thread; the fetch may continue.
    Thread,
    Time(BootTime),
}

impl<E> Flight<E> {
    pub(super) fn new(id: FlightId, index: usize, settings: &Settings, now: BootTime) -> Self {
        Self {
            id,
            entry: index,
            stage: Stage::Queued,
            attempts: Attempts::begin(&settings.policy, now),
            began: now,
            attempt_began: now,
            start_reported: false,
            version: 0,
            was_reread: false,
            replaced: 0,
            refused: None,
            visit: settings.store_timeout.map(|_| Visit::default()),
            is_promised: false,
        }
    }

    /// Whether it may retry because its credentials were replaced meanwhile.
    fn may_be_replaced(&mut self) -> bool {
        self.replaced += 1;
        self.replaced <= policy::MAX_REPLACEMENTS
    }

    pub(super) fn restart(&mut self, policy: &Policy, now: BootTime) {
        self.attempts.restart(policy, now);
    }

    pub(super) fn took(&self, now: BootTime) -> Duration {
        now.since(self.began)
    }
}

impl<E: Clone> Step<'_, E> {
    /// Removes a fetch from the list if its stage matches. The caller must put it back with
    /// [`Step::keep`] or end it.
    pub(super) fn take_flight(
        &mut self,
        id: FlightId,
        is_such: impl Fn(Stage) -> bool,
    ) -> Option<Flight<E>> {
        let flights = &mut self.core.flights;
        let place = flights.iter().position(|flight| flight.id == id && is_such(flight.stage))?;
        Some(flights.swap_remove(place))
    }

    pub(super) fn keep(&mut self, flight: Flight<E>) {
        self.core.flights.push(flight);
    }

    pub(super) fn is_wanted(&self, flight: &Flight<E>) -> bool {
        self.core.entries[flight.entry].flight() == Some(flight.id)
    }

    pub(super) fn forget(&mut self, flight: FlightId) {
        self.put(Output::Forget { flight });
    }

    fn does(&mut self, flight: Flight<E>, task: Task) {
        self.put(Output::Do { flight: flight.id, task });
        self.keep(flight);
    }

    /// Its thread performs a store operation.
    pub(super) fn does_at_store(&mut self, mut flight: Flight<E>, task: Task) {
        flight.stage = Stage::AtStore;
        self.does(flight, task);
    }

    // --- on a thread
    // ------------------------------------------------------------------------------

    pub(super) fn thread_ready(&mut self, id: FlightId, status: CredentialStatus<E>) {
        let now = self.now;
        let Some(mut flight) = self.take_flight(id, Stage::has_no_thread) else { return };
        match flight.stage {
            // Too early.
            Stage::Waits(For::Time(at)) if at > now => return self.pause(flight, at),
            _ => {}
        }
        let index = flight.entry;
        let is_wanted = match flight.stage {
            Stage::Queued => self.begins(&mut flight),
            Stage::Waits(For::Thread) => self.goes_on(&mut flight),
            _ => {
                flight.attempt_began = now;
                self.is_wanted(&flight)
            }
        };
        self.stale.add(index);
        match is_wanted {
            true => self.go_on(flight, status),
            false => self.forget(id),
        }
    }

    fn begins(&mut self, flight: &mut Flight<E>) -> bool {
        let (now, has_waiters) = (self.now, self.env.has_waiters(flight.entry));
        let (entry, limits, policy) = self.entry(flight.entry);
        let begun = entry.begin(policy, limits, flight.id, has_waiters, now);
        let Some(attempts) = begun else {
            self.stale = Entries::All;
            return false;
        };
        self.visit_begins(flight);
        (flight.attempts, flight.began, flight.attempt_began) = (attempts, now, now);
        true
    }

    /// Ends the wait for credentials, which does not count against the fetch's time.
    fn goes_on(&mut self, flight: &mut Flight<E>) -> bool {
        let now = self.now;
        let waited = self.entry(flight.entry).0.goes_on(flight.id, now);
        waited.map(|waited| flight.attempts.exclude_wait(waited)).is_some()
    }

    pub(super) fn go_on(&mut self, mut flight: Flight<E>, status: CredentialStatus<E>) {
        if let Some(failure) = flight.refused.take() {
            return self.after_reread(flight, failure, status);
        }
        if flight.visit.is_none() {
            self.report_start(&mut flight);
        }
        match status.credentials {
            // The status predates a rotation, and the rotation has released all waits for the old
            // source: get it again.
            None if status.source.version < self.core.credentials_version => {
                self.pause(flight, self.now);
            }
            None => self.park(flight, For::Credentials(false)),
            Some(Err(NoCredentials::NoThread(error))) => {
                self.withdraw(flight, Reason::NotMade(error))
            }
            Some(Err(NoCredentials::Failed(error))) => {
                flight.version = status.source.version;
                self.report_start(&mut flight);
                flight.attempts.next(self.now);
                self.attempt_failed(flight, Failure::transient(Fault::Reported(error)));
            }
            Some(Ok(pair)) => {
                flight.version = pair.version;
                match flight.visit.as_ref().and_then(Visit::next) {
                    Some(task) => self.does_at_store(flight, task),
                    None => self.send(flight),
                }
            }
        }
    }

    fn report_start(&mut self, flight: &mut Flight<E>) {
        if !std::mem::replace(&mut flight.start_reported, true) {
            self.put(Output::Notify { entry: flight.entry, notice: Notice::FetchStarted });
        }
    }

    pub(super) fn send(&mut self, mut flight: Flight<E>) {
        self.report_start(&mut flight);
        let now = self.now;
        let (entry, limits, policy) = self.entry(flight.entry);
        if let Err(blocked) = limits.may_request(now) {
            return self.wait_out(flight, blocked);
        }
        limits.count_request(now);
        entry.counters.requests += 1;
        let spent = flight.attempts.spent(policy, now);
        let limit = flight.attempts.next(now);
        flight.attempt_began = now;
        flight.stage = Stage::Sending { at: now };
        self.does(flight, Task::Send { limit, spent });
    }

    /// Waits if the block ends within the fetch's time; otherwise ends the fetch.
    fn wait_out(&mut self, flight: Flight<E>, blocked: Blocked<Fault<E>>) {
        if let Some(at) = flight.attempts.within(blocked.until) {
            return self.pause(flight, at);
        }
        self.report_budget(flight.entry, &blocked);
        match self.reason(blocked) {
            Some(reason) => self.withdraw(flight, reason),
            None => self.withdraw(flight, Reason::Ended),
        }
    }

    /// Continues at `until`; if that is in the future, without holding a thread.
    pub(super) fn pause(&mut self, mut flight: Flight<E>, until: BootTime) {
        flight.stage = Stage::Waits(For::Time(until));
        if until <= self.now {
            return self.does(flight, Task::GoOn);
        }
        let (id, rank) = (flight.id, self.rank_of_waiting(flight.entry));
        self.keep(flight);
        self.put(Output::Park { flight: id, refused: false });
        self.put(Output::Pause { flight: id, until, rank });
    }

    fn rank_of_waiting(&self, index: usize) -> Rank {
        let is_awaited = self.core.entries[index].is_awaited();
        if is_awaited { Rank::Continued } else { Rank::ContinuedRenewal }
    }

    /// Resumes a fetch that waited.
    pub(super) fn resume(&mut self, flight: FlightId, index: usize, resume_with: ResumeWith) {
        let rank = self.rank_of_waiting(index);
        self.put(Output::Start { flight, entry: index, rank, resume_with });
    }

    // --- result of an attempt
    // -----------------------------------------------------------------------

    pub(super) fn answered(
        &mut self,
        id: FlightId,
        answer: Result<Granted, Failure<E>>,
        source: Source,
    ) {
        let is_sending = |stage| matches!(stage, Stage::Sending { .. });
        let Some(mut flight) = self.take_flight(id, is_sending) else { return };
        let Stage::Sending { at } = flight.stage else { return };
        match answer {
            Ok(granted) if flight.visit.is_some() && self.is_alive(at, &granted) => {
                // Save before handing out: a short-lived process may exit as soon as it has the
                // token.
                let renewal = self.core.settings.policy.renewal(at, granted.lifetime);
                let fresh_until = renewal.draw(&mut || self.env.unit());
                flight.stage = Stage::Saving { sent_at: at, fresh_until };
                self.does(flight, Task::Save { fresh_for: fresh_until.since(at) });
            }
            Ok(granted) => self.granted(flight, at, granted, Origin::Endpoint),
            Err(failure) => {
                let Failure { error, class, retry_after } = failure;
                let failure = Failure { error: Fault::Reported(error), class, retry_after };
                self.refused_or_failed(flight, failure, source);
            }
        }
    }

    pub(super) fn saved(&mut self, id: FlightId, granted: Granted) {
        let is_saving = |stage| matches!(stage, Stage::Saving { .. });
        let Some(flight) = self.take_flight(id, is_saving) else { return };
        let Stage::Saving { sent_at, fresh_until } = flight.stage else { return };
        self.granted(flight, sent_at, granted, Origin::Saved(fresh_until));
    }

    fn is_alive(&self, sent_at: BootTime, granted: &Granted) -> bool {
        sent_at.after(granted.lifetime) > self.now
    }

    /// A token may expire on its way here or while it is saved. That is a failed attempt.
    fn granted(&mut self, flight: Flight<E>, sent_at: BootTime, granted: Granted, origin: Origin) {
        if self.is_alive(sent_at, &granted) {
            return self.succeed(flight, sent_at, granted, origin);
        }
        self.attempt_failed(flight, Failure::transient(Fault::Ended(granted.lifetime)));
    }

    /// A refusal of credentials that have been replaced does not count.
    pub(super) fn is_outdated(
        &self,
        flight: &mut Flight<E>,
        failure: &Failure<Fault<E>>,
        version: u64,
    ) -> bool {
        failure.is_refusal() && version != flight.version && flight.may_be_replaced()
    }

    pub(super) fn attempt_failed(&mut self, flight: Flight<E>, failure: Failure<Fault<E>>) {
        let (now, has_waiters) = (self.now, self.env.has_waiters(flight.entry));
        let Core { entries, limits, .. } = &mut *self.core;
        let (entry, random) = (&entries[flight.entry], &mut || self.env.unit());
        let attempts = &flight.attempts;
        let again = entry.attempt_failed(limits, attempts, &failure, has_waiters, now, random);
        match again {
            Some(at) if self.is_wanted(&flight) => {
                self.report_attempt(&flight, &failure.error, at.until(now));
                self.pause(flight, at);
            }
            _ => self.fail(flight, failure),
        }
    }

    fn report_attempt(&mut self, flight: &Flight<E>, fault: &Fault<E>, wait: Duration) {
        let notice = Notice::AttemptFailed {
            fault: fault.clone(),
            attempt: flight.attempts.made(),
            took: self.now.since(flight.attempt_began),
            wait,
        };
        self.put(Output::Notify { entry: flight.entry, notice });
    }

    // --- end of a fetch
    // ----------------------------------------------------------------------------

    /// Ends the fetch as failed, unless the credentials it was refused with have been replaced.
    fn fail(&mut self, mut flight: Flight<E>, failure: Failure<Fault<E>>) {
        let (now, index) = (self.now, flight.entry);
        let version = self.core.credentials_version.max(flight.version);
        if self.is_wanted(&flight) && self.is_outdated(&mut flight, &failure, version) {
            self.report_attempt(&flight, &failure.error, Duration::ZERO);
            return self.pause(flight, now);
        }
        let fault = failure.error.clone();
        let Core { entries, limits, .. } = &mut *self.core;
        let (entry, random) = (&mut entries[index], &mut || self.env.unit());
        let is_believed = entry.failed(limits, flight.id, failure, now, random);
        let wait = entry.next_request_in(limits, now);
        self.report_attempt(&flight, &fault, wait);
        if is_believed {
            self.note_failure(index, LastError::Fault(fault.clone()));
            self.core.entries[index].counters.last_fetch = flight.took(now);
            self.stale = Entries::All;
            if self.core.is_valid(index, now) {
                self.put(Output::PutOff { flight: flight.id, wait });
                let notice = Notice::ServedWhileFailing { fault: fault.clone(), wait };
                self.put(Output::Notify { entry: index, notice });
            }
            self.finish(index, Outcome::Fail(Reason::Failed { fault, wait }));
            self.touched.add(index);
        }
        self.forget(flight.id);
    }

    fn note_failure(&mut self, index: usize, error: LastError<E>) {
        let counters = &mut self.core.entries[index].counters;
        counters.failures += 1;
        counters.last_error = Some(Box::new(error));
    }

    /// Ends a fetch that could not be made. Nothing is remembered.
    pub(super) fn withdraw(&mut self, flight: Flight<E>, reason: Reason<E>) {
        if self.is_wanted(&flight) {
            let (now, index) = (self.now, flight.entry);
            let (entry, limits, _) = self.entry(index);
            entry.withdraw(limits, flight.id, now);
            // It may have been the probe whose outcome the other entries were waiting for.
            self.stale = Entries::All;
            self.finish(index, Outcome::Fail(reason));
            self.touched.add(index);
        }
        self.forget(flight.id);
    }

    /// No thread is available for the fetch. Its waiters get an error; nothing is remembered.
    pub(super) fn not_started(&mut self, id: FlightId, error: E) {
        let Some(flight) = self.take_flight(id, Stage::has_no_thread) else { return };
        let (now, index) = (self.now, flight.entry);
        let (entry, limits, _) = self.entry(index);
        if entry.not_started(limits, id, now) {
            let at = entry.by_itself_at();
            self.stale = Entries::All;
            self.finish(index, Outcome::Fail(Reason::NotMade(error)));
            self.touched.add(index);
            if flight.is_promised {
                self.promise_start(index, at);
            }
        }
        self.forget(id);
    }

    /// The fetch got a token, from the endpoint or from the store.
    pub(super) fn succeed(
        &mut self,
        flight: Flight<E>,
        requested_at: BootTime,
        granted: Granted,
        origin: Origin,
    ) {
        let (now, index) = (self.now, flight.entry);
        let was_refused = self.core.limits.has_refusal();
        let was_wanted = self.is_wanted(&flight);
        let is_new = self.take_grant(&flight, requested_at, granted, origin);
        if !is_new && !was_wanted {
            return self.forget(flight.id);
        }
        let took = flight.took(now);
        let counters = &mut self.core.entries[index].counters;
        (counters.last_fetch, counters.last_error) = (took, None);
        // A success also ends blocks on the other entries.
        self.stale = Entries::All;
        let (attempt, lifetime) = (flight.attempts.made(), granted.lifetime);
        let notice = match origin {
            Origin::Store(_) => is_new.then_some(Notice::StoreHit { took }),
            _ => Some(Notice::Succeeded { attempt, took, lifetime }),
        };
        if let Some(notice) = notice {
            self.put(Output::Notify { entry: index, notice });
        }
        // A stored token may be in its hard window. Callers then wait for its successor, as they
        // would with a token this process already had.
        let outcome = match self.core.state(index, now) {
            State::Hard if origin.is_store() => Outcome::AskAgain,
            State::Empty | State::Expired => Outcome::Fail(Reason::Ended),
            _ => Outcome::Token,
        };
        self.finish(index, outcome);
        self.forget(flight.id);
        // Once the refusal has ended, every entry can be kept warm again.
        match was_refused {
            true => self.touched = Entries::All,
            false => self.touched.add(index),
        }
    }

    /// Hands the token to its entry, and publishes it if it is new. Returns whether it is.
    fn take_grant(
        &mut self,
        flight: &Flight<E>,
        requested_at: BootTime,
        granted: Granted,
        origin: Origin,
    ) -> bool {
        let (now, index) = (self.now, flight.entry);
        let was_valid = self.core.is_valid(index, now);
        let was_wanted = self.is_wanted(flight);
        self.core.last_serial += 1;
        let serial = self.core.last_serial;
        let Granted { lifetime, same_value } = granted;
        let Core { settings, entries, limits, .. } = &mut *self.core;
        let (entry, policy) = (&mut entries[index], &settings.policy);
        let life = Life { requested_at, lifetime, fresh_until: BootTime::ZERO };
        let renewal = renewal_of(policy, &life, &origin);
        let fresh_until = match origin {
            Origin::Saved(_) => renewal.earliest(),
            _ => renewal.draw(&mut || self.env.unit()),
        };
        let grant = Grant { serial, life: Life { fresh_until, ..life }, renewal, same_value };
        let is_new = entry.granted(limits, flight.id, &grant, now);
        match origin {
            Origin::Store(record) if is_new || was_wanted => {
                entry.found(record.tried, record.again_at);
            }
            _ => {}
        }
        if let Some(life) = entry.life().copied().filter(|_| is_new) {
            let serve_until = entry.serve_until(policy, limits, now);
            entry.counters.renewals += u64::from(was_valid);
            self.put(Output::Publish { entry: index, serial, life, serve_until });
        }
        is_new
    }

    pub(super) fn finish(&mut self, index: usize, outcome: Outcome<E>) {
        self.core.entries[index].wanted_ttl = Duration::ZERO;
        self.put(Output::Finish { entry: index, outcome });
    }

    /// Gives up the entry's fetch if it has overrun its time, or if its credentials are still
    /// pending and no caller waits any more.
    pub(super) fn give_up_overrun(&mut self, index: usize) {
        let now = self.now;
        let Core { entries, limits, .. } = &mut *self.core;
        let (entry, random) = (&mut entries[index], &mut || self.env.unit());
        let flight = entry.flight();
        let Some(how) = entry.give_up(limits, now, random) else {
            if entry.credentials_pending() {
                self.ask_source_again();
            }
            return;
        };
        let wait = entry.next_request_in(limits, now);
        self.stale = Entries::All;
        self.put(Output::Notify { entry: index, notice: Notice::GivenUp { how, wait } });
        match how {
            GivenUp::Overrun => {
                self.note_failure(index, LastError::Fault(Fault::Overrun));
                let reason = Reason::Failed { fault: Fault::Overrun, wait };
                self.finish(index, Outcome::Fail(reason));
            }
            // Callers notice by themselves that their time is over.
            GivenUp::CredentialsPending => {
                self.note_failure(index, LastError::CredentialsPending);
                self.core.entries[index].wanted_ttl = Duration::ZERO;
                self.suspect_source();
            }
        }
        let is_waiting = |stage| matches!(stage, Stage::Queued | Stage::Waits(_));
        if let Some(flight) = flight.and_then(|id| self.take_flight(id, is_waiting)) {
            self.forget(flight.id);
        }
        self.put(Output::MakeRoom);
    }
}

/// When this process may renew a token that came from there.
fn renewal_of(policy: &Policy, life: &Life, origin: &Origin) -> Renewal {
    match origin {
        Origin::Endpoint => policy.renewal(life.requested_at, life.lifetime),
        Origin::Saved(drawn) => policy.renewal(life.requested_at, life.lifetime).not_before(*drawn),
        // By the life that the endpoint granted, as its fetcher counts. This process may use the
        // token for less.
        Origin::Store(record) => policy
            .renewal(life.requested_at, record.granted_for)
            .not_before(record.fresh_until)
            .not_after(hard_at(policy, life)),
    }
}
