//! Golden bytes: what stands in storage must not change by accident.
//!
//! A change to these bytes is a change of [`FORMAT_VERSION`].

use bytes::Bytes;
use mp4_atom::{Codec, Decode, DecodeMaybe, Encode, Ftyp, Moof, Moov};
use onair_media::{CodecConfig, MediaKind};
use sha2::{Digest, Sha256};

use super::{FORMAT_VERSION, SegmentHead, chunk, init_segment};
use crate::cut::Sample;
use crate::testing::{h264, h265, opus};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn vp9() -> CodecConfig {
    CodecConfig::Vp9 {
        profile: 0,
        level: 31,
        bit_depth: 8,
        chroma_subsampling: 1,
        full_range: false,
        width: 1280,
        height: 720,
    }
}

fn av1() -> CodecConfig {
    CodecConfig::Av1 {
        profile: 0,
        level_idx: 5,
        high_tier: false,
        bit_depth: 8,
        monochrome: false,
        subsampling_x: true,
        subsampling_y: true,
        sample_position: 0,
        sequence_header: Bytes::from_static(&[0x0a, 0x0b, 0, 0, 0, 0x2d, 0x4c, 0xff, 0xb3, 0xc0, 0x21, 0x95, 0xa4]),
        width: 1280,
        height: 720,
    }
}

fn parse(bytes: &Bytes) -> (Ftyp, Moov) {
    let mut rest = bytes.as_ref();
    let parsed = (Ftyp::decode(&mut rest).unwrap(), Moov::decode(&mut rest).unwrap());
    assert!(rest.is_empty());
    parsed
}

#[test]
fn init_segments_keep_their_bytes() {
    assert_eq!(FORMAT_VERSION, 2);
    let digests: Vec<_> = [h264().as_ref(), &vp9(), &av1(), opus().as_ref(), &h265()]
        .map(|config| digest(&init_segment(config).unwrap()))
        .into();
    assert_eq!(digests, INIT_DIGESTS);
}

#[test]
fn chunks_keep_their_bytes() {
    let sample = |size, sync| Sample { size, duration_ticks: 3000, composition_offset_ticks: 0, sync };
    let samples = [sample(3, true), sample(2, false)];
    let chunk = chunk(MediaKind::Video, 7, 1 << 33, None, &samples, &[Bytes::from("abc"), Bytes::from("de")]);
    #[rustfmt::skip]
    let golden: &[u8] = &[
        0, 0, 0, 112, b'm', b'o', b'o', b'f',
        0, 0, 0, 16, b'm', b'f', b'h', b'd', 0, 0, 0, 0, 0, 0, 0, 7,
        0, 0, 0, 88, b't', b'r', b'a', b'f',
        // Default base is moof; track 1.
        0, 0, 0, 16, b't', b'f', b'h', b'd', 0, 0x02, 0, 0, 0, 0, 0, 1,
        0, 0, 0, 20, b't', b'f', b'd', b't', 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0,
        // Data offset, durations, sizes, flags.
        0, 0, 0, 44, b't', b'r', b'u', b'n', 1, 0, 0x07, 0x01, 0, 0, 0, 2, 0, 0, 0, 120,
        0, 0, 0x0b, 0xb8, 0, 0, 0, 3, 0x02, 0, 0, 0,
        0, 0, 0x0b, 0xb8, 0, 0, 0, 2, 0x01, 0x01, 0, 0,
        0, 0, 0, 13, b'm', b'd', b'a', b't', b'a', b'b', b'c', b'd', b'e',
    ];
    assert_eq!(chunk.bytes, golden);
    assert_eq!(chunk.payload_offset, 120);
}

#[test]
fn a_head_moves_the_chunk_and_nothing_within_it() {
    let samples = [Sample { size: 1, duration_ticks: 960, composition_offset_ticks: 0, sync: true }];
    let build = |head| chunk(MediaKind::Audio, 1, 0, head, &samples, &[Bytes::from("a")]);
    let head = SegmentHead { init: 2, discontinuity: true };
    let (plain, headed) = (build(None), build(Some(head)));
    assert_eq!(headed.bytes[..SegmentHead::BYTES], head.to_bytes());
    assert_eq!(headed.bytes[SegmentHead::BYTES..], plain.bytes);
    assert_eq!(headed.payload_offset, plain.payload_offset + SegmentHead::BYTES);
}

#[test]
fn reordered_pictures_carry_signed_offsets() {
    let sample =
        |composition_offset_ticks| Sample { size: 1, duration_ticks: 3000, composition_offset_ticks, sync: true };
    let payloads = [Bytes::from("a"), Bytes::from("b")];
    let chunk = chunk(MediaKind::Video, 1, 0, None, &[sample(3000), sample(-3000)], &payloads);
    let moof = Moof::decode_maybe(&mut chunk.bytes.as_ref()).unwrap().unwrap();
    let offsets: Vec<_> = moof.traf[0].trun[0].samples.iter().map(|entry| entry.cts).collect();
    assert_eq!(offsets, [Some(3000), Some(-3000)]);
}

#[test]
fn tracks_say_who_they_are() {
    let (ftyp, video) = parse(&init_segment(&h264()).unwrap());
    assert_eq!(ftyp.major_brand, (*b"iso6").into());
    let track = &video.trak[0];
    assert_eq!((track.tkhd.track_id, track.mdia.mdhd.timescale), (1, 90_000));
    assert_eq!((track.tkhd.width.integer(), track.tkhd.height.integer()), (1280, 720));
    let (_, audio) = parse(&init_segment(&opus()).unwrap());
    assert_eq!((audio.trak[0].tkhd.track_id, audio.trak[0].mdia.mdhd.timescale), (2, 48_000));
    let Codec::Opus(entry) = &audio.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("{audio:?}") };
    assert_eq!((entry.dops.input_sample_rate, entry.dops.output_channel_count), (48_000, 2));
}

#[test]
fn high_profiles_tell_chroma_and_bit_depth() {
    let extension = |sps: &'static [u8]| {
        let CodecConfig::H264 { pps, width, height, .. } = h264().as_ref().clone() else { unreachable!() };
        let config = CodecConfig::H264 { sps: Bytes::from_static(sps), pps, width, height };
        let (_, moov) = parse(&init_segment(&config).unwrap());
        let Codec::Avc1(entry) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("{moov:?}") };
        entry.avcc.ext.as_ref().map(|ext| (ext.chroma_format, ext.bit_depth_luma, ext.bit_depth_chroma))
    };
    // High 10: 4:2:0 with 10 bits; the same, cut off behind its level; and a baseline one.
    const HIGH: &[u8] = &[0x67, 0x6e, 0x00, 0x1f, 0xa6, 0xcb, 0x40, 0x28, 0x02, 0xdc, 0x80];
    assert_eq!(extension(HIGH), Some((1, 10, 10)));
    assert_eq!(extension(&HIGH[..4]), None);
    assert_eq!(extension(&[0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8]), None);
}

#[test]
fn the_hvcc_is_what_ffmpeg_writes() {
    let (_, moov) = parse(&init_segment(&h265()).unwrap());
    let Codec::Hvc1(entry) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!("{moov:?}") };
    let mut bytes = Vec::new();
    entry.hvcc.encode(&mut bytes).unwrap();
    let CodecConfig::H265 { vps, sps, pps, .. } = h265() else { unreachable!() };
    // Of the same stream, but for the arrays: ffmpeg adds the SEI that names the encoder.
    let mut wanted =
        vec![1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3c, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3];
    for (kind, set) in [(0xa0, vps), (0xa1, sps), (0xa2, pps)] {
        wanted.extend_from_slice(&[kind, 0, 1, 0, set.len() as u8]);
        wanted.extend_from_slice(&set);
    }
    assert_eq!(bytes[8..], wanted);
}

#[test]
fn configurations_that_fit_no_box_are_errors() {
    let bytes = |length| Bytes::from(vec![0x67; length]);
    let with = |sps, pps, width, height| CodecConfig::H264 { sps, pps, width, height };
    let CodecConfig::H265 { vps, sps, pps, width, height } = h265() else { unreachable!() };
    for bad in [
        with(bytes(3), bytes(4), 16, 16),
        with(bytes(70_000), bytes(4), 16, 16),
        with(bytes(9), bytes(0), 16, 16),
        with(bytes(9), bytes(4), 0, 16),
        with(bytes(9), bytes(4), 16, 65_536),
        CodecConfig::H265 { vps: Bytes::new(), sps: sps.clone(), pps: pps.clone(), width, height },
        CodecConfig::H265 { vps: vps.clone(), sps: sps.slice(..20), pps, width, height },
        CodecConfig::H265 { vps, sps, pps: bytes(70_000), width, height },
        CodecConfig::Opus { channels: 6, pre_skip: 0 },
        CodecConfig::Opus { channels: 0, pre_skip: 0 },
        CodecConfig::Vp9 {
            profile: 0,
            level: 0,
            bit_depth: 16,
            chroma_subsampling: 9,
            full_range: true,
            width: 1,
            height: 1,
        },
    ] {
        assert!(init_segment(&bad).is_err(), "{bad:?}");
    }
}

/// H.264, VP9, AV1, Opus, H.265.
const INIT_DIGESTS: [&str; 5] =
    ["e6dd35c86a78699f", "d18ebd42d2a6fcf3", "3927f1a2c55de189", "91fe0d275a837d16", "42cdb1af9673fb82"];
