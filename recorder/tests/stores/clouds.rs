//! What only some clouds have: storage classes, encryption, deletion in bulk, refusals.

use std::error::Error;
use std::iter::successors;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use onair_media::{RecordingId, RoomName};
use onair_recorder::{Store, StoreError, sha256_hex};
use url::Url;

use crate::attributes::upload;
use crate::backend::Backend;
use crate::objects::{ID, object, read};
use crate::proxy::Proxy;

pub(crate) async fn media_has_its_storage_class(backend: &Backend) {
    let store = backend.open_with("class", &[("storage_class", "STANDARD_IA")]);
    let class = async |name| {
        let headers = backend.headers(&store, &object("a", ID, name)).await.unwrap();
        headers.get("x-amz-storage-class").map(|value| value.to_str().unwrap().to_owned())
    };
    for name in ["video/000001.m4s", "recording.json", "index.m3u8"] {
        store.put(&object("a", ID, name), Bytes::from("x")).await.unwrap();
    }
    upload(&store).await;
    assert_eq!(class("video/000001.m4s").await.as_deref(), Some("STANDARD_IA"));
    assert_eq!(class("recording.mp4").await.as_deref(), Some("STANDARD_IA"));
    // What is written again and again, or read at every listing, stays where that is cheap.
    assert_eq!((class("recording.json").await, class("index.m3u8").await), (None, None));
}

pub(crate) async fn media_has_its_access_tier(backend: &Backend) {
    let store = backend.open_with("tier", &[("storage_class", "Cool")]);
    for (name, tier) in [("video/000001.m4s", "Cool"), ("recording.json", "Hot")] {
        let object = object("a", ID, name);
        store.put(&object, Bytes::from("x")).await.unwrap();
        let headers = backend.headers(&store, &object).await.unwrap();
        assert_eq!(headers["x-ms-access-tier"], tier, "{name}");
    }
}

/// Of GCS only the question can be seen: what stands in for it here has no such classes.
pub(crate) async fn media_is_sent_with_its_storage_class(backend: &Backend) {
    let proxy = Proxy::before(&backend.options["base_url"], &[]).await;
    let store = backend.open_with("class", &[("base_url", &proxy.endpoint), ("storage_class", "NEARLINE")]);
    store.put(&object("a", ID, "recording.json"), Bytes::from("x")).await.unwrap();
    assert_eq!(proxy.sent().matches("x-goog-storage-class").count(), 0);
    store.put(&object("a", ID, "video/000001.m4s"), Bytes::from("x")).await.unwrap();
    upload(&store).await;
    assert_eq!(proxy.sent().matches("x-goog-storage-class: NEARLINE\r\n").count(), 2);
}

pub(crate) async fn a_missing_bucket_is_no_reason_to_begin_again(backend: &Backend) {
    let file = object("a", ID, "recording.mp4");
    let upload = backend.open("bucket").begin_upload(&file).await.unwrap();
    let nowhere = Store::open(&Url::parse("s3://nowhere/bucket").unwrap(), &backend.options).unwrap();
    let put = nowhere.put_part(&file, &upload, 0, vec![Bytes::from("x")]).await.unwrap_err();
    assert!(matches!(put, StoreError::Backend { .. }), "{put:?}");
}

pub(crate) async fn objects_are_encrypted_as_asked(backend: &Backend) {
    for (algorithm, more) in [("AES256", None), ("aws:kms", Some(("aws_sse_kms_key_id", "a-key")))] {
        let encryption = [Some(("aws_server_side_encryption", algorithm)), more];
        let store = backend.open_with("encrypted", &encryption.into_iter().flatten().collect::<Vec<_>>());
        let segment = object("a", ID, "video/000001.m4s");
        store.put(&segment, Bytes::from("x")).await.unwrap();
        upload(&store).await;
        for stored in [segment, object("a", ID, "recording.mp4")] {
            let headers = backend.headers(&store, &stored).await.unwrap();
            assert_eq!(headers["x-amz-server-side-encryption"], algorithm, "{stored}");
        }
    }
}

pub(crate) async fn a_recording_is_deleted_at_once(backend: &Backend) {
    let proxy = Proxy::before(&backend.options["endpoint"], &[]).await;
    let store = backend.open_with("bulk", &[("endpoint", &proxy.endpoint)]);
    // One more than a page of a listing has, and a request to delete.
    let segments = (0..1001).map(|index| object("a", ID, &format!("video/{index:06}.m4s")));
    let put = async |segment| store.put(&segment, Bytes::from("x")).await;
    stream::iter(segments).map(put).buffer_unordered(8).try_collect::<()>().await.unwrap();
    let (room, recording) = (RoomName::parse("a").unwrap(), RecordingId::parse(ID).unwrap());
    assert_eq!(store.delete_recording(&room, &recording).await.unwrap(), 1001);
    let sent = proxy.sent();
    assert_eq!(sent.matches("POST /bucket?delete").count(), 2);
    assert_eq!(sent.matches("DELETE /").count(), 0);
}

pub(crate) async fn what_arrives_is_checked(backend: &Backend) {
    let proxy = Proxy::before(&backend.options["endpoint"], &[]).await;
    let store = backend.open_with("checked", &[("endpoint", &proxy.endpoint)]);
    let file = object("a", ID, "recording.mp4");
    store.put(&file, Bytes::from("put")).await.unwrap();
    let upload = store.begin_upload(&file).await.unwrap();
    store.put_part(&file, &upload, 0, vec![Bytes::from("in a "), Bytes::from("part")]).await.unwrap();
    let sent = proxy.sent();
    for body in ["put", "in a part"] {
        let header = format!("x-amz-content-sha256: {}\r\n", sha256_hex(body.as_bytes()));
        assert_eq!(sent.matches(&header).count(), 1, "{body}");
    }
    assert!(!sent.contains("UNSIGNED-PAYLOAD"));
    store.abort_upload(&file, &upload).await.unwrap();
}

pub(crate) async fn a_store_that_asks_for_a_pause_gets_it(backend: &Backend) {
    let segment = object("a", ID, "video/000001.m4s");
    let refusals = ["503 Slow Down\nretry-after: 1", "429 Too Many Requests\nretry-after: 1"];
    let proxy = Proxy::before(&backend.options["endpoint"], &refusals).await;
    let store = backend.open_with("pause", &[("endpoint", &proxy.endpoint)]);
    let begin = Instant::now();
    store.put(&segment, Bytes::from("late")).await.unwrap();
    // Two pauses. Of itself the library would have tried again after 100 ms and 200 ms at most.
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(read(&store, &segment, None).await.unwrap(), b"late");
}

pub(crate) async fn a_key_that_is_refused_is_an_error(backend: &Backend) {
    let store = backend.open("refused key");
    let segment = object("a", ID, "video/000001.m4s");
    let file = object("a", ID, "recording.mp4");
    let upload = store.begin_upload(&file).await.unwrap();
    let expired = backend.open_with("refused key", &[("account_key", "bm90IHRoZSBrZXk=")]);
    let put = expired.put(&segment, Bytes::from("x")).await.unwrap_err();
    let part = expired.put_part(&file, &upload, 0, vec![Bytes::from("x")]).await.unwrap_err();
    // Not a read: anyone may read this container.
    for refused in [put, part] {
        assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
        let mut causes = successors(Some(&refused as &dyn Error), |&err| err.source());
        assert!(causes.any(|err| err.to_string().contains("403")), "{refused:?}");
    }
    // With another key it goes on.
    store.put_part(&file, &upload, 0, vec![Bytes::from("x")]).await.unwrap();
}
