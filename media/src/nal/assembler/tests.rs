use super::*;
use crate::assemble::testing::{push_all, told};
use crate::h264::H264Stream;

type H264Assembler = NalAssembler<H264Stream>;

/// What x264 writes for 854x480, high profile, two reordered frames.
const SPS: [u8; 26] = [
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0xd8, 0x3d, 0xe6, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x3c, 0x0f, 0x18, 0x31, 0x96,
];
const PPS: [u8; 4] = [0x68, 0xef, 0xbc, 0xb0];
/// Slices of picture parameter set 0. The first bit behind the header is `first_mb_in_slice` = 0.
const IDR: [u8; 3] = [0x65, 0x88, 0x84];
const INTER: [u8; 3] = [0x41, 0x9a, 0x02];
/// Slices that begin at macroblock 1: `first_mb_in_slice` is 010.
const IDR_REST: [u8; 3] = [0x65, 0x48, 0x84];
const INTER_REST: [u8; 3] = [0x41, 0x5a, 0x02];

fn stap(nals: &[&[u8]]) -> Vec<u8> {
    let sized = nals.iter().map(|nal| [&u16::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat());
    std::iter::once(vec![0x78]).chain(sized).flatten().collect()
}

fn sample(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat()).collect()
}

/// An assembler that has its parameter sets.
fn begun() -> H264Assembler {
    let mut assembler = H264Assembler::default();
    assert!(push_all(&mut assembler, &[(0, false, &stap(&[&SPS, &PPS]))]).is_empty());
    assembler
}

#[test]
fn single_nal_units_stap_a_and_fu_a_make_samples() {
    let mut assembler = H264Assembler::default();
    let delimiter_and_sets = stap(&[&[0x09, 0xf0], &SPS, &PPS, &[0x06, 5, 1, 0, 0x80], &[0x0c, 0xff, 0x80]]);
    let out = push_all(
        &mut assembler,
        &[
            (0, false, &delimiter_and_sets),
            (0, false, &[0x7c, 0x85, 0x88]),
            (0, false, &[0x7c, 0x05, 0x84]),
            (0, true, &[0x7c, 0x45, 0x21]),
            (3_000, true, &INTER),
        ],
    );
    // The SEI and the slice of four bytes out of three fragments, without sets, delimiter and filler.
    let key = sample(&[&[0x06, 5, 1, 0, 0x80], &[0x65, 0x88, 0x84, 0x21]]);
    assert_eq!(told(&out), [Some((0, true, &key[..])), Some((3_000, false, &sample(&[&INTER])[..]))]);
    let Assembled::Unit(unit) = &out[0] else { panic!("broken") };
    assert_eq!(unit.config.as_ref().unwrap().dimensions(), Some((854, 480)));
    assert_eq!((unit.config.as_ref().unwrap().rfc6381().as_str(), unit.reorder_depth), ("avc1.64001F", 2));
}

#[test]
fn a_marker_on_the_parameter_sets_cuts_nothing() {
    let out = push_all(
        &mut H264Assembler::default(),
        &[(0, true, &stap(&[&SPS, &PPS])), (0, false, &IDR), (0, true, &IDR_REST)],
    );
    assert_eq!(told(&out), [Some((0, true, &sample(&[&IDR, &IDR_REST])[..]))]);
}

#[test]
fn without_markers_the_next_timestamp_cuts() {
    let mut assembler = begun();
    let mut out = push_all(&mut assembler, &[(0, false, &IDR), (3_000, false, &INTER), (6_000, false, &INTER)]);
    assert_eq!(told(&out).len(), 2);
    assembler.flush(&mut out);
    assert_eq!(told(&out)[2], Some((6_000, false, &sample(&[&INTER])[..])));
}

#[test]
fn an_early_marker_is_believed_only_once() {
    let mut assembler = begun();
    // This sender sets the marker on every slice.
    let out = push_all(
        &mut assembler,
        &[(0, true, &IDR), (0, true, &IDR_REST), (3_000, true, &IDR), (3_000, true, &IDR_REST), (6_000, true, &INTER)],
    );
    let cut = sample(&[&IDR]);
    assert_eq!(told(&out), [Some((0, true, &cut[..])), None, Some((3_000, true, &sample(&[&IDR, &IDR_REST])[..]))]);
}

#[test]
fn a_second_picture_with_the_same_timestamp_is_no_early_marker() {
    let out = push_all(&mut begun(), &[(0, true, &IDR), (0, true, &INTER)]);
    assert_eq!(told(&out), [Some((0, true, &sample(&[&IDR])[..])), Some((0, false, &sample(&[&INTER])[..]))]);
}

#[test]
fn a_keyframe_whose_first_slices_were_lost_is_broken() {
    let mut assembler = begun();
    assembler.interrupt();
    let out = push_all(&mut assembler, &[(0, true, &IDR_REST), (3_000, true, &IDR), (6_000, true, &INTER_REST)]);
    let told = told(&out);
    assert_eq!((told.len(), told[0]), (3, None));
    assert!(told[1].is_some() && told[2].is_some(), "arbitrary slice order is no loss");
}

#[test]
fn fragments_without_beginning_or_end_are_broken() {
    let lost_start = push_all(&mut begun(), &[(0, true, &IDR), (1, false, &[0x5c, 0x01, 1]), (1, true, &INTER)]);
    assert_eq!(told(&lost_start)[1..], [None]);
    let lost_end = push_all(&mut begun(), &[(0, false, &[0x7c, 0x85, 0x88]), (0, true, &INTER), (1, false, &INTER)]);
    assert_eq!(told(&lost_end), [None]);
    let cut_off = push_all(&mut begun(), &[(0, false, &[0x7c, 0x85, 0x88]), (1, false, &INTER)]);
    assert_eq!(told(&cut_off), [None]);
}

#[test]
fn a_keyframe_takes_the_sets_its_slice_refers_to() {
    // Picture parameter set 1 (010), of sequence parameter set 0.
    let other_pps = [0x68, 0b0101_1000];
    // first_mb 0, slice_type 7 (0001000), picture parameter set 1 (010).
    let idr_of_other = [0x65, 0b1000_1000, 0b0101_0000];
    let mut assembler = begun();
    let out = push_all(&mut assembler, &[(0, false, &other_pps), (0, true, &IDR), (1, true, &idr_of_other)]);
    let pps = out.iter().map(|assembled| match assembled {
        Assembled::Unit(Unit { config: Some(config), .. }) => match &**config {
            CodecConfig::H264 { pps, .. } => pps.to_vec(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
    assert_eq!(pps.collect::<Vec<_>>(), [PPS.to_vec(), other_pps.to_vec()]);
}

#[test]
fn sets_that_change_between_keyframes_wait_for_the_next() {
    let mut assembler = begun();
    let new_pps = [0x68, 0xee, 0x3c, 0xb0];
    let sets = stap(&[&new_pps, &INTER]);
    let out = push_all(&mut assembler, &[(0, true, &IDR), (1, true, &sets), (2, true, &INTER), (3, true, &IDR)]);
    let configs: Vec<_> = out
        .iter()
        .map(|assembled| match assembled {
            Assembled::Unit(unit) => unit.config.clone().unwrap(),
            Assembled::Broken => panic!("broken"),
        })
        .collect();
    assert!(Arc::ptr_eq(&configs[0], &configs[1]) && Arc::ptr_eq(&configs[1], &configs[2]));
    assert_ne!(configs[2], configs[3]);
}

#[test]
fn an_access_unit_that_never_ends_is_given_up() {
    let mut assembler = begun();
    let fragment = [&[0x7c, 0x05][..], &[1; 1_200]].concat();
    push_all(&mut assembler, &[(0, false, &[0x7c, 0x85])]);
    let out = push_all(&mut assembler, &vec![(0, false, &fragment[..]); 8_000]);
    assert!(out.is_empty());
    let held = assembler.unit.as_ref().unwrap();
    assert!(held.broken && held.fragment.as_ref().unwrap().len() <= 8 << 20);
    assert_eq!(told(&push_all(&mut assembler, &[(1, true, &IDR)])), [None, Some((1, true, &sample(&[&IDR])[..]))]);
}

#[test]
fn interleaved_mode_is_ignored() {
    let out = push_all(&mut begun(), &[(0, true, &[0x79, 0, 0, 0, 3, 0x65, 0x88, 0x84]), (1, true, &[0x1e, 1])]);
    assert!(out.is_empty());
}
