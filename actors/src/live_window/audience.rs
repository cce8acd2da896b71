//! Who watches over HLS: players that asked for a playlist lately.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a player counts as a viewer after it asked for a playlist.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most viewers that are told apart.
const MAX: usize = 10_000;

/// Tells the viewers of a broadcast apart.
#[derive(Debug, Default)]
pub(super) struct Audience(HashMap<u64, Instant>);

impl Audience {
    /// Notes that a player asked for a playlist.
    pub(super) fn seen(&mut self, viewer: u64, now: Instant) {
        if self.0.len() < MAX || self.0.contains_key(&viewer) {
            self.0.insert(viewer, now);
        }
    }

    /// Forgets who has left, and counts the others.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        self.0.retain(|_, seen| now.saturating_duration_since(*seen) < TIMEOUT);
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_count_for_half_a_minute() {
        let (mut audience, start) = (Audience::default(), Instant::now());
        audience.seen(1, start);
        audience.seen(2, start + Duration::from_secs(20));
        audience.seen(2, start + Duration::from_secs(21));
        assert_eq!(audience.count(start + Duration::from_secs(29)), 2);
        assert_eq!(audience.count(start + Duration::from_secs(30)), 1);
        assert_eq!(audience.count(start + Duration::from_secs(51)), 0);
    }

    #[test]
    fn no_more_than_so_many_are_told_apart() {
        let (mut audience, now) = (Audience::default(), Instant::now());
        (0..MAX as u64 + 10).for_each(|viewer| audience.seen(viewer, now));
        assert_eq!(audience.count(now), MAX);
    }
}
