//! Callers: what each is told, and what its asking starts.

use super::super::entry::{Answer, Decision, Want};
use super::super::flight::FlightId;
use super::super::input::Waited;
use super::super::limits::Blocked;
use super::super::output::{Brings, News, Output, Rank, Reason, Wait};
use super::super::policy::{self, BUDGET_WINDOW};
use super::fetch::Flight;
use super::{Fault, Step};

impl<E: Clone> Step<'_, E> {
    pub(super) fn ask(&mut self, entry: usize, want: Want, waited: Option<Waited>) {
        if self.core.closed {
            return self.put(Output::Fail(Reason::Closed));
        }
        if let Some(end) = waited.and_then(|waited| self.settle(entry, &want, &waited)) {
            return self.put(end);
        }
        self.give_up_overrun(entry);
        let (now, id) = (self.now, self.core.last_flight + 1);
        let (kept, limits, policy) = self.entry(entry);
        let was_awaited = kept.entry.is_awaited();
        let Decision { answer, starts } = kept.entry.ask(policy, limits, &want, now, id);
        let is_served = matches!(answer, Answer::Serve);
        let joined = (!was_awaited && kept.entry.is_awaited()).then(|| kept.entry.flight());
        self.stale.add(entry);
        if starts {
            let is_background = is_served || want.at_once;
            self.start(entry, if is_background { Rank::Background } else { Rank::Awaited });
        } else if let Some(flight) = joined.flatten() {
            self.put(Output::Hasten { flight });
        }
        match answer {
            Answer::Serve => self.serve(entry),
            Answer::Blocked(blocked) if blocked.obstacle.is_some() => self.refuse(entry, blocked),
            _ if want.at_once => self.promise(entry, answer),
            answer => self.wait(entry, &want, &waited.unwrap_or_default(), answer),
        }
    }

    /// What a caller is told whose wait has ended. `None`: nothing yet, and there is time left.
    fn settle(&mut self, entry: usize, want: &Want, waited: &Waited) -> Option<Output<E>> {
        let is_over = !want.at_once && self.now >= want.until;
        let serves = waited.serve_at.is_some_and(|at| self.now >= at);
        if !(waited.failed || is_over || serves) {
            return None;
        }
        if self.core.is_valid(entry, self.now) {
            return Some(Output::Serve { entry });
        }
        let unread = self.is_unread(entry);
        match (waited.failed, is_over) {
            (true, _) => Some(Output::Fail(Reason::AsTold)),
            (_, true) => Some(Output::Fail(Reason::TimedOut { unread })),
            _ => None,
        }
    }

    fn serve(&mut self, entry: usize) {
        // A renewal that only the budget holds back: the caller is told nothing of it, so whoever
        // listens to events is.
        let now = self.now;
        let (kept, limits, _) = self.entry(entry);
        let held_back = limits.may_request(now).err().filter(|_| kept.entry.flight().is_none());
        if let Some(blocked) = held_back {
            self.tell_budget(entry, &blocked);
        }
        self.put(Output::Serve { entry });
    }

    fn refuse(&mut self, entry: usize, blocked: Blocked<Fault<E>>) {
        self.tell_budget(entry, &blocked);
        if let Some(reason) = self.reason(blocked) {
            self.put(Output::Fail(reason));
        }
    }

    pub(super) fn reason(&self, blocked: Blocked<Fault<E>>) -> Option<Reason<E>> {
        let wait = blocked.until.until(self.now);
        blocked.obstacle.map(|obstacle| Reason::Blocked { obstacle, wait })
    }

    /// The caller does not wait, and what it asked for comes without it.
    fn promise(&mut self, entry: usize, answer: Answer<E>) {
        if let Answer::Blocked(blocked) = answer {
            self.owe_a_start(entry, blocked.until);
        }
        let unread = self.is_unread(entry);
        self.put(Output::Fail(Reason::Pending { unread }));
    }

    fn wait(&mut self, entry: usize, want: &Want, waited: &Waited, answer: Answer<E>) {
        let now = self.now;
        let (kept, _, policy) = self.entry(entry);
        kept.counters.waits += 1;
        kept.wanted_ttl = kept.wanted_ttl.max(want.min_ttl);
        let overrun = now.after(policy.fetch_timeout).after(policy::OVERRUN);
        let wait = match answer {
            Answer::Blocked(blocked) => Wait { until: blocked.until, serve_at: None },
            Answer::Wait { serve_at } => {
                // Whoever has waited for one token waits no longer for its successor.
                let known = |at| waited.serve_at.map_or(at, |known| known.min(at));
                let serve_at = serve_at.map(known);
                let check_at = kept.entry.look_again_at(now).unwrap_or(overrun);
                Wait { until: serve_at.map_or(check_at, |at| at.min(check_at)), serve_at }
            }
            Answer::Serve => return,
        };
        let wait = Wait { until: wait.until.min(want.until), ..wait };
        self.put(Output::Wait { entry, wait });
    }

    /// Starts the fetch that the entry has just decided on.
    pub(super) fn start(&mut self, entry: usize, rank: Rank) -> FlightId {
        self.core.last_flight += 1;
        let flight = self.core.last_flight;
        self.core.flights.push(Flight::new(flight, entry, &self.core.settings, self.now));
        self.put(Output::Start { flight, entry, rank, brings: Brings::Nothing });
        flight
    }

    /// Asks without a caller.
    pub(super) fn ask_for_nobody(&mut self, entry: usize) -> Option<FlightId> {
        let want = Want { at_once: true, ..Want::default() };
        let (now, id) = (self.now, self.core.last_flight + 1);
        let (kept, limits, policy) = self.entry(entry);
        let starts = kept.entry.ask(policy, limits, &want, now, id).starts;
        self.stale.add(entry);
        starts.then(|| self.start(entry, Rank::Background))
    }

    /// Tells that the budget has run out, at most once for each window of it.
    pub(super) fn tell_budget(&mut self, entry: usize, blocked: &Blocked<Fault<E>>) {
        let now = self.now;
        let was_told = |at| now.since(at) < BUDGET_WINDOW;
        if !blocked.is_budget() || self.core.budget_told_at.is_some_and(was_told) {
            return;
        }
        self.core.budget_told_at = Some(now);
        if let Some(obstacle) = blocked.obstacle.clone() {
            let wait = blocked.until.until(now);
            self.put(Output::Tell { entry, news: News::Budget { obstacle, wait } });
        }
    }
}
