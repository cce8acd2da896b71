//! Times for which there is nothing.

use crate::manifest::{Gap, GapReason};

/// What is left of a hole beside a known gap is no gap of its own below this: the tracks of a segment end apart.
const REMAINDER_MIN_MS: u64 = 100;

/// Adds the holes that were found to the gaps that are known; what a gap covers already is not said twice.
pub(crate) fn with_holes(known: &[Gap], holes: &[Gap]) -> Vec<Gap> {
    let mut gaps = known.to_vec();
    for hole in holes {
        let rest = uncovered(hole, &gaps);
        gaps.extend(rest);
    }
    gaps.sort_by_key(|gap| gap.start_ms);
    gaps
}

/// Returns what no gap covers of a hole.
pub(crate) fn uncovered(hole: &Gap, gaps: &[Gap]) -> Vec<Gap> {
    let end = |gap: &Gap| gap.start_ms.saturating_add(gap.duration_ms);
    let mut rest = vec![(hole.start_ms, end(hole))];
    for gap in gaps {
        let beside = |(from, to): (u64, u64)| [(from, to.min(gap.start_ms)), (from.max(end(gap)), to)];
        let apart = |&(from, to): &(u64, u64)| end(gap) <= from || to <= gap.start_ms;
        let (whole, cut): (Vec<_>, Vec<_>) = rest.into_iter().partition(apart);
        let left = cut.into_iter().flat_map(beside).filter(|(from, to)| *to >= from.saturating_add(REMAINDER_MIN_MS));
        rest = whole.into_iter().chain(left).collect();
    }
    let gap = |(from, to): (u64, u64)| Gap { start_ms: from, duration_ms: to - from, reason: hole.reason };
    rest.into_iter().filter(|(from, to)| to > from).map(gap).collect()
}

/// Names a hole.
pub(crate) const fn hole(start_ms: u64, end_ms: u64, reason: GapReason) -> Gap {
    Gap { start_ms, duration_ms: end_ms.saturating_sub(start_ms), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_gap_is_not_said_twice() {
        let known = [hole(4_000, 6_000, GapReason::PublisherReconnect)];
        let lost = |from, to| hole(from, to, GapReason::Other);
        // The same; 20 ms more at both ends, as the sound has it; and a segment more before and behind.
        assert_eq!(with_holes(&known, &[lost(4_000, 6_000)]), known);
        assert_eq!(with_holes(&known, &[lost(3_980, 6_020)]), known);
        let all = with_holes(&known, &[lost(2_000, 8_000)]);
        assert_eq!(all, [lost(2_000, 4_000), known[0].clone(), lost(6_000, 8_000)]);
        assert_eq!(with_holes(&[], &[lost(1, 3), lost(5, 5)]), [lost(1, 3)]);
        assert_eq!(with_holes(&[], &[lost(0, u64::MAX)]), [lost(0, u64::MAX)]);
    }
}
