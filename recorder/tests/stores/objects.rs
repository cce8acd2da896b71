//! Objects that are put at once or as a stream, read, listed and deleted.

use std::ops::Range;

use bytes::Bytes;
use chrono::DateTime;
use futures_util::stream::{self, TryStreamExt};
use onair_media::{RecordingId, RoomName};
use onair_recorder::{
    ManifestBuilder, ObjectName, ObjectPath, RecordingQuery, RecordingState, Store, StoreError, sha256_hex,
};

use crate::backend::{Backend, Kind};

pub(crate) const ID: &str = "20261122T063000Z-7f3a9c";

pub(crate) fn object(room: &str, recording: &str, name: &str) -> ObjectPath {
    let recording = RecordingId::parse(recording).unwrap();
    ObjectPath::new(&RoomName::parse(room).unwrap(), &recording, ObjectName::parse(name).unwrap())
}

pub(crate) async fn read(store: &Store, object: &ObjectPath, range: Option<Range<u64>>) -> Result<Vec<u8>, StoreError> {
    let chunks: Vec<Bytes> = store.get_range(object, range).await?.stream.try_collect().await?;
    Ok(chunks.concat())
}

async fn put_manifest(store: &Store, room: &str, recording: &str) {
    let target = object(room, recording, "recording.json");
    let mut builder =
        ManifestBuilder::new(target.room.clone(), target.recording.clone(), "onair test", DateTime::UNIX_EPOCH);
    builder.add_object(&ObjectName::progressive(), 1, sha256_hex(b"x"));
    builder.finish(RecordingState::Complete);
    store.put(&target, builder.to_json().into()).await.unwrap();
}

pub(crate) async fn what_is_put_is_there(backend: &Backend) {
    let store = backend.open("put");
    let segment = object("studio-1", ID, "video/000001.m4s");
    assert!(matches!(store.head(&segment).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(read(&store, &segment, Some(0..1)).await, Err(StoreError::NotFound { .. })));
    let missing = store.confirm(&segment, 10).await.unwrap_err();
    assert!(matches!(missing, StoreError::Unconfirmed { expected: 10, found: None, .. }), "{missing:?}");

    store.put(&segment, Bytes::from("0123456789")).await.unwrap();
    assert_eq!(store.head(&segment).await.unwrap().size, 10);
    assert!(store.head(&segment).await.unwrap().e_tag.is_some());
    store.confirm(&segment, 10).await.unwrap();
    let other = store.confirm(&segment, 11).await.unwrap_err();
    assert!(matches!(other, StoreError::Unconfirmed { expected: 11, found: Some(10), .. }), "{other:?}");
    assert!(other.to_string().ends_with("should have 11 bytes, and has 10"), "{other}");

    assert_eq!(read(&store, &segment, None).await.unwrap(), b"0123456789");
    assert_eq!(read(&store, &segment, Some(2..5)).await.unwrap(), b"234");
    assert_eq!(read(&store, &segment, Some(8..99)).await.unwrap(), b"89");
    for beyond in [10..11, 99..100, 3..3] {
        let failed = read(&store, &segment, Some(beyond)).await;
        assert!(matches!(failed, Err(StoreError::Range { size: 10, .. })), "{failed:?}");
    }
    store.put(&segment, Bytes::from("again")).await.unwrap();
    assert_eq!(read(&store, &segment, None).await.unwrap(), b"again");
}

pub(crate) async fn a_stream_is_visible_when_it_is_complete(backend: &Backend) {
    let store = backend.open("stream");
    let file = object("studio-1", ID, "recording.mp4");
    // 9 MiB in odd chunks: two parts. And 3 bytes: a single put.
    for (chunks, size) in [(9, 1_048_579), (3, 1)] {
        let bytes = || (0..chunks).map(|n| Bytes::from(vec![n as u8; size]));
        let broken = stream::iter(bytes().map(Ok).chain([Err("cable pulled")]));
        let total = (chunks * size) as u64;
        assert!(matches!(store.put_stream(&file, total, broken).await, Err(StoreError::Source { .. })));
        assert!(matches!(store.head(&file).await, Err(StoreError::NotFound { .. })));

        let whole = stream::iter(bytes().map(Ok::<_, std::io::Error>));
        let uploaded = store.put_stream(&file, total, whole).await.unwrap();
        let expected = bytes().collect::<Vec<_>>().concat();
        assert_eq!((uploaded.size, uploaded.sha256), (total, sha256_hex(&expected)));
        assert_eq!(read(&store, &file, None).await.unwrap(), expected);
        store.delete_recording(&file.room, &file.recording).await.unwrap();
    }
}

pub(crate) async fn recordings_are_listed_newest_first_and_paged(backend: &Backend) {
    let store = backend.open("list");
    let all = RecordingQuery { limit: 10, ..Default::default() };
    assert_eq!(store.list_recordings(&all).await.unwrap().recordings, []);
    let ids: Vec<String> = (1..=5).map(|day| format!("2026110{day}T000000Z-00000{day}")).collect();
    for (index, id) in ids.iter().enumerate() {
        put_manifest(&store, if index % 2 == 0 { "a" } else { "b" }, id).await;
    }
    // Never finished, not ours, and not readable.
    store.put(&object("a", "20261231T000000Z-ffffff", "video/000001.m4s"), Bytes::from("x")).await.unwrap();
    store.put(&object("a", "20261230T000000Z-ffffff", "recording.json"), Bytes::from("{")).await.unwrap();

    assert_eq!(store.list_rooms().await.unwrap().iter().map(RoomName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list_recordings(&RecordingQuery { limit: 2, cursor, ..Default::default() }).await.unwrap();
        seen.extend(page.recordings.iter().map(|summary| summary.recording.to_string()));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (ids.iter().rev().cloned().collect(), 3));
    let of_room = RecordingQuery { rooms: Some(vec![RoomName::parse("b").unwrap()]), limit: 2, ..Default::default() };
    let page = store.list_recordings(&of_room).await.unwrap();
    assert_eq!((page.recordings.len(), page.next), (2, None));
    assert_eq!(page.recordings[0].objects, ["recording.mp4"]);
    let nonsense = RecordingQuery { limit: 2, cursor: Some("../..".into()), ..Default::default() };
    assert!(store.list_recordings(&nonsense).await.unwrap().recordings.is_empty());
    let day = |day: u32| DateTime::from_timestamp(1_793_491_200 + i64::from(day - 1) * 86_400, 0);
    let some_days = RecordingQuery { from: day(2), to: day(4), limit: 10, ..Default::default() };
    assert_eq!(store.list_recordings(&some_days).await.unwrap().recordings.len(), 2);
}

pub(crate) async fn a_deleted_recording_leaves_nothing(backend: &Backend) {
    let store = backend.open("delete");
    let names = ["recording.json", "index.m3u8", "video/index.m3u8", "video/000001.m4s"];
    for name in names {
        store.put(&object("a", ID, name), Bytes::from("{}")).await.unwrap();
    }
    let other = object("a", "20261122T063000Z-7f3a9d", "index.m3u8");
    store.put(&other, Bytes::from("kept")).await.unwrap();
    let (room, recording) = (other.room.clone(), RecordingId::parse(ID).unwrap());
    assert_eq!(store.delete_recording(&room, &recording).await.unwrap(), 4);
    for name in names {
        assert!(matches!(store.head(&object("a", ID, name)).await, Err(StoreError::NotFound { .. })));
    }
    let again = store.delete_recording(&room, &recording).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    assert!(store.head(&other).await.is_ok());

    // Regression: all that a recording without a segment has was removed and then said not to exist.
    put_manifest(&store, "a", ID).await;
    assert_eq!(store.delete_recording(&room, &recording).await.unwrap(), 1);
    let again = store.delete_recording(&room, &recording).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    if backend.kind == Kind::Directory {
        assert!(!backend.path("delete/a").join(ID).exists());
    }
}
