//! One client's day: the core between its callers and the endpoint.
//!
//! What `client::get`, `client::fetch` and `client::warm` do with threads is done here with points
//! in time. Beside it runs a plain account of the token that was really given, of the waits that
//! were really ordered and of the request that is really out: the core is judged by that, not by
//! its own word.

use super::caller::{self, Caller, Doing, NEVER};
use super::chance::Chance;
use super::scenario::{START, Scenario, minute_of};
use super::server::{Reply, Server};
use super::tally::{Recovery, Tally};
use crate::cache::Random;
use crate::cache::entry::{Answer, Decision, Entry, FlightId, Grant, State, Want};
use crate::cache::flight::{Attempts, Failure};
use crate::cache::limits::Limits;
use crate::cache::policy::Policy;
use crate::clock::BootTime;

/// A fetch under way, and when it goes on.
struct Flight {
    id: FlightId,
    attempts: Attempts,
    sent_at: BootTime,
    /// What will come back. `None`: a pause between two attempts.
    reply: Option<Reply>,
    due: BootTime,
}

/// What is true, whatever the core believes.
struct Account {
    /// The endpoint honours the token until then.
    dies_at: BootTime,
    /// The client was told that the token is good until then.
    expires_at: BootTime,
    retry_after: BootTime,
    /// Since when it has been asked for a token in vain.
    wanting: Option<BootTime>,
    /// When the last request was sent that failed.
    failure_sent_at: BootTime,
    requests_in_outage: Vec<u32>,
}

/// What happens next.
enum Next {
    Flight,
    Caller(usize),
    Alarm,
}

pub(super) struct SimulatedClient<'a> {
    scenario: &'a Scenario,
    policy: &'a Policy,
    server: &'a Server<'a>,
    tally: &'a mut Tally,
    chance: Chance,
    entry: Entry,
    limits: Limits,
    callers: Vec<Caller>,
    flight: Option<Flight>,
    keep_warm: bool,
    alarm: BootTime,
    account: Account,
    last_flight: FlightId,
    last_serial: u64,
}

impl<'a> SimulatedClient<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        policy: &'a Policy,
        server: &'a Server<'a>,
        tally: &'a mut Tally,
        index: u64,
    ) -> Self {
        let mut chance = Chance::new(scenario.seed, index);
        let (mut callers, keep_warm) = caller::draw(&mut chance);
        // Programs are started one by one in the course of a lifetime.
        let started = START.after(scenario.lifetime.mul_f64(chance.unit()));
        callers.iter_mut().for_each(|caller| caller.is_served(started, &mut chance));
        Self {
            scenario,
            policy,
            server,
            tally,
            chance,
            entry: Entry::default(),
            limits: Limits::new(policy),
            callers,
            flight: None,
            keep_warm,
            alarm: if keep_warm { started } else { NEVER },
            account: Account {
                dies_at: BootTime::ZERO,
                expires_at: BootTime::ZERO,
                retry_after: BootTime::ZERO,
                wanting: None,
                failure_sent_at: BootTime::ZERO,
                requests_in_outage: vec![0; scenario.outages().count()],
            },
            last_flight: 0,
            last_serial: 0,
        }
    }

    /// The whole day.
    pub(super) fn live(mut self) {
        let end = START.after(self.scenario.length);
        loop {
            let (now, next) = self.next();
            if now >= end {
                break;
            }
            match next {
                Next::Flight => self.flight_goes_on(now),
                Next::Caller(caller) => self.caller_acts(caller, now),
                Next::Alarm => self.renew_if_due(now),
            }
        }
        // Whoever still wants a token has not recovered, and it counts as late as can be known.
        self.note_recovery(end);
        for (outage, requests) in
            self.tally.outages.iter_mut().zip(&self.account.requests_in_outage)
        {
            outage.most_requests = outage.most_requests.max(*requests);
        }
    }

    /// The few pending events are the queue.
    fn next(&self) -> (BootTime, Next) {
        let mut first = (self.alarm, Next::Alarm);
        for (index, caller) in self.callers.iter().enumerate() {
            if caller.due < first.0 {
                first = (caller.due, Next::Caller(index));
            }
        }
        match &self.flight {
            Some(flight) if flight.due <= first.0 => (flight.due, Next::Flight),
            _ => first,
        }
    }

    fn caller_acts(&mut self, index: usize, now: BootTime) {
        match self.callers[index].doing {
            Doing::Away => {
                self.callers[index].since = now;
                self.asks(index, now);
            }
            Doing::Later => self.asks(index, now),
            Doing::Waiting => self.is_settled(index, now),
        }
    }

    fn asks(&mut self, index: usize, now: BootTime) {
        let want = Want { min_ttl: self.callers[index].min_ttl, ..Want::default() };
        self.note_wanting(now);
        let Decision { answer, start } = self.decides(&want, now);
        match answer {
            Answer::Serve => self.is_served(index, now),
            Answer::Wait { serve_at } => {
                self.callers[index].waits(Doing::Waiting, serve_at.unwrap_or(NEVER));
            }
            Answer::Later(at) => self.callers[index].waits(Doing::Later, at),
            Answer::Fail(error) => {
                let until = now.after(error.retry_after().unwrap_or_default());
                self.fails(index, now, until);
            }
        }
        if let Some(id) = start {
            self.starts(id, now);
        }
    }

    fn decides(&mut self, want: &Want, now: BootTime) -> Decision {
        self.last_flight += 1;
        self.entry.ask(self.policy, &mut self.limits, want, now, self.last_flight)
    }

    fn is_served(&mut self, index: usize, now: BootTime) {
        let quiet_until = self.quiet_until(index, now);
        if now >= self.account.dies_at || quiet_until > self.account.dies_at {
            self.tally.served_dead += 1;
        }
        self.ends_call(index, now);
        self.callers[index].is_served(quiet_until, &mut self.chance);
    }

    /// Until when calls are served without asking the core, as readers of the published token are.
    fn quiet_until(&mut self, index: usize, now: BootTime) -> BootTime {
        if self.entry.flight().is_some() {
            return now;
        }
        let long_enough = self.account.expires_at.before(self.callers[index].min_ttl);
        self.entry.serve_until(self.policy, &mut self.limits, now).min(long_enough).max(now)
    }

    fn fails(&mut self, index: usize, now: BootTime, until: BootTime) {
        if now < self.account.expires_at {
            self.tally.failed_with_token += 1;
        }
        self.ends_call(index, now);
        self.tally.failed_calls += self.callers[index].fails(now, until, &mut self.chance);
    }

    fn ends_call(&mut self, index: usize, now: BootTime) {
        let took = now.since(self.callers[index].since);
        self.tally.longest_call = self.tally.longest_call.max(took);
    }

    /// What a caller gets when its wait has ended.
    fn is_settled(&mut self, index: usize, now: BootTime) {
        if matches!(self.entry.state(self.policy, now), State::Empty | State::Expired) {
            let blocked = self.entry.blocked(&mut self.limits, now);
            self.fails(index, now, blocked.map_or(now, |blocked| blocked.until));
        } else {
            self.is_served(index, now);
        }
    }

    fn starts(&mut self, id: FlightId, now: BootTime) {
        self.note_wanting(now);
        if self.flight.is_some() {
            self.tally.second_flights += 1;
        }
        let has_waiters = self.callers.iter().any(Caller::is_waiting);
        let begun = self.entry.begin(self.policy, &mut self.limits, id, has_waiters, now);
        if let Some(attempts) = begun {
            self.flight = Some(Flight { id, attempts, sent_at: now, reply: None, due: now });
            self.attempts(now);
        }
    }

    /// Sends a request, if one may be sent.
    fn attempts(&mut self, now: BootTime) {
        let Some(mut flight) = self.flight.take() else { return };
        if let Err(blocked) = self.limits.may_request(now) {
            match flight.attempts.within(blocked.until) {
                Some(at) => {
                    flight.due = at;
                    self.flight = Some(flight);
                }
                None => {
                    self.entry.withdraw(&mut self.limits, flight.id, now);
                    self.flight_ended(now);
                }
            }
            return;
        }
        self.limits.count_request(now);
        self.note_request(now);
        let timeout = flight.attempts.next(now);
        let (reply, due) = self.server.ask(now, timeout, &mut self.chance);
        (flight.sent_at, flight.reply, flight.due) = (now, Some(reply), due);
        self.flight = Some(flight);
    }

    fn flight_goes_on(&mut self, now: BootTime) {
        let reply = self.flight.as_mut().and_then(|flight| flight.reply.take());
        match reply {
            None => self.attempts(now),
            Some(Reply::Token { dies_at }) => self.succeeds(dies_at, now),
            Some(Reply::Failed(failure)) => self.attempt_failed(failure, now),
        }
    }

    fn succeeds(&mut self, dies_at: BootTime, now: BootTime) {
        let Some(flight) = self.flight.take() else { return };
        self.last_serial += 1;
        let grant = Grant {
            serial: self.last_serial,
            requested_at: flight.sent_at,
            lifetime: self.scenario.lifetime,
            same_value: false,
        };
        let (entry, limits, chance) = (&mut self.entry, &mut self.limits, &mut self.chance);
        // The one draw that this makes is the jitter of the renewal point.
        let jitter = &mut || self.scenario.jitter * chance.unit();
        if entry.granted(self.policy, limits, flight.id, &grant, now, jitter) {
            self.account.dies_at = dies_at;
            self.account.expires_at = grant.requested_at.after(grant.lifetime);
            self.tally.tokens += 1;
        }
        self.note_recovery(now);
        self.flight_ended(now);
    }

    fn attempt_failed(&mut self, failure: Failure, now: BootTime) {
        let Some(mut flight) = self.flight.take() else { return };
        self.account.failure_sent_at = flight.sent_at;
        if let Some(wait) = failure.retry_after {
            self.account.retry_after = self.account.retry_after.max(now.after(wait));
        }
        let has_waiters = self.callers.iter().any(Caller::is_waiting);
        let (entry, limits, chance) = (&self.entry, &mut self.limits, &mut self.chance);
        let again =
            entry.attempt_failed(limits, &flight.attempts, &failure, has_waiters, now, chance);
        match again {
            Some(at) => {
                flight.due = at;
                self.flight = Some(flight);
            }
            None => {
                self.entry.failed(&mut self.limits, flight.id, failure, now, &mut self.chance);
                self.flight_ended(now);
            }
        }
    }

    fn flight_ended(&mut self, now: BootTime) {
        for index in 0..self.callers.len() {
            if self.callers[index].is_waiting() {
                self.is_settled(index, now);
            }
        }
        self.renew_if_due(now);
    }

    /// With `keep_warm`: starts a renewal that is due, or sets the alarm for when it will be. The
    /// end of a fetch that is under way comes back to this.
    fn renew_if_due(&mut self, now: BootTime) {
        self.alarm = NEVER;
        if !self.keep_warm {
            return;
        }
        match self.entry.renew_at(&mut self.limits, now) {
            Some(due) if due > now => self.alarm = due,
            Some(_) => {
                let want = Want { at_once: true, ..Want::default() };
                if let Some(id) = self.decides(&want, now).start {
                    self.starts(id, now);
                }
            }
            None => {}
        }
    }

    fn note_request(&mut self, now: BootTime) {
        let time = now.since(START);
        self.tally.requests[minute_of(time)] += 1;
        if now < self.account.retry_after {
            self.tally.sent_in_retry_after += 1;
        }
        let counts = self.account.requests_in_outage.iter_mut();
        for (count, outage) in counts.zip(self.scenario.outages()) {
            *count += u32::from(outage.covers(time));
        }
    }

    fn note_wanting(&mut self, now: BootTime) {
        if now >= self.account.expires_at {
            self.account.wanting.get_or_insert(now);
        }
    }

    /// A token came, or the day ends: how long it took from the end of each outage that was
    /// waited through.
    fn note_recovery(&mut self, now: BootTime) {
        let Some(since) = self.account.wanting.take() else { return };
        for (outage, tally) in self.scenario.outages().zip(&mut self.tally.outages) {
            let end = START.after(outage.to);
            if since < end && end <= now {
                let failed_again = self.account.failure_sent_at >= end;
                let took = now.since(end);
                tally.recoveries.push(Recovery { took, failed_again });
            }
        }
    }
}
