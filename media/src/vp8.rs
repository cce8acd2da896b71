//! VP8, RFC 7741: only as much as a viewer's keyframe gate needs. HLS and our recordings do not carry VP8.

use crate::bits::{Malformed, take, take_u8, take_u16};

/// Tells whether a keyframe begins with this RTP payload (RFC 7741 §4.2 and §4.3).
///
/// # Errors
/// [`Malformed::Truncated`] when the payload ends before that can be told.
pub(crate) fn starts_keyframe(mut payload: &[u8]) -> Result<bool, Malformed> {
    // The lowest bit of the frame tag is the inverse of "key frame".
    Ok(takes_frame_start(&mut payload)? && take_u8(&mut payload)? & 1 == 0)
}

/// Reads width and height in pixels from the packet with which a keyframe begins (RFC 6386 §9.1); `None`: it is none.
///
/// # Errors
/// [`Malformed`] when the payload ends before that can be told.
pub(crate) fn keyframe_size(payload: &[u8]) -> Result<Option<(u32, u32)>, Malformed> {
    if !starts_keyframe(payload)? {
        return Ok(None);
    }
    let mut frame = payload;
    takes_frame_start(&mut frame)?;
    take(&mut frame, 6)?; // the frame tag and the start code
    // Little-endian; the two highest bits are a scale.
    let mut side = || Ok(u32::from(take_u16(&mut frame)?.swap_bytes() & 0x3fff));
    Ok(Some((side()?, side()?)))
}

/// Takes the payload descriptor off the front, and tells whether a frame begins behind it.
fn takes_frame_start(payload: &mut &[u8]) -> Result<bool, Malformed> {
    let descriptor = take_u8(payload)?;
    let starts_first_partition = descriptor & 0x10 != 0 && descriptor & 0x07 == 0;
    if descriptor & 0x80 != 0 {
        let extensions = take_u8(payload)?;
        if extensions & 0x80 != 0 && take_u8(payload)? & 0x80 != 0 {
            // A picture id of 15 bits.
            take(payload, 1)?;
        }
        if extensions & 0x40 != 0 {
            take(payload, 1)?;
        }
        if extensions & 0x30 != 0 {
            take(payload, 1)?;
        }
    }
    Ok(starts_first_partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_begins_with_its_first_partition() {
        assert_eq!(starts_keyframe(&[0x10, 0x00]), Ok(true));
        assert_eq!(starts_keyframe(&[0x10, 0x01]), Ok(false), "an interframe");
        assert_eq!(starts_keyframe(&[0x00, 0x00]), Ok(false), "not the start of a partition");
        assert_eq!(starts_keyframe(&[0x11, 0x00]), Ok(false), "not the first partition");
    }

    #[test]
    fn a_keyframe_tells_its_size() {
        let keyframe = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01, 0xff];
        assert_eq!(keyframe_size(&keyframe), Ok(Some((640, 360))));
        assert_eq!(keyframe_size(&keyframe[..9]), Err(Malformed::Truncated));
        assert_eq!(keyframe_size(&[0x10, 0x01]), Ok(None));
    }

    #[test]
    fn extensions_are_passed_over() {
        // Picture id of 7 and 15 bits, TL0PICIDX, TID and KEYIDX.
        assert_eq!(starts_keyframe(&[0x90, 0x80, 0x11, 0x00]), Ok(true));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20, 0x00]), Ok(true));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20, 0x01]), Ok(false));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20]), Err(Malformed::Truncated));
    }
}
