//! The emulator's time: the system's monotonic clock plus an offset.
//!
//! All expiry is measured in this time, so a test that advances the clock sees tokens expire without waiting.

#[cfg(test)]
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The maximum offset: a hundred years. Sums with it cannot overflow.
pub(crate) const MAX_OFFSET: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A clock that only goes forward.
pub(crate) struct Clock {
    start: Instant,
    start_wall: SystemTime,
    offset_ms: AtomicU64,
    /// Held while the clock is advanced.
    turning: Mutex<()>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            start: Instant::now(),
            start_wall: SystemTime::now(),
            offset_ms: AtomicU64::new(0),
            turning: Mutex::new(()),
        }
    }

    /// The emulator's time since it was started.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed() + self.offset()
    }

    /// The same instant as a date.
    pub(crate) fn wall(&self) -> SystemTime {
        self.start_wall + self.now()
    }

    /// The same in milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> u64 {
        unix_ms(self.wall())
    }

    /// The total by which the clock has been advanced.
    pub(crate) fn offset(&self) -> Duration {
        Duration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Advances the clock, in whole milliseconds, and returns the new offset; `None`, without a change, if that would exceed
    /// [`MAX_OFFSET`].
    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) -> Option<Duration> {
        let Ok(turned) = self.advance_kept(by, |_| Ok::<_, Infallible>(()));
        turned
    }

    /// The same, but stores the new offset first with `keep`; if that fails, nothing changes.
    pub(crate) fn advance_kept<E>(
        &self,
        by: Duration,
        keep: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<Option<Duration>, E> {
        let _turning = self.turning.lock();
        let offset = u64::try_from((self.offset() + by.min(MAX_OFFSET)).as_millis());
        let in_range =
            |offset: &u64| by <= MAX_OFFSET && u128::from(*offset) <= MAX_OFFSET.as_millis();
        let Some(offset) = offset.ok().filter(in_range) else {
            return Ok(None);
        };
        keep(offset)?;
        self.offset_ms.store(offset, Ordering::SeqCst);
        Ok(Some(self.offset()))
    }
}

/// Milliseconds since 1970; 0 for earlier times.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds, at most `u64::MAX`.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 in RFC 3339 format.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    // The format ends with the year 9999.
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(253_402_300_799_999));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Parses a duration in a request: `"250ms"`, `"20m"`, `"1h 30m"`, or a number of seconds, quoted or not.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let found = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    found.ok_or_else(|| {
        format!("{text:?} is not a duration: write \"250ms\", \"90s\", \"20m\", \"1h\" or a number of seconds")
    })
}

/// A [`Duration`] in JSON, for `#[serde(with = ...)]` on an `Option`: reads a string or a number of seconds, writes a
/// string.
pub(crate) mod json {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Both spellings of a duration.
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a duration must be a string such as \"20m\", or a number of seconds"
    )]
    enum Spelling {
        Seconds(f64),
        Text(String),
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Duration>, D::Error> {
        let found = match Spelling::deserialize(input)? {
            Spelling::Seconds(seconds) => super::parse_duration(&seconds.to_string()),
            Spelling::Text(text) => super::parse_duration(&text),
        };
        found.map(Some).map_err(serde::de::Error::custom)
    }

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        output: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => output.collect_str(&humantime::format_duration(*duration)),
            None => output.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        let cases = [
            ("250ms", 250),
            ("90s", 90_000),
            ("20m", 1_200_000),
            ("2h", 7_200_000),
            ("1h 30m", 5_400_000),
            (" 90 ", 90_000),
            ("0.5", 500),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_named() {
        for text in ["", "soon", "-5", "20 minuts", "1e400", "nan", "inf"] {
            let message = parse_duration(text).expect_err(text);
            assert!(message.contains("is not a duration"), "{message}");
        }
    }

    #[test]
    fn the_clock_only_advances_up_to_its_limit() {
        let clock = Clock::new();
        assert_eq!(clock.advance(Duration::from_secs(5)), Some(Duration::from_secs(5)));
        assert!(clock.now() >= Duration::from_secs(5));
        assert_eq!(clock.advance(MAX_OFFSET), None);
        assert_eq!(clock.advance(Duration::MAX), None);
        let refused = clock.advance_kept(Duration::from_secs(1), |_| Err::<(), _>("full"));
        assert_eq!(refused, Err("full"));
        assert_eq!(clock.offset(), Duration::from_secs(5));
    }
}
