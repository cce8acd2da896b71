//! What H.264 and H.265 have in common: NAL units in RTP payloads, and access units out of them.

mod assembler;
mod parameter_sets;

pub(crate) use assembler::NalAssembler;
pub(crate) use parameter_sets::{ParameterSets, SET_MAX_BYTES, SequenceSet, Sets};

use std::fmt;

use crate::bits::{BitReader, Malformed};
use crate::codec::CodecConfig;

/// The flags of the first and the last fragment of a NAL unit (RFC 6184 §5.8, RFC 7798 §4.4.3).
pub(crate) const FU_START: u8 = 0x80;
pub(crate) const FU_END: u8 = 0x40;

/// What tells the two codecs apart: the form of a payload, and what each NAL unit is.
pub(crate) trait NalStream: Default + fmt::Debug + Send {
    /// The header of a NAL unit, which a fragmented one has in another place.
    type Header: AsRef<[u8]>;

    /// Hands out the pieces of an RTP payload, in order.
    ///
    /// # Errors
    /// What `each` returns, or [`Malformed`] when the payload breaks off; earlier pieces were handed out then.
    fn split<'a>(
        payload: &'a [u8],
        each: impl FnMut(Piece<'a, Self::Header>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed>;

    /// Takes a whole NAL unit, keeps it if it is a parameter set, and tells what it is to its access unit.
    fn take(&mut self, nal: &[u8]) -> Role;

    /// Returns the configuration, and the depth of reordering, of a keyframe that refers to a picture parameter set;
    /// `None` while a set is missing.
    fn config(&self, pps_id: u32) -> Option<(CodecConfig, usize)>;
}

/// One piece of an RTP payload.
pub(crate) enum Piece<'a, H> {
    /// A whole NAL unit.
    Nal(&'a [u8]),
    /// A fragment of one.
    Fragment {
        /// The header of the NAL unit.
        header: H,
        /// Whether the NAL unit begins here.
        start: bool,
        /// Whether it ends here.
        end: bool,
        /// What follows the header.
        body: &'a [u8],
    },
}

/// What a NAL unit is to the sample of its access unit.
pub(crate) enum Role {
    /// No part of it: parameter sets, which the configuration holds, delimiters and filler, which say nothing in MP4, and
    /// what serves scalable and multiview decoders only.
    LeftOut,
    /// A part of it that is no picture, such as SEI.
    Supplement,
    /// A part of its picture.
    Slice(Slice),
}

/// Holds what the beginning of a slice says.
pub(crate) struct Slice {
    /// What the picture needs.
    pub(crate) picture: Picture,
    /// Whether the slice is the first of its picture: nothing of it precedes.
    pub(crate) begins_picture: bool,
    /// The picture parameter set it refers to; `u32::MAX`, which no set has, when the header cannot be read.
    pub(crate) pps_id: u32,
}

/// What must be decoded before a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Nothing.
    Key,
    /// Pictures before it.
    Inter,
    /// Pictures before the keyframe that it follows, and is shown before: where decoding begins with that keyframe, it
    /// cannot be decoded.
    Leading,
}

/// Removes the emulation prevention bytes (ITU-T H.264 §7.4.1.1, ITU-T H.265 §7.4.2).
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut raw = Vec::with_capacity(nal.len());
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        raw.push(byte);
    }
    raw
}

/// Reads a byte.
pub(crate) fn byte(bits: &mut BitReader<'_>) -> Result<u8, Malformed> {
    small(bits.bits(8)?, 255, "a byte")
}

/// Narrows a number; one above `max` is an error that bears the name of its field.
pub(crate) fn small(number: u32, max: u8, name: &'static str) -> Result<u8, Malformed> {
    u8::try_from(number).ok().filter(|&number| number <= max).ok_or(Malformed::Invalid(name))
}

/// Passes a number on; one above `max` is an error that bears the name of its field.
pub(crate) fn at_most(number: u32, max: u32, name: &'static str) -> Result<u32, Malformed> {
    if number <= max { Ok(number) } else { Err(Malformed::Invalid(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_removed() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(unescape(&[3, 0, 3, 0, 0, 1]), [3, 0, 3, 0, 0, 1]);
    }
}
