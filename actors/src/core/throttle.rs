//! Coalesces keyframe requests: a thousand joining viewers cost the publisher one keyframe of each encoding that they
//! watch.

use std::time::{Duration, Instant};

use onair_media::{EncodingId, EncodingSet};

/// The least time between two keyframe requests to one publisher.
///
/// Encoders answer within a frame or two, and a keyframe costs several times an ordinary frame: twice a second keeps
/// joins short without doubling the bitrate.
pub const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Decides when a keyframe request goes out.
#[derive(Debug, Default)]
pub struct KeyframeThrottle {
    encodings: [Throttled; EncodingId::COUNT],
    requests: u64,
    sent: u64,
}

#[derive(Debug, Default)]
struct Throttled {
    last_sent: Option<Instant>,
    pending: bool,
}

impl KeyframeThrottle {
    /// Notes that a reader wants a keyframe of some encodings.
    pub fn request(&mut self, encodings: EncodingSet) {
        self.requests += 1;
        for encoding in encodings.iter() {
            self.encodings[usize::from(encoding.0)].pending = true;
        }
    }

    /// Notes that a keyframe came: whoever waited is served.
    pub fn keyframe_came(&mut self, encoding: EncodingId) {
        if let Some(throttled) = self.encodings.get_mut(usize::from(encoding.0)) {
            throttled.pending = false;
        }
    }

    /// Returns of which encodings a keyframe is to be requested now; the caller does it.
    pub fn poll(&mut self, now: Instant) -> EncodingSet {
        let mut due = EncodingSet::default();
        for (number, throttled) in (0_u8..).zip(&mut self.encodings) {
            if throttled.due_at().is_some_and(|at| at.is_none_or(|at| at <= now)) {
                *throttled = Throttled { last_sent: Some(now), pending: false };
                due.insert(EncodingId(number));
            }
        }
        self.sent += due.iter().count() as u64;
        due
    }

    /// Returns how long to wait until the next [`poll`](Self::poll), when a request waits.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = self.encodings.iter().filter_map(Throttled::due_at);
        waits.map(|at| at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))).min()
    }

    /// Returns how many requests came and how many went out.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests, self.sent)
    }
}

impl Throttled {
    /// `None`: nothing waits. `Some(None)`: due at once.
    fn due_at(&self) -> Option<Option<Instant>> {
        self.pending.then(|| self.last_sent.map(|last| last + MIN_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONLY: EncodingSet = EncodingSet::first(1);

    #[test]
    fn a_crowd_costs_one_request_an_interval() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        let mut sent = 0;
        // Ten requests a millisecond for 1,200 ms: at 0, 500 and 1,000 ms one goes out.
        for ms in 0..1200 {
            (0..10).for_each(|_| throttle.request(ONLY));
            sent += throttle.poll(start + Duration::from_millis(ms)).iter().count();
        }
        assert_eq!(sent, 3);
        assert_eq!(throttle.counts(), (12_000, 3));
    }

    #[test]
    fn a_request_within_the_interval_is_kept_for_its_end() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        throttle.request(ONLY);
        assert_eq!(throttle.poll(start), ONLY);
        throttle.request(ONLY);
        let soon = start + Duration::from_millis(100);
        assert!(throttle.poll(soon).is_empty());
        assert_eq!(throttle.wait(soon), Some(Duration::from_millis(400)));
        assert_eq!(throttle.poll(start + MIN_INTERVAL), ONLY);
        assert_eq!(throttle.wait(start + MIN_INTERVAL), None);
    }

    #[test]
    fn each_encoding_is_throttled_by_itself() {
        let (start, mut throttle) = (Instant::now(), KeyframeThrottle::default());
        throttle.request(EncodingId(0).into());
        assert_eq!(throttle.poll(start), EncodingId(0).into());
        throttle.request(EncodingSet::ALL);
        throttle.keyframe_came(EncodingId(1));
        assert_eq!(throttle.wait(start), Some(Duration::ZERO));
        assert_eq!(throttle.poll(start), EncodingId(2).into());
        assert_eq!(throttle.wait(start), Some(MIN_INTERVAL));
        assert_eq!(throttle.poll(start + MIN_INTERVAL), EncodingId(0).into());
    }
}
