//! What is encoded how: codecs, and the configuration a decoder needs before the first frame.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::h265;

/// Tells audio from video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl MediaKind {
    /// Returns `video` or `audio`: the name of the track, of its rendition and of its folder in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// Names a codec that a publisher may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// ITU-T H.264, RTP by RFC 6184.
    H264,
    /// ITU-T H.265, RTP by RFC 7798.
    H265,
    /// VP8, RTP by RFC 7741.
    Vp8,
    /// VP9, RTP by RFC 9628.
    Vp9,
    /// AV1, RTP by the AOM specification "RTP Payload Format For AV1".
    Av1,
    /// Opus, RTP by RFC 7587.
    Opus,
}

impl Codec {
    /// Tells whether the codec carries sound or pictures.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::H264 | Self::H265 | Self::Vp8 | Self::Vp9 | Self::Av1 => MediaKind::Video,
        }
    }

    /// Returns the RTP clock rate in hertz, which is also the timescale of our MP4 tracks.
    pub const fn clock_rate_hz(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// Tells whether HLS and MP4 recordings can carry the codec. VP8 has no place in HLS.
    pub const fn is_packageable(self) -> bool {
        !matches!(self, Self::Vp8)
    }

    /// Tells whether frames may be shown in another order than they are decoded in. VP9 and AV1 hide what is shown later
    /// in the frame that shows it.
    pub(crate) const fn reorders(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

/// Holds what a decoder must know before the first frame: enough for an MP4 sample entry and for `CODECS`.
///
/// Two equal configurations need only one initialisation segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodecConfig {
    /// H.264 parameter sets, as NAL units without start code or length (ISO/IEC 14496-15 §5.3.3.1).
    H264 {
        /// Sequence parameter set, the NAL header byte included; at least 4 bytes.
        sps: Bytes,
        /// Picture parameter set, the NAL header byte included.
        pps: Bytes,
        /// Displayed width in pixels, cropping applied.
        width: u32,
        /// Displayed height in pixels, cropping applied.
        height: u32,
    },
    /// H.265 parameter sets, as NAL units without start code or length (ISO/IEC 14496-15 §8.3.3.1).
    H265 {
        /// Video parameter set, the NAL header included.
        vps: Bytes,
        /// Sequence parameter set, the NAL header included.
        sps: Bytes,
        /// Picture parameter set, the NAL header included.
        pps: Bytes,
        /// Displayed width in pixels, the conformance window applied.
        width: u32,
        /// Displayed height in pixels, the conformance window applied.
        height: u32,
    },
    /// VP9, the fields of `vpcC` ("VP Codec ISO Media File Format Binding" §2.2).
    Vp9 {
        /// Bitstream profile, 0 to 3.
        profile: u8,
        /// Level times ten, such as 31 for level 3.1.
        level: u8,
        /// Bits per sample: 8, 10 or 12.
        bit_depth: u8,
        /// `chromaSubsampling` of the binding: 0 = 4:2:0 vertical, 1 = 4:2:0 colocated, 2 = 4:2:2, 3 = 4:4:4.
        chroma_subsampling: u8,
        /// Whether samples use the full range.
        full_range: bool,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// AV1, the fields of `av1C` ("AV1 Codec ISO Media File Format Binding" §2.3).
    Av1 {
        /// `seq_profile`.
        profile: u8,
        /// `seq_level_idx_0`.
        level_idx: u8,
        /// `seq_tier_0`: false is Main, true is High.
        high_tier: bool,
        /// Bits per sample: 8, 10 or 12.
        bit_depth: u8,
        /// `mono_chrome`.
        monochrome: bool,
        /// `chroma_subsampling_x`.
        subsampling_x: bool,
        /// `chroma_subsampling_y`.
        subsampling_y: bool,
        /// `chroma_sample_position`.
        sample_position: u8,
        /// The sequence header OBU with its size field, as `configOBUs` wants it.
        sequence_header: Bytes,
        /// `max_frame_width_minus_1 + 1` in pixels.
        width: u32,
        /// `max_frame_height_minus_1 + 1` in pixels.
        height: u32,
    },
    /// Opus, the fields of `dOps` ("Encapsulation of Opus in ISO Base Media File Format" §4.3.2).
    Opus {
        /// Channel count, 1 or 2.
        channels: u8,
        /// Samples at 48 kHz to discard at the start; 0 for a stream that was joined live.
        pre_skip: u16,
    },
}

impl CodecConfig {
    /// Names the codec.
    pub const fn codec(&self) -> Codec {
        match self {
            Self::H264 { .. } => Codec::H264,
            Self::H265 { .. } => Codec::H265,
            Self::Vp9 { .. } => Codec::Vp9,
            Self::Av1 { .. } => Codec::Av1,
            Self::Opus { .. } => Codec::Opus,
        }
    }

    /// Returns width and height in pixels, or `None` for audio.
    pub const fn dimensions(&self) -> Option<(u32, u32)> {
        match *self {
            Self::H264 { width, height, .. }
            | Self::H265 { width, height, .. }
            | Self::Vp9 { width, height, .. }
            | Self::Av1 { width, height, .. } => Some((width, height)),
            Self::Opus { .. } => None,
        }
    }

    /// Renders the string for `CODECS` (RFC 6381), such as `avc1.42E01F`, `hvc1.1.6.L93.B0`, `vp09.00.31.08`,
    /// `av01.0.05M.08` or `opus`.
    pub fn rfc6381(&self) -> String {
        match self {
            Self::H264 { sps, .. } => {
                let byte = |at: usize| sps.get(at).copied().unwrap_or_default();
                format!("avc1.{:02X}{:02X}{:02X}", byte(1), byte(2), byte(3))
            }
            // One that cannot be read makes no sample entry, so that nobody is told of it.
            Self::H265 { sps, .. } => {
                h265::Sps::parse(sps).map_or_else(|_| "hvc1".into(), |sps| format!("hvc1.{}", sps.profile.rfc6381()))
            }
            Self::Vp9 { profile, level, bit_depth, .. } => format!("vp09.{profile:02}.{level:02}.{bit_depth:02}"),
            Self::Av1 { profile, level_idx, high_tier, bit_depth, .. } => {
                let tier = if *high_tier { 'H' } else { 'M' };
                format!("av01.{profile}.{level_idx:02}{tier}.{bit_depth:02}")
            }
            Self::Opus { .. } => "opus".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_are_those_of_rfc_6381() {
        let avc = CodecConfig::H264 {
            sps: Bytes::from_static(&[0x67, 0x42, 0xe0, 0x1f]),
            pps: Bytes::from_static(&[0x68]),
            width: 1280,
            height: 720,
        };
        assert_eq!(avc.rfc6381(), "avc1.42E01F");
        assert_eq!(avc.dimensions(), Some((1280, 720)));
        let opus = CodecConfig::Opus { channels: 2, pre_skip: 0 };
        assert_eq!((opus.rfc6381().as_str(), opus.dimensions()), ("opus", None));
    }
}
