//! Every number of the cache's policy, with its reason.

use std::time::Duration;

use super::Random;
pub(crate) use crate::config::options::Policy;

/// A lifetime above this is cut: no token should be trusted longer on a server's word alone.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Lifetime of a token whose answer names none. RFC 6749 section 5.1 only recommends
/// `expires_in`; servers leave it out for "under a second" as well as for "never".
pub(crate) const LIFETIME_WHEN_MISSING: Duration = Duration::from_secs(60);

/// Widest jitter of the renewal point, and its share of the lifetime. Wide on purpose: measured by
/// simulation it costs 17 % more requests and keeps a fleet's echo after an outage below three
/// times the mean minute, where a narrow one rings at ten times.
const MAX_JITTER: Duration = Duration::from_secs(300);
const JITTER_SHARE: u32 = 4;

/// The soft window is at most this share of the lifetime, the hard one that.
const SOFT_SHARE: u32 = 4;
const HARD_SHARE: u32 = 10;

/// Between the starts of two fetches of one entry, so that a token of a second causes no busy loop.
pub(crate) const MIN_SPACING: Duration = Duration::from_secs(1);

/// A caller's `min_ttl` renews a token only past this share of its life: at most four requests a
/// lifetime, whatever the caller asks for.
pub(crate) const MIN_TTL_SHARE: u32 = 4;

/// Attempts of a fetch while there is no valid token, when the fetch before did not fail.
pub(crate) const ATTEMPTS: u32 = 3;
/// First pause between attempts; it doubles, with full jitter.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);
const MAX_ATTEMPT_PAUSE: Duration = Duration::from_secs(15);

/// Pause after a failed fetch while a valid token is held; it doubles up to the second.
const PAUSE_WITH_TOKEN: Duration = Duration::from_secs(5);
const MAX_PAUSE_WITH_TOKEN: Duration = Duration::from_secs(60);

/// The same with no token. By simulation: the most that lets every client of a fleet have a token
/// within a minute of an outage's end, a last time-out and a program that asks again after seconds
/// included, and the least that keeps an outage of two hours below 200 requests a client.
const PAUSE_WITHOUT: Duration = Duration::from_secs(1);
const MAX_PAUSE_WITHOUT: Duration = Duration::from_secs(44);

/// How long a refusal is remembered; it doubles up to the second.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);
const MAX_REFUSAL_PAUSE: Duration = Duration::from_secs(600);

/// How long a login that a proxy refused is remembered, by the whole process. Directories lock an
/// account after three to five that fail, often counted within half an hour.
pub(crate) const REFUSED_LOGIN_PAUSE: Duration = Duration::from_secs(30 * 60);

/// After "the network is back", a refused login is made again at most this often.
pub(crate) const LOGIN_PROBE_SPACING: Duration = Duration::from_secs(10 * 60);

/// So often it is looked at whether another client's login was accepted in the meantime.
pub(crate) const LOGIN_LOOK_SPACING: Duration = Duration::from_secs(60);

/// The shortest and the longest `Retry-After` that is believed. It comes in seconds, or as a date: less
/// than one of them is what is left of a date that is all but past, and says no more than "slow down".
pub(crate) const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// After "the network is back", entries nobody waits for start within this.
pub(crate) const WAKE_SPREAD: Duration = Duration::from_secs(5);

/// Pause before an entry by itself tries again to start a fetch that no thread could be had for; it
/// doubles. A shortage of threads passes when the program ends some; up to a minute, because a soft
/// window of five minutes then still has time for several tries.
const PAUSE_WITHOUT_THREAD: Duration = Duration::from_secs(1);
const MAX_PAUSE_WITHOUT_THREAD: Duration = Duration::from_secs(60);

/// The minute of "requests a minute".
pub(crate) const BUDGET_WINDOW: Duration = Duration::from_secs(60);

/// A fetch that has not ended this long after its time limit is given up by its entry: a resolver
/// or a proxy handshake may hang where no time limit reaches.
pub(crate) const OVERRUN: Duration = Duration::from_millis(500);

/// An API that refuses a token no older than this does not refuse it for its age.
pub(crate) const JUST_FETCHED: Duration = Duration::from_secs(60);

/// While callers fail, credential files are looked at most this often.
pub(crate) const FILE_LOOK_SPACING: Duration = Duration::from_secs(1);

/// How long a caller who is about to get a remembered error waits for that look: a file that does
/// not hang takes far less.
pub(crate) const FILE_LOOK_PATIENCE: Duration = Duration::from_millis(250);

/// Credential files that could not be looked at for so long cannot be read, and the pair that was read
/// last is used: more than a machine takes that is merely busy, less than most callers wait.
pub(crate) const FILE_PATIENCE: Duration = Duration::from_secs(2);

/// A credentials function, or the read of a file, that has not ended after this long may hang:
/// another try is made beside it, and it no longer counts among those that run. Longer than a secret
/// store takes that is merely slow; less than the time that callers have by default.
pub(crate) const HUNG: Duration = Duration::from_secs(10);

/// Tries of one such thing that have not ended; beyond it no further one is made.
pub(crate) const MOST_UNANSWERED: usize = 4;

/// How often a fetch asks again at once because its credentials have been replaced meanwhile: a file
/// may hold something else whenever it is read.
pub(crate) const MOST_REPLACED: u32 = 4;

/// What waiting for another process's fetch may take beyond `request_timeout`: its look-up of the
/// store, its credentials, and the way back.
const LOCK_MARGIN: Duration = Duration::from_secs(2);

/// Between two looks at a lock that another process holds: short at first, because a fetch may be
/// about to end, then longer. Half by chance, so that those who wait do not look in step.
const FIRST_LOCK_PAUSE: Duration = Duration::from_millis(2);
const MAX_LOCK_PAUSE: Duration = Duration::from_millis(50);

/// With `keep_warm`, an entry that nobody asked for in this time is let go.
pub(crate) const KEEP_WARM_IDLE: Duration = Duration::from_secs(24 * 3600);

impl Policy {
    /// How long before its end a token turns from FRESH to SOFT, jitter aside.
    pub(crate) fn soft_window(&self, lifetime: Duration) -> Duration {
        self.refresh_before.min(lifetime / SOFT_SHARE)
    }

    /// How long before its end a token turns from SOFT to HARD.
    pub(crate) fn hard_window(&self, lifetime: Duration) -> Duration {
        self.expiry_margin.min(lifetime / HARD_SHARE)
    }

    /// How long another process's fetch is waited for.
    pub(crate) fn longest_lock_wait(&self) -> Duration {
        self.request_timeout + LOCK_MARGIN
    }

    /// How long a store whose operations take `timeout` may add to a fetch's own time.
    pub(crate) fn longest_visit(&self, timeout: Duration) -> Duration {
        // One look before the lock, one after it, the last try for the lock, and the saving.
        self.longest_lock_wait() + 4 * timeout
    }

    /// After how long a fetch that has not ended is given up.
    pub(crate) fn longest_fetch(&self) -> Duration {
        self.fetch_timeout + OVERRUN
    }

    /// How long a token is FRESH, drawn once a token.
    pub(crate) fn fresh_for(&self, lifetime: Duration, random: &mut dyn Random) -> Duration {
        let jitter = MAX_JITTER.min(lifetime / JITTER_SHARE).mul_f64(random.unit());
        lifetime.saturating_sub(self.soft_window(lifetime)).saturating_sub(jitter)
    }
}

/// The pause after the `failed`-th failed fetch in a row (from 1) while a valid token with
/// `remaining` life is held: never so long that less than half of that life would be left. Half
/// is for certain, half by chance: never almost nothing, and no two clients in step.
pub(crate) fn pause_with_token(
    failed: u32,
    remaining: Duration,
    random: &mut dyn Random,
) -> Duration {
    let pause = doubled(PAUSE_WITH_TOKEN, failed, MAX_PAUSE_WITH_TOKEN);
    (pause / 2 + (pause / 2).mul_f64(random.unit())).min(remaining / 2)
}

/// The pause after the `failed`-th failed fetch in a row (from 1) with no valid token: three
/// quarters for certain, so that the longest is not much longer than the mean.
pub(crate) fn pause_without_token(failed: u32, random: &mut dyn Random) -> Duration {
    let pause = doubled(PAUSE_WITHOUT, failed, MAX_PAUSE_WITHOUT);
    pause * 3 / 4 + (pause / 4).mul_f64(random.unit())
}

/// The pause after the `times`-th start in a row (from 1) that no thread could be had for: not so long
/// that less than half of the `remaining` life of the token would be left, but never less than the
/// shortest.
pub(crate) fn pause_without_thread(times: u32, remaining: Duration) -> Duration {
    let pause = doubled(PAUSE_WITHOUT_THREAD, times, MAX_PAUSE_WITHOUT_THREAD);
    if remaining.is_zero() { pause } else { pause.min(remaining / 2).max(PAUSE_WITHOUT_THREAD) }
}

/// How long the `times`-th refusal in a row (from 1) is remembered.
pub(crate) fn refusal_pause(times: u32) -> Duration {
    doubled(REFUSAL_PAUSE, times, MAX_REFUSAL_PAUSE)
}

/// The pause before the next attempt of one fetch, after `made` attempts (from 1).
pub(crate) fn attempt_pause(made: u32, random: &mut dyn Random) -> Duration {
    doubled(ATTEMPT_PAUSE, made, MAX_ATTEMPT_PAUSE).mul_f64(random.unit())
}

/// The pause after the `tried`-th look (from 1) at a lock that another process holds.
pub(crate) fn lock_pause(tried: u32, random: &mut dyn Random) -> Duration {
    let pause = doubled(FIRST_LOCK_PAUSE, tried, MAX_LOCK_PAUSE);
    pause / 2 + (pause / 2).mul_f64(random.unit())
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

/// What scenes and tests of the core are set to.
#[cfg(test)]
pub(crate) fn usual() -> Policy {
    Policy {
        refresh_before: Duration::from_secs(300),
        expiry_margin: Duration::from_secs(30),
        fetch_timeout: Duration::from_secs(15),
        request_timeout: Duration::from_secs(10),
        max_requests_per_minute: 600,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_twenty_minutes_is_fresh_for_ten_to_fifteen() {
        let lifetime = Duration::from_secs(1200);
        assert_eq!(usual().fresh_for(lifetime, &mut || 0.0), Duration::from_secs(900));
        assert!(usual().fresh_for(lifetime, &mut || 0.999_999) >= Duration::from_secs(600));
        assert_eq!(usual().hard_window(lifetime), Duration::from_secs(30));
    }

    #[test]
    fn the_page_on_waits_has_these_numbers() {
        let page = include_str!("../../docs/waits.md").replace('\n', " ");
        let seconds = |time: Duration| time.as_secs().to_string();
        for sentence in [
            format!("by chance it is up to another {} s earlier", seconds(MAX_JITTER)),
            format!("by the next call after {} s, then", seconds(PAUSE_WITH_TOKEN)),
            format!("makes up to {} attempts", ["no", "one", "two", "three"][ATTEMPTS as usize]),
            format!(
                "at most {} and {} ms between them",
                ATTEMPT_PAUSE.as_millis(),
                2 * ATTEMPT_PAUSE.as_millis()
            ),
            format!("pauses that double to {} s", seconds(MAX_PAUSE_WITHOUT)),
        ] {
            assert!(page.contains(&sentence), "{sentence}");
        }
        assert_eq!(MAX_PAUSE_WITH_TOKEN.as_secs(), 60, "\"growing pauses of up to a minute\"");
        assert_eq!(PAUSE_WITHOUT.as_secs(), 1, "\"for about a second\"");
        assert_eq!((REFUSAL_PAUSE.as_secs(), MAX_REFUSAL_PAUSE.as_secs()), (60, 600));
        assert_eq!((SOFT_SHARE, JITTER_SHARE, HARD_SHARE), (4, 4, 10));
    }

    #[test]
    fn windows_shrink_with_the_lifetime() {
        let lifetime = Duration::from_secs(8);
        assert_eq!(usual().soft_window(lifetime), Duration::from_secs(2));
        assert_eq!(usual().hard_window(lifetime), Duration::from_millis(800));
    }

    #[test]
    fn pauses_double_to_their_bound() {
        let most = &mut || 0.999_999_9;
        let life = Duration::from_secs(100_000);
        let rounded = |pause: Duration| (pause.as_secs_f64()).round();
        let with: Vec<f64> = (1..7).map(|n| rounded(pause_with_token(n, life, most))).collect();
        assert_eq!(with, [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);
        let without: Vec<f64> = (1..9).map(|n| rounded(pause_without_token(n, most))).collect();
        assert_eq!(without, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 44.0, 44.0]);
        let refused: Vec<u64> = (1..7).map(|n| refusal_pause(n).as_secs()).collect();
        assert_eq!(refused, [60, 120, 240, 480, 600, 600]);
        assert_eq!(refusal_pause(u32::MAX), MAX_REFUSAL_PAUSE);
    }

    #[test]
    fn a_pause_leaves_half_of_the_remaining_life() {
        let pause = pause_with_token(9, Duration::from_secs(8), &mut || 0.9);
        assert_eq!(pause, Duration::from_secs(4));
    }
}
