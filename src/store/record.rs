//! What is stored of a token, and whether it may be used here and now.
//!
//! A record's text has the form of a response from the token endpoint (RFC 6749 section 5.1), with
//! additional members about when the token was requested. What would not be accepted from the
//! endpoint is not accepted from a store.
//!
//! If both processes share a boot clock, it determines a record's age: it cannot be set, and
//! includes suspend. After a reboot, or on another machine, only the wall clock is left, and wall
//! clocks are sometimes wrong. Such a token is used more carefully: not at all in its last two hard
//! windows, and as if it expired one hard window early.
//!
//! The first process to try a renewal records in the record when the next one may try. So the
//! pauses between attempts are shared by all processes, including those that live for a second and
//! end while the endpoint hangs. A success replaces the record.
//!
//! A server ends a record's life by its own clock. So it is known if a record was written, or is
//! read, on a machine whose clock is wrong; the server's own time says which. A machine with a
//! wrong clock replaces no record that is alive, and one whose clock agrees with the server's
//! replaces a record whose writer's did not.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cache::policy::MAX_LIFETIME;
use crate::cache::policy::Policy;
use crate::clock::BootTime;
use crate::endpoint::Granted;
use crate::scope::ScopeSet;
use crate::secret::Secret;
use crate::token::MAX_TOKEN_BYTES;

/// The text of a record, for writing.
#[derive(Serialize)]
struct RecordText<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a str,
    #[serde(flatten)]
    asked: &'a Asked,
}

/// When a record's token was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The boot session that `asked_boot_ns` refers to; empty: none that other processes share.
    pub(crate) boot: String,
    pub(crate) asked_boot_ns: u64,
    pub(crate) asked_wall_ms: i64,
    /// The renewal time that its fetcher drew, in nanoseconds after the request; 0: unknown.
    #[serde(default)]
    pub(crate) fresh_ns: u64,
    /// Number of renewals started without a success.
    #[serde(default)]
    pub(crate) tried: u64,
    /// When the next renewal may be tried, in nanoseconds after the request, and so independent of
    /// any clock.
    #[serde(default)]
    pub(crate) again_ns: u64,
}

/// The clocks of the process that reads or writes a record.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    /// `None`: the boot clock cannot be relied on.
    pub(crate) boot: Option<String>,
    pub(crate) now: BootTime,
    pub(crate) wall_ms: i64,
}

/// A token's life by this process's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalLife {
    pub(crate) requested_at: BootTime,
    pub(crate) lifetime: Duration,
}

impl LocalLife {
    pub(crate) fn expires_at(&self) -> BootTime {
        self.requested_at.after(self.lifetime)
    }
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It has expired, or may have.
    Ended,
    /// It would live longer than the token's lifetime.
    FromTheFuture,
    /// It is valid by the store's clock and not by this machine's: one of them is wrong.
    #[cfg(any(feature = "redis", feature = "__simulation", test))]
    OffClock,
}

/// The text of a record for a token requested at `requested_at`, whose renewal may begin
/// `fresh_for` after that.
pub(crate) fn write(
    granted: &Granted,
    requested_at: BootTime,
    fresh_for: Duration,
    here: &Clocks,
) -> Zeroizing<Vec<u8>> {
    rewrite(granted, &Asked::new(requested_at, fresh_for, here))
}

impl Asked {
    /// For a token requested at `requested_at`, whose renewal may begin `fresh_for` after that.
    pub(crate) fn new(requested_at: BootTime, fresh_for: Duration, here: &Clocks) -> Self {
        let ago = i64::try_from(here.now.since(requested_at).as_millis()).unwrap_or(i64::MAX);
        Self {
            boot: here.boot.clone().unwrap_or_default(),
            asked_boot_ns: requested_at.nanos(),
            asked_wall_ms: here.wall_ms.saturating_sub(ago),
            fresh_ns: u64::try_from(fresh_for.as_nanos()).unwrap_or(u64::MAX),
            tried: 0,
            again_ns: 0,
        }
    }
}

/// The same for a token that came from a record.
pub(crate) fn rewrite(granted: &Granted, asked: &Asked) -> Zeroizing<Vec<u8>> {
    let record = RecordText {
        access_token: granted.value.reveal(),
        token_type: "Bearer",
        expires_in: granted.lifetime.as_secs(),
        scope: &granted.scope,
        asked,
    };
    // Room for every character escaped: growing would leave the token in freed memory.
    let room = 2 * (granted.value.reveal().len() + granted.scope.len()) + 512;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *text, &record).expect("text and numbers are always JSON");
    text
}

/// A record's members about the token itself.
#[derive(Deserialize)]
struct TokenMembers<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow, default)]
    token_type: Option<Cow<'a, str>>,
    #[serde(default)]
    expires_in: u64,
    /// Missing: the requested scopes.
    #[serde(borrow, default)]
    scope: Option<Cow<'a, str>>,
}

/// A record that was read.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) granted: Granted,
    pub(crate) asked: Asked,
}

impl Record {
    /// Parses a record's text. Its writer had the secret, but may have been another version of this
    /// library: what would not be accepted from the endpoint is not accepted from here. `narrowed`:
    /// a token may have fewer scopes than requested.
    pub(crate) fn read(
        text: &[u8],
        scope: &ScopeSet,
        narrowed: bool,
    ) -> Result<Self, &'static str> {
        let asked = serde_json::from_slice(text).map_err(|_| "the record is of another format")?;
        let members: Option<TokenMembers<'_>> = serde_json::from_slice(text).ok();
        let granted = members.and_then(|members| members.granted(scope, narrowed));
        let granted = granted.ok_or("the record would not be accepted as an answer")?;
        Ok(Self { granted, asked })
    }
}

impl TokenMembers<'_> {
    fn granted(&self, scope: &ScopeSet, narrowed: bool) -> Option<Granted> {
        let value = &*self.access_token;
        let is_sendable = value.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=MAX_TOKEN_BYTES).contains(&value.len()) && self.expires_in > 0;
        let kind = self.token_type.as_ref();
        let is_bearer = kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        let wire = self.scope.as_deref().unwrap_or(scope.wire());
        let is_all = match ScopeSet::parse(wire) {
            Ok(granted) => scope.missing_from(&granted).is_empty(),
            Err(_) if wire.is_empty() => false,
            Err(_) => return None,
        };
        (is_sendable && fits && is_bearer && (is_all || narrowed)).then(|| Granted {
            value: Secret::new(value),
            scope: wire.to_owned(),
            lifetime: Duration::from_secs(self.expires_in).min(MAX_LIFETIME),
            warnings: Vec::new(),
        })
    }
}

/// Whether this is the record of the token `value`.
pub(crate) fn is_of(text: &[u8], value: &str) -> bool {
    serde_json::from_slice::<TokenMembers<'_>>(text)
        .is_ok_and(|members| members.access_token == value)
}

/// What remains of the life of a token requested at `asked` with this lifetime.
pub(crate) fn life(
    asked: &Asked,
    lifetime: Duration,
    here: &Clocks,
    policy: &Policy,
) -> Result<LocalLife, Unusable> {
    let same_clock = here.boot.as_ref().is_some_and(|boot| *boot == asked.boot);
    if same_clock {
        by_boot_clock(asked, lifetime, here)
    } else {
        by_wall_clock(asked, lifetime, here, policy)
    }
}

/// By how many hard windows the clocks of store and machine must differ to call one of them wrong.
/// The last two are those in which a record is not used anyway.
#[cfg(any(feature = "redis", feature = "__simulation", test))]
const CLOCK_MARGINS: u32 = 3;

/// The same if the store ends the record after `left`: the token is used no longer than that.
#[cfg(any(feature = "redis", feature = "__simulation", test))]
pub(crate) fn life_on_server(
    asked: &Asked,
    lifetime: Duration,
    left: Option<Duration>,
    here: &Clocks,
    policy: &Policy,
) -> Result<LocalLife, Unusable> {
    const ROUNDING: Duration = Duration::from_secs(1);
    let life = life(asked, lifetime, here, policy);
    let Some(left) = left else { return life };
    if left > lifetime + ROUNDING {
        return Err(Unusable::FromTheFuture);
    }
    if life.is_err() && left > CLOCK_MARGINS * policy.hard_window(lifetime) {
        return Err(Unusable::OffClock);
    }
    let mut life = life?;
    life.lifetime = life.lifetime.min(here.now.since(life.requested_at) + left);
    if life.expires_at() > here.now { Ok(life) } else { Err(Unusable::Ended) }
}

/// Whose clock is wrong if a record is [`Unusable::OffClock`]: whether the writer's differs from
/// the server's, and this machine's does not. `left`: of the record's life on the server now.
/// `slack`: what reading a clock may take.
#[cfg(any(feature = "redis", test))]
pub(crate) fn is_writers_fault(
    asked: &Asked,
    lifetime: Duration,
    left: Duration,
    here_ms: i64,
    server_ms: i64,
    slack: Duration,
) -> bool {
    const AGREEMENT: Duration = Duration::from_secs(1);
    let after = |ms: i64, time: Duration| {
        ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    };
    let differ =
        |one: i64, other: i64| u128::from(one.abs_diff(other)) > (AGREEMENT + slack).as_millis();
    let (for_writer, for_server) = (after(asked.asked_wall_ms, lifetime), after(server_ms, left));
    differ(for_writer, for_server) && !differ(here_ms, server_ms)
}

fn by_boot_clock(asked: &Asked, lifetime: Duration, here: &Clocks) -> Result<LocalLife, Unusable> {
    let life = LocalLife { requested_at: BootTime::from_nanos(asked.asked_boot_ns), lifetime };
    if life.requested_at > here.now {
        return Err(Unusable::FromTheFuture);
    }
    if life.expires_at() > here.now { Ok(life) } else { Err(Unusable::Ended) }
}

fn by_wall_clock(
    asked: &Asked,
    lifetime: Duration,
    here: &Clocks,
    policy: &Policy,
) -> Result<LocalLife, Unusable> {
    let age = here.wall_ms.checked_sub(asked.asked_wall_ms).and_then(|ms| u64::try_from(ms).ok());
    let age = Duration::from_millis(age.ok_or(Unusable::FromTheFuture)?);
    let margin = policy.hard_window(lifetime);
    let left = lifetime.saturating_sub(age);
    if left <= 2 * margin {
        return Err(Unusable::Ended);
    }
    // On a machine that has just booted there may be no boot time that long ago; then the remaining
    // life counts from boot time zero.
    let requested_at = here.now.before(age);
    let lifetime = here.now.since(requested_at) + left - margin;
    Ok(LocalLife { requested_at, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::Options;
    use crate::secret::Secret;

    const LIFETIME: Duration = Duration::from_secs(1200);
    const NOW: BootTime = BootTime::from_nanos(5_000_000_000_000);
    const WALL: i64 = 1_700_000_000_000;
    const SLACK: Duration = Duration::from_millis(500);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn here(boot: Option<&str>) -> Clocks {
        Clocks { boot: boot.map(str::to_owned), now: NOW, wall_ms: WALL }
    }

    /// Requested so many seconds ago, by each clock.
    fn asked(boot: &str, boot_age: i64, wall_age: i64) -> Asked {
        let asked_boot_ns = NOW.nanos().wrapping_add_signed(-boot_age * 1_000_000_000);
        let asked_wall_ms = WALL - wall_age * 1000;
        Asked {
            boot: boot.to_owned(),
            asked_boot_ns,
            asked_wall_ms,
            fresh_ns: 0,
            tried: 0,
            again_ns: 0,
        }
    }

    fn judge(asked: &Asked, here: &Clocks) -> Result<Duration, Unusable> {
        let life = life(asked, LIFETIME, here, &Options::default().policy)?;
        assert!(life.lifetime <= LIFETIME);
        Ok(life.expires_at().until(here.now))
    }

    #[test]
    fn the_same_boot_clock_alone_decides() {
        use Unusable::{Ended, FromTheFuture};
        for (boot_age, expected) in [
            (0, Ok(secs(1200))),
            (1000, Ok(secs(200))),
            (1170, Ok(secs(30))),
            (1199, Ok(secs(1))),
            (1200, Err(Ended)),
            (4000, Err(Ended)),
            (-1, Err(FromTheFuture)),
            (-100_000, Err(FromTheFuture)),
        ] {
            // Whatever the wall clock says.
            for wall_age in [boot_age, -5000, 0, 1_000_000] {
                let found = judge(&asked("x", boot_age, wall_age), &here(Some("x")));
                assert_eq!(found, expected, "{boot_age} s by boot, {wall_age} s by wall");
            }
        }
    }

    #[test]
    fn without_it_the_wall_clock_decides_with_a_doubled_margin() {
        use Unusable::{Ended, FromTheFuture};
        for (wall_age, expected) in [
            (0, Ok(secs(1170))),
            (1000, Ok(secs(170))),
            (1139, Ok(secs(31))),
            (1140, Err(Ended)),
            (1200, Err(Ended)),
            (1_000_000, Err(Ended)),
            (-1, Err(FromTheFuture)),
            (-1_000_000, Err(FromTheFuture)),
        ] {
            for (theirs, ours) in [("x", Some("y")), ("x", None), ("", None), ("", Some("y"))] {
                for boot_age in [wall_age, 0, -5000, 4000] {
                    let found = judge(&asked(theirs, boot_age, wall_age), &here(ours));
                    assert_eq!(found, expected, "{wall_age} s by wall, {boot_age} s by boot");
                }
            }
        }
    }

    #[test]
    fn a_server_ends_a_life_and_shows_that_a_clock_is_wrong() {
        use Unusable::{Ended, FromTheFuture, OffClock};
        for (wall_age, left, expected) in [
            (600, None, Ok(secs(570))),
            (600, Some(600), Ok(secs(570))),
            (600, Some(100), Ok(secs(100))),
            (600, Some(0), Err(Ended)),
            (600, Some(1201), Ok(secs(570))),
            (600, Some(1202), Err(FromTheFuture)),
            (-1, Some(1200), Err(OffClock)),
            (-3600, None, Err(FromTheFuture)),
            (-3600, Some(91), Err(OffClock)),
            (-3600, Some(90), Err(FromTheFuture)),
            (3600, Some(1200), Err(OffClock)),
            (3600, Some(90), Err(Ended)),
            (3600, None, Err(Ended)),
        ] {
            let (here, asked) = (here(None), asked("", 0, wall_age));
            let (left, policy) = (left.map(secs), &Options::default().policy);
            let life = life_on_server(&asked, LIFETIME, left, &here, policy);
            let found = life.map(|life| life.expires_at().until(NOW));
            assert_eq!(found, expected, "{wall_age} s, {left:?}");
        }
    }

    #[test]
    fn the_servers_clock_says_whose_clock_is_wrong() {
        const HOUR: i64 = 3_600_000;
        // A token that was requested ten seconds ago. By how much the clocks of its writer and of
        // this machine differ from the server's, in milliseconds.
        for (writer, reader, expected) in [
            (HOUR, 0, true),
            (-HOUR, 0, true),
            (2000, 1000, true),
            (1000, 0, false),
            (0, HOUR, false),
            (0, -HOUR, false),
            (0, 0, false),
            (HOUR, HOUR, false),
            (HOUR, -HOUR, false),
        ] {
            let asked = Asked { asked_wall_ms: WALL - 10_000 + writer, ..asked("", 0, 0) };
            let is_theirs =
                is_writers_fault(&asked, LIFETIME, secs(1190), WALL + reader, WALL, SLACK);
            assert_eq!(is_theirs, expected, "{writer} ms, {reader} ms");
        }
    }

    #[test]
    fn a_recently_booted_machine_lengthens_no_life() {
        let just_booted = Clocks { now: BootTime::ZERO.after(secs(10)), ..here(Some("y")) };
        assert_eq!(judge(&asked("x", 0, 600), &just_booted), Ok(secs(1200 - 600 - 30)));
    }

    #[test]
    fn extreme_numbers_are_only_unusable() {
        for wall_ms in [i64::MIN, i64::MAX] {
            for asked_wall_ms in [i64::MIN, 0, i64::MAX] {
                for asked_boot_ns in [0, u64::MAX] {
                    for boot in ["x", "y"] {
                        let boot = boot.to_owned();
                        let (tried, again_ns) = (u64::MAX, u64::MAX);
                        let asked = Asked {
                            boot,
                            asked_boot_ns,
                            asked_wall_ms,
                            fresh_ns: tried,
                            tried,
                            again_ns,
                        };
                        let here = Clocks { wall_ms, ..here(Some("x")) };
                        let _ = judge(&asked, &here);
                        let (now, most) = (here.wall_ms, Duration::MAX);
                        for left in [Duration::ZERO, most] {
                            let policy = &Options::default().policy;
                            let _ = life_on_server(&asked, LIFETIME, Some(left), &here, policy);
                            let _ = is_writers_fault(&asked, most, left, now, asked_wall_ms, SLACK);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_record_says_when_its_token_was_requested() {
        let granted = Granted {
            value: Secret::new("tok\\en"),
            scope: "a b".to_owned(),
            lifetime: LIFETIME,
            warnings: Vec::new(),
        };
        let text = write(&granted, NOW.before(secs(3)), secs(700), &here(Some("x")));
        let read = Record::read(&text, &ScopeSet::parse("b a").unwrap(), false).unwrap();
        assert_eq!(read.asked, Asked { fresh_ns: 700_000_000_000, ..asked("x", 3, 3) });
        assert_eq!(read.granted.value.reveal(), "tok\\en");
        assert_eq!((read.granted.scope.as_str(), read.granted.lifetime), ("a b", LIFETIME));
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.starts_with(
            r#"{"access_token":"tok\\en","token_type":"Bearer","expires_in":1200,"scope":"a b","#
        ));
    }

    #[test]
    fn a_record_that_would_be_rejected_as_a_response_is_rejected() {
        let read = |members: &str, narrowed| {
            let asked = r#""boot":"x","asked_boot_ns":1,"asked_wall_ms":2"#;
            let scope = ScopeSet::parse("a b").unwrap();
            let read = Record::read(format!("{{{members},{asked}}}").as_bytes(), &scope, narrowed);
            read.map(|record| record.granted.scope).map_err(|_| ())
        };
        let good = r#""access_token":"t","expires_in":9,"scope":"a b c""#;
        assert_eq!(read(good, false), Ok("a b c".to_owned()));
        let narrow = r#""access_token":"t","expires_in":9,"scope":"a""#;
        assert_eq!((read(narrow, false), read(narrow, true)), (Err(()), Ok("a".to_owned())));
        let none = r#""access_token":"t","expires_in":9,"scope":"""#;
        assert_eq!((read(none, false), read(none, true)), (Err(()), Ok(String::new())));
        for bad in [
            r#""access_token":"","expires_in":9,"scope":"a b""#,
            r#""access_token":"t\n","expires_in":9,"scope":"a b""#,
            r#""access_token":"t t","expires_in":9,"scope":"a b""#,
            r#""access_token":"t","expires_in":0,"scope":"a b""#,
            r#""access_token":"t","scope":"a b""#,
            r#""access_token":"t","expires_in":-1,"scope":"a b""#,
            r#""access_token":"t","expires_in":9,"scope":"a\"b""#,
            r#""access_token":7,"expires_in":9,"scope":"a b""#,
            r#""access_token":"t","access_token":"u","expires_in":9,"scope":"a b""#,
            r#""expires_in":9,"scope":"a b""#,
        ] {
            assert_eq!(read(bad, true), Err(()), "{bad}");
        }
        let long =
            format!(r#""access_token":"{}","expires_in":9,"scope":"a b""#, "t".repeat(16_385));
        assert_eq!(read(&long, true), Err(()));
        assert!(Record::read(b"{}", &ScopeSet::parse("a").unwrap(), true).is_err());
    }

    #[test]
    fn a_record_belongs_to_its_token_alone() {
        let text = br#"{"access_token":"token","expires_in":1200}"#;
        assert!(is_of(text, "token"));
        for (text, value) in [(&text[..], "other"), (b"{}", "token"), (b"{", "token")] {
            assert!(!is_of(text, value));
        }
    }

    #[test]
    fn a_record_says_when_its_renewal_may_be_retried() {
        let granted = Granted {
            value: Secret::new("token"),
            scope: "a".to_owned(),
            lifetime: LIFETIME,
            warnings: Vec::new(),
        };
        let tried = Asked { tried: 3, again_ns: 1_000_000, ..asked("x", 3, 3) };
        let asked_in = |text: &[u8]| {
            let read = Record::read(text, &ScopeSet::parse("a").unwrap(), false);
            read.unwrap().asked
        };
        assert_eq!(asked_in(&rewrite(&granted, &tried)), tried);
        // A record of the format before these members existed.
        let old = br#"{"access_token":"t","expires_in":9,"scope":"a","boot":"x","asked_boot_ns":1,
            "asked_wall_ms":2}"#;
        let asked = asked_in(old);
        assert_eq!((asked.tried, asked.again_ns), (0, 0));
    }
}
