//! The emulator's time: the system's monotonic clock plus what it was turned forward by.
//!
//! Everything that lives or dies here is measured in this time, so a test that turns the clock sees
//! tokens expire without waiting for it.

#[cfg(test)]
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// As far as the clock can be turned: a hundred years. Sums with it stay far away from every overflow.
pub(crate) const MAX_OFFSET: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A clock that only goes forward.
pub(crate) struct Clock {
    start: Instant,
    start_wall: SystemTime,
    offset_ms: AtomicU64,
    /// Held while it is turned.
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

    /// Time since the emulator was started, as the emulator sees it.
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

    /// What the clock was turned forward by so far.
    pub(crate) fn offset(&self) -> Duration {
        Duration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Turns the clock forward (milliseconds count, less does not) and answers with the new offset,
    /// or with `None`, and changes nothing, when that would pass [`MAX_OFFSET`].
    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) -> Option<Duration> {
        let Ok(turned) = self.advance_kept(by, |_| Ok::<_, Infallible>(()));
        turned
    }

    /// The same, when the new offset could be kept before; otherwise nothing is changed.
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

/// Milliseconds since 1970; 0 for all that was before.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds, or as many as there can be.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as RFC 3339 has it.
pub(crate) fn rfc3339(unix_ms: u64) -> String {
    // What lies behind the year 9999 cannot be written so.
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(253_402_300_799_999));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Reads a duration as people write it in a request: `"250ms"`, `"20m"`, `"1h 30m"`, and for a bare
/// number, quoted or not, seconds.
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

/// A [`Duration`] in JSON, for `#[serde(with = ...)]` on an `Option`: a string or a number of seconds in,
/// a string out.
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
    fn what_is_no_duration_is_named() {
        for text in ["", "soon", "-5", "20 minuts", "1e400", "nan", "inf"] {
            let message = parse_duration(text).expect_err(text);
            assert!(message.contains("is not a duration"), "{message}");
        }
    }

    #[test]
    fn the_clock_goes_forward_and_stops_at_its_end() {
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
