//! H.264: RFC 6184 (RTP) and as much of ITU-T H.264 as an MP4 sample needs.
//!
//! Serves packetization modes 0 and 1. Interleaved mode (STAP-B, MTAP, FU-B) is never negotiated and is ignored.

mod sps;
mod stream;

pub use sps::Sps;

pub(crate) use stream::H264Stream;

use crate::bits::{BitReader, Malformed, take, take_u8, take_u16};
use crate::nal::{FU_END, FU_START, Piece, unescape};

const SLICE: u8 = 1;
const SLICE_IDR: u8 = 5;
const SEI: u8 = 6;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
pub(crate) const LAST_SINGLE: u8 = 23;
pub(crate) const STAP_A: u8 = 24;
pub(crate) const FU_A: u8 = 28;

/// The type of a NAL unit, from its first byte or that of a fragmentation unit's header (RFC 6184 §1.3).
pub(crate) const fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// Hands out the pieces of an RTP payload, in order (RFC 6184 §5.6 to §5.8).
///
/// # Errors
/// What `each` returns, or [`Malformed`] when the payload breaks off; earlier pieces were handed out then.
fn split<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(Piece<'a, [u8; 1]>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rest = payload;
    let indicator = take_u8(&mut rest)?;
    match nal_type(indicator) {
        SLICE..=LAST_SINGLE => each(Piece::Nal(payload)),
        STAP_A => {
            while !rest.is_empty() {
                let size = usize::from(take_u16(&mut rest)?);
                each(Piece::Nal(take(&mut rest, size)?))?;
            }
            Ok(())
        }
        FU_A => {
            let fu = take_u8(&mut rest)?;
            let header = [indicator & 0xe0 | nal_type(fu)];
            each(Piece::Fragment { header, start: fu & FU_START != 0, end: fu & FU_END != 0, body: rest })
        }
        _ => Ok(()),
    }
}

/// Tells whether a keyframe begins with this RTP payload: with its sequence parameter set or, where that does not come
/// along, with its first IDR slice.
///
/// # Errors
/// [`Malformed`] when the payload breaks off.
pub(crate) fn starts_keyframe(payload: &[u8]) -> Result<bool, Malformed> {
    let mut found = false;
    split(payload, |piece| {
        found |= match piece {
            Piece::Nal(nal) => nal.first().is_some_and(|&header| matches!(nal_type(header), SPS | SLICE_IDR)),
            Piece::Fragment { header: [header], start, .. } => start && matches!(nal_type(header), SPS | SLICE_IDR),
        };
        Ok(())
    })?;
    Ok(found)
}

/// Reads width and height in pixels from the sequence parameter set in this RTP payload; `None`: there is none.
///
/// # Errors
/// [`Malformed`] when the payload or the parameter set breaks off.
pub(crate) fn keyframe_size(payload: &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    let mut size = None;
    split(payload, |piece| {
        if let Piece::Nal(nal) = piece
            && nal.first().is_some_and(|&header| nal_type(header) == SPS)
        {
            let sps = Sps::parse(nal)?;
            size = Some((sps.width, sps.height));
        }
        Ok(())
    })?;
    Ok(size)
}

/// The beginning of a slice header (ITU-T H.264 §7.3.3).
struct SliceStart {
    /// Whether the slice begins with the first macroblock: nothing of its picture precedes it.
    begins_picture: bool,
    /// The picture parameter set it refers to.
    pps_id: u32,
}

impl SliceStart {
    /// Three Exp-Golomb numbers of real streams fit in a third of it, escapes included.
    const BYTES_MAX: usize = 24;

    fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        let body = nal.get(1..).unwrap_or_default();
        let body = unescape(body.get(..Self::BYTES_MAX).unwrap_or(body));
        let mut bits = BitReader::new(&body);
        let first_macroblock = bits.ue()?;
        let _slice_type = bits.ue()?;
        Ok(Self { begins_picture: first_macroblock == 0, pps_id: bits.ue()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_begins_with_its_sps_or_idr_however_it_is_packed() {
        let single = [0x67, 1, 2];
        let stap = [0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 0x42];
        let fragment_start = [0x7c, 0x85, 0x88];
        for payload in [&single[..], &stap, &fragment_start, &[0x65, 0x88]] {
            assert_eq!(starts_keyframe(payload), Ok(true), "{payload:x?}");
        }
        let fragment_middle = [0x7c, 0x05, 0x88];
        let other_fragment = [0x7c, 0x81, 0x88];
        for payload in [&[0x41, 0x9a][..], &[0x68, 0xce], &fragment_middle, &other_fragment, &[0x79, 0, 0]] {
            assert_eq!(starts_keyframe(payload), Ok(false), "{payload:x?}");
        }
        for payload in [&[][..], &[0x78, 0], &[0x78, 0, 3, 0x67], &[0x7c]] {
            assert_eq!(starts_keyframe(payload), Err(Malformed::Truncated), "{payload:x?}");
        }
    }
}
