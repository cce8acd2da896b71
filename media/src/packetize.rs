//! Cuts frames into RTP packets, for media that does not come as packets of ours: that of RTSP cameras, whose packets may
//! be larger than a viewer's path carries.
//!
//! The inverse of [`depacketize`](crate::depacketize): what was cut here comes out there as it went in.

mod h264;
mod h265;
mod nal;

use std::sync::Arc;
use std::time::Instant;

use crate::bits::Malformed;
use crate::codec::{Codec, MediaKind};
use crate::depacketize::starts_keyframe;
use crate::packet::{EncodingId, RtpPacket, SenderReport};

/// The largest payload, in bytes: with the headers of RTP, SRTP, UDP and IPv6, and an extension or two, a packet stays
/// below 1,280 bytes, which every path carries (RFC 8200 §5).
pub const PAYLOAD_MAX_BYTES: usize = 1_200;

/// One access unit of video, or some time of audio, on its way into packets.
#[derive(Debug, Clone, Copy)]
pub struct AccessUnit<'a> {
    /// NAL units, each behind its length in 4 bytes, parameter sets in front of each keyframe.
    pub data: &'a [u8],
    /// When it is shown, in ticks of [`Codec::clock_rate_hz`]; wraps.
    pub timestamp: u32,
    /// When it arrived.
    pub received_at: Instant,
}

/// Cuts and numbers the frames of one track.
#[derive(Debug)]
pub struct Packetizer {
    codec: Codec,
    next_seq_no: u64,
    report: Option<SenderReport>,
}

impl Packetizer {
    /// Begins a track; `None` for a codec whose frames we do not cut.
    pub const fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::H264 | Codec::H265 => Some(Self { codec, next_seq_no: 1, report: None }),
            Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus => None,
        }
    }

    /// Returns the codec of the track.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Notes the sender's latest report: packets from here on carry it.
    pub const fn note_report(&mut self, report: SenderReport) {
        self.report = Some(report);
    }

    /// Leaves out as many numbers, so that readers know that something is missing before the next frame.
    pub const fn lose(&mut self, packets: u64) {
        self.next_seq_no = self.next_seq_no.saturating_add(packets);
    }

    /// Returns the packets of the next frame, the last one of video marked; none for a frame that says nothing to a decoder.
    ///
    /// # Errors
    /// [`Malformed`] when the data has not the form that [`AccessUnit::data`] says; nothing is numbered then.
    pub fn push(&mut self, frame: AccessUnit<'_>) -> Result<Vec<RtpPacket>, Malformed> {
        let payloads = match self.codec {
            Codec::H265 => nal::payloads::<h265::H265>(frame.data)?,
            _ => nal::payloads::<h264::H264>(frame.data)?,
        };
        let is_video = self.codec.kind() == MediaKind::Video;
        let last = payloads.len().saturating_sub(1);
        let mut is_begun = false;
        let packets = payloads.into_iter().enumerate().map(|(index, payload)| {
            let begins = !is_begun && starts_keyframe(self.codec, &payload);
            is_begun |= begins && is_video;
            self.packet(payload, begins, is_video && index == last, &frame)
        });
        Ok(packets.collect())
    }

    fn packet(&mut self, payload: Arc<[u8]>, starts_keyframe: bool, marker: bool, frame: &AccessUnit<'_>) -> RtpPacket {
        let seq_no = self.next_seq_no;
        self.next_seq_no += 1;
        RtpPacket {
            encoding: EncodingId::default(),
            codec: self.codec,
            seq_no,
            timestamp: frame.timestamp,
            marker,
            starts_keyframe,
            payload,
            received_at: frame.received_at,
            sender_report: self.report,
        }
    }
}

#[cfg(test)]
mod tests;
