//! What the assemblers of all codecs have in common: packets in order go in, access units come out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// The largest access unit, in bytes: a keyframe of 4K at 100 Mbit/s stays below 4 MB.
const UNIT_MAX_BYTES: usize = 8 << 20;

/// Builds the access units of one codec. Memory is bounded by one access unit of 8 MiB and one packet.
pub(crate) trait Assemble: Send + std::fmt::Debug {
    /// Takes the next packet in sequence; what is complete by now goes to `out`.
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>);

    /// Notes that packets are missing before the next one: an access unit under construction is discarded.
    fn interrupt(&mut self);

    /// Ends the stream: an access unit that needs nothing more goes to `out`.
    fn flush(&mut self, out: &mut Vec<Assembled>);
}

/// What becomes of an access unit.
#[derive(Debug)]
pub(crate) enum Assembled {
    /// It is whole.
    Unit(Unit),
    /// It was discarded because it is malformed, incomplete or too large.
    Broken,
}

/// Holds one access unit as an MP4 sample, with the RTP timestamp it came with.
#[derive(Debug)]
pub(crate) struct Unit {
    /// As in the packets; wraps.
    pub(crate) timestamp: u32,
    /// When its first packet arrived.
    pub(crate) received_at: Instant,
    /// Whether decoding may start here; always `true` for audio.
    pub(crate) keyframe: bool,
    /// What a decoder must know, or `None` when the stream has not said it in a form we understand.
    pub(crate) config: Option<Arc<CodecConfig>>,
    /// How many frames may be shown after one that is decoded later.
    pub(crate) reorder_depth: usize,
    /// The sample.
    pub(crate) data: Bytes,
}

/// Replaces `current` when the configuration is another one, so that an unchanged one stays the same `Arc`.
pub(crate) fn update_config(current: &mut Option<Arc<CodecConfig>>, config: Option<CodecConfig>) {
    if current.as_deref() != config.as_ref() {
        *current = config.map(Arc::new);
    }
}

/// Appends to an access unit under construction.
///
/// # Errors
/// [`Malformed::Invalid`] when it would grow beyond 8 MiB; it is then left as it was.
pub(crate) fn append(data: &mut Vec<u8>, more: &[u8]) -> Result<(), Malformed> {
    if data.len() + more.len() > UNIT_MAX_BYTES {
        return Err(Malformed::Invalid("an access unit is larger than 8 MiB"));
    }
    data.extend_from_slice(more);
    Ok(())
}

/// For the tests of the assemblers.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::codec::Codec;
    use crate::packet::EncodingId;

    /// Makes a packet of which only timestamp, marker and payload matter.
    pub(crate) fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> RtpPacket {
        RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no: 0,
            timestamp,
            marker,
            starts_keyframe: false,
            payload: payload.into(),
            received_at: Instant::now(),
            sender_report: None,
        }
    }

    /// Pushes packets and returns what came out.
    pub(crate) fn push_all(assembler: &mut impl Assemble, packets: &[(u32, bool, &[u8])]) -> Vec<Assembled> {
        let mut out = Vec::new();
        for &(timestamp, marker, payload) in packets {
            assembler.push(&packet(timestamp, marker, payload), &mut out);
        }
        out
    }

    /// Renders what came out: timestamp, whether it is a keyframe, and the sample; `None` for what is broken.
    pub(crate) fn told(assembled: &[Assembled]) -> Vec<Option<(u32, bool, &[u8])>> {
        let told = |assembled| match assembled {
            &Assembled::Unit(Unit { timestamp, keyframe, ref data, .. }) => Some((timestamp, keyframe, &data[..])),
            Assembled::Broken => None,
        };
        assembled.iter().map(told).collect()
    }
}
