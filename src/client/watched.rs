//! A published token, and two words by which a wrapper that keeps a copy of it sees without a call
//! whether the copy is still current.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::current::Current;
use crate::clock::BootTime;
use crate::token::Token;

/// A reader loads `until`, then `version`. If the version is the one of its copy and the time is
/// before `until`, the copy was current when `until` was loaded. For that, a writer, which holds
/// the client's lock, sets `until` to zero before it replaces the token, and to its new value after
/// the version: a reader that sees the new value sees the new version too.
#[derive(Default)]
pub(crate) struct Watched {
    current: Current,
    until: AtomicU64,
    version: AtomicU64,
}

/// Readers use it like any current token. The methods below hide the writers of the same names.
impl Deref for Watched {
    type Target = Current;

    #[inline(always)]
    fn deref(&self) -> &Current {
        &self.current
    }
}

impl Watched {
    /// See [`Current::publish`].
    pub(crate) fn publish(&self, token: &Token, serve_until: BootTime) {
        self.replace(serve_until, |current| current.publish(token, serve_until));
    }

    /// See [`Current::clear`].
    pub(crate) fn clear(&self) {
        self.replace(BootTime::ZERO, Current::clear);
    }

    /// See [`Current::set_serve_until`].
    pub(crate) fn set_serve_until(&self, until: BootTime) {
        self.current.set_serve_until(until);
        self.until.store(until.nanos(), Ordering::Release);
    }

    /// A thread that sees the new token, which is published with `Release`, sees the zero as well.
    fn replace(&self, until: BootTime, change: impl FnOnce(&Current)) {
        self.until.store(0, Ordering::Relaxed);
        change(&self.current);
        self.version.store(self.version.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.until.store(until.nanos(), Ordering::Release);
    }
}

/// For the C ABI.
#[cfg(feature = "capi")]
mod places {
    use std::ptr;

    use crate::client::Client;
    use crate::clock::{self, Clock};
    use crate::process;

    /// Addresses, valid as long as the client.
    pub(crate) struct Places {
        pub(crate) until: *const u64,
        pub(crate) version: *const u64,
        pub(crate) asked: *const bool,
        pub(crate) forks: *const u32,
        pub(crate) clock_offset: *const u64,
        pub(crate) clock: usize,
    }

    impl Client {
        /// `None`: no call has used the scope yet, or the clock is none that others can read.
        pub(crate) fn places(&self, scope: Option<&[u8]>) -> Option<Places> {
            let readable = cfg!(any(target_os = "linux", target_os = "android"))
                && matches!(self.shared.clock, Clock::System);
            let slot = self.shared.slot_ref(scope).filter(|_| readable)?;
            Some(Places {
                until: slot.current.until.as_ptr(),
                version: slot.current.version.as_ptr(),
                asked: ptr::from_ref(&slot.asked).cast(),
                forks: process::generation_place(),
                clock_offset: clock::offset_place(),
                clock: clock::kernels_function(),
            })
        }
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::life::Life;

    const NOW: BootTime = BootTime::from_nanos(1_000_000_000);
    const LATER: BootTime = BootTime::from_nanos(2_000_000_000);

    fn token(serial: u64) -> Token {
        let life =
            Life { requested_at: NOW, lifetime: Duration::from_secs(100), fresh_until: LATER };
        Token::new("value", "a", serial, &life, 0)
    }

    fn is_at_hand(watched: &Watched, now: BootTime) -> bool {
        watched.look_at(now, Duration::ZERO).is_some_and(|view| view.holds())
    }

    fn version(watched: &Watched) -> u64 {
        watched.version.load(Ordering::Acquire)
    }

    fn is_current(watched: &Watched, seen: u64, now: BootTime) -> bool {
        let until = watched.until.load(Ordering::Acquire);
        version(watched) == seen && now.nanos() < until
    }

    #[test]
    fn the_words_say_what_a_look_says() {
        let watched = Watched::default();
        assert!(!is_current(&watched, version(&watched), NOW) && !is_at_hand(&watched, NOW));
        watched.publish(&token(1), LATER);
        let first = version(&watched);
        assert!(is_current(&watched, first, NOW) && is_at_hand(&watched, NOW));
        assert!(!is_current(&watched, first, LATER) && !is_at_hand(&watched, LATER));
        watched.set_serve_until(LATER.after(Duration::from_secs(1)));
        assert!(is_current(&watched, first, LATER) && is_at_hand(&watched, LATER));
        watched.set_serve_until(BootTime::ZERO);
        assert!(!is_current(&watched, first, NOW) && !is_at_hand(&watched, NOW));
        watched.publish(&token(2), LATER);
        assert!(!is_current(&watched, first, NOW) && is_at_hand(&watched, NOW));
        let second = version(&watched);
        assert!(is_current(&watched, second, NOW));
        watched.clear();
        assert!(!is_current(&watched, second, NOW) && !is_at_hand(&watched, NOW));
        assert!(!is_current(&watched, version(&watched), NOW));
    }

    #[test]
    fn no_copy_is_current_once_the_next_token_is_published() {
        let watched = Watched::default();
        let (published, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        // Each token has the version of its number.
                        let seen = version(&watched);
                        let is_replaced = published.load(Ordering::Acquire) > seen;
                        assert!(!(is_replaced && is_current(&watched, seen, NOW)));
                    }
                });
            }
            for serial in 1..20_000 {
                watched.publish(&token(serial), LATER);
                published.store(serial, Ordering::Release);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
