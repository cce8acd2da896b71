use super::*;
use crate::h265::testing::SPS_322X182;

/// What x265 writes for 640x360 with 4:2:2 and ten bits.
const SPS_422: [u8; 42] = [
    0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9d, 0x08, 0x00, 0x00, 0x03, 0x00, 0x00, 0x3f, 0xb0, 0x05,
    0x02, 0x01, 0x71, 0xf1, 0x2d, 0x96, 0x56, 0x54, 0xa4, 0xc2, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80,
    0x00, 0x00, 0x0f, 0x04,
];

#[test]
fn a_window_crops_the_picture_and_the_profile_is_told() {
    let sps = Sps::parse(&SPS_322X182).unwrap();
    // 328x184 is coded, in blocks of 8.
    assert_eq!((sps.width, sps.height, sps.reorder_depth), (322, 182, 2));
    assert_eq!((sps.id, sps.vps_id, sps.temporal_layers, sps.temporal_id_nested), (0, 0, 1, true));
    assert_eq!((sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma), (1, 8, 8));
    // Main, compatible with Main and Main 10, level 2, progressive frames only.
    assert_eq!(sps.profile.rfc6381(), "1.6.L60.90");
}

#[test]
fn range_extensions_have_their_constraints() {
    let sps = Sps::parse(&SPS_422).unwrap();
    assert_eq!((sps.width, sps.height), (640, 360));
    assert_eq!((sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma), (2, 10, 10));
    assert_eq!(sps.profile.rfc6381(), "4.10.L63.9D.8");
}

#[test]
fn the_strings_of_the_standard_are_made() {
    let main = ProfileTierLevel {
        profile_space: 0,
        high_tier: false,
        profile_idc: 1,
        compatibility: [0x60, 0, 0, 0],
        constraints: [0xb0, 0, 0, 0, 0, 0],
        level_idc: 93,
    };
    // The examples of ISO/IEC 14496-15 §E.3.
    assert_eq!(main.rfc6381(), "1.6.L93.B0");
    let other = ProfileTierLevel {
        profile_space: 1,
        high_tier: true,
        profile_idc: 4,
        compatibility: [0x82, 0, 0, 0],
        constraints: [0xb0, 0x23, 0, 0, 0, 0],
        level_idc: 120,
    };
    assert_eq!(other.rfc6381(), "A4.41.H120.B0.23");
    assert_eq!(ProfileTierLevel { constraints: [0, 0, 1, 0, 0, 0], ..main }.rfc6381(), "1.6.L93.0.0.1");
    assert_eq!(ProfileTierLevel { constraints: [0; 6], ..main }.rfc6381(), "1.6.L93");
}

#[test]
fn sub_layers_are_passed_over() {
    let one = Sps::parse(&SPS_322X182).unwrap();
    let raw = unescape(&SPS_322X182[2..]);
    let general = 1 + 12;
    // Two sub-layers, of which the lower tells profile and level: two flags, seven reserved pairs, 96 bits.
    let mut two = vec![0x42, 0x01, raw[0] & 0xf1 | 1 << 1];
    two.extend_from_slice(&raw[1..general]);
    two.extend_from_slice(&[0xc0, 0]);
    two.extend_from_slice(&[0x55; 12]);
    two.extend_from_slice(&raw[general..]);
    // The depth is read of the second, which stands where x265 went on otherwise.
    let parsed = Sps::parse(&two).unwrap();
    assert_eq!(Sps { temporal_layers: 1, reorder_depth: 2, ..parsed }, one);
    assert_eq!(parsed.temporal_layers, 2);
}

#[test]
fn what_is_cut_short_or_too_large_is_an_error() {
    for length in 0..26 {
        assert!(Sps::parse(&SPS_322X182[..length]).is_err(), "{length}");
    }
    // Seven sub-layers below the highest.
    let mut layered = SPS_322X182;
    layered[2] |= 7 << 1;
    assert_eq!(Sps::parse(&layered), Err(Malformed::Invalid("sps_max_sub_layers_minus1")));
}
