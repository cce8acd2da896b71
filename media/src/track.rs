//! One track of one publisher: packets in, whole frames in decoding order out.
//!
//! Owns the gate of the video track: after a loss nothing passes until a keyframe does.

use std::time::Instant;

use crate::assemble::{Assemble, Assembled, Unit};
use crate::av1::Av1Assembler;
use crate::codec::{Codec, MediaKind};
use crate::depacketize::Depacketized;
use crate::dts::DtsClock;
use crate::frame::Frame;
use crate::h264::H264Stream;
use crate::h265::H265Stream;
use crate::nal::NalAssembler;
use crate::opus::OpusAssembler;
use crate::packet::RtpPacket;
use crate::reorder::{Ordered, Reorder};
use crate::time::Timeline;
use crate::vp9::Vp9Assembler;

/// Holds what is under way in one track.
#[derive(Debug)]
pub(crate) struct Track {
    kind: MediaKind,
    reorder: Reorder,
    /// The codec of the packets that came out last, and what assembles it; nothing does for VP8.
    assembler: Option<(Codec, Box<dyn Assemble>)>,
    dts: DtsClock,
    /// Whether decoding can go on: audio always can.
    synced: bool,
    wants_keyframe: bool,
}

impl Track {
    /// Begins before the first packet.
    pub(crate) fn new(kind: MediaKind) -> Self {
        Self {
            kind,
            reorder: Reorder::default(),
            assembler: None,
            dts: DtsClock::new(),
            synced: kind == MediaKind::Audio,
            wants_keyframe: false,
        }
    }

    /// Takes a packet as it arrives.
    pub(crate) fn push(&mut self, packet: &RtpPacket) {
        self.reorder.push(packet);
    }

    /// Tells whether something had to be dropped for want of a keyframe, and none came since.
    pub(crate) const fn wants_keyframe(&self) -> bool {
        self.wants_keyframe
    }

    /// Works off the next packet or gap; `false` when there is none yet.
    pub(crate) fn step(&mut self, now: Instant, timeline: &mut Timeline, out: &mut impl Extend<Depacketized>) -> bool {
        let Some(ordered) = self.reorder.pull(now) else { return false };
        self.take(ordered, timeline, out);
        true
    }

    /// Ends the stream: gaps are no longer waited for, and what is whole comes out.
    pub(crate) fn flush(&mut self, timeline: &mut Timeline, out: &mut impl Extend<Depacketized>) {
        while let Some(ordered) = self.reorder.pull_at_once() {
            self.take(ordered, timeline, out);
        }
        if let Some((codec, mut assembler)) = self.assembler.take() {
            let mut assembled = Vec::new();
            assembler.flush(&mut assembled);
            self.assembler = Some((codec, assembler));
            self.accept(codec, assembled, timeline, out);
        }
    }

    fn take(&mut self, ordered: Ordered, timeline: &mut Timeline, out: &mut impl Extend<Depacketized>) {
        match ordered {
            Ordered::Gap { lost } => self.lose(lost, out),
            Ordered::Packet(packet) => self.assemble(&packet, timeline, out),
        }
    }

    fn lose(&mut self, packets: u64, out: &mut impl Extend<Depacketized>) {
        if let Some((_, assembler)) = &mut self.assembler {
            assembler.interrupt();
        }
        self.lose_sync();
        if packets > 0 {
            out.extend([Depacketized::Lost { kind: self.kind, packets }]);
        }
    }

    fn lose_sync(&mut self) {
        if self.kind == MediaKind::Video {
            self.synced = false;
            self.wants_keyframe = true;
        }
    }

    fn assemble(&mut self, packet: &RtpPacket, timeline: &mut Timeline, out: &mut impl Extend<Depacketized>) {
        // A bandwidth probe: padding with a sequence number of the media, which belongs to no access unit.
        if packet.payload.is_empty() {
            return;
        }
        let codec = packet.codec;
        if self.assembler.as_ref().is_none_or(|&(current, _)| current != codec) {
            self.assembler = assembler(codec).map(|assembler| (codec, assembler));
            self.synced = self.kind == MediaKind::Audio;
        }
        let mut assembled = Vec::new();
        if let Some((_, assembler)) = &mut self.assembler {
            assembler.push(packet, &mut assembled);
        }
        self.accept(codec, assembled, timeline, out);
    }

    fn accept(
        &mut self,
        codec: Codec,
        assembled: Vec<Assembled>,
        timeline: &mut Timeline,
        out: &mut impl Extend<Depacketized>,
    ) {
        for assembled in assembled {
            match assembled {
                Assembled::Unit(unit) => self.pass(codec, unit, timeline, out),
                Assembled::Broken => self.lose_sync(),
            }
        }
    }

    /// Places a unit in time, also one that is dropped: so the clock is followed without a break.
    fn pass(&mut self, codec: Codec, unit: Unit, timeline: &mut Timeline, out: &mut impl Extend<Depacketized>) {
        let Some(placed) = timeline.place(codec, unit.timestamp, unit.received_at) else { return };
        if let Some(by_ms) = placed.jump_ms {
            self.dts.restart();
            out.extend([Depacketized::ClockJump { kind: self.kind, by_ms }]);
        }
        let Some(config) = unit.config.filter(|_| self.synced || unit.keyframe) else {
            self.lose_sync();
            return;
        };
        if !self.synced {
            self.synced = true;
            self.dts.restart();
        }
        self.wants_keyframe &= !unit.keyframe;
        let pts_ticks = placed.pts_ticks;
        let dts_ticks = self.dts.dts(pts_ticks, unit.reorder_depth);
        let frame = Frame { pts_ticks, dts_ticks, keyframe: unit.keyframe, config, data: unit.data };
        out.extend([Depacketized::Frame(self.kind, frame)]);
    }
}

fn assembler(codec: Codec) -> Option<Box<dyn Assemble>> {
    match codec {
        Codec::H264 => Some(Box::new(NalAssembler::<H264Stream>::default())),
        Codec::H265 => Some(Box::new(NalAssembler::<H265Stream>::default())),
        Codec::Vp8 => None,
        Codec::Vp9 => Some(Box::new(Vp9Assembler::default())),
        Codec::Av1 => Some(Box::new(Av1Assembler::default())),
        Codec::Opus => Some(Box::new(OpusAssembler::new())),
    }
}
