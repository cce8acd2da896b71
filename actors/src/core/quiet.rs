//! Keeps the log readable: what a network can cause without end is said at most once a second.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one event a second through, for one cause.
#[derive(Debug, Default)]
pub struct OncePerSecond {
    last: Option<Instant>,
    withheld: u64,
}

impl OncePerSecond {
    /// Returns how many events were withheld since the last one that passed, when this one passes.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.withheld += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_passes_and_says_how_many_did_not() {
        let start = Instant::now();
        let mut gate = OncePerSecond::default();
        let passed: Vec<_> = (0..2500).filter_map(|ms| gate.pass(start + Duration::from_millis(ms))).collect();
        assert_eq!(passed, [0, 999, 999]);
    }
}
