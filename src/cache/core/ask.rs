//! Callers: what each one gets, and whether its call starts a fetch.

use super::super::entry::{Answer, Decision, Want};
use super::super::flight::FlightId;
use super::super::input::Waited;
use super::super::limits::Blocked;
use super::super::output::{Notice, Output, Rank, Reason, ResumeWith, Wait};
use super::super::policy::BUDGET_WINDOW;
use super::fetch::Flight;
use super::{Fault, Step};

impl<E: Clone> Step<'_, E> {
    pub(super) fn ask(&mut self, index: usize, want: Want, waited: Option<Waited>) {
        if self.core.closed {
            return self.put(Output::Fail(Reason::Closed));
        }
        if let Some(end) = waited.and_then(|waited| self.settle(index, &want, &waited)) {
            return self.put(end);
        }
        self.give_up_overrun(index);
        let (now, id) = (self.now, self.core.last_flight + 1);
        let (entry, limits, policy) = self.entry(index);
        let was_awaited = entry.is_awaited();
        let Decision { answer, starts } = entry.ask(policy, limits, &want, now, id);
        let is_served = matches!(answer, Answer::Serve);
        let joined = (!was_awaited && entry.is_awaited()).then(|| entry.flight());
        self.stale.add(index);
        if starts {
            let is_background = is_served || want.at_once;
            self.start(index, if is_background { Rank::Background } else { Rank::Awaited });
        } else if let Some(flight) = joined.flatten() {
            self.put(Output::Hasten { flight });
        }
        match answer {
            Answer::Serve => self.serve(index),
            Answer::Blocked(blocked) if blocked.obstacle.is_some() => self.refuse(index, blocked),
            _ if want.at_once => self.promise(index, answer),
            answer => self.wait(index, &want, &waited.unwrap_or_default(), answer),
        }
    }

    /// The result for a caller whose wait has ended. `None`: no result yet, and there is time left.
    fn settle(&mut self, index: usize, want: &Want, waited: &Waited) -> Option<Output<E>> {
        let is_over = !want.at_once && self.now >= want.until;
        let serves = waited.serve_at.is_some_and(|at| self.now >= at);
        if !(waited.failed || is_over || serves) {
            return None;
        }
        if self.core.is_valid(index, self.now) {
            return Some(Output::Serve { entry: index });
        }
        let credentials_pending = self.credentials_pending(index);
        match (waited.failed, is_over) {
            (true, _) => Some(Output::Fail(Reason::AlreadyReported)),
            (_, true) => Some(Output::Fail(Reason::TimedOut { credentials_pending })),
            _ => None,
        }
    }

    fn serve(&mut self, index: usize) {
        // If only the budget prevents a renewal, the caller does not notice; an event says so.
        let now = self.now;
        let (entry, limits, _) = self.entry(index);
        let held_back = limits.may_request(now).err().filter(|_| entry.flight().is_none());
        if let Some(blocked) = held_back {
            self.report_budget(index, &blocked);
        }
        self.put(Output::Serve { entry: index });
    }

    fn refuse(&mut self, index: usize, blocked: Blocked<Fault<E>>) {
        self.report_budget(index, &blocked);
        if let Some(reason) = self.reason(blocked) {
            self.put(Output::Fail(reason));
        }
    }

    pub(super) fn reason(&self, blocked: Blocked<Fault<E>>) -> Option<Reason<E>> {
        let wait = blocked.until.until(self.now);
        blocked.obstacle.map(|obstacle| Reason::Blocked { obstacle, wait })
    }

    /// The caller does not wait; the token is fetched without it.
    fn promise(&mut self, index: usize, answer: Answer<E>) {
        if let Answer::Blocked(blocked) = answer {
            self.promise_start(index, blocked.until);
        }
        let credentials_pending = self.credentials_pending(index);
        self.put(Output::Fail(Reason::Pending { credentials_pending }));
    }

    fn wait(&mut self, index: usize, want: &Want, waited: &Waited, answer: Answer<E>) {
        let now = self.now;
        let (entry, _, policy) = self.entry(index);
        entry.counters.waits += 1;
        entry.wanted_ttl = entry.wanted_ttl.max(want.min_ttl);
        let overrun = now.after(policy.longest_fetch());
        let wait = match answer {
            Answer::Blocked(blocked) => Wait { until: blocked.until, serve_at: None },
            Answer::Wait { serve_at } => {
                // A caller that has already waited for one fetch does not start a full wait for the
                // next.
                let known = |at| waited.serve_at.map_or(at, |known| known.min(at));
                let serve_at = serve_at.map(known);
                let check_at = entry.check_again_at(now).unwrap_or(overrun);
                Wait { until: serve_at.map_or(check_at, |at| at.min(check_at)), serve_at }
            }
            Answer::Serve => return,
        };
        let wait = Wait { until: wait.until.min(want.until), ..wait };
        self.put(Output::Wait { entry: index, wait });
    }

    /// Starts the fetch that the entry has just decided on.
    pub(super) fn start(&mut self, index: usize, rank: Rank) -> FlightId {
        self.core.last_flight += 1;
        let flight = self.core.last_flight;
        self.core.flights.push(Flight::new(flight, index, &self.core.settings, self.now));
        self.put(Output::Start { flight, entry: index, rank, resume_with: ResumeWith::Nothing });
        flight
    }

    /// Asks without a caller.
    pub(super) fn ask_without_caller(&mut self, index: usize) -> Option<FlightId> {
        let want = Want { at_once: true, ..Want::default() };
        let (now, id) = (self.now, self.core.last_flight + 1);
        let (entry, limits, policy) = self.entry(index);
        let starts = entry.ask(policy, limits, &want, now, id).starts;
        self.stale.add(index);
        starts.then(|| self.start(index, Rank::Background))
    }

    /// Reports an exhausted budget, at most once per budget window.
    pub(super) fn report_budget(&mut self, index: usize, blocked: &Blocked<Fault<E>>) {
        let now = self.now;
        let was_told = |at| now.since(at) < BUDGET_WINDOW;
        if !blocked.is_budget() || self.core.budget_reported_at.is_some_and(was_told) {
            return;
        }
        self.core.budget_reported_at = Some(now);
        if let Some(obstacle) = blocked.obstacle.clone() {
            let wait = blocked.until.until(now);
            self.put(Output::Notify { entry: index, notice: Notice::Budget { obstacle, wait } });
        }
    }
}
