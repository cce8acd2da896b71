//! Gaps, as the journal's entries make them.

use std::time::Duration;

use onair_media::{Alignment, RecordingId, RoomName};

use super::*;
use crate::journal::VERSION;
use crate::manifest::{Gap, Protocol, Publisher};
use crate::testing::{broadcast, h264, opus, pull};
use crate::{Fragmenter, FragmenterSettings};

/// The segments of a recording of 12 s, 2 s each.
fn segments() -> Vec<Arc<Segment>> {
    let settings =
        FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };
    let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
    broadcast(&mut fragmenter, 0, 12, 1);
    fragmenter.finish();
    pull(&mut fragmenter).segments
}

/// A recording whose initialisation segments are in the spool.
fn begin() -> Ledger {
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
    ledger
}

fn record(ledger: &mut Ledger, segment: &Segment) {
    for part in &segment.parts {
        ledger.apply(&Entry::Part { part: Arc::clone(part), crc: 0 });
    }
    ledger.apply(&Entry::Segment { kind: segment.kind, msn: segment.msn, sha256: [0; 32] });
}

fn store(ledger: &mut Ledger, object: &str) {
    ledger.apply(&Entry::Stored { object: object.into() });
}

/// Returns the gaps of a recording of which these segments were lost to a full spool.
fn gaps_without(lost: &[(MediaKind, u64)]) -> Vec<Gap> {
    let mut ledger = begin();
    let mut objects: Vec<String> = INITS.map(Into::into).into();
    for segment in segments() {
        if lost.contains(&(segment.kind, segment.msn)) {
            ledger.apply(&Entry::Gap(GapReason::SpoolFull));
            continue;
        }
        record(&mut ledger, &segment);
        objects.push(ObjectName::segment(&segment).as_str().to_owned());
    }
    // The store was away all the time.
    objects.iter().for_each(|object| store(&mut ledger, object));
    ledger.manifest().gaps.clone()
}

/// Holes in parts that are a thing of milliseconds are no matter here.
fn rounded(gaps: &[Gap]) -> Vec<(u64, u64)> {
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::SpoolFull), "{gaps:?}");
    gaps.iter().map(|gap| ((gap.start_ms + 50) / 100, (gap.duration_ms + 50) / 100)).collect()
}

const INITS: [&str; 2] = ["video/init-1.mp4", "audio/init-1.mp4"];
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

/// All that there was of a recording without media was an initialisation segment in the store.
#[test]
fn an_initialisation_segment_goes_before_the_first_segment_that_needs_it() {
    let mut ledger = begin();
    assert!(ledger.next_object().is_none() && !ledger.is_in_store() && ledger.is_drained());
    let segments = segments();
    segments.iter().filter(|segment| segment.kind == VIDEO).for_each(|segment| record(&mut ledger, segment));
    let objects = std::iter::from_fn(|| ledger.next_object()).map(|(name, _)| name.as_str().to_owned());
    let objects: Vec<_> = objects.collect();
    assert_eq!(objects[..2], [INITS[0], "video/000001.m4s"]);
    assert!(objects.len() == 7 && ledger.is_in_store());
    let init = ledger.init_segment(&ObjectName::parse(INITS[0]).unwrap()).unwrap();
    assert!(crate::read_init(&init).is_ok());
}

/// Segments were listed whose initialisation segment the store did not have, or would never have: nothing can play them.
#[test]
fn what_cannot_be_decoded_is_not_listed() {
    let (mut ledger, segments) = (begin(), segments());
    segments.iter().for_each(|segment| record(&mut ledger, segment));
    segments.iter().take(6).for_each(|segment| store(&mut ledger, ObjectName::segment(segment).as_str()));
    assert!(ledger.manifest().segments.is_empty());
    store(&mut ledger, INITS[0]);
    ledger.apply(&Entry::Lost { object: INITS[1].into() });
    segments.iter().skip(6).for_each(|segment| store(&mut ledger, ObjectName::segment(segment).as_str()));
    assert!(ledger.is_drained());
    let listed = &ledger.manifest().segments;
    assert!(listed.len() == 6 && listed.iter().all(|segment| segment.name.starts_with("video/")), "{listed:?}");
    let playlists = ledger.playlists(Completeness::Complete).unwrap();
    assert!(playlists.iter().all(|(name, text)| !name.as_str().starts_with("audio/") && !text.contains("audio")));
}

#[test]
fn the_manifest_says_where_media_comes_from_and_what_decodes_it() {
    let (mut ledger, segments) = (begin(), segments());
    let publisher = Publisher { protocol: Protocol::Whip };
    for alignment in [None, Some(Alignment::Arrival), Some(Alignment::SenderReports), Some(Alignment::Arrival)] {
        ledger.apply(&Entry::Provenance { publisher, alignment });
        let is_guessed = ledger.manifest().guessed.iter().any(|what| what == "alignment");
        assert_eq!((ledger.manifest().alignment, is_guessed), (alignment, alignment == Some(Alignment::Arrival)));
    }
    segments.iter().for_each(|segment| record(&mut ledger, segment));
    assert!(ledger.manifest().inits.is_empty());
    for (kind, bytes) in [(VIDEO, 700), (AUDIO, 600)] {
        ledger.apply(&Entry::InitStored { kind, index: 1, bytes, sha256: "00ff".into() });
    }
    segments.iter().for_each(|segment| store(&mut ledger, ObjectName::segment(segment).as_str()));
    assert!(ledger.is_drained());
    let json: serde_json::Value = serde_json::from_slice(&ledger.to_json()).unwrap();
    assert_eq!((&json["publisher"]["protocol"], &json["alignment"]), (&"whip".into(), &"arrival".into()));
    let inits = serde_json::json!([
        { "name": "video/init-1.mp4", "bytes": 700, "sha256": "00ff" },
        { "name": "audio/init-1.mp4", "bytes": 600, "sha256": "00ff" },
    ]);
    assert_eq!(json["inits"], inits);
}

/// A process ended when the store had a segment and not yet what decodes it. Whoever took the recording up waited for that
/// in vain.
#[test]
fn an_initialisation_segment_is_stored_behind_its_segments_if_need_be() {
    let (mut ledger, segments) = (begin(), segments());
    segments.iter().for_each(|segment| record(&mut ledger, segment));
    segments.iter().for_each(|segment| store(&mut ledger, ObjectName::segment(segment).as_str()));
    let objects: Vec<_> = std::iter::from_fn(|| ledger.next_object()).map(|(name, _)| name.to_string()).collect();
    assert_eq!(objects, INITS);
    INITS.iter().for_each(|init| store(&mut ledger, init));
    assert!(ledger.is_drained() && ledger.manifest().segments.len() == segments.len());
}
