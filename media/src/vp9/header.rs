//! The uncompressed header ("VP9 Bitstream & Decoding Process Specification" §6.2) and the levels of VP9.

use crate::bits::{BitReader, Malformed};
use crate::codec::CodecConfig;

/// "VP Codec ISO Media File Format Binding": 4:2:0 colocated with luma is what is meant where nothing is said.
const SUBSAMPLING_420_COLOCATED: u8 = 1;
const SUBSAMPLING_422: u8 = 2;
const SUBSAMPLING_444: u8 = 3;

const SYNC_CODE: u32 = 0x49_83_42;
const COLOR_SPACE_RGB: u32 = 7;

/// The frame rate by which a level is chosen, for the stream does not tell one.
const ASSUMED_FPS: u64 = 30;

/// The levels: number times ten, luma samples a second, luma samples a picture, longest side in pixels
/// ("VP9 Levels and Decoder Testing", webmproject.org/vp9/levels).
const LEVELS: [(u8, u64, u64, u32); 12] = [
    (10, 829_440, 36_864, 512),
    (11, 2_764_800, 73_728, 768),
    (20, 4_608_000, 122_880, 960),
    (21, 9_216_000, 245_760, 1_344),
    (30, 20_736_000, 552_960, 2_048),
    (31, 36_864_000, 983_040, 2_752),
    (40, 83_558_400, 2_228_224, 4_160),
    (41, 160_432_128, 2_228_224, 4_160),
    (50, 311_951_360, 8_912_896, 8_384),
    (51, 588_251_136, 8_912_896, 8_384),
    (52, 1_176_502_272, 8_912_896, 8_384),
    (60, 1_176_502_272, 35_651_584, 16_832),
];

/// What is larger than all levels is called the highest.
const LEVEL_HIGHEST: u8 = 62;

/// Tells whether a frame is a keyframe, from its first byte.
///
/// # Errors
/// [`Malformed`] when there is no VP9 frame.
pub(super) fn is_keyframe(frame: &[u8]) -> Result<bool, Malformed> {
    Ok(frame_start(&mut BitReader::new(frame))?.1)
}

/// Reads the configuration from a frame; `None` when it is no keyframe.
///
/// # Errors
/// [`Malformed`] when the header breaks off, or says what the standard or MP4 does not know.
pub(super) fn key_config(frame: &[u8]) -> Result<Option<CodecConfig>, Malformed> {
    let bits = &mut BitReader::new(frame);
    let (profile, keyframe) = frame_start(bits)?;
    if !keyframe {
        return Ok(None);
    }
    bits.skip(2)?; // show_frame, error_resilient_mode
    if bits.bits(24)? != SYNC_CODE {
        return Err(Malformed::Invalid("a VP9 keyframe has no sync code"));
    }
    let bit_depth = match (profile >= 2, profile >= 2 && bits.flag()?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let (chroma_subsampling, full_range) = color(bits, profile)?;
    let (width, height) = (bits.bits(16)? + 1, bits.bits(16)? + 1);
    let level = level(width, height);
    Ok(Some(CodecConfig::Vp9 { profile, level, bit_depth, chroma_subsampling, full_range, width, height }))
}

/// Reads profile and whether this is a keyframe.
fn frame_start(bits: &mut BitReader<'_>) -> Result<(u8, bool), Malformed> {
    if bits.bits(2)? != 2 {
        return Err(Malformed::Invalid("a VP9 frame has no frame marker"));
    }
    let (low, high) = (bits.flag()?, bits.flag()?);
    let profile = u8::from(low) + 2 * u8::from(high);
    if profile == 3 {
        bits.skip(1)?;
    }
    let shows_existing = bits.flag()?;
    let keyframe = !shows_existing && !bits.flag()?;
    Ok((profile, keyframe))
}

/// Reads chroma subsampling and range (§6.2.2).
fn color(bits: &mut BitReader<'_>, profile: u8) -> Result<(u8, bool), Malformed> {
    let odd_profile = profile & 1 == 1;
    if bits.bits(3)? == COLOR_SPACE_RGB {
        if !odd_profile {
            return Err(Malformed::Invalid("VP9 profiles 0 and 2 know no RGB"));
        }
        bits.skip(1)?;
        return Ok((SUBSAMPLING_444, true));
    }
    let full_range = bits.flag()?;
    if !odd_profile {
        return Ok((SUBSAMPLING_420_COLOCATED, full_range));
    }
    let (across, down) = (bits.flag()?, bits.flag()?);
    bits.skip(1)?;
    match (across, down) {
        (true, true) => Ok((SUBSAMPLING_420_COLOCATED, full_range)),
        (true, false) => Ok((SUBSAMPLING_422, full_range)),
        (false, false) => Ok((SUBSAMPLING_444, full_range)),
        (false, true) => Err(Malformed::Invalid("MP4 knows no VP9 with 4:4:0")),
    }
}

/// Finds the lowest level, times ten, that allows pictures of a size at 30 frames a second.
pub(super) fn level(width: u32, height: u32) -> u8 {
    let picture = u64::from(width) * u64::from(height);
    let fits = |&&(_, rate_max, picture_max, side_max): &&(u8, u64, u64, u32)| {
        picture * ASSUMED_FPS <= rate_max && picture <= picture_max && width.max(height) <= side_max
    };
    LEVELS.iter().find(fits).map_or(LEVEL_HIGHEST, |&(level, ..)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Profile 0, shown keyframe, BT.601 studio range, 1280x720.
    pub(super) const KEYFRAME_720P: [u8; 9] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x4f, 0xf0, 0x2c, 0xf0];

    #[test]
    fn a_keyframe_tells_the_configuration() {
        // color_space 001, color_range 0, then 1279 = 0x04ff and 719 = 0x02cf in 16 bits each, 4 bits shifted.
        let config = key_config(&KEYFRAME_720P).unwrap().unwrap();
        assert_eq!(config.rfc6381(), "vp09.00.31.08");
        assert_eq!(config.dimensions(), Some((1280, 720)));
        assert!(matches!(config, CodecConfig::Vp9 { chroma_subsampling: 1, full_range: false, .. }));
    }

    #[test]
    fn profile_2_tells_its_bit_depth() {
        // 10 0 1 0 0 | 1 0 → marker, profile bits, no existing, key, shown; sync; 12 bits, space 2, full range.
        let frame = [0b1001_0010, 0x49, 0x83, 0x42, 0b1010_1000, 0b0010_0111, 0b1111_1000, 0b0001_0110, 0b0111_1000];
        let config = key_config(&frame).unwrap().unwrap();
        assert!(matches!(config, CodecConfig::Vp9 { profile: 2, bit_depth: 12, full_range: true, .. }));
        assert_eq!(config.dimensions(), Some((1280, 720)));
    }

    #[test]
    fn what_is_no_keyframe_has_no_configuration() {
        assert_eq!(key_config(&[0x86]), Ok(None), "an interframe");
        assert_eq!(key_config(&[0x88]), Ok(None), "an existing frame shown again");
        assert!(key_config(&[0x42]).is_err(), "no frame marker");
        assert!(key_config(&[0x82, 1, 2, 3, 4]).is_err(), "no sync code");
        assert!(key_config(&KEYFRAME_720P[..8]).is_err());
    }

    #[test]
    fn levels_follow_the_size() {
        assert_eq!([(320, 180), (640, 360), (960, 540)].map(|(w, h)| level(w, h)), [11, 21, 30]);
        assert_eq!([(1280, 720), (1920, 1080), (3840, 2160)].map(|(w, h)| level(w, h)), [31, 40, 50]);
        assert_eq!([(7680, 4320), (65_536, 65_536)].map(|(w, h)| level(w, h)), [60, 62]);
    }
}
