//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from the first wait to the longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with the first wait.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Returns the next wait, from half of it to all of it as `jitter`, drawn at random, says: those who failed
    /// together shall not come back together.
    pub fn next(&mut self, jitter: u8) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait.mul_f64(0.5 + f64::from(jitter) / (2.0 * f64::from(u8::MAX)))
    }

    /// Begins anew: it worked.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits = [255, 255, 0, 255, 255].map(|jitter| backoff.next(jitter).as_millis());
        // The third one is half of 4 s.
        assert_eq!(waits, [1000, 2000, 2000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(255), Duration::from_secs(1));
    }
}
