//! How long caches may keep an answer, in target durations (RFC 8216bis Appendix B.1; L15).

use std::time::Duration;

/// Says how long answers of one sort may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caching {
    /// What was there.
    pub(super) found: Duration,
    /// What was not.
    pub(super) missing: Duration,
}

impl Caching {
    /// A playlist that was asked for by what it must hold: that address never means anything older.
    pub(super) const fn blocking_playlist(target_duration: Duration) -> Self {
        Self { found: times(target_duration, 6), missing: times(target_duration, 4) }
    }

    /// A playlist as it is right now.
    pub(super) const fn playlist(target_duration: Duration) -> Self {
        Self { found: Duration::from_millis(target_duration.as_millis() as u64 / 2), missing: target_duration }
    }

    /// Initialisation segments, segments and parts: their bytes never change, and nobody asks for them after an hour.
    pub(super) const fn media(target_duration: Duration) -> Self {
        Self { found: Duration::from_secs(3600), missing: target_duration }
    }
}

const fn times(target_duration: Duration, count: u64) -> Duration {
    Duration::from_secs(target_duration.as_secs() * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_answers_are_kept_for_so_many_target_durations() {
        let target = Duration::from_secs(6);
        let seconds = |caching: Caching| (caching.found.as_secs(), caching.missing.as_secs());
        assert_eq!(seconds(Caching::blocking_playlist(target)), (36, 24));
        assert_eq!(seconds(Caching::playlist(target)), (3, 6));
        let Caching { found, missing } = Caching::media(target);
        assert!(found >= 6 * target && missing == target);
    }
}
