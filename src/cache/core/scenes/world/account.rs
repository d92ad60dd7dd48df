//! The account of a world: judges whether each output is allowed.

use super::*;

/// What the account knows of an entry. Times are the earliest at which a fetch may start.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) flight: Option<FlightId>,
    /// It was started by a waiting caller.
    pub(super) for_waiters: bool,
    pub(super) has_begun: bool,
    /// How it failed last, and whether its source is asked for other credentials because of that.
    pub(super) failure: Option<(Class, Option<Duration>)>,
    pub(super) awaits_reread: bool,
    /// The record it found in the store.
    pub(super) record: Option<Record>,
    pub(super) last_begin: Option<BootTime>,
    /// Expiry and serial of the token, if there is one.
    pub(super) expires_at: BootTime,
    pub(super) serial: Option<u64>,
    pub(super) refusals: u32,
    pub(super) refused_until: BootTime,
    pub(super) pause_until: BootTime,
    pub(super) hold_until: BootTime,
}

impl Account {
    pub(super) fn forget_failures(&mut self) {
        (self.refusals, self.refused_until) = (0, BootTime::ZERO);
        self.pause_until = BootTime::ZERO;
    }
}

fn refusal_pause(times: u32) -> Duration {
    SECOND * [60, 120, 240, 480, 600][times.clamp(1, 5) as usize - 1]
}

impl World {
    pub(super) fn judge(&mut self, output: &Output<Trouble>) {
        let now = self.scene.now;
        match *output {
            Output::Serve { .. } | Output::Wait { .. } | Output::Fail(_) => {
                self.judge_answer(output)
            }
            Output::Publish { entry, serial, life, serve_until } => {
                let account = &mut self.accounts[entry];
                assert!(account.serial.is_none_or(|former| serial > former));
                assert!(life.expires_at() > now && serve_until <= life.expires_at());
                (account.expires_at, account.serial) = (life.expires_at(), Some(serial));
                account.hold_until = BootTime::ZERO;
            }
            Output::Clear { entry } => {
                let account = &mut self.accounts[entry];
                (account.expires_at, account.serial) = (BootTime::ZERO, None);
                account.hold_until = BootTime::ZERO;
            }
            Output::Finish { entry, ref outcome } => self.judge_end(entry, outcome),
            Output::Start {
                flight,
                entry,
                rank: rank @ (Rank::Awaited | Rank::Background),
                ..
            } => {
                self.judge_start(entry, flight, rank);
            }
            Output::Start { flight, .. } => self.work.push(Work::Thread(flight)),
            Output::Do { flight, task } => {
                assert!(
                    self.account_of(flight).is_some()
                        || matches!(task, Task::GoOn | Task::Save { .. })
                );
                if matches!(task, Task::Send { .. }) {
                    self.judge_request(flight);
                }
                let is_its = |work: &&Work| matches!(work, Work::Task(of, task) if *of == flight && *task != Task::GoOn);
                assert_eq!(
                    self.work.iter().filter(is_its).count(),
                    0,
                    "two threads work on one fetch"
                );
                self.work.push(Work::Task(flight, task));
            }
            Output::Park { flight, refused } => {
                if let Some(account) = self.account_of(flight) {
                    account.awaits_reread = refused;
                }
            }
            Output::Pause { flight, until, .. } => {
                assert!(until > now);
                self.timers.push((until, flight));
            }
            Output::Forget { flight } => {
                if let Some(account) = self.account_of(flight) {
                    account.flight = None;
                }
            }
            Output::AskSource { refused, ticket, .. } => {
                self.work.push(Work::Read { refused, ticket });
                let is_same =
                    |work: &&Work| matches!(work, Work::Read { refused: of, .. } if *of == refused);
                assert!(self.work.iter().filter(is_same).count() <= MAX_READS);
            }
            Output::Notify { entry, notice: Notice::GivenUp { how, .. } } => {
                self.judge_given_up(entry, how)
            }
            _ => {}
        }
    }

    fn judge_answer(&mut self, answer: &Output<Trouble>) {
        let (now, (entry, want, waited)) =
            (self.scene.now, self.asking.expect("no caller in this step"));
        let is_valid = self.is_valid(entry);
        match answer {
            Output::Serve { .. } => assert!(is_valid, "an expired token was served"),
            Output::Wait { wait, .. } => {
                assert!(!want.at_once && now < wait.until.max(now.after(Duration::from_nanos(1))));
                assert!(wait.until <= now.after(LONGEST_WAIT) && wait.until <= want.until);
                let half = now.after(self.accounts[entry].expires_at.until(now) / 2);
                assert!(wait.serve_at.is_none_or(|at| is_valid && at <= half));
                assert!(wait.serve_at.is_some() || !is_valid, "there is a token");
                let flight = self.accounts[entry].flight;
                self.callers.push(Caller { entry, want, wait: *wait, flight });
            }
            Output::Fail(reason) => {
                assert!(!is_valid, "{reason:?} despite a valid token");
                match reason {
                    Reason::Blocked { wait, .. } => assert!(!wait.is_zero()),
                    Reason::Pending { .. } => assert!(want.at_once),
                    Reason::TimedOut { .. } => assert!(now >= want.until),
                    Reason::AlreadyReported => assert!(waited.failed),
                    _ => panic!("{reason:?} belongs to the end of a wait"),
                }
            }
            _ => {}
        }
    }

    fn judge_start(&mut self, entry: usize, flight: FlightId, rank: Rank) {
        assert!(self.accounts[entry].flight.is_none(), "two fetches of one entry");
        assert!(self.may_start(entry), "a fetch started before its time");
        let account = &mut self.accounts[entry];
        (account.flight, account.for_waiters) = (Some(flight), rank == Rank::Awaited);
        (account.has_begun, account.failure, account.awaits_reread) = (false, None, false);
        account.record = None;
        assert!(!self.flights.contains(&flight));
        self.flights.push(flight);
        self.work.push(Work::Thread(flight));
    }

    fn judge_request(&mut self, flight: FlightId) {
        let now = self.scene.now;
        assert!(now >= self.retry_after && self.is_within_budget(), "a request before its time");
        assert!(now >= self.pause_until, "a request before its time");
        self.sent.push(now);
        let account = self.account_of(flight).expect("a request without an entry's fetch");
        assert!(account.has_begun);
        account.awaits_reread = false;
    }

    fn judge_given_up(&mut self, entry: usize, how: GivenUp) {
        let now = self.scene.now;
        let account = &mut self.accounts[entry];
        account.flight = None;
        account.failure = (how == GivenUp::Overrun).then_some((Class::Transient, None));
        // If its credentials did not arrive, only waits whose deadline has passed may end.
        let credentials_pending = how == GivenUp::CredentialsPending;
        for caller in
            self.callers.iter_mut().filter(|caller| credentials_pending && caller.entry == entry)
        {
            assert!(caller.flight.is_none() || caller.want.until <= now);
            caller.flight = None;
        }
    }

    /// The waits for an entry's fetch end.
    fn judge_end(&mut self, entry: usize, outcome: &Outcome<Trouble>) {
        let now = self.scene.now;
        match outcome {
            Outcome::Token | Outcome::AskAgain | Outcome::Fail(Reason::Ended) => {
                self.forget_refused_credentials();
                self.accounts[entry].forget_failures();
                self.holds(entry);
            }
            Outcome::Fail(Reason::Failed { wait, .. }) => {
                let (class, retry_after) = self.accounts[entry].failure.expect("something failed");
                self.failed(entry, class, retry_after);
                assert!(!wait.is_zero() || class == Class::LoginRefused);
            }
            Outcome::Fail(_) => {}
        }
        let is_token = matches!(outcome, Outcome::Token);
        assert!(!is_token || now < self.accounts[entry].expires_at, "an expired token was served");
        let failed = matches!(outcome, Outcome::Fail(_));
        let (of_entry, others) = self.callers.drain(..).partition(|caller| caller.entry == entry);
        self.callers = others;
        let of_entry: Vec<Caller> = of_entry;
        if !is_token {
            self.told.extend(of_entry.into_iter().map(|caller| (caller, failed)));
        }
    }

    /// A token was obtained. If it is the same one again, or its record says so, the next fetch has
    /// to wait.
    fn holds(&mut self, entry: usize) {
        let now = self.scene.now;
        let is_new = self.scene.has_output(|output| matches!(output, Output::Publish { .. }));
        let is_answer = self.scene.notifies(|notice| matches!(notice, Notice::Succeeded { .. }));
        let account = &mut self.accounts[entry];
        match account.record {
            _ if is_answer && is_new => account.hold_until = BootTime::ZERO,
            _ if is_answer => {
                account.hold_until = now.after(account.expires_at.until(now) / 2);
            }
            Some(record) => {
                account.last_begin = None;
                account.hold_until = record.again_at.min(account.expires_at);
            }
            None => panic!("a token from nowhere"),
        }
    }

    fn failed(&mut self, entry: usize, class: Class, retry_after: Option<Duration>) {
        let now = self.scene.now;
        let stands_refused = now < self.refused_until;
        let account = &mut self.accounts[entry];
        let rest = account.expires_at.until(now);
        let least = if rest.is_zero() { SECOND / 2 } else { (SECOND * 5 / 2).min(rest / 2) };
        match class {
            Class::Terminal => {
                account.refusals += 1;
                account.refused_until = now.after(refusal_pause(account.refusals));
            }
            // Refusals of fetches that were in flight at the time of the first add nothing.
            Class::Refused if stands_refused => {}
            Class::Refused => {
                self.refusals += 1;
                self.refused_until = now.after(refusal_pause(self.refusals));
            }
            Class::LoginRefused => {}
            _ => account.pause_until = now.after(least),
        }
        if class == Class::RateLimited && retry_after.is_none() {
            self.pause_until = now.after(least);
        }
    }

    // --- invariants, checked after every event
    // -----------------------------------------------------

    pub(crate) fn check(&mut self) {
        let now = self.scene.now;
        let waits_for_nothing = |caller: &Caller| {
            caller.flight.is_some_and(|it| self.accounts[caller.entry].flight != Some(it))
        };
        assert!(!self.callers.iter().any(waits_for_nothing), "{:?}", self.callers);
        for entry in 0..self.accounts.len() {
            let account = &self.accounts[entry];
            assert_eq!(self.scene.entries[entry].fetch, account.flight);
            assert!(account.flight.is_none_or(|it| self.scene.core.entry_of(it) == Some(entry)));
            let life = self.scene.core.life(entry);
            let expires_at = life.map_or(BootTime::ZERO, |life| life.expires_at());
            assert_eq!(expires_at, account.expires_at);
            let (until, told) =
                (self.scene.core.serve_until(entry, now), self.scene.entries[entry].serve_until);
            assert!(until.max(told) <= expires_at, "readers would serve an expired token");
            self.check_readers_need_not_ask(entry, until);
            self.check_readers_need_not_ask(entry, told);
        }
    }

    /// Until then, a plain call gets the token and starts nothing.
    fn check_readers_need_not_ask(&self, entry: usize, until: BootTime) {
        let now = self.scene.now;
        let last = until.before(Duration::from_nanos(1));
        let middle = now.after(until.until(now) / 2);
        for then in [now, middle, last].into_iter().filter(|then| now <= *then && *then < until) {
            let (mut core, mut env) = (self.scene.core.clone(), self.scene.env.clone());
            let input = Input::Ask { entry, want: scene::PATIENT, waited: None };
            let outputs = core.handle(then, &mut env, input).list;
            let is_served = outputs.iter().any(|output| matches!(output, Output::Serve { .. }));
            let starts = outputs.iter().any(|output| matches!(output, Output::Start { .. }));
            assert!(is_served && !starts, "{outputs:?} at {then:?}, though it is {until:?}");
        }
    }
}
