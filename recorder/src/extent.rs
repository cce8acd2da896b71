//! How long and how large a recording is, so that the next one takes over before it is more than it may be.

use std::time::Duration;

use crate::cut::Part;
use crate::store::UPLOAD_MAX_BYTES;
use crate::ticks::{GRID_HZ, to_grid};

/// What the header of an MP4 may take of [`UPLOAD_MAX_BYTES`]: four hours of pictures and sound need 9 MiB.
const MP4_HEADER_MAX_BYTES: u64 = 1 << 30;

/// How much media a recording with an MP4 may hold, in bytes.
pub const MP4_MEDIA_MAX_BYTES: u64 = UPLOAD_MAX_BYTES - MP4_HEADER_MAX_BYTES;

/// By how much a recording may be longer: the renditions of a segment end together but for a frame of sound, and an hour
/// of segments that divide it should be an hour.
const TOLERANCE: i64 = GRID_HZ / 4;

/// What a recording may be at most; it consists of whole segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtentLimits {
    /// From its start to its end, gaps included, to a quarter of a second; `None` for any length.
    pub max_duration: Option<Duration>,
    /// All its segments together; `None` for any size.
    pub max_bytes: Option<u64>,
}

/// Measures a recording while it grows.
#[derive(Debug, Default)]
pub struct Extent {
    /// Everything, the newest number included.
    whole: Option<Span>,
    /// The newest media sequence number.
    newest: Option<(u64, Span)>,
    /// The longest and the largest number before it.
    longest: i64,
    largest: u64,
}

/// From when to when, on the grid, and how many bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: i64,
    end: i64,
    bytes: u64,
}

impl Span {
    fn of(part: &Part) -> Self {
        let start = to_grid(part.kind, part.start_ticks);
        let length = to_grid(part.kind, i64::try_from(part.duration_ticks).unwrap_or(i64::MAX));
        Self { start, end: start.saturating_add(length), bytes: part.size_bytes() }
    }

    fn with(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    const fn length(self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

impl Extent {
    /// Adds a part; its number is the newest one or a later one.
    pub fn add(&mut self, part: &Part) {
        let span = Span::of(part);
        self.whole = Some(self.whole.map_or(span, |whole| whole.with(span)));
        self.newest = Some(match self.newest {
            Some((msn, newest)) if msn == part.msn => (msn, newest.with(span)),
            before => {
                (self.longest, self.largest) = self.most(before);
                (part.msn, span)
            }
        });
    }

    /// Tells whether another segment, as long or as large as any before, would be too much. Asked when the newest number
    /// is whole; false for an empty recording, so that each has a segment at least.
    pub fn is_full(&self, limits: ExtentLimits) -> bool {
        let Some(whole) = self.whole else { return false };
        let (longest, largest) = self.most(self.newest);
        let is_long = limits.max_duration.is_some_and(|max| {
            let max = i64::try_from(max.as_millis()).unwrap_or(i64::MAX).saturating_mul(GRID_HZ / 1000);
            whole.length().saturating_add(longest) > max.saturating_add(TOLERANCE)
        });
        is_long || limits.max_bytes.is_some_and(|max| whole.bytes.saturating_add(largest) > max)
    }

    fn most(&self, newest: Option<(u64, Span)>) -> (i64, u64) {
        let newest = newest.map_or((0, 0), |(_, span)| (span.length(), span.bytes));
        (self.longest.max(newest.0), self.largest.max(newest.1))
    }
}

#[cfg(test)]
mod tests {
    use onair_media::MediaKind;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::broadcast;
    use crate::{Cut, Fragmenter, FragmenterSettings};

    const SETTINGS: FragmenterSettings =
        FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

    fn seconds(max: u64) -> ExtentLimits {
        ExtentLimits { max_duration: Some(Duration::from_secs(max)), max_bytes: None }
    }

    /// The parts of a broadcast of so many seconds with sound, in the order in which they are cut.
    fn parts(seconds: i64) -> Vec<std::sync::Arc<Part>> {
        let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 10, seconds, 1);
        fragmenter.finish();
        let cuts = std::iter::from_fn(|| fragmenter.pull());
        cuts.filter_map(|cut| if let Cut::Part(part) = cut { Some(part) } else { None }).collect()
    }

    /// Splits parts as a packager does: looks before each number. Returns the lengths in seconds and the sizes.
    fn split(parts: &[std::sync::Arc<Part>], limits: ExtentLimits) -> Vec<(f64, u64)> {
        let (mut extent, mut msn, mut done) = (Extent::default(), 0, Vec::new());
        let measured =
            |extent: &Extent| extent.whole.map(|whole| (whole.length() as f64 / GRID_HZ as f64, whole.bytes));
        for part in parts {
            if part.msn > msn {
                msn = part.msn;
                if extent.is_full(limits) {
                    done.extend(measured(&extent));
                    extent = Extent::default();
                }
            }
            extent.add(part);
        }
        done.extend(measured(&extent));
        done
    }

    #[test]
    fn a_recording_is_as_long_as_it_may_be_and_no_longer() {
        let parts = parts(40);
        let lengths = |limit| -> Vec<f64> { split(&parts, seconds(limit)).iter().map(|it| it.0.round()).collect() };
        assert_eq!(lengths(12), [12.0, 12.0, 12.0, 4.0]);
        // Three segments of four seconds fit, a fourth one does not.
        assert_eq!(lengths(15), [12.0, 12.0, 12.0, 4.0]);
        // One segment it has to have.
        assert_eq!(lengths(1), [4.0; 10]);
        assert_eq!(split(&parts, ExtentLimits::default()).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_limit_exceeded(length in 8_i64..60, max_bytes in 1_u64..200_000) {
            let parts = parts(length);
            let limits = ExtentLimits { max_duration: None, max_bytes: Some(max_bytes) };
            let pieces = split(&parts, limits);
            let total: u64 = parts.iter().map(|part| part.size_bytes()).sum();
            prop_assert_eq!(pieces.iter().map(|piece| piece.1).sum::<u64>(), total);
            let mut by_number = std::collections::BTreeMap::<u64, u64>::new();
            parts.iter().for_each(|part| *by_number.entry(part.msn).or_default() += part.size_bytes());
            let last = by_number.pop_last();
            let sizes = by_number.values().chain(last.as_ref().map(|last| &last.1));
            let largest = sizes.max().copied().unwrap_or_default();
            let least = by_number.values().min().copied().unwrap_or_default();
            // A segment may be larger than those before it, and one it has to have.
            for (_, bytes) in pieces {
                prop_assert!(bytes <= max_bytes.max(largest) + (largest - least), "{bytes} > {max_bytes}");
            }
        }
    }
}
