//! The CMAF header: what a decoder must know before the first chunk.

use bytes::{Bytes, BytesMut};
use mp4_atom::{
    Audio, Av01, Av1c, Avc1, Avcc, AvccExt, Codec as SampleEntry, Dinf, Dops, Dref, Encode, FixedPoint, FourCC, Ftyp,
    Hdlr, Hvc1, HvcCArray, Hvcc, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex,
    Url, Visual, Vmhd, Vp09, VpcC,
};
use onair_media::{Codec, CodecConfig, MediaKind};
use onair_media::{h264, h265};

use super::{BoxError, NON_SYNC_FLAGS, SYNC_FLAGS, track_id};

/// The shortest H.264 sequence parameter set: NAL header, profile, constraints, level (ITU-T H.264 §7.3.2.1.1).
const SPS_MIN_BYTES: usize = 4;

/// The profiles whose `avcC` tells of chroma format and bit depth (ISO/IEC 14496-15 §5.3.3.1.2).
const HIGH_PROFILES: [u8; 4] = [100, 110, 122, 144];

/// The types of the H.265 parameter sets (ITU-T H.265 table 7-1).
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;

/// Builds the initialisation segment of one rendition: `ftyp` and a `moov` without samples.
///
/// The track id is 1 for video and 2 for audio, the timescale is the codec's clock rate
/// (ISO/IEC 23000-19 §7.3.1, ISO/IEC 14496-12 §4.3, §8.2.1, §8.8.1).
///
/// # Errors
/// [`BoxError`] when a field of the configuration does not fit its box.
pub fn init_segment(config: &CodecConfig) -> Result<Bytes, BoxError> {
    header(&[config])
}

/// Builds the header of a file whose chunks are those of several renditions, one track each.
///
/// # Errors
/// [`BoxError`] when a field of a configuration does not fit its box.
pub fn header(configs: &[&CodecConfig]) -> Result<Bytes, BoxError> {
    let brands = brands(configs);
    let ftyp = Ftyp { major_brand: FourCC::new(b"iso6"), minor_version: 0, compatible_brands: brands };
    let moov = Moov {
        mvhd: movie_header(configs.first().map_or(1000, |config| config.codec().clock_rate_hz()), 0),
        trak: configs.iter().map(|config| fragmented_track(config)).collect::<Result<_, _>>()?,
        mvex: Some(Mvex { mehd: None, trex: configs.iter().map(|config| defaults(config)).collect() }),
        ..Moov::default()
    };
    let mut bytes = BytesMut::with_capacity(1024);
    ftyp.encode(&mut bytes)?;
    moov.encode(&mut bytes)?;
    Ok(bytes.freeze())
}

/// Builds `trex`: what holds for the samples of a track unless their chunk says otherwise (ISO/IEC 14496-12 §8.8.3).
fn defaults(config: &CodecConfig) -> Trex {
    let kind = config.codec().kind();
    Trex {
        track_id: track_id(kind),
        default_sample_description_index: 1,
        default_sample_flags: if kind == MediaKind::Video { NON_SYNC_FLAGS } else { SYNC_FLAGS },
        ..Trex::default()
    }
}

/// Lists the brands a CMAF header claims (ISO/IEC 23000-19 §7.2); AV1 asks for its own ("AV1 Codec ISO Media File
/// Format Binding" §2.1).
fn brands(configs: &[&CodecConfig]) -> Vec<FourCC> {
    let mut brands: Vec<FourCC> = [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).into();
    if configs.iter().any(|config| config.codec() == Codec::Av1) {
        brands.push(FourCC::new(b"av01"));
    }
    brands
}

/// Builds `mvhd` with unity rate and matrix (ISO/IEC 14496-12 §8.2.2).
pub(crate) fn movie_header(timescale: u32, duration: u64) -> Mvhd {
    Mvhd {
        timescale,
        duration,
        rate: FixedPoint::from(1),
        volume: FixedPoint::from(1),
        next_track_id: track_id(MediaKind::Audio) + 1,
        ..Mvhd::default()
    }
}

/// Builds `tkhd` of an enabled track; width and height are zero for audio (ISO/IEC 14496-12 §8.3.2).
pub(crate) fn track_header(config: &CodecConfig, duration: u64) -> Tkhd {
    let kind = config.codec().kind();
    let (width, height) = config.dimensions().unwrap_or_default();
    let pixels = |size: u32| FixedPoint::from(u16::try_from(size).unwrap_or(u16::MAX));
    Tkhd {
        track_id: track_id(kind),
        duration,
        alternate_group: 0,
        enabled: true,
        in_movie: true,
        volume: FixedPoint::from(u8::from(kind == MediaKind::Audio)),
        width: pixels(width),
        height: pixels(height),
        ..Tkhd::default()
    }
}

/// Builds `mdhd` without a language (ISO/IEC 14496-12 §8.4.2).
pub(crate) fn media_header(config: &CodecConfig, duration: u64) -> Mdhd {
    Mdhd { timescale: config.codec().clock_rate_hz(), duration, language: "und".into(), ..Mdhd::default() }
}

/// Builds `hdlr` (ISO/IEC 14496-12 §8.4.3).
pub(crate) fn handler(kind: MediaKind) -> Hdlr {
    let handler = match kind {
        MediaKind::Video => FourCC::new(b"vide"),
        MediaKind::Audio => FourCC::new(b"soun"),
    };
    Hdlr { handler, name: kind.as_str().into() }
}

/// Builds `dinf` that says "in this file" (ISO/IEC 14496-12 §8.7.1).
pub(crate) fn data_information() -> Dinf {
    Dinf { dref: Dref { entries: vec![Url::default().into()] } }
}

/// Builds `minf` around sample tables (ISO/IEC 14496-12 §8.4.4).
fn media_information(kind: MediaKind, stbl: Stbl) -> Minf {
    let video = kind == MediaKind::Video;
    Minf {
        vmhd: video.then(Vmhd::default),
        smhd: (!video).then(Smhd::default),
        dinf: data_information(),
        stbl,
        ..Minf::default()
    }
}

/// Builds `trak` whose sample tables are empty, because the samples are in chunks (ISO/IEC 14496-12 §8.8.1).
fn fragmented_track(config: &CodecConfig) -> Result<Trak, BoxError> {
    let kind = config.codec().kind();
    let stbl =
        Stbl { stsd: Stsd { codecs: vec![sample_entry(config)?] }, stco: Some(Stco::default()), ..Stbl::default() };
    Ok(Trak {
        tkhd: track_header(config, 0),
        mdia: Mdia { mdhd: media_header(config, 0), hdlr: handler(kind), minf: media_information(kind, stbl) },
        ..Trak::default()
    })
}

/// Builds the sample entry with its decoder configuration (ISO/IEC 14496-12 §8.5.2).
///
/// # Errors
/// [`BoxError`] when a field of the configuration does not fit.
pub(crate) fn sample_entry(config: &CodecConfig) -> Result<SampleEntry, BoxError> {
    Ok(match config {
        CodecConfig::H264 { sps, pps, width, height } => {
            Avc1 { visual: visual(*width, *height)?, avcc: avcc(sps, pps)?, ..Avc1::default() }.into()
        }
        CodecConfig::H265 { vps, sps, pps, width, height } => {
            Hvc1 { visual: visual(*width, *height)?, hvcc: hvcc(vps, sps, pps)?, ..Hvc1::default() }.into()
        }
        CodecConfig::Vp9 { width, height, .. } => {
            Vp09 { visual: visual(*width, *height)?, vpcc: vpcc(config)?, ..Vp09::default() }.into()
        }
        CodecConfig::Av1 { width, height, .. } => {
            Av01 { visual: visual(*width, *height)?, av1c: av1c(config)?, ..Av01::default() }.into()
        }
        CodecConfig::Opus { channels, pre_skip } => opus(*channels, *pre_skip)?.into(),
    })
}

fn visual(width: u32, height: u32) -> Result<Visual, BoxError> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(w @ 1..), Ok(h @ 1..)) => Ok(Visual { data_reference_index: 1, width: w, height: h, ..Visual::default() }),
        _ => Err(BoxError::Dimensions { width, height }),
    }
}

/// Builds `avcC` with one SPS, one PPS and 4-byte NAL lengths (ISO/IEC 14496-15 §5.3.3.1).
///
/// The High profiles repeat chroma format and bit depths of the SPS there; of one that cannot be read they are left out.
fn avcc(sps: &[u8], pps: &[u8]) -> Result<Avcc, BoxError> {
    parameter_set("sps", sps, SPS_MIN_BYTES)?;
    parameter_set("pps", pps, 1)?;
    Ok(Avcc { ext: high_profile(sps), ..Avcc::new(sps, pps)? })
}

/// Checks that the configuration box can hold a parameter set, whose length it stores in 16 bits.
fn parameter_set(name: &'static str, nal: &[u8], min_bytes: usize) -> Result<(), BoxError> {
    let fits = (min_bytes..=usize::from(u16::MAX)).contains(&nal.len());
    if fits { Ok(()) } else { Err(BoxError::ParameterSet { name, bytes: nal.len() }) }
}

fn high_profile(sps: &[u8]) -> Option<AvccExt> {
    let sps = h264::Sps::parse(sps).ok().filter(|sps| HIGH_PROFILES.contains(&sps.profile_idc))?;
    Some(AvccExt {
        chroma_format: sps.chroma_format_idc,
        bit_depth_luma: sps.bit_depth_luma,
        bit_depth_chroma: sps.bit_depth_chroma,
        sequence_parameter_sets_ext: Vec::new(),
    })
}

/// Builds `hvcC` with one parameter set of each kind and 4-byte NAL lengths (ISO/IEC 14496-15 §8.3.3.1). What only the
/// encoder knows is left unspecified: frame rate, slices and tiles for decoding in parallel.
fn hvcc(vps: &[u8], sps: &[u8], pps: &[u8]) -> Result<Hvcc, BoxError> {
    let sets = [("vps", VPS, vps), ("sps", SPS, sps), ("pps", PPS, pps)];
    for (name, _, nal) in sets {
        parameter_set(name, nal, 1)?;
    }
    let told = h265::Sps::parse(sps).map_err(|_| BoxError::ParameterSet { name: "sps", bytes: sps.len() })?;
    // `hvc1` says that no parameter set is in the samples.
    let array = |(_, nal_unit_type, nal): (_, u8, &[u8])| HvcCArray {
        completeness: true,
        nal_unit_type,
        nalus: vec![nal.to_vec()],
    };
    Ok(Hvcc {
        general_profile_space: told.profile.profile_space,
        general_tier_flag: told.profile.high_tier,
        general_profile_idc: told.profile.profile_idc,
        general_profile_compatibility_flags: told.profile.compatibility,
        general_constraint_indicator_flags: told.profile.constraints,
        general_level_idc: told.profile.level_idc,
        chroma_format_idc: told.chroma_format_idc,
        bit_depth_luma_minus8: told.bit_depth_luma - 8,
        bit_depth_chroma_minus8: told.bit_depth_chroma - 8,
        num_temporal_layers: told.temporal_layers,
        temporal_id_nested: told.temporal_id_nested,
        length_size_minus_one: 3,
        arrays: sets.map(array).into(),
        ..Hvcc::new()
    })
}

/// Builds `vpcC`; the colour description is left unspecified ("VP Codec ISO Media File Format Binding" §2.2).
fn vpcc(config: &CodecConfig) -> Result<VpcC, BoxError> {
    /// ISO/IEC 23091-2: 2 means "unspecified" for primaries, transfer and matrix alike.
    const UNSPECIFIED: u8 = 2;
    let CodecConfig::Vp9 { profile, level, bit_depth, chroma_subsampling, full_range, .. } = *config else {
        unreachable!("called for VP9 only")
    };
    within("bit_depth", bit_depth, 15)?;
    within("chroma_subsampling", chroma_subsampling, 3)?;
    Ok(VpcC {
        profile,
        level,
        bit_depth,
        chroma_subsampling,
        video_full_range_flag: full_range,
        color_primaries: UNSPECIFIED,
        transfer_characteristics: UNSPECIFIED,
        matrix_coefficients: UNSPECIFIED,
        codec_initialization_data: Vec::new(),
    })
}

/// Builds `av1C` with the sequence header as its only OBU ("AV1 Codec ISO Media File Format Binding" §2.3).
fn av1c(config: &CodecConfig) -> Result<Av1c, BoxError> {
    let CodecConfig::Av1 {
        profile,
        level_idx,
        high_tier,
        bit_depth,
        monochrome,
        subsampling_x,
        subsampling_y,
        sample_position,
        ref sequence_header,
        ..
    } = *config
    else {
        unreachable!("called for AV1 only")
    };
    within("profile", profile, 7)?;
    within("level_idx", level_idx, 31)?;
    within("sample_position", sample_position, 3)?;
    Ok(Av1c {
        seq_profile: profile,
        seq_level_idx_0: level_idx,
        seq_tier_0: high_tier,
        high_bitdepth: bit_depth > 8,
        twelve_bit: bit_depth == 12,
        monochrome,
        chroma_subsampling_x: subsampling_x,
        chroma_subsampling_y: subsampling_y,
        chroma_sample_position: sample_position,
        initial_presentation_delay: None,
        config_obus: sequence_header.to_vec(),
    })
}

/// Builds `Opus` and `dOps` at 48 kHz ("Encapsulation of Opus in ISO Base Media File Format" §4.3).
fn opus(channels: u8, pre_skip: u16) -> Result<Opus, BoxError> {
    // Mapping family 0 knows mono and stereo only (RFC 7845 §5.1.1.1).
    if !(1..=2).contains(&channels) {
        return Err(BoxError::Field { field: "channels", value: channels.into() });
    }
    Ok(Opus {
        audio: Audio {
            data_reference_index: 1,
            channel_count: channels.into(),
            sample_size: 16,
            sample_rate: FixedPoint::from(48_000),
        },
        dops: Dops {
            output_channel_count: channels,
            pre_skip,
            input_sample_rate: 48_000,
            output_gain: 0,
            channel_mapping: None,
        },
        btrt: None,
    })
}

fn within(field: &'static str, value: u8, max: u8) -> Result<(), BoxError> {
    if value > max { Err(BoxError::Field { field, value: value.into() }) } else { Ok(()) }
}
