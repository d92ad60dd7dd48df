//! Every number of the cache's policy, with its reason.

use std::time::Duration;

use super::Random;
use crate::clock::BootTime;
pub(crate) use crate::config::options::Policy;

/// Longer lifetimes are cut to this: no token should be trusted longer on a server's word alone.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Lifetime of a token if the answer names none. RFC 6749 section 5.1 only recommends `expires_in`;
/// servers omit it for "less than a second" as well as for "never".
pub(crate) const LIFETIME_WHEN_MISSING: Duration = Duration::from_secs(60);

/// Widest jitter of the renewal point, and its share of the lifetime. Wide on purpose: in
/// simulation it costs 17 % more requests and keeps the echo of an outage in a fleet below three
/// times the mean minute, where a narrow jitter reaches ten times.
const MAX_JITTER: Duration = Duration::from_secs(300);
const JITTER_SHARE: u32 = 4;

/// The soft and the hard window are at most this share of the lifetime.
const SOFT_SHARE: u32 = 4;
const HARD_SHARE: u32 = 10;

/// Minimum time between the starts of two fetches of one entry. It prevents a busy loop with tokens
/// that live for a second.
pub(crate) const MIN_SPACING: Duration = Duration::from_secs(1);

/// A caller's `min_ttl` renews a token only after this share of its lifetime, so at most four times
/// per lifetime whatever callers ask for.
pub(crate) const MIN_TTL_SHARE: u32 = 4;

/// Attempts of a fetch without a valid token, if the previous fetch did not fail.
pub(crate) const ATTEMPTS: u32 = 3;
/// First pause between attempts; it doubles, with full jitter.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);
const MAX_ATTEMPT_PAUSE: Duration = Duration::from_secs(15);

/// Pause after a failed fetch while there is a valid token, and the limit to which it doubles.
const PAUSE_WITH_TOKEN: Duration = Duration::from_secs(5);
const MAX_PAUSE_WITH_TOKEN: Duration = Duration::from_secs(60);

/// The same without a token. The limit comes from simulation. It is short enough that every client
/// of a fleet has a token within a minute of an outage's end, even after one more timeout and with
/// a program that asks only every few seconds; it is long enough that an outage of two hours costs
/// a client fewer than 200 requests.
const PAUSE_WITHOUT: Duration = Duration::from_secs(1);
const MAX_PAUSE_WITHOUT: Duration = Duration::from_secs(44);

/// How long a refusal is remembered, and the limit to which that doubles.
const REFUSAL_PAUSE: Duration = Duration::from_secs(60);
const MAX_REFUSAL_PAUSE: Duration = Duration::from_secs(600);

/// How long the whole process remembers a login that a proxy refused. Directories lock an account
/// after three to five failed logins, often counted within half an hour.
pub(crate) const REFUSED_LOGIN_PAUSE: Duration = Duration::from_secs(30 * 60);

/// After `wake`, a refused login is retried at most this often.
pub(crate) const LOGIN_PROBE_SPACING: Duration = Duration::from_secs(10 * 60);

/// How often a client checks whether another client's login has been accepted.
pub(crate) const LOGIN_LOOK_SPACING: Duration = Duration::from_secs(60);

/// Shortest and longest `Retry-After` that is honored. It comes in seconds or as a date. Less than
/// a second can only be the rest of a date that is nearly past; it says no more than "slow down".
pub(crate) const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// After `wake`, entries without waiters start within this time.
pub(crate) const WAKE_SPREAD: Duration = Duration::from_secs(5);

/// Pause before an entry retries, without a caller, a fetch for which no thread was available; it
/// doubles. A shortage passes when the program ends some threads. The limit of a minute leaves time
/// for several tries within a soft window of five minutes.
const PAUSE_WITHOUT_THREAD: Duration = Duration::from_secs(1);
const MAX_PAUSE_WITHOUT_THREAD: Duration = Duration::from_secs(60);

/// The minute of `max_requests_per_minute`.
pub(crate) const BUDGET_WINDOW: Duration = Duration::from_secs(60);

/// An entry gives up a fetch that has not ended this long after its time limit: a resolver, a proxy
/// handshake or a file of the trust store may hang where no time limit applies.
pub(crate) const OVERRUN: Duration = Duration::from_millis(500);

/// Below this age, expiry cannot explain a 401.
pub(crate) const JUST_FETCHED: Duration = Duration::from_secs(60);

/// While callers fail, credential files are checked at most this often.
pub(crate) const FILE_LOOK_SPACING: Duration = Duration::from_secs(1);

/// How long a caller that is about to get a remembered error waits for that check: a file that does
/// not hang takes far less.
pub(crate) const FILE_LOOK_PATIENCE: Duration = Duration::from_millis(250);

/// If reading the credential files takes longer, they count as unreadable and the credentials read
/// last are used. Longer than a machine takes that is merely busy, shorter than most callers wait.
pub(crate) const FILE_PATIENCE: Duration = Duration::from_secs(2);

/// A credentials function, or a read of a file, that takes longer may hang: another try starts in
/// parallel, and this one no longer counts as running. Longer than a slow secret store takes,
/// shorter than the callers' default timeout.
pub(crate) const HUNG: Duration = Duration::from_secs(10);

/// Maximum number of unfinished tries of the same work.
pub(crate) const MAX_UNANSWERED: usize = 4;

/// How often a fetch retries at once because its credentials have been replaced: a file may change
/// each time it is read.
pub(crate) const MAX_REPLACEMENTS: u32 = 4;

/// Added to `request_timeout` when waiting for another process's fetch: that process also reads the
/// store and its credentials, and saves the token.
const LOCK_MARGIN: Duration = Duration::from_secs(2);

/// How many further processes' fetches a fetch waits for if their predecessors died: each is likely
/// to be about to get the token. More than two deaths during one fetch are no accident.
pub(crate) const MAX_SUCCESSORS: u32 = 2;

/// Pause between tries for a lock that another process holds: short at first, because its fetch may
/// be about to end, then about as long as the wait so far, so that a thousand processes waiting for
/// a slow endpoint do not busy a server. Half of it is random, so that they do not try in step.
const FIRST_LOCK_PAUSE: Duration = Duration::from_millis(2);
const MAX_LOCK_PAUSE: Duration = Duration::from_millis(200);

/// With `keep_warm`, an entry that no caller asked for in this time is no longer renewed.
pub(crate) const KEEP_WARM_IDLE: Duration = Duration::from_secs(24 * 3600);

/// The most store operations that a fetch adds to its own time and to the wait for a lock: two
/// looks, one of which may include reading the server's clock, the first and the last try for the
/// lock, the announcement of the renewal, and the save.
pub(crate) const VISIT_OPERATIONS: u32 = 7;

impl Policy {
    /// How long before its end a token turns from FRESH to SOFT, without jitter.
    pub(crate) fn soft_window(&self, lifetime: Duration) -> Duration {
        self.refresh_before.min(lifetime / SOFT_SHARE)
    }

    /// How long before its end a token turns from SOFT to HARD.
    pub(crate) fn hard_window(&self, lifetime: Duration) -> Duration {
        self.expiry_margin.min(lifetime / HARD_SHARE)
    }

    /// How long to wait for another process's fetch. If that process dies and another one takes its
    /// lock, the wait for that one's fetch is as long again, see [`MAX_SUCCESSORS`].
    pub(crate) fn longest_lock_wait(&self) -> Duration {
        self.request_timeout + LOCK_MARGIN
    }

    /// How long a lock lasts that does not end with its holder: longer than an attempt. And less
    /// than others wait for it: if the holder was killed, one of them takes it and fetches while
    /// the rest still wait.
    #[cfg(any(feature = "redis", feature = "__simulation", test))]
    pub(crate) fn lock_life(&self) -> Duration {
        self.request_timeout + LOCK_MARGIN / 4
    }

    /// The most a store adds to a fetch's own time if each operation may take `timeout`, and the
    /// process that it waits for does not die.
    pub(crate) fn longest_visit(&self, timeout: Duration) -> Duration {
        self.longest_lock_wait() + timeout * VISIT_OPERATIONS
    }

    /// A fetch that has not ended after this time is given up.
    pub(crate) fn longest_fetch(&self) -> Duration {
        self.fetch_timeout + OVERRUN
    }

    /// When the renewal of a token may begin; one time of it is drawn.
    pub(crate) fn renewal(&self, requested_at: BootTime, lifetime: Duration) -> Renewal {
        let fresh = lifetime.saturating_sub(self.soft_window(lifetime));
        let jitter = MAX_JITTER.min(lifetime / JITTER_SHARE);
        let (earliest, latest) = (fresh.saturating_sub(jitter), fresh);
        Renewal { from: requested_at.after(earliest), to: requested_at.after(latest) }
    }
}

/// The times at which the renewal of a token may begin.
///
/// Processes that share a token through a store draw one time together. If each drew its own from
/// the whole range, the earliest of forty would count, and a token would be renewed at half of its
/// life: a quarter more requests than one client makes. If all took the latest, a fleet of machines
/// with short-lived processes would lose its jitter, and an outage would echo. So the process that
/// fetches draws as a client alone does, and writes the time into the record. The others draw from
/// there to the latest time: never before that process, close behind it if it has died, and not all
/// at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Renewal {
    from: BootTime,
    to: BootTime,
}

impl Renewal {
    /// Draws a time. A draw of 0 is the latest, which means no jitter.
    pub(crate) fn draw(&self, random: &mut dyn Random) -> BootTime {
        self.to.before(self.to.since(self.from).mul_f64(random.unit()))
    }

    pub(crate) fn earliest(&self) -> BootTime {
        self.from
    }

    /// Without what comes before this time.
    pub(crate) fn not_before(self, time: BootTime) -> Self {
        Self { from: time.clamp(self.from, self.to), ..self }
    }

    /// Without what comes after this time.
    pub(crate) fn not_after(self, time: BootTime) -> Self {
        Self { from: self.from.min(time), to: self.to.min(time) }
    }
}

/// The pause after the `failed`-th consecutive failed fetch (from 1) while a valid token with
/// `remaining` life is cached, at most half of that life. Half of the pause is fixed and half
/// random, so that it is never close to zero and clients do not retry in step.
pub(crate) fn pause_with_token(
    failed: u32,
    remaining: Duration,
    random: &mut dyn Random,
) -> Duration {
    let pause = doubled(PAUSE_WITH_TOKEN, failed, MAX_PAUSE_WITH_TOKEN);
    (pause / 2 + (pause / 2).mul_f64(random.unit())).min(remaining / 2)
}

/// The pause after the `failed`-th consecutive failed fetch (from 1) without a valid token. Three
/// quarters of it are fixed, so that the longest is not much longer than the mean.
pub(crate) fn pause_without_token(failed: u32, random: &mut dyn Random) -> Duration {
    let pause = doubled(PAUSE_WITHOUT, failed, MAX_PAUSE_WITHOUT);
    pause * 3 / 4 + (pause / 4).mul_f64(random.unit())
}

/// The pause after the `times`-th consecutive fetch (from 1) for which no thread was available: at
/// most half of the token's `remaining` life, but never less than the shortest pause.
pub(crate) fn pause_without_thread(times: u32, remaining: Duration) -> Duration {
    let pause = doubled(PAUSE_WITHOUT_THREAD, times, MAX_PAUSE_WITHOUT_THREAD);
    if remaining.is_zero() { pause } else { pause.min(remaining / 2).max(PAUSE_WITHOUT_THREAD) }
}

/// How long the `times`-th consecutive refusal (from 1) is remembered.
pub(crate) fn refusal_pause(times: u32) -> Duration {
    doubled(REFUSAL_PAUSE, times, MAX_REFUSAL_PAUSE)
}

/// The pause before the next attempt of a fetch, after `made` attempts (from 1).
pub(crate) fn attempt_pause(made: u32, random: &mut dyn Random) -> Duration {
    doubled(ATTEMPT_PAUSE, made, MAX_ATTEMPT_PAUSE).mul_f64(random.unit())
}

/// The pause after the `tried`-th try (from 1) for a lock that another process holds.
pub(crate) fn lock_pause(tried: u32, random: &mut dyn Random) -> Duration {
    let pause = doubled(FIRST_LOCK_PAUSE, tried, MAX_LOCK_PAUSE);
    pause / 2 + (pause / 2).mul_f64(random.unit())
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

/// The settings of scenes and tests of the core.
#[cfg(any(test, feature = "__fuzz"))]
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
    fn a_lock_lasts_longer_than_an_attempt_and_less_than_others_wait_for_it() {
        let policy = usual();
        assert_eq!(policy.lock_life(), policy.request_timeout + Duration::from_millis(500));
        assert!(policy.lock_life() < policy.longest_lock_wait());
    }

    #[test]
    fn a_token_of_twenty_minutes_is_fresh_for_ten_to_fifteen() {
        let lifetime = Duration::from_secs(1200);
        let at = |seconds: u64| BootTime::ZERO.after(Duration::from_secs(7 + seconds));
        let renewal = usual().renewal(at(0), lifetime);
        assert_eq!(renewal.draw(&mut || 0.0), at(900));
        assert_eq!(renewal.draw(&mut || 1.0), at(600));
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
    fn those_who_share_a_token_draw_from_the_time_that_its_fetcher_drew() {
        let at = |seconds| BootTime::ZERO.after(Duration::from_secs(seconds));
        let renewal = usual().renewal(at(0), Duration::from_secs(1200));
        for (drawn, share, expected) in [
            (700, 0.0, 900),
            (700, 0.5, 800),
            (700, 1.0, 700),
            // Not known, or another client's settings.
            (0, 1.0, 600),
            (1000, 1.0, 900),
        ] {
            assert_eq!(renewal.not_before(at(drawn)).draw(&mut || share), at(expected));
        }
        assert_eq!(renewal.not_before(at(700)).not_after(at(650)).draw(&mut || 0.5), at(650));
    }

    /// Many keys, each with forty processes whose fetcher has died. A fleet's echo after an outage
    /// is as wide as these times are spread out.
    #[test]
    fn the_renewals_of_many_shared_tokens_are_as_spread_out_as_those_of_single_clients() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let renewal = usual().renewal(BootTime::ZERO, Duration::from_secs(1200));
        let mut halves = [0; 10];
        for _ in 0..10_000 {
            let others = renewal.not_before(renewal.draw(&mut random));
            let first = (0..40).map(|_| others.draw(&mut random)).min().unwrap();
            let half_minute = first.since(BootTime::ZERO).as_secs().saturating_sub(600) / 30;
            halves[half_minute.min(9) as usize] += 1;
        }
        assert!(halves.iter().all(|count| (700..1200).contains(count)), "{halves:?}");
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
