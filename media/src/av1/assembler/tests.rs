use super::*;
use crate::assemble::testing::{push_all, told};

/// A sequence header OBU without size field, of 854x480.
const SEQUENCE: [u8; 12] = [0x08, 0x00, 0x00, 0x00, 0x24, 0xc6, 0xab, 0xdf, 0x3e, 0xfe, 0x40, 0x10];
/// Frame OBUs without size field: a shown key frame, and a shown inter frame.
const KEY: [u8; 4] = [0x30, 0b0001_0000, 0xaa, 0xbb];
const INTER: [u8; 3] = [0x30, 0b0011_0000, 0xcc];

/// The aggregation header: Z, Y, W and N.
const Z: u8 = 0x80;
const Y: u8 = 0x40;
const fn w(count: u8) -> u8 {
    count << 4
}

fn sized(obu: &[u8]) -> Vec<u8> {
    let size = u8::try_from(obu.len() - 1).unwrap();
    [&[obu[0] | 0x02, size][..], &obu[1..]].concat()
}

/// Two elements, the first with its length.
fn key_payload() -> Vec<u8> {
    [&[w(2) | 0x08, 12][..], &SEQUENCE, &KEY].concat()
}

fn key_sample() -> Vec<u8> {
    [sized(&SEQUENCE), sized(&KEY)].concat()
}

#[test]
fn elements_become_obus_with_sizes() {
    let inter = [&[w(1)][..], &INTER].concat();
    let out = push_all(&mut Av1Assembler::default(), &[(0, true, &key_payload()), (3_000, true, &inter)]);
    assert_eq!(told(&out), [Some((0, true, &key_sample()[..])), Some((3_000, false, &sized(&INTER)[..]))]);
    let (Assembled::Unit(key), Assembled::Unit(inter)) = (&out[0], &out[1]) else { panic!("broken") };
    let CodecConfig::Av1 { sequence_header, .. } = &**key.config.as_ref().unwrap() else { panic!("{key:?}") };
    assert_eq!(sequence_header[..], sized(&SEQUENCE));
    assert!(Arc::ptr_eq(key.config.as_ref().unwrap(), inter.config.as_ref().unwrap()));
}

#[test]
fn an_obu_goes_on_over_packets() {
    let first = [&[w(2) | Y, 12][..], &SEQUENCE, &KEY[..2]].concat();
    let middle = [Z | Y | w(1), KEY[2]];
    // The last byte of the frame, then a metadata OBU with extension and size field of its own.
    let last = [Z, 1, KEY[3], 5, 0x2e, 0x00, 1, 0x07, 0x99];
    let out = push_all(&mut Av1Assembler::default(), &[(0, false, &first), (0, false, &middle), (0, true, &last)]);
    // What lies behind the size that an OBU tells of itself is not part of it.
    let expected = [key_sample(), vec![0x2e, 0x00, 1, 0x07]].concat();
    assert_eq!(told(&out), [Some((0, true, &expected[..]))]);
}

#[test]
fn delimiters_padding_and_empty_elements_have_no_place() {
    let payload = [&[0, 2, 0x12, 0x00, 0, 12][..], &SEQUENCE, &[4], &KEY, &[2, 0x78, 0x00]].concat();
    let out = push_all(&mut Av1Assembler::default(), &[(0, true, &payload), (1, true, &[w(1), 0x12, 0x00])]);
    assert_eq!(told(&out), [Some((0, true, &key_sample()[..]))]);
}

#[test]
fn a_key_frame_without_its_sequence_is_no_keyframe() {
    let out = push_all(&mut Av1Assembler::default(), &[(0, true, &[&[w(1)][..], &KEY].concat())]);
    assert_eq!(told(&out), [Some((0, false, &sized(&KEY)[..]))]);
}

#[test]
fn without_markers_the_next_timestamp_cuts() {
    let mut assembler = Av1Assembler::default();
    let mut out = push_all(&mut assembler, &[(0, false, &key_payload()), (1, false, &key_payload())]);
    assert_eq!(told(&out).len(), 1);
    assembler.flush(&mut out);
    assert_eq!(told(&out).len(), 2);
}

#[test]
fn obus_without_beginning_or_end_are_broken() {
    let lost_start = [&[Z | w(1)][..], &KEY].concat();
    let lost_end = [&[Y | w(1)][..], &KEY].concat();
    let whole = [&[w(1)][..], &INTER].concat();
    let packets = [(0, true, &lost_start[..]), (1, true, &lost_end), (2, false, &lost_end), (2, true, &whole)];
    assert_eq!(told(&push_all(&mut Av1Assembler::default(), &packets)), [None, None, None]);
}

#[test]
fn malformed_elements_break_their_unit_only() {
    let too_long = [w(2), 200, 0x30];
    let too_few = [w(3), 2, 0x30, 0x10];
    let forbidden = [w(1), 0xb0, 0x10];
    for payload in [&[][..], &too_long, &too_few, &forbidden] {
        let out = push_all(&mut Av1Assembler::default(), &[(0, true, payload), (1, true, &key_payload())]);
        assert_eq!(told(&out), [None, Some((1, true, &key_sample()[..]))], "{payload:x?}");
    }
}
