//! What is measured of one track for the publisher's report.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use onair_media::{MediaKind, RtpPacket, keyframe_size};

/// The time over which losses, frames and pictures out of order are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// For how long a change of the picture's size is remembered, and how many are.
const CHANGES_KEPT_FOR: Duration = Duration::from_secs(60);
const CHANGES_MAX: usize = 16;

/// A step of the sequence number or of the timestamp that is a new beginning and not a loss or a pause.
const RENUMBERED_FROM: u64 = 1 << 16;
const JUMP_TICKS: u32 = 90_000 * 10;

/// Follows one track.
#[derive(Debug)]
pub(super) struct TrackWatch {
    kind: MediaKind,
    clock_rate_hz: u32,
    began: Instant,
    heard_at: Instant,
    newest_seq_no: u64,
    newest_timestamp: u32,
    window: Window,
    /// What the last full window showed.
    last: Option<Shown>,
    keyframe_at: Option<Instant>,
    keyframes_apart: Option<Duration>,
    asked_at: Option<Instant>,
    size: Option<(u32, u32)>,
    size_changes: VecDeque<Instant>,
    has_report: bool,
    /// How long the last packet took, by two clocks, and the jitter of that in seconds (RFC 3550 §6.4.1).
    transit_s: Option<f64>,
    jitter_s: f64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    first_seq_no: u64,
    packets: u64,
    frames: u64,
    steps_back: u64,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    loss_percent: f64,
    frame_rate: f64,
    has_b_frames: bool,
}

impl TrackWatch {
    pub(super) fn new(packet: &RtpPacket) -> Self {
        let at = packet.received_at;
        Self {
            kind: packet.codec.kind(),
            clock_rate_hz: packet.codec.clock_rate_hz(),
            began: at,
            heard_at: at,
            newest_seq_no: packet.seq_no,
            newest_timestamp: packet.timestamp,
            window: Window::new(at, packet.seq_no),
            last: None,
            keyframe_at: None,
            keyframes_apart: None,
            asked_at: None,
            size: None,
            size_changes: VecDeque::new(),
            has_report: false,
            transit_s: None,
            jitter_s: 0.0,
        }
    }

    pub(super) fn note(&mut self, packet: &RtpPacket) {
        let at = packet.received_at;
        self.heard_at = self.heard_at.max(at);
        self.has_report |= packet.sender_report.is_some();
        if packet.seq_no.abs_diff(self.newest_seq_no) >= RENUMBERED_FROM {
            // The sender began anew; what was counted says nothing of it.
            (self.newest_seq_no, self.newest_timestamp) = (packet.seq_no, packet.timestamp);
            self.window = Window::new(at, packet.seq_no);
        }
        self.window.packets += 1;
        if packet.seq_no > self.newest_seq_no {
            self.newest_seq_no = packet.seq_no;
            self.note_time(packet);
        }
        if self.kind == MediaKind::Video && packet.starts_keyframe {
            self.note_keyframe(packet);
        }
        let elapsed = at.saturating_duration_since(self.window.began);
        if elapsed >= WINDOW {
            self.last = Some(self.window.shows(self.newest_seq_no, elapsed));
            self.window = Window::new(at, self.newest_seq_no + 1);
        }
    }

    /// Looks at the timestamp of a packet that comes in order.
    fn note_time(&mut self, packet: &RtpPacket) {
        let step = packet.timestamp.wrapping_sub(self.newest_timestamp);
        if step == 0 {
            return;
        }
        self.window.frames += 1;
        let is_back = step as i32 > -(JUMP_TICKS as i32) && (step as i32) < 0;
        if is_back {
            // Shown before a picture that came earlier.
            self.window.steps_back += 1;
            return;
        }
        self.newest_timestamp = packet.timestamp;
        if step > JUMP_TICKS {
            self.transit_s = None;
            return;
        }
        self.note_jitter(packet);
    }

    /// The first packet of each frame counts: those behind it leave later than they were captured.
    fn note_jitter(&mut self, packet: &RtpPacket) {
        let arrived_s = packet.received_at.saturating_duration_since(self.began).as_secs_f64();
        // Wraps, as the timestamp does, after hours; that one difference is left out as a jump.
        let transit_s = arrived_s - f64::from(packet.timestamp) / f64::from(self.clock_rate_hz);
        if let Some(before_s) = self.transit_s.replace(transit_s) {
            let difference_s = (transit_s - before_s).abs();
            if difference_s < WINDOW.as_secs_f64() {
                self.jitter_s += (difference_s - self.jitter_s) / 16.0;
            }
        }
    }

    fn note_keyframe(&mut self, packet: &RtpPacket) {
        let at = packet.received_at;
        self.keyframes_apart = self.keyframe_at.map(|before| at.saturating_duration_since(before));
        (self.keyframe_at, self.asked_at) = (Some(at), None);
        let Some(size) = keyframe_size(packet.codec, &packet.payload) else { return };
        if self.size.replace(size).is_some_and(|before| before != size) {
            if self.size_changes.len() == CHANGES_MAX {
                self.size_changes.pop_front();
            }
            self.size_changes.push_back(at);
        }
    }

    pub(super) fn asked_for_keyframe(&mut self, now: Instant) {
        self.asked_at.get_or_insert(now);
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard_at)
    }

    pub(super) fn has_b_frames(&self) -> bool {
        self.last.is_some_and(|last| last.has_b_frames)
    }

    /// Returns how far apart the last two keyframes were, or how long ago the last one was, if that is longer.
    pub(super) fn keyframes_apart(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.keyframe_at.unwrap_or(self.began));
        Some(self.keyframes_apart.map_or(since, |apart| apart.max(since)))
    }

    pub(super) fn waits_for_keyframe(&self, now: Instant) -> Option<Duration> {
        self.asked_at.map(|asked| now.saturating_duration_since(asked))
    }

    pub(super) fn frame_rate(&self) -> Option<f64> {
        self.last.map(|last| last.frame_rate)
    }

    pub(super) fn loss_percent(&self) -> Option<f64> {
        self.last.map(|last| last.loss_percent)
    }

    pub(super) fn size_changes(&self, now: Instant) -> usize {
        self.size_changes.iter().filter(|at| now.saturating_duration_since(**at) < CHANGES_KEPT_FOR).count()
    }

    /// Returns how unevenly packets come; `None` where pictures wait for others before they are sent.
    pub(super) fn jitter(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.jitter_s).ok().filter(|_| !self.has_b_frames())
    }

    pub(super) fn lacks_reports(&self, now: Instant, within: Duration) -> bool {
        !self.has_report && now.saturating_duration_since(self.began) > within
    }
}

impl Window {
    const fn new(began: Instant, first_seq_no: u64) -> Self {
        Self { began, first_seq_no, packets: 0, frames: 0, steps_back: 0 }
    }

    fn shows(&self, newest_seq_no: u64, elapsed: Duration) -> Shown {
        let expected = (newest_seq_no + 1).saturating_sub(self.first_seq_no);
        // What came late belongs to the window before, so there may be more than expected.
        let lost = expected.saturating_sub(self.packets);
        Shown {
            loss_percent: if expected == 0 { 0.0 } else { lost as f64 * 100.0 / expected as f64 },
            frame_rate: self.frames as f64 / elapsed.as_secs_f64(),
            has_b_frames: self.steps_back >= 2,
        }
    }
}
