//! Opus: RFC 7587 (RTP) and the table of contents byte of RFC 6716 §3.1.

use std::sync::Arc;

use bytes::Bytes;

use crate::assemble::{Assemble, Assembled, Unit};
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// No packet lasts longer: 120 ms at 48 kHz (RFC 6716 §3.2.5).
const DURATION_MAX_TICKS: u32 = 5_760;

/// Computes the duration of an Opus packet in ticks of 48 kHz (RFC 6716 §3.1), or `None` when it is malformed.
pub fn duration_ticks(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let frame_ticks = match toc >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config % 4)],
        // Hybrid: 10, 20 ms.
        config @ 12..=15 => [480, 960][usize::from(config % 2)],
        // CELT: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let ticks = frame_ticks * frames;
    (1..=DURATION_MAX_TICKS).contains(&ticks).then_some(ticks)
}

/// Makes every packet a frame; an empty one, as some senders' silence, is none.
#[derive(Debug)]
pub(crate) struct OpusAssembler {
    config: Arc<CodecConfig>,
}

impl OpusAssembler {
    /// Begins. Opus over RTP is always signalled with two channels, and decoders up-mix (RFC 7587 §4.1).
    pub(crate) fn new() -> Self {
        Self { config: Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 }) }
    }
}

impl Assemble for OpusAssembler {
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>) {
        if packet.payload.is_empty() {
            return;
        }
        out.push(Assembled::Unit(Unit {
            timestamp: packet.timestamp,
            received_at: packet.received_at,
            keyframe: true,
            config: Some(self.config.clone()),
            reorder_depth: 0,
            data: Bytes::copy_from_slice(&packet.payload),
        }));
    }

    fn interrupt(&mut self) {}

    fn flush(&mut self, _: &mut Vec<Assembled>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_tables_of_rfc_6716() {
        let toc = |config: u8, code: u8| config << 3 | code;
        assert_eq!(duration_ticks(&[toc(3, 0)]), Some(2_880));
        assert_eq!(duration_ticks(&[toc(12, 1)]), Some(960));
        assert_eq!(duration_ticks(&[toc(16, 2)]), Some(240));
        // What browsers send: CELT or hybrid, 20 ms, stereo.
        assert_eq!(duration_ticks(&[0xfc]), Some(960));
        assert_eq!(duration_ticks(&[toc(31, 3), 6]), Some(5_760));
    }

    #[test]
    fn malformed_packets_have_no_duration() {
        let too_long = [31 << 3 | 3, 7];
        let no_frames = [31 << 3 | 3, 0xc0];
        let no_count = [31 << 3 | 3];
        for packet in [&[][..], &no_count, &no_frames, &too_long] {
            assert_eq!(duration_ticks(packet), None);
        }
    }
}
