//! One client's day: the core between its callers and the endpoint.
//!
//! Threads, timers and sockets are replaced by points in time: every output of the core becomes an
//! event, and the result of the event is the next input. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::caller::{self, Caller, Doing, NEVER};
use super::chance::Chance;
use super::scenario::{START, Scenario};
use super::server::{Mishap, Reply, Server};
use super::tally::Tally;
use super::visitor::{self, Operation, Visitor};
use crate::cache::Random;
use crate::cache::core::{Core, Settings};
use crate::cache::entry::Want;
use crate::cache::flight::FlightId;
use crate::cache::input::{
    CredentialStatus, Environment, Granted, Input, Pair, Source, SourceKind, Waited,
};
use crate::cache::limits::Blocked;
use crate::cache::output::{Outcome, Output, Reason, Task};
use crate::cache::policy::Policy;
use crate::clock::BootTime;

/// The only entry of each client.
const ENTRY: usize = 0;

/// The credentials are fixed.
const SOURCE: Source = Source { kind: SourceKind::Given, version: 0 };
const PAIR: Pair = Pair { version: 0, is_other: false, was_requested: false };

/// A fetch in progress, and when it continues.
struct Flight {
    id: FlightId,
    due: BootTime,
    work: Work,
}

/// What a fetch waits for.
enum Work {
    /// A thread.
    Thread,
    Request {
        sent_at: BootTime,
        reply: Reply,
    },
    Store(Operation),
}

/// A client of a key that others use as well.
pub(super) struct Sharing {
    /// `None`: it shares no store with them.
    pub(super) visitor: Option<Visitor>,
    /// How many programs ask this client; each has one of its own elsewhere.
    pub(super) programs: u32,
    /// When the program starts.
    pub(super) started: BootTime,
}

/// The next event.
enum Next {
    Flight,
    Caller(usize),
    Alarm,
}

pub(super) struct SimulatedClient<'a> {
    scenario: &'a Scenario,
    server: &'a Server<'a>,
    account: Account<'a>,
    chance: Chance,
    policy: Policy,
    core: Core<Mishap>,
    callers: Vec<Caller>,
    flight: Option<Flight>,
    alarm: BootTime,
    /// Until when readers of the published token do not ask the core.
    serve_until: BootTime,
    visitor: Option<Visitor>,
    /// When the token was requested that is being saved.
    sent_at: BootTime,
}

impl<'a> SimulatedClient<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        policy: &Policy,
        server: &'a Server<'a>,
        tally: &'a mut Tally,
        index: u64,
        sharing: Option<Sharing>,
    ) -> Self {
        let mut chance = Chance::new(scenario.seed, index);
        let programs = sharing.as_ref().map_or(1, |sharing| sharing.programs);
        let drawn: Vec<_> = (0..programs).map(|_| caller::draw(&mut chance)).collect();
        let keep_warm = drawn.iter().any(|(_, keep_warm)| *keep_warm);
        let mut callers: Vec<Caller> = drawn.into_iter().flat_map(|(callers, _)| callers).collect();
        // Programs start one by one over the course of a lifetime.
        let started = START.after(scenario.lifetime.mul_f64(chance.unit()));
        let started = sharing.as_ref().map_or(started, |sharing| sharing.started);
        let visitor = sharing.and_then(|sharing| sharing.visitor);
        let store_timeout = visitor.as_ref().map(|_| visitor::TIMEOUT);
        callers.iter_mut().for_each(|caller| caller.is_served(started, &mut chance));
        let (policy, own) = (policy.clone(), Some(ENTRY));
        let mut core = Core::new(
            Settings { policy: Arc::new(policy.clone()), keep_warm, own, store_timeout },
            0,
        );
        core.add_entry(started);
        Self {
            scenario,
            server,
            account: Account::new(scenario, tally, index),
            chance,
            policy,
            core,
            callers,
            flight: None,
            alarm: if keep_warm { started } else { NEVER },
            serve_until: BootTime::ZERO,
            visitor,
            sent_at: BootTime::ZERO,
        }
    }

    /// Runs the whole day.
    pub(super) fn live(mut self) {
        let end = START.after(self.scenario.length);
        while self.next_at() < end {
            self.goes_on();
        }
        self.day_ends();
    }

    pub(super) fn day_ends(&mut self) {
        self.account.day_ends(START.after(self.scenario.length));
    }

    /// When its next event is.
    pub(super) fn next_at(&self) -> BootTime {
        self.next().0
    }

    /// Its next event happens.
    pub(super) fn goes_on(&mut self) {
        let (now, next) = self.next();
        match next {
            Next::Flight => self.flight_goes_on(now),
            Next::Caller(caller) => self.caller_acts(caller, now),
            Next::Alarm => self.alarm_rings(now),
        }
    }

    /// There are few pending events; this finds the first.
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

    // --- events
    // -----------------------------------------------------------------------------------

    fn caller_acts(&mut self, index: usize, now: BootTime) {
        let waited = match self.callers[index].doing {
            Doing::Away => {
                self.callers[index].since = now;
                if now < self.quiet_until(index) {
                    return self.is_served(index, now);
                }
                None
            }
            Doing::Waiting { serve_at } => Some(Waited { serve_at, failed: false }),
            Doing::HasToken => return self.is_served(index, now),
            Doing::WasFailed { .. } => Some(Waited { serve_at: None, failed: true }),
        };
        self.asks(index, waited, now);
    }

    fn asks(&mut self, index: usize, waited: Option<Waited>, now: BootTime) {
        self.account.is_asked(now);
        // Without a deadline, the end of its wait is up to the core.
        let want = Want { min_ttl: self.callers[index].min_ttl, at_once: false, until: NEVER };
        match self.takes(Input::Ask { entry: ENTRY, want, waited }, now) {
            Some(Output::Wait { wait, .. }) => self.callers[index].waits(wait),
            Some(Output::Fail(reason)) => self.fails(index, &reason, now),
            _ => self.is_served(index, now),
        }
    }

    fn alarm_rings(&mut self, now: BootTime) {
        self.alarm = NEVER;
        self.takes(Input::Tick { entry: ENTRY }, now);
    }

    fn flight_goes_on(&mut self, now: BootTime) {
        let Some(flight) = &mut self.flight else { return };
        // Until the core decides what it does next.
        flight.due = NEVER;
        let (id, work) = (flight.id, std::mem::replace(&mut flight.work, Work::Thread));
        let input = match work {
            Work::Thread => Input::ThreadReady { flight: id, status: has_credentials() },
            Work::Request { sent_at, reply } => {
                self.account.is_answered(sent_at, &reply, now);
                self.sent_at = sent_at;
                let answer = match reply {
                    Reply::Failed(failure) => Err(failure),
                    Reply::Token { .. } => Ok(self.granted()),
                };
                Input::Answered { flight: id, answer, source: SOURCE }
            }
            Work::Store(operation) => self.store_answers(id, &operation, now),
        };
        self.takes(input, now);
    }

    fn granted(&self) -> Granted {
        Granted { lifetime: self.scenario.lifetime, same_value: false }
    }

    fn store_answers(
        &mut self,
        flight: FlightId,
        operation: &Operation,
        now: BootTime,
    ) -> Input<Mishap> {
        let Some(visitor) = &mut self.visitor else { unreachable!("there is no store") };
        let status = has_credentials();
        match operation.task {
            Task::Look => {
                let found = visitor.looked(operation, self.account.shown(), &self.policy, now);
                if let Some((_, given)) = found {
                    self.account.is_found(given);
                }
                Input::Looked { flight, record: found.map(|(record, _)| record), status }
            }
            Task::TryLock => Input::LockTried { flight, lock: visitor.lock_tried(operation, now) },
            Task::Announce { again_at } => {
                visitor.announced(operation, again_at, now);
                Input::Announced { flight, status }
            }
            Task::Save { fresh_for } => {
                let (sent_at, lifetime) = (self.sent_at, self.scenario.lifetime);
                let given = self.account.arrived();
                visitor.saved(operation, fresh_for, sent_at, lifetime, given, now);
                Input::Saved { flight, granted: self.granted() }
            }
            Task::Send { .. } | Task::GoOn => unreachable!("no operation of a store"),
        }
    }

    // --- outputs
    // ----------------------------------------------------------------------------------

    /// Takes a step and carries out its outputs, except for the one to the caller that asked, which
    /// is returned.
    fn takes(&mut self, input: Input<Mishap>, now: BootTime) -> Option<Output<Mishap>> {
        // A new token draws exactly once: the jitter of its renewal.
        let is_token = matches!(&input, Input::Answered { answer: Ok(_), .. });
        let share = if is_token { self.scenario.jitter } else { 1.0 };
        let (callers, chance) = (&self.callers, &mut self.chance);
        let outputs =
            self.core.handle(now, &mut SimulatedEnvironment { callers, chance, share }, input);
        let mut told = None;
        for output in outputs.list {
            match output {
                Output::Serve { .. } | Output::Wait { .. } | Output::Fail(_) => told = Some(output),
                output => self.does(output, now),
            }
        }
        told
    }

    fn does(&mut self, output: Output<Mishap>, now: BootTime) {
        match output {
            Output::Publish { serve_until, .. } => {
                self.account.has_token(now);
                self.serve_until = serve_until;
            }
            Output::ServeUntil { until, .. } => self.serve_until = until,
            Output::ServeUntilOfAll => self.serve_until = self.core.serve_until(ENTRY, now),
            Output::Clear { .. } => self.serve_until = BootTime::ZERO,
            Output::Finish { outcome, .. } => self.wait_ends(&outcome, now),
            Output::Start { flight, .. } => self.starts(flight, now),
            Output::Do { task: Task::Send { limit, .. }, .. } => self.sends(limit, now),
            Output::Do { task: Task::GoOn, .. } => self.goes_on_at(now),
            Output::Do { task, .. } => self.asks_store(task, now),
            Output::PutOff { wait, .. } => {
                if let Some(visitor) = &mut self.visitor {
                    visitor.put_off(now.after(wait), now);
                }
            }
            Output::Pause { until, .. } => self.goes_on_at(until),
            Output::Forget { flight } => {
                let own = self.flight.take_if(|own| own.id == flight);
                if let (Some(_), Some(visitor)) = (own, &mut self.visitor) {
                    visitor.ends();
                }
            }
            Output::Alarm { at, .. } => self.alarm = at,
            // Each fetch gets a thread and credentials at once, and no one receives events.
            _ => {}
        }
    }

    fn starts(&mut self, id: FlightId, now: BootTime) {
        if self.flight.as_ref().is_none_or(|own| own.id != id) {
            self.account.fetch_starts(self.flight.is_some(), now);
            self.visitor.iter_mut().for_each(Visitor::begins);
        }
        self.flight = Some(Flight { id, due: now, work: Work::Thread });
    }

    fn asks_store(&mut self, task: Task, now: BootTime) {
        if let (Some(visitor), Some(flight)) = (&mut self.visitor, &mut self.flight) {
            let (operation, due) = visitor.starts(task, &mut self.chance, now);
            (flight.due, flight.work) = (due, Work::Store(operation));
        }
    }

    fn goes_on_at(&mut self, due: BootTime) {
        if let Some(flight) = &mut self.flight {
            flight.due = due;
        }
    }

    fn sends(&mut self, limit: Duration, now: BootTime) {
        self.account.request_is_sent(now);
        if let Some(visitor) = &mut self.visitor {
            visitor.renew_lock(now);
        }
        if let Some(flight) = &mut self.flight {
            let (reply, due) = self.server.ask(now, limit, &mut self.chance);
            (flight.due, flight.work) = (due, Work::Request { sent_at: now, reply });
        }
    }

    // --- callers --------------------------------------------------------------------------------------

    fn wait_ends(&mut self, outcome: &Outcome<Mishap>, now: BootTime) {
        for caller in self.callers.iter_mut().filter(|caller| caller.is_waiting()) {
            caller.due = now;
            match outcome {
                Outcome::Token => caller.doing = Doing::HasToken,
                Outcome::AskAgain => {}
                Outcome::Fail(reason) => {
                    caller.doing = Doing::WasFailed { until: now.after(wait_of(reason)) };
                }
            }
        }
    }

    fn is_served(&mut self, index: usize, now: BootTime) {
        let quiet_until = self.quiet_until(index).max(now);
        // A fetch in progress may change the result sooner.
        let quiet_until = if self.flight.is_some() { now } else { quiet_until };
        self.account.is_served(now.since(self.callers[index].since), quiet_until, now);
        self.callers[index].is_served(quiet_until, &mut self.chance);
    }

    /// Until when its calls are served without asking the core.
    fn quiet_until(&self, index: usize) -> BootTime {
        let long_enough = self.account.expires_at().before(self.callers[index].min_ttl);
        self.serve_until.min(long_enough)
    }

    fn fails(&mut self, index: usize, reason: &Reason<Mishap>, now: BootTime) {
        let caller = &mut self.callers[index];
        let until = match (reason, caller.doing) {
            (Reason::AlreadyReported, Doing::WasFailed { until }) => until,
            _ => now.after(wait_of(reason)),
        };
        let took = now.since(caller.since);
        let calls = caller.fails(now, until, &mut self.chance);
        self.account.is_failed(took, calls, now);
    }
}

fn has_credentials() -> CredentialStatus<Mishap> {
    CredentialStatus { source: SOURCE, credentials: Some(Ok(PAIR)) }
}

/// How long a caller that gets this error would keep getting it.
fn wait_of(reason: &Reason<Mishap>) -> Duration {
    match reason {
        Reason::Blocked { wait, .. } | Reason::Failed { wait, .. } => *wait,
        _ => Duration::ZERO,
    }
}

/// What the core needs while it decides.
struct SimulatedEnvironment<'a> {
    callers: &'a [Caller],
    chance: &'a mut Chance,
    /// The result of the draws.
    share: f64,
}

impl Random for SimulatedEnvironment<'_> {
    fn unit(&mut self) -> f64 {
        self.share * self.chance.unit()
    }
}

impl Environment<Mishap> for SimulatedEnvironment<'_> {
    fn has_waiters(&self, _: usize) -> bool {
        self.callers.iter().any(Caller::is_waiting)
    }

    fn was_asked(&mut self, _: usize) -> bool {
        false
    }

    fn refused_login(&self) -> Option<Blocked<Mishap>> {
        None
    }
}
