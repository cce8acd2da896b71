//! Coalesces keyframe requests: a thousand joining viewers cost the publisher one keyframe.

use std::time::{Duration, Instant};

/// The least time between two keyframe requests to one publisher.
///
/// Encoders answer within a frame or two, and a keyframe costs several times an ordinary frame: twice a second keeps
/// joins short without doubling the bitrate.
pub const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Decides when a keyframe request goes out.
#[derive(Debug, Default)]
pub struct KeyframeThrottle {
    last_sent: Option<Instant>,
    pending: bool,
    requests: u64,
    sent: u64,
}

impl KeyframeThrottle {
    /// Notes that a reader wants a keyframe.
    pub fn request(&mut self) {
        self.requests += 1;
        self.pending = true;
    }

    /// Notes that a keyframe came: whoever waited is served.
    pub fn keyframe_came(&mut self) {
        self.pending = false;
    }

    /// Returns true when a request is to be sent now; the caller sends it.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.due_at().is_some_and(|at| at.is_none_or(|at| at <= now));
        if due {
            self.last_sent = Some(now);
            self.pending = false;
            self.sent += 1;
        }
        due
    }

    /// Returns how long to wait until the next [`poll`](Self::poll), when a request waits.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let at = self.due_at()?;
        Some(at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)))
    }

    /// Returns how many requests came and how many went out.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests, self.sent)
    }

    /// `None`: nothing waits. `Some(None)`: due at once.
    fn due_at(&self) -> Option<Option<Instant>> {
        self.pending.then(|| self.last_sent.map(|last| last + MIN_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_costs_one_request_an_interval() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        let mut sent = 0;
        // Ten requests a millisecond for 1,200 ms: at 0, 500 and 1,000 ms one goes out.
        for ms in 0..1200 {
            (0..10).for_each(|_| throttle.request());
            sent += u32::from(throttle.poll(start + Duration::from_millis(ms)));
        }
        assert_eq!(sent, 3);
        assert_eq!(throttle.counts(), (12_000, 3));
    }

    #[test]
    fn a_request_within_the_interval_is_kept_for_its_end() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::default();
        throttle.request();
        assert!(throttle.poll(start));
        throttle.request();
        let soon = start + Duration::from_millis(100);
        assert!(!throttle.poll(soon));
        assert_eq!(throttle.wait(soon), Some(Duration::from_millis(400)));
        assert!(throttle.poll(start + MIN_INTERVAL));
        assert_eq!(throttle.wait(start + MIN_INTERVAL), None);
    }
}
