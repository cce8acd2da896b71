//! Whole frames on the broadcast's timeline, as packaging and recording want them.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::CodecConfig;

/// Holds one access unit (video) or one audio packet, in decoding order.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Presentation time since the start of the broadcast, in ticks of the codec's clock rate.
    pub pts_ticks: i64,
    /// Decoding time, same unit; strictly grows within a track. Equal to `pts_ticks` unless B-frames are present.
    pub dts_ticks: i64,
    /// Whether a decoder may start here; always `true` for audio.
    pub keyframe: bool,
    /// The configuration the frame needs; the same `Arc` until it changes.
    pub config: Arc<CodecConfig>,
    /// The frame in the form of an MP4 sample: H.264 with 4-byte NAL lengths, without parameter sets and access unit
    /// delimiters; a VP9 (super)frame; an AV1 temporal unit of OBUs with size fields and without temporal delimiters;
    /// an Opus packet.
    pub data: Bytes,
}
