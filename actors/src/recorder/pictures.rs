//! Poster and storyboard: made at the end, from the keyframes that some of the segments begin with.
//!
//! Nothing of them is kept while the recording goes on, so that whoever takes one over makes the same ones. They are an
//! extra: what takes too long or cannot be had is left out, and the manifest says so.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use onair_media::{CodecConfig, MediaKind};
use onair_pictures::storyboard::{Storyboard, Tile, pick};
use onair_pictures::{Keyframe, PictureError, has_decoder};
use onair_recorder::manifest::{Pictures, SegmentEntry};
use onair_recorder::{ObjectName, ObjectPath, read_head, read_keyframe};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::{Phase, Recorder};
use crate::archive::Archive;
use crate::uploader::{Outcome, PutFailure, StoredObject};

/// How long the end of a recording waits for its pictures; less than a shutdown waits for the recording.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of a segment is read to find its keyframe, and what most keyframes fit into.
const HEAD_BYTES: u64 = 128 << 10;

/// The largest keyframe that is decoded.
const KEYFRAME_MAX_BYTES: u64 = 8 << 20;

/// The frame of a poster, in pixels.
const POSTER_MAX_WIDTH: usize = 1280;
const POSTER_MAX_HEIGHT: usize = 1280;

/// Holds what became of the pictures.
#[derive(Debug, Default)]
struct Made {
    /// In the order in which they are stored: what names others is last.
    objects: Vec<(ObjectName, Bytes)>,
    said: Pictures,
}

/// What pictures are made of.
struct Material {
    archive: Arc<Archive>,
    /// Of the recording; the name is replaced.
    path: ObjectPath,
    configs: BTreeMap<u32, Arc<CodecConfig>>,
    segments: Vec<SegmentEntry>,
    duration_ms: u64,
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

impl Recorder {
    /// Makes the pictures, away from this thread.
    pub(super) fn make_pictures(&self, ctx: &mut Context<Self>) {
        debug_assert_eq!(self.phase, Phase::Picturing { made: false });
        let manifest = self.ledger.manifest();
        let is_video = |entry: &&SegmentEntry| {
            let name = ObjectName::parse(&entry.name).ok();
            name.and_then(|name| name.segment_number()).is_some_and(|(kind, _)| kind == MediaKind::Video)
        };
        let material = Material {
            archive: Arc::clone(&self.archive),
            path: self.path(ObjectName::poster()),
            configs: self.ledger.video_configs(),
            segments: manifest.segments.iter().filter(is_video).cloned().collect(),
            duration_ms: manifest.duration_ms,
        };
        ctx.spawn(material.make().into_actor(self).map(|made, recorder, ctx| recorder.pictured(made, ctx)));
    }

    fn pictured(&mut self, made: Made, ctx: &mut Context<Self>) {
        if let Some(reason) = &made.said.unavailable {
            info!(recording = %self.id, reason, "not all pictures were made");
        }
        self.ledger.set_pictures(made.said);
        for (name, bytes) in made.objects {
            self.put_next(name, bytes, ctx);
        }
        self.phase = Phase::Picturing { made: true };
        self.go_on(ctx);
    }

    /// A picture is stored, and listed then; or refused, and what is said of pictures is that.
    pub(super) fn picture_done(&mut self, name: &ObjectName, outcome: Result<Outcome, PutFailure>) {
        match outcome {
            Ok(Outcome::Stored(StoredObject { bytes, sha256 })) => self.ledger.list_picture(name, bytes, sha256),
            Ok(_) => {}
            Err(failure) => {
                self.note_failure(name.as_str(), &failure.to_string());
                let unavailable = Some("the store did not take them".into());
                self.ledger.set_pictures(Pictures { unavailable, ..Pictures::default() });
            }
        }
    }
}

impl Material {
    async fn make(self) -> Made {
        match self.obstacle() {
            Some(reason) => Made::nothing(reason),
            None => self.make_in_time().await,
        }
    }

    /// Says why no picture can be made at all.
    fn obstacle(&self) -> Option<String> {
        if !self.archive.pictures.are_wanted() {
            return Some("record.posters is false".into());
        }
        if self.segments.is_empty() {
            return Some("there is no video".into());
        }
        let is_decodable = self.configs.values().any(|config| has_decoder(config.codec()));
        let codec = self.configs.values().next().map(|config| config.rfc6381()).unwrap_or_default();
        (!is_decodable).then(|| PictureError::NoDecoder(codec).to_string())
    }

    async fn make_in_time(self) -> Made {
        let deadline = Instant::now() + PATIENCE;
        let starts: Vec<u64> = self.segments.iter().map(|entry| entry.start_ms).collect();
        let mut gallery = Gallery::default();
        let mut in_time = true;
        for index in pick(&starts, self.duration_ms) {
            let entry = &self.segments[index];
            if timeout_at(deadline, self.show(entry, &mut gallery)).await.is_err() {
                in_time = false;
                break;
            }
        }
        let duration_ms = self.duration_ms;
        let hung = tokio::task::spawn_blocking(move || gallery.hang(duration_ms, in_time));
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
        let decoded = self.archive.pictures.decode(keyframe, move |picture| {
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
        if let Ok(bytes) = self.archive.spool.read(&segment, Some(range.clone())).await {
            return Ok(bytes);
        }
        let wanted = range.end - range.start;
        let download = self.archive.store.get_range(&segment, Some(range)).await;
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
        Self { said: Pictures { unavailable: Some(reason), ..Pictures::default() }, objects: Vec::new() }
    }
}

impl Gallery {
    /// Turns what was decoded into objects.
    fn hang(self, duration_ms: u64, in_time: bool) -> Made {
        let mut made = Made::default();
        if let Some(poster) = self.poster {
            made.objects.push((ObjectName::poster(), poster.jpeg));
            made.said.poster = Some(ObjectName::poster().to_string());
        }
        if !in_time {
            made.said.unavailable = Some(format!("not made within {} s", PATIENCE.as_secs()));
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
