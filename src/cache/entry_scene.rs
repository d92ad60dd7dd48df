//! A client's entries on a stage: a clock that is turned by hand, chance that is fixed, and words
//! for what a caller hears.

use std::collections::BTreeMap;

use super::*;
use Heard::{Fails, Later, Served, ServedAndStarted, Waits, WaitsAndStarted, WaitsTill};

pub(super) const START: BootTime = BootTime::from_nanos(1_000_000_000_000);
pub(super) const AT_ONCE: Want =
    Want { min_ttl: Duration::ZERO, at_once: true, until: BootTime::ZERO };

/// What a caller hears. "Started": its asking has started a fetch. Numbers are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    Served,
    ServedAndStarted,
    Waits,
    WaitsAndStarted,
    WaitsTill(f64),
    WaitsTillAndStarted(f64),
    Later(f64),
    Fails(ErrorKind),
}

/// A client with its entries, and a clock that only `at` moves.
pub(super) struct Scene {
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) entries: Vec<Entry>,
    pub(super) on: usize,
    pub(super) now: BootTime,
    /// What every draw gives: 0 for no jitter and the shortest pauses, 1 for the most of both.
    pub(super) chance: f64,
    pub(super) last_flight: FlightId,
    pub(super) last_serial: u64,
    pub(super) began: BTreeMap<FlightId, BootTime>,
}

impl Scene {
    pub(super) fn new(chance: f64) -> Self {
        Self::with_budget(chance, 600)
    }

    pub(super) fn with_budget(chance: f64, max_requests_per_minute: u32) -> Self {
        let policy = Policy {
            refresh_before: Duration::from_secs(300),
            expiry_margin: Duration::from_secs(30),
            fetch_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            max_requests_per_minute,
        };
        Self {
            limits: Limits::new(&policy),
            policy,
            entries: vec![Entry::default(), Entry::default(), Entry::default()],
            on: 0,
            now: START,
            chance,
            last_flight: 0,
            last_serial: 0,
            began: BTreeMap::new(),
        }
    }

    /// A scene in which a token of so many seconds has come at second 0.
    pub(super) fn with_token(chance: f64, lifetime: u64) -> Self {
        let mut scene = Self::new(chance);
        scene.gets(lifetime);
        scene
    }

    pub(super) fn at(&mut self, seconds: f64) -> &mut Self {
        let then = START.after(Duration::from_secs_f64(seconds));
        assert!(then >= self.now, "a scene does not go back in time");
        self.now = then;
        self
    }

    /// Turns to another entry of the client.
    pub(super) fn on(&mut self, entry: usize) -> &mut Self {
        self.on = entry;
        self
    }

    pub(super) fn entry(&mut self) -> &mut Entry {
        &mut self.entries[self.on]
    }

    pub(super) fn state(&self) -> State {
        self.entries[self.on].state(&self.policy, self.now)
    }

    pub(super) fn serves_until(&mut self) -> f64 {
        let entry = &self.entries[self.on];
        seconds(entry.serve_until(&self.policy, &mut self.limits, self.now))
    }

    pub(super) fn asks(&mut self) -> Heard {
        self.asks_for(&Want::default())
    }

    pub(super) fn asks_for(&mut self, want: &Want) -> Heard {
        let Decision { answer, start } = self.decides(want);
        match (answer, start) {
            (Answer::Serve, None) => Served,
            (Answer::Serve, Some(_)) => ServedAndStarted,
            (Answer::Wait { serve_at: None, .. }, None) => Waits,
            (Answer::Wait { serve_at: None, .. }, Some(_)) => WaitsAndStarted,
            (Answer::Wait { serve_at: Some(at), .. }, None) => WaitsTill(seconds(at)),
            (Answer::Wait { serve_at: Some(at), .. }, Some(_)) => {
                Heard::WaitsTillAndStarted(seconds(at))
            }
            (Answer::Later(at), None) => Later(seconds(at)),
            (Answer::Fail(error), None) => Fails(error.kind()),
            (answer, start) => panic!("{answer:?} makes no sense with {start:?}"),
        }
    }

    pub(super) fn decides(&mut self, want: &Want) -> Decision {
        self.last_flight += 1;
        let entry = &mut self.entries[self.on];
        entry.ask(&self.policy, &mut self.limits, want, self.now, self.last_flight)
    }

    pub(super) fn flight(&self) -> FlightId {
        self.entries[self.on].flight().expect("a fetch is under way")
    }

    /// A thread takes up the fetch and sends its first request.
    pub(super) fn begins(&mut self) -> Attempts {
        let attempts = self.begins_with(true).expect("the fetch is wanted");
        self.limits.count_request(self.now);
        attempts
    }

    pub(super) fn begins_with(&mut self, has_waiters: bool) -> Option<Attempts> {
        let id = self.flight();
        self.began.insert(id, self.now);
        self.entries[self.on].begin(&self.policy, &mut self.limits, id, has_waiters, self.now)
    }

    pub(super) fn brings(&mut self, lifetime: u64) -> bool {
        let id = self.flight();
        self.comes_home(id, Duration::from_secs(lifetime), false)
    }

    pub(super) fn brings_the_same_token(&mut self, lifetime: Duration) -> bool {
        let id = self.flight();
        self.comes_home(id, lifetime, true)
    }

    pub(super) fn comes_home(
        &mut self,
        id: FlightId,
        lifetime: Duration,
        same_value: bool,
    ) -> bool {
        self.last_serial += 1;
        let requested_at = self.began[&id];
        let grant = Grant { serial: self.last_serial, requested_at, lifetime, same_value };
        let chance = &mut || self.chance;
        let entry = &mut self.entries[self.on];
        entry.granted(&self.policy, &mut self.limits, id, &grant, self.now, chance)
    }

    /// A caller asks, and the fetch that starts brings a token in no time.
    pub(super) fn gets(&mut self, lifetime: u64) {
        let heard = self.asks();
        self.begins();
        assert!(self.brings(lifetime), "{heard:?}");
    }

    /// An attempt fails while somebody waits, or nobody does: at which second the next is made.
    pub(super) fn tries_again(
        &mut self,
        attempts: &Attempts,
        failure: &Failure,
        has_waiters: bool,
    ) -> Option<f64> {
        let (entry, limits) = (&self.entries[self.on], &mut self.limits);
        let chance = &mut || self.chance;
        entry.attempt_failed(limits, attempts, failure, has_waiters, self.now, chance).map(seconds)
    }

    /// The fetch fails with its last attempt.
    pub(super) fn fails(&mut self, failure: Failure) -> bool {
        let id = self.flight();
        self.limits.attempt_failed(&failure, Duration::ZERO, self.now);
        let chance = &mut || self.chance;
        self.entries[self.on].failed(&mut self.limits, id, failure, self.now, chance)
    }

    pub(super) fn is_withdrawn(&mut self, id: FlightId) {
        self.entries[self.on].withdraw(&mut self.limits, id, self.now);
    }

    /// No thread can be had for the fetch that has just been started.
    pub(super) fn is_not_started(&mut self) {
        let id = self.flight();
        assert!(self.entries[self.on].not_started(&mut self.limits, id, self.now));
    }

    /// When the entry renews by itself, if it is kept warm.
    pub(super) fn renews_at(&mut self) -> Option<f64> {
        self.entries[self.on].renew_at(&mut self.limits, self.now).map(seconds)
    }

    /// Until when no caller may start a fetch.
    pub(super) fn blocked_until(&mut self) -> Option<f64> {
        let blocked = self.entries[self.on].blocked(&mut self.limits, self.now);
        blocked.map(|blocked| seconds(blocked.until))
    }

    pub(super) fn is_given_up(&mut self) -> bool {
        let chance = &mut || self.chance;
        self.entries[self.on].give_up(&mut self.limits, self.now, chance).is_some()
    }

    pub(super) fn wakes(&mut self) {
        self.limits.wake(self.now);
        for entry in &mut self.entries {
            entry.wake(self.now, &mut || self.chance);
        }
    }

    pub(super) fn rotates(&mut self) {
        self.limits.credentials_changed();
        self.entries.iter_mut().for_each(Entry::credentials_changed);
    }

    pub(super) fn forks(&mut self) {
        for entry in &mut self.entries {
            entry.forked(&self.policy, &mut || self.chance);
        }
    }
}

pub(super) fn seconds(at: BootTime) -> f64 {
    at.since(START).as_secs_f64()
}
