//! One fetch: how many attempts it makes, when, and how long it may take.

use std::time::Duration;

use super::Random;
use super::policy::{self, Policy};
use crate::clock::BootTime;

/// Identifies a fetch within its client.
pub(crate) type FlightId = u64;

/// Why a fetch failed: an error reported to the core, or one that the core detects.
#[derive(Clone, Debug)]
pub(crate) enum Fault<E> {
    Reported(E),
    /// It overran its time limit.
    Overrun,
    /// The token had expired before it arrived. The value is its lifetime.
    Ended(Duration),
}

/// What a failed attempt means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// May pass by itself: retried within the fetch.
    Transient,
    /// May pass, but not within seconds: one attempt per fetch.
    TransientOnce,
    /// Transient, and affects every entry of the client: status 429, or 503 with `Retry-After`.
    RateLimited,
    /// The proxy refused the login: one attempt. How long that is remembered is decided for all
    /// clients that use this proxy; see `logins`.
    LoginRefused,
    /// Will not pass by itself; affects this entry.
    Terminal,
    /// Will not pass by itself. The credentials were refused, so it affects the whole client.
    Refused,
}

/// An attempt that got no token, and why.
#[derive(Clone, Debug)]
pub(crate) struct Failure<E> {
    pub(crate) error: E,
    pub(crate) class: Class,
    /// From `Retry-After`, already bounded.
    pub(crate) retry_after: Option<Duration>,
}

impl<E> Failure<E> {
    pub(crate) fn new(class: Class, error: E) -> Self {
        Self { error, class, retry_after: None }
    }

    pub(crate) fn transient(error: E) -> Self {
        Self::new(Class::Transient, error)
    }

    /// Whether the endpoint refused the request or the credentials.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.class, Class::Refused | Class::Terminal)
    }
}

/// The attempts of one fetch. Their maximum is not fixed at the start: it depends on who is waiting
/// when one has failed.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    deadline: BootTime,
    request_timeout: Duration,
    made: u32,
}

impl Attempts {
    pub(crate) fn begin(policy: &Policy, now: BootTime) -> Self {
        Self {
            deadline: now.after(policy.fetch_timeout),
            request_timeout: policy.request_timeout,
            made: 0,
        }
    }

    /// Starts the time limit now: what came before the first attempt does not count.
    pub(crate) fn restart(&mut self, policy: &Policy, now: BootTime) {
        self.deadline = now.after(policy.fetch_timeout);
    }

    /// Extends the time limit by a wait that does not count.
    pub(crate) fn exclude_wait(&mut self, wait: Duration) {
        self.deadline = self.deadline.after(wait);
    }

    /// How much of its time the fetch has used.
    pub(crate) fn spent(&self, policy: &Policy, now: BootTime) -> Duration {
        policy.fetch_timeout.saturating_sub(self.deadline.until(now))
    }

    /// The number of the last attempt, from 1.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Counts one more attempt and returns its time limit.
    pub(crate) fn next(&mut self, now: BootTime) -> Duration {
        self.made += 1;
        self.request_timeout.min(self.deadline.until(now))
    }

    /// The back-off after a failed attempt: never shorter than the ordinary one, whatever the
    /// server says.
    pub(crate) fn pause<E>(&self, failure: &Failure<E>, random: &mut dyn Random) -> Duration {
        policy::attempt_pause(self.made, random).max(failure.retry_after.unwrap_or_default())
    }

    /// When to retry after a failed attempt, given a maximum of `most` attempts. `None`: the fetch
    /// has failed.
    pub(crate) fn after<E>(
        &self,
        failure: &Failure<E>,
        pause: Duration,
        most: u32,
        now: BootTime,
    ) -> Option<BootTime> {
        let may_pass = matches!(failure.class, Class::Transient | Class::RateLimited);
        let at = now.after(pause);
        self.within(at).filter(|_| may_pass && self.made < most)
    }

    /// Returns `at` if it is within the fetch's time.
    pub(crate) fn within(&self, at: BootTime) -> Option<BootTime> {
        (at < self.deadline).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: BootTime = BootTime::from_nanos(1_000_000_000_000);

    fn attempts() -> Attempts {
        Attempts::begin(&policy::usual(), START)
    }

    fn failure(class: Class) -> Failure<()> {
        Failure::new(class, ())
    }

    fn limited(retry_after: Duration) -> Failure<()> {
        Failure { retry_after: Some(retry_after), ..failure(Class::RateLimited) }
    }

    fn later(ms: u64) -> BootTime {
        START.after(Duration::from_millis(ms))
    }

    /// When the next attempt is made, with a maximum of three and the longest pauses.
    fn after(attempts: &Attempts, failure: &Failure<()>, now: BootTime) -> Option<BootTime> {
        attempts.after(failure, attempts.pause(failure, &mut || 1.0), 3, now)
    }

    #[test]
    fn three_attempts_with_growing_pauses_then_the_end() {
        let mut flight = attempts();
        let transient = failure(Class::Transient);
        assert_eq!(flight.next(START), Duration::from_secs(10));
        assert_eq!(after(&flight, &transient, START), Some(later(250)));
        flight.next(later(250));
        assert_eq!(after(&flight, &transient, later(250)), Some(later(750)));
        flight.next(later(750));
        assert_eq!(after(&flight, &transient, later(750)), None);
    }

    #[test]
    fn the_last_attempt_is_cut_to_what_is_left() {
        let mut flight = attempts();
        flight.next(START);
        assert_eq!(flight.next(later(10_000)), Duration::from_secs(5));
    }

    #[test]
    fn failures_that_will_not_pass_in_seconds_are_not_retried() {
        for class in [Class::TransientOnce, Class::LoginRefused, Class::Terminal, Class::Refused] {
            let mut flight = attempts();
            flight.next(START);
            assert_eq!(after(&flight, &failure(class), START), None);
        }
    }

    #[test]
    fn a_retry_after_inside_the_fetch_is_waited_for_and_a_longer_one_is_not() {
        let mut flight = attempts();
        flight.next(START);
        assert_eq!(after(&flight, &limited(Duration::from_secs(2)), START), Some(later(2000)));
        assert_eq!(after(&flight, &limited(Duration::from_secs(15)), START), None);
    }

    #[test]
    fn a_very_short_retry_after_does_not_shorten_the_back_off() {
        let mut flight = attempts();
        flight.next(START);
        for wait in [Duration::ZERO, Duration::from_millis(20)] {
            assert_eq!(after(&flight, &limited(wait), START), Some(later(250)));
        }
    }
}
