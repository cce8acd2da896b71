//! Times for which there is nothing.

use crate::manifest::{Gap, GapReason};

/// What is left of a hole beside a known gap is no gap of its own below this: the tracks of a segment end apart.
const REMAINDER_MIN_MS: u64 = 100;

/// Times that are spoken for, one after another, apart from each other.
#[derive(Debug, Default)]
pub(crate) struct Covered(Vec<(u64, u64)>);

/// Names a hole.
pub(crate) const fn hole(start_ms: u64, end_ms: u64, reason: GapReason) -> Gap {
    Gap { start_ms, duration_ms: end_ms.saturating_sub(start_ms), reason }
}

/// Adds the holes that were found to the gaps that are known; what a gap covers already is not said twice.
pub(crate) fn with_holes(known: &[Gap], holes: &[Gap]) -> Vec<Gap> {
    let covered = Covered::by(known);
    let mut holes: Vec<&Gap> = holes.iter().collect();
    holes.sort_by_key(|hole| hole.start_ms);
    let (mut gaps, mut said_until) = (known.to_vec(), 0);
    for found in holes {
        let from = found.start_ms.max(said_until);
        if from == found.start_ms || end(found) >= from.saturating_add(REMAINDER_MIN_MS) {
            gaps.extend(covered.uncovered(&hole(from, end(found), found.reason)));
        }
        said_until = said_until.max(end(found));
    }
    gaps.sort_by_key(|gap| gap.start_ms);
    gaps
}

impl Covered {
    /// Joins what overlaps.
    pub(crate) fn by(gaps: &[Gap]) -> Self {
        let mut spans: Vec<_> = gaps.iter().map(|gap| (gap.start_ms, end(gap))).collect();
        spans.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// Returns what no gap covers of a hole.
    pub(crate) fn uncovered(&self, found: &Gap) -> Vec<Gap> {
        let first = self.0.partition_point(|(_, to)| *to <= found.start_ms);
        let spans = self.0[first..].iter().take_while(|(from, _)| *from < end(found));
        let (mut rest, mut at) = (Vec::new(), found.start_ms);
        for (from, to) in spans {
            rest.push((at, (*from).max(at)));
            at = *to;
        }
        rest.push((at, end(found)));
        let shortest = if rest.len() > 1 { REMAINDER_MIN_MS } else { 1 };
        let rest = rest.into_iter().filter(|(from, to)| to.saturating_sub(*from) >= shortest);
        rest.map(|(from, to)| hole(from, to, found.reason)).collect()
    }
}

const fn end(gap: &Gap) -> u64 {
    gap.start_ms.saturating_add(gap.duration_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(from: u64, to: u64) -> Gap {
        hole(from, to, GapReason::Other)
    }

    #[test]
    fn a_known_gap_is_not_said_twice() {
        let known = [hole(4_000, 6_000, GapReason::PublisherReconnect)];
        // The same; 20 ms more at both ends, as the sound has it; and a segment more before and behind.
        assert_eq!(with_holes(&known, &[lost(4_000, 6_000)]), known);
        assert_eq!(with_holes(&known, &[lost(3_980, 6_020)]), known);
        let all = with_holes(&known, &[lost(2_000, 8_000)]);
        assert_eq!(all, [lost(2_000, 4_000), known[0].clone(), lost(6_000, 8_000)]);
    }

    #[test]
    fn holes_of_both_renditions_are_one_gap() {
        assert_eq!(with_holes(&[], &[lost(2_000, 4_000), lost(1_980, 4_020)]), [lost(1_980, 4_020)]);
        assert_eq!(with_holes(&[], &[lost(1, 3), lost(5, 5)]), [lost(1, 3)]);
        assert_eq!(with_holes(&[], &[lost(0, u64::MAX)]), [lost(0, u64::MAX)]);
    }

    #[test]
    fn gaps_that_overlap_cover_together() {
        let known = [lost(0, 3_000), lost(2_000, 2_500), lost(3_000, 4_000), lost(9_000, 9_500)];
        assert_eq!(Covered::by(&known).uncovered(&lost(1_000, 10_000)), [lost(4_000, 9_000), lost(9_500, 10_000)]);
    }
}
