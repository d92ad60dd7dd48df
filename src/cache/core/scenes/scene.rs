//! The test harness: a client with a manual clock, fixed randomness, and a driver that a test steps
//! by hand.

use super::*;
use crate::cache::Random;
use crate::cache::input::{Environment, Source};
use crate::cache::limits::Blocked;
use crate::cache::output::Outputs;
use crate::cache::policy;
use std::sync::Arc;

pub(crate) const START: BootTime = BootTime::from_nanos(1_000_000_000_000);
pub(crate) const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);
pub(crate) const AT_ONCE: Want = Want { min_ttl: Duration::ZERO, at_once: true, until: FOREVER };
/// A caller without a deadline.
pub(crate) const PATIENT: Want = Want { at_once: false, ..AT_ONCE };

/// An error, as the core remembers it and as callers get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Network,
    Proxy,
    RateLimited,
    InvalidScope,
    InvalidClient,
    Credentials,
    NoThread,
    // Detected by the core itself.
    Overrun,
    Ended,
    Budget,
    Pending,
    TimedOut,
    AlreadyReported,
    Closed,
}

/// What a caller gets. "Started": its call has started a fetch. Numbers are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Heard {
    Served,
    ServedAndStarted,
    Waits,
    WaitsAndStarted,
    WaitsTill(f64),
    WaitsTillAndStarted(f64),
    Later(f64),
    Fails(Trouble),
    FailsAndStarted(Trouble),
}

/// The environment that the core queries while it decides.
#[derive(Clone, Debug)]
pub(crate) struct SceneEnvironment {
    /// The result of every draw: 0 means no jitter and the shortest pauses, 1 the most of both.
    pub(crate) chance: f64,
    /// The number of waiters of each entry.
    pub(crate) waiting: Vec<usize>,
    pub(crate) asked: Vec<bool>,
    /// Until when the proxy's refusal of a login is in force.
    pub(crate) refused_login: Option<BootTime>,
}

impl Random for SceneEnvironment {
    fn unit(&mut self) -> f64 {
        self.chance
    }
}

impl Environment<Trouble> for SceneEnvironment {
    fn has_waiters(&self, entry: usize) -> bool {
        self.waiting[entry] > 0
    }

    fn was_asked(&mut self, entry: usize) -> bool {
        std::mem::take(&mut self.asked[entry])
    }

    fn refused_login(&self) -> Option<Blocked<Trouble>> {
        self.refused_login.map(|until| Blocked::new(until, &Trouble::Proxy))
    }
}

/// What is visible of an entry from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its current fetch.
    pub(crate) fetch: Option<FlightId>,
    pub(crate) serial: u64,
    /// Until when readers need not ask, according to the outputs.
    pub(crate) serve_until: BootTime,
    pub(crate) alarm: Option<BootTime>,
}

/// A client with three entries, and a clock that only `at` moves.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) core: Core<Trouble>,
    pub(crate) env: SceneEnvironment,
    pub(crate) source: Source,
    pub(crate) entries: Vec<Seen>,
    pub(crate) on: usize,
    pub(crate) now: BootTime,
    /// The outputs of the last step.
    pub(crate) outputs: Vec<Output<Trouble>>,
}

pub(crate) fn settings() -> Settings {
    Settings { policy: policy::usual().into(), ..Settings::default() }
}

impl Scene {
    pub(crate) fn new(chance: f64) -> Self {
        Self::set_to(settings(), chance)
    }

    pub(crate) fn with_budget(chance: f64, max_requests_per_minute: u32) -> Self {
        let mut settings = settings();
        Arc::make_mut(&mut settings.policy).max_requests_per_minute = max_requests_per_minute;
        Self::set_to(settings, chance)
    }

    /// With `keep_warm`.
    pub(crate) fn kept_warm(chance: f64) -> Self {
        Self::set_to(Settings { keep_warm: true, ..settings() }, chance)
    }

    pub(crate) fn set_to(settings: Settings, chance: f64) -> Self {
        let mut core = Core::new(settings, 0);
        let entries = (0..3).map(|_| core.add_entry(START)).count();
        Self {
            core,
            env: SceneEnvironment {
                chance,
                waiting: vec![0; entries],
                asked: vec![false; entries],
                refused_login: None,
            },
            source: Source { kind: SourceKind::Given, version: 1 },
            entries: vec![Seen::default(); entries],
            on: 0,
            now: START,
            outputs: Vec::new(),
        }
    }

    /// A scene in which a token with this lifetime arrived at second 0.
    pub(crate) fn with_token(chance: f64, lifetime: u64) -> Self {
        let mut scene = Self::new(chance);
        scene.gets(lifetime);
        scene
    }

    pub(crate) fn at(&mut self, seconds: f64) -> &mut Self {
        let then = second(seconds);
        assert!(then >= self.now, "time does not go back");
        self.now = then;
        self
    }

    /// Switches to another entry of the client.
    pub(crate) fn on(&mut self, entry: usize) -> &mut Self {
        self.on = entry;
        self
    }

    // --- the entry point -------------------------------------------------------------------------

    /// Passes an input to the core, and applies the outputs that belong under the client's lock.
    pub(crate) fn step(&mut self, input: Input<Trouble>) -> &[Output<Trouble>] {
        let Outputs { list, .. } = self.core.handle(self.now, &mut self.env, input);
        list.iter().for_each(|output| self.note(output));
        self.outputs = list;
        &self.outputs
    }

    fn note(&mut self, output: &Output<Trouble>) {
        match *output {
            Output::Publish { entry, serial, serve_until, .. } => {
                (self.entries[entry].serial, self.entries[entry].serve_until) =
                    (serial, serve_until);
            }
            Output::Redraw { entry, serve_until: until, .. }
            | Output::ServeUntil { entry, until } => self.entries[entry].serve_until = until,
            Output::ServeUntilOfAll => {
                for (entry, seen) in self.entries.iter_mut().enumerate() {
                    seen.serve_until = self.core.serve_until(entry, self.now);
                }
            }
            Output::Clear { entry } => self.entries[entry].serve_until = BootTime::ZERO,
            Output::Finish { entry, .. } => self.env.waiting[entry] = 0,
            Output::Wait { entry, .. } => self.env.waiting[entry] += 1,
            Output::Start { flight, entry, rank: Rank::Awaited | Rank::Background, .. } => {
                let former = self.entries[entry].fetch.replace(flight);
                assert_eq!(former, None, "two fetches of one entry");
            }
            Output::Forget { flight } => {
                let seen = self.entries.iter_mut().filter(|seen| seen.fetch == Some(flight));
                seen.for_each(|seen| seen.fetch = None);
            }
            Output::Notify { entry, notice: Notice::GivenUp { .. } } => {
                self.entries[entry].fetch = None
            }
            Output::Alarm { entry, at } => self.entries[entry].alarm = Some(at),
            _ => {}
        }
    }

    pub(crate) fn has_output(&self, is_such: impl Fn(&Output<Trouble>) -> bool) -> bool {
        self.outputs.iter().any(is_such)
    }

    pub(crate) fn notifies(&self, is_such: impl Fn(&Notice<Trouble>) -> bool) -> bool {
        self.has_output(|output| matches!(output, Output::Notify { notice, .. } if is_such(notice)))
    }

    // --- other inputs ----------------------------------------------------------------------------

    /// The entry's alarm fires.
    pub(crate) fn ticks(&mut self) -> &mut Self {
        let entry = self.on;
        self.step(Input::Tick { entry });
        self
    }

    /// Lets the entry's alarm fire, and returns how its fetch was given up, if it was.
    pub(crate) fn is_given_up(&mut self) -> Option<GivenUp> {
        self.ticks();
        self.outputs.iter().find_map(|output| match *output {
            Output::Notify { notice: Notice::GivenUp { how, .. }, .. } => Some(how),
            _ => None,
        })
    }

    /// The entry's next alarm, from the outputs of the last step.
    pub(crate) fn alarm(&self) -> Option<f64> {
        self.outputs.iter().rev().find_map(|output| match *output {
            Output::Alarm { entry, at } if entry == self.on => Some(seconds(at)),
            _ => None,
        })
    }

    /// An API refuses the cached token.
    pub(crate) fn is_invalidated(&mut self) -> bool {
        self.is_refused(self.serial())
    }

    /// An API refuses a token. Returns whether it was the cached one.
    pub(crate) fn is_refused(&mut self, serial: u64) -> bool {
        let entry = self.on;
        self.step(Input::Invalidate { entry, serial });
        self.has_output(|output| matches!(output, Output::Clear { .. }))
    }

    pub(crate) fn serial(&self) -> u64 {
        self.entries[self.on].serial
    }

    pub(crate) fn wakes(&mut self) -> &mut Self {
        self.step(Input::Wake);
        self
    }

    /// The program sets other credentials.
    pub(crate) fn rotates(&mut self) -> &mut Self {
        let version = self.source.version + 1;
        self.source = Source { kind: SourceKind::Given, version };
        self.step(Input::Rotated { version });
        self
    }

    pub(crate) fn forks(&mut self) {
        self.env.waiting.fill(0);
        self.entries.iter_mut().for_each(|seen| seen.fetch = None);
        self.step(Input::Forked);
    }

    // --- what can be read ------------------------------------------------------------------------

    pub(crate) fn state(&self) -> State {
        self.core.state(self.on, self.now)
    }

    /// Until when readers need not ask. Checks that the outputs have not told them more.
    pub(crate) fn serves_until(&mut self) -> f64 {
        let until = self.core.serve_until(self.on, self.now);
        let told = self.entries[self.on].serve_until;
        assert!(
            told <= until || told <= self.now,
            "readers were told {told:?}, but it is {until:?}"
        );
        seconds(until)
    }

    /// How long no fetch may start.
    pub(crate) fn is_blocked_for(&mut self) -> f64 {
        self.core.next_request_in(self.on, self.now, None).as_secs_f64()
    }
}

pub(crate) fn failure(class: Class) -> Failure<Trouble> {
    let trouble = match class {
        Class::Transient | Class::TransientOnce => Trouble::Network,
        Class::LoginRefused => Trouble::Proxy,
        Class::RateLimited => Trouble::RateLimited,
        Class::Terminal => Trouble::InvalidScope,
        Class::Refused => Trouble::InvalidClient,
    };
    Failure::new(class, trouble)
}

pub(crate) fn min_ttl(seconds: u64) -> Want {
    Want { min_ttl: Duration::from_secs(seconds), ..PATIENT }
}

/// A caller with a deadline at this second.
pub(crate) fn until(seconds: f64) -> Want {
    Want { until: second(seconds), ..PATIENT }
}

pub(crate) fn second(seconds: f64) -> BootTime {
    START.after(Duration::from_secs_f64(seconds))
}

pub(crate) fn seconds(at: BootTime) -> f64 {
    at.since(START).as_secs_f64()
}
