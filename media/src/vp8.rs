//! VP8, RFC 7741: only as much as a viewer's keyframe gate needs. HLS and our recordings do not carry VP8.

use crate::bits::{Malformed, take, take_u8};

/// Tells whether a keyframe begins with this RTP payload (RFC 7741 §4.2 and §4.3).
///
/// # Errors
/// [`Malformed::Truncated`] when the payload ends before that can be told.
pub(crate) fn starts_keyframe(mut payload: &[u8]) -> Result<bool, Malformed> {
    let descriptor = take_u8(&mut payload)?;
    let starts_first_partition = descriptor & 0x10 != 0 && descriptor & 0x07 == 0;
    if descriptor & 0x80 != 0 {
        let extensions = take_u8(&mut payload)?;
        if extensions & 0x80 != 0 && take_u8(&mut payload)? & 0x80 != 0 {
            // A picture id of 15 bits.
            take(&mut payload, 1)?;
        }
        if extensions & 0x40 != 0 {
            take(&mut payload, 1)?;
        }
        if extensions & 0x30 != 0 {
            take(&mut payload, 1)?;
        }
    }
    // The lowest bit of the frame tag is the inverse of "key frame".
    Ok(starts_first_partition && take_u8(&mut payload)? & 1 == 0)
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
    fn extensions_are_passed_over() {
        // Picture id of 7 and 15 bits, TL0PICIDX, TID and KEYIDX.
        assert_eq!(starts_keyframe(&[0x90, 0x80, 0x11, 0x00]), Ok(true));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20, 0x00]), Ok(true));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20, 0x01]), Ok(false));
        assert_eq!(starts_keyframe(&[0x90, 0xf0, 0x80, 0x11, 0x01, 0x20]), Err(Malformed::Truncated));
    }
}
