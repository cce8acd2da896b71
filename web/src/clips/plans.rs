//! The last few plans of clips: a player that seeks asks for many ranges of one clip, and a plan may take thousands of
//! requests to a bucket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{RecordingId, RoomName};
use onair_recorder::progressive::Piece;
use onair_recorder::{Clip, ClipRange, ObjectInfo};

/// How many plans are kept.
const KEPT_MAX: usize = 16;

/// How much memory they may take: a plan of two hours takes some ten mebibytes, one of a minute less than a hundred
/// kilobytes.
const KEPT_MAX_BYTES: usize = 32 << 20;

/// How long a plan is good for: a segment may be lost without the manifest saying so.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// Says what a plan is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlanKey {
    room: RoomName,
    recording: RecordingId,
    range: ClipRange,
    /// Tells one state of the manifest from another.
    version: String,
}

/// Keeps plans, the one that was asked for last behind the others.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    key: PlanKey,
    clip: Arc<Clip>,
    bytes: usize,
    since: Instant,
}

impl PlanKey {
    /// Names a clip of a recording whose manifest is as the store says.
    pub(super) fn new(room: &RoomName, recording: &RecordingId, range: ClipRange, manifest: &ObjectInfo) -> Self {
        let ObjectInfo { size, e_tag, last_modified } = manifest;
        let version = format!("{size} {last_modified} {}", e_tag.as_deref().unwrap_or_default());
        Self { room: room.clone(), recording: recording.clone(), range, version }
    }
}

impl Plans {
    /// Returns a plan that is kept and still good.
    pub(super) fn find(&mut self, key: &PlanKey, now: Instant) -> Option<Arc<Clip>> {
        while self.kept.iter().any(|kept| now.saturating_duration_since(kept.since) >= GOOD_FOR) {
            let stale = self.kept.iter().position(|kept| now.saturating_duration_since(kept.since) >= GOOD_FOR);
            self.remove(stale?);
        }
        let found = self.kept.iter().position(|kept| kept.key == *key)?;
        let kept = self.kept.remove(found)?;
        let clip = Arc::clone(&kept.clip);
        self.kept.push_back(kept);
        Some(clip)
    }

    /// Keeps a plan; those that were not asked for the longest go if there is no room.
    pub(super) fn keep(&mut self, key: PlanKey, clip: &Arc<Clip>, now: Instant) {
        let bytes = bytes_of(clip);
        if let Some(former) = self.kept.iter().position(|kept| kept.key == key) {
            self.remove(former);
        }
        self.kept.push_back(Kept { key, clip: Arc::clone(clip), bytes, since: now });
        self.bytes += bytes;
        while self.kept.len() > KEPT_MAX || self.bytes > KEPT_MAX_BYTES {
            self.remove(0);
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(kept) = self.kept.remove(index) {
            self.bytes -= kept.bytes;
        }
    }
}

/// Returns about how much memory a plan takes.
fn bytes_of(clip: &Clip) -> usize {
    let layout = clip.layout();
    layout.header.len() + layout.pieces.len() * size_of::<Piece>()
}
