//! What is simulated: how many clients, how long, and what goes wrong when.

use std::time::Duration;

use crate::clock::BootTime;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Boot time at the start of the day; not zero, so that "a while ago" can be expressed.
pub(super) const START: BootTime = BootTime::from_nanos(1_000_000_000_000);

/// A temporary problem of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every request fails: connection refused, or a timeout.
    Outage,
    /// Half of the requests get a 429.
    Throttled,
}

/// A period in which something is wrong. Times count from the start of the day.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    pub trouble: Trouble,
    pub from: Duration,
    pub to: Duration,
}

impl Spell {
    pub fn new(trouble: Trouble, from: Duration, length: Duration) -> Self {
        Self { trouble, from, to: from + length }
    }

    pub(super) fn covers(&self, time: Duration) -> bool {
        self.from <= time && time < self.to
    }
}

/// The bounds asserted for a day.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the end of an outage until every client whose callers asked has a token.
    pub recovery: Duration,
    /// The highest minute around one and two lifetimes after an outage, relative to the calm mean.
    pub echo: f64,
    /// Token requests of one client during the longest outage.
    pub requests_in_outage: u32,
}

/// A day of a fleet.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Each has one entry and its own limits.
    pub clients: u32,
    pub length: Duration,
    pub seed: u64,
    /// Lifetime of every token.
    pub lifetime: Duration,
    /// Share of requests that fail at random all day: half with a 5xx, the rest with a reset or a
    /// timeout.
    pub flaky: f64,
    /// Share of requests answered with 429 all day, half of them with `Retry-After`.
    pub limited: f64,
    /// Share of the policy's renewal jitter that is used: 1, except for comparisons.
    pub jitter: f64,
    pub spells: Vec<Spell>,
    pub bounds: Bounds,
}

impl Scenario {
    /// The fewest hours that have room for both outages and their echoes.
    ///
    /// cbindgen:ignore
    pub const LEAST_HOURS: u32 = 8;

    /// A day with an outage of 10 minutes after a sixth of it, one of 2 hours shortly before the
    /// middle, and 15 minutes of throttling in its last quarter.
    pub fn day(clients: u32, hours: u32, seed: u64) -> Self {
        let length = HOUR * hours;
        // Whole minutes, because requests are counted by the minute.
        let at = |share: f64| MINUTE * (share * f64::from(hours) * 60.0).round() as u32;
        Self {
            clients,
            length,
            seed,
            lifetime: Duration::from_secs(1200),
            flaky: 0.05,
            limited: 0.01,
            jitter: 1.0,
            spells: vec![
                Spell::new(Trouble::Outage, at(1.0 / 6.0), 10 * MINUTE),
                Spell::new(Trouble::Outage, at(5.0 / 12.0), 2 * HOUR),
                Spell::new(Trouble::Throttled, at(19.0 / 24.0), 15 * MINUTE),
            ],
            bounds: Bounds { recovery: MINUTE, echo: 3.0, requests_in_outage: 200 },
        }
    }

    /// Only the outages, in chronological order.
    pub fn outages(&self) -> impl Iterator<Item = &Spell> {
        self.spells.iter().filter(|spell| spell.trouble == Trouble::Outage)
    }

    pub(super) fn minutes(&self) -> usize {
        minute_of(self.length)
    }

    /// Whether nothing is wrong in this minute, nor was within three lifetimes before it. Later
    /// echoes average out.
    pub(super) fn is_calm(&self, minute: usize) -> bool {
        let (from, settled) = (MINUTE * minute as u32, self.lifetime * 3);
        let disturbs = |spell: &Spell| spell.from < from + MINUTE && from < spell.to + settled;
        from >= settled && !self.spells.iter().any(disturbs)
    }
}

/// The minute of the day that contains this time.
pub(super) fn minute_of(time: Duration) -> usize {
    (time.as_secs() / 60) as usize
}
