//! Tells when a picture stands still, by the arrival of frames, as WebRTC statistics do (webrtc-stats §freezeCount).

use std::time::{Duration, Instant};

/// A frame is late by this much more than usual, and three times as late as usual, when the picture has frozen.
const LATE: Duration = Duration::from_millis(150);

/// One 16th of each interval goes into the usual one.
const SMOOTHING: u32 = 16;

/// Follows the frames of one stream.
#[derive(Debug, Default)]
pub(crate) struct Freezes {
    last: Option<(u32, Instant)>,
    usual: Option<Duration>,
    count: u64,
    frozen: Duration,
}

impl Freezes {
    /// Takes note of a packet's frame, by its RTP timestamp.
    pub(crate) fn frame(&mut self, timestamp: u32, now: Instant) {
        let Some((before, at)) = self.last else {
            self.last = Some((timestamp, now));
            return;
        };
        // Packets of the same frame, or of one before.
        if timestamp.wrapping_sub(before) as i32 <= 0 {
            return;
        }
        self.last = Some((timestamp, now));
        let interval = now.saturating_duration_since(at);
        if self.is_freeze(interval) {
            self.count += 1;
            self.frozen += interval;
            return;
        }
        let usual = self.usual.unwrap_or(interval);
        self.usual = Some((usual * (SMOOTHING - 1) + interval) / SMOOTHING);
    }

    /// Begins to count anew.
    pub(crate) fn restart(&mut self) {
        (self.count, self.frozen) = (0, Duration::ZERO);
    }

    /// Returns how often and how long the picture stood still; it may stand still now.
    pub(crate) fn until(&self, now: Instant) -> (u64, Duration) {
        let since = self.last.map(|(_, at)| now.saturating_duration_since(at)).unwrap_or_default();
        let (count, frozen) = if self.is_freeze(since) { (1, since) } else { (0, Duration::ZERO) };
        (self.count + count, self.frozen + frozen)
    }

    fn is_freeze(&self, interval: Duration) -> bool {
        self.usual.is_some_and(|usual| interval > (usual * 3).max(usual + LATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_frame_is_a_freeze_and_a_slightly_late_one_is_none() {
        let start = Instant::now();
        let mut freezes = Freezes::default();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for frame in 0..30_u32 {
            freezes.frame(frame * 3000, at(u64::from(frame) * 33));
            freezes.frame(frame * 3000, at(u64::from(frame) * 33 + 5));
        }
        // The last came after 957 ms. 33 + 150 = 183 ms are borne.
        freezes.frame(30 * 3000, at(957 + 180));
        assert_eq!(freezes.until(at(957 + 180)), (0, Duration::ZERO));
        freezes.frame(31 * 3000, at(1137 + 500));
        assert_eq!(freezes.until(at(1137 + 500)), (1, Duration::from_millis(500)));
        assert_eq!(freezes.until(at(1637 + 300)), (2, Duration::from_millis(800)));
    }
}
