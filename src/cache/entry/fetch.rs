//! An entry's fetch, as the entry sees it: how long it is believed in, and what its end means.

use std::time::Duration;

use super::super::Random;
use super::super::flight::{Attempts, Class, Failure, Fault, FlightId};
use super::super::limits::Limits;
use super::super::policy::{self, Policy};
use super::{Entry, Held, Remembered, fresh_until};
use crate::clock::BootTime;
use crate::life::Life;

/// A token that a fetch brought.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Grant {
    pub(in super::super) serial: u64,
    pub(in super::super) requested_at: BootTime,
    pub(in super::super) lifetime: Duration,
    /// The very token that is cached already.
    pub(in super::super) same_value: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) id: FlightId,
    /// Somebody waits, or waited, for it.
    pub(super) awaited: bool,
    /// It was started for nobody who waits, so that nobody's leaving ends it.
    pub(super) background: bool,
    /// It finds out whether a refusal still stands.
    pub(super) probes: bool,
    /// There was a valid token when it began.
    pub(super) renews: bool,
    /// When the entry stops believing in it. `None`: it waits for a thread.
    pub(super) give_up_at: Option<BootTime>,
    /// Until when somebody waits for it.
    pub(super) awaited_until: BootTime,
    /// It waits for its credentials.
    pub(super) unread: Option<Unread>,
}

/// A fetch's wait for its credentials. That takes the time of its callers, and none of its own.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    pub(super) since: BootTime,
    /// What is left of the fetch's own time.
    pub(super) rest: Duration,
    /// How long it waits when nobody waits for it.
    pub(super) patience: Duration,
}

/// How a fetch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// It has overrun its time: remembered as its failure.
    Overrun,
    /// Its credentials did not come while anybody waited for it. Nothing is remembered: the next
    /// caller has time of its own.
    Unread,
}

impl<E: Clone> Entry<E> {
    /// When the fetch that is under way will be given up.
    pub(in super::super) fn give_up_at(&self) -> Option<BootTime> {
        let fetch = self.fetch.as_ref()?;
        match &fetch.unread {
            Some(unread) => Some(unread.since.after(unread.patience).max(fetch.awaited_until)),
            None => fetch.give_up_at,
        }
    }

    /// When those who wait for the fetch under way are to look at it again. `None`: see
    /// [`Entry::give_up_at`].
    pub(in super::super) fn look_again_at(&self, now: BootTime) -> Option<BootTime> {
        let unread = self.fetch.as_ref().and_then(|fetch| fetch.unread.as_ref());
        let tried_again = unread.map(|unread| {
            let waited = now.since(unread.since).as_nanos() / policy::HUNG.as_nanos();
            let times = u32::try_from(waited).unwrap_or(u32::MAX).saturating_add(1);
            unread.since.after(policy::HUNG.saturating_mul(times))
        });
        self.give_up_at().map(|at| tried_again.map_or(at, |again| again.min(at)))
    }

    /// A thread is ready for the fetch. `None`: it is not wanted any more.
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

    /// An attempt of the fetch failed: when it makes the next one. `None`: the fetch has failed.
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
        attempts.after(failure, pause, self.most_attempts(has_waiters, now), now)
    }

    /// How many attempts the fetch may make, as things stand now: a renewal whose token has ended
    /// meanwhile is worth what any other fetch is to those who wait for it.
    fn most_attempts(&self, has_waiters: bool, now: BootTime) -> u32 {
        let is_needed = self.fetch.as_ref().is_some_and(|fetch| has_waiters || !fetch.renews);
        let goes_on = is_needed && self.failed == 0 && self.remaining(now).is_zero();
        if goes_on { policy::ATTEMPTS } else { 1 }
    }

    /// The fetch has more to do than to ask the endpoint: its time counts from `at`. False: it is not wanted any more.
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

    /// The fetch needs credentials that have to be asked for: its own time stands still. False: it
    /// is not wanted any more.
    pub(in super::super) fn waits_for_credentials(&mut self, id: FlightId, now: BootTime) -> bool {
        let has_token = !self.remaining(now).is_zero();
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.id == id) else {
            return false;
        };
        // Whoever has no token may try anew soon after the last caller has gone; a renewal can wait.
        let patience = if has_token || !fetch.awaited { policy::HUNG } else { policy::MIN_SPACING };
        let rest = fetch.give_up_at.map_or(Duration::ZERO, |at| at.until(now));
        fetch.unread = Some(Unread { since: now, rest, patience });
        true
    }

    /// The wait for its credentials has ended; the fetch has what was left of its time. How long that
    /// took; `None`: it is not wanted any more.
    pub(in super::super) fn goes_on(&mut self, id: FlightId, now: BootTime) -> Option<Duration> {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id)?;
        let unread = fetch.unread.take()?;
        fetch.give_up_at = Some(now.after(unread.rest));
        Some(now.since(unread.since))
    }

    /// Whether the fetch under way waits for its credentials.
    pub(in super::super) fn is_unread(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.unread.is_some())
    }

    /// Gives up a fetch that has overrun its time. Those who wait for it are to be told the error.
    pub(in super::super) fn give_up(
        &mut self,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
        random: &mut dyn Random,
    ) -> Option<GivenUp> {
        if self.give_up_at().is_none_or(|at| now < at) {
            return None;
        }
        if self.is_unread() {
            self.flight().into_iter().for_each(|id| self.withdraw(limits, id, now));
            return Some(GivenUp::Unread);
        }
        self.failed_with(limits, Failure::transient(Fault::Overrun), now, random);
        Some(GivenUp::Overrun)
    }

    /// The fetch brought a token. Whether it is now the current one.
    pub(in super::super) fn granted(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        id: FlightId,
        grant: &Grant,
        now: BootTime,
        random: &mut dyn Random,
    ) -> bool {
        let expires_at = grant.requested_at.after(grant.lifetime);
        let known_until = self.held.map_or(BootTime::ZERO, |held| held.life.expires_at());
        let current = self.fetch.as_ref().is_some_and(|fetch| fetch.id == id);
        if current {
            self.fetch = None;
        } else if expires_at <= known_until {
            // A fetch that was given up comes home late: welcome only if it is of use.
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
            life: Life {
                requested_at: grant.requested_at,
                lifetime: grant.lifetime,
                fresh_until: fresh_until(policy, grant.requested_at, grant.lifetime, random),
            },
            serial: grant.serial,
            hold_until: BootTime::ZERO,
        });
        true
    }

    /// The token came from a store: nobody was asked, so nobody has to wait a second before it is
    /// renewed. Other processes have begun that `tried` times without a success, and it may be
    /// begun again at `again_at`.
    pub(in super::super) fn found(&mut self, tried: u64, again_at: BootTime) {
        self.last_start = None;
        self.failed = u32::try_from(tried).unwrap_or(u32::MAX);
        if let Some(held) = &mut self.held {
            held.hold_until = again_at.min(held.life.expires_at());
        }
    }

    /// The fetch failed. Whether it was the one the entry believes in.
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

    /// The fetch could not be made: no budget left, a `Retry-After`. Nothing is remembered here; what
    /// blocked it still does.
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

    /// No thread could be had for the fetch. That is no failure, and the next caller may start
    /// another at once; only what the entry does by itself pauses. Whether it was the fetch that the
    /// entry believes in.
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

    /// When the entry may by itself start a fetch, after one that no thread could be had for.
    pub(in super::super) fn by_itself_at(&self) -> BootTime {
        self.by_itself_at
    }
}
