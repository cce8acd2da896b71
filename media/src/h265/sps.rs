//! The sequence parameter set (ITU-T H.265 §7.3.2.2.1), as far as the depth of reordering.

use super::HEADER_BYTES;
use crate::bits::{BitReader, Malformed};
use crate::nal::{at_most, byte, small, unescape};

/// Sample entries hold 16 bits of width and of height (ISO/IEC 14496-12 §12.1.3).
const DIMENSION_MAX: u32 = 0xffff;

/// The decoded picture buffer holds 16 pictures (ITU-T H.265 §A.4.2), the one that is decoded among them.
const REORDER_MAX: u32 = 15;

/// Holds what is needed of a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`, 0 to 15.
    pub id: u32,
    /// `sps_video_parameter_set_id`, 0 to 15.
    pub vps_id: u8,
    /// The number of temporal sub-layers, 1 to 7.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nested: bool,
    /// What a decoder must be able to do.
    pub profile: ProfileTierLevel,
    /// `chroma_format_idc`: 0 = monochrome, 1 = 4:2:0, 2 = 4:2:2, 3 = 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits per luma sample, 8 to 15.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 15.
    pub bit_depth_chroma: u8,
    /// Displayed width in pixels, the conformance window applied.
    pub width: u32,
    /// Displayed height in pixels, the conformance window applied.
    pub height: u32,
    /// `sps_max_num_reorder_pics` of the highest sub-layer: how many frames may be shown after one decoded later.
    pub reorder_depth: usize,
}

/// Holds the general fields of `profile_tier_level` (ITU-T H.265 §7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: false is Main, true is High.
    pub high_tier: bool,
    /// `general_profile_idc`, such as 1 for Main and 2 for Main 10.
    pub profile_idc: u8,
    /// `general_profile_compatibility_flag`, that of profile 0 in the highest bit.
    pub compatibility: [u8; 4],
    /// The 48 bits of constraints, from `general_progressive_source_flag` on.
    pub constraints: [u8; 6],
    /// `general_level_idc`: the level times 30.
    pub level_idc: u8,
}

impl Sps {
    /// Parses a NAL unit, its header included.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early or a field is out of the range of the standard, or when samples have 16 bits, which
    /// `hvcC` has no room for.
    pub fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        let raw = unescape(nal.get(HEADER_BYTES..).ok_or(Malformed::Truncated)?);
        let bits = &mut BitReader::new(&raw);
        let vps_id = small(bits.bits(4)?, 15, "sps_video_parameter_set_id")?;
        let sub_layers_below = small(bits.bits(3)?, 6, "sps_max_sub_layers_minus1")?;
        let temporal_id_nested = bits.flag()?;
        let profile = ProfileTierLevel::parse(bits)?;
        skip_sub_layers(bits, sub_layers_below.into())?;
        let id = at_most(bits.ue()?, 15, "sps_seq_parameter_set_id")?;
        let chroma_format_idc = small(bits.ue()?, 3, "chroma_format_idc")?;
        if chroma_format_idc == 3 {
            let _separate_colour_planes = bits.flag()?;
        }
        let (width, height) = dimensions(bits, chroma_format_idc)?;
        let bit_depth_luma = 8 + small(bits.ue()?, 7, "bit_depth_luma_minus8")?;
        let bit_depth_chroma = 8 + small(bits.ue()?, 7, "bit_depth_chroma_minus8")?;
        let _log2_max_picture_order_count = at_most(bits.ue()?, 12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let reorder_depth = reorder_depth(bits, sub_layers_below)?;
        Ok(Self {
            id,
            vps_id,
            temporal_layers: sub_layers_below + 1,
            temporal_id_nested,
            profile,
            chroma_format_idc,
            bit_depth_luma,
            bit_depth_chroma,
            width,
            height,
            reorder_depth,
        })
    }
}

impl ProfileTierLevel {
    fn parse(bits: &mut BitReader<'_>) -> Result<Self, Malformed> {
        let first = byte(bits)?;
        let mut profile = Self {
            profile_space: first >> 6,
            high_tier: first & 0x20 != 0,
            profile_idc: first & 0x1f,
            compatibility: [0; 4],
            constraints: [0; 6],
            level_idc: 0,
        };
        for flags in profile.compatibility.iter_mut().chain(&mut profile.constraints) {
            *flags = byte(bits)?;
        }
        profile.level_idc = byte(bits)?;
        Ok(profile)
    }

    /// Renders what follows `hvc1.` in `CODECS`, such as `1.6.L93.B0` (ISO/IEC 14496-15 §E.3).
    pub fn rfc6381(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        // In reverse, so that the flags of the lowest profiles make the smallest numbers.
        let compatibility = u32::from_be_bytes(self.compatibility).reverse_bits();
        let tier = if self.high_tier { 'H' } else { 'L' };
        let mut rendered = format!("{space}{}.{compatibility:X}.{tier}{}", self.profile_idc, self.level_idc);
        let told = self.constraints.iter().rposition(|&flags| flags != 0).map_or(0, |last| last + 1);
        for flags in &self.constraints[..told] {
            rendered.push_str(&format!(".{flags:X}"));
        }
        rendered
    }
}

/// Passes over what `profile_tier_level` says of the sub-layers below the highest (§7.3.3).
fn skip_sub_layers(bits: &mut BitReader<'_>, count: usize) -> Result<(), Malformed> {
    const PROFILE_BITS: usize = 88;
    const LEVEL_BITS: usize = 8;
    if count == 0 {
        return Ok(());
    }
    let mut told = 0;
    for _ in 0..count {
        told += if bits.flag()? { PROFILE_BITS } else { 0 };
        told += if bits.flag()? { LEVEL_BITS } else { 0 };
    }
    // Two bits each up to eight sub-layers are reserved.
    bits.skip(2 * (8 - count))?;
    bits.skip(told)
}

/// Reads width and height and applies the conformance window.
fn dimensions(bits: &mut BitReader<'_>, chroma_format_idc: u8) -> Result<(u32, u32), Malformed> {
    let across = at_most(bits.ue()?, DIMENSION_MAX, "pic_width_in_luma_samples")?;
    let down = at_most(bits.ue()?, DIMENSION_MAX, "pic_height_in_luma_samples")?;
    let mut cropped = [0_u32; 4];
    if bits.flag()? {
        for edge in &mut cropped {
            *edge = at_most(bits.ue()?, DIMENSION_MAX, "conf_win_offset")?;
        }
    }
    let [left, right, top, bottom] = cropped;
    // `SubWidthC` and `SubHeightC` (table 6-1).
    let (unit_across, unit_down) = match chroma_format_idc {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let width = across.checked_sub(unit_across * (left + right));
    let height = down.checked_sub(unit_down * (top + bottom));
    match (width, height) {
        (Some(width @ 1..), Some(height @ 1..)) => Ok((width, height)),
        _ => Err(Malformed::Invalid("a sequence parameter set has no picture")),
    }
}

/// Reads the ordering information of the sub-layers, of which the highest comes last.
fn reorder_depth(bits: &mut BitReader<'_>, sub_layers_below: u8) -> Result<usize, Malformed> {
    let each_sub_layer = bits.flag()?;
    let mut depth = 0;
    for _ in 0..=if each_sub_layer { sub_layers_below } else { 0 } {
        let _buffered_pictures = bits.ue()?;
        depth = at_most(bits.ue()?, REORDER_MAX, "sps_max_num_reorder_pics")?;
        let _latency_increase = bits.ue()?;
    }
    Ok(usize::try_from(depth).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
