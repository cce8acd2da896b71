//! The stores that run here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::TryStreamExt;
use onair_media::{RecordingId, RoomName};
use onair_recorder::{ObjectName, ObjectPath, Store, StoreError};
use url::Url;

pub(crate) const ID: &str = "20261122T063000Z-7f3a9c";

/// A store that runs for as long as this is held.
pub(crate) struct Backend {
    kind: Kind,
    url: Url,
    options: BTreeMap<String, String>,
}

/// What is special about a store.
enum Kind {
    Memory,
    Directory(PathBuf),
}

impl Backend {
    pub(crate) fn memory() -> Self {
        Self { kind: Kind::Memory, url: Url::parse("memory:///").unwrap(), options: BTreeMap::new() }
    }

    /// A directory that is not there yet, removed at the end.
    pub(crate) fn directory() -> Self {
        let path = std::env::temp_dir().join(format!("onair-stores-{}", std::process::id()));
        let url = Url::from_directory_path(path.join("not yet there")).unwrap();
        Self { kind: Kind::Directory(path), url, options: BTreeMap::new() }
    }

    /// Opens an empty part of the store, named after the case.
    pub(crate) fn open(&self, case: &str) -> Store {
        Store::open(&self.url.join(case).unwrap(), &self.options).unwrap()
    }

    /// Whether what one process stored is there for the next.
    pub(crate) fn outlives_the_process(&self) -> bool {
        !matches!(self.kind, Kind::Memory)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Kind::Directory(path) = &self.kind {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

pub(crate) fn object(room: &str, recording: &str, name: &str) -> ObjectPath {
    let recording = RecordingId::parse(recording).unwrap();
    ObjectPath::new(&RoomName::parse(room).unwrap(), &recording, ObjectName::parse(name).unwrap())
}

pub(crate) async fn read(
    store: &Store,
    object: &ObjectPath,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, StoreError> {
    let chunks: Vec<Bytes> = store.get_range(object, range).await?.stream.try_collect().await?;
    Ok(chunks.concat())
}
