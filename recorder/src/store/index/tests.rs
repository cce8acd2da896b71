use std::future::Future;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::{Value, json};

use super::*;
use crate::manifest::{ManifestBuilder, sha256_hex};
use crate::object::{ObjectName, ObjectPath};
use crate::store::Store;

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// The n-th recording, in one of three rooms.
fn place(n: usize) -> Place {
    let id = format!("202611{:02}T{:02}{:02}00Z-{n:06x}", 1 + n / 1440 % 28, n / 60 % 24, n % 60);
    (RecordingId::parse(&id).unwrap(), RoomName::parse(["a", "b", "c-1"][n % 3]).unwrap())
}

fn manifest((recording, room): &Place, state: RecordingState, bytes: u64) -> Bytes {
    let mut builder = ManifestBuilder::new(room.clone(), recording.clone(), "onair test", chrono::DateTime::UNIX_EPOCH);
    builder.add_object(&ObjectName::progressive(), bytes, sha256_hex(b"x"));
    builder.finish(state);
    builder.to_json().into()
}

async fn put(store: &Store, place: &Place, state: RecordingState, bytes: u64) {
    let object = ObjectPath::new(&place.1, &place.0, ObjectName::manifest());
    store.put(&object, manifest(place, state, bytes)).await.unwrap();
}

/// Two servers on one bucket, which holds so many recordings.
async fn bucket(recordings: usize) -> (Store, Store) {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (ours, theirs) = (Store::from(Arc::clone(&inner)), Store::from(inner));
    for n in 0..recordings {
        put(&theirs, &place(n), RecordingState::Complete, 1).await;
    }
    (ours, theirs)
}

/// Every page, one after the other.
async fn listed(store: &Store, rooms: Option<Vec<RoomName>>, limit: usize) -> Vec<RecordingSummary> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let query = RecordingQuery { rooms: rooms.clone(), limit, cursor, ..Default::default() };
        let page = store.list_recordings(&query).await.unwrap();
        all.extend(page.recordings);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

#[test]
fn pages_of_the_index_are_those_of_the_store() {
    run(async {
        let (store, _) = bucket(1_100).await;
        store.refresh_index().await.unwrap();
        assert_eq!(store.index.standing(Instant::now()), Standing::Fresh);
        let rooms = Some(vec![place(0).1, place(2).1]);
        for (rooms, limit, count) in [(None, 500, 1_100), (rooms, 100, 733), (Some(Vec::new()), 10, 0)] {
            let from_index = listed(&store, rooms.clone(), limit).await;
            let everything = RecordingQuery { rooms, limit: 10_000, ..Default::default() };
            let from_store = store.list_from_store(&everything).await.unwrap();
            assert_eq!((from_index.len(), from_index == from_store.recordings), (count, true));
        }
        for (cursor, count) in [("../..", 0), ("9", 10), ("20261101T000300Z", 3)] {
            let query = RecordingQuery { limit: 10, cursor: Some(cursor.into()), ..Default::default() };
            assert_eq!(store.list_recordings(&query).await.unwrap().recordings.len(), count, "{cursor}");
        }
    });
}

#[test]
fn what_this_server_does_is_seen_at_once_and_what_others_do_after_a_look() {
    run(async {
        let (ours, theirs) = bucket(1_100).await;
        ours.refresh_index().await.unwrap();
        put(&ours, &place(2_000), RecordingState::Live, 1).await;
        put(&ours, &place(2_000), RecordingState::Live, 7).await;
        ours.delete_recording(&place(1).1, &place(1).0).await.unwrap();
        let ours_now = listed(&ours, None, 500).await;
        assert_eq!((ours_now.len(), ours_now[0].stored_bytes), (1_100, 7));
        assert!(ours_now.iter().all(|summary| summary.recording != place(1).0));

        theirs.delete_recording(&place(2).1, &place(2).0).await.unwrap();
        put(&theirs, &place(2_001), RecordingState::Complete, 1).await;
        put(&theirs, &place(2_000), RecordingState::Recovered, 9).await;
        ours.refresh_index().await.unwrap();
        let ours_now = listed(&ours, None, 500).await;
        assert_eq!(ours_now.len(), 1_100);
        assert_eq!((&ours_now[0].recording, &ours_now[1].recording), (&place(2_001).0, &place(2_000).0));
        assert_eq!((ours_now[1].state, ours_now[1].stored_bytes), (RecordingState::Recovered, 9));
    });
}

#[test]
fn a_small_store_is_asked_itself() {
    run(async {
        let (ours, theirs) = bucket(3).await;
        ours.refresh_index().await.unwrap();
        assert_eq!(ours.index.standing(Instant::now()), Standing::Small);
        // Also of one that was known to be complete: somebody repaired it.
        put(&theirs, &place(0), RecordingState::Complete, 5).await;
        theirs.delete_recording(&place(1).1, &place(1).0).await.unwrap();
        let now = listed(&ours, None, 10).await;
        assert_eq!(now.iter().map(|summary| summary.stored_bytes).collect::<Vec<_>>(), [1, 5]);
    });
}

#[test]
fn an_index_that_nobody_refreshed_does_not_answer() {
    let index = Index::default();
    let now = Instant::now();
    assert_eq!(index.standing(now), Standing::Unknown);
    for n in 0..SMALL {
        index.note_written(place(n), manifest(&place(n), RecordingState::Complete, 1));
    }
    let later = |s| now + Duration::from_secs(s);
    index.fill((0..SMALL).map(place).collect(), now);
    let standings = [0, 29, 30, 599, 600].map(|s| index.standing(later(s)));
    assert_eq!(standings, [Standing::Fresh, Standing::Fresh, Standing::Stale, Standing::Stale, Standing::Unknown]);
}

#[test]
fn what_was_read_before_a_change_is_not_believed_after_it() {
    let index = Index::default();
    let (asked_at, here) = (Instant::now(), place(1));
    let info = ObjectInfo { size: 1, e_tag: None, last_modified: chrono::DateTime::UNIX_EPOCH };
    let old = Arc::new(skim(&manifest(&here, RecordingState::Complete, 1), &here).unwrap());
    index.note_written(here.clone(), manifest(&here, RecordingState::Complete, 2));
    index.note_read(here.clone(), &old, info.clone(), asked_at);
    // Nor does a look that began before it and did not find it remove it.
    index.fill(Vec::new(), asked_at);
    assert_eq!(index.summaries().iter().map(|summary| summary.stored_bytes).collect::<Vec<_>>(), [2]);
    index.forget(&here);
    index.note_read(here, &old, info, asked_at);
    assert!(index.summaries().is_empty());
}

#[test]
fn a_copy_of_a_recording_is_listed_where_it_stands() {
    run(async {
        let (store, _) = bucket(0).await;
        let (original, copy) = (place(0), (place(0).0, RoomName::parse("copies").unwrap()));
        let object = ObjectPath::new(&copy.1, &copy.0, ObjectName::manifest());
        store.put(&object, manifest(&original, RecordingState::Complete, 1)).await.unwrap();
        store.refresh_index().await.unwrap();
        assert_eq!(store.summaries()[0].room, copy.1);
        assert_eq!(store.summary(&copy.1, &copy.0).await.unwrap().room, copy.1);
    });
}

#[test]
fn sizes_add_up_without_the_segments_being_kept() {
    let of = |biggest: u64| {
        let mut manifest: Value = serde_json::from_slice(&manifest(&place(1), RecordingState::Complete, 10)).unwrap();
        let entry =
            |n| json!({ "name": "video/000001.m4s", "start_ms": 0, "duration_ms": 1, "bytes": n, "sha256": "00" });
        manifest["segments"] = (1..1_000).chain([biggest]).map(entry).collect();
        manifest
    };
    let summary = |manifest: &Value| skim(manifest.to_string().as_bytes(), &place(1));
    let sum = summary(&of(1_000)).unwrap();
    assert_eq!((sum.bytes, sum.stored_bytes), (500_500, 500_510));
    assert_eq!(summary(&of(u64::MAX)).unwrap().bytes, u64::MAX);
    let mut broken = of(1);
    broken["segments"][7].as_object_mut().unwrap().remove("bytes");
    assert!(summary(&broken).is_err());
}
