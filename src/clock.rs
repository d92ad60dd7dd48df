//! Two clocks: one that counts while the machine sleeps, and the wall clock.
//!
//! Everything the cache decides is decided on boot time. The wall clock is only reported, because
//! anybody may set it. `std::time::Instant` is not used for lifetimes: on Linux it stops in
//! suspend, and a token would outlive itself by a night's sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in boot time, in nanoseconds. Differences count suspend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(u64);

impl BootTime {
    /// Before anything that happened on this machine.
    pub const ZERO: BootTime = BootTime(0);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// This point and `later`, at most the end of time.
    pub const fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(later)))
    }

    /// This point less `earlier`, at least zero.
    pub const fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(earlier)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long until this point, seen from `now`; zero if it has passed.
    pub const fn until(self, now: BootTime) -> Duration {
        self.since(now)
    }
}

const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// Where a client takes its time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's own clocks.
    #[default]
    System,
    /// A clock that stands still until a test turns it.
    Manual(Arc<ManualClock>),
}

impl Clock {
    /// Boot time now.
    #[inline]
    pub fn now(&self) -> BootTime {
        #[cfg(all(test, feature = "__shuttle"))]
        if let Self::System = self {
            return crate::schedules::time::now();
        }
        match self {
            Self::System => BootTime(boot_nanos().wrapping_add(turned())),
            Self::Manual(clock) => BootTime(clock.nanos.load(Ordering::SeqCst)),
        }
    }

    /// Milliseconds since 1970 by the wall clock, to report only.
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => unix_ms(),
            Self::Manual(clock) => clock.wall_ms.load(Ordering::SeqCst),
        }
    }

    /// All that the clocks say, to tell a suspend or a jump from the mere passing of time.
    pub(crate) fn reading(&self) -> Reading {
        let boot = self.now();
        match self {
            Self::System => {
                let turned_ms = i64::try_from(turned() / 1_000_000).unwrap_or(i64::MAX);
                let wall_ms = unix_ms().saturating_add(turned_ms);
                Reading { boot, slept: Duration::from_nanos(slept_nanos()), wall_ms }
            }
            Self::Manual(clock) => {
                let slept = Duration::from_nanos(clock.slept.load(Ordering::SeqCst));
                Reading { boot, slept, wall_ms: self.wall_ms() }
            }
        }
    }
}

fn unix_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// What the clocks say at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) boot: BootTime,
    /// Spent in suspend since some moment in the past.
    pub(crate) slept: Duration,
    pub(crate) wall_ms: i64,
}

/// A clock for tests: it moves only by [`ManualClock::advance`].
#[derive(Debug)]
pub struct ManualClock {
    nanos: AtomicU64,
    slept: AtomicU64,
    wall_ms: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        // Not zero, so that "a while ago" can be expressed.
        Self {
            nanos: AtomicU64::new(1_000_000_000_000),
            slept: AtomicU64::new(0),
            wall_ms: AtomicI64::new(unix_ms()),
        }
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(saturating_nanos(by), Ordering::SeqCst);
        self.set_wall(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Lets the machine sleep: the clock moves on, and it is known why.
    pub fn suspend(&self, by: Duration) {
        self.slept.fetch_add(saturating_nanos(by), Ordering::SeqCst);
        self.advance(by);
    }

    /// Sets the wall clock by so many milliseconds, and nothing else.
    pub fn set_wall(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

#[cfg(feature = "test-clock")]
static TURNED: AtomicU64 = AtomicU64::new(0);

/// Turns the system clock, as this library sees it, forward. Only for tests of programs.
#[cfg(feature = "test-clock")]
pub fn advance(by: Duration) {
    TURNED.fetch_add(saturating_nanos(by), Ordering::SeqCst);
}

#[cfg(feature = "test-clock")]
fn turned() -> u64 {
    TURNED.load(Ordering::Relaxed)
}

#[cfg(not(feature = "test-clock"))]
#[inline(always)]
fn turned() -> u64 {
    0
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn boot_nanos() -> u64 {
    clock_nanos(libc::CLOCK_BOOTTIME)
}

/// Boot time counts suspend and monotonic time does not; the difference is what was slept.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn slept_nanos() -> u64 {
    clock_nanos(libc::CLOCK_BOOTTIME).saturating_sub(clock_nanos(libc::CLOCK_MONOTONIC))
}

/// Not known here: a suspend is not told, and does no harm.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn slept_nanos() -> u64 {
    0
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn clock_nanos(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to. The call cannot fail for a clock that the
    // kernel has had since 2.6.39; if it did, the time would stay zero and tokens look fresh for
    // no longer than they live, because every time is then zero.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
fn boot_nanos() -> u64 {
    unsafe extern "C" {
        fn mach_continuous_time() -> u64;
    }
    let mut base = libc::mach_timebase_info { numer: 0, denom: 0 };
    // SAFETY: `base` is valid to write to; the call fills it in and cannot fail.
    unsafe { libc::mach_timebase_info(&mut base) };
    // SAFETY: takes nothing and only reads a counter.
    let ticks = unsafe { mach_continuous_time() };
    (u128::from(ticks) * u128::from(base.numer) / u128::from(base.denom.max(1))) as u64
}

#[cfg(windows)]
fn boot_nanos() -> u64 {
    unsafe extern "system" {
        fn QueryInterruptTime(time: *mut u64);
    }
    let mut hundred_nanos = 0;
    // SAFETY: the pointer is valid to write a u64 to.
    unsafe { QueryInterruptTime(&mut hundred_nanos) };
    hundred_nanos * 100
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    windows
)))]
compile_error!("tu-token needs a clock that counts suspend: add one for this system in clock.rs");

/// A length of time as messages tell it: in milliseconds, and from a second on in tenths of one.
pub(crate) fn rounded(time: Duration) -> Duration {
    // What is left of a limit is some microseconds less.
    let millis = u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    Duration::from_millis(match millis {
        0..1000 => millis,
        _ => millis.saturating_add(50) / 100 * 100,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_few_digits() {
        let told = |nanos| format!("{:?}", rounded(Duration::from_nanos(nanos)));
        for (nanos, expected) in [
            (0, "0ns"),
            (99_993_000, "100ms"),
            (4_206_404_338, "4.2s"),
            (14_999_988_001, "15s"),
            (15_000_012_345, "15s"),
            (999_999_999, "1s"),
        ] {
            assert_eq!(told(nanos), expected);
        }
    }

    #[test]
    fn the_boot_clock_runs_forward() {
        let clock = Clock::System;
        let earlier = clock.now();
        assert!(earlier > BootTime::ZERO);
        assert!(clock.now() >= earlier);
    }

    #[test]
    fn arithmetic_stays_inside_its_ends() {
        let end = BootTime::from_nanos(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(BootTime::ZERO.before(Duration::from_secs(1)), BootTime::ZERO);
        assert_eq!(BootTime::ZERO.since(end), Duration::ZERO);
    }
}
