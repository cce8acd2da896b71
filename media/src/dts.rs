//! Decoding times for video whose frames are shown in another order than they are decoded in.
//!
//! RTP carries presentation times only (RFC 6184 §5.1, RFC 7798 §4.1). With at most `depth` frames shown after one that was decoded
//! later, the n-th decoding time is the n-th smallest presentation time, `depth` frames late: so no frame has to wait.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The deepest reordering of H.264: `max_num_reorder_frames` is at most `MaxDpbFrames`, 16 (ITU-T H.264 §E.2.1). H.265
/// has one less.
const DEPTH_MAX: usize = 16;

/// The frame duration that is assumed until one is known: 30 frames a second at 90 kHz.
const STEP_DEFAULT_TICKS: i64 = 3_000;

/// Frame durations outside of this range are gaps or nudges and no measure: 1/500 s to 1 s at 90 kHz.
const STEP_RANGE_TICKS: std::ops::RangeInclusive<i64> = 180..=90_000;

/// Makes decoding times that strictly grow, whatever presentation times come.
#[derive(Debug)]
pub(crate) struct DtsClock {
    depth: usize,
    /// Presentation times that have not become decoding times; at most `depth` between calls.
    waiting: BinaryHeap<Reverse<i64>>,
    /// The latest presentation times in decoding order, by which an undeclared depth shows.
    recent: VecDeque<i64>,
    last: Option<i64>,
    step: i64,
    restarted: bool,
}

impl DtsClock {
    /// Begins without reordering.
    pub(crate) fn new() -> Self {
        Self {
            depth: 0,
            waiting: BinaryHeap::new(),
            recent: VecDeque::new(),
            last: None,
            step: STEP_DEFAULT_TICKS,
            restarted: true,
        }
    }

    /// Forgets the frames so far: the next one does not continue them. Decoding times still only grow.
    pub(crate) fn restart(&mut self) {
        self.waiting.clear();
        self.recent.clear();
        self.restarted = true;
    }

    /// Returns the decoding time of the frame shown at `pts`, in the same unit, when the stream declares `depth`.
    ///
    /// Never negative. Not above `pts` unless the stream is deeper than it declares, or just begins near 0.
    pub(crate) fn dts(&mut self, pts: i64, depth: usize) -> i64 {
        let seen = self.seen_depth(pts);
        // It never gets shallower, for that would make decoding times jump.
        self.depth = self.depth.max(depth.max(seen).min(DEPTH_MAX));
        if std::mem::take(&mut self.restarted) {
            let earlier = 1..=i64::try_from(self.depth).unwrap_or(0);
            self.waiting.extend(earlier.map(|frames| Reverse(pts.saturating_sub(frames * self.step))));
        }
        self.waiting.push(Reverse(pts));
        let earliest = if self.waiting.len() > self.depth { self.waiting.pop() } else { None };
        let floor = self.last.map_or(0, |last| last.saturating_add(1));
        let dts = earliest.map_or(floor, |Reverse(earliest)| earliest.max(floor));
        let step = self.last.map_or(0, |last| dts - last);
        if STEP_RANGE_TICKS.contains(&step) {
            self.step = step;
        }
        self.last = Some(dts);
        dts
    }

    /// Counts the frames that were decoded before this one and are shown after it.
    fn seen_depth(&mut self, pts: i64) -> usize {
        let later = self.recent.iter().filter(|&&earlier| earlier > pts).count();
        self.recent.push_back(pts);
        if self.recent.len() > DEPTH_MAX {
            self.recent.pop_front();
        }
        later
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(clock: &mut DtsClock, depth: usize, pts: &[i64]) -> Vec<i64> {
        pts.iter().map(|&pts| clock.dts(pts, depth)).collect()
    }

    #[test]
    fn without_reordering_decoding_is_presentation() {
        let pts = [0, 3000, 6000, 6100, 9000];
        assert_eq!(run(&mut DtsClock::new(), 0, &pts), pts);
    }

    #[test]
    fn declared_b_frames_are_decoded_one_frame_early() {
        // Shown as I B B P B B P, decoded as I P B B P B B; depth 1, and a frame lasts 3,000 ticks.
        let pts = [90_000, 99_000, 93_000, 96_000, 108_000, 102_000, 105_000];
        let dts = run(&mut DtsClock::new(), 1, &pts);
        assert_eq!(dts, [87_000, 90_000, 93_000, 96_000, 99_000, 102_000, 105_000]);
        assert!(pts.iter().zip(&dts).all(|(pts, dts)| dts <= pts));
    }

    #[test]
    fn a_stream_that_begins_at_zero_has_no_negative_decoding_time() {
        let dts = run(&mut DtsClock::new(), 2, &[0, 9_000, 3_000, 6_000]);
        assert_eq!(dts, [0, 1, 2, 3_000]);
    }

    #[test]
    fn undeclared_b_frames_are_found_and_caught_up_with() {
        let pts = [0, 9_000, 3_000, 6_000, 18_000, 12_000, 15_000, 27_000];
        let dts = run(&mut DtsClock::new(), 0, &pts);
        assert_eq!(dts, [0, 9_000, 9_001, 9_002, 9_003, 12_000, 15_000, 18_000]);
    }

    #[test]
    fn after_a_restart_nothing_from_before_the_gap_is_a_decoding_time() {
        let mut clock = DtsClock::new();
        run(&mut clock, 1, &[90_000, 96_000, 93_000]);
        clock.restart();
        assert_eq!(run(&mut clock, 1, &[900_000, 906_000, 903_000]), [897_000, 900_000, 903_000]);
    }

    proptest! {
        #[test]
        fn decoding_times_strictly_grow(
            frames in prop::collection::vec((0..i64::MAX / 2, 0..20_usize, prop::bool::weighted(0.1)), 0..200),
        ) {
            let mut clock = DtsClock::new();
            let mut last = -1;
            for (pts, depth, restart) in frames {
                if restart {
                    clock.restart();
                }
                let dts = clock.dts(pts, depth);
                prop_assert!(dts > last);
                prop_assert!(clock.waiting.len() <= DEPTH_MAX && clock.recent.len() <= DEPTH_MAX);
                last = dts;
            }
        }

        #[test]
        fn a_well_formed_stream_is_never_decoded_after_it_is_shown(
            gops in prop::collection::vec(0..8_i64, 1..20), first in 100_000..1_000_000_i64,
        ) {
            let mut clock = DtsClock::new();
            let mut shown = first;
            clock.dts(shown, 1);
            for b_frames in gops {
                let anchor = shown + 3_000 * (b_frames + 1);
                for pts in std::iter::once(anchor).chain((1..=b_frames).map(|b| shown + 3_000 * b)) {
                    prop_assert!(clock.dts(pts, 1) <= pts);
                }
                shown = anchor;
            }
        }
    }
}
