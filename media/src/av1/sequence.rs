//! The sequence header (§5.5 of the "AV1 Bitstream & Decoding Process Specification").

use bytes::Bytes;

use crate::bits::{BitReader, Malformed};
use crate::codec::CodecConfig;

/// `seq_force_screen_content_tools` when each frame chooses.
const SELECT_SCREEN_CONTENT_TOOLS: u32 = 2;
/// The identifiers of sRGB (§6.4.2).
const BT_709_SRGB_IDENTITY: (u32, u32, u32) = (1, 13, 0);

/// Holds what is needed of a sequence header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Whether every frame is a shown keyframe with hardly any header.
    pub(super) reduced_still_picture: bool,
    profile: u8,
    level_idx: u8,
    high_tier: bool,
    color: Color,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Sequence {
    /// Parses the payload of a sequence header OBU.
    ///
    /// # Errors
    /// [`Malformed`] when it breaks off or names a profile that does not exist.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let bits = &mut BitReader::new(payload);
        let profile = narrow(bits.bits(3)?);
        if profile > 2 {
            return Err(Malformed::Invalid("AV1 knows profiles 0 to 2"));
        }
        let _still_picture = bits.flag()?;
        let reduced_still_picture = bits.flag()?;
        let (level_idx, high_tier) =
            if reduced_still_picture { (narrow(bits.bits(5)?), false) } else { operating_points(bits)? };
        let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
        let (width, height) = (bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1);
        if !reduced_still_picture && bits.flag()? {
            bits.skip(7)?; // the lengths of frame ids
        }
        bits.skip(3)?; // superblocks of 128, filter intra, intra edge filter
        if !reduced_still_picture {
            skip_tools(bits)?;
        }
        bits.skip(3)?; // superres, cdef, restoration
        let color = Color::parse(bits, profile)?;
        Ok(Self { reduced_still_picture, profile, level_idx, high_tier, color, width, height })
    }

    /// Returns the configuration; `sequence_header` is the whole OBU with its size field.
    pub(super) const fn config(&self, sequence_header: Bytes) -> CodecConfig {
        CodecConfig::Av1 {
            profile: self.profile,
            level_idx: self.level_idx,
            high_tier: self.high_tier,
            bit_depth: self.color.bit_depth,
            monochrome: self.color.monochrome,
            subsampling_x: self.color.subsampling_x,
            subsampling_y: self.color.subsampling_y,
            sample_position: self.color.sample_position,
            sequence_header,
            width: self.width,
            height: self.height,
        }
    }

    /// Tells whether a frame header, alone or at the start of a frame OBU, is that of a shown keyframe (§5.9.2).
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when it is empty.
    pub(super) fn is_shown_keyframe(&self, frame_header: &[u8]) -> Result<bool, Malformed> {
        if self.reduced_still_picture {
            return Ok(true);
        }
        let bits = &mut BitReader::new(frame_header);
        let shows_existing = bits.flag()?;
        let key_frame = bits.bits(2)? == 0;
        let show_frame = bits.flag()?;
        Ok(!shows_existing && key_frame && show_frame)
    }
}

/// Reads timing and operating points and returns level and tier of the first, which is the whole stream.
fn operating_points(bits: &mut BitReader<'_>) -> Result<(u8, bool), Malformed> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?; // num_units_in_display_tick, time_scale
        if bits.flag()? {
            bits.ue()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            delay_bits = Some(bits.bits(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?; // num_units_in_decoding_tick and the lengths of two more fields
        }
    }
    let has_display_delay = bits.flag()?;
    let count = bits.bits(5)? + 1;
    let mut first = None;
    for _ in 0..count {
        bits.skip(12)?; // operating_point_idc
        let level_idx = narrow(bits.bits(5)?);
        let high_tier = level_idx > 7 && bits.flag()?;
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level_idx, high_tier));
    }
    first.ok_or(Malformed::Invalid("an AV1 sequence has no operating point"))
}

/// Passes over the coding tools of other than still pictures.
fn skip_tools(bits: &mut BitReader<'_>) -> Result<(), Malformed> {
    bits.skip(4)?; // interintra and masked compound, warped motion, dual filter
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?; // jnt_comp, ref_frame_mvs
    }
    let screen_content = if bits.flag()? { SELECT_SCREEN_CONTENT_TOOLS } else { bits.bits(1)? };
    let chooses_integer_mv = screen_content == 0 || bits.flag()?;
    if !chooses_integer_mv {
        bits.skip(1)?;
    }
    if order_hint {
        bits.skip(3)?;
    }
    Ok(())
}

/// `color_config` (§5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Color {
    bit_depth: u8,
    monochrome: bool,
    subsampling_x: bool,
    subsampling_y: bool,
    sample_position: u8,
}

impl Color {
    fn parse(bits: &mut BitReader<'_>, profile: u8) -> Result<Self, Malformed> {
        let high = bits.flag()?;
        let bit_depth = match (high, profile == 2 && high && bits.flag()?) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        let monochrome = profile != 1 && bits.flag()?;
        let described = if bits.flag()? { (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?) } else { (2, 2, 2) };
        let (subsampling_x, subsampling_y) = match profile {
            _ if monochrome => {
                bits.skip(1)?; // color_range
                return Ok(Self {
                    bit_depth,
                    monochrome,
                    subsampling_x: true,
                    subsampling_y: true,
                    sample_position: 0,
                });
            }
            _ if described == BT_709_SRGB_IDENTITY => (false, false),
            _ => {
                bits.skip(1)?; // color_range
                subsampling(bits, profile, bit_depth)?
            }
        };
        let sample_position = if subsampling_x && subsampling_y { narrow(bits.bits(2)?) } else { 0 };
        Ok(Self { bit_depth, monochrome, subsampling_x, subsampling_y, sample_position })
    }
}

fn subsampling(bits: &mut BitReader<'_>, profile: u8, bit_depth: u8) -> Result<(bool, bool), Malformed> {
    Ok(match (profile, bit_depth) {
        (0, _) => (true, true),
        (1, _) => (false, false),
        (_, 12) => {
            let across = bits.flag()?;
            (across, across && bits.flag()?)
        }
        _ => (true, false),
    })
}

/// Narrows a field of at most 8 bits.
fn narrow(field: u32) -> u8 {
    u8::try_from(field).expect("a field of at most 8 bits")
}

#[cfg(test)]
mod tests;
