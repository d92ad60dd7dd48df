//! A model of the client: it gets random events, and a second, simpler account checks what is
//! allowed. Outputs are carried out in any order, as threads would.

use super::*;
use crate::cache::input::CredentialStatus;
use account::Account;
use std::sync::Arc;

mod account;

const SECOND: Duration = Duration::from_secs(1);
/// Maximum number of parallel reads of a source.
const MAX_READS: usize = 4;
/// No caller waits longer without checking again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Pass(Duration),
    /// Lets this share of the token's remaining life pass.
    Age(f64),
    /// Lets the next timed event happen: a timer, an alarm, or the end of a caller's wait.
    Next,
    Ask {
        min_ttl: Duration,
        at_once: bool,
        patience: Option<Duration>,
    },
    /// One of the pending operations ends.
    Comes(usize, Come),
    /// Input about a fetch that is over or never existed.
    Stray(usize),
    Look,
    Late {
        refused: bool,
    },
    LookAtFiles,
    Invalidate {
        current: bool,
    },
    Wake,
    Rotate,
    Fork,
}

/// How a pending operation ends, whatever it is.
#[derive(Clone, Debug)]
pub(crate) struct Come {
    /// A thread is available for it.
    pub(crate) thread: bool,
    /// Whether the credentials differ from the refused ones, and whether the source was asked for
    /// them.
    pub(crate) credentials: Option<Result<(bool, bool), NoCredentials<Trouble>>>,
    pub(crate) answer: Result<Granted, Failure<Trouble>>,
    /// With times relative to now.
    pub(crate) record: Option<Record>,
    pub(crate) lock: Lock,
    pub(crate) obtained: bool,
    pub(crate) is_other: bool,
    pub(crate) given: bool,
}

/// Everything succeeds.
fn well() -> Come {
    Come {
        thread: true,
        credentials: Some(Ok((true, true))),
        answer: Ok(Granted { lifetime: 1200 * SECOND, same_value: false }),
        record: None,
        lock: Lock::Taken,
        obtained: true,
        is_other: false,
        given: false,
    }
}

/// A pending operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Thread(FlightId),
    Task(FlightId, Task),
    Read { refused: bool, ticket: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    entry: usize,
    want: Want,
    wait: Wait,
    /// The fetch it waits for. `None`: it waits until one may start, or for its deadline.
    flight: Option<FlightId>,
}

/// The scene and its accounts.
pub(crate) struct World {
    pub(crate) scene: Scene,
    accounts: Vec<Account>,
    budget: usize,
    sent: Vec<BootTime>,
    retry_after: BootTime,
    refusals: u32,
    refused_until: BootTime,
    pause_until: BootTime,
    work: Vec<Work>,
    timers: Vec<(BootTime, FlightId)>,
    callers: Vec<Caller>,
    /// The caller of this step.
    asking: Option<(usize, Want, Waited)>,
    /// Callers that ask again after this step.
    told: Vec<(Caller, bool)>,
    flights: Vec<FlightId>,
}

impl World {
    pub(crate) fn new(budget: u32, keep_warm: bool, has_store: bool, kind: SourceKind) -> Self {
        let mut settings = scene::settings();
        Arc::make_mut(&mut settings.policy).max_requests_per_minute = budget;
        settings.keep_warm = keep_warm;
        settings.store_timeout = has_store.then_some(SECOND);
        let mut scene = Scene::set_to(settings, 0.0);
        scene.source.kind = kind;
        Self {
            accounts: vec![Account::default(); scene.entries.len()],
            scene,
            budget: budget as usize,
            sent: Vec::new(),
            retry_after: BootTime::ZERO,
            refusals: 0,
            refused_until: BootTime::ZERO,
            pause_until: BootTime::ZERO,
            work: Vec::new(),
            timers: Vec::new(),
            callers: Vec::new(),
            asking: None,
            told: Vec::new(),
            flights: Vec::new(),
        }
    }

    /// The entry of the next event, and the result of its draws.
    pub(crate) fn is_on(&mut self, entry: usize, chance: f64) {
        (self.scene.on, self.scene.env.chance) = (entry, chance);
    }

    fn is_valid(&self, entry: usize) -> bool {
        self.scene.now < self.accounts[entry].expires_at
    }

    fn is_within_budget(&self) -> bool {
        let minute_ago = self.scene.now.before(SECOND * 60);
        self.sent.iter().filter(|sent| **sent > minute_ago).count() < self.budget
    }

    fn may_start(&self, entry: usize) -> bool {
        let account = &self.accounts[entry];
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

    // --- events ----------------------------------------------------------------------------------

    pub(crate) fn happens(&mut self, event: &Event) {
        let (on, now) = (self.scene.on, self.scene.now);
        match event {
            Event::Pass(time) => self.scene.now = now.after(*time),
            Event::Age(share) => {
                let rest = self.accounts[on].expires_at.until(now);
                self.scene.now = now.after(rest.mul_f64(*share));
            }
            Event::Next => self.next(),
            Event::Ask { min_ttl, at_once, patience } => {
                let until = patience.filter(|_| !at_once).map_or(FOREVER, |time| now.after(time));
                self.ask(on, Want { min_ttl: *min_ttl, at_once: *at_once, until }, None);
            }
            Event::Comes(which, come) => {
                if !self.work.is_empty() {
                    self.comes(which % self.work.len(), come);
                }
            }
            Event::Stray(which) => self.strays(*which),
            Event::Look => self.look_at(on),
            Event::Late { refused } => {
                self.step(Input::CredentialsLate { refused: *refused, version: None });
            }
            Event::LookAtFiles => self.step(Input::LookAtFiles),
            Event::Invalidate { current } => {
                if let Some(serial) = self.accounts[on].serial {
                    let serial = if *current { serial } else { serial.wrapping_sub(1) };
                    self.step(Input::Invalidate { entry: on, serial });
                    assert_eq!(self.accounts[on].serial.is_none(), *current);
                }
            }
            Event::Wake => self.wake(),
            Event::Rotate => {
                self.scene.source.kind = SourceKind::Given;
                let version = self.new_version();
                self.step(Input::Rotated { version });
            }
            Event::Fork => self.fork(),
        }
    }

    /// Passes an input to the core and judges the outputs.
    fn step(&mut self, input: Input<Trouble>) {
        for (entry, waiting) in self.scene.env.waiting.iter_mut().enumerate() {
            *waiting = self.callers.iter().filter(|caller| caller.entry == entry).count();
        }
        self.scene.step(input);
        for output in self.scene.outputs.clone() {
            self.judge(&output);
        }
        self.asking = None;
        for (caller, failed) in std::mem::take(&mut self.told) {
            let waited = Waited { serve_at: caller.wait.serve_at, failed };
            self.ask(caller.entry, caller.want, Some(waited));
        }
    }

    fn ask(&mut self, entry: usize, want: Want, waited: Option<Waited>) {
        self.scene.on = entry;
        self.scene.env.asked[entry] = true;
        self.asking = Some((entry, want, waited.unwrap_or_default()));
        self.step(Input::Ask { entry, want, waited });
    }

    fn look_at(&mut self, entry: usize) {
        self.scene.entries[entry].alarm = None;
        self.step(Input::Tick { entry });
        let alarm = self.scene.entries[entry].alarm;
        assert!(alarm.is_none_or(|at| at > self.scene.now), "the alarm would fire forever");
    }

    /// Lets time pass until something is due, and lets that happen.
    fn next(&mut self) {
        let timer = self.timers.iter().map(|(at, _)| *at).min();
        let caller = self.callers.iter().map(|caller| caller.wait.until).min();
        let alarms = self.scene.entries.iter().filter_map(|seen| seen.alarm);
        let alarm = alarms.filter(|at| *at < FOREVER).min();
        let Some(first) = [timer, caller, alarm].into_iter().flatten().min() else { return };
        self.scene.now = self.scene.now.max(first);
        if let Some(place) = self.timers.iter().position(|(at, _)| *at == first) {
            let (_, flight) = self.timers.swap_remove(place);
            return self.work.push(Work::Thread(flight));
        }
        if let Some(place) = self.callers.iter().position(|caller| caller.wait.until == first) {
            let Caller { entry, want, wait, .. } = self.callers.swap_remove(place);
            return self.ask(entry, want, Some(Waited { serve_at: wait.serve_at, failed: false }));
        }
        let rings = |seen: &scene::Seen| seen.alarm == Some(first);
        if let Some(entry) = self.scene.entries.iter().position(rings) {
            self.look_at(entry);
        }
    }

    fn comes(&mut self, place: usize, come: &Come) {
        match self.work.swap_remove(place) {
            Work::Thread(flight) if !come.thread => {
                self.step(Input::NotStarted { flight, error: Trouble::NoThread });
            }
            Work::Thread(flight) => {
                self.begin(flight);
                let status = self.status(flight, come);
                // From now on, a lack of credentials counts as such again.
                if let Some(account) = self.account_of(flight) {
                    account.awaits_reread = false;
                }
                self.step(Input::ThreadReady { flight, status });
            }
            Work::Task(flight, Task::GoOn) => self.work.push(Work::Thread(flight)),
            Work::Task(flight, task) => self.ends(flight, task, come),
            Work::Read { refused, ticket } if come.given => {
                self.step(Input::CredentialsGiven { refused, ticket });
            }
            Work::Read { refused, ticket } => {
                let version = (come.obtained && come.is_other).then(|| self.new_version());
                let obtained = come.obtained;
                self.step(Input::CredentialsRead { refused, ticket, obtained, version });
            }
        }
    }

    /// What a thread knows about its credentials. Without any, the fetch may fail with that error.
    fn status(&mut self, flight: FlightId, come: &Come) -> CredentialStatus<Trouble> {
        if matches!(come.credentials, Some(Err(NoCredentials::Failed(_)))) {
            self.fails_with(flight, Class::Transient, None, true);
        }
        let pair = self.scene.pair();
        let credentials = come.credentials.clone().map(|credentials| {
            credentials.map(|(is_other, was_requested)| Pair { is_other, was_requested, ..pair })
        });
        self.scene.status(credentials)
    }

    /// A fetch's thread has finished a task.
    fn ends(&mut self, flight: FlightId, task: Task, come: &Come) {
        let (now, status) = (self.scene.now, self.status(flight, come));
        let answer = self.same_if_held(flight, &come.answer);
        match task {
            Task::Send { .. } => {
                let source = self.scene.source;
                let (class, wait) = match &answer {
                    // The token may have expired before it arrived.
                    Ok(_) => (Class::Transient, None),
                    Err(failure) => (failure.class, failure.retry_after),
                };
                self.retry_after = self.retry_after.max(now.after(wait.unwrap_or_default()));
                self.fails_with(flight, class, wait, false);
                self.step(Input::Answered { flight, answer, source });
            }
            Task::Save { .. } => {
                let granted = Granted { lifetime: 1200 * SECOND, same_value: false };
                let granted = answer.unwrap_or(granted);
                self.step(Input::Saved { flight, granted });
            }
            Task::Look => {
                let since_boot = |at: BootTime| at.since(BootTime::ZERO);
                let record = come.record.map(|record| Record {
                    requested_at: now.before(since_boot(record.requested_at)),
                    fresh_until: now
                        .before(since_boot(record.requested_at))
                        .after(since_boot(record.fresh_until)),
                    again_at: now.after(since_boot(record.again_at)),
                    ..record
                });
                if let Some(account) = self.account_of(flight) {
                    account.record = record;
                }
                self.step(Input::Looked { flight, record, status });
            }
            Task::TryLock => self.step(Input::LockTried { flight, lock: come.lock }),
            Task::Announce { .. } => self.step(Input::Announced { flight, status }),
            Task::GoOn => {}
        }
    }

    /// The cached token can be granted again only if there is one; it then keeps its expiry.
    fn same_if_held(
        &mut self,
        flight: FlightId,
        answer: &Result<Granted, Failure<Trouble>>,
    ) -> Result<Granted, Failure<Trouble>> {
        let entry = self.scene.core.entry_of(flight);
        let is_valid = entry.is_some_and(|entry| self.is_valid(entry));
        answer
            .clone()
            .map(|granted| Granted { same_value: granted.same_value && is_valid, ..granted })
    }

    fn account_of(&mut self, flight: FlightId) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.flight == Some(flight))
    }

    /// Records what the fetch would fail with if it ended now.
    fn fails_with(
        &mut self,
        flight: FlightId,
        class: Class,
        wait: Option<Duration>,
        no_credentials: bool,
    ) {
        if let Some(account) =
            self.account_of(flight).filter(|it| !(no_credentials && it.awaits_reread))
        {
            account.failure = Some((class, wait));
        }
    }

    /// A thread comes to a fetch. Its first thread begins it.
    fn begin(&mut self, flight: FlightId) {
        let (now, entry) = (self.scene.now, self.scene.core.entry_of(flight));
        let has_waiters = self.callers.iter().any(|caller| Some(caller.entry) == entry);
        let Some(account) = self.account_of(flight).filter(|account| !account.has_begun) else {
            return;
        };
        if has_waiters || !account.for_waiters {
            let last = account.last_begin;
            assert!(
                last.is_none_or(|last| now >= last.after(SECOND)),
                "two fetches less than a second apart"
            );
            (account.has_begun, account.last_begin) = (true, Some(now));
        }
    }

    fn strays(&mut self, which: usize) {
        let gone = |flight: &&FlightId| self.scene.core.entry_of(**flight).is_none();
        let gone: Vec<_> =
            self.flights.iter().filter(gone).copied().chain([FlightId::MAX]).collect();
        let (flight, source) = (gone[which % gone.len()], self.scene.source);
        let status = self.scene.status(Some(Ok(self.scene.pair())));
        let granted = Granted { lifetime: SECOND * 1200, same_value: false };
        let inputs = [
            Input::ThreadReady { flight, status: status.clone() },
            Input::NotStarted { flight, error: Trouble::NoThread },
            Input::Answered { flight, answer: Ok(granted), source },
            Input::Saved { flight, granted },
            Input::Looked { flight, record: None, status: status.clone() },
            Input::LockTried { flight, lock: Lock::Taken },
            Input::Announced { flight, status },
        ];
        for input in inputs {
            self.step(input);
            let is_quiet =
                |output: &_| matches!(output, Output::ServeUntil { .. } | Output::ServeUntilOfAll);
            assert!(self.scene.outputs.iter().all(is_quiet), "{:?}", self.scene.outputs);
        }
    }

    /// New credentials are about to become known: failures of the previous ones are forgotten.
    fn new_version(&mut self) -> u64 {
        self.forget_refused_credentials();
        self.accounts.iter_mut().for_each(Account::forget_failures);
        self.scene.source.version += 1;
        self.scene.source.version
    }

    fn forget_refused_credentials(&mut self) {
        (self.refusals, self.refused_until) = (0, BootTime::ZERO);
        self.pause_until = BootTime::ZERO;
    }

    fn wake(&mut self) {
        let now = self.scene.now;
        self.pause_until = BootTime::ZERO;
        self.refused_until = self.refused_until.min(now);
        for account in &mut self.accounts {
            account.refused_until = account.refused_until.min(now);
            account.pause_until = account.pause_until.min(now);
        }
        self.step(Input::Wake);
    }

    fn fork(&mut self) {
        (self.work, self.timers, self.callers) = (Vec::new(), Vec::new(), Vec::new());
        self.accounts.iter_mut().for_each(|account| account.flight = None);
        self.scene.entries.iter_mut().for_each(|seen| seen.fetch = None);
        self.step(Input::Forked);
        assert!(self.flights.iter().all(|flight| self.is_new_or_gone(*flight)));
    }

    fn is_new_or_gone(&self, flight: FlightId) -> bool {
        self.scene.core.entry_of(flight).is_none()
            || self.accounts.iter().any(|account| account.flight == Some(flight))
    }

    // --- at the end ------------------------------------------------------------------------------

    /// From any state: a day later, one good answer per entry restores everything.
    pub(crate) fn recovers(&mut self) {
        self.scene.now = self.scene.now.after(SECOND * 90_000);
        for entry in 0..self.accounts.len() {
            for _ in 0..20 {
                self.look_at(entry);
                while !self.work.is_empty() {
                    self.comes(0, &well());
                }
                if self.is_valid(entry) {
                    break;
                }
                self.scene.now = self.scene.now.after(SECOND * 61);
                self.ask(entry, scene::PATIENT, None);
            }
            self.check();
            for Caller { entry, want, wait, .. } in std::mem::take(&mut self.callers) {
                self.ask(entry, want, Some(Waited { serve_at: wait.serve_at, failed: false }));
            }
            self.scene.on = entry;
            let heard = self.scene.asks();
            assert!(matches!(heard, Served | ServedAndStarted), "{heard:?}: {:?}", self.scene);
        }
    }

    /// And from any state: closing leaves nothing behind.
    pub(crate) fn closes(&mut self) {
        self.step(Input::Close);
        assert!(self.flights.iter().all(|flight| self.scene.core.entry_of(*flight).is_none()));
        self.ask_after_the_end();
        while !self.work.is_empty() {
            self.comes(0, &well());
            assert!(self.scene.outputs.is_empty(), "{:?}", self.scene.outputs);
        }
    }

    fn ask_after_the_end(&mut self) {
        for entry in 0..self.accounts.len() {
            self.scene.on = entry;
            assert_eq!(self.scene.asks(), Fails(Trouble::Closed));
        }
    }
}
