//! H.264 as RFC 6184 §5.4 has it in packetization mode 1: single NAL units, STAP-A for parameter sets, FU-A for what is
//! too long.

use super::nal::{Fate, NalFormat};
use crate::h264::{FU_A, LAST_SINGLE, PPS, SPS, STAP_A, nal_type};

/// The access unit delimiter, the ends of sequence and stream, and filler: they say nothing that a packet does not.
const NEEDLESS: std::ops::RangeInclusive<u8> = 9..=12;

/// The format of RFC 6184.
pub(super) struct H264;

impl NalFormat for H264 {
    type Header = [u8; 1];

    fn fate(nal: &[u8]) -> Fate {
        match nal_type(nal[0]) {
            SPS | PPS => Fate::Together,
            // Numbers of RTP's own, or of nobody's: no receiver would know them for NAL units.
            kind if kind == 0 || kind > LAST_SINGLE || NEEDLESS.contains(&kind) => Fate::LeftOut,
            _ => Fate::Alone,
        }
    }

    /// STAP-A (§5.7.1); its importance is the highest of theirs (§5.7).
    fn aggregation(sets: &[&[u8]]) -> Self::Header {
        let importance = sets.iter().map(|nal| nal[0] & 0x60).max().unwrap_or_default();
        [importance | STAP_A]
    }

    /// FU-A (§5.8).
    fn fragmentation(nal: &[u8]) -> Option<(Self::Header, u8)> {
        Some(([nal[0] & 0xe0 | FU_A], nal_type(nal[0])))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::nal::{payloads, testing::unit};
    use super::*;
    use crate::bits::Malformed;

    #[test]
    fn parameter_sets_go_together_and_slices_alone() {
        let data = unit(&[&[0x09, 0x10][..], &[0x67, 1, 2, 3], &[0x28, 4], &[0x06, 5], &[0x65, 6], &[]]);
        let payloads = payloads::<H264>(&data).unwrap();
        let stap: &[u8] = &[0x78, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x28, 4];
        assert_eq!(payloads.iter().map(|payload| &payload[..]).collect::<Vec<_>>(), [stap, &[0x06, 5], &[0x65, 6]]);
    }

    #[test]
    fn a_long_slice_is_cut_into_fragments_that_fill_their_packets() {
        // 1 + 2 * 1,198 bytes: two whole fragments, and no third.
        let slice = [&[0x41][..], &[7; 2 * 1_198]].concat();
        let payloads = payloads::<H264>(&unit(&[&slice])).unwrap();
        let heads: Vec<_> = payloads.iter().map(|payload| (payload[0], payload[1], payload.len())).collect();
        assert_eq!(heads, [(0x5c, 0x81, 1_200), (0x5c, 0x41, 1_200)]);
    }

    #[test]
    fn what_no_receiver_would_know_is_left_out() {
        let data = unit(&[&[0x78, 0][..], &[0x60, 1], &[0x7f], &[0x0c, 0xff], &[0x41, 1]]);
        assert_eq!(payloads::<H264>(&data).unwrap(), [Arc::from([0x41, 1])]);
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        for data in [&[0, 0, 0][..], &[0, 0, 0, 3, 0x41, 1], &[0xff; 4]] {
            assert_eq!(payloads::<H264>(data), Err(Malformed::Truncated), "{data:?}");
        }
    }
}
