//! Clips of a stored recording: finds the segments that one concerns, reads what their samples are, and streams it.
//!
//! Of segments that lie wholly within a clip nothing but the boxes around the media is read to plan it. Whatever is
//! missing or damaged is a gap.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};

use super::{Store, StoreError};
use crate::boxes::BoxError;
use crate::clip::{
    CLIP_MAX_SAMPLES, Clip, ClipRange, ClipRefusal, ClipTrack, Origins, Span, Step, has_beginning, presentation_start,
    sound_begins, steps,
};
use crate::cut::Segment;
use crate::manifest::SegmentEntry;
use crate::object::{ObjectName, ObjectPath};
use crate::progressive::Piece;
use crate::read::{SegmentScan, read_init};
use crate::ticks::{GRID_HZ, to_grid};

/// How many segments are looked at at once: each takes a request for every part, and none more than a few kilobytes.
const SCANS_AT_ONCE: usize = 32;

/// How much of a segment is asked for at a time: sound is small, and comes as a whole; of pictures the next `moof`.
const SOUND_WINDOW_BYTES: u64 = 64 << 10;
const PICTURE_WINDOW_BYTES: u64 = 8 << 10;

/// How many stretches of media are on their way or wait to be sent.
const READS_AHEAD: usize = 2;

/// The largest initialisation segment that is read; ours have less than two kilobytes.
const INIT_MAX_BYTES: u64 = 1 << 20;

/// How far the times of the manifest, which are those of decoding, may be from those of presentation, in milliseconds.
const APART_MAX_MS: i64 = 1000;

/// How many segments are looked at to find where the recording begins, if the first ones are lost.
const ORIGIN_LOOKS: usize = 16;

const RENDITIONS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// Says why there is no clip.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// What was asked for cannot be had.
    #[error(transparent)]
    Refused(#[from] ClipRefusal),
    /// The store failed, or has no such recording.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recording has a configuration that is none of ours.
    #[error(transparent)]
    Box(#[from] BoxError),
}

/// A segment that the manifest lists.
#[derive(Debug, Clone, Copy)]
struct Listed {
    kind: MediaKind,
    msn: u64,
    start_ms: i64,
    end_ms: i64,
    bytes: u64,
}

/// A segment without its media, and its configuration; `None` for one that is missing or damaged.
type Scanned = Option<(Segment, Arc<CodecConfig>)>;

/// A recording while a clip of it is planned.
struct Planner<'a> {
    store: &'a Store,
    room: &'a RoomName,
    recording: &'a RecordingId,
    listed: Vec<Listed>,
    configs: HashMap<(MediaKind, u32), Option<Arc<CodecConfig>>>,
    samples: usize,
}

impl Store {
    /// Plans a clip of a recording, which may be live.
    ///
    /// # Errors
    /// [`ClipError`]; [`StoreError::NotFound`] means that there is no such recording.
    pub async fn clip(&self, room: &RoomName, recording: &RecordingId, range: &ClipRange) -> Result<Clip, ClipError> {
        let manifest = self.manifest(room, recording).await?;
        let listed = manifest.segments.iter().filter_map(Listed::new).collect();
        let mut planner = Planner { store: self, room, recording, listed, configs: HashMap::new(), samples: 0 };
        let origins = planner.origins().await?;
        let span = range.span(&manifest, origins)?;
        let mut tracks = Vec::new();
        for kind in RENDITIONS {
            tracks.push(planner.track(kind, span, origins).await?);
        }
        Ok(Clip::plan(&tracks, span)??)
    }

    /// Streams a range of a clip's file; what lies behind its end is left out.
    ///
    /// The stream breaks off when the store fails or the recording is deleted meanwhile.
    pub fn read_clip(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        clip: &Clip,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let layout = clip.layout();
        let steps = steps(layout, range.start..range.end.min(layout.total_bytes));
        let reads: Vec<Piece> = steps.iter().filter_map(Step::read).collect();
        let (store, room, recording) = (self.clone(), room.clone(), recording.clone());
        let fetch = move |piece: Piece| {
            let path = ObjectPath::new(&room, &recording, ObjectName::numbered(piece.kind, piece.msn));
            let store = store.clone();
            async move { store.read_exactly(&path, piece.range).await }
        };
        let media = stream::iter(reads).map(fetch).buffered(READS_AHEAD).boxed();
        let header = layout.header.clone();
        stream::try_unfold((steps.into_iter(), header, media, HashMap::new()), next_bytes).boxed()
    }

    /// Reads a range of an object, all of it.
    async fn read_exactly(&self, object: &ObjectPath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let download = self.get_range(object, Some(range.clone())).await?;
        let size = download.info.size;
        let chunks: Vec<Bytes> = download.stream.try_collect().await?;
        let bytes = if let [whole] = &chunks[..] { whole.clone() } else { chunks.concat().into() };
        if bytes.len() as u64 != range.end - range.start {
            return Err(StoreError::Range { path: object.to_string(), size });
        }
        Ok(bytes)
    }
}

type Reads = BoxStream<'static, Result<Bytes, StoreError>>;
type Sending = (std::vec::IntoIter<Step>, Bytes, Reads, HashMap<MediaKind, Bytes>);

/// Takes the next step, and reads for it first where that is needed.
async fn next_bytes((mut steps, header, mut reads, mut open): Sending) -> Result<Option<(Bytes, Sending)>, StoreError> {
    let Some(step) = steps.next() else { return Ok(None) };
    let bytes = match step {
        Step::Header(range) => header.slice(range.start as usize..range.end as usize),
        Step::Media { read, kind, range } => {
            if read.is_some()
                && let Some(bytes) = reads.try_next().await?
            {
                open.insert(kind, bytes);
            }
            open.get(&kind).map(|bytes| bytes.slice(range)).unwrap_or_default()
        }
    };
    Ok(Some((bytes, (steps, header, reads, open))))
}

impl Listed {
    fn new(entry: &SegmentEntry) -> Option<Self> {
        let (kind, msn) = ObjectName::parse(&entry.name).ok()?.segment_number()?;
        let start_ms = i64::try_from(entry.start_ms).ok()?;
        let end_ms = start_ms.checked_add_unsigned(entry.duration_ms)?;
        Some(Self { kind, msn, start_ms, end_ms, bytes: entry.bytes })
    }
}

impl Planner<'_> {
    /// Finds where the recording begins: with the first segment of one rendition or the other.
    async fn origins(&self) -> Result<Origins, ClipError> {
        let mut origins: Option<Origins> = None;
        let mut found = Vec::new();
        // The manifest counts from the one that it lists first. If that is lost, any other tells when that was.
        for listed in self.listed.iter().take(ORIGIN_LOOKS) {
            let is_early = listed.start_ms <= APART_MAX_MS;
            if found.contains(&listed.kind) || (origins.is_some() && !is_early) {
                continue;
            }
            let Some(segment) = self.scan(*listed).await? else { continue };
            found.push(listed.kind);
            let origin = to_grid(listed.kind, segment.start_ticks).saturating_sub(grid(listed.start_ms));
            // A rendition that joined later begins nothing.
            let zero = presentation_start(&segment).filter(|_| is_early).unwrap_or(origin);
            origins = Some(match origins {
                Some(before) => Origins { zero: before.zero.min(zero), ..before },
                None => Origins { zero, listed: origin },
            });
        }
        Ok(origins.ok_or(ClipRefusal::Empty)?)
    }

    /// Reads what a clip may need of a rendition.
    async fn track(&mut self, kind: MediaKind, span: Span, origins: Origins) -> Result<ClipTrack, ClipError> {
        let all: Vec<Listed> = self.listed.iter().filter(|listed| listed.kind == kind).copied().collect();
        let ms = |time: i64| (time - origins.listed) / (GRID_HZ / 1000);
        let until = all.partition_point(|listed| listed.start_ms <= ms(span.end).saturating_add(APART_MAX_MS));
        let mut track = ClipTrack { segments: Vec::new(), goes_on: until < all.len() };
        let mut from = match kind {
            MediaKind::Audio => {
                all.partition_point(|listed| listed.end_ms < ms(sound_begins(span)).saturating_sub(APART_MAX_MS))
            }
            MediaKind::Video => {
                all.partition_point(|listed| listed.start_ms <= ms(span.start).saturating_add(APART_MAX_MS))
            }
        };
        // Of those before it, as many as it takes to find the keyframe.
        let behind = from;
        while kind == MediaKind::Video && from > 0 {
            from -= 1;
            let Some(found) = self.with_config(all[from]).await? else { continue };
            let is_beginning = has_beginning(&found.0, span);
            track.segments.push(found);
            if is_beginning {
                break;
            }
        }
        track.segments.reverse();
        let wanted = all[behind.min(until)..until].to_vec();
        let scans: Vec<_> = wanted.into_iter().map(|listed| scan(self.store, self.path(listed), listed)).collect();
        let mut scans = stream::iter(scans).buffered(SCANS_AT_ONCE);
        while let Some(found) = scans.try_next().await? {
            let Some(segment) = found else { continue };
            track.segments.extend(self.configured(segment).await?);
        }
        Ok(track)
    }

    async fn with_config(&mut self, listed: Listed) -> Result<Scanned, ClipError> {
        match self.scan(listed).await? {
            Some(segment) => self.configured(segment).await,
            None => Ok(None),
        }
    }

    async fn scan(&self, listed: Listed) -> Result<Option<Segment>, StoreError> {
        scan(self.store, self.path(listed), listed).await
    }

    /// Adds the configuration, and counts the samples.
    async fn configured(&mut self, segment: Segment) -> Result<Scanned, ClipError> {
        self.samples += segment.parts.iter().map(|part| part.samples.len()).sum::<usize>();
        if self.samples > CLIP_MAX_SAMPLES {
            return Err(ClipRefusal::TooMany.into());
        }
        let place = (segment.kind, segment.init);
        if !self.configs.contains_key(&place) {
            let config = self.read_config(place).await?;
            self.configs.insert(place, config);
        }
        Ok(self.configs[&place].as_ref().map(|config| (segment, Arc::clone(config))))
    }

    async fn read_config(&self, (kind, index): (MediaKind, u32)) -> Result<Option<Arc<CodecConfig>>, StoreError> {
        let path = ObjectPath::new(self.room, self.recording, ObjectName::init_numbered(kind, index));
        let download = match self.store.get_range(&path, None).await {
            Ok(download) if download.info.size <= INIT_MAX_BYTES => download,
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let chunks: Vec<Bytes> = download.stream.try_collect().await?;
        let config = read_init(&chunks.concat()).ok().filter(|config| config.codec().kind() == kind);
        Ok(config.map(Arc::new))
    }

    fn path(&self, listed: Listed) -> ObjectPath {
        ObjectPath::new(self.room, self.recording, ObjectName::numbered(listed.kind, listed.msn))
    }
}

/// Reads a segment but for its media; nothing when it is missing or damaged.
async fn scan(store: &Store, path: ObjectPath, listed: Listed) -> Result<Option<Segment>, StoreError> {
    let window = if listed.kind == MediaKind::Audio { SOUND_WINDOW_BYTES } else { PICTURE_WINDOW_BYTES };
    let mut scan = SegmentScan::new(listed.kind, listed.msn, listed.bytes);
    while let Some(wanted) = scan.wants() {
        let end = wanted.end.max(wanted.start + window).min(listed.bytes);
        match store.read_exactly(&path, wanted.start..end).await {
            Ok(bytes) if scan.push(&bytes).is_ok() => {}
            Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Range { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(scan.finish().ok())
}

fn grid(ms: i64) -> i64 {
    ms.saturating_mul(GRID_HZ / 1000)
}
