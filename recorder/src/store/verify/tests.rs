//! Recordings that were damaged in every way that a store, a disk or somebody may think of.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};
use serde_json::{Value, json};

use super::{Repair, Report, VerifyError, VerifySettings};
use crate::boxes::SegmentHead;
use crate::manifest::{GapReason, Manifest, PartDigest, sha256_hex};
use crate::testing::{VIDEO_FRAME, broadcast, frame, h264, opus, pull};
use crate::verify::{Problem, Remedy};
use crate::{
    Completeness, Cut, Fragmenter, FragmenterSettings, ManifestBuilder, ObjectName, ObjectPath, RecordingPlaylists,
    RecordingState, Store, StoreError,
};

const CUT: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };

/// A recording in a store of its own.
pub(super) struct Kept {
    store: Store,
    room: RoomName,
    recording: RecordingId,
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Cuts 7 s, a break of 3 s, and 4 s of a smaller picture: numbers 1 to 4, 5 and 6.
fn cuts() -> Vec<Cut> {
    let mut fragmenter = Fragmenter::new(CUT, &[MediaKind::Video, MediaKind::Audio]);
    broadcast(&mut fragmenter, 0, 7, 1);
    fragmenter.discontinuity();
    let CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
    let small = Arc::new(CodecConfig::H264 { sps, pps, width: 640, height: 360 });
    for index in 0..120 {
        fragmenter.push(MediaKind::Video, frame(&small, 10 * 90_000 + index * VIDEO_FRAME, index % 30 == 0));
        (0..2).for_each(|n| {
            fragmenter.push(MediaKind::Audio, frame(&opus(), 10 * 48_000 + index * 1_600 + n * 800, true))
        });
    }
    fragmenter.finish();
    pull(&mut fragmenter).all
}

fn epoch() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-22T06:30:00.120Z").unwrap().with_timezone(&Utc)
}

/// Says whether segments begin with their head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format {
    One,
    Two,
}

impl Kept {
    /// Stores a recording as the recorder does, in one go.
    pub(super) fn new(format: Format) -> Self {
        let kept = Self {
            store: Store::from(Arc::new(InMemory::new()) as Arc<dyn object_store::ObjectStore>),
            room: RoomName::parse("studio-1").unwrap(),
            recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
        };
        let mut manifest = ManifestBuilder::new(kept.room.clone(), kept.recording.clone(), "onair 0.1.0", epoch());
        let mut playlists = RecordingPlaylists::new(CUT.target_duration_s());
        let mut segments = Vec::new();
        let mut configs = std::collections::HashMap::new();
        for cut in cuts() {
            match cut {
                Cut::Init(init) => {
                    kept.put(ObjectName::init(&init).as_str(), init.bytes);
                    configs.insert(init.kind, init.config);
                }
                Cut::Segment(segment) => {
                    let mut segment = segment.as_ref().clone();
                    if format == Format::One {
                        let first = segment.parts[0].as_ref().clone();
                        let bytes = first.bytes.slice(SegmentHead::BYTES..);
                        let payload_offset = first.payload_offset - SegmentHead::BYTES;
                        segment.parts[0] = Arc::new(crate::Part { bytes, payload_offset, ..first });
                        segment.bytes = segment.bytes.slice(SegmentHead::BYTES..);
                    }
                    let config = &configs[&segment.kind];
                    if let Some((start_ms, duration_ms)) = manifest.gap_before(&segment) {
                        manifest.add_gap(start_ms, duration_ms, GapReason::PublisherReconnect);
                    }
                    manifest.add_segment(&segment, config, sha256_hex(&segment.bytes));
                    playlists.push(&segment, config, epoch());
                    segments.push((segment.clone(), Arc::clone(config)));
                    kept.put(ObjectName::segment(&segment).as_str(), segment.bytes);
                }
                Cut::Part(_) | Cut::KeyframeWanted => {}
            }
        }
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let text = playlists.media(kind, Completeness::Complete).unwrap().unwrap();
            kept.put(ObjectName::playlist(kind).as_str(), text.into());
        }
        kept.put("index.m3u8", playlists.multivariant().unwrap().unwrap().into());
        let layout = crate::progressive::layout(segments.iter().map(|(segment, config)| (segment, config))).unwrap();
        let mut file = layout.header.to_vec();
        for piece in layout.pieces {
            let name = ObjectName::numbered(piece.kind, piece.msn);
            file.extend_from_slice(&kept.get(name.as_str())[piece.range.start as usize..piece.range.end as usize]);
        }
        manifest.add_object(&ObjectName::progressive(), file.len() as u64, sha256_hex(&file));
        kept.put("recording.mp4", file.into());
        manifest.finish(RecordingState::Complete);
        kept.put("recording.json", manifest.to_json().into());
        kept
    }

    fn path(&self, name: &str) -> ObjectPath {
        ObjectPath::new(&self.room, &self.recording, ObjectName::parse(name).unwrap())
    }

    pub(super) fn put(&self, name: &str, bytes: Bytes) {
        run(self.store.put(&self.path(name), bytes)).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        run(self.store.inner.delete(&self.store.path(&self.path(name)))).unwrap();
    }

    fn get(&self, name: &str) -> Bytes {
        run(async {
            let result = self.store.inner.get(&self.store.path(&self.path(name))).await.unwrap();
            result.bytes().await.unwrap()
        })
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.get(name).to_vec();
        change(&mut bytes);
        self.put(name, bytes.into());
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Value)) {
        let mut json: Value = serde_json::from_slice(&self.get("recording.json")).unwrap();
        change(&mut json);
        self.put("recording.json", serde_json::to_vec(&json).unwrap().into());
    }

    fn manifest(&self) -> Manifest {
        serde_json::from_slice(&self.get("recording.json")).unwrap()
    }

    pub(super) fn try_verify(&self, repair: Repair) -> Result<Report, VerifyError> {
        let settings = VerifySettings { repair, server: "onair 9".into(), target_duration_s: 3, mp4: true };
        run(self.store.verify(&self.room, &self.recording, &settings))
    }

    pub(super) fn look(&self) -> Report {
        self.try_verify(Repair::LookOnly).unwrap()
    }

    /// Mends, and checks that a second look finds nothing more.
    fn mend(&self) -> Report {
        let report = self.try_verify(Repair::Ended).unwrap();
        let again = self.look();
        assert!(again.findings.is_empty(), "{again}\nafter\n{report}");
        report
    }

    pub(super) fn everything(&self) -> Vec<(ObjectName, Bytes)> {
        let names = run(self.store.list_objects(&self.room, &self.recording)).unwrap();
        names.into_keys().map(|name| (name.clone(), self.get(name.as_str()))).collect()
    }
}

fn found(report: &Report) -> Vec<(&str, Problem, Remedy)> {
    report.findings.iter().map(|finding| (finding.object.as_str(), finding.problem, finding.remedy)).collect()
}

#[test]
fn a_whole_recording_is_whole_and_stays_as_it_is() {
    for format in [Format::One, Format::Two] {
        let kept = Kept::new(format);
        let before = kept.everything();
        let report = kept.mend();
        assert!(report.is_whole() && report.findings.is_empty(), "{report}");
        assert_eq!((report.segments, report.state), (12, Some(RecordingState::Complete)));
        assert_eq!(kept.everything(), before);
    }
}

#[test]
fn every_damage_is_named_and_what_can_be_mended_is() {
    use Problem::*;
    use Remedy::{Lost, Mended};
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let garble = |bytes: &mut Vec<u8>| bytes[300..].fill(0xa5);
    type Damage = Box<dyn Fn(&Kept)>;
    let change = |name: &'static str, how: fn(&mut Vec<u8>)| -> Damage { Box::new(move |kept| kept.change(name, how)) };
    let remove = |name: &'static str| -> Damage { Box::new(move |kept| kept.remove(name)) };
    let damages: Vec<(Damage, &str, Problem, Remedy)> = vec![
        (change("video/000002.m4s", |bytes| bytes.truncate(100)), "video/000002.m4s", Size, Lost),
        (change("video/000002.m4s", flip), "video/000002.m4s", Digest, Lost),
        (change("audio/000006.m4s", flip), "audio/000006.m4s", Digest, Lost),
        (change("video/000001.m4s", flip), "video/000001.m4s", Digest, Lost),
        (remove("audio/000003.m4s"), "audio/000003.m4s", Missing, Lost),
        (remove("video/init-2.mp4"), "video/000005.m4s", Unreadable, Lost),
        (change("video/init-1.mp4", garble), "video/000001.m4s", Unreadable, Lost),
        (remove("video/index.m3u8"), "video/index.m3u8", Missing, Mended),
        (change("audio/index.m3u8", |bytes| bytes.truncate(99)), "audio/index.m3u8", Disagrees, Mended),
        (change("audio/index.m3u8", |bytes| bytes[0] = 0xff), "audio/index.m3u8", Unreadable, Mended),
        (remove("index.m3u8"), "index.m3u8", Missing, Mended),
        (change("index.m3u8", |bytes| bytes.truncate(60)), "index.m3u8", Disagrees, Mended),
        (remove("recording.json"), "recording.json", Missing, Mended),
        (change("recording.json", |bytes| bytes.truncate(500)), "recording.json", Unreadable, Mended),
        (remove("recording.mp4"), "recording.mp4", Missing, Mended),
        (change("recording.mp4", flip), "recording.mp4", Digest, Mended),
        (change("recording.mp4", |bytes| bytes.truncate(3000)), "recording.mp4", Size, Mended),
    ];
    for (damage, object, problem, remedy) in damages {
        let kept = Kept::new(Format::Two);
        damage(&kept);
        let looked = kept.look();
        let expected = if remedy == Mended { Remedy::Mendable } else { remedy };
        assert!(found(&looked).contains(&(object, problem, expected)), "{object} {problem:?}: {looked}");
        assert!(!looked.is_whole());
        let mended = kept.mend();
        assert!(found(&mended).contains(&(object, problem, remedy)), "{object} {problem:?}: {mended}");
        assert!(found(&mended).iter().all(|(_, _, remedy)| *remedy != Remedy::Mendable), "{mended}");
        assert_eq!(mended.is_whole(), remedy == Mended, "{mended}");
    }
}

/// What a repair writes is what was there, but for who wrote it.
#[test]
fn segments_alone_tell_everything_but_the_digest_of_the_past() {
    let kept = Kept::new(Format::Two);
    let before = kept.everything();
    for name in ["recording.json", "recording.mp4", "index.m3u8", "video/index.m3u8"] {
        kept.remove(name);
    }
    // The sound's playlist still tells when it was.
    assert!(kept.mend().is_whole());
    let manifest = kept.manifest();
    assert_eq!((manifest.state, &manifest.server[..]), (RecordingState::Recovered, "onair 9"));
    assert_eq!(manifest.guessed, ["gaps"]);
    let unchanged = |name: &ObjectName| *name != ObjectName::manifest();
    let kept_too =
        |all: Vec<(ObjectName, Bytes)>| all.into_iter().filter(|(name, _)| unchanged(name)).collect::<Vec<_>>();
    assert_eq!(kept_too(kept.everything()), kept_too(before.clone()));
    let old = before.iter().find(|(name, _)| *name == ObjectName::manifest()).unwrap();
    let old: Manifest = serde_json::from_slice(&old.1).unwrap();
    let (state, server) = (old.state, old.server.clone());
    assert_eq!(Manifest { state, server, guessed: Vec::new(), inits: Vec::new(), ..manifest }, old);
}

#[test]
fn without_playlists_the_name_tells_the_second() {
    let kept = Kept::new(Format::Two);
    for name in ["recording.json", "video/index.m3u8", "audio/index.m3u8"] {
        kept.remove(name);
    }
    assert!(kept.mend().is_whole());
    let manifest = kept.manifest();
    assert_eq!(manifest.start.to_rfc3339(), "2026-11-22T06:30:00+00:00");
    assert_eq!(manifest.guessed, ["wall_clock", "gaps"]);
    assert_eq!((manifest.gaps.len(), manifest.gaps[0].reason), (1, GapReason::PublisherReconnect));
}

#[test]
fn segments_without_head_are_placed_by_their_times() {
    let kept = Kept::new(Format::One);
    let playlist = kept.get("video/index.m3u8");
    for name in ["recording.json", "video/index.m3u8"] {
        kept.remove(name);
    }
    assert!(kept.mend().is_whole());
    assert_eq!(kept.get("video/index.m3u8"), playlist);
    assert_eq!(kept.manifest().guessed, ["initialisation", "continuity", "gaps"]);
}

#[test]
fn a_lost_segment_is_a_gap_everywhere_but_in_the_mp4_that_still_has_it() {
    let kept = Kept::new(Format::Two);
    let movie = kept.get("recording.mp4");
    kept.change("video/000002.m4s", |bytes| bytes.truncate(200));
    kept.remove("audio/000002.m4s");
    let report = kept.mend();
    assert!(!report.is_whole());
    let manifest = kept.manifest();
    // 2 s to 4 s are gone, as 7 s to 10 s were before; the names of what is lost stay known.
    let gaps: Vec<_> = manifest.gaps.iter().map(|gap| (gap.start_ms, gap.duration_ms, gap.reason)).collect();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert!(gaps[0].0.abs_diff(2_000) < 40 && gaps[0].1.abs_diff(2_000) < 40, "{gaps:?}");
    assert_eq!((gaps[0].2, gaps[1].2), (GapReason::Other, GapReason::PublisherReconnect));
    let lost: Vec<_> = manifest.lost.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(lost, ["video/000002.m4s", "audio/000002.m4s"]);
    assert_eq!((manifest.segments.len(), manifest.state), (10, RecordingState::Complete));
    for kind in ["video", "audio"] {
        let playlist = String::from_utf8(kept.get(&format!("{kind}/index.m3u8")).to_vec()).unwrap();
        assert!(playlist.contains("#EXT-X-GAP\n"), "{playlist}");
        assert!(playlist.find("#EXT-X-GAP").unwrap() < playlist.find("000002.m4s").unwrap());
        assert_eq!(playlist.matches("#EXT-X-GAP").count(), 1);
    }
    assert_eq!(kept.get("recording.mp4"), movie);
    // Without it, what is left makes a smaller one.
    kept.remove("recording.mp4");
    assert!(kept.mend().is_whole());
    assert!(kept.get("recording.mp4").len() < movie.len());
}

/// Number 5 is where the publisher came back with a smaller picture.
#[test]
fn another_configuration_begins_anew_also_where_the_segment_that_said_so_is_lost() {
    let playlists = |lost: &[&str]| {
        let kept = Kept::new(Format::Two);
        lost.iter().for_each(|name| kept.remove(name));
        kept.mend();
        ["video", "audio"].map(|kind| String::from_utf8(kept.get(&format!("{kind}/index.m3u8")).to_vec()).unwrap())
    };
    let flagged = |playlist: &String| {
        let at = playlist.find("#EXT-X-DISCONTINUITY\n").unwrap();
        let name = playlist[at..].lines().find(|line| line.ends_with(".m4s")).unwrap();
        (playlist.matches("#EXT-X-DISCONTINUITY\n").count(), name.to_owned())
    };
    for playlist in playlists(&["video/000005.m4s", "audio/000005.m4s"]) {
        assert_eq!(flagged(&playlist), (1, "000006.m4s".into()), "{playlist}");
    }
    // The sound still says it.
    for playlist in playlists(&["video/000005.m4s"]) {
        assert_eq!(flagged(&playlist), (1, "000005.m4s".into()), "{playlist}");
    }
}

#[test]
fn a_lost_segment_that_comes_back_is_listed_again() {
    let kept = Kept::new(Format::Two);
    let (segment, manifest) = (kept.get("video/000003.m4s"), kept.manifest());
    kept.remove("video/000003.m4s");
    kept.mend();
    // Something else under its name changes nothing.
    kept.put("video/000003.m4s", kept.get("video/000002.m4s"));
    assert!(kept.look().findings.is_empty());
    kept.put("video/000003.m4s", segment);
    let report = kept.mend();
    assert!(found(&report).contains(&("video/000003.m4s", Problem::Unlisted, Remedy::Mended)), "{report}");
    assert_eq!(kept.manifest().segments, manifest.segments);
    assert!(kept.manifest().lost.is_empty());
}

#[test]
fn what_is_stored_but_not_listed_is_listed() {
    let kept = Kept::new(Format::Two);
    kept.change_manifest(|json| drop(json["segments"].as_array_mut().unwrap().pop()));
    let report = kept.mend();
    assert_eq!(found(&report)[0], ("audio/000006.m4s", Problem::Unlisted, Remedy::Mended));
    assert!(report.is_whole(), "{report}");
}

#[test]
fn a_manifest_that_lies_is_written_anew_and_keeps_what_it_knows_better() {
    let lies: [fn(&mut Value); 8] = [
        |json| json["segments"][3]["start_ms"] = json!(77),
        |json| json["segments"][3]["duration_ms"] = json!(77),
        |json| json["segments"][3] = json["segments"][2].clone(),
        |json| json["segments"][3]["name"] = json!("video/3.m4s"),
        |json| json["tracks"][0]["width"] = json!(641),
        |json| json["gaps"] = json!([]),
        |json| json["duration_ms"] = json!(13_000),
        |json| json["end"] = json!("2026-11-22T07:30:00.120Z"),
    ];
    for lie in lies {
        let kept = Kept::new(Format::Two);
        kept.change_manifest(|json| {
            lie(json);
            json["weather"] = json!("of a later version");
        });
        let report = kept.mend();
        assert!(found(&report).contains(&("recording.json", Problem::Disagrees, Remedy::Mended)), "{report}");
        assert!(report.is_whole(), "{report}");
        let json: Value = serde_json::from_slice(&kept.get("recording.json")).unwrap();
        assert_eq!((&json["weather"], &json["state"]), (&json!("of a later version"), &json!("complete")));
    }
}

#[test]
fn a_manifest_of_another_recording_is_none() {
    let kept = Kept::new(Format::Two);
    kept.change_manifest(|json| json["room"] = json!("studio-2"));
    assert_eq!(found(&kept.look()), [("recording.json", Problem::Unreadable, Remedy::Mendable)]);
}

#[test]
fn a_manifest_of_a_later_schema_is_not_touched() {
    let kept = Kept::new(Format::Two);
    kept.change_manifest(|json| json["schema"] = json!(2));
    let before = kept.everything();
    assert!(matches!(kept.try_verify(Repair::Interrupted), Err(VerifyError::Later { schema: 2 })));
    assert_eq!(kept.everything(), before);
}

/// Each number between two segments is a line of the playlists.
#[test]
fn a_number_from_nowhere_is_not_followed() {
    let kept = Kept::new(Format::Two);
    let segment = kept.get("video/000006.m4s");
    // The next number, too, if it is not the next in time.
    for name in ["video/18446744073709551615.m4s", "video/99999999.m4s", "video/000000.m4s", "video/000007.m4s"] {
        kept.put(name, segment.clone());
    }
    let report = kept.look();
    assert!(report.findings.is_empty(), "{report}");
    kept.remove("recording.json");
    kept.remove("video/000007.m4s");
    let report = kept.mend();
    assert!(found(&report).contains(&("video/99999999.m4s", Problem::Unreadable, Remedy::Lost)), "{report}");
}

#[test]
fn a_live_recording_is_looked_at_and_mended_only_when_its_server_is_gone() {
    let kept = Kept::new(Format::Two);
    // The manifest is written now and then: the last two segments are not in it yet, and there is no MP4.
    kept.change_manifest(|json| {
        json["state"] = json!("live");
        json["objects"] = json!([]);
        json["segments"].as_array_mut().unwrap().truncate(10);
    });
    kept.remove("recording.mp4");
    let report = kept.look();
    assert!(report.findings.is_empty() && report.state == Some(RecordingState::Live), "{report}");
    assert!(matches!(kept.try_verify(Repair::Ended), Err(VerifyError::Live { .. })));
    let report = kept.try_verify(Repair::Interrupted).unwrap();
    assert_eq!(
        (report.is_whole(), report.state, report.segments),
        (true, Some(RecordingState::Recovered), 12),
        "{report}"
    );
    assert_eq!(kept.manifest().objects.len(), 1);
    assert!(kept.look().findings.is_empty());
}

#[test]
fn ranges_stand_for_a_digest_of_the_whole() {
    let kept = Kept::new(Format::Two);
    let movie = kept.get("recording.mp4");
    let parts: Vec<_> =
        movie.chunks(1_000).map(|part| PartDigest { bytes: part.len() as u64, sha256: sha256_hex(part) }).collect();
    kept.change_manifest(|json| {
        json["objects"][0].as_object_mut().unwrap().remove("sha256");
        json["objects"][0]["parts"] = serde_json::to_value(&parts).unwrap();
    });
    assert!(kept.look().findings.is_empty());
    kept.change("recording.mp4", |bytes| bytes[2_500] ^= 1);
    let report = kept.look();
    assert!(report.findings[0].detail.contains("byte 2000 "), "{report}");
    assert!(kept.mend().is_whole());
}

#[test]
fn nothing_to_look_at_is_an_error_and_nothing_to_play_a_finding() {
    let kept = Kept::new(Format::Two);
    for (name, _) in kept.everything() {
        if name.as_str().ends_with(".m4s") {
            kept.remove(name.as_str());
        }
    }
    let before = kept.everything();
    let report = kept.try_verify(Repair::Ended).unwrap();
    assert_eq!((report.findings.len(), report.segments), (12, 0), "{report}");
    assert_eq!(kept.everything(), before);
    before.iter().for_each(|(name, _)| kept.remove(name.as_str()));
    assert!(matches!(kept.try_verify(Repair::LookOnly), Err(VerifyError::Store(StoreError::NotFound { .. }))));
}

/// An MP4 whose tables lie is seen without a digest, too.
#[test]
fn the_tables_of_an_mp4_are_checked() {
    let find = |bytes: &[u8], kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap();
    let lies: [fn(&mut [u8], usize); 4] = [
        |bytes, mdat| bytes[mdat + 3 - 4] ^= 1,
        |bytes, _| bytes[3] ^= 4,
        |bytes, _| {
            let at = bytes.windows(4).position(|window| window == b"stco").unwrap();
            bytes[at + 12] = 0x7f;
        },
        |bytes, _| {
            let at = bytes.windows(4).position(|window| window == b"stts").unwrap();
            bytes[at + 15] ^= 1;
        },
    ];
    for lie in lies {
        let kept = Kept::new(Format::Two);
        kept.change("recording.mp4", |bytes| {
            let mdat = find(bytes, b"mdat");
            lie(bytes, mdat);
        });
        kept.change_manifest(|json| drop(json["objects"][0].as_object_mut().unwrap().remove("sha256")));
        let report = kept.look();
        assert_eq!(found(&report), [("recording.mp4", Problem::Disagrees, Remedy::Mendable)], "{report}");
    }
}

/// The stream that an MP4 is put together of is longer than one part of an upload.
#[test]
fn a_stream_keeps_its_order() {
    let kept = Kept::new(Format::Two);
    let chunks = stream::iter((0..3).map(|n| Ok::<_, StoreError>(Bytes::from(vec![n; 4 << 20]))));
    let uploaded = run(kept.store.put_stream(&kept.path("poster.jpg"), 12 << 20, chunks)).unwrap();
    assert_eq!(uploaded.size, 12 << 20);
    kept.change_manifest(|json| {
        let entry = json!({ "name": "poster.jpg", "bytes": uploaded.size, "sha256": uploaded.sha256 });
        json["objects"].as_array_mut().unwrap().push(entry);
    });
    assert!(kept.look().findings.is_empty());
    kept.change("poster.jpg", |bytes| bytes[9 << 20] = 9);
    let report = kept.mend();
    assert_eq!(found(&report), [("poster.jpg", Problem::Digest, Remedy::Lost)]);
}

/// A damaged initialisation segment that can still be read was taken for what it was.
#[test]
fn initialisation_segments_are_held_against_their_digests() {
    let kept = Kept::new(Format::Two);
    let inits: Vec<Value> = kept
        .everything()
        .iter()
        .filter(|(name, _)| name.is_init())
        .map(|(name, bytes)| json!({ "name": name.as_str(), "bytes": bytes.len(), "sha256": sha256_hex(bytes) }))
        .collect();
    kept.change_manifest(|manifest| {
        manifest["inits"] = inits.into();
        manifest["alignment"] = "arrival".into();
        manifest["publisher"] = json!({ "protocol": "whip" });
        manifest["guessed"] = json!(["alignment"]);
    });
    assert!(kept.look().findings.is_empty());
    // The name of the program that wrote it is in the handler box.
    kept.change("audio/init-1.mp4", |bytes| bytes[20] ^= 1);
    assert_eq!(found(&kept.look()), [("audio/init-1.mp4", Problem::Digest, Remedy::Lost)]);
    kept.mend();
    let manifest = kept.manifest();
    assert!(manifest.inits.iter().all(|init| init.name.starts_with("video/")) && !manifest.inits.is_empty());
    // What a repair cannot know it leaves as it was.
    assert_eq!(
        (manifest.alignment, manifest.guessed),
        (Some(onair_media::Alignment::Arrival), vec!["alignment".into()])
    );
    assert!(manifest.publisher.is_some());
    // Without a manifest, what can be read is listed.
    kept.remove("recording.json");
    kept.mend();
    assert_eq!(kept.manifest().inits.len(), manifest.inits.len() + 1);
}
