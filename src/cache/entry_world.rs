//! A client to which anything may happen, and a second, simpler account of what is then allowed.

use std::time::Duration;

use super::properties::Event;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// `fetch_timeout` and half a second more.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(15_500);

/// What the account knows of an entry. Points in time are the earliest at which a fetch may start.
#[derive(Clone, Debug, Default)]
struct Account {
    flight: Option<FlightId>,
    /// It was started by somebody who waits.
    for_waiters: bool,
    began: Option<BootTime>,
    last_begin: Option<BootTime>,
    /// Of the token, if there is one.
    expires_at: BootTime,
    serial: Option<u64>,
    refusals: u32,
    refused_until: BootTime,
    pause_until: BootTime,
    hold_until: BootTime,
}

impl Account {
    fn forget_failures(&mut self) {
        self.refusals = 0;
        self.refused_until = BootTime::ZERO;
        self.pause_until = BootTime::ZERO;
    }
}

/// The scene, and the account that is kept of it.
pub(super) struct World {
    pub(super) scene: Scene,
    accounts: Vec<Account>,
    sent: Vec<BootTime>,
    retry_after: BootTime,
    refusals: u32,
    refused_until: BootTime,
    pause_until: BootTime,
    /// Fetches that were given up and may still come home.
    lost: Vec<(usize, FlightId)>,
}

fn refusal_pause(times: u32) -> Duration {
    SECOND * [60, 120, 240, 480, 600][times.clamp(1, 5) as usize - 1]
}

impl World {
    pub(super) fn new(entries: usize, budget: u32) -> Self {
        let mut scene = Scene::with_budget(0.0, budget);
        scene.entries.truncate(entries);
        Self {
            scene,
            accounts: vec![Account::default(); entries],
            sent: Vec::new(),
            retry_after: BootTime::ZERO,
            refusals: 0,
            refused_until: BootTime::ZERO,
            pause_until: BootTime::ZERO,
            lost: Vec::new(),
        }
    }

    fn account(&mut self) -> &mut Account {
        &mut self.accounts[self.scene.on]
    }

    fn is_valid(&self) -> bool {
        self.scene.now < self.accounts[self.scene.on].expires_at
    }

    fn is_within_budget(&self) -> bool {
        let minute_ago = self.scene.now.before(SECOND * 60);
        let sent = self.sent.iter().filter(|sent| **sent > minute_ago).count();
        sent < self.scene.policy.max_requests_per_minute as usize
    }

    fn may_start(&self) -> bool {
        let account = &self.accounts[self.scene.on];
        let spaced = account.last_begin.map_or(BootTime::ZERO, |begin| begin.after(SECOND));
        let bounds = [
            self.retry_after,
            self.refused_until,
            self.pause_until,
            account.refused_until,
            account.pause_until,
            account.hold_until,
            spaced,
        ];
        self.is_within_budget() && bounds.iter().all(|bound| self.scene.now >= *bound)
    }

    pub(super) fn happens(&mut self, event: &Event) {
        match *event {
            Event::Pass(time) => self.scene.now = self.scene.now.after(time),
            Event::Age(share) => {
                let rest = self.account().expires_at.until(self.scene.now);
                self.scene.now = self.scene.now.after(rest.mul_f64(share));
            }
            Event::Ask(want) => self.ask(&want),
            Event::Begin { has_waiters } => self.begin(has_waiters),
            Event::Grant { lifetime, same_value } => self.grant(lifetime, same_value),
            Event::GrantLate { lifetime } => self.grant_late(lifetime),
            Event::Fail { class, retry_after } => self.fail(class, retry_after),
            Event::GiveUp => self.give_up(),
            Event::Withdraw => self.withdraw(),
            Event::Invalidate { current } => self.invalidate(current),
            Event::LookAhead => self.look_ahead(),
            Event::Wake => self.wake(),
            Event::Rotate => self.rotate(),
            Event::Fork => self.fork(),
        }
    }

    fn ask(&mut self, want: &Want) {
        let (now, valid, allowed) = (self.scene.now, self.is_valid(), self.may_start());
        let decision = self.scene.decides(want);
        if let Some(id) = decision.start {
            assert!(self.account().flight.is_none(), "two fetches of one entry");
            assert!(allowed, "a fetch started before its time");
            let account = self.account();
            (account.flight, account.began, account.for_waiters) = (Some(id), None, false);
        }
        let started = decision.start.is_some();
        match decision.answer {
            Answer::Serve => assert!(valid, "a dead token was served"),
            Answer::Fail(error) => {
                assert!(!valid, "{error}, in spite of a valid token");
                assert_ne!(error.retry_after(), Some(Duration::ZERO));
            }
            Answer::Later(at) => {
                assert!(!valid && now < at && at <= now.after(SECOND), "waits for {at:?}");
            }
            Answer::Wait { serve_at, .. } => {
                let half = self.account().expires_at.until(now) / 2;
                assert!(self.account().flight.is_some(), "waits for nothing");
                assert_eq!(serve_at, valid.then_some(now.after(half)));
                self.account().for_waiters |= started && !want.at_once;
            }
        }
    }

    /// Turns to an entry with a fetch if this one has none.
    fn turn_to_a_flight(&mut self) {
        if self.account().flight.is_none() {
            let flying = self.accounts.iter().position(|account| account.flight.is_some());
            self.scene.on = flying.unwrap_or(self.scene.on);
        }
    }

    fn begin(&mut self, has_waiters: bool) {
        self.turn_to_a_flight();
        let now = self.scene.now;
        if self.account().flight.is_none() || self.account().began.is_some() {
            return;
        }
        let wanted = has_waiters || !self.account().for_waiters;
        assert_eq!(self.scene.begins_with(has_waiters).is_some(), wanted);
        if !wanted {
            self.account().flight = None;
            return;
        }
        let last = self.account().last_begin;
        assert!(last.is_none_or(|last| now >= last.after(SECOND)), "no second between two fetches");
        (self.account().began, self.account().last_begin) = (Some(now), Some(now));
        if self.scene.limits.may_request(now).is_err() {
            return self.withdraw();
        }
        assert!(now >= self.retry_after && self.is_within_budget(), "a request before its time");
        self.scene.limits.count_request(now);
        self.sent.push(now);
    }

    fn grant(&mut self, lifetime: u64, same_value: bool) {
        self.turn_to_a_flight();
        let Some((id, began)) = self.account().flight.zip(self.account().began) else {
            return;
        };
        let (now, valid, expires_at) = (self.scene.now, self.is_valid(), self.account().expires_at);
        let same_value = same_value && valid;
        let lifetime = if same_value { expires_at.until(began) } else { SECOND * lifetime as u32 };
        if began.after(lifetime) <= now {
            // It had ended before it came: to the entry that is a failure.
            return self.fail(Class::Transient, None);
        }
        assert_eq!(self.scene.comes_home(id, lifetime, same_value), !same_value);
        self.account().flight = None;
        self.succeeded();
        if same_value {
            self.account().hold_until = now.after(expires_at.until(now) / 2);
        } else {
            self.holds(began.after(lifetime));
        }
    }

    fn grant_late(&mut self, lifetime: u64) {
        let on = self.scene.on;
        let Some(place) = self.lost.iter().position(|(entry, _)| *entry == on) else {
            return;
        };
        let (_, id) = self.lost.remove(place);
        let expires_at = self.scene.began[&id].after(SECOND * lifetime as u32);
        if expires_at <= self.scene.now {
            return;
        }
        let is_better = expires_at > self.account().expires_at;
        assert_eq!(self.scene.comes_home(id, SECOND * lifetime as u32, false), is_better);
        if is_better {
            self.succeeded();
            self.holds(expires_at);
        }
    }

    fn holds(&mut self, expires_at: BootTime) {
        let serial = Some(self.scene.last_serial);
        let account = self.account();
        (account.expires_at, account.serial) = (expires_at, serial);
        account.hold_until = BootTime::ZERO;
    }

    fn succeeded(&mut self) {
        self.account().forget_failures();
        self.forget_refused_credentials();
    }

    fn forget_refused_credentials(&mut self) {
        self.refusals = 0;
        self.refused_until = BootTime::ZERO;
        self.pause_until = BootTime::ZERO;
    }

    fn fail(&mut self, class: Class, retry_after: Option<u64>) {
        self.turn_to_a_flight();
        if self.account().began.is_none() || self.account().flight.is_none() {
            return;
        }
        let retry_after = retry_after.filter(|_| class == Class::RateLimited);
        let retry_after = retry_after.map(Duration::from_secs);
        let error = Error::new(ErrorKind::Server, "it failed");
        assert!(self.scene.fails(Failure { error, class, retry_after }));
        self.failed(class, retry_after);
    }

    fn failed(&mut self, class: Class, retry_after: Option<Duration>) {
        let now = self.scene.now;
        let stands_refused = now < self.refused_until;
        let account = self.account();
        account.flight = None;
        let rest = account.expires_at.until(now);
        let least = if rest.is_zero() { SECOND / 2 } else { (SECOND * 5 / 2).min(rest / 2) };
        match class {
            Class::Terminal => {
                account.refusals += 1;
                account.refused_until = now.after(refusal_pause(account.refusals));
            }
            // Fetches that were under way when the credentials were refused tell nothing new.
            Class::Refused if stands_refused => {}
            Class::Refused => {
                self.refusals += 1;
                self.refused_until = now.after(refusal_pause(self.refusals));
            }
            _ => account.pause_until = now.after(least),
        }
        match retry_after {
            Some(wait) => self.retry_after = self.retry_after.max(now.after(wait)),
            None if class == Class::RateLimited => self.pause_until = now.after(least),
            None => {}
        }
    }

    fn give_up(&mut self) {
        let (on, now) = (self.scene.on, self.scene.now);
        let account = &self.accounts[on];
        let overrun =
            account.flight.and(account.began).filter(|at| now >= at.after(GIVEN_UP_AFTER));
        let lost = account.flight.filter(|_| overrun.is_some());
        assert_eq!(self.scene.is_given_up(), lost.is_some());
        if let Some(id) = lost {
            self.lost.push((on, id));
            self.failed(Class::Transient, None);
        }
    }

    fn withdraw(&mut self) {
        if let Some(id) = self.account().flight.take() {
            self.scene.is_withdrawn(id);
        }
    }

    fn invalidate(&mut self, current: bool) {
        let Some(serial) = self.account().serial else {
            return;
        };
        let named = if current { serial } else { serial - 1 };
        assert_eq!(self.scene.entry().invalidate(named), current);
        if current {
            let account = self.account();
            (account.expires_at, account.serial) = (BootTime::ZERO, None);
            account.hold_until = BootTime::ZERO;
        }
    }

    fn look_ahead(&mut self) {
        let (on, now) = (self.scene.on, self.scene.now);
        let due = self.scene.entries[on].renew_at(&mut self.scene.limits, now);
        assert!(due.is_none_or(|due| due >= now));
        assert!(due.is_none_or(|due| due > now || self.may_start()), "a renewal before its time");
        assert!(due.is_none() || self.account().flight.is_none());
    }

    fn wake(&mut self) {
        let now = self.scene.now;
        self.scene.wakes();
        self.pause_until = BootTime::ZERO;
        self.refused_until = self.refused_until.min(now);
        for account in &mut self.accounts {
            account.refused_until = account.refused_until.min(now);
            account.pause_until = account.pause_until.min(now);
        }
    }

    fn rotate(&mut self) {
        self.scene.rotates();
        self.forget_refused_credentials();
        self.accounts.iter_mut().for_each(Account::forget_failures);
    }

    fn fork(&mut self) {
        self.scene.forks();
        self.lost.clear();
        self.accounts.iter_mut().for_each(|account| account.flight = None);
    }

    /// What must hold after every event, for every entry.
    pub(super) fn check(&mut self) {
        let (on, now) = (self.scene.on, self.scene.now);
        for (index, account) in self.accounts.iter().enumerate() {
            let Scene { policy, limits, entries, .. } = &mut self.scene;
            let entry = &entries[index];
            assert_eq!(entry.flight(), account.flight);
            let expires_at = entry.life().map_or(BootTime::ZERO, Life::expires_at);
            assert_eq!(expires_at, account.expires_at);
            let until = entry.serve_until(policy, limits, now);
            assert!(until <= expires_at, "readers would serve a dead token");
            self.scene.on = index;
            self.check_readers_need_not_ask(until);
        }
        self.scene.on = on;
    }

    /// Until then, a plain ask is answered with the token, and starts nothing.
    fn check_readers_need_not_ask(&self, until: BootTime) {
        let now = self.scene.now;
        let last = until.before(Duration::from_nanos(1));
        let middle = now.after(until.until(now) / 2);
        for then in [now, middle, last].into_iter().filter(|then| now <= *then && *then < until) {
            let (mut entry, mut limits) =
                (self.scene.entries[self.scene.on].clone(), self.scene.limits.clone());
            let policy = &self.scene.policy;
            let decision = entry.ask(policy, &mut limits, &Want::default(), then, FlightId::MAX);
            assert!(
                matches!(decision, Decision { answer: Answer::Serve, start: None }),
                "{decision:?} at {then:?}, though readers may serve until {until:?}"
            );
        }
    }

    /// However it has come to stand: a day later one good answer an entry makes all well.
    pub(super) fn recovers(&mut self) {
        self.happens(&Event::Pass(SECOND * 90_000));
        for entry in 0..self.accounts.len() {
            self.scene.on = entry;
            self.happens(&Event::GiveUp);
            self.happens(&Event::Pass(SECOND * 61));
            self.happens(&Event::Ask(Want::default()));
            assert!(self.account().flight.is_some(), "no fetch can be started any more");
            self.happens(&Event::Begin { has_waiters: true });
            self.happens(&Event::Grant { lifetime: 1200, same_value: false });
            self.check();
            assert_eq!(self.scene.asks(), Served);
        }
    }
}
