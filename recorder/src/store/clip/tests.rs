//! Clips of a store that may have lost some of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use onair_media::{MediaKind, RecordingId, RoomName};

use super::{ClipError, Store, StoreError};
use crate::clip::{Clip, ClipRange, ClipRefusal};
use crate::testing::{broadcast, h264, opus, pull};
use crate::{Cut, Fragmenter, FragmenterSettings, ManifestBuilder, ObjectName, ObjectPath, sha256_hex};

const CUT: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

/// A recording of 20 s, which begins 3 s after the epoch.
struct Kept {
    store: Store,
    room: RoomName,
    recording: RecordingId,
    start: DateTime<Utc>,
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

impl Kept {
    fn new() -> Self {
        let epoch = DateTime::parse_from_rfc3339("2026-11-22T06:30:00.120Z").unwrap().to_utc();
        let kept = Self {
            store: Store::from(Arc::new(InMemory::new()) as Arc<dyn object_store::ObjectStore>),
            room: RoomName::parse("studio-1").unwrap(),
            recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
            start: epoch + TimeDelta::seconds(3),
        };
        let mut fragmenter = Fragmenter::new(CUT, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 3, 20, 1);
        fragmenter.finish();
        let mut manifest = ManifestBuilder::new(kept.room.clone(), kept.recording.clone(), "onair 0.1.0", epoch);
        for cut in pull(&mut fragmenter).all {
            match cut {
                Cut::Init(init) => kept.put(ObjectName::init(&init), init.bytes),
                Cut::Segment(segment) => {
                    let config = if segment.kind == MediaKind::Video { h264() } else { opus() };
                    manifest.add_segment(&segment, &config, sha256_hex(&segment.bytes));
                    kept.put(ObjectName::segment(&segment), segment.bytes.clone());
                }
                Cut::Part(_) | Cut::KeyframeWanted => {}
            }
        }
        kept.put(ObjectName::manifest(), manifest.to_json().into());
        kept
    }

    fn put(&self, name: ObjectName, bytes: Bytes) {
        run(self.store.put(&ObjectPath::new(&self.room, &self.recording, name), bytes)).unwrap();
    }

    fn remove(&self, name: &str) {
        let path = ObjectPath::new(&self.room, &self.recording, ObjectName::parse(name).unwrap());
        run(self.store.inner.delete(&self.store.path(&path))).unwrap();
    }

    fn clip(&self, from: &str, to: &str) -> Result<Clip, ClipError> {
        let range = ClipRange::parse(Some(from), Some(to)).unwrap();
        run(self.store.clip(&self.room, &self.recording, &range))
    }

    fn file(&self, clip: &Clip) -> Result<Vec<u8>, StoreError> {
        let stream = self.store.read_clip(&self.room, &self.recording, clip, 0..u64::MAX);
        Ok(run(stream.try_collect::<Vec<Bytes>>())?.concat())
    }
}

#[test]
fn a_clip_is_as_long_as_it_says() {
    let kept = Kept::new();
    let clip = kept.clip("5.5", "11").unwrap();
    let file = kept.file(&clip).unwrap();
    assert_eq!(file.len() as u64, clip.layout().total_bytes);
    let reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(&file), file.len() as u64).unwrap();
    assert_eq!(reader.duration(), Duration::from_millis(5_500));
    // The same by the time of day.
    let at = |ms| (kept.start + TimeDelta::milliseconds(ms)).to_rfc3339();
    assert_eq!(kept.clip(&at(5_500), &at(11_000)).unwrap().tag(), clip.tag());
}

#[test]
fn a_time_that_is_not_there_is_refused() {
    let kept = Kept::new();
    let refused = |from: &str, to: &str| match kept.clip(from, to).unwrap_err() {
        ClipError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    };
    assert_eq!(refused("20", "20.5"), ClipRefusal::Outside { name: "from", duration_ms: 20_000 });
    assert_eq!(refused("1", "21.001"), ClipRefusal::Outside { name: "to", duration_ms: 20_000 });
    assert!(kept.clip("19", "21").is_ok());
    let before = (kept.start - TimeDelta::milliseconds(1)).to_rfc3339();
    assert_eq!(refused(&before, "1"), ClipRefusal::Outside { name: "from", duration_ms: 20_000 });
    // One in seconds, one in time of day: their order shows only here.
    let early = (kept.start + TimeDelta::seconds(1)).to_rfc3339();
    assert_eq!(refused("2", &early), ClipRefusal::Order);
}

/// What is listed and lost is a gap, wherever it is; the recording begins when it did.
#[test]
fn lost_segments_and_configurations_are_gaps() {
    let kept = Kept::new();
    let whole = kept.clip("9", "11").unwrap();
    for name in ["video/000001.m4s", "audio/000001.m4s"] {
        kept.remove(name);
    }
    let later = kept.clip("9", "11").unwrap();
    assert_eq!(later.tag(), whole.tag(), "what is not concerned is not touched");
    assert!(matches!(kept.clip("1", "2").unwrap_err(), ClipError::Refused(ClipRefusal::Empty)));
    // A segment that is torn is as good as none.
    kept.put(ObjectName::parse("video/000003.m4s").unwrap(), Bytes::from_static(b"\0\0\0\x10moof"));
    assert_ne!(kept.clip("9", "11").unwrap().tag(), whole.tag());
    kept.remove("video/init-1.mp4");
    assert_eq!(kept.clip("9", "11").unwrap().content_type(), "audio/mp4");
    kept.remove("audio/init-1.mp4");
    assert!(matches!(kept.clip("9", "11").unwrap_err(), ClipError::Refused(ClipRefusal::Empty)));
}

/// Whoever is sent a clip while it is deleted learns that it is not whole.
#[test]
fn a_clip_that_is_deleted_meanwhile_breaks_off() {
    let kept = Kept::new();
    let clip = kept.clip("1", "11").unwrap();
    kept.remove("video/000002.m4s");
    assert!(matches!(kept.file(&clip), Err(StoreError::NotFound { .. })));
}
