//! Frames in, CMAF chunks out: where parts and segments begin and end.
//!
//! Owns the order of the two tracks, the durations of samples and the boundaries. It reads no clock: everything is
//! media time. Frames of both tracks are taken in the order of their decoding times; a frame waits for the other track
//! at most one part target, so that both renditions are cut at the same instant however they arrive.
//!
//! > Both renditions end segment N before either announces a part of segment N+1, and a discontinuity stands at the
//! > same media sequence number in both.
//!
//! A rendition that has no media for a segment leaves that number out and comes back, at a boundary, with a
//! discontinuity for both.

#[cfg(test)]
pub(crate) mod properties;
mod segment;
#[cfg(test)]
mod tests;
mod track;

use std::collections::VecDeque;
use std::time::Duration;

use onair_media::{Frame, MediaKind};

use self::track::{Place, TimedFrame, Track};
use crate::cut::Cut;
use crate::ticks::{GRID_HZ, from_duration, to_grid};

/// How long the start waits for an announced track, in media time of the other one.
const START_WAIT: i64 = 2 * GRID_HZ;

/// How often a keyframe is asked for while it does not come.
const KEYFRAME_ASK_INTERVAL: i64 = GRID_HZ;

/// `EXTINF` rounded to the nearest integer must not exceed the target duration (RFC 8216 §4.3.3.1).
const EXTINF_SLACK: Duration = Duration::from_millis(490);

const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// Says how long parts and segments should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmenterSettings {
    /// A segment ends at the first keyframe after this long.
    pub segment_target: Duration,
    /// No part lasts longer, unless a single frame does. None is shorter than 85 % of it, unless its segment ends or the
    /// next frame would make it too long: where frames last 15 % of it or less, every part keeps both rules of
    /// RFC 8216bis §4.4.4.9. It never changes within a stream.
    pub part_target: Duration,
}

impl FragmenterSettings {
    /// Returns `EXT-X-TARGETDURATION` in seconds: one and a half segment targets, rounded up.
    ///
    /// The room is for a keyframe that comes late; the value is fixed for the life of the stream
    /// (RFC 8216 §6.2.1).
    pub fn target_duration_s(&self) -> u32 {
        let seconds = (self.segment_target.as_secs_f64() * 1.5).ceil();
        (seconds as u32).max(1)
    }
}

/// Whether frames may still be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// More frames will come.
    Live,
    /// None will come before the next publisher session.
    All,
}

/// Cuts the frames of one broadcast into parts and segments.
///
/// Every `push`, `discontinuity` and `finish` is followed by `pull` until it returns `None`.
#[derive(Debug)]
pub struct Fragmenter {
    settings: FragmenterSettings,
    video: Track,
    audio: Track,
    announced: Vec<MediaKind>,
    /// Whether a segment is open; otherwise the tracks are being waited for.
    running: bool,
    /// The media sequence number of the current segment, or of the next one while not running.
    msn: u64,
    /// Whether the current segment does not continue the one before.
    discontinuity: bool,
    keyframe_asked_at: Option<i64>,
    dropped_frames: u64,
    cuts: VecDeque<Cut>,
}

impl Fragmenter {
    /// Creates a fragmenter for a broadcast whose publisher announced `tracks`.
    pub fn new(settings: FragmenterSettings, tracks: &[MediaKind]) -> Self {
        Self {
            settings,
            video: Track::new(MediaKind::Video),
            audio: Track::new(MediaKind::Audio),
            announced: tracks.to_vec(),
            running: false,
            msn: 1,
            discontinuity: false,
            keyframe_asked_at: None,
            dropped_frames: 0,
            cuts: VecDeque::new(),
        }
    }

    /// Replaces the tracks that a start waits for: another publisher session announced others.
    ///
    /// Belongs right after [`Fragmenter::discontinuity`].
    pub fn set_tracks(&mut self, tracks: &[MediaKind]) {
        self.announced = tracks.to_vec();
    }

    /// Takes the next frame of a track, in decoding order.
    ///
    /// A frame is dropped, and counted, when it cannot be packaged (its time does not grow, its configuration does not
    /// fit the boxes), when it precedes the first keyframe, or while its track waits for a boundary to come back at.
    pub fn push(&mut self, kind: MediaKind, frame: Frame) {
        if !self.track(kind).accepts(&frame) {
            self.dropped_frames += 1;
            return;
        }
        let longest_ticks = u64::from(self.settings.target_duration_s()) * from_duration(kind, Duration::from_secs(1));
        if self.track(kind).gap_ticks(&frame).is_some_and(|gap| gap > longest_ticks) {
            self.lose(kind);
        }
        self.ask_for_keyframe(kind, &frame);
        if !self.running && kind == MediaKind::Video && !frame.keyframe && !self.video.has_frames() {
            self.dropped_frames += 1;
            return;
        }
        self.track(kind).push(frame);
        if self.running || self.may_start() {
            self.start();
            self.interleave(Drain::Live);
        }
    }

    /// Ends the current segments; the next ones are flagged and get a new initialisation segment if the configuration
    /// changed. The last frame of each track keeps the duration of the one before it.
    pub fn discontinuity(&mut self) {
        self.video.release();
        self.audio.release();
        if self.running || self.video.has_frames() || self.audio.has_frames() {
            self.start();
            self.interleave(Drain::All);
            self.end_segment();
        }
        self.video.joined = false;
        self.audio.joined = false;
        self.running = false;
        self.discontinuity = self.msn > 1;
        self.keyframe_asked_at = None;
    }

    /// Ends the broadcast: everything that was pushed is cut. Frames pushed later would begin after a discontinuity.
    pub fn finish(&mut self) {
        self.discontinuity();
    }

    /// Returns the next cut in the order in which readers may see it.
    pub fn pull(&mut self) -> Option<Cut> {
        self.cuts.pop_front()
    }

    /// Returns how many frames were dropped so far, see [`Fragmenter::push`].
    pub const fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    fn track(&mut self, kind: MediaKind) -> &mut Track {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }

    const fn track_ref(&self, kind: MediaKind) -> &Track {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    /// Takes a track out of the segments, because its next frame is further away than a sample may last.
    fn lose(&mut self, kind: MediaKind) {
        if !self.running {
            self.dropped_frames += self.track(kind).clear();
            return;
        }
        self.track(kind).release();
        while self.track_ref(kind).next_time().is_some()
            && let Some(next) = self.next_kind(Drain::All)
        {
            self.place(next);
        }
        self.track(kind).joined = false;
    }

    /// Tells whether every announced track has a frame, or one has waited long enough for the other.
    fn may_start(&self) -> bool {
        let waited = |track: &Track| match (track.first_time(), track.newest_time()) {
            (Some(first), Some(newest)) => newest - first > START_WAIT,
            _ => false,
        };
        self.announced.iter().all(|kind| self.track_ref(*kind).has_frames())
            || waited(&self.video)
            || waited(&self.audio)
    }

    /// Opens the first segment after a wait, from the first picture on if there is one. Does nothing while running.
    fn start(&mut self) {
        if self.running {
            return;
        }
        if let Some(first_picture) = self.video.first_time() {
            self.dropped_frames += self.audio.trim(first_picture);
        }
        self.video.joined = self.video.has_frames();
        self.audio.joined = self.audio.has_frames();
        self.running = true;
    }

    /// Places the frames whose turn has come, of both tracks in the order of their decoding times.
    fn interleave(&mut self, drain: Drain) {
        while let Some(kind) = self.next_kind(drain) {
            self.place(kind);
        }
    }

    /// Returns the track whose next frame is the earliest, or `None` while the other one may still bring an earlier one.
    ///
    /// At the same instant video goes first, because it decides on the boundary.
    fn next_kind(&self, drain: Drain) -> Option<MediaKind> {
        let (kind, other) = match (self.video.next_time(), self.audio.next_time()) {
            (None, None) => return None,
            (Some(video), Some(audio)) if audio < video => return Some(MediaKind::Audio),
            (Some(_), Some(_)) => return Some(MediaKind::Video),
            (Some(_), None) => (MediaKind::Video, &self.audio),
            (None, Some(_)) => (MediaKind::Audio, &self.video),
        };
        let track = self.track_ref(kind);
        let next = track.next_time()?;
        let passed = other.newest_time().is_some_and(|time| time > next || (time == next && kind == MediaKind::Video));
        let patience = to_grid(kind, from_duration(kind, self.settings.part_target) as i64);
        let waited = track.newest_time().is_some_and(|newest| newest - next > patience);
        (drain == Drain::All || !other.joined || passed || waited).then_some(kind)
    }

    /// Puts the next frame of a track where it belongs.
    fn place(&mut self, kind: MediaKind) {
        let Some(timed) = self.track(kind).pop() else { return };
        if self.track_ref(kind).joined {
            if self.breaks_segment(kind, &timed.frame) {
                self.boundary(kind, &timed.frame);
                self.discontinuity = true;
            } else if self.ends_segment(kind, &timed) {
                self.boundary(kind, &timed.frame);
            }
        } else if self.may_join(kind, &timed.frame) {
            self.boundary(kind, &timed.frame);
        } else {
            self.dropped_frames += 1;
            return;
        }
        let place = Place {
            msn: self.msn,
            discontinuity: self.discontinuity,
            part_target_ticks: from_duration(kind, self.settings.part_target),
        };
        let track = match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        };
        track.append(timed, place, &mut self.cuts);
    }

    /// Tells whether the segment ends before this frame because its configuration is another one.
    ///
    /// A track that has nothing in a flagged segment yet begins there with its new initialisation segment: otherwise the
    /// sound that a new publisher session begins with would be a segment of a few milliseconds.
    fn breaks_segment(&self, kind: MediaKind, frame: &Frame) -> bool {
        let track = self.track_ref(kind);
        let begins = track.segment.is_none() && self.discontinuity;
        !begins && track.changes_config(frame)
    }

    /// Tells whether a frame of an absent track makes a boundary to come back at: a keyframe of video does, audio waits
    /// for the boundaries of video.
    const fn may_join(&self, kind: MediaKind, frame: &Frame) -> bool {
        match kind {
            MediaKind::Video => frame.keyframe,
            MediaKind::Audio => !self.video.joined,
        }
    }

    /// Tells whether the segment ends before this frame: at its target, or, without a keyframe, where it must.
    fn ends_segment(&self, kind: MediaKind, timed: &TimedFrame) -> bool {
        let Some(segment) = &self.track_ref(kind).segment else { return false };
        let elapsed = timed.frame.dts_ticks.abs_diff(segment.start_ticks());
        let leads = kind == MediaKind::Video || !self.video.joined;
        if leads && timed.frame.keyframe && elapsed >= from_duration(kind, self.settings.segment_target) {
            return true;
        }
        let longest = Duration::from_secs(self.settings.target_duration_s().into()) + EXTINF_SLACK;
        elapsed + u64::from(timed.duration_ticks) > from_duration(kind, longest)
    }

    /// Ends the current segment of both tracks and begins the next one before `frame`.
    ///
    /// A track without media in the old segment leaves; an absent track whose frames have come back joins.
    fn boundary(&mut self, kind: MediaKind, frame: &Frame) {
        let time = to_grid(kind, frame.dts_ticks);
        for absent in KINDS {
            if absent != kind && self.track_ref(absent).joined && self.track_ref(absent).segment.is_none() {
                self.give_up(absent, time);
            }
        }
        self.end_segment();
        for joining in KINDS {
            if self.track_ref(joining).joined || (joining != kind && !self.has_returned(joining, time)) {
                continue;
            }
            self.discontinuity |= self.track_ref(joining).has_history();
            self.track(joining).joined = true;
        }
    }

    /// Takes out a track that has brought nothing for the whole segment, but saves its last frame into it.
    ///
    /// Frames are placed in order, so no more than that one can be older than the boundary at `time`. Where it needs
    /// another configuration, it has no segment to go to and is dropped.
    fn give_up(&mut self, kind: MediaKind, time: i64) {
        let track = self.track_ref(kind);
        if let Some(last) = track.newest().filter(|frame| to_grid(kind, frame.dts_ticks) < time) {
            if track.changes_config(last) {
                self.dropped_frames += self.track(kind).clear();
            } else {
                self.track(kind).release();
                self.place(kind);
            }
        }
        self.track(kind).joined = false;
    }

    /// Tells whether an absent audio track brings frames again; a lonely old one is forgotten.
    ///
    /// Video comes back by [`Fragmenter::may_join`] alone: it needs a keyframe.
    fn has_returned(&mut self, kind: MediaKind, time: i64) -> bool {
        if kind == MediaKind::Video {
            return false;
        }
        let patience = to_grid(kind, from_duration(kind, self.settings.part_target) as i64);
        let Some(newest) = self.audio.newest_time() else { return false };
        if newest < time.saturating_sub(patience) {
            self.dropped_frames += self.audio.clear();
            return false;
        }
        true
    }

    /// Announces the rest of the current segment of both tracks and counts on.
    fn end_segment(&mut self) {
        self.video.cut_last_part(&mut self.cuts);
        self.audio.cut_last_part(&mut self.cuts);
        let ended: Vec<_> = [self.video.segment.take(), self.audio.segment.take()].into_iter().flatten().collect();
        if ended.is_empty() {
            return;
        }
        self.cuts.extend(ended.into_iter().map(segment::OpenSegment::finish));
        self.msn += 1;
        self.discontinuity = false;
    }

    /// Announces [`Cut::KeyframeWanted`] when a picture that is none could have ended the segment, or begun one.
    fn ask_for_keyframe(&mut self, kind: MediaKind, frame: &Frame) {
        if kind != MediaKind::Video {
            return;
        }
        if frame.keyframe {
            self.keyframe_asked_at = None;
            return;
        }
        let target = from_duration(kind, self.settings.segment_target) as i64;
        let wanted = match &self.video.segment {
            Some(segment) => {
                let boundary = segment.start_ticks().saturating_add(target);
                frame.dts_ticks >= boundary && !self.video.awaits_keyframe_from(boundary)
            }
            None => !self.video.awaits_keyframe_from(0) && !self.video.joined,
        };
        let time = to_grid(kind, frame.dts_ticks);
        let due = self.keyframe_asked_at.is_none_or(|asked| time - asked >= KEYFRAME_ASK_INTERVAL);
        if wanted && due {
            self.keyframe_asked_at = Some(time);
            self.cuts.push_back(Cut::KeyframeWanted);
        }
    }
}
