//! The keyframe that a segment begins with, found without reading the rest of it.

use std::ops::Range;

use mp4_atom::FourCC;
use onair_media::MediaKind;

use super::ReadError;
use super::segment::read_fragment;
use super::tree::next_box;

/// Says where the first frame of a video segment lies within it, or `None` when decoding cannot start there.
///
/// `bytes` are the beginning of the segment, its first `moof` included; the frame may lie behind them.
///
/// # Errors
/// [`ReadError`] when the bytes are not the beginning of a segment, or too few of them.
pub fn read_keyframe(bytes: &[u8]) -> Result<Option<Range<u64>>, ReadError> {
    let moof = FourCC::new(b"moof");
    let mut rest = bytes;
    while let Some(found) = next_box(&mut rest)? {
        if found.kind == moof {
            let fragment = read_fragment(MediaKind::Video, &found)?;
            let start = (bytes.len() - rest.len() - found.whole.len()) as u64;
            let offset = u64::try_from(fragment.data_offset);
            let start = start + offset.map_err(|_| ReadError::Unexpected("a frame before its own box"))?;
            let first = fragment.samples.first().filter(|sample| sample.sync);
            return Ok(first.map(|sample| start..start + u64::from(sample.size)));
        }
    }
    Err(ReadError::Missing(moof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::Cut;
    use crate::testing::{broadcast, pull};
    use crate::{Fragmenter, FragmenterSettings};

    #[test]
    fn the_first_frame_is_found_in_the_beginning_of_a_segment() {
        let settings = FragmenterSettings {
            segment_target: std::time::Duration::from_secs(2),
            part_target: std::time::Duration::from_millis(500),
        };
        let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
        broadcast(&mut fragmenter, 0, 4, 1);
        fragmenter.finish();
        let cuts = pull(&mut fragmenter).all;
        let video = cuts.iter().find_map(|cut| match cut {
            Cut::Segment(segment) if segment.kind == MediaKind::Video => Some(segment),
            _ => None,
        });
        let segment = video.unwrap();
        let part = &segment.parts[0];
        let start = part.payload_offset as u64;
        let wanted = start..start + u64::from(part.samples[0].size);
        assert_eq!(read_keyframe(&segment.bytes).unwrap(), Some(wanted.clone()));
        assert_eq!(read_keyframe(&segment.bytes[..part.payload_offset - 8]).unwrap(), Some(wanted));
        assert!(read_keyframe(&segment.bytes[..part.payload_offset - 9]).is_err());
        assert!(read_keyframe(&[]).is_err());
    }
}
