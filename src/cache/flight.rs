//! One fetch: how many attempts it makes, when, and how long it may take.

use std::time::Duration;

use super::Random;
use super::policy::{self, Policy};
use crate::clock::BootTime;
use crate::error::Error;

/// What an attempt that brought no token means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// May pass by itself: tried again inside the fetch.
    Transient,
    /// May pass, but not within seconds: one attempt a fetch.
    TransientOnce,
    /// Transient, and for every entry of the client: status 429, or 503 with a wait.
    RateLimited,
    /// The proxy refused its login: one attempt. How long that is remembered is decided for all who
    /// go through this proxy, by `logins`.
    LoginRefused,
    /// Will not pass by itself; concerns this entry.
    Terminal,
    /// Will not pass by itself; the credentials were refused, so it concerns the whole client.
    Refused,
}

/// An attempt that brought no token.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) class: Class,
    /// From `Retry-After`, already bounded.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(class: Class, error: Error) -> Self {
        Self { error, class, retry_after: None }
    }

    pub(crate) fn transient(error: Error) -> Self {
        Self::new(Class::Transient, error)
    }
}

/// The attempts of one fetch.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    deadline: BootTime,
    request_timeout: Duration,
    most: u32,
    made: u32,
}

impl Attempts {
    pub(crate) fn begin(policy: &Policy, most: u32, now: BootTime) -> Self {
        Self {
            deadline: now.after(policy.fetch_timeout),
            request_timeout: policy.request_timeout,
            most,
            made: 0,
        }
    }

    /// What came before the first attempt took none of their time.
    pub(crate) fn begin_anew(&mut self, policy: &Policy, now: BootTime) {
        self.deadline = now.after(policy.fetch_timeout);
    }

    /// Which attempt the last one was, from 1.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Counts one more attempt and says how long it may take.
    pub(crate) fn next(&mut self, now: BootTime) -> Duration {
        self.made += 1;
        self.request_timeout.min(self.deadline.until(now))
    }

    /// When to try again after a failed attempt; `None`: the fetch has failed.
    pub(crate) fn after(
        &self,
        failure: &Failure,
        now: BootTime,
        random: &mut dyn Random,
    ) -> Option<BootTime> {
        if self.made >= self.most || !matches!(failure.class, Class::Transient | Class::RateLimited)
        {
            return None;
        }
        let pause = failure.retry_after.unwrap_or_else(|| policy::attempt_pause(self.made, random));
        self.within(now.after(pause))
    }

    /// The same point in time if it lies inside the fetch.
    pub(crate) fn within(&self, at: BootTime) -> Option<BootTime> {
        (at < self.deadline).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const START: BootTime = BootTime::from_nanos(1_000_000_000_000);

    fn attempts(most: u32) -> Attempts {
        let policy = Policy {
            refresh_before: Duration::from_secs(300),
            expiry_margin: Duration::from_secs(30),
            fetch_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            max_requests_per_minute: 600,
        };
        Attempts::begin(&policy, most, START)
    }

    fn failure(class: Class) -> Failure {
        Failure::new(class, Error::new(ErrorKind::Server, "x"))
    }

    fn later(ms: u64) -> BootTime {
        START.after(Duration::from_millis(ms))
    }

    #[test]
    fn three_attempts_with_growing_pauses_then_the_end() {
        let mut flight = attempts(3);
        let transient = failure(Class::Transient);
        assert_eq!(flight.next(START), Duration::from_secs(10));
        assert_eq!(flight.after(&transient, START, &mut || 1.0), Some(later(250)));
        flight.next(later(250));
        assert_eq!(flight.after(&transient, later(250), &mut || 1.0), Some(later(750)));
        flight.next(later(750));
        assert_eq!(flight.after(&transient, later(750), &mut || 1.0), None);
    }

    #[test]
    fn the_last_attempt_is_cut_to_what_is_left() {
        let mut flight = attempts(3);
        flight.next(START);
        assert_eq!(flight.next(later(10_000)), Duration::from_secs(5));
    }

    #[test]
    fn what_will_not_pass_in_seconds_is_not_tried_again() {
        for class in [Class::TransientOnce, Class::LoginRefused, Class::Terminal, Class::Refused] {
            let mut flight = attempts(3);
            flight.next(START);
            assert_eq!(flight.after(&failure(class), START, &mut || 0.0), None);
        }
    }

    #[test]
    fn a_retry_after_inside_the_fetch_is_waited_for_and_a_longer_one_is_not() {
        let mut flight = attempts(3);
        flight.next(START);
        let mut limited = failure(Class::RateLimited);
        limited.retry_after = Some(Duration::from_secs(2));
        assert_eq!(flight.after(&limited, START, &mut || 0.0), Some(later(2000)));
        limited.retry_after = Some(Duration::from_secs(15));
        assert_eq!(flight.after(&limited, START, &mut || 0.0), None);
    }
}
