//! How long packets may gather before they go out: the more of them share a send call, the less each costs.

use std::time::{Duration, Instant};

/// Waits no longer than the last round over all viewers took: an idle worker has nothing to save and does not wait, and a
/// busy one adds no more delay than it causes anyway.
#[derive(Debug)]
pub struct Gather {
    at_most: Duration,
    began: Option<Instant>,
    last_round: Duration,
}

impl Gather {
    /// Creates one that waits `at_most` so long.
    pub const fn new(at_most: Duration) -> Self {
        Self { at_most, began: None, last_round: Duration::ZERO }
    }

    /// Notes that a round over all viewers begins.
    pub const fn begins(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Notes that everybody has been served.
    pub fn ends(&mut self, now: Instant) {
        if let Some(began) = self.began.take() {
            self.last_round = now.saturating_duration_since(began);
        }
    }

    /// Returns how long to wait before the next round begins.
    pub fn wait(&self) -> Duration {
        self.last_round.min(self.at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_work() {
        let (start, mut gather) = (Instant::now(), Gather::new(Duration::from_millis(2)));
        assert_eq!(gather.wait(), Duration::ZERO);
        for (round_us, wait_us) in [(40, 40), (1500, 1500), (9000, 2000), (40, 40)] {
            gather.begins(start);
            gather.ends(start + Duration::from_micros(round_us));
            assert_eq!(gather.wait(), Duration::from_micros(wait_us));
        }
    }
}
