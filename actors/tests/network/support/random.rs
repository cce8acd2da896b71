//! A small generator of pseudo-random numbers (SplitMix64), so that a seed names one course of events for ever.

use std::time::Duration;

/// Holds the state: a counter that is hashed for each number.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins the series of a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 even bits. The constants are those of Steele, Lea and Flood, "Fast splittable pseudorandom number
    /// generators" (2014).
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `end`, which is at least 1.
    pub(crate) const fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Returns true once in `1 / probability` times.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        (self.bits() as f64) < probability * u64::MAX as f64
    }

    /// Returns a time of up to `longest`.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.bits() as f64 / u64::MAX as f64)
    }

    /// Returns that many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }
}
