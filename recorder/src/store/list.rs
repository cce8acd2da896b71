//! What is in the store, found by listing it: a new server on the same bucket sees the same.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use onair_media::{RecordingId, RoomName};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::index::{INDEXED_MAX, Place, Standing};
use super::{ObjectInfo, Store, StoreError};
use crate::manifest::{Manifest, ObjectEntry, RecordingState, TrackEntry};
use crate::object::{ObjectName, ObjectPath};

/// How many prefixes or manifests are read at once.
const READS_AT_ONCE: usize = 8;

/// The same where the whole store is looked through: 100,000 manifests of a bucket that takes 30 ms for each in a minute
/// and a half.
const REFRESH_READS_AT_ONCE: usize = 32;

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

/// A span of time as the ids of recordings begin: to the second.
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
}

impl RecordingQuery {
    pub(super) fn span(&self) -> Span {
        let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
        Span { from: self.from.map(stamp), to: self.to.map(stamp) }
    }
}

impl Span {
    /// Tells whether a recording is in the span of time: its id begins with its start.
    pub(super) fn covers(&self, recording: &RecordingId) -> bool {
        let id = recording.as_str();
        self.from.as_deref().is_none_or(|from| id >= from) && self.to.as_deref().is_none_or(|to| id < to)
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
    /// The size of everything that the manifest names: segments, MP4 and the like.
    pub stored_bytes: u64,
    /// How many gaps it has.
    pub gaps: usize,
    /// One for each rendition.
    pub tracks: Vec<TrackEntry>,
    /// The objects beside segments and playlists, such as `recording.mp4`.
    pub objects: Vec<String>,
}

/// Reads of a manifest what a list says, without keeping its segments: a day has 43,200 of them.
///
/// The recording is the one that the place names: a copy of a recording says in its manifest where it came from.
pub(super) fn skim(manifest: &[u8], (recording, room): &Place) -> Result<RecordingSummary, serde_json::Error> {
    #[derive(Deserialize)]
    struct Skimmed {
        state: RecordingState,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        duration_ms: u64,
        tracks: Vec<TrackEntry>,
        segments: Sizes,
        gaps: Vec<IgnoredAny>,
        objects: Vec<ObjectEntry>,
    }
    let skimmed: Skimmed = serde_json::from_slice(manifest)?;
    let bytes = skimmed.segments.0;
    Ok(RecordingSummary {
        bytes,
        stored_bytes: skimmed.objects.iter().fold(bytes, |sum, object| sum.saturating_add(object.bytes)),
        gaps: skimmed.gaps.len(),
        objects: skimmed.objects.into_iter().map(|object| object.name).collect(),
        room: room.clone(),
        recording: recording.clone(),
        state: skimmed.state,
        start: skimmed.start,
        end: skimmed.end,
        duration_ms: skimmed.duration_ms,
        tracks: skimmed.tracks,
    })
}

/// The sum of the `bytes` of a list.
struct Sizes(u64);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SumOfSizes)
    }
}

struct SumOfSizes;

impl<'de> Visitor<'de> for SumOfSizes {
    type Value = Sizes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of segments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
        #[derive(Deserialize)]
        struct Sized {
            bytes: u64,
        }
        let mut sum = 0_u64;
        while let Some(Sized { bytes }) = list.next_element()? {
            sum = sum.saturating_add(bytes);
        }
        Ok(Sizes(sum))
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
    /// Where there are a thousand or more, the answer comes from what is known in memory: what this process stores and
    /// removes is in it, what others do half a minute later.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub async fn list_recordings(&self, query: &RecordingQuery) -> Result<ListPage, StoreError> {
        let standing = self.index.standing(Instant::now());
        if standing == Standing::Unknown {
            self.refresh_behind(Vec::new());
        }
        if matches!(standing, Standing::Unknown | Standing::Small) {
            return self.list_from_store(query).await;
        }
        let page = self.index.page(query);
        if standing == Standing::Stale {
            let place = |summary: &RecordingSummary| (summary.recording.clone(), summary.room.clone());
            self.refresh_behind(page.recordings.iter().map(place).collect());
        }
        Ok(page)
    }

    /// Looks through the whole store, so that lists and [`Store::summaries`] know what is in it. Manifests are read of
    /// recordings that are not known yet, or were live.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: what was known before stays so.
    pub async fn refresh_index(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.index.refreshing.lock().await;
        let began_at = Instant::now();
        let found = self.recordings(None).await?;
        if found.len() > INDEXED_MAX {
            return Ok(());
        }
        let read = |place: Place| {
            let store = self.clone();
            async move { store.read_summary(&place).await }
        };
        let mut read = stream::iter(self.index.unread(&found)).map(read).buffer_unordered(REFRESH_READS_AT_ONCE);
        while let Some(summary) = read.next().await {
            if let Err(err @ StoreError::Backend { .. }) = summary {
                return Err(err);
            }
        }
        self.index.fill(found, began_at);
        Ok(())
    }

    /// Returns what was known of every recording when [`Store::refresh_index`] ended last, and of what this process
    /// stored and removed since; the oldest first.
    pub fn summaries(&self) -> Vec<Arc<RecordingSummary>> {
        self.index.summaries()
    }

    /// Returns what a list says of one recording, as it is in the store now.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub async fn summary(&self, room: &RoomName, recording: &RecordingId) -> Result<Arc<RecordingSummary>, StoreError> {
        let place = (recording.clone(), room.clone());
        if let Some((summary, read_from)) = self.index.finished(&place)
            && self.head(&ObjectPath::new(room, recording, ObjectName::manifest())).await? == read_from
        {
            return Ok(summary);
        }
        self.read_summary(&place).await
    }

    pub(super) async fn list_from_store(&self, query: &RecordingQuery) -> Result<ListPage, StoreError> {
        let RecordingQuery { limit, ref cursor, .. } = *query;
        let mut found = self.recordings(query.rooms.as_deref()).await?;
        let span = query.span();
        found.sort_by(|a, b| b.cmp(a));
        found.retain(|place| span.covers(&place.0));
        found.retain(|place| cursor.as_deref().is_none_or(|cursor| is_before(place, cursor)));

        let mut summaries = stream::iter(&found)
            .map(|place| async move { (place, self.summary(&place.1, &place.0).await) })
            .buffered(READS_AT_ONCE.min(limit.max(1)));
        let (mut recordings, mut next) = (Vec::new(), None);
        while let Some((place, summary)) = summaries.next().await {
            match summary {
                Ok(summary) => recordings.push(Arc::unwrap_or_clone(summary)),
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

    /// Refreshes the index behind an answer, and looks at what that answer said; not while it is under way already.
    /// When it fails the index stays as it is, and soon no longer serves.
    fn refresh_behind(&self, told: Vec<Place>) {
        let (Ok(runtime), Ok(_)) = (tokio::runtime::Handle::try_current(), self.index.refreshing.try_lock()) else {
            return;
        };
        let store = self.clone();
        runtime.spawn(async move {
            if store.refresh_index().await.is_ok() {
                for (recording, room) in told {
                    let _ = store.summary(&room, &recording).await;
                }
            }
        });
    }

    /// Reads a recording's manifest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Manifest`], [`StoreError::ManifestSize`] or [`StoreError::Backend`].
    pub async fn manifest(&self, room: &RoomName, recording: &RecordingId) -> Result<Manifest, StoreError> {
        let (bytes, _) = self.manifest_bytes(room, recording).await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| StoreError::Manifest { path: format!("{room}/{recording}"), source })
    }

    async fn read_summary(&self, place: &Place) -> Result<Arc<RecordingSummary>, StoreError> {
        let (asked_at, (recording, room)) = (Instant::now(), place);
        let (bytes, info) = self.manifest_bytes(room, recording).await?;
        let unreadable = |source| StoreError::Manifest { path: format!("{room}/{recording}"), source };
        let summary = Arc::new(skim(&bytes, place).map_err(unreadable)?);
        self.index.note_read(place.clone(), &summary, info, asked_at);
        Ok(summary)
    }

    async fn manifest_bytes(
        &self,
        room: &RoomName,
        recording: &RecordingId,
    ) -> Result<(Bytes, ObjectInfo), StoreError> {
        let object = ObjectPath::new(room, recording, ObjectName::manifest());
        let result = self.inner.get(&self.path(&object)).await.map_err(StoreError::backend("get", &object))?;
        let info = ObjectInfo::from(&result.meta);
        if info.size > MANIFEST_MAX_BYTES {
            return Err(StoreError::ManifestSize { path: format!("{room}/{recording}"), size: info.size });
        }
        Ok((result.bytes().await.map_err(StoreError::backend("get", &object))?, info))
    }

    /// Finds the prefixes that look like recordings.
    async fn recordings(&self, rooms: Option<&[RoomName]>) -> Result<Vec<Place>, StoreError> {
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
pub(super) fn cursor_of((recording, room): &Place) -> String {
    format!("{recording}/{room}")
}

/// Tells whether a recording stands before a cursor, which may be any text.
pub(super) fn is_before((recording, room): &Place, cursor: &str) -> bool {
    recording.as_str().bytes().chain([b'/']).chain(room.as_str().bytes()).lt(cursor.bytes())
}
