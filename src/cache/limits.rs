//! What binds all entries of one client: a running `Retry-After`, refused credentials, a login
//! refused by the proxy, a pause after a rate limit, and the budget of requests per minute.

use std::collections::VecDeque;
use std::time::Duration;

use super::flight::{Class, Failure};
use super::policy::{self, BUDGET_WINDOW, Policy};
use crate::clock::BootTime;

/// What prevents a fetch from starting.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle<E> {
    /// An earlier failure; it is not retried yet.
    Remembered(E),
    /// The budget is used up. `last` is the last failure, usually the cause.
    Budget { most: u32, last: Option<E> },
}

/// The earliest time at which a fetch may start, and why not before.
#[derive(Clone, Debug)]
pub(crate) struct Blocked<E> {
    pub(crate) until: BootTime,
    /// What a caller without a token is told. `None`: it waits until then.
    pub(crate) obstacle: Option<Obstacle<E>>,
}

impl<E: Clone> Blocked<E> {
    pub(crate) fn new(until: BootTime, error: &E) -> Self {
        Self { until, obstacle: Some(Obstacle::Remembered(error.clone())) }
    }

    /// Both apply: the longer wait, and the first obstacle.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), obstacle: self.obstacle.or(other.obstacle) }
    }

    pub(crate) fn is_budget(&self) -> bool {
        matches!(self.obstacle, Some(Obstacle::Budget { .. }))
    }
}

#[derive(Clone, Debug)]
struct Hold<E> {
    until: BootTime,
    error: E,
}

impl<E: Clone> Hold<E> {
    fn blocks(hold: &Option<Box<Self>>, now: BootTime) -> Option<Blocked<E>> {
        hold.as_ref()
            .filter(|hold| now < hold.until)
            .map(|hold| Blocked::new(hold.until, &hold.error))
    }

    /// Never shortens a hold.
    fn extend(hold: &mut Option<Box<Self>>, until: BootTime, error: &E) {
        if hold.as_ref().is_none_or(|hold| hold.until < until) {
            *hold = Some(Box::new(Self { until, error: error.clone() }));
        }
    }
}

/// Rarely used fields are boxed: a program may have thousands of clients.
#[derive(Clone, Debug)]
pub(crate) struct Limits<E> {
    most: u32,
    /// Times of the last minute's requests, oldest first.
    requests: VecDeque<BootTime>,
    retry_after: Option<Box<Hold<E>>>,
    /// The back-off after a rate limit.
    pause: Option<Box<Hold<E>>>,
    refused: Option<Box<Hold<E>>>,
    refused_times: u32,
    /// A fetch is probing whether the refusal still stands.
    probing: bool,
    /// The proxy's refusal of a login, as currently known to the process.
    login: Option<Box<Blocked<E>>>,
    /// A fetch of this client has run into that refusal. Until then its fetches start: the store
    /// may have a token.
    met_login: bool,
    /// The source has been asked to replace the refused credentials; once per cool-down.
    was_reread: bool,
    last_failure: Option<Box<E>>,
}

impl<E: Clone> Limits<E> {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            most: policy.max_requests_per_minute,
            requests: VecDeque::new(),
            retry_after: None,
            pause: None,
            refused: None,
            refused_times: 0,
            probing: false,
            login: None,
            met_login: false,
            was_reread: false,
            last_failure: None,
        }
    }

    /// What prevents a fetch from starting, if anything.
    pub(crate) fn blocked(&mut self, now: BootTime) -> Option<Blocked<E>> {
        let refused = Hold::blocks(&self.refused, now);
        let login = self.refused_login(now);
        let request = self.may_request(now).err();
        [refused, login, request].into_iter().flatten().reduce(Blocked::and)
    }

    fn refused_login(&self, now: BootTime) -> Option<Blocked<E>> {
        let login = self.login.as_deref().filter(|login| self.met_login && now < login.until);
        login.cloned()
    }

    /// What the process currently knows of logins to the client's proxy, which its clients share.
    pub(crate) fn set_login(&mut self, refused: Option<Blocked<E>>) {
        self.met_login &= refused.is_some();
        self.login = refused.map(Box::new);
    }

    /// Until when a block that lasts until `blocked` is certain to hold without checking again: a
    /// refused login ends for all clients as soon as one of them is accepted.
    pub(crate) fn known_until(&self, blocked: BootTime, now: BootTime) -> BootTime {
        match self.refused_login(now) {
            Some(_) => blocked.min(now.after(policy::LOGIN_LOOK_SPACING)),
            None => blocked,
        }
    }

    /// Whether a running fetch may send a request. A rate limit applies to the whole client, so its
    /// pause holds back every fetch and not only the one that met it.
    pub(crate) fn may_request(&mut self, now: BootTime) -> Result<(), Blocked<E>> {
        let retry_after = Hold::blocks(&self.retry_after, now);
        let budget = self.within_budget(now).err();
        let pause = Hold::blocks(&self.pause, now);
        let blocked = [retry_after, budget, pause].into_iter().flatten().reduce(Blocked::and);
        blocked.map_or(Ok(()), Err)
    }

    fn within_budget(&mut self, now: BootTime) -> Result<(), Blocked<E>> {
        let start = now.before(BUDGET_WINDOW);
        while self.requests.front().is_some_and(|sent| *sent <= start) {
            self.requests.pop_front();
        }
        match self.requests.front() {
            Some(oldest) if self.requests.len() >= self.most as usize => {
                let until = oldest.after(BUDGET_WINDOW);
                let last = self.last_failure.as_deref().cloned();
                let obstacle = Some(Obstacle::Budget { most: self.most, last });
                Err(Blocked { until, obstacle })
            }
            _ => Ok(()),
        }
    }

    /// Counts a request that is about to be sent.
    pub(crate) fn count_request(&mut self, now: BootTime) {
        self.requests.push_back(now);
    }

    /// Records a failed attempt while its fetch still runs. From then on a rate limit binds every
    /// fetch of the client, for at least the `pause` that this fetch makes.
    pub(crate) fn attempt_failed(&mut self, failure: &Failure<E>, pause: Duration, now: BootTime) {
        self.last_failure = Some(Box::new(failure.error.clone()));
        if let Some(wait) = failure.retry_after {
            Hold::extend(&mut self.retry_after, now.after(wait), &failure.error);
        }
        if failure.class == Class::RateLimited {
            Hold::extend(&mut self.pause, now.after(pause), &failure.error);
        }
    }

    /// A fetch starts. If the cool-down of a refusal is over, this fetch is the one probe, and
    /// callers of other entries keep getting the refusal until it has ended. Returns whether it is.
    pub(crate) fn fetch_starts(&mut self, policy: &Policy, now: BootTime) -> bool {
        let Some(refused) = self.refused.as_mut().filter(|refused| refused.until <= now) else {
            return false;
        };
        refused.until = now.after(policy.fetch_timeout);
        self.probing = true;
        self.was_reread = false;
        true
    }

    /// The probe was inconclusive: another may be made.
    pub(crate) fn probe_ended(&mut self, now: BootTime) {
        let was_probing = std::mem::take(&mut self.probing);
        if let Some(refused) = self.refused.as_mut().filter(|_| was_probing) {
            refused.until = now;
        }
    }

    /// Whether a fetch whose credentials were refused may ask the source for others. Once for all
    /// entries, because a function may return new and equally wrong ones at each call.
    pub(crate) fn may_reread(&mut self) -> bool {
        !std::mem::replace(&mut self.was_reread, true)
    }

    /// Records a failed fetch. `pause` is its entry's own back-off.
    pub(crate) fn fetch_failed(&mut self, failure: &Failure<E>, pause: Duration, now: BootTime) {
        if failure.class != Class::Refused {
            self.probe_ended(now);
            // Nothing is known about the credentials that were reread.
            self.was_reread = false;
        }
        match failure.class {
            Class::LoginRefused => self.met_login = true,
            Class::RateLimited if failure.retry_after.is_none() => {
                Hold::extend(&mut self.pause, now.after(pause), &failure.error);
            }
            // Refusals of other fetches that were in flight add nothing.
            Class::Refused if self.is_refused(now) && !self.probing => {}
            Class::Refused => {
                self.probing = false;
                self.refused_times = self.refused_times.saturating_add(1);
                self.refused = Some(Box::new(Hold {
                    until: now.after(policy::refusal_pause(self.refused_times)),
                    error: failure.error.clone(),
                }));
            }
            _ => {}
        }
    }

    /// A token was granted: the credentials are good and the endpoint answers.
    pub(crate) fn fetch_succeeded(&mut self) {
        self.credentials_changed();
        self.last_failure = None;
    }

    /// The credentials changed: forgets what happened to the old ones.
    pub(crate) fn credentials_changed(&mut self) {
        self.refused = None;
        self.refused_times = 0;
        self.probing = false;
        self.was_reread = false;
        self.pause = None;
    }

    /// The network is back: pauses end and a refusal may be probed once. A `Retry-After` stays in
    /// force.
    pub(crate) fn wake(&mut self, now: BootTime) {
        self.pause = None;
        if let Some(refused) = &mut self.refused {
            refused.until = now;
        }
    }

    /// Whether the last credentials were refused, even if the cool-down is over.
    pub(crate) fn has_refusal(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether a refusal is in force.
    pub(crate) fn is_refused(&self, now: BootTime) -> bool {
        Hold::blocks(&self.refused, now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: BootTime = BootTime::from_nanos(1_000_000_000_000);

    fn limits(most: u32) -> Limits<&'static str> {
        Limits::new(&policy_of(most))
    }

    fn policy_of(most: u32) -> Policy {
        Policy { max_requests_per_minute: most, ..policy::usual() }
    }

    fn at(seconds: u64) -> BootTime {
        START.after(Duration::from_secs(seconds))
    }

    fn failure(class: Class, retry_after: Option<u64>) -> Failure<&'static str> {
        Failure { error: "slow down", class, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn no_minute_sees_more_requests_than_the_budget() {
        let mut limits = limits(3);
        let mut sent = Vec::new();
        for second in 0..600 {
            if limits.may_request(at(second)).is_ok() {
                limits.count_request(at(second));
                sent.push(second);
            }
        }
        assert!(sent.len() >= 28);
        assert!(sent.windows(4).all(|four| four[3] - four[0] >= 60), "{sent:?}");
    }

    #[test]
    fn an_exhausted_budget_reports_the_wait_and_the_last_failure() {
        let mut limits = limits(1);
        limits.count_request(START);
        limits.attempt_failed(&failure(Class::Transient, None), Duration::ZERO, START);
        let blocked = limits.may_request(at(20)).unwrap_err();
        assert!(blocked.is_budget() && blocked.until == at(60));
        let Some(Obstacle::Budget { most, last }) = blocked.obstacle else { panic!() };
        assert_eq!((most, last), (1, Some("slow down")), "reported as it is now");
    }

    #[test]
    fn a_retry_after_is_not_shortened_by_anything() {
        let mut limits = limits(600);
        for (wait, now) in [(100, START), (10, at(1))] {
            let pause = Duration::from_secs(wait);
            limits.attempt_failed(&failure(Class::RateLimited, Some(wait)), pause, now);
        }
        limits.wake(at(2));
        limits.credentials_changed();
        assert_eq!(limits.blocked(at(99)).unwrap().until, at(100));
        assert!(limits.blocked(at(100)).is_none());
    }

    #[test]
    fn a_retry_after_replaces_the_pause_of_a_rate_limit() {
        for (retry_after, is_paused) in [(Some(1), false), (None, true)] {
            let mut limits = limits(600);
            let failure = failure(Class::RateLimited, retry_after);
            limits.fetch_failed(&failure, Duration::from_secs(60), START);
            let blocked = limits.blocked(at(30));
            assert_eq!(blocked.is_some(), is_paused, "{retry_after:?}");
            assert!(blocked.is_none_or(|blocked| !blocked.is_budget()));
        }
    }

    #[test]
    fn refusals_of_concurrent_fetches_count_once() {
        let mut limits = limits(600);
        for _ in 0..3 {
            limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, START);
        }
        assert!(!limits.is_refused(at(60)));
    }

    #[test]
    fn one_fetch_probes_while_the_others_get_the_refusal() {
        let mut limits = limits(600);
        let policy = policy_of(600);
        limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, START);
        limits.fetch_starts(&policy, at(60));
        assert!(limits.is_refused(at(61)));
        limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, at(62));
        assert!(limits.is_refused(at(62 + 119)) && !limits.is_refused(at(62 + 120)));
    }

    #[test]
    fn a_refused_login_binds_a_client_that_met_it_until_it_is_known_to_be_over() {
        let mut limits = limits(600);
        limits.set_login(Some(Blocked::new(at(1800), &"407")));
        // The first fetch starts: the store may have a token.
        assert!(limits.blocked(START).is_none());
        limits.fetch_failed(&failure(Class::LoginRefused, None), Duration::ZERO, START);
        assert_eq!(limits.blocked(at(1)).unwrap().until, at(1800));
        assert_eq!(limits.known_until(at(1800), at(1)), at(61));
        limits.credentials_changed();
        limits.wake(at(2));
        assert_eq!(limits.blocked(at(1799)).unwrap().until, at(1800));
        limits.set_login(None);
        assert!(limits.blocked(at(3)).is_none());
        assert_eq!(limits.known_until(at(1800), at(3)), at(1800));
    }

    #[test]
    fn the_pause_after_a_rate_limit_holds_back_every_request_from_the_attempt_on() {
        let mut limits = limits(600);
        let pause = Duration::from_secs(2);
        limits.attempt_failed(&failure(Class::Transient, None), pause, START);
        assert!(limits.may_request(START).is_ok(), "it concerns one entry");
        limits.attempt_failed(&failure(Class::RateLimited, None), pause, START);
        assert_eq!(limits.may_request(at(1)).unwrap_err().until, at(2));
        assert!(limits.may_request(at(2)).is_ok());
        limits.attempt_failed(&failure(Class::RateLimited, None), pause, at(2));
        limits.wake(at(3));
        assert!(limits.may_request(at(3)).is_ok(), "the network is back");
    }

    #[test]
    fn the_source_is_reread_once_per_cool_down() {
        let mut limits = limits(600);
        let policy = policy_of(600);
        assert!(limits.may_reread() && !limits.may_reread());
        limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, START);
        assert!(!limits.may_reread(), "fetches in flight get the refusal");
        limits.fetch_starts(&policy, at(59));
        assert!(!limits.may_reread());
        limits.fetch_starts(&policy, at(60));
        assert!(limits.may_reread() && !limits.may_reread(), "the probe may");
        limits.fetch_failed(&failure(Class::Transient, None), Duration::ZERO, at(61));
        assert!(limits.may_reread(), "nothing was learned about them");
        limits.fetch_succeeded();
        assert!(limits.may_reread());
    }

    #[test]
    fn a_shorter_pause_does_not_cut_a_longer_one() {
        let mut limits = limits(600);
        let limited = failure(Class::RateLimited, None);
        limits.fetch_failed(&limited, Duration::from_secs(30), START);
        limits.fetch_failed(&limited, Duration::from_secs(1), START);
        assert_eq!(limits.blocked(at(2)).unwrap().until, at(30));
    }

    #[test]
    fn a_refusal_ends_with_new_credentials_and_may_be_probed_after_wake() {
        let mut limits = limits(600);
        limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, START);
        assert!(limits.is_refused(at(59)) && !limits.is_refused(at(60)));
        limits.wake(at(1));
        assert!(!limits.is_refused(at(1)));
        limits.fetch_failed(&failure(Class::Refused, None), Duration::ZERO, at(2));
        assert!(limits.is_refused(at(121)));
        limits.credentials_changed();
        assert!(limits.blocked(at(3)).is_none());
    }
}
