//! Detects that the machine was suspended or that the wall clock was changed.
//!
//! Neither affects cached tokens; both help a person to interpret the log.

use std::time::Duration;

use crate::clock::Reading;

/// Smaller jumps are not reported.
const MIN_REPORTED: Duration = Duration::from_secs(2);
/// A clock that is being slewed runs up to a thousandth faster or slower than another, and is
/// correct again before it is far off.
const DRIFT: u32 = 1000;
const MAX_DRIFT: Duration = Duration::from_secs(60);

/// What happened to the clocks since they were last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    /// The machine was suspended for this long.
    Slept(Duration),
    /// The wall clock was set forward or back.
    Forward(Duration),
    Back(Duration),
}

/// The previous reading of the clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jumps {
    last: Reading,
}

impl Jumps {
    pub(crate) fn new(now: Reading) -> Self {
        Self { last: now }
    }

    /// Compares the clocks with the previous reading. Jumps are returned with the cause first.
    pub(crate) fn look(&mut self, now: Reading) -> impl Iterator<Item = Jump> + use<> {
        let last = self.last;
        // `slept` is the difference of two clocks read one after the other, so it may go back a
        // little: never report the same sleep twice.
        self.last = Reading { slept: now.slept.max(last.slept), ..now };
        let slept = now.slept.saturating_sub(last.slept);
        let passed = now.boot.since(last.boot);
        let moved_ms = now.wall_ms.saturating_sub(last.wall_ms);
        let off_ms = moved_ms.saturating_sub(as_ms(passed));
        let off = Duration::from_millis(off_ms.unsigned_abs());
        let set = if off_ms > 0 { Jump::Forward(off) } else { Jump::Back(off) };
        let slept = (slept >= MIN_REPORTED).then_some(Jump::Slept(slept));
        // The clocks are read one after the other: a suspend in between looks like a small jump.
        let set = (off >= MIN_REPORTED.max((passed / DRIFT).min(MAX_DRIFT))).then_some(set);
        slept.into_iter().chain(set)
    }
}

fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(boot: u64, slept: u64, wall_ms: i64) -> Reading {
        let boot = BootTime::ZERO.after(SECOND * boot as u32);
        Reading { boot, slept: SECOND * slept as u32, wall_ms }
    }

    fn seen(now: Reading) -> Vec<Jump> {
        Jumps::new(reading(1000, 50, 1_000_000)).look(now).collect()
    }

    #[test]
    fn jumps_are_distinguished_from_passing_time() {
        let cases = [
            ("an hour passes", reading(4600, 50, 4_600_000), vec![]),
            ("and the clock is corrected", reading(4600, 50, 4_603_000), vec![]),
            (
                "set by more than the drift of an hour",
                reading(4600, 50, 4_605_000),
                vec![Jump::Forward(SECOND * 5)],
            ),
            ("a nap", reading(1001, 51, 1_001_000), vec![]),
            (
                "an hour in suspend",
                reading(4600, 3650, 4_600_000),
                vec![Jump::Slept(SECOND * 3600)],
            ),
            ("set forward", reading(1001, 50, 1_061_000), vec![Jump::Forward(SECOND * 60)]),
            ("set back", reading(1001, 50, 941_000), vec![Jump::Back(SECOND * 60)]),
            (
                "set after a suspend",
                reading(1101, 150, 1_041_000),
                vec![Jump::Slept(SECOND * 100), Jump::Back(SECOND * 60)],
            ),
        ];
        for (what, now, jumps) in cases {
            assert_eq!(seen(now), jumps, "{what}");
        }
    }

    #[test]
    fn a_jump_is_reported_once() {
        let mut jumps = Jumps::new(reading(1000, 0, 0));
        assert_eq!(jumps.look(reading(1010, 5, 10_000)).count(), 1);
        assert_eq!(jumps.look(reading(1011, 5, 11_000)).count(), 0);
    }

    #[test]
    fn extreme_readings_do_not_overflow() {
        let far = Reading {
            boot: BootTime::from_nanos(u64::MAX),
            slept: Duration::MAX,
            wall_ms: i64::MIN,
        };
        assert!(seen(far).len() == 2);
    }
}
