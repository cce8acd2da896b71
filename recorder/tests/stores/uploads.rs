//! Uploads in parts that outlive the process.

use bytes::Bytes;
use onair_recorder::{ObjectPath, PART_BYTES, PartId, RecordingQuery, Store, StoreError, UploadId};

use crate::backend::{Backend, ID, object, read};

/// A whole part, in two chunks.
fn whole(fill: u8) -> Vec<Bytes> {
    let chunk = |bytes| Bytes::from(vec![fill; bytes]);
    vec![chunk(3), chunk(PART_BYTES as usize - 3)]
}

fn last(text: &'static str) -> Vec<Bytes> {
    vec![Bytes::from(text)]
}

/// A part as a journal would give it back that says what never was.
fn invented<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(text.into()).unwrap()
}

/// What a journal makes of an id.
fn journalled<T: serde::Serialize + serde::de::DeserializeOwned>(id: &T) -> T {
    serde_json::from_str(&serde_json::to_string(id).unwrap()).unwrap()
}

async fn begin(store: &Store) -> (ObjectPath, UploadId) {
    let file = object("studio-1", ID, "recording.mp4");
    let upload = store.begin_upload(&file).await.unwrap();
    (file, upload)
}

pub(crate) async fn parts_come_in_any_order(backend: &Backend) {
    let store = backend.open("order");
    let (file, upload) = begin(&store).await;
    let put = async |index, bytes| store.put_part(&file, &upload, index, bytes).await.unwrap();
    put(2, last("a longer end")).await;
    let second = put(1, whole(b'b')).await;
    put(0, whole(b'x')).await;
    // What is put again counts, the shorter end as well.
    let third = put(2, last("end")).await;
    let first = put(0, whole(b'a')).await;

    store.complete_upload(&file, &upload, vec![first, second, third]).await.unwrap();
    store.confirm(&file, 2 * PART_BYTES + 3).await.unwrap();
    let stored = read(&store, &file, None).await.unwrap();
    let part = PART_BYTES as usize;
    assert_eq!(stored.len(), 2 * part + 3);
    assert!(stored[..part].iter().all(|&byte| byte == b'a'));
    assert!(stored[part..2 * part].iter().all(|&byte| byte == b'b'));
    assert_eq!(&stored[2 * part..], b"end");

    // A former object is replaced.
    let again = store.begin_upload(&file).await.unwrap();
    let only = store.put_part(&file, &again, 0, last("short")).await.unwrap();
    store.complete_upload(&file, &again, vec![only]).await.unwrap();
    assert_eq!(read(&store, &file, None).await.unwrap(), b"short");
}

pub(crate) async fn what_no_store_should_get_is_refused(backend: &Backend) {
    let store = backend.open("refused");
    let (file, upload) = begin(&store).await;
    let put = async |index, bytes| store.put_part(&file, &upload, index, bytes).await;
    let too_large = [whole(0), last("x")].concat();
    for (bytes, size) in [(vec![], 0), (last(""), 0), (too_large, PART_BYTES + 1)] {
        let refused = put(1, bytes).await.unwrap_err();
        assert!(matches!(refused, StoreError::PartSize { index: 1, bytes, .. } if bytes == size), "{refused:?}");
    }
    let refused = put(10_000, last("x")).await.unwrap_err();
    assert!(matches!(refused, StoreError::PartCount { parts: 10_001, .. }), "{refused:?}");

    let (first, second) = (put(0, last("short")).await.unwrap(), put(1, last("end")).await.unwrap());
    let refused = store.complete_upload(&file, &upload, vec![first.clone(), second.clone()]).await.unwrap_err();
    assert!(matches!(refused, StoreError::PartSize { index: 0, bytes: 5, .. }), "{refused:?}");
    let refused = store.complete_upload(&file, &upload, vec![]).await.unwrap_err();
    assert!(matches!(refused, StoreError::PartCount { parts: 0, .. }), "{refused:?}");
    // Parts in the wrong places, and a damaged journal.
    for parts in [vec![second.clone()], vec![invented("")], vec![invented("0 five x")]] {
        let gone = store.complete_upload(&file, &upload, parts).await.unwrap_err();
        assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");
    }

    // After all that it can still be made right.
    let first = put(0, whole(0)).await.unwrap();
    store.complete_upload(&file, &upload, vec![first, second]).await.unwrap();
    store.confirm(&file, PART_BYTES + 3).await.unwrap();
}

pub(crate) async fn an_upload_that_is_gone_says_so(backend: &Backend) {
    let store = backend.open("gone");
    let (file, upload) = begin(&store).await;
    let part = store.put_part(&file, &upload, 0, last("x")).await.unwrap();
    store.abort_upload(&file, &upload).await.unwrap();
    store.abort_upload(&file, &upload).await.unwrap();
    let gone = store.put_part(&file, &upload, 1, last("x")).await.unwrap_err();
    assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");
    let gone = store.complete_upload(&file, &upload, vec![part]).await.unwrap_err();
    assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");

    // Ids of a damaged journal name nothing that could be written to.
    for id in ["", "0", "1", "../../../escape", "99999999999999999999"] {
        let upload: UploadId = invented(id);
        let gone = store.put_part(&file, &upload, 0, last("x")).await.unwrap_err();
        assert!(matches!(gone, StoreError::UploadGone { .. }), "{id}: {gone:?}");
        store.abort_upload(&file, &upload).await.unwrap();
    }
    assert!(matches!(store.head(&file).await, Err(StoreError::NotFound { .. })));

    // A store that forgot a part.
    let (file, upload) = begin(&store).await;
    let first = store.put_part(&file, &upload, 0, whole(0)).await.unwrap();
    let forgotten: PartId = invented("1 3 64656164626565666465616462656566");
    let gone = store.complete_upload(&file, &upload, vec![first, forgotten]).await.unwrap_err();
    assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");
}

pub(crate) async fn another_process_goes_on(backend: &Backend) {
    let store = backend.open("resumed");
    let (file, upload) = begin(&store).await;
    let second = store.put_part(&file, &upload, 1, last("end")).await.unwrap();
    drop(store);

    let (store, upload) = (backend.open("resumed"), journalled(&upload));
    let first = store.put_part(&file, &upload, 0, whole(b'a')).await;
    if !backend.outlives_the_process() {
        assert!(matches!(first, Err(StoreError::UploadGone { .. })), "{first:?}");
        return;
    }
    let parts = vec![journalled(&first.unwrap()), journalled(&second)];
    drop(store);

    let store = backend.open("resumed");
    store.complete_upload(&file, &upload, parts).await.unwrap();
    store.confirm(&file, PART_BYTES + 3).await.unwrap();
    assert_eq!(read(&store, &file, Some(PART_BYTES - 1..PART_BYTES + 3)).await.unwrap(), b"aend");
}

pub(crate) async fn nothing_shows_before_it_completes(backend: &Backend) {
    let store = backend.open("unfinished");
    let (file, upload) = begin(&store).await;
    store.put_part(&file, &upload, 0, last("x")).await.unwrap();
    assert!(matches!(store.head(&file).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(read(&store, &file, None).await, Err(StoreError::NotFound { .. })));
    let query = RecordingQuery { limit: 10, ..Default::default() };
    assert_eq!(store.list_recordings(&query).await.unwrap().recordings, []);
    let deleted = store.delete_recording(&file.room, &file.recording).await;
    assert!(matches!(deleted, Err(StoreError::NotFound { .. })), "{deleted:?}");

    let missing = store.confirm(&file, 1).await.unwrap_err();
    assert!(matches!(missing, StoreError::Unconfirmed { expected: 1, found: None, .. }), "{missing:?}");
    store.put(&file, Bytes::from("four")).await.unwrap();
    store.confirm(&file, 4).await.unwrap();
    let other = store.confirm(&file, 5).await.unwrap_err();
    assert!(matches!(other, StoreError::Unconfirmed { expected: 5, found: Some(4), .. }), "{other:?}");
    assert!(other.to_string().ends_with("should have 5 bytes, and has 4"), "{other}");
}
