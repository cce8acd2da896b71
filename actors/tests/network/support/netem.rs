//! One direction of a bad network: what goes in comes out later, in another order, twice, or never.
//!
//! Pure and on virtual time: the same seed and the same datagrams at the same times give the same losses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::random::Random;

/// Says how bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// The least time that a datagram takes.
    pub(crate) latency: Duration,
    /// The probability that a datagram is held up, so that later ones overtake it.
    pub(crate) reordering: f64,
    /// How long it is held up at most.
    pub(crate) jitter: Duration,
    /// The probability of a loss, 0 to 1.
    pub(crate) loss: f64,
    /// The probability that a datagram comes twice; each copy may be held up.
    pub(crate) duplication: f64,
}

impl Conditions {
    /// A good line: 20 ms one way, nothing is lost.
    pub(crate) const GOOD: Self = Self {
        latency: Duration::from_millis(20),
        reordering: 0.0,
        jitter: Duration::from_millis(15),
        loss: 0.0,
        duplication: 0.0,
    };

    /// A bad radio link: 20 to 35 ms one way, 2 % losses, 1 % duplicates, 5 % come late.
    pub(crate) const LOSSY: Self = Self { reordering: 0.05, loss: 0.02, duplication: 0.01, ..Self::GOOD };

    /// The same conditions with another loss.
    pub(crate) const fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }
}

/// What became of the datagrams so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// Came out behind one that was sent later.
    pub(crate) overtaken: u64,
}

/// Carries datagrams in one direction.
#[derive(Debug)]
pub(crate) struct Netem {
    random: Random,
    conditions: Conditions,
    /// By the time of delivery; the count keeps equal times apart, in the order of sending.
    flying: BTreeMap<(Instant, u64), Vec<u8>>,
    latest_delivered: u64,
    counts: Counts,
}

impl Netem {
    pub(crate) fn new(seed: u64, conditions: Conditions) -> Self {
        let random = Random::new(seed);
        Self { random, conditions, flying: BTreeMap::new(), latest_delivered: 0, counts: Counts::default() }
    }

    /// Changes the conditions for what is sent from now on.
    pub(crate) fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Takes a datagram.
    pub(crate) fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.counts.sent += 1;
        if self.random.happens(self.conditions.loss) {
            self.counts.lost += 1;
            return;
        }
        self.fly(now, datagram);
        if self.random.happens(self.conditions.duplication) {
            self.counts.duplicated += 1;
            self.fly(now, datagram);
        }
    }

    /// Returns when the next datagram comes out.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns the next datagram that has arrived by `now`.
    pub(crate) fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let entry = self.flying.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, number), datagram) = entry.remove_entry();
        self.counts.overtaken += u64::from(number < self.latest_delivered);
        self.latest_delivered = self.latest_delivered.max(number);
        Some(datagram)
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    fn fly(&mut self, now: Instant, datagram: &[u8]) {
        let mut at = now + self.conditions.latency;
        if self.random.happens(self.conditions.reordering) {
            at += self.random.up_to(self.conditions.jitter);
        }
        self.flying.insert((at, self.counts.sent + self.counts.duplicated), datagram.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 10,000 numbered datagrams, one a millisecond, and returns the numbers as they come out.
    fn course(seed: u64, start: Instant) -> (Vec<u16>, Counts) {
        let mut netem = Netem::new(seed, Conditions::LOSSY);
        let mut came = Vec::new();
        for number in 0..10_040_u16 {
            let now = start + Duration::from_millis(number.into());
            if number < 10_000 {
                netem.send(now, &number.to_be_bytes());
            }
            came.extend(
                std::iter::from_fn(|| netem.receive(now)).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])),
            );
        }
        (came, netem.counts())
    }

    #[test]
    fn a_seed_names_one_course_of_events() {
        let start = Instant::now();
        assert_eq!(course(7, start), course(7, start));
        assert_ne!(course(7, start), course(8, start));
    }

    #[test]
    fn losses_duplicates_and_order_are_as_the_conditions_say() {
        let (came, counts) = course(1, Instant::now());
        // 2 % of 10,000 is 200, 1 % of the rest 98; three standard deviations are 42 and 30. About 500 are held up,
        // most of them by more than the millisecond between two.
        assert!(counts.lost.abs_diff(200) <= 42, "{counts:?}");
        assert!(counts.duplicated.abs_diff(98) <= 30, "{counts:?}");
        assert_eq!(came.len() as u64, counts.sent - counts.lost + counts.duplicated);
        assert!(counts.overtaken > 300 && !came.is_sorted(), "{counts:?}");
    }
}
