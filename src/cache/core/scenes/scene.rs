//! A client on a stage: a clock that is turned by hand, chance that is fixed, words for what happens
//! and for what a caller hears, and a driver that does what a scene tells it to.

use super::*;
use crate::cache::Random;
use crate::cache::input::{Around, Source};
use crate::cache::limits::Blocked;
use crate::cache::output::Outputs;
use crate::cache::policy;

pub(super) const START: BootTime = BootTime::from_nanos(1_000_000_000_000);
pub(super) const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);
pub(super) const AT_ONCE: Want = Want { min_ttl: Duration::ZERO, at_once: true, until: FOREVER };
/// A caller with all the time there is.
pub(super) const PATIENT: Want = Want { at_once: false, ..AT_ONCE };

/// What may be wrong, as the core remembers it, and as callers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Network,
    Proxy,
    RateLimited,
    InvalidScope,
    InvalidClient,
    Credentials,
    NoThread,
    // What the core finds out by itself.
    Overrun,
    Ended,
    Budget,
    Pending,
    TimedOut,
    AsTold,
    Closed,
}

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
    Fails(Trouble),
    FailsAndStarted(Trouble),
}

/// What the core asks while it decides.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// What every draw gives: 0 for no jitter and the shortest pauses, 1 for the most of both.
    pub(super) chance: f64,
    /// How many wait for each entry's fetch.
    pub(super) waiting: Vec<usize>,
    pub(super) asked: Vec<bool>,
    /// Until when the proxy's refusal of a login holds.
    pub(super) refused_login: Option<BootTime>,
}

impl Random for Surroundings {
    fn unit(&mut self) -> f64 {
        self.chance
    }
}

impl Around<Trouble> for Surroundings {
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

/// What can be seen of an entry from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Its fetch that is under way.
    pub(super) fetch: Option<FlightId>,
    pub(super) serial: u64,
    /// Until when readers need not ask, as far as they were told.
    pub(super) serve_until: BootTime,
    pub(super) alarm: Option<BootTime>,
}

/// A client with three entries, and a clock that only `at` moves.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) core: Core<Trouble>,
    pub(super) around: Surroundings,
    pub(super) source: Source,
    pub(super) entries: Vec<Seen>,
    pub(super) on: usize,
    pub(super) now: BootTime,
    /// What the last step led to.
    pub(super) said: Vec<Output<Trouble>>,
}

pub(super) fn settings() -> Settings {
    Settings { policy: policy::usual(), ..Settings::default() }
}

impl Scene {
    pub(super) fn new(chance: f64) -> Self {
        Self::set_to(settings(), chance)
    }

    pub(super) fn with_budget(chance: f64, max_requests_per_minute: u32) -> Self {
        let mut settings = settings();
        settings.policy.max_requests_per_minute = max_requests_per_minute;
        Self::set_to(settings, chance)
    }

    /// What is asked for renews itself.
    pub(super) fn kept_warm(chance: f64) -> Self {
        Self::set_to(Settings { keep_warm: true, ..settings() }, chance)
    }

    pub(super) fn set_to(settings: Settings, chance: f64) -> Self {
        let mut core = Core::new(settings, 0);
        let entries = (0..3).map(|_| core.add_entry(START)).count();
        Self {
            core,
            around: Surroundings {
                chance,
                waiting: vec![0; entries],
                asked: vec![false; entries],
                refused_login: None,
            },
            source: Source { kind: SourceKind::Given, version: 1 },
            entries: vec![Seen::default(); entries],
            on: 0,
            now: START,
            said: Vec::new(),
        }
    }

    /// A scene in which a token of so many seconds has come at second 0.
    pub(super) fn with_token(chance: f64, lifetime: u64) -> Self {
        let mut scene = Self::new(chance);
        scene.gets(lifetime);
        scene
    }

    pub(super) fn at(&mut self, seconds: f64) -> &mut Self {
        let then = second(seconds);
        assert!(then >= self.now, "a scene does not go back in time");
        self.now = then;
        self
    }

    /// Turns to another entry of the client.
    pub(super) fn on(&mut self, entry: usize) -> &mut Self {
        self.on = entry;
        self
    }

    // --- the door --------------------------------------------------------------------------------

    /// Something happens. What is carried out under the client's lock is taken note of.
    pub(super) fn step(&mut self, input: Input<Trouble>) -> &[Output<Trouble>] {
        let Outputs { list, .. } = self.core.handle(self.now, &mut self.around, input);
        list.iter().for_each(|output| self.note(output));
        self.said = list;
        &self.said
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
            Output::Finish { entry, .. } => self.around.waiting[entry] = 0,
            Output::Wait { entry, .. } => self.around.waiting[entry] += 1,
            Output::Start { flight, entry, rank: Rank::Awaited | Rank::Background, .. } => {
                let former = self.entries[entry].fetch.replace(flight);
                assert_eq!(former, None, "two fetches of one entry");
            }
            Output::Forget { flight } => {
                let seen = self.entries.iter_mut().filter(|seen| seen.fetch == Some(flight));
                seen.for_each(|seen| seen.fetch = None);
            }
            Output::Tell { entry, news: News::GivenUp { .. } } => self.entries[entry].fetch = None,
            Output::Alarm { entry, at } => self.entries[entry].alarm = Some(at),
            _ => {}
        }
    }

    pub(super) fn says(&self, is_such: impl Fn(&Output<Trouble>) -> bool) -> bool {
        self.said.iter().any(is_such)
    }

    pub(super) fn tells(&self, is_such: impl Fn(&News<Trouble>) -> bool) -> bool {
        self.says(|output| matches!(output, Output::Tell { news, .. } if is_such(news)))
    }

    // --- what else happens -----------------------------------------------------------------------

    /// The entry's alarm rings.
    pub(super) fn is_looked_at(&mut self) -> &mut Self {
        let entry = self.on;
        self.step(Input::Tick { entry });
        self
    }

    /// Whether the entry's fetch is given up when it is looked at, and how.
    pub(super) fn is_given_up(&mut self) -> Option<GivenUp> {
        self.is_looked_at();
        self.said.iter().find_map(|output| match *output {
            Output::Tell { news: News::GivenUp { how, .. }, .. } => Some(how),
            _ => None,
        })
    }

    /// When the entry is to be looked at, as the last step says.
    pub(super) fn alarm(&self) -> Option<f64> {
        self.said.iter().rev().find_map(|output| match *output {
            Output::Alarm { entry, at } if entry == self.on => Some(seconds(at)),
            _ => None,
        })
    }

    /// An API refuses the cached token.
    pub(super) fn is_invalidated(&mut self) -> bool {
        self.is_refused(self.serial())
    }

    /// An API refuses a token: whether it was the cached one.
    pub(super) fn is_refused(&mut self, serial: u64) -> bool {
        let entry = self.on;
        self.step(Input::Invalidate { entry, serial });
        self.says(|output| matches!(output, Output::Clear { .. }))
    }

    pub(super) fn serial(&self) -> u64 {
        self.entries[self.on].serial
    }

    pub(super) fn wakes(&mut self) -> &mut Self {
        self.step(Input::Wake);
        self
    }

    /// The program gives other credentials.
    pub(super) fn rotates(&mut self) -> &mut Self {
        let version = self.source.version + 1;
        self.source = Source { kind: SourceKind::Given, version };
        self.step(Input::Rotated { version });
        self
    }

    pub(super) fn forks(&mut self) {
        self.around.waiting.fill(0);
        self.entries.iter_mut().for_each(|seen| seen.fetch = None);
        self.step(Input::Forked);
    }

    // --- what can be read off --------------------------------------------------------------------

    pub(super) fn state(&self) -> State {
        self.core.state(self.on, self.now)
    }

    /// Until when readers need not ask; as they were told, if that is right.
    pub(super) fn serves_until(&mut self) -> f64 {
        let until = self.core.serve_until(self.on, self.now);
        let told = self.entries[self.on].serve_until;
        assert!(told <= until || told <= self.now, "they know {told:?}, and it is {until:?}");
        seconds(until)
    }

    /// How long no caller may start a fetch.
    pub(super) fn is_blocked_for(&mut self) -> f64 {
        self.core.next_request_in(self.on, self.now, None).as_secs_f64()
    }
}

pub(super) fn failure(class: Class) -> Failure<Trouble> {
    let trouble = match class {
        Class::Transient | Class::TransientOnce => Trouble::Network,
        Class::LoginRefused => Trouble::Proxy,
        Class::RateLimited => Trouble::RateLimited,
        Class::Terminal => Trouble::InvalidScope,
        Class::Refused => Trouble::InvalidClient,
    };
    Failure::new(class, trouble)
}

pub(super) fn min_ttl(seconds: u64) -> Want {
    Want { min_ttl: Duration::from_secs(seconds), ..PATIENT }
}

/// A caller whose time ends at this second.
pub(super) fn until(seconds: f64) -> Want {
    Want { until: second(seconds), ..PATIENT }
}

pub(super) fn second(seconds: f64) -> BootTime {
    START.after(Duration::from_secs_f64(seconds))
}

pub(super) fn seconds(at: BootTime) -> f64 {
    at.since(START).as_secs_f64()
}
