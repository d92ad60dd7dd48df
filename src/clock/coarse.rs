//! Whether it is still before a certain time, answered for a third of the price of the boot clock.
//!
//! Reading the boot clock takes longer than everything else that a hit does, because the kernel's
//! function reads the processor's counter behind a fence. Its coarse clocks only read the time of
//! the last tick. There is no coarse boot clock, but two clocks from which it follows:
//!
//! - The boot clock is the monotonic clock plus the time slept.
//! - The kernel keeps the wall clock as the monotonic clock plus a distance that it changes by
//!   exactly the time slept after each suspend, in one step with the boot clock
//!   (`timekeeping_resume` and `timekeeping_inject_sleeptime64` in kernel/time/timekeeping.c).
//!   Slewing, as by NTP, changes both clocks' speed and not their distance.
//!
//! So while the distance, to the nanosecond, is the one that was found together with the time
//! slept, there has been no suspend (or somebody has set the wall clock back by just that much).
//! Whatever else changes it (the wall clock is set, a leap second) costs one look at all clocks.
//!
//! Coarse clocks lag by a tick, up to 10 ms, and by more where a hypervisor withholds the processor
//! that counts ticks. So "yes" is only said while [`SLACK`] is left; after that, the boot clock
//! decides. As it does where a program has a clock function of its own (see [`is_replaced`]), such
//! as libfaketime.
//!
//! A time namespace may move the boot clock alone. A process enters one at a fork, after which all
//! clocks are looked at anew; or by `setns`, as long as it has a single thread, which goes unseen.

mod objects;
mod vdso;

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use libc::timespec;

use super::{ClockFunction, nanos_by};

/// What coarse clocks may lag behind. At least a thousand ticks, and one call in a hundred of a token
/// that is renewed after 10 to 15 minutes.
const SLACK: u64 = 10_000_000_000;

/// Longest time between ticks of a kernel. Where coarse clocks are not those of a kernel's ticks,
/// another length is reported.
const LONGEST_TICK: u64 = 10_000_000;
const SHORTEST_TICK: u64 = 900_000;

/// All clocks must be read within this time, so that what is found of them is that exact.
const MOST_APART: u64 = 1_000_000;

/// No distance between two clocks.
const UNKNOWN: u64 = u64::MAX;

static OF_PROCESS: Coarse = Coarse::new();
static HAS_LOOKED: AtomicBool = AtomicBool::new(false);

/// Makes [`is_surely_before`] work. Not in it, because a thread that only looks for its token should
/// not wait for the lock described at [`look`].
pub(super) fn prepare() {
    look();
    OF_PROCESS.renew();
}

/// When the library is loaded. (A program may be linked without its functions for that; then this
/// is the first client's work.)
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = look;

/// Looks for the clock function. Saying where a function is takes a lock of the loader, which stays
/// held in a child that was forked while another thread was inside (an exception looks for its
/// handler there): such a child could create no client.
///
/// The clocks are not read yet: only once there is a client does a child read its own.
extern "C" fn look() {
    if !HAS_LOOKED.swap(true, Ordering::Relaxed) {
        let function = suitable_function().map_or(ptr::null(), |function| function as *const ());
        OF_PROCESS.function.store(function.cast_mut(), Ordering::Relaxed);
    }
}

/// Whether the boot clock is before this time, in nanoseconds. `false` also means: read it.
#[inline(always)]
pub(super) fn is_surely_before(until: u64) -> bool {
    OF_PROCESS.is_surely_before(until)
}

/// After a `false`: makes the next answer a "yes" again if it was for a change of the clocks.
pub(super) fn renew() {
    OF_PROCESS.renew();
}

/// In a child: its clocks may be other ones. Before any other thread can be there.
pub(super) fn forked() {
    OF_PROCESS.forget();
}

/// The address of the kernel's clock function; 0: none, or clocks are not to be read by it.
#[cfg(feature = "capi")]
pub(super) fn kernels_function() -> usize {
    let function = OF_PROCESS.function.load(Ordering::Relaxed);
    if ptr::eq(function, libc::clock_gettime as *const ()) { 0 } else { function as usize }
}

/// Every word may be changed at any time by any thread, in a signal handler or after a fork.
struct Coarse {
    /// Null: not to be used.
    function: AtomicPtr<()>,
    /// From the monotonic to the wall clock.
    distance: AtomicU64,
    /// From the monotonic to the boot clock, and the slack. In a process it only grows, as the time
    /// slept does: threads that write at the same time never leave less than belongs to the distance.
    ahead: AtomicU64,
}

impl Coarse {
    const fn new() -> Self {
        Self {
            function: AtomicPtr::new(ptr::null_mut()),
            distance: AtomicU64::new(UNKNOWN),
            ahead: AtomicU64::new(SLACK),
        }
    }

    fn forget(&self) {
        self.distance.store(UNKNOWN, Ordering::Relaxed);
        self.ahead.store(SLACK, Ordering::Relaxed);
    }

    #[inline(always)]
    fn function(&self) -> Option<ClockFunction> {
        let function = self.function.load(Ordering::Relaxed);
        // SAFETY: null, which is `None`, or what `look` has stored.
        unsafe { mem::transmute::<*mut (), Option<ClockFunction>>(function) }
    }

    #[inline(always)]
    fn is_surely_before(&self, until: u64) -> bool {
        let Some(read) = self.function() else { return false };
        let coarse = CoarseTimes::read(read);
        // Who sees the distance of after a suspend sees the time slept, too.
        coarse.distance() == self.distance.load(Ordering::Acquire)
            && coarse.monotonic.saturating_add(self.ahead.load(Ordering::Relaxed)) < until
    }

    fn renew(&self) {
        let Some(read) = self.function() else { return };
        let distance = CoarseTimes::read(read).distance();
        if distance == self.distance.load(Ordering::Relaxed) {
            return;
        }
        let before = nanos_by(read, libc::CLOCK_MONOTONIC);
        let boot = nanos_by(read, libc::CLOCK_BOOTTIME);
        let after = nanos_by(read, libc::CLOCK_MONOTONIC);
        let is_steady = CoarseTimes::read(read).distance() == distance;
        if is_steady && after.wrapping_sub(before) <= MOST_APART {
            // From the earlier reading: at least the true distance. (Not less than none, where a
            // namespace has moved the monotonic clock further.)
            let ahead = boot.saturating_sub(before).saturating_add(SLACK);
            self.ahead.fetch_max(ahead, Ordering::Relaxed);
            self.distance.store(distance, Ordering::Release);
        }
    }
}

struct CoarseTimes {
    monotonic: u64,
    wall: u64,
}

impl CoarseTimes {
    /// If a tick is between the two, the distance is a wrong one.
    #[inline(always)]
    fn read(read: ClockFunction) -> Self {
        Self {
            monotonic: nanos_by(read, libc::CLOCK_MONOTONIC_COARSE),
            wall: nanos_by(read, libc::CLOCK_REALTIME_COARSE),
        }
    }

    #[inline(always)]
    fn distance(&self) -> u64 {
        self.wall.wrapping_sub(self.monotonic)
    }
}

/// The function for the coarse clocks; `None` where they are not as described above.
fn suitable_function() -> Option<ClockFunction> {
    let mut tick = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid timespec to write to.
    let status = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut tick) };
    let is_tick = status == 0
        && tick.tv_sec == 0
        && (SHORTEST_TICK..=LONGEST_TICK).contains(&(tick.tv_nsec as u64));
    if !is_tick || is_replaced(libc::clock_gettime as *const ()) {
        return None;
    }
    Some(vdso::clock_function().unwrap_or(libc::clock_gettime))
}

/// Whether the program's `clock_gettime` is not the C library's, but that of a preloaded library, a
/// sanitizer or the program itself. Such a function may let the boot clock alone jump, which no
/// other clock shows.
fn is_replaced(clock_gettime: *const ()) -> bool {
    // For comparison, a function that nobody replaces.
    !objects::are_in_one(clock_gettime as usize, libc::getauxval as *const () as usize)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ffi::c_int;

    use libc::clockid_t;

    use super::*;
    use crate::clock::{BootTime, Clock};

    const SECOND: u64 = 1_000_000_000;
    const TICK: u64 = 4_000_000;

    /// A kernel's clocks. They stand still, except that reading an exact clock takes `reading`.
    #[derive(Clone, Copy)]
    struct Kernel {
        monotonic: u64,
        slept: u64,
        wall_ahead: u64,
        reading: u64,
        /// What the coarse clocks do not know of yet.
        lag: u64,
        /// A tick, of this length, between the next two reads of coarse clocks.
        late_tick: u64,
    }

    thread_local! {
        static KERNEL: Cell<Kernel> = const { Cell::new(Kernel {
            monotonic: 1000 * SECOND + 1,
            slept: 70 * SECOND + 123,
            wall_ahead: 1_700_000_000 * SECOND + 456_789,
            reading: 20,
            lag: TICK - 1,
            late_tick: 0,
        }) };
    }

    fn change(change: impl FnOnce(&mut Kernel)) {
        let mut kernel = KERNEL.get();
        change(&mut kernel);
        KERNEL.set(kernel);
    }

    /// Suspends for so long, as the kernel does.
    fn suspend(nanos: u64) {
        change(|kernel| {
            kernel.slept += nanos;
            kernel.wall_ahead += nanos;
        });
    }

    fn boot() -> u64 {
        KERNEL.get().monotonic.wrapping_add(KERNEL.get().slept)
    }

    unsafe extern "C" fn read(clock: clockid_t, place: *mut timespec) -> c_int {
        let kernel = KERNEL.get();
        let last_tick = kernel.monotonic - kernel.lag;
        let nanos = match clock {
            libc::CLOCK_MONOTONIC => kernel.monotonic,
            libc::CLOCK_BOOTTIME => kernel.monotonic.wrapping_add(kernel.slept),
            libc::CLOCK_MONOTONIC_COARSE => last_tick,
            libc::CLOCK_REALTIME_COARSE => last_tick + kernel.wall_ahead,
            _ => return -1,
        };
        if matches!(clock, libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME) {
            change(|kernel| {
                kernel.monotonic += kernel.reading;
                kernel.lag = (kernel.lag + kernel.reading) % TICK;
            });
        } else {
            change(|kernel| kernel.monotonic += mem::take(&mut kernel.late_tick));
        }
        let (tv_sec, tv_nsec) = ((nanos / SECOND) as i64, (nanos % SECOND) as i64);
        // SAFETY: the caller guarantees the place.
        unsafe { place.write(timespec { tv_sec, tv_nsec }) };
        0
    }

    fn begun() -> Coarse {
        let coarse = Coarse::new();
        coarse.function.store(read as *mut (), Ordering::Relaxed);
        coarse.renew();
        coarse
    }

    #[test]
    fn it_is_surely_before_a_time_that_is_more_than_the_slack_away() {
        let coarse = begun();
        assert!(coarse.is_surely_before(boot() + SLACK + TICK));
        assert!(coarse.is_surely_before(u64::MAX));
        // However long ago the last tick was.
        for lag in [0, 1, TICK, SLACK] {
            change(|kernel| kernel.lag = lag);
            assert!(!coarse.is_surely_before(boot()));
            assert!(!coarse.is_surely_before(0));
        }
        change(|kernel| kernel.lag = 0);
        assert!(!coarse.is_surely_before(boot() + SLACK));
    }

    #[test]
    fn nothing_is_sure_without_a_clock_function() {
        let coarse = Coarse::new();
        coarse.renew();
        assert!(!coarse.is_surely_before(u64::MAX));
    }

    #[test]
    fn a_suspend_is_seen_by_the_next_question() {
        let coarse = begun();
        for slept in [1, 999, SECOND, 8 * 3600 * SECOND] {
            let until = boot() + SLACK + SECOND;
            suspend(slept);
            // As before a tick, so that only the distance tells.
            assert!(!coarse.is_surely_before(until));
            assert!(!coarse.is_surely_before(u64::MAX));
            coarse.renew();
            assert!(coarse.is_surely_before(boot() + SLACK + SECOND));
            assert!(!coarse.is_surely_before(boot()));
        }
    }

    #[test]
    fn setting_the_wall_clock_changes_no_answer() {
        let coarse = begun();
        let until = boot() + SLACK + SECOND;
        for change_by in [1, 3600 * SECOND, 0_u64.wrapping_sub(7200 * SECOND)] {
            change(|kernel| kernel.wall_ahead = kernel.wall_ahead.wrapping_add(change_by));
            assert!(!coarse.is_surely_before(until));
            coarse.renew();
            assert!(coarse.is_surely_before(until));
            assert!(!coarse.is_surely_before(boot()));
        }
    }

    #[test]
    fn a_tick_between_two_reads_only_costs_a_look() {
        let coarse = begun();
        let until = boot() + SLACK + SECOND;
        change(|kernel| kernel.late_tick = TICK);
        assert!(!coarse.is_surely_before(until));
        assert!(coarse.is_surely_before(until));
        // In the middle of a look, what has been found is not believed.
        suspend(SECOND);
        change(|kernel| kernel.late_tick = TICK);
        coarse.renew();
        assert!(!coarse.is_surely_before(until));
        coarse.renew();
        assert!(coarse.is_surely_before(until + SECOND));
    }

    #[test]
    fn a_child_looks_at_all_clocks_anew() {
        let coarse = begun();
        // In a time namespace that has moved the boot clock alone.
        change(|kernel| kernel.slept += 99 * SECOND);
        coarse.forget();
        assert!(!coarse.is_surely_before(u64::MAX));
        coarse.renew();
        assert!(coarse.is_surely_before(boot() + SLACK + SECOND));
        assert!(!coarse.is_surely_before(boot()));
        change(|kernel| kernel.slept = 0);
        coarse.forget();
        coarse.renew();
        assert!(coarse.is_surely_before(boot() + SLACK + SECOND));
    }

    #[test]
    fn a_boot_clock_behind_the_monotonic_one_is_bounded_by_that() {
        change(|kernel| {
            kernel.monotonic += 1000 * SECOND;
            kernel.slept = 0_u64.wrapping_sub(1000 * SECOND);
        });
        let coarse = begun();
        assert!(!coarse.is_surely_before(boot()));
        assert!(coarse.is_surely_before(boot() + 1000 * SECOND + SLACK + TICK));
    }

    #[test]
    fn clocks_read_too_far_apart_are_not_believed() {
        let coarse = begun();
        suspend(SECOND);
        change(|kernel| kernel.reading = MOST_APART);
        coarse.renew();
        assert!(!coarse.is_surely_before(u64::MAX));
        change(|kernel| kernel.reading = 20);
        coarse.renew();
        assert!(coarse.is_surely_before(u64::MAX));
    }

    #[test]
    fn a_thread_that_finishes_a_look_after_a_suspend_takes_nothing_back() {
        let coarse = begun();
        let (distance, ahead) =
            (coarse.distance.load(Ordering::Relaxed), coarse.ahead.load(Ordering::Relaxed));
        suspend(3600 * SECOND);
        coarse.renew();
        // It stores what it has found before, in whatever order with what the other has.
        coarse.ahead.fetch_max(ahead, Ordering::Relaxed);
        assert!(!coarse.is_surely_before(boot()));
        coarse.distance.store(distance, Ordering::Relaxed);
        assert!(!coarse.is_surely_before(u64::MAX));
        coarse.renew();
        assert!(coarse.is_surely_before(boot() + SLACK + SECOND));
        assert!(!coarse.is_surely_before(boot()));
    }

    #[test]
    fn a_clock_function_of_the_program_is_recognized() {
        assert!(!is_replaced(libc::clock_gettime as *const ()));
        assert!(is_replaced(read as *const ()));
    }

    #[test]
    fn answers_agree_with_the_boot_clock_of_this_machine() {
        let clock = Clock::System;
        clock.prepare();
        let second = std::time::Duration::from_secs(1);
        for _ in 0..100_000 {
            let now = clock.now();
            assert!(!clock.is_before(now));
            assert!(clock.is_before(now.after(60 * second)));
        }
        if suitable_function().is_some() {
            renew();
            assert!(is_surely_before(clock.now().after(60 * second).nanos()));
        }
        assert!(!is_surely_before(BootTime::ZERO.nanos()));
    }
}
