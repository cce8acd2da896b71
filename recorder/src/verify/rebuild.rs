//! What a recording should say of itself, written anew from its segments.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};

use super::clock::{Clock, named_epoch};
use super::holes::hole;
use crate::cut::Segment;
use crate::manifest::{Gap, GapReason, Manifest, ManifestBuilder};
use crate::playlist::{RecordingPlaylists, wallclock};
use crate::ticks::{GRID_HZ, to_grid};

/// The renditions, in the order in which the segments of a number are listed.
pub(crate) const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// Holds what one track of the MP4 must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) samples: u64,
    /// Of all samples.
    pub(crate) bytes: u64,
}

/// Collects what the segments say, number by number.
#[derive(Debug)]
pub(crate) struct Rebuild {
    room: RoomName,
    recording: RecordingId,
    server: String,
    clock: Clock,
    /// The wall clock of pts 0, once a segment has told.
    epoch: Option<DateTime<Utc>>,
    playlists: RecordingPlaylists,
    /// Begun by the first segment: where the recording starts.
    begun: Option<Begun>,
    tracks: [Track; 2],
    holes: Vec<Gap>,
    guessed: Vec<&'static str>,
    pub(crate) segments: usize,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Begun {
    manifest: ManifestBuilder,
    epoch: DateTime<Utc>,
    /// Where the recording begins, on the grid.
    origin: i64,
    /// Where it ends so far, on the grid.
    end: i64,
}

/// What is known of a rendition so far.
#[derive(Debug, Default)]
struct Track {
    totals: Totals,
    /// Where its last segment ends, on the grid.
    end: Option<i64>,
    msn: u64,
    /// Whether a segment behind that one is missing or damaged.
    lost: bool,
}

impl Rebuild {
    /// Begins without a segment; `server` names the program that writes.
    pub(crate) fn new(
        room: &RoomName,
        recording: &RecordingId,
        server: &str,
        clock: Clock,
        target_duration_s: u32,
    ) -> Self {
        Self {
            room: room.clone(),
            recording: recording.clone(),
            server: server.into(),
            clock,
            epoch: None,
            playlists: RecordingPlaylists::new(target_duration_s),
            begun: None,
            tracks: Default::default(),
            holes: Vec::new(),
            guessed: Vec::new(),
            segments: 0,
            bytes: 0,
        }
    }

    /// Says that something is not known but taken to be so.
    pub(crate) fn guess(&mut self, what: &'static str) {
        if !self.guessed.contains(&what) {
            self.guessed.push(what);
        }
    }

    /// Notes that the next segment of a rendition is missing or damaged.
    pub(crate) const fn lose(&mut self, kind: MediaKind) {
        self.tracks[kind as usize].lost = true;
    }

    /// Looks whether a segment tells when the recording was, if that is not known yet.
    ///
    /// Called for all segments of a number before the first of them is added: a playlist may be left of one rendition.
    pub(crate) fn date(&mut self, segment: &Segment) {
        self.epoch = self.epoch.or_else(|| self.clock.epoch(segment));
    }

    /// Adds a segment; they come by number, and of one number in the order of [`KINDS`].
    pub(crate) fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>, sha256: String) {
        let start = to_grid(segment.kind, segment.start_ticks);
        let end = start.saturating_add(to_grid(segment.kind, segment.duration_ticks.cast_signed()));
        self.begin(start);
        self.find_holes(segment, start);
        let Some(begun) = &mut self.begun else { return };
        begun.manifest.add_segment(segment, config, sha256);
        begun.end = begun.end.max(end);
        self.playlists.admit(segment);
        self.playlists.push(segment, config, begun.epoch);
        let track = &mut self.tracks[segment.kind as usize];
        let payload = |part: &crate::Part| part.size_bytes() - part.payload_offset as u64;
        track.totals.samples += segment.parts.iter().map(|part| part.samples.len() as u64).sum::<u64>();
        track.totals.bytes += segment.parts.iter().map(|part| payload(part)).sum::<u64>();
        (track.end, track.msn, track.lost) = (Some(end), segment.msn, false);
        self.segments += 1;
        self.bytes += segment.size_bytes();
    }

    fn begin(&mut self, start: i64) {
        if self.begun.is_some() {
            return;
        }
        if self.epoch.is_none() {
            self.guess("wall_clock");
        }
        let epoch = self.epoch.unwrap_or_else(|| named_epoch(&self.recording));
        let manifest = ManifestBuilder::new(self.room.clone(), self.recording.clone(), &self.server, epoch);
        self.begun = Some(Begun { manifest, epoch, origin: start, end: start });
    }

    /// Notes the time before a segment for which there is nothing: of both renditions, or of its own if one was lost.
    fn find_holes(&mut self, segment: &Segment, start: i64) {
        let Some(begun) = &self.begun else { return };
        let track = &self.tracks[segment.kind as usize];
        if let Some((start_ms, duration_ms)) = begun.manifest.gap_before(segment) {
            let newest = self.tracks.iter().map(|track| track.msn).max().unwrap_or_default();
            let reason = if self.tracks.iter().any(|track| track.lost) || segment.msn > newest + 1 {
                GapReason::Other
            } else if segment.discontinuity {
                GapReason::PublisherReconnect
            } else {
                GapReason::Overload
            };
            self.holes.push(Gap { start_ms, duration_ms, reason });
        }
        if track.lost {
            let from = track.end.unwrap_or(begun.origin);
            self.holes.push(hole(begun.millis(from), begun.millis(start), GapReason::Other));
        }
    }

    /// Returns how long after the start of the manifest that is stored a segment begins, in milliseconds: less than none
    /// for sound that a first segment has from before its pictures.
    pub(crate) fn start_ms(&self, segment: &Segment, manifest_start: DateTime<Utc>) -> i64 {
        let Some(begun) = &self.begun else { return 0 };
        let start = wallclock(begun.epoch, segment.kind, segment.start_ticks);
        (start - manifest_start).num_milliseconds()
    }

    /// Returns how many samples and bytes a track of the MP4 must have.
    pub(crate) const fn totals(&self, kind: MediaKind) -> Totals {
        self.tracks[kind as usize].totals
    }

    /// Returns the playlists.
    pub(crate) const fn playlists(&self) -> &RecordingPlaylists {
        &self.playlists
    }

    /// Ends behind the last segment and returns the manifest, live and without gaps, and the gaps; nothing if no segment
    /// was added.
    pub(crate) fn finish(&mut self) -> Option<(Manifest, Vec<Gap>)> {
        let begun = self.begun.as_ref()?;
        for track in self.tracks.iter().filter(|track| track.lost) {
            let from = track.end.unwrap_or(begun.origin);
            self.holes.push(hole(begun.millis(from), begun.millis(begun.end), GapReason::Other));
        }
        let mut manifest = begun.manifest.manifest().clone();
        manifest.guessed = self.guessed.iter().map(|&what| what.to_owned()).collect();
        Some((manifest, std::mem::take(&mut self.holes)))
    }
}

impl Begun {
    /// Converts a time on the grid to milliseconds of the recording, rounded to the nearest.
    fn millis(&self, time: i64) -> u64 {
        const GRID_PER_MS: i64 = GRID_HZ / 1000;
        let since = time.saturating_sub(self.origin).saturating_add(GRID_PER_MS / 2) / GRID_PER_MS;
        u64::try_from(since).unwrap_or_default()
    }
}
