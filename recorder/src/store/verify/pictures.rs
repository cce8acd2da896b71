//! Pictures that are made again of a stored recording: whoever decodes them stores them here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};

use super::INIT_MAX_BYTES;
use super::fetch::{Fetched, Recording};
use crate::manifest::{ObjectEntry, Pictures, sha256_hex};
use crate::object::ObjectName;
use crate::read::read_init;
use crate::store::list::MANIFEST_MAX_BYTES;
use crate::store::{Store, StoreError};
use crate::verify::entries::StoredManifest;

impl Store {
    /// Reads the configurations of a rendition that can be read, by the index of their initialisation segment.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn configs(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        kind: MediaKind,
    ) -> Result<BTreeMap<u32, Arc<CodecConfig>>, StoreError> {
        let from = Recording { store: self, room, recording };
        let mut configs = BTreeMap::new();
        for name in self.list_objects(room, recording).await?.into_keys() {
            let Some((_, index)) = name.init_index().filter(|(of, _)| *of == kind) else { continue };
            let Fetched::Whole(bytes) = from.read(&name, INIT_MAX_BYTES).await? else { continue };
            if let Ok(config) = read_init(&bytes) {
                configs.insert(index, Arc::new(config));
            }
        }
        Ok(configs)
    }

    /// Stores the pictures of a recording that has ended, in this order, and then says so in its manifest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without a manifest that can be read, or [`StoreError::Backend`].
    pub async fn put_pictures(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        objects: Vec<(ObjectName, Bytes)>,
        said: Pictures,
    ) -> Result<(), StoreError> {
        let at = Recording { store: self, room, recording };
        let gone = || StoreError::NotFound { path: at.path(&ObjectName::manifest()).to_string() };
        let Fetched::Whole(json) = at.read(&ObjectName::manifest(), MANIFEST_MAX_BYTES).await? else {
            return Err(gone());
        };
        let old = StoredManifest::parse(&json, room, recording).map_err(|_| gone())?;
        let mut manifest = old.manifest.clone();
        manifest.objects.retain(|entry| !ObjectName::parse(&entry.name).is_ok_and(|name| name.is_picture()));
        for (name, bytes) in objects {
            let (entry, sha256) = (name.as_str().to_owned(), Some(sha256_hex(&bytes)));
            manifest.objects.push(ObjectEntry { name: entry, bytes: bytes.len() as u64, sha256, parts: Vec::new() });
            self.put(&at.path(&name), bytes).await?;
        }
        manifest.pictures = Some(said);
        self.put(&at.path(&ObjectName::manifest()), old.replaced_by(&manifest).into()).await
    }
}
