//! H.264 as RFC 6184 §5.4 has it in packetization mode 1: single NAL units, STAP-A for parameter sets, FU-A for what is
//! too long.

use std::sync::Arc;

use super::{PAYLOAD_MAX_BYTES, take_nal};
use crate::bits::Malformed;
use crate::h264::{FU_A, FU_END, FU_START, LAST_SINGLE, PPS, SPS, STAP_A, nal_type};

/// The access unit delimiter, the ends of sequence and stream, and filler: they say nothing that a packet does not.
const NEEDLESS: std::ops::RangeInclusive<u8> = 9..=12;

/// What a STAP-A adds to each NAL unit: its size.
const STAP_SIZE_BYTES: usize = 2;

/// Returns the payloads of an access unit, whose NAL units each stand behind their length in 4 bytes.
///
/// # Errors
/// [`Malformed::Truncated`] when a length says more than there is.
pub(super) fn payloads(mut data: &[u8]) -> Result<Vec<Arc<[u8]>>, Malformed> {
    let (mut payloads, mut sets) = (Vec::new(), Vec::new());
    while let Some(nal) = take_nal(&mut data)? {
        match nal_type(nal[0]) {
            SPS | PPS => sets.push(nal),
            // Numbers of RTP's own, or of nobody's: no receiver would know them for NAL units.
            kind if kind == 0 || kind > LAST_SINGLE || NEEDLESS.contains(&kind) => {}
            _ => {
                aggregate(&mut sets, &mut payloads);
                cut(nal, &mut payloads);
            }
        }
    }
    aggregate(&mut sets, &mut payloads);
    Ok(payloads)
}

/// Puts parameter sets into one packet, where they fit (§5.7.1): so that none of them is lost without the others.
fn aggregate(sets: &mut Vec<&[u8]>, payloads: &mut Vec<Arc<[u8]>>) {
    let bytes: usize = 1 + sets.iter().map(|nal| STAP_SIZE_BYTES + nal.len()).sum::<usize>();
    if sets.len() < 2 || bytes > PAYLOAD_MAX_BYTES {
        sets.drain(..).for_each(|nal| cut(nal, payloads));
        return;
    }
    // The importance is the highest of theirs (§5.7).
    let importance = sets.iter().map(|nal| nal[0] & 0x60).max().unwrap_or_default();
    let mut payload = Vec::with_capacity(bytes);
    payload.push(importance | STAP_A);
    for nal in sets.drain(..) {
        let size = u16::try_from(nal.len()).expect("it fits into a payload");
        payload.extend_from_slice(&size.to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payloads.push(payload.into());
}

/// Sends a NAL unit as it is, or in fragments (§5.8).
fn cut(nal: &[u8], payloads: &mut Vec<Arc<[u8]>>) {
    if nal.len() <= PAYLOAD_MAX_BYTES {
        payloads.push(nal.into());
        return;
    }
    let (header, body) = (nal[0], &nal[1..]);
    let indicator = header & 0xe0 | FU_A;
    let fragments = body.chunks(PAYLOAD_MAX_BYTES - 2);
    let last = fragments.len() - 1;
    for (index, fragment) in fragments.enumerate() {
        let start = if index == 0 { FU_START } else { 0 };
        let end = if index == last { FU_END } else { 0 };
        payloads.push([&[indicator, start | end | nal_type(header)], fragment].concat().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat()).collect()
    }

    #[test]
    fn parameter_sets_go_together_and_slices_alone() {
        let data = unit(&[&[0x09, 0x10], &[0x67, 1, 2, 3], &[0x28, 4], &[0x06, 5], &[0x65, 6], &[]]);
        let payloads = payloads(&data).unwrap();
        let stap: &[u8] = &[0x78, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x28, 4];
        assert_eq!(payloads.iter().map(|payload| &payload[..]).collect::<Vec<_>>(), [stap, &[0x06, 5], &[0x65, 6]]);
    }

    #[test]
    fn a_long_slice_is_cut_into_fragments_that_fill_their_packets() {
        // 1 + 2 * 1,198 bytes: two whole fragments, and no third.
        let slice = [&[0x41][..], &[7; 2 * 1_198]].concat();
        let payloads = payloads(&unit(&[&slice])).unwrap();
        let heads: Vec<_> = payloads.iter().map(|payload| (payload[0], payload[1], payload.len())).collect();
        assert_eq!(heads, [(0x5c, 0x81, 1_200), (0x5c, 0x41, 1_200)]);
    }

    #[test]
    fn what_no_receiver_would_know_is_left_out() {
        let data = unit(&[&[0x78, 0], &[0x60, 1], &[0x7f], &[0x0c, 0xff], &[0x41, 1]]);
        assert_eq!(payloads(&data).unwrap(), [Arc::from([0x41, 1])]);
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        for data in [&[0, 0, 0][..], &[0, 0, 0, 3, 0x41, 1], &[0xff; 4]] {
            assert_eq!(payloads(data), Err(Malformed::Truncated), "{data:?}");
        }
    }
}
