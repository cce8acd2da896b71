//! H.265 as RFC 7798 §4.4 has it where everything is sent in decoding order: single NAL units, aggregation packets for
//! parameter sets, fragmentation units for what is too long. Of layered streams the base layer goes.

use super::nal::{Fate, NalFormat};
use crate::h265::{
    AGGREGATION, END_OF_SEQUENCE, FRAGMENTATION, HEADER_BYTES, PPS, SEI_PREFIX, SEI_SUFFIX, SLICE_LAST, SPS, VPS,
    layer, nal_type,
};

/// The format of RFC 7798.
pub(super) struct H265;

impl NalFormat for H265 {
    type Header = [u8; HEADER_BYTES];

    fn fate(nal: &[u8]) -> Fate {
        let Some(&header) = nal.first_chunk() else { return Fate::LeftOut };
        if layer(header) != 0 {
            return Fate::LeftOut;
        }
        match nal_type(header[0]) {
            VPS | SPS | PPS => Fate::Together,
            ..=SLICE_LAST | SEI_PREFIX | SEI_SUFFIX | END_OF_SEQUENCE => Fate::Alone,
            // Delimiters and filler say nothing that a packet does not; the rest is RTP's own, or nobody's.
            _ => Fate::LeftOut,
        }
    }

    /// An aggregation packet (§4.4.2): the forbidden bit of any, the lowest temporal layer of all.
    fn aggregation(sets: &[&[u8]]) -> Self::Header {
        let forbidden = sets.iter().fold(0, |bits, nal| bits | nal[0] & 0x80);
        let temporal_id = sets.iter().map(|nal| nal[1] & 0x07).min().unwrap_or(1);
        [forbidden | AGGREGATION << 1, temporal_id]
    }

    /// A fragmentation unit (§4.4.3).
    fn fragmentation(nal: &[u8]) -> Option<(Self::Header, u8)> {
        let &[first, second] = nal.first_chunk()?;
        Some(([first & 0x81 | FRAGMENTATION << 1, second], nal_type(first)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::nal::{payloads, testing::unit};
    use super::*;

    #[test]
    fn parameter_sets_go_together_and_slices_alone() {
        let data =
            unit(&[&[0x46, 1, 0x50][..], &[0x40, 1, 2], &[0x42, 1, 3], &[0x44, 2, 4], &[0x4e, 1, 5], &[0x26, 1, 6]]);
        let payloads = payloads::<H265>(&data).unwrap();
        let aggregate: &[u8] = &[0x60, 1, 0, 3, 0x40, 1, 2, 0, 3, 0x42, 1, 3, 0, 3, 0x44, 2, 4];
        let expected = [aggregate, &[0x4e, 1, 5], &[0x26, 1, 6]];
        assert_eq!(payloads.iter().map(|payload| &payload[..]).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_long_slice_is_cut_into_fragments_that_fill_their_packets() {
        // 2 + 2 * 1,197 bytes: two whole fragments, and no third.
        let slice = [&[0x26, 3][..], &[7; 2 * 1_197]].concat();
        let payloads = payloads::<H265>(&unit(&[&slice])).unwrap();
        let heads: Vec<_> = payloads.iter().map(|payload| (payload[..3].to_vec(), payload.len())).collect();
        assert_eq!(heads, [(vec![0x62, 3, 0x93], 1_200), (vec![0x62, 3, 0x53], 1_200)]);
    }

    #[test]
    fn what_no_receiver_would_know_is_left_out() {
        // Half a header, an aggregation packet's number, filler, and a slice of another layer.
        let data = unit(&[&[0x26][..], &[0x60, 1, 9], &[0x4c, 1, 0xff], &[0x02, 9, 1], &[0x02, 1, 1]]);
        assert_eq!(payloads::<H265>(&data).unwrap(), [Arc::from([0x02, 1, 1])]);
    }
}
