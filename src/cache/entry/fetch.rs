//! The entry's view of its fetch: until when it waits for it, and what its end means.

use std::time::Duration;

use super::super::Random;
use super::super::flight::{Attempts, Class, Failure, Fault, FlightId};
use super::super::limits::Limits;
use super::super::policy::{self, Policy, Renewal};
use super::{Entry, Held, Remembered};
use crate::clock::BootTime;
use crate::life::Life;

/// A token obtained by a fetch.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Grant {
    pub(in super::super) serial: u64,
    pub(in super::super) life: Life,
    /// What its renewal time was drawn from.
    pub(in super::super) renewal: Renewal,
    /// It is the token that is already cached.
    pub(in super::super) same_value: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) id: FlightId,
    /// It has, or had, a waiter.
    pub(super) awaited: bool,
    /// Started with no caller waiting; callers leaving does not cancel it.
    pub(super) background: bool,
    /// It probes whether a refusal still stands.
    pub(super) probes: bool,
    /// There was a valid token when it began.
    pub(super) renews: bool,
    /// When the entry gives it up. `None`: it waits for a thread.
    pub(super) give_up_at: Option<BootTime>,
    /// The latest deadline of its waiters.
    pub(super) awaited_until: BootTime,
    /// It waits for its credentials.
    pub(super) credential_wait: Option<CredentialWait>,
}

/// A fetch's wait for its credentials. It is bounded by the callers' time, not by the fetch's own.
#[derive(Clone, Debug)]
pub(super) struct CredentialWait {
    pub(super) since: BootTime,
    /// What remains of the fetch's own time.
    pub(super) rest: Duration,
    /// How long it waits without waiters.
    pub(super) patience: Duration,
}

/// How a fetch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// It overran its time limit, which is remembered as its failure.
    Overrun,
    /// Its credentials did not arrive while any caller waited. Nothing is remembered: the next
    /// caller brings time of its own.
    CredentialsPending,
}

impl<E: Clone> Entry<E> {
    /// When the current fetch will be given up.
    pub(in super::super) fn give_up_at(&self) -> Option<BootTime> {
        let fetch = self.fetch.as_ref()?;
        match &fetch.credential_wait {
            Some(credential_wait) => {
                Some(credential_wait.since.after(credential_wait.patience).max(fetch.awaited_until))
            }
            None => fetch.give_up_at,
        }
    }

    /// When waiters of the current fetch must ask again. `None`: see [`Entry::give_up_at`].
    pub(in super::super) fn check_again_at(&self, now: BootTime) -> Option<BootTime> {
        let credential_wait = self.fetch.as_ref().and_then(|fetch| fetch.credential_wait.as_ref());
        let tried_again = credential_wait.map(|credential_wait| {
            let waited = now.since(credential_wait.since).as_nanos() / policy::HUNG.as_nanos();
            let times = u32::try_from(waited).unwrap_or(u32::MAX).saturating_add(1);
            credential_wait.since.after(policy::HUNG.saturating_mul(times))
        });
        self.give_up_at().map(|at| tried_again.map_or(at, |again| again.min(at)))
    }

    /// A thread is ready for the fetch. `None`: it is no longer wanted.
    pub(in super::super) fn begin(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        has_waiters: bool,
        now: BootTime,
    ) -> Option<Attempts> {
        let valid = !self.remaining(now).is_zero();
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id)?;
        if !fetch.background && !has_waiters {
            self.withdraw(limits, id, now);
            return None;
        }
        fetch.give_up_at = Some(now.after(policy.longest_fetch()));
        fetch.renews = valid;
        self.last_start = Some(now);
        self.unstarted = 0;
        self.by_itself_at = BootTime::ZERO;
        Some(Attempts::begin(policy, now))
    }

    /// An attempt failed. Returns when the next one is made; `None`: the fetch has failed.
    pub(in super::super) fn attempt_failed(
        &self,
        limits: &mut Limits<Fault<E>>,
        attempts: &Attempts,
        failure: &Failure<Fault<E>>,
        has_waiters: bool,
        now: BootTime,
        random: &mut dyn Random,
    ) -> Option<BootTime> {
        let pause = attempts.pause(failure, random);
        limits.attempt_failed(failure, pause, now);
        attempts.after(failure, pause, self.max_attempts(has_waiters, now), now)
    }

    /// How many attempts the fetch may make as of now. A renewal whose token has expired meanwhile
    /// is worth as many as any other fetch, if a caller waits for it.
    fn max_attempts(&self, has_waiters: bool, now: BootTime) -> u32 {
        let is_needed = self.fetch.as_ref().is_some_and(|fetch| has_waiters || !fetch.renews);
        let goes_on = is_needed && self.failed == 0 && self.remaining(now).is_zero();
        if goes_on { policy::ATTEMPTS } else { 1 }
    }

    /// The fetch has work to do before or after asking the endpoint: its time counts from `at`.
    /// Returns false if it is no longer wanted.
    pub(in super::super) fn begins_at(
        &mut self,
        policy: &Policy,
        id: FlightId,
        at: BootTime,
    ) -> bool {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id);
        fetch.is_some_and(|fetch| {
            fetch.give_up_at = Some(at.after(policy.longest_fetch()));
            true
        })
    }

    /// The fetch waits for credentials, and its own time stops. Returns false if it is no longer
    /// wanted.
    pub(in super::super) fn waits_for_credentials(&mut self, id: FlightId, now: BootTime) -> bool {
        let has_token = !self.remaining(now).is_zero();
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.id == id) else {
            return false;
        };
        // Without a token a new fetch may start soon after the last caller has left; a renewal can
        // wait.
        let patience = if has_token || !fetch.awaited { policy::HUNG } else { policy::MIN_SPACING };
        let rest = fetch.give_up_at.map_or(Duration::ZERO, |at| at.until(now));
        fetch.credential_wait = Some(CredentialWait { since: now, rest, patience });
        true
    }

    /// The wait for credentials has ended, and the fetch has the rest of its time. Returns how long
    /// the wait took; `None`: the fetch is no longer wanted.
    pub(in super::super) fn goes_on(&mut self, id: FlightId, now: BootTime) -> Option<Duration> {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id)?;
        let credential_wait = fetch.credential_wait.take()?;
        fetch.give_up_at = Some(now.after(credential_wait.rest));
        Some(now.since(credential_wait.since))
    }

    /// Whether the current fetch waits for its credentials.
    pub(in super::super) fn credentials_pending(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.credential_wait.is_some())
    }

    /// Gives up the current fetch if it has overrun its time. If so, its waiters must be told.
    pub(in super::super) fn give_up(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
        random: &mut dyn Random,
    ) -> Option<GivenUp> {
        if self.give_up_at().is_none_or(|at| now < at) {
            return None;
        }
        if self.credentials_pending() {
            self.flight().into_iter().for_each(|id| self.withdraw(limits, id, now));
            return Some(GivenUp::CredentialsPending);
        }
        self.failed_with(limits, Failure::transient(Fault::Overrun), now, random);
        Some(GivenUp::Overrun)
    }

    /// The fetch obtained a token. Returns whether it is now the current one.
    pub(in super::super) fn granted(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        grant: &Grant,
        now: BootTime,
    ) -> bool {
        let expires_at = grant.life.expires_at();
        let known_until = self.held.map_or(BootTime::ZERO, |held| held.life.expires_at());
        let current = self.fetch.as_ref().is_some_and(|fetch| fetch.id == id);
        if current {
            self.fetch = None;
        } else if expires_at <= known_until {
            // A late result of a fetch that was given up is used only if it outlives the cached
            // token.
            return false;
        }
        self.start_afresh();
        limits.fetch_succeeded();
        let is_known = grant.same_value && expires_at <= known_until;
        if let Some(held) = self.held.as_mut().filter(|_| is_known) {
            held.hold_until = now.after(known_until.until(now) / 2);
            return false;
        }
        self.held = Some(Held {
            life: grant.life,
            renewal: grant.renewal,
            serial: grant.serial,
            hold_until: BootTime::ZERO,
        });
        true
    }

    /// The token came from a store. The endpoint was not asked, so the spacing of one second does
    /// not apply. Other processes have tried to renew it `tried` times without success; the next
    /// try may start at `again_at`.
    pub(in super::super) fn found(&mut self, tried: u64, again_at: BootTime) {
        self.last_start = None;
        self.failed = u32::try_from(tried).unwrap_or(u32::MAX);
        if let Some(held) = &mut self.held {
            held.hold_until = again_at.min(held.life.expires_at());
        }
    }

    /// The fetch failed. Returns whether it was the entry's current one.
    pub(in super::super) fn failed(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        failure: Failure<Fault<E>>,
        now: BootTime,
        random: &mut dyn Random,
    ) -> bool {
        let current = self.flight() == Some(id);
        if current {
            self.failed_with(limits, failure, now, random);
        }
        current
    }

    fn failed_with(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        failure: Failure<Fault<E>>,
        now: BootTime,
        random: &mut dyn Random,
    ) {
        self.fetch = None;
        let mut pause = Duration::ZERO;
        match failure.class {
            Class::Refused | Class::LoginRefused => {}
            Class::Terminal => {
                self.refused = self.refused.saturating_add(1);
                pause = policy::refusal_pause(self.refused);
            }
            _ => {
                self.failed = self.failed.saturating_add(1);
                let remaining = self.remaining(now);
                pause = if remaining.is_zero() {
                    policy::pause_without_token(self.failed, random)
                } else {
                    policy::pause_with_token(self.failed, remaining, random)
                };
            }
        }
        limits.fetch_failed(&failure, pause, now);
        self.remembered = (!pause.is_zero()).then(|| {
            Box::new(Remembered {
                until: now.after(pause),
                terminal: failure.class == Class::Terminal,
                error: failure.error,
            })
        });
    }

    /// The fetch could not be made, for lack of budget or because of a `Retry-After`. Nothing is
    /// remembered here: whatever blocked it still does.
    pub(in super::super) fn withdraw(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        now: BootTime,
    ) {
        let withdrawn = self.fetch.take_if(|fetch| fetch.id == id);
        if withdrawn.is_some_and(|fetch| fetch.probes) {
            limits.probe_ended(now);
        }
    }

    /// No thread is available for the fetch. That is not a failure, and the next caller may start
    /// another at once; only automatic fetches pause. Returns whether it was the entry's current
    /// fetch.
    pub(in super::super) fn not_started(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        now: BootTime,
    ) -> bool {
        let current = self.flight() == Some(id);
        if current {
            self.withdraw(limits, id, now);
            self.unstarted = self.unstarted.saturating_add(1);
            let pause = policy::pause_without_thread(self.unstarted, self.remaining(now));
            self.by_itself_at = now.after(pause);
        }
        current
    }

    /// When the entry may start a fetch by itself, after one for which no thread was available.
    pub(in super::super) fn by_itself_at(&self) -> BootTime {
        self.by_itself_at
    }
}
