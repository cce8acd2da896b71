//! H.265: RFC 7798 (RTP) and as much of ITU-T H.265 as an MP4 sample needs.
//!
//! Serves what is sent in decoding order (`sprop-max-don-diff` 0, RFC 7798 §7.1): the payloads bear no decoding order
//! numbers. Of layered streams the base layer is taken.

mod sps;
mod stream;

pub use sps::{ProfileTierLevel, Sps};

pub(crate) use stream::H265Stream;

use crate::bits::{BitReader, Malformed, take, take_u8, take_u16};
use crate::nal::{FU_END, FU_START, Piece, unescape};

/// The types of NAL units (ITU-T H.265 table 7-1). Below 32 are the slices.
const RASL_N: u8 = 8;
const RASL_R: u8 = 9;
const IRAP_FIRST: u8 = 16;
const IRAP_LAST: u8 = 23;
pub(crate) const SLICE_LAST: u8 = 31;
pub(crate) const VPS: u8 = 32;
pub(crate) const SPS: u8 = 33;
pub(crate) const PPS: u8 = 34;
pub(crate) const END_OF_SEQUENCE: u8 = 36;
pub(crate) const SEI_PREFIX: u8 = 39;
pub(crate) const SEI_SUFFIX: u8 = 40;
/// The types of payloads that are no NAL unit (RFC 7798 §4.4).
const LAST_SINGLE: u8 = 47;
pub(crate) const AGGREGATION: u8 = 48;
pub(crate) const FRAGMENTATION: u8 = 49;

const FU_TYPE: u8 = 0x3f;

/// The NAL unit header is two bytes long (ITU-T H.265 §7.3.1.2).
pub(crate) const HEADER_BYTES: usize = 2;

/// The type of a NAL unit, from its first byte.
pub(crate) const fn nal_type(first: u8) -> u8 {
    first >> 1 & 0x3f
}

/// The layer of a NAL unit; 0 is the base layer.
pub(crate) const fn layer(header: [u8; HEADER_BYTES]) -> u8 {
    (header[0] & 1) << 5 | header[1] >> 3
}

/// Hands out the pieces of an RTP payload, in order (RFC 7798 §4.4.1 to §4.4.3).
///
/// # Errors
/// What `each` returns, or [`Malformed`] when the payload breaks off; earlier pieces were handed out then.
fn split<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(Piece<'a, [u8; HEADER_BYTES]>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rest = payload;
    let [first, second] = [take_u8(&mut rest)?, take_u8(&mut rest)?];
    match nal_type(first) {
        ..=LAST_SINGLE => each(Piece::Nal(payload)),
        AGGREGATION => {
            while !rest.is_empty() {
                let size = usize::from(take_u16(&mut rest)?);
                each(Piece::Nal(take(&mut rest, size)?))?;
            }
            Ok(())
        }
        FRAGMENTATION => {
            let fu = take_u8(&mut rest)?;
            let header = [first & 0x81 | (fu & FU_TYPE) << 1, second];
            each(Piece::Fragment { header, start: fu & FU_START != 0, end: fu & FU_END != 0, body: rest })
        }
        _ => Ok(()),
    }
}

/// Tells whether a keyframe begins with this RTP payload: with a parameter set or, where none comes along, with its first
/// slice.
///
/// # Errors
/// [`Malformed`] when the payload breaks off.
pub(crate) fn starts_keyframe(payload: &[u8]) -> Result<bool, Malformed> {
    let starts = |kind| matches!(kind, VPS | SPS | IRAP_FIRST..=IRAP_LAST);
    let mut found = false;
    split(payload, |piece| {
        found |= match piece {
            Piece::Nal(nal) => nal.first().is_some_and(|&first| starts(nal_type(first))),
            Piece::Fragment { header, start, .. } => start && starts(nal_type(header[0])),
        };
        Ok(())
    })?;
    Ok(found)
}

/// Reads the size of the picture where the payload brings a sequence parameter set in one piece.
///
/// # Errors
/// [`Malformed`] when the payload breaks off or the parameter set cannot be read.
pub(crate) fn keyframe_size(payload: &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    let mut size = None;
    split(payload, |piece| {
        if let Piece::Nal(nal) = piece
            && nal.first().is_some_and(|&first| nal_type(first) == SPS)
        {
            let sps = Sps::parse(nal)?;
            size = Some((sps.width, sps.height));
        }
        Ok(())
    })?;
    Ok(size)
}

/// The beginning of a slice segment header (ITU-T H.265 §7.3.6.1).
struct SliceStart {
    /// Whether the segment is the first of its picture.
    begins_picture: bool,
    /// The picture parameter set it refers to.
    pps_id: u32,
}

impl SliceStart {
    /// Two flags and an Exp-Golomb number up to 63 fit in a quarter of it, escapes included.
    const BYTES_MAX: usize = 16;

    fn parse(kind: u8, body: &[u8]) -> Result<Self, Malformed> {
        let body = unescape(body.get(..Self::BYTES_MAX).unwrap_or(body));
        let mut bits = BitReader::new(&body);
        let begins_picture = bits.flag()?;
        if matches!(kind, IRAP_FIRST..=IRAP_LAST) {
            let _no_output_of_prior_pictures = bits.flag()?;
        }
        Ok(Self { begins_picture, pps_id: bits.ue()? })
    }
}

/// What x265 writes for 322x182, Main profile, two reordered frames.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) const VPS_322X182: [u8; 24] = [
        0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x3c, 0x95, 0x90, 0x09,
    ];
    pub(crate) const SPS_322X182: [u8; 44] = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c,
        0xa0, 0x0a, 0x88, 0x0c, 0x1c, 0x44, 0xd9, 0x65, 0x64, 0x4a, 0x4c, 0x2f, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03,
        0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x40,
    ];
    pub(crate) const PPS: [u8; 6] = [0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_begins_with_its_sets_or_slice_however_it_is_packed() {
        let aggregation = [0x60, 0x01, 0, 3, 0x46, 0x01, 0x50, 0, 3, 0x40, 0x01, 0x0c];
        let fragment_start = [0x62, 0x01, 0x93, 0xaf];
        // VPS, SPS, IDR_W_RADL, IDR_N_LP, CRA, BLA.
        let singles = [[0x40, 1], [0x42, 1], [0x26, 1], [0x28, 1], [0x2a, 1], [0x20, 1]];
        for payload in singles.iter().map(|it| &it[..]).chain([&aggregation[..], &fragment_start]) {
            assert_eq!(starts_keyframe(payload), Ok(true), "{payload:x?}");
        }
        let fragment_middle = [0x62, 0x01, 0x13, 0xaf];
        let other_fragment = [0x62, 0x01, 0x81, 0xaf];
        // TRAIL_R, PPS, RASL_R, a payload content information packet.
        for payload in [&[0x02, 1][..], &[0x44, 1], &[0x12, 1], &[0x64, 1, 0], &fragment_middle, &other_fragment] {
            assert_eq!(starts_keyframe(payload), Ok(false), "{payload:x?}");
        }
        for payload in [&[][..], &[0x26], &[0x60, 1, 0], &[0x60, 1, 0, 3, 0x40], &[0x62, 1]] {
            assert_eq!(starts_keyframe(payload), Err(Malformed::Truncated), "{payload:x?}");
        }
    }

    #[test]
    fn the_size_is_that_of_the_sequence_parameter_set() {
        let length = testing::SPS_322X182.len() as u8;
        let packed = [&[0x60, 1, 0, 2, 0x40, 1, 0, length][..], &testing::SPS_322X182].concat();
        assert_eq!(keyframe_size(&packed), Ok(Some((322, 182))));
        assert_eq!(keyframe_size(&[0x28, 1, 0xac]), Ok(None));
        assert!(keyframe_size(&testing::SPS_322X182[..12]).is_err());
    }
}
