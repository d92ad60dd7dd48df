//! A fetch's visit to the store, before it asks the endpoint.
//!
//! It checks whether another process has stored a token. If not, it takes the entry's lock, so that
//! one process fetches while the others wait, and checks again. Store problems are never errors:
//! without the store or its lock, the fetch asks the endpoint.

use super::super::flight::FlightId;
use super::super::input::{CredentialStatus, Granted, Lock, Record};
use super::super::output::{Miss, Notice, Output, Task};
use super::super::policy;
use super::Step;
use super::fetch::{Flight, Origin, Stage};
use crate::clock::BootTime;

/// The state of a fetch's visit to the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    stop: Stop,
    /// Another process held the lock.
    has_waited: bool,
    tries: u32,
    waits_until: Option<BootTime>,
    /// How many processes that it waited for have died.
    successors: u32,
    /// The record of the token that is being renewed, as last seen.
    kept: Option<Record>,
    /// How many renewals of it had been tried when it was first seen.
    known: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stop {
    #[default]
    FirstLook,
    Lock,
    SecondLook,
    /// The visit is over; the fetch asks the endpoint.
    Left,
}

impl Visit {
    /// The fetch's next store operation. `None`: the visit is over.
    pub(super) fn next(&self) -> Option<Task> {
        match self.stop {
            Stop::FirstLook | Stop::SecondLook => Some(Task::Look),
            Stop::Lock => Some(Task::TryLock),
            Stop::Left => None,
        }
    }
}

impl<E: Clone> Step<'_, E> {
    fn take_visitor(&mut self, id: FlightId) -> Option<(Flight<E>, Visit)> {
        let mut flight = self.take_flight(id, |stage| stage == Stage::AtStore)?;
        let visit = flight.visit.take().filter(|_| self.is_wanted(&flight));
        if visit.is_none() {
            self.forget(id);
        }
        visit.map(|visit| (flight, visit))
    }

    pub(super) fn looked(
        &mut self,
        id: FlightId,
        record: Option<Record>,
        status: CredentialStatus<E>,
    ) {
        let Some((mut flight, mut visit)) = self.take_visitor(id) else { return };
        let miss = match record.map(|record| (record, self.compare(&flight, &record))) {
            Some((record, None)) => {
                flight.visit = Some(visit);
                return self.take_record(flight, record);
            }
            Some((record, Some(miss))) => {
                // A renewal is only announced in the record of the token that this process still
                // uses.
                let is_renewed = record.same_value && miss == Miss::NotNewer;
                visit.kept = is_renewed.then_some(record);
                Some(miss)
            }
            None => {
                visit.kept = None;
                None
            }
        };
        if visit.stop == Stop::FirstLook {
            visit.stop = Stop::Lock;
            visit.known = visit.kept.map(|kept| kept.tried);
            flight.visit = Some(visit);
            return self.does_at_store(flight, Task::TryLock);
        }
        // A process that waited for another's fetch shares its failure.
        let has_failed = |kept: &Record| {
            let was_tried = visit.known.is_some_and(|known| kept.tried > known);
            (visit.has_waited || was_tried) && kept.again_at > self.now
        };
        if let Some(kept) = visit.kept.filter(has_failed) {
            flight.visit = Some(visit);
            return self.take_record(flight, kept);
        }
        let notice = Notice::StoreMiss { why: miss, took: flight.took(self.now) };
        self.put(Output::Notify { entry: flight.entry, notice });
        self.leave_store(flight, visit, status);
    }

    /// Why a stored token is not preferable to what this process has.
    fn compare(&mut self, flight: &Flight<E>, record: &Record) -> Option<Miss> {
        if record.was_refused {
            return Some(Miss::Refused);
        }
        let (now, ends_at) = (self.now, record.requested_at.after(record.lifetime));
        let kept = &self.core.entries[flight.entry];
        let held = kept.life().filter(|held| held.expires_at() > now);
        if held.is_some_and(|held| record.same_value || ends_at <= held.expires_at()) {
            return Some(Miss::NotNewer);
        }
        let is_short = ends_at.until(now) < kept.wanted_ttl;
        let is_old = now.since(record.requested_at) >= record.lifetime / policy::MIN_TTL_SHARE;
        (is_short && is_old).then_some(Miss::TooShort)
    }

    fn take_record(&mut self, flight: Flight<E>, record: Record) {
        let granted = Granted { lifetime: record.lifetime, same_value: record.same_value };
        self.succeed(flight, record.requested_at, granted, Origin::Store(record));
    }

    pub(super) fn lock_tried(&mut self, id: FlightId, lock: Lock) {
        let Some((mut flight, mut visit)) = self.take_visitor(id) else { return };
        let now = self.now;
        let longest = self.core.settings.policy.longest_lock_wait();
        let is_busy = matches!(lock, Lock::Busy { .. });
        if lock == (Lock::Busy { is_successor: true }) && visit.successors < policy::MAX_SUCCESSORS
        {
            // The wait for this process's fetch begins now.
            visit.successors += 1;
            (visit.tries, visit.waits_until) = (0, None);
            self.visit_begins(&flight);
        }
        let until = *visit.waits_until.get_or_insert(now.after(longest));
        visit.has_waited |= is_busy;
        if is_busy && now < until {
            visit.tries += 1;
            let pause = policy::lock_pause(visit.tries, &mut || self.env.unit());
            flight.visit = Some(visit);
            return self.pause(flight, now.after(pause));
        }
        visit.stop = Stop::SecondLook;
        flight.visit = Some(visit);
        self.does_at_store(flight, Task::Look);
    }

    /// Gives the fetch the time that a visit may take, from now on.
    pub(super) fn visit_begins(&mut self, flight: &Flight<E>) {
        let now = self.now;
        let Some(timeout) = self.core.settings.store_timeout else { return };
        let (entry, _, policy) = self.entry(flight.entry);
        entry.begins_at(policy, flight.id, now.after(policy.longest_visit(timeout)));
        self.stale.add(flight.entry);
    }

    /// Before renewing a stored token, records when other processes may try. It is written first,
    /// because this process may exit before the endpoint answers.
    fn leave_store(
        &mut self,
        mut flight: Flight<E>,
        mut visit: Visit,
        status: CredentialStatus<E>,
    ) {
        visit.stop = Stop::Left;
        let kept = visit.kept;
        flight.visit = Some(visit);
        let Some(kept) = kept else { return self.past_store(flight, status) };
        let tried = u32::try_from(kept.tried.saturating_add(1)).unwrap_or(u32::MAX);
        let remaining = kept.requested_at.after(kept.lifetime).until(self.now);
        let pause = policy::pause_with_token(tried, remaining, &mut || self.env.unit());
        let again_at = self.now.after(pause);
        self.does_at_store(flight, Task::Announce { again_at });
    }

    pub(super) fn announced(&mut self, id: FlightId, status: CredentialStatus<E>) {
        let Some((mut flight, visit)) = self.take_visitor(id) else { return };
        flight.visit = Some(visit);
        self.past_store(flight, status);
    }

    /// The fetch's own time starts now.
    fn past_store(&mut self, mut flight: Flight<E>, status: CredentialStatus<E>) {
        let (now, index) = (self.now, flight.entry);
        // The time for saving is added to the fetch's own.
        let at = now.after(self.core.settings.store_timeout.unwrap_or_default());
        let (kept, _, policy) = self.entry(index);
        kept.begins_at(policy, flight.id, at);
        flight.restart(policy, now);
        self.stale.add(index);
        self.go_on(flight, status);
    }
}
