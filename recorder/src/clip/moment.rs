//! Which time is asked for.

use chrono::{DateTime, Utc};

use super::{CLIP_MAX_S, ClipRefusal};
use crate::manifest::Manifest;
use crate::ticks::GRID_HZ;

const GRID_PER_MS: i64 = GRID_HZ / 1000;

/// How far `to` may lie behind the end: players show lengths that are rounded up.
const BEHIND_MAX_MS: u64 = 1000;

/// The most digits before and behind the point.
const DIGITS_MAX: usize = 9;

/// A time within a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Milliseconds from its beginning.
    Since(i64),
    /// A time of day.
    At(DateTime<Utc>),
}

/// Says from when to when a clip is wanted; to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipRange {
    from: Moment,
    to: Option<Moment>,
}

/// Says where a recording begins, on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origins {
    /// The presentation of its first sample: where its MP4 begins, and what seconds count from.
    pub zero: i64,
    /// The start of the first segment that the manifest lists: what the manifest's times count from.
    pub listed: i64,
}

/// Holds the time that a clip shows, on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where the recording begins.
    pub zero: i64,
    /// Where the clip begins.
    pub start: i64,
    /// Where it ends at the latest.
    pub end: i64,
}

impl ClipRange {
    /// Parses both ends: seconds from the beginning of the recording with a decimal point, or RFC 3339. Without `from`
    /// a clip begins with the recording, without `to` it ends with it.
    ///
    /// # Errors
    /// [`ClipRefusal::Malformed`], and [`ClipRefusal::Order`] where that can be told already.
    pub fn parse(from: Option<&str>, to: Option<&str>) -> Result<Self, ClipRefusal> {
        let parsed = |name, text: Option<&str>| {
            text.map(|text| Moment::parse(text).ok_or(ClipRefusal::Malformed { name })).transpose()
        };
        let (from, to) = (parsed("from", from)?.unwrap_or(Moment::Since(0)), parsed("to", to)?);
        match (from, to) {
            (Moment::Since(from), Some(Moment::Since(to))) if from >= to => Err(ClipRefusal::Order),
            (Moment::At(from), Some(Moment::At(to))) if from >= to => Err(ClipRefusal::Order),
            _ => Ok(Self { from, to }),
        }
    }

    /// Finds the time within a recording.
    ///
    /// # Errors
    /// [`ClipRefusal::Order`], [`ClipRefusal::Outside`] or [`ClipRefusal::TooLong`].
    pub fn span(&self, manifest: &Manifest, origins: Origins) -> Result<Span, ClipRefusal> {
        let duration_ms = manifest.duration_ms;
        let outside = |name| ClipRefusal::Outside { name, duration_ms };
        let lasts = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(GRID_PER_MS);
        let end = origins.listed.saturating_add(lasts(duration_ms));
        let latest = end.saturating_add(lasts(BEHIND_MAX_MS));
        // Where pictures are reordered, the first one is shown a moment after the start that the manifest tells.
        let earliest = origins.zero.min(origins.listed);
        let start = self.from.on_grid(manifest, origins);
        if !(earliest..end).contains(&start) {
            return Err(outside("from"));
        }
        let start = start.max(origins.zero);
        // And the last one a moment behind the end.
        let end = self.to.map_or(latest, |to| to.on_grid(manifest, origins));
        if end <= start {
            return Err(ClipRefusal::Order);
        }
        if end > latest {
            return Err(outside("to"));
        }
        if end - start > lasts(CLIP_MAX_S * 1000) {
            return Err(ClipRefusal::TooLong);
        }
        Ok(Span { zero: origins.zero, start, end })
    }
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        if text.contains('T') || text.contains('t') {
            return DateTime::parse_from_rfc3339(text).ok().map(|time| Self::At(time.to_utc()));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            (is_number && (1..=DIGITS_MAX).contains(&part.len())).then(|| part.parse::<i64>().ok()).flatten()
        };
        let scale = 10_i64.pow(u32::try_from(fraction.len().min(DIGITS_MAX)).ok()?);
        let fraction_ms = (digits(fraction)? * 1000 + scale / 2) / scale;
        Some(Self::Since(digits(whole)? * 1000 + fraction_ms))
    }

    fn on_grid(self, manifest: &Manifest, origins: Origins) -> i64 {
        let (origin, ms) = match self {
            Self::Since(ms) => (origins.zero, ms),
            Self::At(time) => (origins.listed, time.signed_duration_since(manifest.start).num_milliseconds()),
        };
        origin.saturating_add(ms.saturating_mul(GRID_PER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_times_of_day_are_moments() {
        let ms = |text| match Moment::parse(text) {
            Some(Moment::Since(ms)) => Some(ms),
            _ => None,
        };
        assert_eq!(
            ["0", "12", "12.5", "12.0004", "12.0005", "0.999999999", "999999999"].map(ms),
            [Some(0), Some(12_000), Some(12_500), Some(12_000), Some(12_001), Some(1_000), Some(999_999_999_000)]
        );
        for nonsense in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "inf",
            " 1",
            "1 ",
            "1,5",
            "0x10",
            "1234567890",
            "1.0000000001",
            "T",
            "2026-11-22T06:30:00",
        ] {
            assert_eq!(Moment::parse(nonsense), None, "{nonsense}");
        }
        let time = DateTime::parse_from_rfc3339("2026-11-22T06:30:00.120Z").unwrap().to_utc();
        assert_eq!(Moment::parse("2026-11-22T07:30:00.120+01:00"), Some(Moment::At(time)));
    }

    #[test]
    fn an_end_before_the_beginning_is_refused() {
        let refused = |from, to| ClipRange::parse(from, to).unwrap_err();
        assert_eq!(refused(Some("2"), Some("1")), ClipRefusal::Order);
        assert_eq!(refused(Some("2"), Some("2")), ClipRefusal::Order);
        assert_eq!(refused(None, Some("0")), ClipRefusal::Order);
        assert_eq!(refused(Some("x"), None), ClipRefusal::Malformed { name: "from" });
        assert_eq!(refused(None, Some("-1")), ClipRefusal::Malformed { name: "to" });
        let refusal = ClipRefusal::Outside { name: "to", duration_ms: 12_034 };
        assert_eq!(refusal.to_string(), "to lies outside of the recording, which lasts 12.034 s");
    }
}
