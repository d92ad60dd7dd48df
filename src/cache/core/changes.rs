//! What an entry does without a caller (renewals with `keep_warm`, and fetches promised to callers
//! that did not wait), and what happens to the client as a whole.

use super::super::output::{Notice, Outcome, Output, Reason, ResumeWith};
use super::super::policy::{self, KEEP_WARM_IDLE};
use super::fetch::{For, Stage};
use super::{Entries, Step};
use crate::clock::BootTime;

impl<E: Clone> Step<'_, E> {
    // --- without a caller
    // --------------------------------------------------------------------------

    /// The entry's alarm fired.
    pub(super) fn tick(&mut self, index: usize) {
        self.give_up_overrun(index);
        let now = self.now;
        let promised = self.core.entries[index].promised_start.take_if(|at| *at <= now);
        let started = promised.and_then(|_| self.ask_without_caller(index));
        let mut flights = self.core.flights.iter_mut();
        if let Some(flight) = flights.find(|flight| Some(flight.id) == started) {
            flight.is_promised = true;
        }
        self.touched.add(index);
    }

    /// A caller that does not wait came before a fetch may start: the fetch starts when it may.
    pub(super) fn promise_start(&mut self, index: usize, at: BootTime) {
        self.core.entries[index].promised_start.get_or_insert(at);
        self.touched.add(index);
    }

    /// At the end of a step: starts renewals that are due and sets alarms for the next ones.
    pub(super) fn schedule_touched(&mut self) {
        if self.core.closed {
            return;
        }
        let touched = match self.touched {
            Entries::None => 0..0,
            Entries::One(index) => index..index + 1,
            Entries::All => 0..self.core.entries.len(),
        };
        for index in touched {
            let renewal = self.renew_if_due(index);
            let promised = self.core.entries[index].promised_start;
            let alarm = [renewal, promised].into_iter().flatten().min();
            if let Some(at) = alarm {
                self.put(Output::Alarm { entry: index, at });
            }
        }
    }

    /// Starts the renewal if it is due. Returns when the entry must be checked next.
    fn renew_if_due(&mut self, index: usize) -> Option<BootTime> {
        let next = self.next_renewal(index)?;
        if next > self.now {
            return Some(next);
        }
        // The entry may still hold a fetch that has overrun. Give it up first, then decide again.
        self.give_up_overrun(index);
        let next = self.next_renewal(index)?;
        if next > self.now {
            return Some(next);
        }
        self.ask_without_caller(index);
        self.next_renewal(index)
    }

    /// When an entry that is kept warm must be checked next. `None`: something else will trigger
    /// the check, or the entry is no longer in use.
    fn next_renewal(&mut self, index: usize) -> Option<BootTime> {
        if !self.core.settings.keep_warm {
            return None;
        }
        let now = self.now;
        let was_asked = self.env.was_asked(index);
        let is_own = self.core.settings.own == Some(index);
        let (entry, limits, policy) = self.entry(index);
        if was_asked {
            entry.asked_at = now;
        }
        let is_wanted = is_own || now.since(entry.asked_at) < KEEP_WARM_IDLE;
        // A fetch reschedules this when it ends; one that never ends is given up.
        let overdue = now.after(policy.longest_fetch());
        let fetch = entry.flight();
        let end_of_fetch = fetch.map(|_| entry.give_up_at().unwrap_or(overdue));
        end_of_fetch.or_else(|| entry.renew_at(limits, now)).filter(|_| is_wanted)
    }

    // --- the whole client
    // --------------------------------------------------------------------------

    pub(super) fn invalidate(&mut self, index: usize, serial: u64) {
        let now = self.now;
        let entry = &mut self.core.entries[index];
        let age = entry.life().map(|life| now.since(life.requested_at));
        if !entry.invalidate(serial) {
            return;
        }
        self.put(Output::Clear { entry: index });
        self.stale.add(index);
        self.put(Output::Notify { entry: index, notice: Notice::Invalidated });
        let is_young = age.is_some_and(|age| age < policy::JUST_FETCHED);
        if is_young && !std::mem::replace(&mut self.core.v2_warned, true) {
            self.put(Output::Notify { entry: index, notice: Notice::FreshTokenRefused });
        }
        self.touched.add(index);
    }

    pub(super) fn rotated(&mut self, version: u64) {
        self.credentials_changed(version);
        self.release_all();
    }

    pub(super) fn wake(&mut self) {
        let now = self.now;
        self.core.limits.wake(now);
        for entry in &mut self.core.entries {
            entry.wake(now, &mut || self.env.unit());
        }
        for place in 0..self.core.flights.len() {
            let flight = &mut self.core.flights[place];
            if matches!(flight.stage, Stage::Waits(For::Time(at)) if at > now) {
                flight.stage = Stage::Waits(For::Time(now));
                let (id, index) = (flight.id, flight.entry);
                self.resume(id, index, ResumeWith::Nothing);
            }
        }
        self.stale = Entries::All;
        // A credentials function may depend on the network that was down.
        self.suspect_source();
        self.ask_source_again();
        self.touched = Entries::All;
    }

    /// Waiters and fetches belong to the parent. Tokens, the budget and server-imposed waits stay
    /// valid in the child.
    pub(super) fn forked(&mut self) {
        self.core.flights.clear();
        self.core.trial = None;
        self.core.reads.forget();
        for index in 0..self.core.entries.len() {
            let now = self.now;
            let super::Core { settings, entries, limits, .. } = &mut *self.core;
            let entry = &mut entries[index];
            (entry.promised_start, entry.wanted_ttl) = (None, std::time::Duration::ZERO);
            entry.forked(&mut || self.env.unit());
            let serve_until = entry.serve_until(&settings.policy, limits, now);
            if let Some(life) = entry.life() {
                let fresh_until = life.fresh_until;
                self.put(Output::Redraw { entry: index, fresh_until, serve_until });
            }
        }
        self.touched = Entries::All;
    }

    pub(super) fn close(&mut self) {
        self.core.closed = true;
        self.core.trial = None;
        self.core.flights.clear();
        for index in 0..self.core.entries.len() {
            self.put(Output::Clear { entry: index });
            self.finish(index, Outcome::Fail(Reason::Closed));
        }
    }
}
