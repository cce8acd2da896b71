//! VP9: RFC 9628 (RTP), the bitstream's uncompressed header and the superframe of its annex B.

mod assembler;
mod header;

pub(crate) use assembler::Vp9Assembler;

use crate::bits::{Malformed, take, take_u8};

/// What the payload descriptor says (RFC 9628 §4.2).
#[derive(Debug, PartialEq, Eq)]
struct Descriptor {
    /// Whether the layer frame uses other pictures to predict from.
    inter_predicted: bool,
    /// Whether a layer frame begins with this packet.
    begins_frame: bool,
    /// Whether a layer frame ends with this packet.
    ends_frame: bool,
    /// The spatial layer, 0 to 7.
    spatial_id: u8,
    /// Width and height in pixels of the largest spatial layer, when told.
    largest: Option<(u32, u32)>,
}

impl Descriptor {
    /// Takes the descriptor off the front of a payload.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when the payload ends before the descriptor.
    fn take(payload: &mut &[u8]) -> Result<Self, Malformed> {
        let flags = take_u8(payload)?;
        let has = |bit: u8| flags & bit != 0;
        let (picture_id, inter_predicted, layers, flexible) = (has(0x80), has(0x40), has(0x20), has(0x10));
        let (begins_frame, ends_frame, scalability) = (has(0x08), has(0x04), has(0x02));
        if picture_id && take_u8(payload)? & 0x80 != 0 {
            take(payload, 1)?;
        }
        let mut spatial_id = 0;
        if layers {
            spatial_id = take_u8(payload)? >> 1 & 0x07;
            if !flexible {
                take(payload, 1)?; // TL0PICIDX
            }
        }
        if flexible && inter_predicted {
            skip_references(payload)?;
        }
        let largest = if scalability { take_scalability(payload)? } else { None };
        Ok(Self { inter_predicted, begins_frame, ends_frame, spatial_id, largest })
    }
}

/// Passes over up to three reference indices; the lowest bit of each says whether another follows.
fn skip_references(payload: &mut &[u8]) -> Result<(), Malformed> {
    for _ in 0..3 {
        if take_u8(payload)? & 1 == 0 {
            break;
        }
    }
    Ok(())
}

/// Takes the scalability structure and returns the size of the last, which is the largest, spatial layer.
fn take_scalability(payload: &mut &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    let flags = take_u8(payload)?;
    let (layers, has_sizes, has_group) = ((flags >> 5) + 1, flags & 0x10 != 0, flags & 0x08 != 0);
    let mut largest = None;
    if has_sizes {
        for _ in 0..layers {
            let width = crate::bits::take_u16(payload)?;
            let height = crate::bits::take_u16(payload)?;
            largest = Some((u32::from(width), u32::from(height)));
        }
    }
    if has_group {
        for _ in 0..take_u8(payload)? {
            let references = take_u8(payload)? >> 2 & 0x03;
            take(payload, usize::from(references))?;
        }
    }
    Ok(largest)
}

/// Tells whether a keyframe begins with this RTP payload: the first packet of the base layer of a key picture.
///
/// # Errors
/// [`Malformed`] when the payload ends before that can be told.
pub(crate) fn starts_keyframe(mut payload: &[u8]) -> Result<bool, Malformed> {
    let descriptor = Descriptor::take(&mut payload)?;
    let begins = descriptor.begins_frame && descriptor.spatial_id == 0 && !descriptor.inter_predicted;
    Ok(begins && header::is_keyframe(payload)?)
}

/// Reads width and height in pixels from the packet with which a keyframe begins; `None`: it is none.
///
/// # Errors
/// [`Malformed`] when the payload ends before that can be told.
pub(crate) fn keyframe_size(mut payload: &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    if !starts_keyframe(payload)? {
        return Ok(None);
    }
    let descriptor = Descriptor::take(&mut payload)?;
    let own = || Ok(header::key_config(payload)?.and_then(|config| config.dimensions()));
    descriptor.largest.map_or_else(own, |largest| Ok(Some(largest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_shape_are_passed_over() {
        let plain =
            Descriptor { inter_predicted: false, begins_frame: true, ends_frame: false, spatial_id: 0, largest: None };
        let mut payload: &[u8] = &[0x08, 0xaa];
        assert_eq!(Descriptor::take(&mut payload), Ok(plain));
        assert_eq!(payload, [0xaa]);
        // Not flexible: I P L E; a picture id of 15 bits, TID 1 SID 2, TL0PICIDX.
        let mut payload: &[u8] = &[0xe4, 0x81, 0x23, 0x24, 0x07, 0xaa];
        let descriptor = Descriptor::take(&mut payload).unwrap();
        assert!(descriptor.inter_predicted && descriptor.ends_frame && !descriptor.begins_frame);
        assert_eq!((descriptor.spatial_id, payload), (2, &[0xaa][..]));
        // Flexible: I P L F; a picture id of 7 bits, the layers, then two references.
        let mut payload: &[u8] = &[0xf0, 0x01, 0x00, 0x03, 0x04, 0xaa];
        Descriptor::take(&mut payload).unwrap();
        assert_eq!(payload, [0xaa]);
    }

    #[test]
    fn the_scalability_structure_tells_the_largest_size() {
        // I L B V; two spatial layers with sizes, a group of two pictures of which the second has one reference.
        let mut payload: &[u8] = &[
            0xaa, 0x05, 0x00, 0x01, // flags, picture id, layers, TL0PICIDX
            0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, // N_S=1 Y G, 320x180, 640x360
            0x02, 0x00, 0x04, 0x01, 0xbb,
        ];
        assert_eq!(Descriptor::take(&mut payload).unwrap().largest, Some((640, 360)));
        assert_eq!(payload, [0xbb]);
    }

    #[test]
    fn a_keyframe_begins_with_its_base_layer() {
        // Frame marker 2, profile 0, shown, key: 0b1000_0010.
        assert_eq!(starts_keyframe(&[0x08, 0x82]), Ok(true));
        assert_eq!(starts_keyframe(&[0x08, 0x86]), Ok(false), "the frame header says interframe");
        assert_eq!(starts_keyframe(&[0x48, 0x82]), Ok(false), "inter-predicted");
        assert_eq!(starts_keyframe(&[0x00, 0x82]), Ok(false), "not the beginning");
        assert_eq!(starts_keyframe(&[0x28, 0x02, 0x00, 0x82]), Ok(false), "spatial layer 1");
        assert_eq!(starts_keyframe(&[0x08]), Err(Malformed::Truncated));
    }
}
