//! The life of one cached token: what it is worth now, who waits, when a fetch may start.

use std::time::Duration;

use super::Random;
use super::counters::Counters;
use super::flight::{Attempts, Class, Failure, Fault, FlightId};
use super::limits::{Blocked, Limits};
use super::policy::{self, Policy};
use crate::clock::BootTime;
use crate::life::Life;

/// What a token is worth at a moment. The numbers are those of the C API.
///
/// ```
/// # let emulator = tu_token_emulator::Emulator::start()?;
/// # let client = emulator.client_options().iter()
/// #     .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value)).build()?;
/// use tu_token::State;
///
/// assert_eq!(client.stats(None)?.state, State::Empty);
/// client.token()?;
/// assert_eq!(client.stats(None)?.state, State::Fresh);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No token has been had, or the last one was refused by an API.
    Empty = 0,
    /// Handed out without a thought.
    Fresh = 1,
    /// Handed out at once while one background fetch renews it.
    Soft = 2,
    /// About to end: callers wait a little for its successor.
    Hard = 3,
    /// Dead.
    Expired = 4,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want {
    pub(crate) min_ttl: Duration,
    /// Whether it cannot wait.
    pub(crate) at_once: bool,
    /// Until when it waits.
    pub(crate) until: BootTime,
}

/// What a caller gets.
#[derive(Clone, Debug)]
pub(super) enum Answer<E> {
    /// The token that is there.
    Serve,
    /// What the fetch brings; at `serve_at`, if that comes first, the token that is there.
    Wait { serve_at: Option<BootTime> },
    /// Nothing, because of this. Without an obstacle it asks again when that is over.
    Blocked(Blocked<Fault<E>>),
}

/// What a caller gets, and whether a fetch is to be started now.
#[derive(Clone, Debug)]
pub(super) struct Decision<E> {
    pub(super) answer: Answer<E>,
    pub(super) starts: bool,
}

/// A token that a fetch brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) serial: u64,
    pub(super) requested_at: BootTime,
    pub(super) lifetime: Duration,
    /// The very token that is cached already.
    pub(super) same_value: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    life: Life,
    serial: u64,
    /// The endpoint hands out the same token again: not asked before this.
    hold_until: BootTime,
}

#[derive(Clone, Debug)]
struct Fetch {
    id: FlightId,
    /// Somebody waits, or waited, for it.
    awaited: bool,
    /// It was started for nobody who waits, so that nobody's leaving ends it.
    background: bool,
    /// It finds out whether a refusal still stands.
    probes: bool,
    /// There was a valid token when it began.
    renews: bool,
    /// When the entry stops believing in it. `None`: it waits for a thread.
    give_up_at: Option<BootTime>,
    /// Until when somebody waits for it.
    awaited_until: BootTime,
    /// It waits for its credentials.
    unread: Option<Unread>,
}

/// A fetch's wait for its credentials. That takes the time of its callers, and none of its own.
#[derive(Clone, Debug)]
struct Unread {
    since: BootTime,
    /// What is left of the fetch's own time.
    rest: Duration,
    /// How long it waits when nobody waits for it.
    patience: Duration,
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

#[derive(Clone, Debug)]
struct Remembered<E> {
    until: BootTime,
    error: Fault<E>,
    terminal: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry<E> {
    held: Option<Held>,
    fetch: Option<Fetch>,
    last_start: Option<BootTime>,
    remembered: Option<Remembered<E>>,
    /// Failed fetches, and refusals, in a row.
    failed: u32,
    refused: u32,
    /// Fetches in a row that no thread could be had for, and when the entry may by itself start
    /// another.
    unstarted: u32,
    by_itself_at: BootTime,
    pub(super) counters: Counters<E>,
    /// The longest `min_ttl` of those who wait.
    pub(super) wanted_ttl: Duration,
    /// A caller that does not wait was promised a fetch, which may not start before.
    pub(super) owed_at: Option<BootTime>,
    /// When somebody last asked, as far as it was noticed.
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
            owed_at: None,
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

    /// A caller asks. `next_id` names a fetch if one is to start.
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

    /// Waits for the fetch that runs.
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
        self.fetch = Some(Fetch {
            id,
            awaited,
            background: !awaited,
            probes,
            renews: false,
            give_up_at: None,
            awaited_until: BootTime::ZERO,
            unread: None,
        });
    }

    /// Whether the token is too short for a caller's `min_ttl` and old enough to be renewed for it.
    fn is_short_for(&self, want: &Want, now: BootTime) -> bool {
        self.held.as_ref().is_some_and(|held| {
            let age = now.since(held.life.requested_at);
            self.remaining(now) < want.min_ttl && age >= held.life.lifetime / policy::MIN_TTL_SHARE
        })
    }

    fn remaining(&self, now: BootTime) -> Duration {
        self.held.as_ref().map_or(Duration::ZERO, |held| held.life.expires_at().until(now))
    }

    /// What keeps a fetch from starting, the most telling reason first.
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

    /// The fetch that is under way, if any.
    pub(super) fn flight(&self) -> Option<FlightId> {
        self.fetch.as_ref().map(|fetch| fetch.id)
    }

    /// Whether somebody waits, or waited, for the fetch that is under way.
    pub(super) fn is_awaited(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.awaited)
    }

    /// When the fetch that is under way will be given up.
    pub(super) fn give_up_at(&self) -> Option<BootTime> {
        let fetch = self.fetch.as_ref()?;
        match &fetch.unread {
            Some(unread) => Some(unread.since.after(unread.patience).max(fetch.awaited_until)),
            None => fetch.give_up_at,
        }
    }

    /// When those who wait for the fetch under way are to look at it again. `None`: see
    /// [`Entry::give_up_at`].
    pub(super) fn look_again_at(&self, now: BootTime) -> Option<BootTime> {
        let unread = self.fetch.as_ref().and_then(|fetch| fetch.unread.as_ref());
        let tried_again = unread.map(|unread| {
            let waited = now.since(unread.since).as_nanos() / policy::HUNG.as_nanos();
            let times = u32::try_from(waited).unwrap_or(u32::MAX).saturating_add(1);
            unread.since.after(policy::HUNG.saturating_mul(times))
        });
        self.give_up_at().map(|at| tried_again.map_or(at, |again| again.min(at)))
    }

    /// A thread is ready for the fetch. `None`: it is not wanted any more.
    pub(super) fn begin(
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
        fetch.give_up_at = Some(now.after(policy.fetch_timeout).after(policy::OVERRUN));
        fetch.renews = valid;
        self.last_start = Some(now);
        self.unstarted = 0;
        self.by_itself_at = BootTime::ZERO;
        Some(Attempts::begin(policy, now))
    }

    /// An attempt of the fetch failed: when it makes the next one. `None`: the fetch has failed.
    pub(super) fn attempt_failed(
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
    pub(super) fn begins_at(&mut self, policy: &Policy, id: FlightId, at: BootTime) -> bool {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id);
        fetch.is_some_and(|fetch| {
            fetch.give_up_at = Some(at.after(policy.fetch_timeout).after(policy::OVERRUN));
            true
        })
    }

    /// The fetch needs credentials that have to be asked for: its own time stands still. False: it
    /// is not wanted any more.
    pub(super) fn waits_for_credentials(&mut self, id: FlightId, now: BootTime) -> bool {
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
    pub(super) fn goes_on(&mut self, id: FlightId, now: BootTime) -> Option<Duration> {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.id == id)?;
        let unread = fetch.unread.take()?;
        fetch.give_up_at = Some(now.after(unread.rest));
        Some(now.since(unread.since))
    }

    /// Whether the fetch under way waits for its credentials.
    pub(super) fn is_unread(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.unread.is_some())
    }

    /// Gives up a fetch that has overrun its time. Those who wait for it are to be told the error.
    pub(super) fn give_up(
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
    pub(super) fn granted(
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
        if let Some(held) = self.held.as_mut().filter(|_| grant.same_value)
            && expires_at <= known_until
        {
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
    pub(super) fn found(&mut self, tried: u64, again_at: BootTime) {
        self.last_start = None;
        self.failed = u32::try_from(tried).unwrap_or(u32::MAX);
        if let Some(held) = &mut self.held {
            held.hold_until = again_at.min(held.life.expires_at());
        }
    }

    /// The fetch failed. Whether it was the one the entry believes in.
    pub(super) fn failed(
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
        self.remembered = (!pause.is_zero()).then(|| Remembered {
            until: now.after(pause),
            terminal: failure.class == Class::Terminal,
            error: failure.error,
        });
    }

    /// The fetch could not be made: no budget left, a `Retry-After`. Nothing is remembered here; what
    /// blocked it still does.
    pub(super) fn withdraw(&mut self, limits: &mut Limits<Fault<E>>, id: FlightId, now: BootTime) {
        if let Some(fetch) = self.fetch.take_if(|fetch| fetch.id == id)
            && fetch.probes
        {
            limits.probe_ended(now);
        }
    }

    /// No thread could be had for the fetch. That is no failure, and the next caller may start
    /// another at once; only what the entry does by itself pauses. Whether it was the fetch that the
    /// entry believes in.
    pub(super) fn not_started(
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
    pub(super) fn by_itself_at(&self) -> BootTime {
        self.by_itself_at
    }

    fn start_afresh(&mut self) {
        self.failed = 0;
        self.refused = 0;
        self.remembered = None;
    }

    /// The client has other credentials: refusals and back-offs of the old ones end.
    pub(super) fn credentials_changed(&mut self) {
        self.start_afresh();
    }

    /// The network is back. Whoever has no token may ask at once; renewals spread out.
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

    /// An API refused this very token. Whether it was the cached one.
    pub(super) fn invalidate(&mut self, serial: u64) -> bool {
        let hit = self.held.as_ref().is_some_and(|held| held.serial == serial);
        if hit {
            self.held = None;
        }
        hit
    }

    /// This process was forked: the parent's fetch is not ours, and neither is its jitter.
    pub(super) fn forked(&mut self, policy: &Policy, random: &mut dyn Random) {
        self.fetch = None;
        self.unstarted = 0;
        self.by_itself_at = BootTime::ZERO;
        if let Some(held) = &mut self.held {
            let life = &mut held.life;
            life.fresh_until = fresh_until(policy, life.requested_at, life.lifetime, random);
        }
    }

    /// The cached token's numbers.
    pub(super) fn life(&self) -> Option<&Life> {
        self.held.as_ref().map(|held| &held.life)
    }

    /// Until when every caller without a `min_ttl` would be served at once, with nothing started:
    /// so long readers need not ask.
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

    /// When the entry would next renew by itself, if it is kept warm. `None`: not before
    /// somebody asks, because what was refused is never tried again by itself; or a fetch is
    /// under way.
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
        // Asked for now, not for the time it is due: the budget forgets what is a minute old.
        let blocked = self.blocked(limits, now);
        Some(blocked.map_or(due, |blocked| limits.known_until(blocked.until, now).max(due)))
    }

    /// The state, and when the next request may be made.
    pub(super) fn next_request_in(&self, limits: &mut Limits<Fault<E>>, now: BootTime) -> Duration {
        self.blocked(limits, now).map_or(Duration::ZERO, |blocked| blocked.until.until(now))
    }
}

fn serve<E>(starts: bool) -> Decision<E> {
    Decision { answer: Answer::Serve, starts }
}

fn hard_at(policy: &Policy, life: &Life) -> BootTime {
    life.expires_at().before(policy.hard_window(life.lifetime))
}

fn fresh_until(
    policy: &Policy,
    requested_at: BootTime,
    lifetime: Duration,
    random: &mut dyn Random,
) -> BootTime {
    requested_at.after(policy.fresh_for(lifetime, random))
}
