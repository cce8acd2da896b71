//! One suite for every store that runs here: memory and a directory.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

use bytes::Bytes;
use chrono::DateTime;
use futures_util::stream::{self, TryStreamExt};
use object_store::{Attribute, ObjectStoreExt};
use onair_media::{RecordingId, RoomName};
use url::Url;

use super::list::RecordingQuery;
use super::{Store, StoreError, part_bytes};
use crate::manifest::{ManifestBuilder, RecordingState, sha256_hex};
use crate::object::{ObjectName, ObjectPath};

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(&Url::parse(url).unwrap(), &BTreeMap::new())
}

/// Opens an empty store of each sort; the directories are named after the test.
fn stores(test: &str) -> (Directory, [Store; 3]) {
    let directory = std::env::temp_dir().join(format!("onair-store-{test}-{}", std::process::id()));
    let url = Url::from_directory_path(directory.join("not yet there")).unwrap();
    (
        Directory(directory),
        [open("memory://").unwrap(), open("memory:///below/here").unwrap(), open(url.as_str()).unwrap()],
    )
}

fn object(room: &str, recording: &str, name: &str) -> ObjectPath {
    let recording = RecordingId::parse(recording).unwrap();
    ObjectPath::new(&RoomName::parse(room).unwrap(), &recording, ObjectName::parse(name).unwrap())
}

const ID: &str = "20261122T063000Z-7f3a9c";

async fn read(store: &Store, object: &ObjectPath, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>, StoreError> {
    let download = store.get_range(object, range).await?;
    let chunks: Vec<Bytes> = download.stream.try_collect().await?;
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

#[test]
fn what_is_put_is_there() {
    run(async {
        let (_directory, stores) = stores("put");
        for store in stores {
            let segment = object("studio-1", ID, "video/000001.m4s");
            assert!(matches!(store.head(&segment).await, Err(StoreError::NotFound { .. })));
            assert!(matches!(read(&store, &segment, Some(0..1)).await, Err(StoreError::NotFound { .. })));
            store.put(&segment, Bytes::from("0123456789")).await.unwrap();
            assert_eq!(store.head(&segment).await.unwrap().size, 10);
            assert!(store.head(&segment).await.unwrap().e_tag.is_some());
            assert_eq!(read(&store, &segment, None).await.unwrap(), b"0123456789");
            assert_eq!(read(&store, &segment, Some(2..5)).await.unwrap(), b"234");
            assert_eq!(read(&store, &segment, Some(8..99)).await.unwrap(), b"89");
            for beyond in [10..11, 99..100, 3..3] {
                let failed = read(&store, &segment, Some(beyond)).await;
                assert!(matches!(failed, Err(StoreError::Range { size: 10, .. })), "{failed:?}");
            }
        }
    });
}

#[test]
fn a_stream_is_visible_when_it_is_complete() {
    run(async {
        let (_directory, stores) = stores("stream");
        for store in stores {
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
    });
}

#[test]
fn media_may_be_kept_and_what_names_it_not() {
    run(async {
        let store = open("memory://").unwrap();
        let (forever, never) = ("max-age=31536000, immutable", "no-cache");
        for (name, media_type, cache) in [
            ("recording.json", "application/json", never),
            ("index.m3u8", "application/vnd.apple.mpegurl", never),
            ("audio/index.m3u8", "application/vnd.apple.mpegurl", never),
            ("audio/init-1.mp4", "audio/mp4", forever),
            ("video/000001.m4s", "video/mp4", forever),
            ("recording.mp4", "video/mp4", forever),
        ] {
            let object = object("a", ID, name);
            // 9 MiB: the MP4 comes in two parts, as real ones do.
            if object.name == ObjectName::progressive() {
                let bytes = (0..9).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20])));
                store.put_stream(&object, 9 << 20, stream::iter(bytes)).await.unwrap();
            } else {
                store.put(&object, Bytes::from("x")).await.unwrap();
            }
            let attributes = store.inner.get(&store.path(&object)).await.unwrap().attributes;
            let attribute = |which| attributes.get(&which).map(AsRef::as_ref);
            assert_eq!(attribute(Attribute::ContentType), Some(media_type), "{name}");
            assert_eq!(attribute(Attribute::CacheControl), Some(cache), "{name}");
        }
    });
}

#[test]
fn recordings_are_listed_newest_first_and_paged() {
    run(async {
        let (_directory, stores) = stores("list");
        for store in stores {
            assert_eq!(
                store.list_recordings(&RecordingQuery { limit: 10, ..Default::default() }).await.unwrap().recordings,
                []
            );
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
                let page =
                    store.list_recordings(&RecordingQuery { limit: 2, cursor, ..Default::default() }).await.unwrap();
                seen.extend(page.recordings.iter().map(|summary| summary.recording.to_string()));
                pages += 1;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!((seen, pages), (ids.iter().rev().cloned().collect(), 3));
            let room = RoomName::parse("b").unwrap();
            let of_room = RecordingQuery { rooms: Some(vec![room]), limit: 2, ..Default::default() };
            let page = store.list_recordings(&of_room).await.unwrap();
            assert_eq!((page.recordings.len(), page.next), (2, None));
            assert_eq!(page.recordings[0].objects, ["recording.mp4"]);
            let nonsense = RecordingQuery { limit: 2, cursor: Some("../..".into()), ..Default::default() };
            assert!(store.list_recordings(&nonsense).await.unwrap().recordings.is_empty());
            let day = |day: u32| DateTime::from_timestamp(1_793_491_200 + i64::from(day - 1) * 86_400, 0);
            let some_days = RecordingQuery { from: day(2), to: day(4), limit: 10, ..Default::default() };
            assert_eq!(store.list_recordings(&some_days).await.unwrap().recordings.len(), 2);
        }
    });
}

#[test]
fn a_deleted_recording_leaves_nothing() {
    run(async {
        let (directory, stores) = stores("delete");
        for store in stores {
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
        }
        assert!(!directory.0.join("not yet there/a").join(ID).exists());
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    assert!(matches!(open("ftp://example.org/"), Err(StoreError::Scheme { .. })));
    let options = BTreeMap::from([("colour".to_owned(), "blue".to_owned())]);
    let err = Store::open(&Url::parse("s3://bucket/prefix").unwrap(), &options).unwrap_err();
    assert_eq!(err.to_string(), "s3:// has no option colour");
    let options = BTreeMap::from(
        [
            ("endpoint", "http://127.0.0.1:9"),
            ("region", "here"),
            ("allow_http", "true"),
            ("access_key_id", "a"),
            ("secret_access_key", "b"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let store = Store::open(&Url::parse("s3://bucket/some/prefix").unwrap(), &options).unwrap();
    let path = store.path(&object("a", ID, "video/000001.m4s"));
    assert_eq!(path.as_ref(), format!("some/prefix/a/{ID}/video/000001.m4s"));
}

#[test]
fn parts_grow_with_the_file() {
    assert_eq!(part_bytes(1), 8 << 20);
    // 100 GiB in 10,000 parts: 10.24 MiB, so 11.
    assert_eq!(part_bytes(100 << 30), 11 << 20);
}
