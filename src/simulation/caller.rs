//! Callers of a client; each is one thread of a program.

use std::time::Duration;

use super::chance::Chance;
use crate::cache::output::Wait;
use crate::clock::BootTime;

/// After a failed call, a program asks again after a time in this range.
const ASKS_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// After all events.
pub(super) const NEVER: BootTime = BootTime::from_nanos(u64::MAX);

/// What a caller does until its next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Works with the token it got; asks at its time.
    Away,
    /// Waits as the core decided; asks again at its time.
    Waiting {
        serve_at: Option<BootTime>,
    },
    /// Its wait has ended, with a token, or with an error that others would get until then.
    HasToken,
    WasFailed {
        until: BootTime,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Mean time between its calls.
    mean: Duration,
    pub(super) min_ttl: Duration,
    pub(super) doing: Doing,
    pub(super) due: BootTime,
    /// Start of its current call.
    pub(super) since: BootTime,
}

impl Caller {
    fn new(mean: Duration, min_ttl: Duration) -> Self {
        Self { mean, min_ttl, doing: Doing::Away, due: NEVER, since: BootTime::ZERO }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.doing, Doing::Waiting { .. })
    }

    pub(super) fn waits(&mut self, wait: Wait) {
        (self.doing, self.due) = (Doing::Waiting { serve_at: wait.serve_at }, wait.until);
    }

    /// Got its token and will ask again. Calls before `quiet_until` would be served at once without
    /// any effect, so they are skipped: calls are independent, and the time to the next one does
    /// not depend on earlier ones.
    pub(super) fn is_served(&mut self, quiet_until: BootTime, chance: &mut Chance) {
        self.doing = Doing::Away;
        self.due = quiet_until.after(chance.exponential(self.mean));
    }

    /// Its call failed, and so would every one before `until`. Returns how many it makes without
    /// success.
    pub(super) fn fails(&mut self, now: BootTime, until: BootTime, chance: &mut Chance) -> u64 {
        self.doing = Doing::Away;
        self.due = now;
        let mut calls = 0;
        loop {
            self.due = self.due.after(chance.between(ASKS_AGAIN.0, ASKS_AGAIN.1));
            calls += 1;
            if self.due >= until {
                return calls;
            }
        }
    }
}

/// A kind of program: how many threads ask, and how often each does on average.
struct Kind {
    share: f64,
    callers: usize,
    keep_warm: bool,
    least: Duration,
    most: Duration,
}

const fn kind(share: f64, callers: usize, keep_warm: bool, least: u64, most: u64) -> Kind {
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    Kind { share, callers, keep_warm, least, most }
}

/// Busy services, gateways that report occasionally, jobs that run occasionally, and programs that
/// keep their token warm. The shares add up to 1.
const KINDS: [Kind; 4] = [
    kind(0.30, 3, false, 1, 5),
    kind(0.40, 2, false, 10, 120),
    kind(0.20, 1, false, 600, 3600),
    kind(0.10, 1, true, 60, 1800),
];

/// The share of callers that want a token valid for another minute.
const WITH_MIN_TTL: f64 = 0.05;
const MIN_TTL: Duration = Duration::from_secs(60);

/// Draws the callers of one client, and whether it keeps its token warm.
pub(super) fn draw(chance: &mut Chance) -> (Vec<Caller>, bool) {
    let mut left = crate::cache::Random::unit(chance);
    let found = KINDS.iter().find(|kind| {
        left -= kind.share;
        left < 0.0
    });
    let kind = found.unwrap_or(&KINDS[KINDS.len() - 1]);
    let mut caller = || {
        let min_ttl = if chance.happens(WITH_MIN_TTL) { MIN_TTL } else { Duration::ZERO };
        Caller::new(chance.of_any_order(kind.least, kind.most), min_ttl)
    };
    ((0..kind.callers).map(|_| caller()).collect(), kind.keep_warm)
}
