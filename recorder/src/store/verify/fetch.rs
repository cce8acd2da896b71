//! Fetches whole objects of a bounded size.

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use onair_media::{RecordingId, RoomName};

use crate::object::{ObjectName, ObjectPath};
use crate::store::{Store, StoreError};

/// The largest segment that is read: a minute and a half of 40 Mbit/s.
pub(super) const SEGMENT_MAX_BYTES: u64 = 512 << 20;

/// Says which recording, and where it is stored.
#[derive(Clone, Copy)]
pub(super) struct Recording<'a> {
    pub(super) store: &'a Store,
    pub(super) room: &'a RoomName,
    pub(super) recording: &'a RecordingId,
}

/// What came of a fetch.
#[derive(Debug)]
pub(super) enum Fetched {
    Whole(Bytes),
    Missing,
    /// It has this many bytes, more than were asked for.
    TooLarge(u64),
}

impl Recording<'_> {
    pub(super) fn path(&self, name: &ObjectName) -> ObjectPath {
        ObjectPath::new(self.room, self.recording, name.clone())
    }

    /// Fetches an object of at most so many bytes.
    pub(super) async fn read(&self, name: &ObjectName, max_bytes: u64) -> Result<Fetched, StoreError> {
        let download = match self.store.get_range(&self.path(name), None).await {
            Ok(download) => download,
            Err(StoreError::NotFound { .. }) => return Ok(Fetched::Missing),
            Err(error) => return Err(error),
        };
        if download.info.size > max_bytes {
            return Ok(Fetched::TooLarge(download.info.size));
        }
        let chunks: Vec<Bytes> = download.stream.try_collect().await?;
        Ok(Fetched::Whole(if let [whole] = &chunks[..] { whole.clone() } else { chunks.concat().into() }))
    }
}
