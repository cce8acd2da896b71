use super::*;
use crate::assemble::testing::{push_all, told};
use crate::assemble::{Assemble, Assembled, Unit};
use crate::h265::testing::{PPS, SPS_322X182, VPS_322X182};
use crate::nal::NalAssembler;

/// Slices of picture parameter set 0: the first bit behind the header is `first_slice_segment_in_pic_flag`, and with
/// keyframes the one behind it is `no_output_of_prior_pics_flag`.
const IDR: [u8; 4] = [0x28, 0x01, 0xac, 0x21];
const IDR_REST: [u8; 4] = [0x28, 0x01, 0x2c, 0x21];
const CRA: [u8; 4] = [0x2a, 0x01, 0xac, 0x21];
const RASL: [u8; 4] = [0x12, 0x01, 0xd0, 0x19];
const TRAIL: [u8; 4] = [0x02, 0x01, 0xd0, 0x19];

fn aggregation(nals: &[&[u8]]) -> Vec<u8> {
    let sized = nals.iter().map(|nal| [&u16::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat());
    std::iter::once(vec![0x60, 0x01]).chain(sized).flatten().collect()
}

fn sample(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes(), *nal].concat()).collect()
}

/// An assembler that has its parameter sets.
fn begun() -> NalAssembler<H265Stream> {
    let mut assembler = NalAssembler::default();
    let sets = aggregation(&[&VPS_322X182, &SPS_322X182, &PPS]);
    assert!(push_all(&mut assembler, &[(0, false, &sets)]).is_empty());
    assembler
}

#[test]
fn single_nal_units_aggregations_and_fragments_make_samples() {
    let mut assembler = NalAssembler::<H265Stream>::default();
    let sei = [0x4e, 0x01, 5, 1, 0, 0x80];
    // An access unit delimiter, the sets, SEI, filler, and a slice of another layer.
    let before =
        aggregation(&[&[0x46, 1, 0x50], &VPS_322X182, &SPS_322X182, &PPS, &sei, &[0x4c, 1, 0xff], &[0x28, 9, 0xac]]);
    let out = push_all(
        &mut assembler,
        &[
            (0, false, &before),
            (0, false, &[0x62, 0x01, 0x94, 0xac]),
            (0, false, &[0x62, 0x01, 0x14, 0x21]),
            (0, false, &[0x62, 0x01, 0x54, 0x22]),
            (0, true, &IDR_REST),
            (3_000, true, &TRAIL),
        ],
    );
    let key = sample(&[&sei, &[0x28, 0x01, 0xac, 0x21, 0x22], &IDR_REST]);
    assert_eq!(told(&out), [Some((0, true, &key[..])), Some((3_000, false, &sample(&[&TRAIL])[..]))]);
    let Assembled::Unit(Unit { config: Some(config), reorder_depth: 2, .. }) = &out[0] else { panic!("{out:?}") };
    assert_eq!((config.dimensions(), config.rfc6381().as_str()), (Some((322, 182)), "hvc1.1.6.L60.90"));
    let CodecConfig::H265 { vps, sps, pps, .. } = config.as_ref() else { panic!("{config:?}") };
    assert!(*vps == VPS_322X182[..] && *sps == SPS_322X182[..] && *pps == PPS[..]);
}

#[test]
fn a_keyframe_without_one_of_its_sets_has_no_configuration() {
    for missing in 0..3 {
        let sets = [&VPS_322X182[..], &SPS_322X182, &PPS];
        let sets: Vec<_> = sets.into_iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, set)| set).collect();
        let mut assembler = NalAssembler::<H265Stream>::default();
        let out = push_all(&mut assembler, &[(0, false, &aggregation(&sets)), (0, true, &IDR)]);
        assert!(matches!(out[..], [Assembled::Unit(Unit { keyframe: true, config: None, .. })]), "{missing}: {out:?}");
    }
}

#[test]
fn pictures_that_lead_a_keyframe_count_only_where_decoding_went_on() {
    let times = |out: &[Assembled]| told(out).iter().map(|it| it.map(|(at, ..)| at)).collect::<Vec<_>>();
    let mut assembler = begun();
    // Decoding begins at the first one, and goes on at the second.
    let gop: [(u32, bool, &[u8]); 6] = [
        (9, true, &CRA),
        (6, true, &RASL),
        (12, true, &TRAIL),
        (18, true, &CRA),
        (15, true, &RASL),
        (21, true, &TRAIL),
    ];
    assert_eq!(times(&push_all(&mut assembler, &gop)), [9, 12, 18, 15, 21].map(Some));
    // What the next one's lead refers to is missing.
    assembler.interrupt();
    let gop: [(u32, bool, &[u8]); 3] = [(27, true, &CRA), (24, true, &RASL), (30, true, &TRAIL)];
    assert_eq!(times(&push_all(&mut assembler, &gop)), [27, 30].map(Some));
    // So it is behind a picture that came in pieces.
    let broken: [(u32, bool, &[u8]); 3] = [(33, true, &[0x62, 0x01, 0x81, 1]), (39, true, &CRA), (36, true, &RASL)];
    assert_eq!(times(&push_all(&mut assembler, &broken)), [None, Some(39)]);
}
