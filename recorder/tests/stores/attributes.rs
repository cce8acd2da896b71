//! What whoever reads the bucket directly is told of an object.

use bytes::Bytes;
use futures_util::stream;
use onair_recorder::{ObjectName, PART_BYTES, Store};

use crate::backend::{Backend, Kind};
use crate::objects::{ID, object};

const FOREVER: &str = "max-age=31536000, immutable";

pub(crate) async fn media_may_be_kept_and_what_names_it_not(backend: &Backend) {
    let store = backend.open("attributes");
    for (name, media_type, cache) in [
        ("recording.json", "application/json", "no-cache"),
        ("index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("audio/index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("audio/init-1.mp4", "audio/mp4", FOREVER),
        ("video/000001.m4s", "video/mp4", FOREVER),
        ("recording.mp4", "video/mp4", FOREVER),
    ] {
        let object = object("a", ID, name);
        // 9 MiB: the MP4 comes in two parts, as real ones do.
        if object.name == ObjectName::progressive() {
            let bytes = (0..9).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20])));
            store.put_stream(&object, 9 << 20, stream::iter(bytes)).await.unwrap();
        } else {
            store.put(&object, Bytes::from("x")).await.unwrap();
        }
        let Some(headers) = backend.headers(&store, &object).await else { return };
        assert_eq!(headers["content-type"], media_type, "{name}");
        assert_eq!(headers["cache-control"], cache, "{name}");
    }
}

pub(crate) async fn an_upload_in_parts_has_them_too(backend: &Backend) {
    let store = backend.open("parts");
    let file = object("a", ID, "recording.mp4");
    upload(&store).await;
    let Some(headers) = backend.headers(&store, &file).await else { return };
    assert_eq!(headers["content-type"], "video/mp4");
    // Azure takes none with its parts.
    let expected = (backend.kind != Kind::Azure).then_some(FOREVER);
    assert_eq!(headers.get("cache-control").map(|value| value.to_str().unwrap()), expected);
}

/// Puts `recording.mp4` in two parts.
pub(crate) async fn upload(store: &Store) {
    let file = object("a", ID, "recording.mp4");
    let upload = store.begin_upload(&file).await.unwrap();
    let first = store.put_part(&file, &upload, 0, vec![vec![0; PART_BYTES as usize].into()]).await.unwrap();
    let second = store.put_part(&file, &upload, 1, vec![Bytes::from("x")]).await.unwrap();
    store.complete_upload(&file, &upload, vec![first, second]).await.unwrap();
}
