//! Decides whether to read a file again, from what is known of it and what its metadata show.
//! Touches no file and no clock.

use std::time::{Duration, Instant};

/// Two changes of a file within this interval may leave the same times: FAT has a resolution of two
/// seconds, most file systems of milliseconds.
const COARSEST_TIMES: Duration = Duration::from_secs(2);

/// Tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(super) is_regular: bool,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    pub(super) size: u64,
    /// Nanoseconds since 1970, by the file system's clock: last change of the text (mtime), and of
    /// text or metadata (ctime). Whoever may write the file can set the former; no one can set the
    /// latter.
    pub(super) modified: i64,
    pub(super) changed: i64,
}

/// What is known about a file that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(super) stamp: Stamp,
    /// When this stamp was first seen.
    since: Instant,
    /// Any change since it was read has changed the stamp as well.
    is_settled: bool,
}

/// The clocks just before a file is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// A monotonic clock.
    pub(super) steady: Instant,
    /// Nanoseconds since 1970 by the wall clock, as far as it can be trusted.
    pub(super) wall: i64,
}

/// Why a file is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is about to be used.
    Use,
    /// Its content was refused: the stamp may not show a change.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Read,
    /// It still has the known content.
    Keep,
    /// It has been replaced by something that is read only once: a pipe would hang, or be empty.
    NotAgain,
}

/// Whether to read a file whose metadata were found to be `found`.
pub(crate) fn verdict(known: Option<&Known>, found: &Stamp, why: Why) -> Verdict {
    match known {
        Some(_) if !found.is_regular => Verdict::NotAgain,
        Some(known) if known.is_settled && known.stamp == *found && why == Why::Use => {
            Verdict::Keep
        }
        _ => Verdict::Read,
    }
}

impl Known {
    /// What is known about a file of this stamp that was read at `now` and had `length` bytes.
    ///
    /// Shortly after a change, another one may leave the same times. The age of the last change is
    /// not left to the wall clock alone: it may jump, and a file's times may be in the future.
    pub(super) fn of(former: Option<&Known>, stamp: Stamp, length: usize, now: Now) -> Self {
        let former = former.filter(|former| former.stamp == stamp);
        let since = former.map_or(now.steady, |former| former.since);
        let is_known_for_long = now.steady.saturating_duration_since(since) >= COARSEST_TIMES;
        // If the reported size is not the real one (/proc, a file being written), it shows no
        // change.
        let is_honest = stamp.size == length as u64;
        Self { stamp, since, is_settled: is_honest && (stamp.looks_old(now) || is_known_for_long) }
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
impl Known {
    /// As if it had been read long after its last change.
    pub(crate) fn settled(self) -> Self {
        Self { is_settled: true, ..self }
    }
}

impl Stamp {
    pub(crate) fn is_regular_file(&self) -> bool {
        self.is_regular
    }

    /// Whether two names lead to the same file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Whether the last change was so long ago that another one changes the stamp.
    pub(crate) fn looks_old(&self, now: Now) -> bool {
        let granule = i64::try_from(COARSEST_TIMES.as_nanos()).unwrap_or(i64::MAX);
        now.wall.saturating_sub(self.modified.max(self.changed)) >= granule
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::Verdict::{Keep, NotAgain, Read};
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// When the file was written, by the wall clock.
    const WRITTEN: i64 = 1_700_000_000 * SECOND;
    const LENGTH: usize = 20;

    const FILE: Stamp = Stamp {
        is_regular: true,
        identity: (1, 2),
        size: LENGTH as u64,
        modified: WRITTEN,
        changed: WRITTEN,
    };

    /// `seconds` after it was written, by both clocks.
    fn at(seconds: f64) -> Now {
        jumped(seconds, 0)
    }

    /// The same, after the wall clock was set by `by` seconds.
    fn jumped(seconds: f64, by: i64) -> Now {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        let steady = *BEGUN.get_or_init(Instant::now) + Duration::from_secs_f64(seconds);
        Now { steady, wall: WRITTEN + (seconds * SECOND as f64) as i64 + by * SECOND }
    }

    /// The verdict on a file with unchanged metadata, after reads at these times.
    fn after_reads(stamp: Stamp, reads: &[Now]) -> Verdict {
        let known = reads.iter().fold(None, |known: Option<Known>, now| {
            Some(Known::of(known.as_ref(), stamp, LENGTH, *now))
        });
        verdict(known.as_ref(), &stamp, Why::Use)
    }

    #[test]
    fn an_unknown_file_is_always_read() {
        for stamp in [FILE, Stamp { is_regular: false, size: 0, ..FILE }] {
            for why in [Why::Use, Why::Refused] {
                assert_eq!(verdict(None, &stamp, why), Read);
            }
        }
    }

    #[test]
    fn an_old_file_is_read_again_when_its_stamp_differs_and_after_a_refusal() {
        let known = Known::of(None, FILE, LENGTH, at(5.0));
        assert_eq!(verdict(Some(&known), &FILE, Why::Use), Keep);
        assert_eq!(verdict(Some(&known), &FILE, Why::Refused), Read);
        for other in [
            Stamp { identity: (9, 2), ..FILE },
            Stamp { identity: (1, 9), ..FILE },
            Stamp { size: 21, ..FILE },
            Stamp { modified: WRITTEN - 1, ..FILE },
            Stamp { changed: WRITTEN + 1, ..FILE },
        ] {
            assert_eq!(verdict(Some(&known), &other, Why::Use), Read, "{other:?}");
        }
    }

    #[test]
    fn a_recently_changed_file_is_read_again_until_it_is_old_enough() {
        assert_eq!(after_reads(FILE, &[at(0.0)]), Read);
        assert_eq!(after_reads(FILE, &[at(1.999)]), Read);
        assert_eq!(after_reads(FILE, &[at(2.0)]), Keep);
        assert_eq!(after_reads(FILE, &[at(0.0), at(1.0)]), Read);
        assert_eq!(after_reads(FILE, &[at(0.0), at(900.0)]), Keep);
    }

    #[test]
    fn either_time_makes_it_recent() {
        // `cp -p` sets the former; a change of the owner sets the latter.
        let copied = Stamp { modified: 0, ..FILE };
        assert_eq!(after_reads(copied, &[at(1.0)]), Read);
        assert_eq!(after_reads(copied, &[at(3.0)]), Keep);
        let stamped_ahead = Stamp { modified: WRITTEN + 3600 * SECOND, ..FILE };
        assert_eq!(after_reads(stamped_ahead, &[at(3.0)]), Read);
    }

    #[test]
    fn odd_times_do_not_cause_endless_reads() {
        for times in [i64::MIN, -SECOND, 0, WRITTEN + 3600 * SECOND, i64::MAX] {
            let odd = Stamp { modified: times, changed: times, ..FILE };
            assert_eq!(after_reads(odd, &[at(0.0), at(2.0)]), Keep, "{times}");
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_does_not_cause_endless_reads() {
        for by in [-WRITTEN / SECOND, -3600, 3600] {
            assert_eq!(after_reads(FILE, &[at(0.0), jumped(2.0, by)]), Keep, "{by}");
        }
        // Set back after a read, and again after each.
        let set_back = [jumped(0.5, -1000), jumped(1.0, -2000)];
        assert_eq!(after_reads(FILE, &set_back), Read);
        assert_eq!(after_reads(FILE, &[set_back[0], set_back[1], jumped(2.5, -3000)]), Keep);
    }

    #[test]
    fn another_file_in_between_resets_what_is_known() {
        let first = Known::of(None, FILE, LENGTH, jumped(0.0, -100));
        let other = Known::of(Some(&first), Stamp { identity: (1, 9), ..FILE }, LENGTH, at(5.0));
        let back = Known::of(Some(&other), FILE, LENGTH, jumped(6.0, -100));
        assert_eq!(verdict(Some(&back), &FILE, Why::Use), Read);
    }

    #[test]
    fn a_file_that_reports_too_small_a_size_is_always_read() {
        let of_proc = Stamp { size: 0, ..FILE };
        assert_eq!(after_reads(of_proc, &[at(100.0), at(200.0)]), Read);
    }

    #[test]
    fn a_pipe_that_replaced_the_file_is_not_read() {
        let known = Known::of(None, FILE, LENGTH, at(0.0));
        let pipe = Stamp { is_regular: false, ..FILE };
        for why in [Why::Use, Why::Refused] {
            assert_eq!(verdict(Some(&known), &pipe, why), NotAgain);
        }
    }
}
