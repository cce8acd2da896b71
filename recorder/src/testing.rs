//! Configurations and frames for the unit tests of this crate.

use std::sync::Arc;

use bytes::Bytes;
use onair_media::{CodecConfig, Frame, MediaKind};

use crate::cut::{Cut, Init, Part, Segment};
use crate::fragmenter::Fragmenter;

/// 30 frames a second.
pub(crate) const VIDEO_FRAME: i64 = 3_000;
/// 20 ms.
pub(crate) const AUDIO_FRAME: i64 = 960;

/// Returns a Constrained Baseline configuration of 1280x720.
pub(crate) fn h264() -> Arc<CodecConfig> {
    Arc::new(CodecConfig::H264 {
        sps: Bytes::from_static(&[0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40]),
        pps: Bytes::from_static(&[0x68, 0xce, 0x3c, 0x80]),
        width: 1280,
        height: 720,
    })
}

/// Returns what x265 writes for 322x182, Main profile, level 2.
pub(crate) fn h265() -> CodecConfig {
    CodecConfig::H265 {
        vps: Bytes::from_static(&[
            0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
            0x03, 0x00, 0x3c, 0x95, 0x90, 0x09,
        ]),
        sps: Bytes::from_static(&[
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c,
            0xa0, 0x0a, 0x88, 0x0c, 0x1c, 0x44, 0xd9, 0x65, 0x64, 0x4a, 0x4c, 0x2f, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03,
            0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x40,
        ]),
        pps: Bytes::from_static(&[0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89]),
        width: 322,
        height: 182,
    }
}

/// Returns a stereo configuration.
pub(crate) fn opus() -> Arc<CodecConfig> {
    Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 })
}

/// Returns a frame whose bytes tell its time.
pub(crate) fn frame(config: &Arc<CodecConfig>, dts_ticks: i64, keyframe: bool) -> Frame {
    Frame {
        pts_ticks: dts_ticks,
        dts_ticks,
        keyframe,
        config: Arc::clone(config),
        data: Bytes::copy_from_slice(&dts_ticks.to_be_bytes()),
    }
}

/// Pushes `seconds` of both tracks from `start_s` on, interleaved, with a keyframe every `gop_s` seconds.
pub(crate) fn broadcast(fragmenter: &mut Fragmenter, start_s: i64, seconds: i64, gop_s: i64) {
    let (video, audio) = (h264(), opus());
    let mut audio_ticks = start_s * 48_000;
    for index in 0..seconds * 30 {
        let video_ticks = start_s * 90_000 + index * VIDEO_FRAME;
        while audio_ticks * 15 < video_ticks * 8 {
            fragmenter.push(MediaKind::Audio, frame(&audio, audio_ticks, true));
            audio_ticks += AUDIO_FRAME;
        }
        fragmenter.push(MediaKind::Video, frame(&video, video_ticks, index % (gop_s * 30) == 0));
    }
}

/// What was cut, by sort.
#[derive(Default)]
pub(crate) struct Pulled {
    pub(crate) all: Vec<Cut>,
    pub(crate) inits: Vec<Init>,
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) keyframes_wanted: usize,
}

/// Pulls until there is nothing left.
pub(crate) fn pull(fragmenter: &mut Fragmenter) -> Pulled {
    let mut pulled = Pulled::default();
    while let Some(cut) = fragmenter.pull() {
        pulled.all.push(cut.clone());
        match cut {
            Cut::Init(init) => pulled.inits.push(init),
            Cut::Part(part) => pulled.parts.push(part),
            Cut::Segment(segment) => pulled.segments.push(segment),
            Cut::KeyframeWanted => pulled.keyframes_wanted += 1,
        }
    }
    pulled
}

impl Pulled {
    /// Returns the segments of one rendition.
    pub(crate) fn of(&self, kind: MediaKind) -> Vec<&Segment> {
        self.segments.iter().map(AsRef::as_ref).filter(|segment| segment.kind == kind).collect()
    }
}
