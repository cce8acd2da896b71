//! What holds for any sequence of frames.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use onair_media::{CodecConfig, MediaKind};
use proptest::prelude::*;

use super::{Fragmenter, FragmenterSettings};
use crate::cut::{Cut, Part, Segment};
use crate::read::read_segment;
use crate::testing::{frame, h264, opus, pull};
use crate::ticks::from_duration;

pub(crate) const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };

/// What a publisher may do to us.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A frame this many milliseconds after the one before it, of the first or the second configuration.
    Frame {
        kind: MediaKind,
        after_ms: i64,
        keyframe: bool,
        second: bool,
    },
    /// Frames of one track, 40 ms apart, while the other is silent and its time passes all the same.
    Alone {
        kind: MediaKind,
        frames: i64,
        gop: i64,
    },
    Discontinuity,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = || prop_oneof![Just(MediaKind::Video), Just(MediaKind::Audio)];
    // Mostly a steady stream, sometimes a stall, a pause, a repeated or a backward time.
    let after_ms = prop_oneof![80 => 10..60i64, 4 => 200..1500i64, 1 => 2000..9000i64, 1 => -50..1i64];
    let frame = (kind(), after_ms, prop::bool::weighted(0.1), prop::bool::weighted(0.02))
        .prop_map(|(kind, after_ms, keyframe, second)| Step::Frame { kind, after_ms, keyframe, second });
    let alone = (kind(), 1..300i64, 1..200i64).prop_map(|(kind, frames, gop)| Step::Alone { kind, frames, gop });
    prop::collection::vec(prop_oneof![200 => frame, 2 => alone, 1 => Just(Step::Discontinuity)], 1..600)
}

pub(crate) fn tracks() -> impl Strategy<Value = Vec<MediaKind>> {
    prop::sample::subsequence(vec![MediaKind::Video, MediaKind::Audio], 0..=2)
}

fn second(kind: MediaKind) -> Arc<CodecConfig> {
    match (kind, h264().as_ref().clone()) {
        (MediaKind::Video, CodecConfig::H264 { sps, pps, .. }) => {
            Arc::new(CodecConfig::H264 { sps, pps, width: 640, height: 360 })
        }
        _ => Arc::new(CodecConfig::Opus { channels: 1, pre_skip: 0 }),
    }
}

/// The other end of the connection.
struct Publisher {
    fragmenter: Fragmenter,
    now_ms: BTreeMap<MediaKind, i64>,
    pushed: u64,
}

impl Publisher {
    fn push(&mut self, kind: MediaKind, after_ms: i64, keyframe: bool, config: &Arc<CodecConfig>) {
        let now_ms = self.now_ms.entry(kind).or_default();
        *now_ms += after_ms;
        let ticks = *now_ms * if kind == MediaKind::Video { 90 } else { 48 };
        self.fragmenter.push(kind, frame(config, ticks, keyframe || kind == MediaKind::Audio));
        self.pushed += 1;
    }

    fn play(&mut self, step: &Step) {
        let first = |kind| if kind == MediaKind::Video { h264() } else { opus() };
        match *step {
            Step::Frame { kind, after_ms, keyframe, second: other } => {
                self.push(kind, after_ms, keyframe, &if other { second(kind) } else { first(kind) });
            }
            Step::Alone { kind, frames, gop } => {
                (0..frames).for_each(|n| self.push(kind, 40, n % gop == 0, &first(kind)));
                let now_ms = self.now_ms[&kind];
                self.now_ms.values_mut().for_each(|other| *other = (*other).max(now_ms));
            }
            Step::Discontinuity => self.fragmenter.discontinuity(),
        }
    }
}

/// Plays the steps and returns the cuts, how many frames were pushed and how many were dropped.
pub(crate) fn play(steps: &[Step], announced: &[MediaKind]) -> (Vec<Cut>, u64, u64) {
    let fragmenter = Fragmenter::new(SETTINGS, announced);
    let mut publisher = Publisher { fragmenter, now_ms: BTreeMap::new(), pushed: 0 };
    let mut cuts = Vec::new();
    for step in steps {
        publisher.play(step);
        cuts.extend(pull(&mut publisher.fragmenter).all);
    }
    publisher.fragmenter.finish();
    cuts.extend(pull(&mut publisher.fragmenter).all);
    (cuts, publisher.pushed, publisher.fragmenter.dropped_frames())
}

fn check_part(part: &Part) {
    let durations: u64 = part.samples.iter().map(|sample| u64::from(sample.duration_ticks)).sum();
    let sizes: usize = part.samples.iter().map(|sample| sample.size as usize).sum();
    assert_eq!(durations, part.duration_ticks);
    assert_eq!(sizes, part.bytes.len() - part.payload_offset);
    assert_eq!(part.independent, part.samples[0].sync);
    assert!(part.samples.iter().all(|sample| sample.duration_ticks > 0));
    let target = from_duration(part.kind, SETTINGS.part_target);
    assert!(part.duration_ticks <= target || part.samples.len() == 1, "{} ticks", part.duration_ticks);
}

/// L7: a part is shorter than 85 % of the target only at the end of its segment, or where one more frame would have made
/// it too long. A frame of at most 15 % never does.
fn check_part_lengths(parts: &[Arc<Part>]) {
    for pair in parts.windows(2) {
        let target = from_duration(pair[0].kind, SETTINGS.part_target);
        let forced = pair[0].duration_ticks + u64::from(pair[1].samples[0].duration_ticks) > target;
        assert!(pair[0].duration_ticks * 100 >= target * 85 || forced, "{} ticks", pair[0].duration_ticks);
    }
}

fn check_segment(segment: &Segment, previous: Option<&Segment>, open: &[Arc<Part>]) {
    let bytes: Vec<u8> = segment.parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
    assert_eq!(bytes, segment.bytes);
    assert_eq!(segment.parts.len(), open.len());
    let mut next = segment.start_ticks;
    for (index, (part, announced)) in segment.parts.iter().zip(open).enumerate() {
        assert_eq!((part.msn, part.index as usize, part.start_ticks), (segment.msn, index, next));
        assert_eq!((&part.bytes, &part.samples), (&announced.bytes, &announced.samples));
        next += part.duration_ticks as i64;
    }
    assert_eq!(next, segment.start_ticks + segment.duration_ticks as i64);
    assert_eq!(segment.independent, segment.parts[0].independent);
    assert!(segment.duration_ticks <= longest_ticks(segment.kind));
    check_part_lengths(&segment.parts);
    check_read_back(segment);
    let Some(previous) = previous else { return };
    assert!(segment.msn > previous.msn);
    if !segment.discontinuity {
        assert_eq!(segment.msn, previous.msn + 1);
        assert_eq!(segment.start_ticks, previous.start_ticks + previous.duration_ticks as i64);
        assert_eq!(segment.init, previous.init);
    }
}

/// Whoever has nothing but the object learns all that was known when it was cut.
fn check_read_back(cut: &Segment) {
    let read = read_segment(cut.kind, cut.msn, cut.bytes.clone()).unwrap();
    let all = |segment: &Segment| format!("{segment:?}");
    assert_eq!(all(&read.without_media()), all(&cut.without_media()));
    assert!(read.parts.iter().zip(&cut.parts).all(|(read, cut)| read.bytes == cut.bytes));
}

/// `EXTINF` rounds to the target duration at most.
fn longest_ticks(kind: MediaKind) -> u64 {
    from_duration(kind, Duration::from_secs(SETTINGS.target_duration_s().into()) + Duration::from_millis(490))
}

/// A segment that continues the one before and begins without a keyframe was forced: one more sample would have made
/// the segment before it too long, in this rendition or the other.
fn check_forced(segments: &BTreeMap<(u64, MediaKind), Arc<Segment>>) {
    for ((msn, _), segment) in segments.iter().filter(|(_, segment)| !segment.independent && !segment.discontinuity) {
        let forced = [MediaKind::Video, MediaKind::Audio].into_iter().any(|kind| {
            let (Some(before), Some(now)) = (segments.get(&(msn - 1, kind)), segments.get(&(*msn, kind))) else {
                return false;
            };
            before.duration_ticks + u64::from(now.parts[0].samples[0].duration_ticks) > longest_ticks(kind)
        });
        assert!(forced, "{segment:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_are_whole_contiguous_and_in_order(steps in steps(), announced in tracks()) {
        let (cuts, pushed, dropped) = play(&steps, &announced);
        let mut samples = 0;
        let mut inits: BTreeMap<MediaKind, u32> = BTreeMap::new();
        let mut open: BTreeMap<MediaKind, Vec<Arc<Part>>> = BTreeMap::new();
        let mut last: BTreeMap<MediaKind, Arc<Segment>> = BTreeMap::new();
        let mut flags: BTreeMap<u64, bool> = BTreeMap::new();
        let mut all: BTreeMap<(u64, MediaKind), Arc<Segment>> = BTreeMap::new();
        for cut in cuts {
            match cut {
                Cut::Init(init) => {
                    prop_assert_eq!(init.index, inits.get(&init.kind).map_or(1, |index| index + 1));
                    inits.insert(init.kind, init.index);
                }
                Cut::Part(part) => {
                    check_part(&part);
                    samples += part.samples.len() as u64;
                    // No segment of a lower number may still be open in any rendition.
                    prop_assert!(open.values().flatten().all(|other| other.msn == part.msn));
                    open.entry(part.kind).or_default().push(part);
                }
                Cut::Segment(segment) => {
                    let parts = open.remove(&segment.kind).unwrap_or_default();
                    check_segment(&segment, last.get(&segment.kind).map(AsRef::as_ref), &parts);
                    prop_assert_eq!(inits.get(&segment.kind), Some(&segment.init));
                    prop_assert_eq!(*flags.entry(segment.msn).or_insert(segment.discontinuity), segment.discontinuity);
                    all.insert((segment.msn, segment.kind), Arc::clone(&segment));
                    last.insert(segment.kind, segment);
                }
                Cut::KeyframeWanted => {}
            }
        }
        check_forced(&all);
        prop_assert!(open.is_empty());
        prop_assert_eq!(samples + dropped, pushed);
        // Numbers have no holes: each belongs to one rendition at least.
        let numbers: Vec<u64> = flags.keys().copied().collect();
        prop_assert_eq!(numbers, (1..=flags.len() as u64).collect::<Vec<_>>());
    }
}
