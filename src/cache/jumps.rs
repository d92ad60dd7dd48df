//! Tells a suspend of the machine, and a wall clock that was set, from the mere passing of time.
//!
//! Neither changes anything that is cached; both explain to a person what else they see.

use std::time::Duration;

use crate::clock::Reading;

/// Less is not worth telling.
const LEAST: Duration = Duration::from_secs(2);
/// A clock that is being corrected runs up to a thousandth slower or faster than another, and is
/// right again before it is off by much.
const DRIFT: u32 = 1000;
const MOST_DRIFT: Duration = Duration::from_secs(60);

/// What happened to the clocks since they were last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    /// The machine slept for so long.
    Slept(Duration),
    /// The wall clock was set, forward or back.
    Forward(Duration),
    Back(Duration),
}

/// What the clocks said last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jumps {
    last: Reading,
}

impl Jumps {
    pub(crate) fn new(now: Reading) -> Self {
        Self { last: now }
    }

    /// Looks at the clocks again: what has happened, in the order of cause.
    pub(crate) fn look(&mut self, now: Reading) -> impl Iterator<Item = Jump> + use<> {
        let last = self.last;
        // Two clocks are read one after the other for it: never take back what was told.
        self.last = Reading { slept: now.slept.max(last.slept), ..now };
        let slept = now.slept.saturating_sub(last.slept);
        let passed = now.boot.since(last.boot);
        let moved_ms = now.wall_ms.saturating_sub(last.wall_ms);
        let off_ms = moved_ms.saturating_sub(as_ms(passed));
        let off = Duration::from_millis(off_ms.unsigned_abs());
        let set = if off_ms > 0 { Jump::Forward(off) } else { Jump::Back(off) };
        let slept = (slept >= LEAST).then_some(Jump::Slept(slept));
        // Clocks are read one after the other: a suspend in between looks like a small jump.
        let set = (off >= LEAST.max((passed / DRIFT).min(MOST_DRIFT))).then_some(set);
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
    fn jumps_are_told_from_the_passing_of_time() {
        let cases = [
            ("an hour passes", reading(4600, 50, 4_600_000), vec![]),
            ("and the clock is corrected", reading(4600, 50, 4_603_000), vec![]),
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
    fn a_jump_is_told_once() {
        let mut jumps = Jumps::new(reading(1000, 0, 0));
        assert_eq!(jumps.look(reading(1010, 5, 10_000)).count(), 1);
        assert_eq!(jumps.look(reading(1011, 5, 11_000)).count(), 0);
    }

    #[test]
    fn nonsense_is_no_overflow() {
        let far = Reading {
            boot: BootTime::from_nanos(u64::MAX),
            slept: Duration::MAX,
            wall_ms: i64::MIN,
        };
        assert!(seen(far).len() == 2);
    }
}
