//! The sequence parameter set (ITU-T H.264 §7.3.2.1.1) and its usability information (annex E).

use crate::bits::{BitReader, Malformed};
use crate::nal::{at_most, byte, small, unescape};

/// The profiles whose parameter sets tell of chroma format and bit depth (§7.3.2.1.1).
const PROFILES_WITH_CHROMA: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Sample entries hold 16 bits of width and of height (ISO/IEC 14496-12 §12.1.3).
const DIMENSION_MAX: u32 = 0xffff;

/// Holds what is needed of a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`, 0 to 31.
    pub id: u32,
    /// `profile_idc`, such as 66 for baseline, 77 for main and 100 for high.
    pub profile_idc: u8,
    /// The byte of the `constraint_set` flags, the flag of set 0 highest.
    pub constraints: u8,
    /// `level_idc`: the level times ten.
    pub level_idc: u8,
    /// `chroma_format_idc`: 0 = monochrome, 1 = 4:2:0, 2 = 4:2:2, 3 = 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits per luma sample, 8 to 14.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 14.
    pub bit_depth_chroma: u8,
    /// Displayed width in pixels, cropping applied.
    pub width: u32,
    /// Displayed height in pixels, cropping applied.
    pub height: u32,
    /// `max_num_reorder_frames`, when the stream says it: how many frames may be shown after one decoded later.
    pub max_num_reorder_frames: Option<u32>,
}

impl Sps {
    /// Parses a NAL unit, its header byte included.
    ///
    /// # Errors
    /// [`Malformed`] when it ends early or a field is out of the range of the standard. Usability information that
    /// cannot be read is as if absent.
    pub fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        let raw = unescape(nal.get(1..).ok_or(Malformed::Truncated)?);
        let bits = &mut BitReader::new(&raw);
        let [profile_idc, constraints, level_idc] = [byte(bits)?, byte(bits)?, byte(bits)?];
        let id = at_most(bits.ue()?, 31, "seq_parameter_set_id")?;
        let chroma = if PROFILES_WITH_CHROMA.contains(&profile_idc) { Chroma::parse(bits)? } else { Chroma::DEFAULT };
        let _log2_max_frame_num = bits.ue()?;
        skip_picture_order(bits)?;
        let _max_num_ref_frames = bits.ue()?;
        let _gaps_in_frame_num_allowed = bits.flag()?;
        let (width, height) = dimensions(bits, &chroma)?;
        let reorder = if bits.flag()? { reorder_frames(bits).unwrap_or(None) } else { None };
        Ok(Self {
            id,
            profile_idc,
            constraints,
            level_idc,
            chroma_format_idc: chroma.format_idc,
            bit_depth_luma: chroma.bit_depth_luma,
            bit_depth_chroma: chroma.bit_depth_chroma,
            width,
            height,
            max_num_reorder_frames: reorder,
        })
    }

    /// Returns how many frames may be shown after one decoded later, as far as the stream declares it.
    ///
    /// Baseline, and the profiles constrained to intra or progressive-predictive slices, know no B-frames.
    pub fn reorder_depth(&self) -> usize {
        const CONSTRAINT_SET_3: u8 = 0x10;
        const CONSTRAINT_SET_5: u8 = 0x04;
        let without_b_frames = match self.profile_idc {
            66 | 44 => true,
            77 | 100 | 118 | 128 => self.constraints & CONSTRAINT_SET_5 != 0,
            110 | 122 | 244 => self.constraints & CONSTRAINT_SET_3 != 0,
            _ => false,
        };
        if without_b_frames {
            return 0;
        }
        self.max_num_reorder_frames.map_or(0, |frames| usize::try_from(frames).unwrap_or(usize::MAX))
    }
}

/// How colour is sampled.
struct Chroma {
    format_idc: u8,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
    separate_planes: bool,
}

impl Chroma {
    /// What profiles imply that do not say it: 4:2:0 with 8 bits.
    const DEFAULT: Self = Self { format_idc: 1, bit_depth_luma: 8, bit_depth_chroma: 8, separate_planes: false };

    fn parse(bits: &mut BitReader<'_>) -> Result<Self, Malformed> {
        let format_idc = small(bits.ue()?, 3, "chroma_format_idc")?;
        let separate_planes = format_idc == 3 && bits.flag()?;
        let bit_depth_luma = 8 + small(bits.ue()?, 6, "bit_depth_luma_minus8")?;
        let bit_depth_chroma = 8 + small(bits.ue()?, 6, "bit_depth_chroma_minus8")?;
        let _lossless_bypass = bits.flag()?;
        if bits.flag()? {
            for list in 0..if format_idc == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(Self { format_idc, bit_depth_luma, bit_depth_chroma, separate_planes })
    }

    /// Luma samples for each unit of cropping, across and down, in frames (§7.4.2.1.1, `CropUnitX` and `CropUnitY`).
    const fn crop_unit(&self) -> (u32, u32) {
        match self.format_idc {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        }
    }
}

/// §7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Result<(), Malformed> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

fn skip_picture_order(bits: &mut BitReader<'_>) -> Result<(), Malformed> {
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.skip(1)?;
            bits.ue()?;
            bits.ue()?;
            let cycle = at_most(bits.ue()?, 255, "num_ref_frames_in_pic_order_cnt_cycle")?;
            for _ in 0..cycle {
                bits.ue()?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Reads width and height and applies the cropping.
fn dimensions(bits: &mut BitReader<'_>, chroma: &Chroma) -> Result<(u32, u32), Malformed> {
    let across = at_most(bits.ue()?, DIMENSION_MAX / 16, "pic_width_in_mbs_minus1")? + 1;
    let down = at_most(bits.ue()?, DIMENSION_MAX / 16, "pic_height_in_map_units_minus1")? + 1;
    let frames_only = bits.flag()?;
    if !frames_only {
        let _macroblock_adaptive = bits.flag()?;
    }
    let _direct_8x8_inference = bits.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    let mut cropped = [0_u32; 4];
    if bits.flag()? {
        for edge in &mut cropped {
            *edge = at_most(bits.ue()?, DIMENSION_MAX, "frame_crop_offset")?;
        }
    }
    let [left, right, top, bottom] = cropped;
    let (unit_across, unit_down) = if chroma.separate_planes { (1, 1) } else { chroma.crop_unit() };
    let width = (across * 16).checked_sub(unit_across * (left + right));
    let height = (down * 16 * fields).checked_sub(unit_down * fields * (top + bottom));
    match (width, height) {
        (Some(width @ 1..=DIMENSION_MAX), Some(height @ 1..=DIMENSION_MAX)) => Ok((width, height)),
        _ => Err(Malformed::Invalid("a sequence parameter set has no picture, or one larger than 65,535 pixels")),
    }
}

/// Reads the usability information up to `max_num_reorder_frames` (§E.1.1).
fn reorder_frames(bits: &mut BitReader<'_>) -> Result<Option<u32>, Malformed> {
    const EXTENDED_SAR: u8 = 255;
    if bits.flag()? && byte(bits)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma sample location, top and bottom field
        bits.ue()?;
    }
    if bits.flag()? {
        bits.skip(65)?; // num_units_in_tick, time_scale, fixed_frame_rate_flag
    }
    let mut buffering = false;
    for _nal_or_vcl in 0..2 {
        if bits.flag()? {
            skip_hrd(bits)?;
            buffering = true;
        }
    }
    // low_delay_hrd_flag, pic_struct_present_flag
    bits.skip(if buffering { 2 } else { 1 })?;
    if !bits.flag()? {
        return Ok(None);
    }
    bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
    for _limit in 0..4 {
        bits.ue()?; // bytes per picture, bits per macroblock, motion vector length across and down
    }
    bits.ue().map(Some)
}

/// §E.1.2.
fn skip_hrd(bits: &mut BitReader<'_>) -> Result<(), Malformed> {
    let count = at_most(bits.ue()?, 31, "cpb_cnt_minus1")? + 1;
    bits.skip(8)?;
    for _ in 0..count {
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    bits.skip(20)
}

#[cfg(test)]
mod tests;
