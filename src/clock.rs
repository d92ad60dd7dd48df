//! Two clocks: boot time, which includes suspend, and the wall clock.
//!
//! The cache decides on boot time alone. The wall clock is for display only, because it may be set
//! at any time. `std::time::Instant` is not used for lifetimes: on Linux it stops during suspend,
//! so a token would be served after its expiry.

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    not(any(miri, all(test, feature = "__shuttle"))),
))]
mod coarse;
/// Elsewhere the boot clock decides alone.
#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    not(any(miri, all(test, feature = "__shuttle"))),
)))]
mod coarse {
    pub(super) fn prepare() {}
    pub(super) fn renew() {}
    pub(super) fn forked() {}
    #[cfg(feature = "capi")]
    pub(super) fn kernels_function() -> usize {
        0
    }
    #[inline(always)]
    pub(super) fn is_surely_before(_until: u64) -> bool {
        false
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in boot time, in nanoseconds. Differences include suspend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(u64);

impl BootTime {
    /// The earliest point.
    pub const ZERO: BootTime = BootTime(0);

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    /// This point plus `later`, saturating.
    pub const fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(later)))
    }

    /// This point minus `earlier`, at least zero.
    pub const fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(earlier)))
    }

    /// Time from `earlier` to this point; zero if this is not later.
    pub const fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time from `now` to this point; zero if it has passed.
    pub const fn until(self, now: BootTime) -> Duration {
        self.since(now)
    }
}

const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// A client's source of time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system clocks.
    #[default]
    System,
    /// A clock that only a test advances.
    Manual(Arc<ManualClock>),
}

impl Clock {
    /// The current boot time.
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

    /// Whether [`Self::now`] is before `until`, for hits: faster.
    #[inline(always)]
    pub(crate) fn is_before(&self, until: BootTime) -> bool {
        match self {
            Self::System if coarse::is_surely_before(until.0.saturating_sub(turned())) => true,
            _ => self.is_now_before(until),
        }
    }

    #[cold]
    #[inline(never)]
    fn is_now_before(&self, until: BootTime) -> bool {
        coarse::renew();
        self.now() < until
    }

    /// What [`Self::is_before`] needs to be faster.
    pub(crate) fn prepare(&self) {
        if let Self::System = self {
            coarse::prepare();
        }
    }

    /// Unix time in milliseconds by the wall clock; for display only.
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => unix_ms(),
            Self::Manual(clock) => clock.wall_ms.load(Ordering::SeqCst),
        }
    }

    /// All clocks at once, to tell a suspend or a jump from the normal passing of time.
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

/// All clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) boot: BootTime,
    /// Total time spent in suspend, since an arbitrary point in the past.
    pub(crate) slept: Duration,
    pub(crate) wall_ms: i64,
}

/// A clock for tests: it moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    nanos: AtomicU64,
    slept: AtomicU64,
    wall_ms: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        // Not zero, so that earlier points can be expressed.
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

    /// Simulates a suspend: the clock moves forward and the time counts as slept.
    pub fn suspend(&self, by: Duration) {
        self.slept.fetch_add(saturating_nanos(by), Ordering::SeqCst);
        self.advance(by);
    }

    /// Shifts the wall clock alone, by this many milliseconds.
    pub fn set_wall(&self, by_ms: i64) {
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

#[cfg(feature = "test-clock")]
static TURNED: AtomicU64 = AtomicU64::new(0);

/// Moves the system clock, as this library sees it, forward. For tests of programs only.
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

/// The address of the kernel's clock function; 0: there is none, or another one is to be used.
#[cfg(feature = "capi")]
pub(crate) fn kernels_function() -> usize {
    coarse::kernels_function()
}

/// In a child, in the handler of its fork.
pub(crate) fn forked() {
    coarse::forked();
}

/// Where a number is that is to be added to the boot clock of the system; null: none.
#[cfg(feature = "capi")]
pub(crate) fn offset_place() -> *const u64 {
    #[cfg(feature = "test-clock")]
    return TURNED.as_ptr();
    #[cfg(not(feature = "test-clock"))]
    std::ptr::null()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_nanos() -> u64 {
    clock_nanos(libc::CLOCK_BOOTTIME)
}

/// Boot time includes suspend and monotonic time does not; the difference is the time suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn slept_nanos() -> u64 {
    clock_nanos(libc::CLOCK_BOOTTIME).saturating_sub(clock_nanos(libc::CLOCK_MONOTONIC))
}

/// Not available here: suspends are not reported, which does no harm.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn slept_nanos() -> u64 {
    0
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn clock_nanos(id: libc::clockid_t) -> u64 {
    nanos_by(libc::clock_gettime, id)
}

/// The type of `clock_gettime`.
#[cfg(any(target_os = "linux", target_os = "android"))]
type ClockFunction = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(always)]
fn nanos_by(read: ClockFunction, id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock function, and a valid timespec to write to. The call cannot fail: Linux has
    // supported the boot clock since 2.6.39, and the others for longer.
    unsafe { read(id, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
fn boot_nanos() -> u64 {
    unsafe extern "C" {
        fn mach_continuous_time() -> u64;
    }
    let mut base = libc::mach_timebase_info { numer: 0, denom: 0 };
    // SAFETY: `base` is valid to write to; the call fills it in and cannot fail.
    unsafe { libc::mach_timebase_info(&mut base) };
    // SAFETY: no arguments; only reads a counter.
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
compile_error!("tu-token needs a clock that includes suspend: add one for this system in clock.rs");

/// A duration as messages show it: rounded to milliseconds, from 1 s on to tenths of a second.
pub(crate) fn rounded(time: Duration) -> Duration {
    // Up, because the remainder of a limit is always some microseconds short of it.
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
    fn durations_are_rounded_for_messages() {
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
    fn arithmetic_saturates() {
        let end = BootTime::from_nanos(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(BootTime::ZERO.before(Duration::from_secs(1)), BootTime::ZERO);
        assert_eq!(BootTime::ZERO.since(end), Duration::ZERO);
    }
}
