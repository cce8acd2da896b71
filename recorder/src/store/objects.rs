//! What is stored of one recording.

use std::collections::BTreeMap;

use futures_util::stream::TryStreamExt;
use onair_media::{RecordingId, RoomName};

use super::{ObjectInfo, Store, StoreError};
use crate::object::ObjectName;

impl Store {
    /// Lists the objects of a recording; what has no name of ours is left out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Backend`].
    pub async fn list_objects(
        &self,
        room: &RoomName,
        recording: &RecordingId,
    ) -> Result<BTreeMap<ObjectName, ObjectInfo>, StoreError> {
        let path = format!("{room}/{recording}");
        let prefix = self.recording_prefix(room, recording);
        let below = |location: &object_store::path::Path| {
            let parts = location.prefix_match(&prefix)?;
            let name: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            ObjectName::parse(&name.join("/")).ok()
        };
        let add = |mut objects: BTreeMap<_, _>, meta: object_store::ObjectMeta| {
            objects.extend(below(&meta.location).map(|name| (name, (&meta).into())));
            std::future::ready(Ok(objects))
        };
        let objects: BTreeMap<ObjectName, ObjectInfo> = self
            .inner
            .list(Some(&prefix))
            .try_fold(BTreeMap::new(), add)
            .await
            .map_err(StoreError::backend("list", &path))?;
        if objects.is_empty() { Err(StoreError::NotFound { path }) } else { Ok(objects) }
    }
}
