//! AV1: the AOM specification "RTP Payload Format For AV1" and as much of the bitstream as an MP4 sample needs.

mod assembler;
mod sequence;

pub(crate) use assembler::Av1Assembler;

use crate::bits::{Malformed, take, take_u8};

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_TILE_GROUP: u8 = 4;
const OBU_METADATA: u8 = 5;
const OBU_FRAME: u8 = 6;
const OBU_REDUNDANT_FRAME_HEADER: u8 = 7;

const OBU_HAS_EXTENSION: u8 = 0x04;
const OBU_HAS_SIZE: u8 = 0x02;

/// The aggregation header of an RTP payload (§4.4 of the payload format).
#[derive(Debug, PartialEq, Eq)]
struct Aggregation {
    /// Z: the first element continues the last one of the packet before.
    continues: bool,
    /// Y: the last element goes on in the next packet.
    goes_on: bool,
    /// W: how many elements there are, or 0 when each has a length.
    count: u8,
    /// N: a coded video sequence begins here.
    begins_sequence: bool,
}

impl Aggregation {
    fn take(payload: &mut &[u8]) -> Result<Self, Malformed> {
        let header = take_u8(payload)?;
        Ok(Self {
            continues: header & 0x80 != 0,
            goes_on: header & 0x40 != 0,
            count: header >> 4 & 0x03,
            begins_sequence: header & 0x08 != 0,
        })
    }

    /// Takes the element number `index`, counted from 1: the last one of a counted payload has no length.
    fn take_element<'a>(&self, index: u8, payload: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
        if index == self.count {
            return take(payload, payload.len());
        }
        let size = take_leb128(payload)?;
        take(payload, size)
    }
}

/// Takes a little-endian base-128 number off the front of `data` (§4.10.5 of the bitstream): at most 32 bits.
fn take_leb128(data: &mut &[u8]) -> Result<usize, Malformed> {
    let mut number = 0_u64;
    for index in 0..8 {
        let byte = take_u8(data)?;
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).map_err(|_| Malformed::Invalid("a leb128 number is over 32 bits"))?;
            return usize::try_from(number).map_err(|_| Malformed::Invalid("a size is over the address space"));
        }
    }
    Err(Malformed::Invalid("a leb128 number is longer than 8 bytes"))
}

/// Appends a little-endian base-128 number.
fn push_leb128(data: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        data.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    data.push(number.to_le_bytes()[0]);
}

/// An open bitstream unit (§5.3 of the bitstream).
struct Obu<'a> {
    /// The header's first byte.
    header: u8,
    /// The extension byte, if any.
    extension: Option<u8>,
    payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Parses a unit with or without size field.
    fn parse(mut data: &'a [u8]) -> Result<Self, Malformed> {
        let header = take_u8(&mut data)?;
        if header & 0x80 != 0 {
            return Err(Malformed::Invalid("the forbidden bit of an OBU is set"));
        }
        let extension = if header & OBU_HAS_EXTENSION != 0 { Some(take_u8(&mut data)?) } else { None };
        if header & OBU_HAS_SIZE != 0 {
            let size = take_leb128(&mut data)?;
            data = take(&mut data, size)?;
        }
        Ok(Self { header, extension, payload: data })
    }

    const fn kind(&self) -> u8 {
        self.header >> 3 & 0x0f
    }

    /// Renders the unit with a size field.
    fn sized(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.payload.len() + 8);
        data.push(self.header | OBU_HAS_SIZE);
        data.extend(self.extension);
        push_leb128(&mut data, self.payload.len());
        data.extend_from_slice(self.payload);
        data
    }
}

/// Tells whether a keyframe begins with this RTP payload: a coded video sequence, or at least its header.
///
/// # Errors
/// [`Malformed`] when the payload breaks off.
pub(crate) fn starts_keyframe(mut payload: &[u8]) -> Result<bool, Malformed> {
    let aggregation = Aggregation::take(&mut payload)?;
    if aggregation.begins_sequence {
        return Ok(true);
    }
    let mut index = 0_u8;
    while !payload.is_empty() {
        index = index.saturating_add(1);
        let element = aggregation.take_element(index, &mut payload)?;
        let whole_start = !(aggregation.continues && index == 1);
        if whole_start && element.first().is_some_and(|header| header >> 3 & 0x0f == OBU_SEQUENCE_HEADER) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads width and height in pixels from the sequence header in this RTP payload; `None`: there is none, or it is not whole.
///
/// # Errors
/// [`Malformed`] when the payload or the header breaks off.
pub(crate) fn keyframe_size(mut payload: &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    let aggregation = Aggregation::take(&mut payload)?;
    let mut index = 0_u8;
    while !payload.is_empty() {
        index = index.saturating_add(1);
        let element = aggregation.take_element(index, &mut payload)?;
        let whole_start = !(aggregation.continues && index == 1);
        if whole_start && element.first().is_some_and(|header| header >> 3 & 0x0f == OBU_SEQUENCE_HEADER) {
            let sequence = sequence::Sequence::parse(Obu::parse(element)?.payload)?;
            return Ok(Some((sequence.width, sequence.height)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_keyframe_begins_with_its_sequence() {
        assert_eq!(starts_keyframe(&[0x08]), Ok(true), "N is set");
        assert_eq!(starts_keyframe(&[0x10, 0x08]), Ok(true), "one element, a sequence header");
        assert_eq!(starts_keyframe(&[0x20, 2, 0x10, 0, 0x08]), Ok(true), "behind a temporal delimiter");
        assert_eq!(starts_keyframe(&[0x00, 2, 0x10, 0, 1, 0x08]), Ok(true), "every element with its length");
        assert_eq!(starts_keyframe(&[0x90, 0x08]), Ok(false), "the middle of another unit");
        assert_eq!(starts_keyframe(&[0x10, 0x30]), Ok(false), "a frame");
        assert_eq!(starts_keyframe(&[0x20, 3, 0x10]), Err(Malformed::Truncated));
        assert_eq!(starts_keyframe(&[]), Err(Malformed::Truncated));
    }

    #[test]
    fn sizes_beyond_32_bits_are_refused() {
        assert_eq!(take_leb128(&mut &[0xe5, 0x8e, 0x26][..]), Ok(624_485));
        assert_eq!(take_leb128(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Ok(0xffff_ffff));
        assert!(matches!(take_leb128(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), Err(Malformed::Invalid(_))));
        assert!(matches!(take_leb128(&mut &[0xff; 9][..]), Err(Malformed::Invalid(_))));
    }

    proptest! {
        #[test]
        fn a_size_is_read_as_it_was_written(number in 0..=u32::MAX) {
            let mut data = Vec::new();
            push_leb128(&mut data, number as usize);
            prop_assert_eq!(take_leb128(&mut data.as_slice()), Ok(number as usize));
        }
    }
}
