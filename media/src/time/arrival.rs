//! How late one track comes by its own timestamps: what its clock is set by where no sender report tells.
//!
//! A network delays packets and never hurries them. So of some hundred packets the fastest tells the sender's clock to a
//! few milliseconds, whatever the jitter and the bursts, and a stall is not seen at all while the window is longer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The fastest packet is noted for each stretch of this length.
const STRETCH: Duration = Duration::from_secs(5);

/// How many stretches are looked at: 30 s. At 200 ppm the oldest of them is 6 ms off, and queues rarely last so long.
const STRETCHES: usize = 6;

/// Over a shorter time a drift is no more than the jitter of two packets.
const DRIFT_SEEN_AFTER: Duration = Duration::from_secs(60);

/// The fastest packet of a stretch.
#[derive(Debug, Clone, Copy)]
struct Fastest {
    since: Instant,
    delay: i64,
}

/// Follows the delay of the fastest packets of one run of timestamps, in ticks: arrival minus timestamp.
#[derive(Debug, Default)]
pub(super) struct Delay {
    /// The latest stretches, the present one last; at most [`STRETCHES`].
    stretches: VecDeque<Fastest>,
    /// The first stretch that was complete: a drift is measured from there.
    first: Option<Fastest>,
}

impl Delay {
    /// Notes that a packet arrived at `at`, `delay` ticks behind its timestamp.
    pub(super) fn note(&mut self, delay: i64, at: Instant) {
        match self.stretches.back_mut() {
            Some(present) if at.saturating_duration_since(present.since) < STRETCH => {
                present.delay = present.delay.min(delay);
            }
            present => {
                self.first = self.first.or_else(|| present.copied());
                self.stretches.push_back(Fastest { since: at, delay });
            }
        }
        let window = STRETCH * STRETCHES as u32;
        while let Some(oldest) = self.stretches.front()
            && at.saturating_duration_since(oldest.since) >= window
        {
            self.stretches.pop_front();
        }
    }

    /// Returns the delay of the fastest packet within the window; `None` before the first stretch is complete.
    pub(super) fn least(&self) -> Option<i64> {
        self.first?;
        self.stretches.iter().map(|stretch| stretch.delay).min()
    }

    /// Measures how fast the sender's clock runs against ours, in parts per million; `None` before that can be known.
    pub(super) fn drift_ppm(&self, rate_hz: i64) -> Option<i64> {
        let (first, last) = (self.first?, self.stretches.back()?);
        let passed = last.since.checked_duration_since(first.since).filter(|&passed| passed >= DRIFT_SEEN_AFTER)?;
        let passed_ticks = i128::try_from(passed.as_millis()).ok()? * i128::from(rate_hz) / 1000;
        i64::try_from((i128::from(first.delay) - i128::from(self.least()?)) * 1_000_000 / passed_ticks).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_of_30_s_counts_and_nothing_before_5_s() {
        let (mut delay, start) = (Delay::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        delay.note(70, at(0));
        delay.note(50, at(4));
        assert_eq!(delay.least(), None);
        for s in 5..30 {
            delay.note(90, at(s));
            assert_eq!(delay.least(), Some(50));
        }
        delay.note(80, at(30));
        assert_eq!(delay.least(), Some(80));
        assert!(delay.stretches.len() <= STRETCHES);
        // After a pause nothing old counts.
        delay.note(3000, at(1000));
        assert_eq!(delay.least(), Some(3000));
    }

    #[test]
    fn a_drift_is_measured_after_a_minute() {
        let (mut delay, start) = (Delay::default(), Instant::now());
        for s in 0..=600_u32 {
            // 200 ppm fast, so ever earlier: 9.6 ticks of 48 kHz a second.
            delay.note(-i64::from(s) * 96 / 10, start + Duration::from_secs(s.into()));
            assert_eq!(delay.drift_ppm(48_000).is_some(), s >= 60);
        }
        // The first stretch is represented by its last packet, 4 s in.
        assert!((198..=202).contains(&delay.drift_ppm(48_000).unwrap()), "{:?}", delay.drift_ppm(48_000));
    }
}
