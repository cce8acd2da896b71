//! `recording.json`: what a recording holds, for those who list, play and check it.
//!
//! The keys are a public contract; readers must take unknown ones. Times within the recording count from its start.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use onair_media::{Alignment, CodecConfig, MediaKind, RecordingId, RoomName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cut::Segment;
use crate::measure::Measure;
use crate::object::ObjectName;
use crate::playlist::wallclock;
use crate::ticks::{GRID_HZ, clock_rate_hz, to_grid};

/// The version of the keys; it grows when a reader of the old ones would go wrong.
pub const SCHEMA: u32 = 1;

/// Tells how a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Segments are still being added.
    Live,
    /// It was ended in order.
    Complete,
    /// It was finished after the server had been interrupted.
    Recovered,
}

/// Holds the content of `recording.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// How it stands.
    pub state: RecordingState,
    /// Name and version of the program that wrote it.
    pub server: String,
    /// When the first sample was taken, to the millisecond.
    #[serde(with = "rfc3339_ms")]
    pub start: DateTime<Utc>,
    /// When the last sample ended, to the millisecond; `start` while there is none.
    #[serde(with = "rfc3339_ms")]
    pub end: DateTime<Utc>,
    /// From start to end, gaps included.
    pub duration_ms: u64,
    /// Who published; of the newest session, where there were more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// What ties sound and pictures together; absent where there is only one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<Alignment>,
    /// One for each rendition.
    pub tracks: Vec<TrackEntry>,
    /// The initialisation segments that are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inits: Vec<InitEntry>,
    /// In the order in which they were cut.
    pub segments: Vec<SegmentEntry>,
    /// Times for which there is nothing, or nothing of one rendition because it was lost here.
    pub gaps: Vec<Gap>,
    /// The stored objects beside segments and playlists.
    pub objects: Vec<ObjectEntry>,
    /// Where pictures of it are, or why there are none; absent while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Pictures>,
    /// Segments that were stored once and are missing or damaged since; there are gaps in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<SegmentEntry>,
    /// What is not known but taken to be so: `alignment`, and what a repair did not know any more, `wall_clock`, `gaps`,
    /// `initialisation`, `continuity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guessed: Vec<String>,
}

/// Says what is known of a publisher. No address, and nothing that could open a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// How its media came.
    pub protocol: Protocol,
}

/// Says how media came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A publisher sent it over WebRTC (RFC 9725).
    Whip,
    /// The server fetched it (RFC 7826).
    Rtsp,
    /// A way of a later version.
    #[serde(other)]
    Other,
}

/// Describes one stored initialisation segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitEntry {
    /// The object, such as `video/init-1.mp4`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest, in lower-case hexadecimal.
    pub sha256: String,
}

/// What [`Manifest::guessed`] says where sound and pictures are aligned by their arrival.
pub(crate) const GUESSED_ALIGNMENT: &str = "alignment";

/// Describes one rendition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackEntry {
    /// `video` or `audio`, also the name of the folder.
    pub name: MediaKind,
    /// The codec string of RFC 6381.
    pub codec: String,
    /// In pixels, for video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels, for video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames a second as measured, for video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// In hertz, for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// For audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
}

/// Describes one stored segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// The object, such as `video/000001.m4s`.
    pub name: String,
    /// From the start of the recording.
    pub start_ms: u64,
    /// How long it lasts.
    pub duration_ms: u64,
    /// Its size.
    pub bytes: u64,
    /// Its digest, in lower-case hexadecimal.
    pub sha256: String,
}

/// Describes a time for which there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From the start of the recording.
    pub start_ms: u64,
    /// How long it lasts.
    pub duration_ms: u64,
    /// Why.
    pub reason: GapReason,
}

/// Says why there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The publisher went and came back.
    PublisherReconnect,
    /// The server was interrupted.
    ServerRestart,
    /// The server could not keep up and dropped media.
    Overload,
    /// The spool was full: the store was away for too long, or the disk has no room.
    SpoolFull,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

/// Describes a stored object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// The object, such as `recording.mp4`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest, in lower-case hexadecimal; absent when it went up in parts, the first one last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its parts one behind the other, when it went up in parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartDigest>,
}

/// Says where pictures of the recording are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictures {
    /// The object that shows what the recording is about, `poster.jpg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<String>,
    /// The object that says what is to be seen when, `storyboard.vtt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storyboard: Option<String>,
    /// Why something of them is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

impl Pictures {
    /// Names no more what is lost.
    pub(crate) fn lose(&mut self, object: &str) {
        let lost = match object {
            "poster.jpg" => self.poster.take(),
            // Without one of its sheets it shows nothing for a while.
            name if name.starts_with("storyboard") => self.storyboard.take(),
            _ => None,
        };
        if lost.is_some() {
            self.unavailable = Some(format!("{object} was lost"));
        }
    }
}

/// Describes a stretch of an object that went up in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartDigest {
    /// Its size.
    pub bytes: u64,
    /// Its digest, in lower-case hexadecimal.
    pub sha256: String,
}

/// Keeps a manifest up to date while its recording grows.
#[derive(Debug)]
pub struct ManifestBuilder {
    manifest: Manifest,
    epoch: DateTime<Utc>,
    /// Time of the first sample on the grid: where the recording starts.
    origin: Option<i64>,
    /// Where the last segment of all ends, on the grid.
    end: i64,
    /// Where the last segment of each rendition ends, on the grid: video, sound.
    ends: [Option<i64>; 2],
    video: Measure,
    audio: Measure,
}

impl ManifestBuilder {
    /// Begins a live recording; `server` names the program, `epoch` is the wall clock of pts 0.
    pub fn new(room: RoomName, recording: RecordingId, server: &str, epoch: DateTime<Utc>) -> Self {
        let manifest = Manifest {
            schema: SCHEMA,
            room,
            recording,
            state: RecordingState::Live,
            server: server.into(),
            start: epoch,
            end: epoch,
            duration_ms: 0,
            publisher: None,
            alignment: None,
            tracks: Vec::new(),
            inits: Vec::new(),
            segments: Vec::new(),
            gaps: Vec::new(),
            objects: Vec::new(),
            pictures: None,
            lost: Vec::new(),
            guessed: Vec::new(),
        };
        Self {
            manifest,
            epoch,
            origin: None,
            end: 0,
            ends: [None; 2],
            video: Measure::new(MediaKind::Video),
            audio: Measure::new(MediaKind::Audio),
        }
    }

    /// Returns the manifest as it stands.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Renders `recording.json`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.manifest).expect("a manifest holds nothing that JSON cannot")
    }

    /// Lists a segment that is stored; `sha256` is [`sha256_hex`] of its bytes.
    pub fn add_segment(&mut self, segment: &Segment, config: &CodecConfig, sha256: String) {
        let start = to_grid(segment.kind, segment.start_ticks);
        let span = to_grid(segment.kind, i64::try_from(segment.duration_ticks).unwrap_or(i64::MAX));
        if self.origin.is_none() {
            self.origin = Some(start);
            self.manifest.start = wallclock(self.epoch, segment.kind, segment.start_ticks);
        }
        self.end = self.end.max(start.saturating_add(span));
        self.ends[slot(segment.kind)] = Some(start.saturating_add(span));
        self.manifest.duration_ms = self.millis_from_start(self.end);
        self.manifest.end = later(self.manifest.start, self.manifest.duration_ms);
        self.manifest.segments.push(SegmentEntry {
            name: ObjectName::segment(segment).as_str().into(),
            start_ms: self.millis_from_start(start),
            duration_ms: self.millis_between(start, start.saturating_add(span)),
            bytes: segment.size_bytes(),
            sha256,
        });
        self.describe_track(segment, config);
    }

    /// Returns where the gap before a segment starts and how long it lasts, if the recording has nothing until then.
    ///
    /// Asked before [`ManifestBuilder::add_segment`], for the first rendition of a number.
    pub fn gap_before(&self, segment: &Segment) -> Option<(u64, u64)> {
        let start = to_grid(segment.kind, segment.start_ticks);
        let duration_ms = self.millis_between(self.end, start);
        (self.origin.is_some() && duration_ms > 0).then(|| (self.millis_from_start(self.end), duration_ms))
    }

    /// Returns the gap before a segment in its own rendition, whatever the other one has.
    ///
    /// Asked before [`ManifestBuilder::add_segment`].
    pub fn gap_in_rendition(&self, segment: &Segment) -> Option<(u64, u64)> {
        let end = self.ends[slot(segment.kind)]?;
        let duration_ms = self.millis_between(end, to_grid(segment.kind, segment.start_ticks));
        (duration_ms > 0).then(|| (self.millis_from_start(end), duration_ms))
    }

    /// Lists a time for which there is nothing, at least in one rendition. Where it touches the last gap for the same
    /// reason, as when picture and sound were lost together, both are one.
    pub fn add_gap(&mut self, start_ms: u64, duration_ms: u64, reason: GapReason) {
        let end_ms = start_ms.saturating_add(duration_ms);
        if let Some(last) = self.manifest.gaps.last_mut()
            && last.reason == reason
            && start_ms <= last.start_ms + last.duration_ms
            && last.start_ms <= end_ms
        {
            let end_ms = end_ms.max(last.start_ms + last.duration_ms);
            last.start_ms = last.start_ms.min(start_ms);
            last.duration_ms = end_ms - last.start_ms;
            return;
        }
        self.manifest.gaps.push(Gap { start_ms, duration_ms, reason });
    }

    /// Lists a stored object; one of the same name is replaced.
    pub fn add_object(&mut self, name: &ObjectName, bytes: u64, sha256: String) {
        self.add(ObjectEntry { name: name.as_str().into(), bytes, sha256: Some(sha256), parts: Vec::new() });
    }

    /// Lists a stored object that went up in parts; one of the same name is replaced.
    pub fn add_object_of_parts(&mut self, name: &ObjectName, parts: Vec<PartDigest>) {
        let bytes = parts.iter().map(|part| part.bytes).sum();
        self.add(ObjectEntry { name: name.as_str().into(), bytes, sha256: None, parts });
    }

    fn add(&mut self, object: ObjectEntry) {
        self.manifest.objects.retain(|other| other.name != object.name);
        self.manifest.objects.push(object);
    }

    /// Says who published, and what ties sound and pictures together. Arrival is a guess: it is off by as much as the
    /// publisher took longer to encode one of them.
    pub fn set_provenance(&mut self, publisher: Publisher, alignment: Option<Alignment>) {
        self.manifest.publisher = Some(publisher);
        self.manifest.alignment = alignment;
        self.manifest.guessed.retain(|what| what != GUESSED_ALIGNMENT);
        if alignment == Some(Alignment::Arrival) {
            self.manifest.guessed.push(GUESSED_ALIGNMENT.into());
        }
    }

    /// Lists an initialisation segment that is stored; one of the same name is replaced.
    pub fn add_init(&mut self, init: InitEntry) {
        self.manifest.inits.retain(|other| other.name != init.name);
        self.manifest.inits.push(init);
    }

    /// Says where pictures are.
    pub fn set_pictures(&mut self, pictures: Pictures) {
        self.manifest.pictures = Some(pictures);
    }

    /// Ends the recording.
    pub const fn finish(&mut self, state: RecordingState) {
        self.manifest.state = state;
    }

    /// Converts a time on the grid; what lies before the first segment's start is the start.
    fn millis_from_start(&self, time: i64) -> u64 {
        millis(time.saturating_sub(self.origin.unwrap_or(time)))
    }

    /// Converts a span so that it ends where what begins there is said to begin: times are rounded, lengths are their
    /// differences. A negative one is none.
    fn millis_between(&self, start: i64, end: i64) -> u64 {
        self.millis_from_start(end).saturating_sub(self.millis_from_start(start))
    }

    fn describe_track(&mut self, segment: &Segment, config: &CodecConfig) {
        let measure = match segment.kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        };
        measure.add(segment);
        let entry = track_entry(config, measure);
        match self.manifest.tracks.iter_mut().find(|track| track.name == segment.kind) {
            Some(track) => *track = entry,
            None => self.manifest.tracks.push(entry),
        }
    }
}

/// Describes a rendition as it is now: the newest configuration, the frame rate so far to three decimals.
fn track_entry(config: &CodecConfig, measure: &Measure) -> TrackEntry {
    let kind = config.codec().kind();
    let (width, height) = config.dimensions().unzip();
    let frame_rate = measure.frame_rate().filter(|_| kind == MediaKind::Video);
    let channels = match config {
        CodecConfig::Opus { channels, .. } => Some(*channels),
        _ => None,
    };
    TrackEntry {
        name: kind,
        codec: config.rfc6381(),
        width,
        height,
        frame_rate: frame_rate.map(|rate| (rate * 1000.0).round() / 1000.0),
        sample_rate: (kind == MediaKind::Audio).then_some(clock_rate_hz(kind)),
        channels,
    }
}

const fn slot(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

/// Converts a span on the grid, rounded to the nearest millisecond; a negative one is none.
fn millis(grid: i64) -> u64 {
    const GRID_PER_MS: i64 = GRID_HZ / 1000;
    u64::try_from(grid.saturating_add(GRID_PER_MS / 2) / GRID_PER_MS).unwrap_or_default()
}

fn later(start: DateTime<Utc>, by_ms: u64) -> DateTime<Utc> {
    let by = i64::try_from(by_ms).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX);
    start.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the SHA-256 digest in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the SHA-256 digest of chunks that follow one another.
pub fn sha256(chunks: &[impl AsRef<[u8]>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    chunks.iter().for_each(|chunk| digest.update(chunk));
    digest.finalize().into()
}

/// Renders bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// RFC 3339 with milliseconds and `Z`, as the contract has it.
mod rfc3339_ms {
    use super::{DateTime, Deserialize, SecondsFormat, Utc};

    pub(super) fn serialize<S: serde::Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(time.with_timezone(&Utc))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{broadcast, frame, h264, opus, pull};
    use crate::{Fragmenter, FragmenterSettings};

    fn recorded() -> ManifestBuilder {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
        // The recording begins 10 s into the broadcast; the publisher is away from 14 to 16 s.
        broadcast(&mut fragmenter, 10, 4, 1);
        fragmenter.discontinuity();
        broadcast(&mut fragmenter, 16, 2, 1);
        fragmenter.finish();
        let epoch = DateTime::parse_from_rfc3339("2026-11-22T06:29:50.120Z").unwrap().with_timezone(&Utc);
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        let mut builder = ManifestBuilder::new(RoomName::parse("studio-1").unwrap(), recording, "onair 0.1.0", epoch);
        for segment in pull(&mut fragmenter).segments {
            if let Some((start_ms, duration_ms)) = builder.gap_before(&segment) {
                builder.add_gap(start_ms, duration_ms, GapReason::PublisherReconnect);
            }
            let config = if segment.kind == MediaKind::Video { h264() } else { opus() };
            builder.add_segment(&segment, &config, sha256_hex(&segment.bytes));
        }
        builder
    }

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let mut builder = recorded();
        builder.add_object(&ObjectName::progressive(), 18, sha256_hex(b""));
        builder.finish(RecordingState::Complete);
        let mut json: Value = serde_json::from_slice(&builder.to_json()).unwrap();
        let segments = json["segments"].take();
        assert_eq!(segments.as_array().unwrap().len(), 4);
        assert_eq!(segments[2]["name"], "video/000002.m4s");
        assert_eq!((&segments[2]["start_ms"], &segments[2]["duration_ms"]), (&json!(6000), &json!(2000)));
        assert_eq!(segments[2]["sha256"].as_str().unwrap().len(), 64);
        assert!(segments[2]["bytes"].is_u64());
        let expected = json!({
            "schema": 1, "room": "studio-1", "recording": "20261122T063000Z-7f3a9c", "state": "complete",
            "server": "onair 0.1.0",
            "start": "2026-11-22T06:30:00.120Z", "end": "2026-11-22T06:30:08.120Z", "duration_ms": 8000,
            "tracks": [
                { "name": "video", "codec": "avc1.42E01F", "width": 1280, "height": 720, "frame_rate": 30.0 },
                { "name": "audio", "codec": "opus", "sample_rate": 48000, "channels": 2 },
            ],
            "segments": null,
            "gaps": [{ "start_ms": 4000, "duration_ms": 2000, "reason": "publisher_reconnect" }],
            "objects": [{
                "name": "recording.mp4", "bytes": 18,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            }],
        });
        assert_eq!(json, expected);
    }

    /// Start and length were rounded each for itself: a gap began a millisecond behind the segment before it.
    #[test]
    fn where_one_segment_ends_the_next_one_begins() {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(1), part_target: Duration::from_millis(500) };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video]);
        for n in 0..1_000 {
            fragmenter.push(MediaKind::Video, frame(&h264(), n * 3_003 + n * n % 7, n % 31 == 0));
        }
        fragmenter.finish();
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        let room = RoomName::parse("studio-1").unwrap();
        let mut builder = ManifestBuilder::new(room, recording, "onair 0.1.0", DateTime::UNIX_EPOCH);
        for segment in pull(&mut fragmenter).segments {
            // Every fifth one is lost.
            if segment.msn % 5 == 0 {
                continue;
            }
            if let Some((start_ms, duration_ms)) = builder.gap_in_rendition(&segment) {
                builder.add_gap(start_ms, duration_ms, GapReason::SpoolFull);
            }
            builder.add_segment(&segment, &h264(), sha256_hex(&segment.bytes));
        }
        let Manifest { segments, gaps, .. } = builder.manifest();
        let mut spans: Vec<_> = segments.iter().map(|segment| (segment.start_ms, segment.duration_ms)).collect();
        spans.extend(gaps.iter().map(|gap| (gap.start_ms, gap.duration_ms)));
        spans.sort_unstable();
        assert!(gaps.len() > 4 && spans.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0), "{spans:?}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let builder = recorded();
        let read: Manifest = serde_json::from_slice(&builder.to_json()).unwrap();
        assert_eq!(&read, builder.manifest());
    }

    /// Collects the keys of a value and of everything in it.
    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| {
                found.push(key.clone());
                keys(value, found);
            }),
            Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_is_documented() {
        let mut builder = recorded();
        builder.add_object(&ObjectName::progressive(), 18, sha256_hex(b""));
        let mut manifest = builder.manifest().clone();
        manifest.objects[0].parts = vec![PartDigest { bytes: 18, sha256: sha256_hex(b"") }];
        manifest.lost = vec![manifest.segments[0].clone()];
        manifest.guessed = vec!["gaps".into()];
        let mut found = Vec::new();
        keys(&serde_json::to_value(&manifest).unwrap(), &mut found);
        let text = include_str!("../../docs/manifest.md");
        for key in found {
            assert!(text.contains(&format!("`{key}`")) || text.contains(&format!("].{key}`")), "{key}");
        }
    }

    #[test]
    fn a_manifest_of_a_later_version_is_read_as_far_as_it_is_known() {
        let mut json: Value = serde_json::from_slice(&recorded().to_json()).unwrap();
        json["gaps"][0]["reason"] = json!("solar_flare");
        json["weather"] = json!("fair");
        let read: Manifest = serde_json::from_value(json).unwrap();
        assert_eq!(read.gaps[0].reason, GapReason::Other);
    }

    #[test]
    fn a_lost_sheet_takes_its_storyboard_along() {
        let named = |name: &str| Some(name.to_owned());
        let whole = Pictures { poster: named("poster.jpg"), storyboard: named("storyboard.vtt"), unavailable: None };
        let left = |object| {
            let mut pictures = whole.clone();
            pictures.lose(object);
            (pictures.poster.is_some(), pictures.storyboard.is_some(), pictures.unavailable)
        };
        assert_eq!(left("storyboard-2.jpg"), (true, false, named("storyboard-2.jpg was lost")));
        assert_eq!(left("poster.jpg"), (false, true, named("poster.jpg was lost")));
        assert_eq!(left("recording.mp4"), (true, true, None));
    }
}
