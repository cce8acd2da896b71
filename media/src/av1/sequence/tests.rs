use super::*;

fn config(payload: &[u8]) -> CodecConfig {
    Sequence::parse(payload).unwrap().config(Bytes::new())
}

#[test]
fn the_header_of_svt_av1_is_read() {
    // 854x480, main profile, level 3.0, 8 bits, 4:2:0 of unknown position.
    let sequence = config(&[0x00, 0x00, 0x00, 0x24, 0xc6, 0xab, 0xdf, 0x3e, 0xfe, 0x40, 0x10]);
    assert_eq!((sequence.rfc6381().as_str(), sequence.dimensions()), ("av01.0.04M.08", Some((854, 480))));
    let CodecConfig::Av1 { monochrome, subsampling_x, subsampling_y, sample_position, .. } = sequence else {
        panic!("{sequence:?}")
    };
    assert_eq!((monochrome, subsampling_x, subsampling_y, sample_position), (false, true, true, 0));
}

#[test]
fn the_header_of_libaom_with_4_4_4_and_10_bits_is_read() {
    let sequence = config(&[0x20, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x42]);
    assert_eq!((sequence.rfc6381().as_str(), sequence.dimensions()), ("av01.1.00M.10", Some((320, 180))));
    assert!(matches!(sequence, CodecConfig::Av1 { subsampling_x: false, subsampling_y: false, .. }));
}

#[test]
fn a_reduced_still_picture_is_read() {
    // Profile 0, still, reduced, level 01000; 4 bits each of 0b1011 (12) and 0b1010 (11); 2,303 = 0x8ff and 1,023;
    // six tools off; 8 bits, monochrome, no description, full range, no grain.
    let bits = "000 1 1 01000 1011 1010 100011111111 01111111111 000 000 0 1 0 1 0 1";
    assert_eq!(config(&packed(bits)).dimensions(), Some((2304, 1024)));
    assert!(matches!(config(&packed(bits)), CodecConfig::Av1 { level_idx: 8, monochrome: true, bit_depth: 8, .. }));
    assert_eq!(Sequence::parse(&packed(bits)).unwrap().is_shown_keyframe(&[]), Ok(true));
}

#[test]
fn timing_and_operating_points_are_passed_over() {
    let zeros = "0".repeat(31);
    // Timing with equal intervals (uvlc 010) and a decoder model with delays of 4 bits; display delay present.
    let timing = format!("1 {zeros}1 {zeros}1 1 010 1 00011 {zeros}1 00000 00000 1");
    // Two operating points: level 9, high tier, model (4 + 4 + 1 bits), display delay; level 5 with neither.
    let points = "00001 000000000001 01001 1 1 0000 0000 0 1 0000 000000000011 00101 0 0";
    // 4 bits each of width 15 and height 15, frame ids of 7 bits, 3 tools; 4 tools, order hints with 2, screen content
    // forced off, 3 bits of order hint; 3 tools; profile 0: 8 bits, not mono, sRGB described, range, position 2.
    let rest = "0011 0011 1111 1110 1 0000 000 000 0000 1 00 0 0 110 000 0 0 1 00000001 00000001 00000001 0 10 0";
    let sequence = config(&packed(&format!("000 0 0 {timing} {points} {rest}")));
    assert_eq!((sequence.rfc6381().as_str(), sequence.dimensions()), ("av01.0.09H.08", Some((16, 15))));
    assert!(matches!(sequence, CodecConfig::Av1 { sample_position: 2, .. }));
}

#[test]
fn headers_that_break_off_are_refused() {
    let whole = [0x00, 0x00, 0x00, 0x24, 0xc6, 0xab, 0xdf, 0x3e, 0xfe, 0x40];
    for end in 0..9 {
        assert_eq!(Sequence::parse(&whole[..end]), Err(Malformed::Truncated), "{end}");
    }
    assert!(matches!(Sequence::parse(&[0x60; 11]), Err(Malformed::Invalid(_))), "profile 3");
}

#[test]
fn only_a_shown_key_frame_is_a_keyframe() {
    let sequence = Sequence::parse(&[0x00, 0x00, 0x00, 0x24, 0xc6, 0xab, 0xdf, 0x3e, 0xfe, 0x40, 0x10]).unwrap();
    let tells = |header: u8| sequence.is_shown_keyframe(&[header]).unwrap();
    assert!(tells(0b0001_0000));
    assert!(!tells(0b0000_0000), "not shown");
    assert!(!tells(0b0011_0000), "an inter frame");
    assert!(!tells(0b1000_0000), "an existing frame");
}

/// Packs binary digits, blanks aside, into bytes.
fn packed(digits: &str) -> Vec<u8> {
    let bits: Vec<u8> = digits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    bits.chunks(8).map(|byte| byte.iter().zip((0..8).rev()).map(|(bit, shift)| bit << shift).sum()).collect()
}
