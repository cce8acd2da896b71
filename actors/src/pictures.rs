//! Decoding keyframes, away from the threads of media: one at a time in the whole process.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use onair_media::RecordingId;
use onair_pictures::{Keyframe, Picture, PictureError};
use tokio::sync::Mutex;

/// How many snapshots are kept: some megabytes.
const KEPT_MAX: usize = 64;

/// The frame of a snapshot that says nothing else, in pixels.
const SNAPSHOT_MAX_HEIGHT: usize = 4096;

/// Names one keyframe of a live broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillId {
    /// The broadcast.
    pub broadcast: RecordingId,
    /// The number of its segment.
    pub msn: u64,
    /// The index of its part within that.
    pub part: u32,
}

/// Holds the newest keyframe of a live broadcast.
#[derive(Debug, Clone)]
pub struct Still {
    /// Its name.
    pub id: StillId,
    /// The frame.
    pub keyframe: Keyframe,
}

/// Makes pictures where they are wanted.
#[derive(Debug)]
pub struct Pictures {
    are_wanted: bool,
    /// Whoever decodes holds it: pictures are never in a hurry, and media must not wait for them.
    kept: Arc<Mutex<VecDeque<Kept>>>,
}

/// A snapshot that was made, or could not be.
#[derive(Debug)]
struct Kept {
    id: StillId,
    width: usize,
    jpeg: Result<Bytes, PictureError>,
}

impl Pictures {
    /// Begins without any; unless they are wanted, nothing is decoded.
    pub fn new(are_wanted: bool) -> Self {
        Self { are_wanted, kept: Arc::default() }
    }

    /// Tells whether keyframes may be decoded.
    pub const fn are_wanted(&self) -> bool {
        self.are_wanted
    }

    /// Decodes a keyframe and does with the picture what takes time.
    ///
    /// # Errors
    /// Those of [`Keyframe::decode`].
    pub async fn decode<T: Send + 'static>(
        &self,
        keyframe: Keyframe,
        then: impl FnOnce(Picture) -> T + Send + 'static,
    ) -> Result<T, PictureError> {
        let turn = Arc::clone(&self.kept).lock_owned().await;
        // The turn goes along: whoever asked may be gone before the decoder is done.
        let work = move || {
            let made = keyframe.decode().map(then);
            drop(turn);
            made
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(PictureError::Damaged))
    }

    /// Makes a JPEG file of a keyframe, at most `width` pixels wide. However many ask, it is made once.
    ///
    /// # Errors
    /// Those of [`Keyframe::decode`] and [`Picture::to_jpeg`].
    pub async fn snapshot(&self, still: Still, width: usize) -> Result<Bytes, PictureError> {
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        if let Some(found) = kept.iter().find(|kept| kept.id == still.id && kept.width == width) {
            return found.jpeg.clone();
        }
        let work = move || {
            let picture = still.keyframe.decode().map(|picture| picture.fitted(width, SNAPSHOT_MAX_HEIGHT));
            let jpeg = picture.and_then(|picture| picture.to_jpeg()).map(Bytes::from);
            // What was made of an earlier keyframe is not asked for again.
            let id = still.id;
            kept.retain(|other| other.id.broadcast != id.broadcast || other.id == id);
            kept.truncate(KEPT_MAX - 1);
            kept.push_front(Kept { id, width, jpeg: jpeg.clone() });
            jpeg
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(PictureError::Damaged))
    }
}
