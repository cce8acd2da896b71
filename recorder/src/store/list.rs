//! What is in the store, found by listing it: a new server on the same bucket sees the same.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use onair_media::{RecordingId, RoomName};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::manifest::{Manifest, RecordingState, TrackEntry};
use crate::object::{ObjectName, ObjectPath};

/// How many prefixes or manifests are read at once.
const READS_AT_ONCE: usize = 8;

/// The largest manifest that is read: a hundred days of segments of both renditions.
pub(super) const MANIFEST_MAX_BYTES: u64 = 1 << 30;

/// Says which recordings are wanted.
#[derive(Debug, Clone, Default)]
pub struct RecordingQuery {
    /// Of these rooms only.
    pub rooms: Option<Vec<RoomName>>,
    /// Begun at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Begun before this time.
    pub to: Option<DateTime<Utc>>,
    /// The most recordings; 0 counts as 1.
    pub limit: usize,
    /// The `next` of the page before; any text is taken as a place in the order.
    pub cursor: Option<String>,
}

impl RecordingQuery {
    /// Tells whether a recording is in the span of time, to the second: its id begins with its start.
    fn covers(&self, recording: &RecordingId) -> bool {
        let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
        let id = recording.as_str();
        self.from.is_none_or(|from| id >= stamp(from).as_str()) && self.to.is_none_or(|to| id < stamp(to).as_str())
    }
}

/// Holds one page of recordings, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListPage {
    /// The recordings.
    pub recordings: Vec<RecordingSummary>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<String>,
}

/// Holds what a list says of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingSummary {
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// How it stands.
    pub state: RecordingState,
    /// When it began.
    pub start: DateTime<Utc>,
    /// When it ended, or how far it has come.
    pub end: DateTime<Utc>,
    /// From start to end.
    pub duration_ms: u64,
    /// The size of all its segments.
    pub bytes: u64,
    /// How many gaps it has.
    pub gaps: usize,
    /// One for each rendition.
    pub tracks: Vec<TrackEntry>,
    /// The objects beside segments and playlists, such as `recording.mp4`.
    pub objects: Vec<String>,
}

impl From<Manifest> for RecordingSummary {
    fn from(manifest: Manifest) -> Self {
        Self {
            bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
            gaps: manifest.gaps.len(),
            objects: manifest.objects.into_iter().map(|object| object.name).collect(),
            room: manifest.room,
            recording: manifest.recording,
            state: manifest.state,
            start: manifest.start,
            end: manifest.end,
            duration_ms: manifest.duration_ms,
            tracks: manifest.tracks,
        }
    }
}

impl Store {
    /// Lists the rooms that have objects, by name.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn list_rooms(&self) -> Result<Vec<RoomName>, StoreError> {
        let mut rooms: Vec<_> =
            self.folders(&self.prefix).await?.iter().filter_map(|name| RoomName::parse(name).ok()).collect();
        rooms.sort();
        Ok(rooms)
    }

    /// Lists recordings, newest first. One whose manifest is missing or cannot be read was never finished and is left
    /// out.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn list_recordings(&self, query: &RecordingQuery) -> Result<ListPage, StoreError> {
        let RecordingQuery { limit, ref cursor, .. } = *query;
        let mut found = self.recordings(query.rooms.as_deref()).await?;
        found.sort_by(|a, b| b.cmp(a));
        found.retain(|place| query.covers(&place.0));
        found.retain(|place| cursor.as_deref().is_none_or(|cursor| cursor_of(place).as_str() < cursor));

        let mut manifests = stream::iter(&found)
            .map(|place| async move { (place, self.manifest(&place.1, &place.0).await) })
            .buffered(READS_AT_ONCE.min(limit.max(1)));
        let (mut recordings, mut next) = (Vec::new(), None);
        while let Some((place, manifest)) = manifests.next().await {
            match manifest {
                Ok(manifest) => recordings.push(manifest.into()),
                Err(err @ StoreError::Backend { .. }) => return Err(err),
                Err(_) => {}
            }
            if recordings.len() >= limit {
                next = (Some(place) != found.last()).then(|| cursor_of(place));
                break;
            }
        }
        Ok(ListPage { recordings, next })
    }

    /// Reads a recording's manifest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Manifest`], [`StoreError::ManifestSize`] or [`StoreError::Backend`].
    pub async fn manifest(&self, room: &RoomName, recording: &RecordingId) -> Result<Manifest, StoreError> {
        let object = ObjectPath::new(room, recording, ObjectName::manifest());
        let path = || format!("{room}/{recording}");
        let result = self.inner.get(&self.path(&object)).await.map_err(StoreError::backend("get", &object))?;
        if result.meta.size > MANIFEST_MAX_BYTES {
            return Err(StoreError::ManifestSize { path: path(), size: result.meta.size });
        }
        let bytes: Bytes = result.bytes().await.map_err(StoreError::backend("get", &object))?;
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Manifest { path: path(), source })
    }

    /// Finds the prefixes that look like recordings.
    async fn recordings(&self, rooms: Option<&[RoomName]>) -> Result<Vec<(RecordingId, RoomName)>, StoreError> {
        let rooms = match rooms {
            Some(rooms) => rooms.to_vec(),
            None => self.list_rooms().await?,
        };
        let of_room = |room: RoomName| async move {
            let folders = self.folders(&self.prefix.clone().join(room.as_str())).await?;
            let ids = folders.into_iter().filter_map(|name| RecordingId::parse(&name).ok());
            Ok::<_, StoreError>(ids.map(|id| (id, room.clone())).collect::<Vec<_>>())
        };
        stream::iter(rooms).map(of_room).buffer_unordered(READS_AT_ONCE).try_concat().await
    }

    /// Returns the names of what looks like a folder directly below a prefix.
    async fn folders(&self, prefix: &Path) -> Result<Vec<String>, StoreError> {
        let listed = match self.inner.list_with_delimiter(Some(prefix)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(err) => return Err(StoreError::backend("list", prefix)(err)),
        };
        let name = |path: &Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }
}

/// Returns a text that sorts as the recordings do.
fn cursor_of((recording, room): &(RecordingId, RoomName)) -> String {
    format!("{recording}/{room}")
}
