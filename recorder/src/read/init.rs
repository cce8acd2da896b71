//! The CMAF header read back, see [`crate::boxes::init_segment`].

use bytes::Bytes;
use mp4_atom::{Av1c, Avcc, Dops, HvcCArray, Hvcc, Mdhd, VpcC};
use onair_media::CodecConfig;

use super::ReadError;
use super::tree::{RawBox, descend, leaf, next_box};
use crate::boxes::sample_entry;

/// The fields of a visual sample entry before its boxes (ISO/IEC 14496-12 §12.1.3).
const VISUAL_BYTES: usize = 78;

/// The fields of an audio sample entry before its boxes (ISO/IEC 14496-12 §12.2.3).
const AUDIO_BYTES: usize = 28;

/// Reads the configuration out of an initialisation segment: it equals the one that the segment was made of.
///
/// # Errors
/// [`ReadError`] when the bytes are none that [`crate::boxes::init_segment`] writes.
pub fn read_init(bytes: &[u8]) -> Result<CodecConfig, ReadError> {
    let media = descend(bytes, &[b"moov", b"trak", b"mdia"])?;
    // Version, flags and the number of entries stand before the first entry (ISO/IEC 14496-12 §8.5.2).
    let descriptions = descend(media, &[b"minf", b"stbl", b"stsd"])?.get(8..);
    let mut descriptions = descriptions.ok_or(ReadError::Unexpected("a sample description box without entries"))?;
    let entry = next_box(&mut descriptions)?.ok_or(ReadError::Unexpected("no sample description"))?;
    let config = read_entry(&entry)?;
    if leaf::<Mdhd>(media)?.timescale != config.codec().clock_rate_hz() {
        return Err(ReadError::Unexpected("a timescale that is not the clock rate of the codec"));
    }
    // What follows relies on it: another file with the same description can be written.
    sample_entry(&config).map_err(|_| ReadError::Unexpected("a configuration that is never written"))?;
    Ok(config)
}

fn read_entry(entry: &RawBox<'_>) -> Result<CodecConfig, ReadError> {
    match entry.kind.as_ref() {
        b"avc1" => read_h264(entry.body),
        b"hvc1" => read_h265(entry.body),
        b"vp09" => read_vp9(entry.body),
        b"av01" => read_av1(entry.body),
        b"Opus" => read_opus(entry.body),
        _ => Err(ReadError::Unexpected("a sample entry of a codec that is not recorded")),
    }
}

/// Splits a visual sample entry into width, height and boxes.
fn visual(body: &[u8]) -> Result<(u32, u32, &[u8]), ReadError> {
    let (fields, boxes) = body.split_at_checked(VISUAL_BYTES).ok_or(ReadError::Unexpected("a short sample entry"))?;
    let number = |at: usize| u32::from(u16::from_be_bytes([fields[at], fields[at + 1]]));
    Ok((number(24), number(26), boxes))
}

fn read_h264(body: &[u8]) -> Result<CodecConfig, ReadError> {
    let (width, height, boxes) = visual(body)?;
    let avcc: Avcc = leaf(boxes)?;
    let ([sps], [pps], 4) = (&avcc.sequence_parameter_sets[..], &avcc.picture_parameter_sets[..], avcc.length_size)
    else {
        return Err(ReadError::Unexpected("not one parameter set of each kind and lengths of four bytes"));
    };
    Ok(CodecConfig::H264 { sps: Bytes::copy_from_slice(sps), pps: Bytes::copy_from_slice(pps), width, height })
}

fn read_h265(body: &[u8]) -> Result<CodecConfig, ReadError> {
    let (width, height, boxes) = visual(body)?;
    let hvcc: Hvcc = leaf(boxes)?;
    let only = |array: &HvcCArray| match &array.nalus[..] {
        [nal] => Some(Bytes::copy_from_slice(nal)),
        _ => None,
    };
    let sets: Option<Vec<_>> = hvcc.arrays.iter().map(only).collect();
    match (sets.as_deref(), hvcc.length_size_minus_one) {
        (Some([vps, sps, pps]), 3) => {
            Ok(CodecConfig::H265 { vps: vps.clone(), sps: sps.clone(), pps: pps.clone(), width, height })
        }
        _ => Err(ReadError::Unexpected("not one parameter set of each kind and lengths of four bytes")),
    }
}

fn read_vp9(body: &[u8]) -> Result<CodecConfig, ReadError> {
    let (width, height, boxes) = visual(body)?;
    let VpcC { profile, level, bit_depth, chroma_subsampling, video_full_range_flag: full_range, .. } = leaf(boxes)?;
    Ok(CodecConfig::Vp9 { profile, level, bit_depth, chroma_subsampling, full_range, width, height })
}

fn read_av1(body: &[u8]) -> Result<CodecConfig, ReadError> {
    let (width, height, boxes) = visual(body)?;
    let av1c: Av1c = leaf(boxes)?;
    Ok(CodecConfig::Av1 {
        profile: av1c.seq_profile,
        level_idx: av1c.seq_level_idx_0,
        high_tier: av1c.seq_tier_0,
        bit_depth: match (av1c.high_bitdepth, av1c.twelve_bit) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        },
        monochrome: av1c.monochrome,
        subsampling_x: av1c.chroma_subsampling_x,
        subsampling_y: av1c.chroma_subsampling_y,
        sample_position: av1c.chroma_sample_position,
        sequence_header: av1c.config_obus.into(),
        width,
        height,
    })
}

fn read_opus(body: &[u8]) -> Result<CodecConfig, ReadError> {
    let boxes = body.get(AUDIO_BYTES..).ok_or(ReadError::Unexpected("a short sample entry"))?;
    let dops: Dops = leaf(boxes)?;
    Ok(CodecConfig::Opus { channels: dops.output_channel_count, pre_skip: dops.pre_skip })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::init_segment;
    use crate::testing::{h264, opus};

    #[test]
    fn a_missing_box_is_named() {
        let error = |bytes: &[u8]| read_init(bytes).unwrap_err().to_string();
        assert_eq!(error(b""), "no moov box");
        assert_eq!(error(b"\0\0\0\x08moov"), "no trak box");
        assert_eq!(error(b"\0\0\0\x09moov"), "a box of 9 bytes where 8 are left");
        assert_eq!(error(b"\0\0\0\x07moov"), "a box of 7 bytes where 8 are left");
    }

    #[test]
    fn a_timescale_or_codec_that_is_not_ours_is_refused() {
        let init = init_segment(&opus()).unwrap();
        let find = |wanted: &[u8]| init.windows(4).position(|window| window == wanted).unwrap();
        let mut other_codec = init.to_vec();
        other_codec[find(b"Opus")..][..4].copy_from_slice(b"mp4a");
        assert!(matches!(read_init(&other_codec), Err(ReadError::Unexpected(_))));
        let mut other_clock = init_segment(&h264()).unwrap().to_vec();
        let at = other_clock.windows(4).rposition(|window| window == 90_000_u32.to_be_bytes()).unwrap();
        other_clock[at + 3] ^= 1;
        assert!(matches!(read_init(&other_clock), Err(ReadError::Unexpected(_))));
    }
}
