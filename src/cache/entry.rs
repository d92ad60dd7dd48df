//! The life of one cached token: what it is worth now, who waits, when a fetch may start.

mod fetch;

use std::time::Duration;

use super::Random;
use super::counters::Counters;
use super::flight::{Fault, FlightId};
use super::limits::{Blocked, Limits};
use super::policy::{self, Policy, Renewal};
use crate::clock::BootTime;
use crate::life::Life;
use fetch::Fetch;
pub(crate) use fetch::GivenUp;
pub(super) use fetch::Grant;

/// The state of a cached token. The numbers are those of the C API.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// use tu_token::State;
///
/// assert_eq!(client.stats(None)?.state, State::Empty);
/// client.token()?;
/// assert_eq!(client.stats(None)?.state, State::Fresh);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No token: none fetched yet, or the last one was invalidated.
    Empty = 0,
    /// Served immediately; no renewal starts.
    Fresh = 1,
    /// Served immediately, while one fetch renews it in the background.
    Soft = 2,
    /// About to expire: callers wait a limited time for the new token.
    Hard = 3,
    /// Expired; never served.
    Expired = 4,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want {
    pub(crate) min_ttl: Duration,
    /// The caller does not wait.
    pub(crate) at_once: bool,
    /// The caller's deadline.
    pub(crate) until: BootTime,
}

/// What a caller gets.
#[derive(Clone, Debug)]
pub(super) enum Answer<E> {
    /// The cached token.
    Serve,
    /// The result of the fetch; or, from `serve_at` on, the cached token.
    Wait { serve_at: Option<BootTime> },
    /// Nothing, for this reason. If there is no obstacle, the caller asks again at `until`.
    Blocked(Blocked<Fault<E>>),
}

/// What a caller gets, and whether to start a fetch now.
#[derive(Clone, Debug)]
pub(super) struct Decision<E> {
    pub(super) answer: Answer<E>,
    pub(super) starts: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    life: Life,
    /// What its renewal time was drawn from, and is drawn from again in a forked child.
    renewal: Renewal,
    serial: u64,
    /// The endpoint returned the same token again: do not ask it before this.
    hold_until: BootTime,
}

#[derive(Clone, Debug)]
struct Remembered<E> {
    until: BootTime,
    error: Fault<E>,
    terminal: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry<E> {
    held: Option<Held>,
    /// Boxed: a program may have thousands of idle clients.
    fetch: Option<Box<Fetch>>,
    last_start: Option<BootTime>,
    remembered: Option<Box<Remembered<E>>>,
    /// Consecutive failed fetches, and consecutive refusals.
    failed: u32,
    refused: u32,
    /// Consecutive fetches for which no thread was available, and when the entry may start another
    /// without a caller.
    unstarted: u32,
    by_itself_at: BootTime,
    pub(super) counters: Counters<E>,
    /// The longest `min_ttl` of the current waiters.
    pub(super) wanted_ttl: Duration,
    /// When to start the fetch promised to a caller that did not wait.
    pub(super) promised_start: Option<BootTime>,
    /// The last time a caller is known to have asked.
    pub(super) asked_at: BootTime,
}

impl<E> Entry<E> {
    pub(super) fn new(now: BootTime) -> Self {
        Self {
            held: None,
            fetch: None,
            last_start: None,
            remembered: None,
            failed: 0,
            refused: 0,
            unstarted: 0,
            by_itself_at: BootTime::ZERO,
            counters: Counters::default(),
            wanted_ttl: Duration::ZERO,
            promised_start: None,
            asked_at: now,
        }
    }
}

impl<E: Clone> Entry<E> {
    pub(super) fn state(&self, policy: &Policy, now: BootTime) -> State {
        match &self.held {
            None => State::Empty,
            Some(held) if now >= held.life.expires_at() => State::Expired,
            Some(held) if now >= hard_at(policy, &held.life) => State::Hard,
            Some(held) if now >= held.life.fresh_until => State::Soft,
            Some(_) => State::Fresh,
        }
    }

    /// A caller asks. If a fetch starts, its id is `next_id`.
    pub(super) fn ask(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        want: &Want,
        now: BootTime,
        next_id: FlightId,
    ) -> Decision<E> {
        match self.state(policy, now) {
            State::Empty | State::Expired => {
                self.ask_without_token(policy, limits, want, now, next_id)
            }
            State::Fresh if !self.is_short_for(want, now) => serve(false),
            State::Soft if !self.is_short_for(want, now) => {
                serve(self.try_start(policy, limits, now, next_id, false))
            }
            _ => self.ask_hard(policy, limits, want, now, next_id),
        }
    }

    fn ask_without_token(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        want: &Want,
        now: BootTime,
        next_id: FlightId,
    ) -> Decision<E> {
        let mut starts = false;
        if self.fetch.is_none() {
            if let Some(blocked) = self.blocked(limits, now) {
                return Decision { answer: Answer::Blocked(blocked), starts };
            }
            self.start(policy, limits, now, next_id, !want.at_once);
            starts = true;
        }
        Decision { answer: self.join(want, None), starts }
    }

    fn ask_hard(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        want: &Want,
        now: BootTime,
        next_id: FlightId,
    ) -> Decision<E> {
        let starts = self.try_start(policy, limits, now, next_id, !want.at_once);
        if self.fetch.is_none() || want.at_once {
            return serve(starts);
        }
        let half_of_the_rest = now.after(self.remaining(now) / 2);
        Decision { answer: self.join(want, Some(half_of_the_rest)), starts }
    }

    /// Waits for the current fetch.
    fn join(&mut self, want: &Want, serve_at: Option<BootTime>) -> Answer<E> {
        let fetch = self.fetch.as_mut();
        if let Some(fetch) = fetch.filter(|_| !want.at_once) {
            fetch.awaited = true;
            fetch.awaited_until = fetch.awaited_until.max(want.until);
        }
        Answer::Wait { serve_at }
    }

    fn try_start(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
        next_id: FlightId,
        awaited: bool,
    ) -> bool {
        let free = self.fetch.is_none() && self.blocked(limits, now).is_none();
        if free {
            self.start(policy, limits, now, next_id, awaited);
        }
        free
    }

    fn start(
        &mut self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
        id: FlightId,
        awaited: bool,
    ) {
        let probes = limits.fetch_starts(policy, now);
        self.fetch = Some(Box::new(Fetch {
            id,
            awaited,
            background: !awaited,
            probes,
            renews: false,
            give_up_at: None,
            awaited_until: BootTime::ZERO,
            credential_wait: None,
        }));
    }

    /// Whether the token is too short for the caller's `min_ttl` and old enough to be renewed for
    /// it.
    fn is_short_for(&self, want: &Want, now: BootTime) -> bool {
        self.held.as_ref().is_some_and(|held| {
            let age = now.since(held.life.requested_at);
            self.remaining(now) < want.min_ttl && age >= held.life.lifetime / policy::MIN_TTL_SHARE
        })
    }

    fn remaining(&self, now: BootTime) -> Duration {
        self.held.as_ref().map_or(Duration::ZERO, |held| held.life.expires_at().until(now))
    }

    /// What prevents a fetch from starting, the most informative reason first.
    pub(super) fn blocked(
        &self,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
    ) -> Option<Blocked<Fault<E>>> {
        let remembered = self.remembered.as_ref().filter(|remembered| now < remembered.until);
        let of_entry =
            remembered.map(|remembered| Blocked::new(remembered.until, &remembered.error));
        let is_terminal = remembered.is_some_and(|remembered| remembered.terminal);
        let of_client = limits.blocked(now);
        let (first, second) =
            if is_terminal { (of_entry, of_client) } else { (of_client, of_entry) };
        let spacing = self.last_start.map(|start| start.after(policy::MIN_SPACING));
        let hold = self.held.as_ref().map(|held| held.hold_until);
        let pause = spacing.max(hold).filter(|until| now < *until);
        let waits = pause.map(|until| Blocked { until, obstacle: None });
        [first, second, waits].into_iter().flatten().reduce(Blocked::and)
    }

    /// The current fetch, if any.
    pub(super) fn flight(&self) -> Option<FlightId> {
        self.fetch.as_ref().map(|fetch| fetch.id)
    }

    /// Whether the current fetch has, or had, a waiter.
    pub(super) fn is_awaited(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.awaited)
    }

    fn start_afresh(&mut self) {
        self.failed = 0;
        self.refused = 0;
        self.remembered = None;
    }

    /// The credentials changed: refusals and back-offs of the old ones end.
    pub(super) fn credentials_changed(&mut self) {
        self.start_afresh();
    }

    /// The network is back. An entry without a token may fetch at once; renewals are spread out.
    pub(super) fn wake(&mut self, now: BootTime, random: &mut dyn Random) {
        self.failed = 0;
        let spread = if self.remaining(now).is_zero() {
            Duration::ZERO
        } else {
            policy::WAKE_SPREAD.mul_f64(random.unit())
        };
        if let Some(remembered) = &mut self.remembered {
            remembered.until = remembered.until.min(now.after(spread));
        }
    }

    /// An API refused this token. Returns whether it was the cached one.
    pub(super) fn invalidate(&mut self, serial: u64) -> bool {
        let hit = self.held.as_ref().is_some_and(|held| held.serial == serial);
        if hit {
            self.held = None;
        }
        hit
    }

    /// This process was forked: drops the parent's fetch and draws new jitter.
    pub(super) fn forked(&mut self, random: &mut dyn Random) {
        self.fetch = None;
        self.unstarted = 0;
        self.by_itself_at = BootTime::ZERO;
        if let Some(held) = &mut self.held {
            held.life.fresh_until = held.renewal.draw(random);
        }
    }

    /// Lifetime and timestamps of the cached token.
    pub(super) fn life(&self) -> Option<&Life> {
        self.held.as_ref().map(|held| &held.life)
    }

    /// Until when every caller without a `min_ttl` would be served at once and no fetch would
    /// start. Until then readers need not ask.
    pub(super) fn serve_until(
        &self,
        policy: &Policy,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
    ) -> BootTime {
        let Some(life) = self.life() else { return BootTime::ZERO };
        let hard_at = hard_at(policy, life);
        let mut quiet = |most: BootTime| match (&self.fetch, self.blocked(limits, now)) {
            (None, Some(blocked)) => limits.known_until(blocked.until, now).min(most),
            _ => BootTime::ZERO,
        };
        match self.state(policy, now) {
            State::Empty | State::Expired => BootTime::ZERO,
            State::Fresh => life.fresh_until,
            State::Soft => match &self.fetch {
                Some(_) => self.give_up_at().unwrap_or(hard_at).min(hard_at),
                None => quiet(hard_at),
            },
            State::Hard => quiet(life.expires_at()),
        }
    }

    /// When the entry would renew next, if it is kept warm. `None`: not before a caller asks,
    /// because a refusal is never retried automatically; or a fetch is in progress.
    pub(super) fn renew_at(
        &self,
        limits: &mut Limits<Fault<E>>,
        now: BootTime,
    ) -> Option<BootTime> {
        let was_refused = self.remembered.as_ref().is_some_and(|error| error.terminal);
        if self.fetch.is_some() || was_refused || limits.has_refusal() {
            return None;
        }
        let due = self.life().map_or(now, |life| life.fresh_until).max(now).max(self.by_itself_at);
        // Evaluated now rather than at the due time: the budget drops requests older than a minute.
        let blocked = self.blocked(limits, now);
        Some(blocked.map_or(due, |blocked| limits.known_until(blocked.until, now).max(due)))
    }

    /// Time until the next request may be sent.
    pub(super) fn next_request_in(&self, limits: &mut Limits<Fault<E>>, now: BootTime) -> Duration {
        self.blocked(limits, now).map_or(Duration::ZERO, |blocked| blocked.until.until(now))
    }
}

fn serve<E>(starts: bool) -> Decision<E> {
    Decision { answer: Answer::Serve, starts }
}

pub(super) fn hard_at(policy: &Policy, life: &Life) -> BootTime {
    life.expires_at().before(policy.hard_window(life.lifetime))
}
