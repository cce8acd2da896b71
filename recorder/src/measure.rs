//! What a rendition measures: bitrate and frame rate, from the segments that were cut.

use onair_media::MediaKind;

use crate::cut::Segment;
use crate::ticks::clock_rate_hz;

/// Adds up the segments of one rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    kind: MediaKind,
    bytes: u64,
    duration_ticks: u64,
    samples: u64,
    peak_bps: u64,
}

impl Measure {
    /// Begins at nothing.
    pub const fn new(kind: MediaKind) -> Self {
        Self { kind, bytes: 0, duration_ticks: 0, samples: 0, peak_bps: 0 }
    }

    /// Adds a segment of the same rendition.
    pub fn add(&mut self, segment: &Segment) {
        let bytes = segment.size_bytes();
        self.bytes += bytes;
        self.duration_ticks += segment.duration_ticks;
        self.samples += segment.parts.iter().map(|part| part.samples.len() as u64).sum::<u64>();
        self.peak_bps = self.peak_bps.max(self.bits_per_second(bytes, segment.duration_ticks));
    }

    /// Returns the bitrate of the largest segment, container included, in bits a second (RFC 8216 §4.3.4.2).
    pub const fn peak_bps(&self) -> u64 {
        self.peak_bps
    }

    /// Returns the bitrate of all segments together, container included, in bits a second.
    pub fn average_bps(&self) -> u64 {
        self.bits_per_second(self.bytes, self.duration_ticks)
    }

    /// Returns samples a second, or `None` before the first segment.
    pub fn frame_rate(&self) -> Option<f64> {
        let seconds = self.duration_ticks as f64 / f64::from(clock_rate_hz(self.kind));
        (seconds > 0.0).then(|| self.samples as f64 / seconds)
    }

    fn bits_per_second(&self, bytes: u64, ticks: u64) -> u64 {
        let bits = u128::from(bytes) * 8 * u128::from(clock_rate_hz(self.kind));
        bits.checked_div(ticks.into()).map_or(0, |bps| u64::try_from(bps).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{broadcast, pull};
    use crate::{Fragmenter, FragmenterSettings};

    #[test]
    fn rates_come_from_what_was_cut() {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 0, 8, 2);
        fragmenter.finish();
        let mut measure = Measure::new(MediaKind::Video);
        assert_eq!((measure.peak_bps(), measure.average_bps(), measure.frame_rate()), (0, 0, None));
        let pulled = pull(&mut fragmenter);
        pulled.of(MediaKind::Video).into_iter().for_each(|segment| measure.add(segment));
        assert_eq!(measure.frame_rate(), Some(30.0));
        // Two segments of the same size: the peak is the average.
        let bytes = pulled.of(MediaKind::Video)[0].bytes.len() as u64;
        assert_eq!((measure.peak_bps(), measure.average_bps()), (bytes * 2, bytes * 2));
    }
}
