//! The token endpoint, driven by chance and the time of day.

use std::time::Duration;

use super::chance::Chance;
use super::scenario::{START, Scenario, Trouble};
use crate::cache::flight::{Class, Failure};
use crate::clock::BootTime;

/// Share of 429 answers while the endpoint is throttled.
const THROTTLED_SHARE: f64 = 0.5;
/// Share of 429 answers with `Retry-After`, and its value.
const WITH_RETRY_AFTER: f64 = 0.5;
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
const MOST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Minimum latency, and the mean of what is added to it.
const LEAST_LATENCY: Duration = Duration::from_millis(40);
const MEAN_LATENCY: Duration = Duration::from_millis(160);
/// A refused connection takes at most this.
const REFUSED_WITHIN: Duration = Duration::from_millis(50);
/// A connection to an unreachable host times out after this (the option `connect_timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request failed.
pub(super) type Mishap = &'static str;

const REFUSED: Mishap = "connection refused";
const RESET: Mishap = "connection reset";
const SLOW: Mishap = "too slow";
const BROKEN: Mishap = "status 503";
const LIMITED: Mishap = "status 429";

/// The result of a request.
pub(super) enum Reply {
    /// A token, and until when the endpoint accepts it.
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

    /// The result of a request sent now, and when it is known.
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
            // Issued half-way through the request; its lifetime starts there.
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
        // Unreachable, or connected to a server that never answers.
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
