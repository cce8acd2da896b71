//! Media time of two clock rates on one grid, compared without rounding.

use std::time::Duration;

use onair_media::{Codec, MediaKind};

/// The least common multiple of 90 kHz and 48 kHz: both clocks tick on this grid.
pub(crate) const GRID_HZ: i64 = 720_000;

/// Returns the clock rate of a rendition in hertz; all codecs of a kind share it.
pub(crate) const fn clock_rate_hz(kind: MediaKind) -> u32 {
    match kind {
        MediaKind::Video => Codec::H264.clock_rate_hz(),
        MediaKind::Audio => Codec::Opus.clock_rate_hz(),
    }
}

/// Places a time on the grid; times beyond 400,000 years stay at its end.
pub(crate) fn to_grid(kind: MediaKind, ticks: i64) -> i64 {
    ticks.saturating_mul(GRID_HZ / i64::from(clock_rate_hz(kind)))
}

/// Converts a span of wall or media time to ticks, rounded down.
pub(crate) fn from_duration(kind: MediaKind, duration: Duration) -> u64 {
    let ticks = duration.as_nanos() * u128::from(clock_rate_hz(kind)) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Converts ticks to a duration, rounded down to the nanosecond.
pub(crate) fn to_duration(kind: MediaKind, ticks: u64) -> Duration {
    let rate = u64::from(clock_rate_hz(kind));
    let nanos = (ticks % rate) * 1_000_000_000 / rate;
    Duration::from_secs(ticks / rate) + Duration::from_nanos(nanos)
}

/// Converts ticks to whole milliseconds, rounded to the nearest.
pub(crate) fn to_millis(kind: MediaKind, ticks: i64) -> i64 {
    let rate = i128::from(clock_rate_hz(kind));
    let millis = (i128::from(ticks) * 1000 + rate / 2).div_euclid(rate);
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_meet_on_the_grid() {
        // Half a second is 45,000 ticks of video and 24,000 of audio.
        assert_eq!(to_grid(MediaKind::Video, 45_000), to_grid(MediaKind::Audio, 24_000));
        assert_eq!(to_grid(MediaKind::Video, i64::MAX), i64::MAX);
    }

    #[test]
    fn durations_survive_the_way_there_and_back() {
        let span = Duration::from_millis(4_500);
        assert_eq!(from_duration(MediaKind::Video, span), 405_000);
        assert_eq!(to_duration(MediaKind::Video, 405_000), span);
        assert_eq!(to_millis(MediaKind::Audio, 48_023), 1_000);
        assert_eq!(to_millis(MediaKind::Audio, 48_024), 1_001);
        assert_eq!(to_millis(MediaKind::Audio, -48_000), -1_000);
    }
}
