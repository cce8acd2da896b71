//! What holds for any configuration, any segment and any bytes.

use bytes::Bytes;
use onair_media::{CodecConfig, MediaKind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{SegmentScan, read_head, read_init, read_segment};
use crate::boxes::{SegmentHead, init_segment};
use crate::cut::{Cut, Part, Segment};
use crate::testing::{broadcast, frame, h264, h265, opus, pull};
use crate::{Fragmenter, FragmenterSettings};

fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), length).prop_map(Bytes::from)
}

fn configs() -> impl Strategy<Value = CodecConfig> {
    let size = || 1..=65_535_u32;
    let h264 = (bytes(4..60), bytes(1..20), size(), size()).prop_map(|(sps, pps, width, height)| CodecConfig::H264 {
        sps,
        pps,
        width,
        height,
    });
    let h265 = (bytes(1..60), bytes(1..20), size(), size()).prop_map(|(vps, pps, width, height)| {
        // What is told of a sequence parameter set beside it must be that of one that can be read.
        let CodecConfig::H265 { sps, .. } = h265() else { unreachable!() };
        CodecConfig::H265 { vps, sps, pps, width, height }
    });
    let vp9 = (0..4_u8, any::<u8>(), 0..16_u8, 0..4_u8, any::<bool>(), size(), size()).prop_map(
        |(profile, level, bit_depth, chroma_subsampling, full_range, width, height)| CodecConfig::Vp9 {
            profile,
            level,
            bit_depth,
            chroma_subsampling,
            full_range,
            width,
            height,
        },
    );
    let av1 = (
        (0..8_u8, 0..32_u8, prop::sample::select(&[8_u8, 10, 12][..]), 0..4_u8),
        any::<[bool; 4]>(),
        bytes(0..40),
        size(),
        size(),
    )
        .prop_map(|((profile, level_idx, bit_depth, sample_position), flags, sequence_header, width, height)| {
            let [high_tier, monochrome, subsampling_x, subsampling_y] = flags;
            CodecConfig::Av1 {
                profile,
                level_idx,
                high_tier,
                bit_depth,
                monochrome,
                subsampling_x,
                subsampling_y,
                sample_position,
                sequence_header,
                width,
                height,
            }
        });
    let opus = (1..=2_u8, any::<u16>()).prop_map(|(channels, pre_skip)| CodecConfig::Opus { channels, pre_skip });
    prop_oneof![h264, h265, vp9, av1, opus]
}

/// Cuts a broadcast with reordered pictures, a break after `first_s` seconds and another configuration behind it.
fn cut(first_s: i64, second_s: i64, gop: i64, reordered: bool, part_ms: u64) -> Vec<Cut> {
    let settings = FragmenterSettings {
        segment_target: std::time::Duration::from_secs(2),
        part_target: std::time::Duration::from_millis(part_ms),
    };
    let mut fragmenter = Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]);
    broadcast(&mut fragmenter, 0, first_s, gop);
    fragmenter.discontinuity();
    let CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
    let small = std::sync::Arc::new(CodecConfig::H264 { sps, pps, width: 64, height: 36 });
    let start = first_s + 3;
    for index in 0..second_s * 30 {
        let mut picture = frame(&small, start * 90_000 + index * 3_000, index % (gop * 30) == 0);
        picture.pts_ticks += if reordered { (index % 3 - 1) * 3_000 } else { 0 };
        fragmenter.push(MediaKind::Video, picture);
        (0..2).for_each(|n| {
            fragmenter.push(MediaKind::Audio, frame(&opus(), start * 48_000 + index * 1_600 + n * 800, true))
        });
    }
    fragmenter.finish();
    pull(&mut fragmenter).all
}

fn segments<'a>(cuts: &'a [Cut]) -> Vec<&'a Segment> {
    let segment = |cut: &'a Cut| if let Cut::Segment(segment) = cut { Some(segment) } else { None };
    cuts.iter().filter_map(segment).map(AsRef::as_ref).collect()
}

fn assert_same(read: &Segment, cut: &Segment) {
    let fields = |segment: &Segment| {
        let Segment { kind, msn, init, independent, discontinuity, start_ticks, duration_ticks, .. } = *segment;
        (kind, msn, init, independent, discontinuity, start_ticks, duration_ticks)
    };
    assert_eq!((fields(read), &read.bytes), (fields(cut), &cut.bytes));
    let fields = |part: &Part| {
        let Part { kind, msn, index, independent, start_ticks, duration_ticks, payload_offset, .. } = *part;
        (kind, msn, index, independent, start_ticks, duration_ticks, payload_offset)
    };
    assert_eq!(read.parts.len(), cut.parts.len());
    for (read, cut) in read.parts.iter().zip(&cut.parts) {
        assert_eq!((fields(read), &read.bytes, &read.samples), (fields(cut), &cut.bytes, &cut.samples));
    }
}

/// What a store, a disk or somebody may do to an object.
fn damage(bytes: &mut Vec<u8>, at: prop::sample::Index, kind: u8, value: u8) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match kind % 4 {
        0 => bytes[at] = value,
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..(at + usize::from(value)).min(bytes.len()))),
        _ => {
            let again = bytes[at..].to_vec();
            bytes.extend(again);
        }
    }
}

/// Checks that what was read accounts for no more than the bytes that were given.
fn read_anything(bytes: &[u8]) {
    let _config = read_init(bytes);
    let _head = read_head(bytes);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let Ok(segment) = read_segment(kind, 1, Bytes::copy_from_slice(bytes)) else { continue };
        assert_eq!(segment.size_bytes(), bytes.len() as u64);
        let samples: usize = segment.parts.iter().map(|part| part.samples.len()).sum();
        assert!(samples * 8 <= bytes.len());
    }
}

/// Boxes nested in each other as deeply as the bytes allow: what would exhaust the stack of a reader that descends.
#[test]
fn depth_costs_nothing() {
    let mut nested: Vec<u8> = Vec::new();
    for (depth, kind) in [b"moov", b"trak", b"mdia", b"minf", b"stbl"].iter().cycle().take(100_000).enumerate() {
        nested.extend(((100_000 - depth as u32) * 8).to_be_bytes());
        nested.extend_from_slice(*kind);
    }
    read_anything(&nested);
    nested[4..8].copy_from_slice(b"moof");
    read_anything(&nested);
}

#[test]
fn a_count_without_rows_takes_no_memory() {
    let mut segment = segments(&cut(1, 1, 1, false, 500))[0].bytes.to_vec();
    let at = segment.windows(4).position(|window| window == b"trun").unwrap();
    // Four billion samples that inherit everything: the flags ask for the data offset alone.
    segment[at + 4..at + 12].copy_from_slice(&[1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    read_anything(&segment);
    // The same with rows that are not there.
    segment[at + 4..at + 8].copy_from_slice(&[1, 0, 0x07, 1]);
    read_anything(&segment);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_configuration_is_read_as_it_was_written(config in configs()) {
        prop_assert_eq!(read_init(&init_segment(&config).unwrap()).unwrap(), config);
    }

    /// What is read by ranges is what is read at once, and of the media nothing is asked for that was not brought along.
    #[test]
    fn a_scan_by_ranges_reads_the_same(gop in 1..3i64, part_ms in 100..600u64, more in 0..2_000usize) {
        for segment in segments(&cut(2, 1, gop, true, part_ms)) {
            let mut scan = SegmentScan::new(segment.kind, segment.msn, segment.bytes.len() as u64);
            let mut payload: Vec<_> = Vec::new();
            let mut at = 0;
            for part in &segment.parts {
                payload.push(at + part.payload_offset..at + part.bytes.len());
                at += part.bytes.len();
            }
            while let Some(wanted) = scan.wants() {
                let (start, end) = (wanted.start as usize, wanted.end as usize);
                prop_assert!(payload.iter().all(|media| !media.contains(&start)));
                scan.push(&segment.bytes[start..(end + more).min(segment.bytes.len())]).unwrap();
            }
            let read = scan.finish().unwrap();
            prop_assert!(read.bytes.is_empty());
            let whole = read_segment(segment.kind, segment.msn, segment.bytes.clone()).unwrap().without_media();
            prop_assert_eq!(format!("{read:?}"), format!("{whole:?}"));
        }
    }

    #[test]
    fn what_was_cut_is_read(first_s in 1..5i64, second_s in 1..5i64, gop in 1..3i64, reordered: bool, part_ms in 100..600u64) {
        let cuts = cut(first_s, second_s, gop, reordered, part_ms);
        let cut = segments(&cuts);
        prop_assert!(cut.iter().any(|segment| segment.discontinuity && segment.init == 2));
        for segment in cut {
            assert_same(&read_segment(segment.kind, segment.msn, segment.bytes.clone()).unwrap(), segment);
            // Without its head it is one of format version 1.
            let old = segment.bytes.slice(SegmentHead::BYTES..);
            prop_assert_eq!(read_head(&old), None);
            let old = read_segment(segment.kind, segment.msn, old).unwrap();
            prop_assert_eq!((old.init, old.discontinuity), (1, false));
            prop_assert_eq!((old.start_ticks, old.duration_ticks), (segment.start_ticks, segment.duration_ticks));
            prop_assert_eq!(&old.parts[0].samples, &segment.parts[0].samples);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        read_anything(&bytes);
    }

    #[test]
    fn damaged_bytes_are_read_without_a_panic(
        config in configs(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        let cuts = cut(1, 1, 1, true, 500);
        let objects = segments(&cuts).into_iter().map(|segment| segment.bytes.clone());
        for object in objects.chain([init_segment(&config).unwrap()]) {
            let mut bytes = object.to_vec();
            damages.iter().for_each(|(at, kind, value)| damage(&mut bytes, *at, *kind, *value));
            read_anything(&bytes);
        }
    }
}
