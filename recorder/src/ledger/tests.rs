//! Gaps, as the journal's entries make them.

use std::time::Duration;

use onair_media::{RecordingId, RoomName};

use super::*;
use crate::journal::VERSION;
use crate::manifest::Gap;
use crate::testing::{broadcast, h264, opus, pull};
use crate::{Fragmenter, FragmenterSettings};

/// Returns the gaps of a recording of 12 s in segments of 2 s, of which these were lost to a full spool.
fn gaps_without(lost: &[(MediaKind, u64)]) -> Vec<Gap> {
    let settings =
        FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };
    let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
    broadcast(&mut fragmenter, 0, 12, 1);
    fragmenter.finish();
    let begun = Begun {
        version: VERSION,
        room: RoomName::parse("studio-1").unwrap(),
        recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
        epoch: DateTime::UNIX_EPOCH,
        server: "onair test".into(),
        target_duration_s: 2,
        mp4: true,
    };
    let mut ledger = Ledger::new(begun, 1 << 20);
    ledger.apply(&Entry::Init { kind: MediaKind::Video, index: 1, config: h264() });
    ledger.apply(&Entry::Init { kind: MediaKind::Audio, index: 1, config: opus() });
    let mut objects = Vec::new();
    for segment in pull(&mut fragmenter).segments {
        let (kind, msn) = (segment.kind, segment.msn);
        if lost.contains(&(kind, msn)) {
            ledger.apply(&Entry::Gap(GapReason::SpoolFull));
            continue;
        }
        for part in &segment.parts {
            ledger.apply(&Entry::Part { part: Arc::clone(part), crc: 0 });
        }
        ledger.apply(&Entry::Segment { kind, msn, sha256: [0; 32] });
        objects.push(ObjectName::segment(&segment).as_str().to_owned());
    }
    // The store was away all the time.
    for object in objects {
        ledger.apply(&Entry::Stored { object });
    }
    ledger.manifest().gaps.clone()
}

/// Holes in parts that are a thing of milliseconds are no matter here.
fn rounded(gaps: &[Gap]) -> Vec<(u64, u64)> {
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::SpoolFull), "{gaps:?}");
    gaps.iter().map(|gap| ((gap.start_ms + 50) / 100, (gap.duration_ms + 50) / 100)).collect()
}

const VIDEO: MediaKind = MediaKind::Video;
const AUDIO: MediaKind = MediaKind::Audio;

#[test]
fn a_gap_of_both_renditions_is_one() {
    assert_eq!(gaps_without(&[]), vec![]);
    assert_eq!(rounded(&gaps_without(&[(VIDEO, 2), (AUDIO, 2)])), [(20, 20)]);
}

/// Sound is small and finds room where pictures do not. What is missing was not listed then.
#[test]
fn a_gap_of_one_rendition_is_listed_too() {
    assert_eq!(rounded(&gaps_without(&[(VIDEO, 2), (VIDEO, 3)])), [(20, 40)]);
    assert_eq!(rounded(&gaps_without(&[(AUDIO, 4)])), [(60, 20)]);
}

/// Reasons wait with their segments for the store: the second gap was taken for an overload.
#[test]
fn each_gap_keeps_its_reason_while_the_store_is_away() {
    let lost = [(VIDEO, 2), (AUDIO, 2), (VIDEO, 4), (AUDIO, 4)];
    assert_eq!(rounded(&gaps_without(&lost)), [(20, 20), (60, 20)]);
}
