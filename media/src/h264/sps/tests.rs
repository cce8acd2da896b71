use super::*;

/// Writes fields from the highest bit on, as the standard lists them.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(mut self, count: u32, number: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| number >> bit & 1 == 1));
        self
    }

    fn ue(self, number: u32) -> Self {
        let zeros = (number + 1).ilog2();
        self.u(zeros, 0).u(zeros + 1, number + 1)
    }

    fn each(self, numbers: &[u32]) -> Self {
        numbers.iter().fold(self, |bits, &number| bits.ue(number))
    }

    /// Ends with the stop bit and adds the NAL header and the emulation prevention.
    fn into_sps(self) -> Vec<u8> {
        let mut nal = vec![0x67];
        let bits = self.u(1, 1).0;
        let bytes =
            bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, &bit)| u8::from(bit) << (7 - at)).sum());
        let mut zeros = 0;
        for byte in bytes.collect::<Vec<u8>>() {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// Profile, constraints, level 3.1 and id 0.
fn start(profile_idc: u32, constraints: u32) -> Bits {
    Bits::default().u(8, profile_idc).u(8, constraints).u(8, 31).ue(0)
}

/// From `log2_max_frame_num` to the flag of cropping: 1280x720 in 80x45 macroblocks, frames only.
fn picture_720p(bits: Bits) -> Bits {
    bits.each(&[0, 2, 1]).u(1, 0).each(&[79, 44]).u(1, 1).u(1, 1).u(1, 0)
}

#[test]
fn baseline_of_720p() {
    let sps = Sps::parse(&picture_720p(start(66, 0xe0)).u(1, 0).into_sps()).unwrap();
    assert_eq!((sps.id, sps.profile_idc, sps.constraints, sps.level_idc), (0, 66, 0xe0, 31));
    assert_eq!((sps.width, sps.height), (1280, 720));
    assert_eq!((sps.chroma_format_idc, sps.bit_depth_luma, sps.bit_depth_chroma), (1, 8, 8));
    assert_eq!((sps.max_num_reorder_frames, sps.reorder_depth()), (None, 0));
}

#[test]
fn high_1080p_with_scaling_lists_and_cropping() {
    // 4:2:0 with 10 bits luma; eight scaling lists of which the first is present: 16 deltas of 0.
    let chroma = start(110, 0).each(&[1, 2, 0]).u(1, 0).u(1, 1).u(1, 1).u(16, 0xffff).u(7, 0);
    // 120x68 macroblocks, 1088 lines, of which 4 * 2 at the bottom are cropped. Picture order type 1 with two deltas.
    let order = chroma.each(&[0, 1]).u(1, 0).each(&[0, 0, 2, 0, 0]).ue(4).u(1, 0);
    let sps = order.each(&[119, 67]).u(1, 1).u(1, 1).u(1, 1).each(&[0, 0, 0, 4]).u(1, 0);
    let sps = Sps::parse(&sps.into_sps()).unwrap();
    assert_eq!((sps.width, sps.height, sps.bit_depth_luma), (1920, 1080, 10));
}

#[test]
fn interlaced_pictures_count_both_fields() {
    // 45x18 map units of two macroblock rows: 720x576; one unit of cropping at the top is 4 lines.
    let sps = start(77, 0).each(&[0, 2, 1]).u(1, 0).each(&[44, 17]).u(1, 0).u(1, 1).u(1, 1).u(1, 1);
    let sps = Sps::parse(&sps.each(&[0, 0, 1, 0]).u(1, 0).into_sps()).unwrap();
    assert_eq!((sps.width, sps.height), (720, 572));
}

#[test]
fn usability_information_tells_the_reordering() {
    let vui = picture_720p(start(77, 0)).u(1, 1);
    // Extended aspect ratio 1:1, overscan, video signal with colours, chroma location, timing of 1/60 s.
    let vui = vui.u(1, 1).u(8, 255).u(16, 1).u(16, 1).u(2, 3).u(1, 1).u(4, 0).u(1, 1).u(24, 0x01_01_01);
    let vui = vui.u(1, 1).each(&[0, 0]).u(1, 1).u(32, 1).u(32, 60).u(1, 1);
    // NAL buffering parameters with one entry, no VCL ones, low delay and picture structure.
    let vui = vui.u(1, 1).ue(0).u(8, 0).each(&[999, 999]).u(1, 0).u(20, 0).u(1, 0).u(2, 0);
    let restriction = vui.u(1, 1).u(1, 1).each(&[0, 0, 11, 11, 2, 4]);
    let sps = Sps::parse(&restriction.into_sps()).unwrap();
    assert_eq!((sps.max_num_reorder_frames, sps.reorder_depth()), (Some(2), 2));
}

#[test]
fn usability_information_that_breaks_off_is_as_if_absent() {
    let sps = Sps::parse(&picture_720p(start(77, 0)).u(1, 1).u(1, 1).into_sps()).unwrap();
    assert_eq!((sps.width, sps.max_num_reorder_frames), (1280, None));
}

#[test]
fn impossible_pictures_are_refused() {
    // A picture of 16x16 of which 16 columns are cropped; one of 5,000 macroblocks across; an id of 32.
    let all_cropped = start(66, 0).each(&[0, 2, 1]).u(1, 0).each(&[0, 0]).u(1, 1).u(1, 1).u(1, 1).each(&[4, 4, 0, 0]);
    let too_wide = start(66, 0).each(&[0, 2, 1]).u(1, 0).each(&[4_999, 0]).u(3, 0b110);
    let bad_id = Bits::default().u(24, 0x42_00_1f).ue(32);
    for sps in [all_cropped, too_wide, bad_id] {
        assert!(matches!(Sps::parse(&sps.u(1, 0).into_sps()), Err(Malformed::Invalid(_))));
    }
    assert_eq!(Sps::parse(&[0x67, 0x42, 0xe0, 0x1f]), Err(Malformed::Truncated));
}

#[test]
fn the_set_of_x264_is_read() {
    // High profile, level 3.1, 864x480 of which 10 columns are cropped, B-pyramid.
    let sps = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0xd8, 0x3d, 0xe6, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
        0x00, 0x03, 0x00, 0x3c, 0x0f, 0x18, 0x31, 0x96,
    ];
    let sps = Sps::parse(&sps).unwrap();
    assert_eq!((sps.profile_idc, sps.level_idc, sps.width, sps.height), (100, 31, 854, 480));
    assert_eq!(sps.reorder_depth(), 2);
}
