//! One track inside the fragmenter: the one-frame lag before it, the open segment behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use onair_media::{CodecConfig, Frame, MediaKind};

use super::segment::OpenSegment;
use crate::boxes::init_segment;
use crate::cut::{Cut, Init, Sample};
use crate::ticks::{clock_rate_hz, to_grid};

/// The latest decoding time that is taken, 25,000 years of video: sums and grid times stay far from overflow.
const LATEST_TICKS: i64 = 1 << 56;

/// How long a part is at least, in percent of the part target, unless its segment ends or a long frame comes
/// (RFC 8216bis §4.4.4.9).
const PART_MIN_PERCENT: u64 = 85;

/// A frame whose duration is known.
#[derive(Debug)]
pub(super) struct TimedFrame {
    pub(super) frame: Frame,
    pub(super) duration_ticks: u32,
}

/// What a frame needs to know of the segment it goes into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) msn: u64,
    pub(super) discontinuity: bool,
    pub(super) part_target_ticks: u64,
}

/// Holds the frames of one track from arrival to the segment.
#[derive(Debug)]
pub(super) struct Track {
    kind: MediaKind,
    /// Whether its frames go into the current segment.
    pub(super) joined: bool,
    /// The newest frame: its duration is the distance to the next one.
    held: Option<Frame>,
    /// Frames with a duration that wait for the other track, in decoding order.
    queue: VecDeque<TimedFrame>,
    /// Decoding time of the newest frame ever accepted, in ticks.
    last_dts_ticks: Option<i64>,
    /// For a frame that no other follows: as long as the one before.
    usual_duration_ticks: u32,
    /// The configuration that was looked at last, and whether it has boxes.
    checked: Option<(Arc<CodecConfig>, bool)>,
    init: Option<Init>,
    chunks: u32,
    pub(super) segment: Option<OpenSegment>,
}

impl Track {
    pub(super) fn new(kind: MediaKind) -> Self {
        // 20 ms of Opus, one frame at 30 fps: what WebRTC senders use unless told otherwise.
        let usual_duration_ticks = clock_rate_hz(kind) / if kind == MediaKind::Audio { 50 } else { 30 };
        Self {
            kind,
            joined: false,
            held: None,
            queue: VecDeque::new(),
            last_dts_ticks: None,
            usual_duration_ticks,
            checked: None,
            init: None,
            chunks: 0,
            segment: None,
        }
    }

    /// Tells whether the frame can be packaged: it moves time on, fits a sample, and its configuration fits its boxes.
    pub(super) fn accepts(&mut self, frame: &Frame) -> bool {
        let in_range = (0..LATEST_TICKS).contains(&frame.dts_ticks);
        let advances = self.last_dts_ticks.is_none_or(|last| frame.dts_ticks > last);
        let fits = u32::try_from(frame.data.len()).is_ok() && frame.config.codec().kind() == self.kind;
        in_range && advances && fits && self.has_boxes(&frame.config)
    }

    fn has_boxes(&mut self, config: &Arc<CodecConfig>) -> bool {
        if let Some((checked, verdict)) = &self.checked
            && Arc::ptr_eq(checked, config)
        {
            return *verdict;
        }
        let verdict = init_segment(config).is_ok();
        self.checked = Some((Arc::clone(config), verdict));
        verdict
    }

    /// Returns the ticks between the newest frame and a following one.
    pub(super) fn gap_ticks(&self, next: &Frame) -> Option<u64> {
        self.held.as_ref().map(|held| next.dts_ticks.abs_diff(held.dts_ticks))
    }

    /// Takes a frame that [`Track::accepts`]; the frame before it gets its duration.
    pub(super) fn push(&mut self, frame: Frame) {
        self.last_dts_ticks = Some(frame.dts_ticks);
        if let Some(held) = self.held.take() {
            let distance = frame.dts_ticks.abs_diff(held.dts_ticks);
            self.usual_duration_ticks = u32::try_from(distance).unwrap_or(u32::MAX);
            self.queue.push_back(TimedFrame { frame: held, duration_ticks: self.usual_duration_ticks });
        }
        self.held = Some(frame);
    }

    /// Gives the newest frame the duration of the one before it, because none will follow.
    pub(super) fn release(&mut self) {
        if let Some(frame) = self.held.take() {
            self.queue.push_back(TimedFrame { frame, duration_ticks: self.usual_duration_ticks });
        }
    }

    /// Forgets all frames that are not in a segment yet and returns how many they were.
    pub(super) fn clear(&mut self) -> u64 {
        let dropped = self.queue.len() + usize::from(self.held.is_some());
        self.queue.clear();
        self.held = None;
        dropped as u64
    }

    /// Forgets the frames that end before `start`, on the grid, and returns how many they were.
    pub(super) fn trim(&mut self, start: i64) -> u64 {
        let mut dropped = 0;
        while let Some(first) = self.queue.front()
            && to_grid(self.kind, first.frame.dts_ticks + i64::from(first.duration_ticks)) <= start
        {
            self.queue.pop_front();
            dropped += 1;
        }
        dropped
    }

    pub(super) fn pop(&mut self) -> Option<TimedFrame> {
        self.queue.pop_front()
    }

    /// Returns the time of the next frame with a duration, on the grid.
    pub(super) fn next_time(&self) -> Option<i64> {
        self.queue.front().map(|timed| to_grid(self.kind, timed.frame.dts_ticks))
    }

    /// Returns the time of the oldest frame that is not in a segment yet, on the grid.
    pub(super) fn first_time(&self) -> Option<i64> {
        self.next_time().or_else(|| self.newest_time())
    }

    /// Returns the newest frame, whose duration is not known yet.
    pub(super) const fn newest(&self) -> Option<&Frame> {
        self.held.as_ref()
    }

    /// Returns the time of the newest frame, on the grid.
    pub(super) fn newest_time(&self) -> Option<i64> {
        self.newest().map(|frame| to_grid(self.kind, frame.dts_ticks))
    }

    /// Tells whether any frame waits.
    pub(super) fn has_frames(&self) -> bool {
        self.held.is_some() || !self.queue.is_empty()
    }

    /// Tells whether a keyframe waits that stands at or behind `dts_ticks`.
    pub(super) fn awaits_keyframe_from(&self, dts_ticks: i64) -> bool {
        let waiting = self.queue.iter().map(|timed| &timed.frame).chain(&self.held);
        waiting.into_iter().any(|frame| frame.keyframe && frame.dts_ticks >= dts_ticks)
    }

    /// Tells whether the rendition has been in a segment before.
    pub(super) fn has_history(&self) -> bool {
        self.init.is_some()
    }

    /// Tells whether the frame asks for another initialisation segment than the current one.
    pub(super) fn changes_config(&self, frame: &Frame) -> bool {
        let Some(init) = &self.init else { return false };
        frame.keyframe && !Arc::ptr_eq(&init.config, &frame.config) && init.config != frame.config
    }

    /// Puts a frame into the open segment, opening it where needed, and cuts the parts that are full.
    pub(super) fn append(&mut self, timed: TimedFrame, place: Place, cuts: &mut VecDeque<Cut>) {
        let TimedFrame { frame, duration_ticks } = timed;
        if self.segment.is_none() {
            self.renew_init(&frame, cuts);
            let init = self.init.as_ref().map_or(0, |init| init.index);
            self.segment = Some(OpenSegment::new(self.kind, place.msn, init, place.discontinuity, frame.dts_ticks));
        }
        let sample = sample(&frame, duration_ticks);
        let segment = self.segment.as_mut().expect("opened above");
        let full = |segment: &OpenSegment| {
            segment.part_ticks() > 0 && segment.part_ticks() + u64::from(duration_ticks) > place.part_target_ticks
        };
        if full(segment) {
            cuts.push_back(segment.cut_part(&mut self.chunks));
        }
        segment.push(sample, frame.data);
        // The next frame will most likely last as long: a part that it would overfill can go now, if it is long enough.
        let is_long =
            segment.part_ticks().saturating_mul(100) >= place.part_target_ticks.saturating_mul(PART_MIN_PERCENT);
        if is_long && full(segment) {
            cuts.push_back(segment.cut_part(&mut self.chunks));
        }
    }

    /// Announces a new initialisation segment when there is none or the configuration is another one.
    fn renew_init(&mut self, frame: &Frame, cuts: &mut VecDeque<Cut>) {
        if self.init.is_some() && !self.changes_config(frame) {
            return;
        }
        let index = self.init.as_ref().map_or(1, |init| init.index + 1);
        let bytes: Bytes = init_segment(&frame.config).expect("a frame is accepted only when its configuration fits");
        let init = Init { kind: self.kind, index, config: Arc::clone(&frame.config), bytes };
        self.init = Some(init.clone());
        cuts.push_back(Cut::Init(init));
    }

    /// Cuts the last part of the open segment.
    pub(super) fn cut_last_part(&mut self, cuts: &mut VecDeque<Cut>) {
        if let Some(segment) = &mut self.segment
            && segment.part_ticks() > 0
        {
            cuts.push_back(segment.cut_part(&mut self.chunks));
        }
    }
}

fn sample(frame: &Frame, duration_ticks: u32) -> Sample {
    let offset = frame.pts_ticks.saturating_sub(frame.dts_ticks);
    Sample {
        size: u32::try_from(frame.data.len()).expect("accepted frames fit a sample"),
        duration_ticks,
        composition_offset_ticks: i32::try_from(offset).unwrap_or(if offset < 0 { i32::MIN } else { i32::MAX }),
        sync: frame.keyframe,
    }
}
