//! Counts values by size, with a bucket for each 3 %: quantiles of any number of samples in 15 KiB.

use std::fmt;

/// Buckets an octave, as a power of two.
const PRECISION_BITS: u32 = 5;
const PER_OCTAVE: usize = 1 << PRECISION_BITS;

/// Values below [`PER_OCTAVE`] have a bucket each, then come the octaves of a `u64`.
const BUCKETS: usize = (64 - PRECISION_BITS as usize + 1) * PER_OCTAVE;

/// How often values of each size came.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count).field("max", &self.max).finish_non_exhaustive()
    }
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        (self.count, self.max) = (0, 0);
    }

    /// Returns how many values there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the greatest value; nothing when there was none.
    pub(crate) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// Returns the value that this share of all values, 0 to 1, does not exceed, to 3 %.
    pub(crate) fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        found.filter(|_| self.count > 0).map(|bucket| ceiling(bucket).min(self.max))
    }
}

fn bucket(value: u64) -> usize {
    let Some(octave) = value.checked_ilog2().and_then(|log| log.checked_sub(PRECISION_BITS)) else {
        return value as usize;
    };
    (octave as usize + 1) * PER_OCTAVE + (value >> octave) as usize - PER_OCTAVE
}

/// The greatest value of a bucket.
fn ceiling(bucket: usize) -> u64 {
    let Some(octave) = (bucket / PER_OCTAVE).checked_sub(1) else { return bucket as u64 };
    let next = (bucket % PER_OCTAVE + PER_OCTAVE + 1) as u128;
    ((next << octave) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_the_bucket_that_ends_at_it_or_shortly_after() {
        for value in (0..5000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX - 1, u64::MAX]) {
            let end = ceiling(bucket(value));
            assert!(end >= value && end - value <= value / 32, "{value} {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_to_three_percent() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (None, None));
        (1..=1000).for_each(|value| histogram.add(value));
        for (share, exact) in [(0.5, 500_u64), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(share).unwrap();
            assert!(found >= exact && found - exact <= exact / 32, "{share}: {found}");
        }
        assert_eq!((histogram.max(), histogram.count()), (Some(1000), 1000));
        histogram.clear();
        assert_eq!(histogram.quantile(0.99), None);
    }
}
