//! Poster and storyboard of a recording: made from the keyframes that some of its segments begin with.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use onair_media::{CodecConfig, MediaKind};
use onair_pictures::storyboard::{Storyboard, Tile, pick};
use onair_pictures::{Keyframe, PictureError, has_decoder};
use onair_recorder::manifest::{self, Manifest, SegmentEntry};
use onair_recorder::{ObjectName, ObjectPath, Spool, Store, StoreError, read_head, read_keyframe};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::pictures::Pictures;

/// How much of a segment is read to find its keyframe, and what most keyframes fit into.
const HEAD_BYTES: u64 = 128 << 10;

/// The largest keyframe that is decoded.
const KEYFRAME_MAX_BYTES: u64 = 8 << 20;

/// The frame of a poster, in pixels.
const POSTER_MAX_WIDTH: usize = 1280;
const POSTER_MAX_HEIGHT: usize = 1280;

/// Holds what became of the pictures.
#[derive(Debug, Default)]
pub struct Made {
    /// In the order in which they are stored: what names others is last.
    pub objects: Vec<(ObjectName, Bytes)>,
    /// What the manifest says of them.
    pub said: manifest::Pictures,
}

/// Holds what pictures are made of.
#[derive(Debug)]
pub struct Material {
    /// Where keyframes are decoded.
    pub pictures: Arc<Pictures>,
    /// Where segments are.
    pub store: Arc<Store>,
    /// Where segments are that the store does not have yet, if there is such a place.
    pub spool: Option<Arc<Spool>>,
    /// An object of the recording, whichever.
    pub path: ObjectPath,
    /// What decodes the pictures, by the index of their initialisation segment.
    pub configs: BTreeMap<u32, Arc<CodecConfig>>,
    /// The segments of the pictures.
    pub segments: Vec<SegmentEntry>,
    /// How long the recording is.
    pub duration_ms: u64,
}

/// What was decoded so far.
#[derive(Default)]
struct Gallery {
    poster: Option<Poster>,
    tiles: Vec<Tile>,
    /// Why a keyframe has no picture.
    error: Option<String>,
}

struct Poster {
    jpeg: Bytes,
    /// Nothing later will be more fitting.
    is_final: bool,
}

/// Returns the segments of the pictures that a manifest lists.
pub fn video_segments(manifest: &Manifest) -> Vec<SegmentEntry> {
    let is_video = |entry: &&SegmentEntry| {
        let name = ObjectName::parse(&entry.name).ok();
        name.and_then(|name| name.segment_number()).is_some_and(|(kind, _)| kind == MediaKind::Video)
    };
    manifest.segments.iter().filter(is_video).cloned().collect()
}

impl Material {
    /// Finds what a stored recording has, for pictures that are made again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_stored(
        manifest: &Manifest,
        store: &Arc<Store>,
        pictures: &Arc<Pictures>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            pictures: Arc::clone(pictures),
            store: Arc::clone(store),
            spool: None,
            path: ObjectPath::new(&manifest.room, &manifest.recording, ObjectName::poster()),
            configs: store.configs(&manifest.room, &manifest.recording, MediaKind::Video).await?,
            segments: video_segments(manifest),
            duration_ms: manifest.duration_ms,
        })
    }

    /// Makes the pictures. What takes longer than `patience` or cannot be had is left out, and the manifest is to say so.
    pub async fn make(self, patience: Duration) -> Made {
        match self.obstacle() {
            Some(reason) => Made::nothing(reason),
            None => self.make_within(patience).await,
        }
    }

    /// Says why no picture can be made at all.
    pub fn obstacle(&self) -> Option<String> {
        if !self.pictures.are_wanted() {
            return Some("record.posters is false".into());
        }
        if self.segments.is_empty() {
            return Some("there is no video".into());
        }
        let is_decodable = self.configs.values().any(|config| has_decoder(config.codec()));
        let codec = self.configs.values().next().map(|config| config.rfc6381()).unwrap_or_default();
        (!is_decodable).then(|| PictureError::NoDecoder(codec).to_string())
    }

    async fn make_within(self, patience: Duration) -> Made {
        let deadline = Instant::now() + patience;
        let starts: Vec<u64> = self.segments.iter().map(|entry| entry.start_ms).collect();
        let mut gallery = Gallery::default();
        let mut late_after = None;
        for index in pick(&starts, self.duration_ms) {
            let entry = &self.segments[index];
            if timeout_at(deadline, self.show(entry, &mut gallery)).await.is_err() {
                late_after = Some(patience);
                break;
            }
        }
        let duration_ms = self.duration_ms;
        let hung = tokio::task::spawn_blocking(move || gallery.hang(duration_ms, late_after));
        hung.await.unwrap_or_else(|error| Made::nothing(error.to_string()))
    }

    /// Adds the keyframe of a segment.
    async fn show(&self, entry: &SegmentEntry, gallery: &mut Gallery) {
        let keyframe = match self.keyframe(entry).await {
            Ok(Some(keyframe)) => keyframe,
            Ok(None) => return,
            Err(error) => return gallery.error = Some(error),
        };
        // The first tenth of a broadcast is often spent on waiting.
        let is_late = entry.start_ms.saturating_mul(10) >= self.duration_ms;
        let wants_any = gallery.poster.is_none();
        let wants_better = gallery.poster.as_ref().is_some_and(|poster| !poster.is_final);
        let start_ms = entry.start_ms;
        let decoded = self.pictures.decode(keyframe, move |picture| {
            let is_final = is_late && !picture.is_dark();
            let is_wanted = wants_any || (wants_better && is_final);
            let poster = is_wanted.then(|| picture.clone().fitted(POSTER_MAX_WIDTH, POSTER_MAX_HEIGHT));
            let jpeg = poster.and_then(|poster| poster.to_jpeg().ok());
            (jpeg.map(|jpeg| Poster { jpeg: jpeg.into(), is_final }), Tile::new(start_ms, picture))
        });
        match decoded.await {
            Ok((poster, tile)) => {
                gallery.poster = poster.or_else(|| gallery.poster.take());
                gallery.tiles.push(tile);
            }
            Err(error) => gallery.error = Some(error.to_string()),
        }
    }

    /// Reads the keyframe that a segment begins with, if it does.
    async fn keyframe(&self, entry: &SegmentEntry) -> Result<Option<Keyframe>, String> {
        let head = self.read(entry, 0..entry.bytes.min(HEAD_BYTES)).await?;
        let unreadable = |error: onair_recorder::ReadError| self.unreadable(&error);
        let Some(place) = read_keyframe(&head).map_err(unreadable)? else { return Ok(None) };
        let init = read_head(&head).map_or(1, |head| head.init);
        let Some(config) = self.configs.get(&init) else { return Ok(None) };
        if place.end > entry.bytes || place.end - place.start > KEYFRAME_MAX_BYTES {
            return Err("a keyframe that is too large".into());
        }
        let within = usize::try_from(place.start).ok().zip(usize::try_from(place.end).ok());
        let data = match within.filter(|&(_, end)| end <= head.len()) {
            Some((start, end)) => head.slice(start..end),
            None => self.read(entry, place).await?,
        };
        Ok(Some(Keyframe { config: Arc::clone(config), data }))
    }

    /// Reads a range of a segment from the spool, or from the store when the spool has it no more.
    async fn read(&self, entry: &SegmentEntry, range: Range<u64>) -> Result<Bytes, String> {
        let name = ObjectName::parse(&entry.name).map_err(|error| self.unreadable(&error))?;
        let segment = ObjectPath { name, ..self.path.clone() };
        if let Some(spool) = &self.spool
            && let Ok(bytes) = spool.read(&segment, Some(range.clone())).await
        {
            return Ok(bytes);
        }
        let wanted = range.end - range.start;
        let download = self.store.get_range(&segment, Some(range)).await;
        let stream = download.map_err(|error| self.unreadable(&error))?.stream;
        let chunks: Vec<Bytes> = stream.try_collect().await.map_err(|error| self.unreadable(&error))?;
        let bytes = Bytes::from(chunks.concat());
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err("the stored segment is too short".into()) }
    }

    /// Says for the manifest, which viewers see, that a segment cannot be read. Why, with its paths and hosts, is for the log.
    fn unreadable(&self, error: &dyn std::error::Error) -> String {
        warn!(recording = %self.path.recording, %error, "no picture of a segment");
        "a segment could not be read".into()
    }
}

impl Made {
    fn nothing(reason: String) -> Self {
        Self {
            said: manifest::Pictures { unavailable: Some(reason), ..manifest::Pictures::default() },
            objects: Vec::new(),
        }
    }
}

impl Gallery {
    /// Turns what was decoded into objects.
    fn hang(self, duration_ms: u64, late_after: Option<Duration>) -> Made {
        let mut made = Made::default();
        if let Some(poster) = self.poster {
            made.objects.push((ObjectName::poster(), poster.jpeg));
            made.said.poster = Some(ObjectName::poster().to_string());
        }
        if let Some(patience) = late_after {
            made.said.unavailable = Some(format!("not made within {} s", patience.as_secs()));
            return made;
        }
        match Storyboard::of(&self.tiles, duration_ms) {
            Ok(Some(Storyboard { sheets, vtt })) => {
                let numbered = (1..).map(ObjectName::storyboard_sheet);
                made.objects.extend(numbered.zip(sheets.into_iter().map(Bytes::from)));
                made.objects.push((ObjectName::storyboard(), vtt.into()));
                made.said.storyboard = Some(ObjectName::storyboard().to_string());
            }
            Ok(None) => made.said.unavailable = Some(self.error.unwrap_or_else(|| "there is no keyframe".into())),
            Err(error) => made.said.unavailable = Some(error.to_string()),
        }
        made
    }
}
