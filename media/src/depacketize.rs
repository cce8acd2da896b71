//! Turns RTP packets into frames: what packaging and recording begin with.
//!
//! Owns the order of the two tracks' results and the asking for keyframes. The parts, each for itself: `reorder` puts
//! packets in sequence, `h264`, `h265`, `vp9`, `av1` and `opus` build access units, `time` and `dts` place them in time, and
//! `track` holds these together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::codec::{Codec, MediaKind};
use crate::frame::Frame;
use crate::packet::RtpPacket;
use crate::time::{Alignment, Timeline};
use crate::track::Track;
use crate::{av1, h264, h265, vp8, vp9};

/// How often a keyframe is asked for while none comes: encoders need a moment, and each costs the viewers bandwidth.
const KEYFRAME_WANTED_EVERY: Duration = Duration::from_secs(1);

/// What comes out of a [`Depacketizer`]; within a track in order.
#[derive(Debug)]
pub enum Depacketized {
    /// A whole frame. The first of a video track is a keyframe.
    Frame(MediaKind, Frame),
    /// Packets that never came: the video track drops frames from here until the next keyframe.
    Lost {
        /// The track.
        kind: MediaKind,
        /// How many, at least 1.
        packets: u64,
    },
    /// Decoding cannot go on without a keyframe: after a loss, or when the stream began without one. Comes at most once
    /// a second while that is so.
    KeyframeWanted,
    /// The sender's clock jumped against arrival; the frames go on without a jump.
    ClockJump {
        /// The track.
        kind: MediaKind,
        /// How far, in milliseconds; negative for a step back.
        by_ms: i64,
    },
}

/// Turns the packets of one publisher into frames on the timeline of the broadcast.
///
/// > Every `push`, or batch of them, is followed by `pull` until it returns `None`.
///
/// Memory is bounded whatever is sent: by 1,024 packets and one access unit of 8 MiB for each track. VP8 is dropped, for
/// HLS and recordings cannot carry it.
#[derive(Debug)]
pub struct Depacketizer {
    timeline: Timeline,
    video: Track,
    audio: Track,
    ready: VecDeque<Depacketized>,
    keyframe_wanted_at: Option<Instant>,
}

impl Depacketizer {
    /// Begins a publisher session; `origin` is the instant of presentation time 0 of the broadcast.
    ///
    /// A publisher that returns gets a new `Depacketizer` with the same origin: it is placed by its arrival.
    pub fn new(origin: Instant) -> Self {
        Self {
            timeline: Timeline::new(origin),
            video: Track::new(MediaKind::Video),
            audio: Track::new(MediaKind::Audio),
            ready: VecDeque::new(),
            keyframe_wanted_at: None,
        }
    }

    /// Takes a packet, in order of arrival. Sequence may be broken: a missing packet is waited for for 500 ms.
    pub fn push(&mut self, packet: &RtpPacket) {
        if !packet.codec.is_packageable() {
            return;
        }
        self.timeline.observe(packet);
        match packet.codec.kind() {
            MediaKind::Video => self.video.push(packet),
            MediaKind::Audio => self.audio.push(packet),
        }
    }

    /// Returns what is ready at `now`, one after another, then `None`.
    ///
    /// Belongs also where no packet came, about every 50 ms: that is how the wait for a missing packet ends.
    pub fn pull(&mut self, now: Instant) -> Option<Depacketized> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if !self.step(now) {
                return self.want_keyframe(now);
            }
        }
    }

    /// Ends the session: nothing is waited for any longer, and what is whole can be pulled.
    pub fn flush(&mut self) {
        self.video.flush(&mut self.timeline, &mut self.ready);
        self.audio.flush(&mut self.timeline, &mut self.ready);
    }

    /// Returns what ties audio and video together at present; `None` while there is only one of them.
    pub fn alignment(&self) -> Option<Alignment> {
        self.timeline.aligned_by()
    }

    /// Measures how much faster the sender's audio clock runs than its video clock, in parts per million, by arrival.
    ///
    /// Known from about a minute after the clocks began or jumped; the longer, the better. It is made up for in the times
    /// of the frames.
    pub fn drift_ppm(&self) -> Option<i64> {
        self.timeline.drift_ppm()
    }

    fn step(&mut self, now: Instant) -> bool {
        let video = self.video.step(now, &mut self.timeline, &mut self.ready);
        let audio = self.audio.step(now, &mut self.timeline, &mut self.ready);
        video || audio
    }

    fn want_keyframe(&mut self, now: Instant) -> Option<Depacketized> {
        let lately = |at: Instant| now.saturating_duration_since(at) < KEYFRAME_WANTED_EVERY;
        if !self.video.wants_keyframe() || self.keyframe_wanted_at.is_some_and(lately) {
            return None;
        }
        self.keyframe_wanted_at = Some(now);
        Some(Depacketized::KeyframeWanted)
    }
}

/// Tells whether a keyframe begins with this RTP payload, so that a viewer may be let in here; always so for audio.
///
/// A payload that cannot be read begins none. For H.264 and H.265 the parameter sets count as the beginning.
pub fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::starts_keyframe(payload),
        Codec::H265 => h265::starts_keyframe(payload),
        Codec::Vp8 => vp8::starts_keyframe(payload),
        Codec::Vp9 => vp9::starts_keyframe(payload),
        Codec::Av1 => av1::starts_keyframe(payload),
        Codec::Opus => Ok(true),
    }
    .unwrap_or(false)
}

/// Reads the size of the picture, width and height in pixels, where a keyframe begins with this RTP payload.
///
/// `None` where it does not, or where the packet does not tell.
pub fn keyframe_size(codec: Codec, payload: &[u8]) -> Option<(u32, u32)> {
    match codec {
        Codec::H264 => h264::keyframe_size(payload),
        Codec::H265 => h265::keyframe_size(payload),
        Codec::Vp8 => vp8::keyframe_size(payload),
        Codec::Vp9 => vp9::keyframe_size(payload),
        Codec::Av1 => av1::keyframe_size(payload),
        Codec::Opus => Ok(None),
    }
    .unwrap_or(None)
}

#[cfg(test)]
mod tests;
