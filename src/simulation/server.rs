//! The token endpoint, played by chance and the time of day.

use std::time::Duration;

use super::chance::Chance;
use super::scenario::{START, Scenario, Trouble};
use crate::cache::flight::{Class, Failure};
use crate::clock::BootTime;

/// Share of answers 429 while the endpoint is throttled.
const THROTTLED_SHARE: f64 = 0.5;
/// Share of answers 429 that say how long to wait, and how long that is.
const WITH_RETRY_AFTER: f64 = 0.5;
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
const MOST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// An answer takes at least this, and on average the second on top of it.
const LEAST_LATENCY: Duration = Duration::from_millis(40);
const MEAN_LATENCY: Duration = Duration::from_millis(160);
/// A refused connection takes at most this.
const REFUSED_WITHIN: Duration = Duration::from_millis(50);
/// A connection into nothing is given up after this (the option `connect_timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a request fails with.
pub(super) type Mishap = &'static str;

const REFUSED: Mishap = "connection refused";
const RESET: Mishap = "connection reset";
const SLOW: Mishap = "too slow";
const BROKEN: Mishap = "status 503";
const LIMITED: Mishap = "status 429";

/// What comes back from a request.
pub(super) enum Reply {
    /// A token, and when the endpoint stops honouring it.
    Token {
        dies_at: BootTime,
    },
    Failed(Failure<Mishap>),
}

pub(super) struct Server<'a> {
    scenario: &'a Scenario,
}

impl<'a> Server<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario }
    }

    /// What a request that is sent now leads to, and when that is known.
    pub(super) fn ask(
        &self,
        now: BootTime,
        timeout: Duration,
        chance: &mut Chance,
    ) -> (Reply, BootTime) {
        let time = now.since(START);
        let is_in =
            |trouble| self.scenario.spells.iter().any(|s| s.trouble == trouble && s.covers(time));
        if is_in(Trouble::Outage) {
            return self.unreachable(now, timeout, chance);
        }
        let limited =
            if is_in(Trouble::Throttled) { THROTTLED_SHARE } else { self.scenario.limited };
        let latency = LEAST_LATENCY + chance.exponential(MEAN_LATENCY);
        if latency >= timeout {
            return (failed(SLOW), now.after(timeout));
        }
        let reply = if chance.happens(limited) {
            self.rate_limited(chance)
        } else if chance.happens(self.scenario.flaky) {
            return self.flaky(now, timeout, latency, chance);
        } else {
            // Made half-way through; its life counts from there.
            Reply::Token { dies_at: now.after(latency / 2).after(self.scenario.lifetime) }
        };
        (reply, now.after(latency))
    }

    fn unreachable(
        &self,
        now: BootTime,
        timeout: Duration,
        chance: &mut Chance,
    ) -> (Reply, BootTime) {
        if chance.happens(0.5) {
            let took = chance.between(Duration::ZERO, REFUSED_WITHIN).min(timeout);
            return (failed(REFUSED), now.after(took));
        }
        // Into nothing, or connected to what never answers.
        let took = if chance.happens(0.5) { CONNECT_TIMEOUT.min(timeout) } else { timeout };
        (failed(SLOW), now.after(took))
    }

    fn rate_limited(&self, chance: &mut Chance) -> Reply {
        let mut failure = Failure::new(Class::RateLimited, LIMITED);
        if chance.happens(WITH_RETRY_AFTER) {
            let wait = chance.between(MIN_RETRY_AFTER, MOST_RETRY_AFTER);
            failure.retry_after = Some(Duration::from_secs(wait.as_secs()));
        }
        Reply::Failed(failure)
    }

    fn flaky(
        &self,
        now: BootTime,
        timeout: Duration,
        latency: Duration,
        chance: &mut Chance,
    ) -> (Reply, BootTime) {
        match (chance.happens(0.5), chance.happens(0.5)) {
            (true, _) => (failed(BROKEN), now.after(latency)),
            (false, true) => (failed(RESET), now.after(latency)),
            (false, false) => (failed(SLOW), now.after(timeout)),
        }
    }
}

fn failed(error: Mishap) -> Reply {
    Reply::Failed(Failure::transient(error))
}
