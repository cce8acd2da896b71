//! The box that a segment begins with: what its playlist says of it, so that a lost playlist can be written again.
//!
//! A `uuid` box may stand anywhere, and readers skip those they do not know (ISO/IEC 14496-12 §4.2, §11.1).

use mp4_atom::FourCC;

/// Names the box as ours; drawn at random, once.
const EXTENDED_TYPE: [u8; 16] =
    [0x17, 0x1c, 0xd6, 0x5e, 0x0c, 0xcc, 0x43, 0x7d, 0x82, 0x6a, 0xd9, 0x63, 0xf0, 0x5a, 0x6c, 0xc7];

/// The version of the fields behind the extended type.
const VERSION: u8 = 1;

/// In the flags: the segment does not continue the one before it.
const DISCONTINUITY: u8 = 1;

/// Holds what the first part of a segment says of the whole segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHead {
    /// The index of the initialisation segment that the segment needs; counts from 1.
    pub init: u32,
    /// Whether the segment does not continue the one before it.
    pub discontinuity: bool,
}

impl SegmentHead {
    /// The size of the box: header, extended type, version, flags, two reserved bytes, index.
    pub const BYTES: usize = 8 + 16 + 4 + 4;

    /// Renders the box.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&(Self::BYTES as u32).to_be_bytes());
        bytes[4..8].copy_from_slice(b"uuid");
        bytes[8..24].copy_from_slice(&EXTENDED_TYPE);
        bytes[24] = VERSION;
        bytes[25] = if self.discontinuity { DISCONTINUITY } else { 0 };
        bytes[28..].copy_from_slice(&self.init.to_be_bytes());
        bytes
    }

    /// Reads a box of any type; `body` is what stands behind its header.
    ///
    /// Returns `None` when it is another box, or one of a later version. What a later writer appends is skipped.
    pub(crate) fn from_box(kind: FourCC, body: &[u8]) -> Option<Self> {
        let (extended_type, fields) = body.split_first_chunk()?;
        let ours = kind == FourCC::new(b"uuid") && *extended_type == EXTENDED_TYPE;
        let (&[version, flags, _, _], rest) = fields.split_first_chunk().filter(|_| ours)?;
        let init = u32::from_be_bytes(*rest.first_chunk()?);
        (version == VERSION).then_some(Self { init, discontinuity: flags & DISCONTINUITY != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_keeps_its_bytes() {
        let head = SegmentHead { init: 0x0102_0304, discontinuity: true };
        #[rustfmt::skip]
        let golden: [u8; SegmentHead::BYTES] = [
            0, 0, 0, 32, b'u', b'u', b'i', b'd',
            0x17, 0x1c, 0xd6, 0x5e, 0x0c, 0xcc, 0x43, 0x7d, 0x82, 0x6a, 0xd9, 0x63, 0xf0, 0x5a, 0x6c, 0xc7,
            1, 1, 0, 0, 1, 2, 3, 4,
        ];
        assert_eq!(head.to_bytes(), golden);
        assert_eq!(SegmentHead::from_box(FourCC::new(b"uuid"), &golden[8..]), Some(head));
    }

    #[test]
    fn other_boxes_and_later_versions_say_nothing() {
        let bytes = SegmentHead { init: 1, discontinuity: false }.to_bytes();
        let uuid = FourCC::new(b"uuid");
        assert_eq!(SegmentHead::from_box(FourCC::new(b"free"), &bytes[8..]), None);
        assert_eq!(SegmentHead::from_box(uuid, &bytes[8..31]), None);
        for at in [8, 23, 24] {
            let mut other = bytes;
            other[at] ^= 0xff;
            assert_eq!(SegmentHead::from_box(uuid, &other[8..]), None, "{at}");
        }
    }
}
