mod two_hours;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::packet::{EncodingId, SenderReport};

fn packet(codec: Codec, timestamp: u32, received_at: Instant, sender_report: Option<SenderReport>) -> RtpPacket {
    let payload = [0_u8].into();
    RtpPacket {
        codec,
        encoding: EncodingId::default(),
        seq_no: 0,
        timestamp,
        marker: true,
        starts_keyframe: true,
        payload,
        received_at,
        sender_report,
    }
}

fn report(ntp_ms: u64, rtp_timestamp: u32) -> Option<SenderReport> {
    Some(SenderReport { ntp: Duration::from_millis(ntp_ms), rtp_timestamp })
}

/// A timeline, and the instants of virtual time in milliseconds since its origin.
struct Clockwork {
    timeline: Timeline,
    origin: Instant,
}

impl Clockwork {
    fn new() -> Self {
        let origin = Instant::now();
        Self { timeline: Timeline::new(origin), origin }
    }

    fn place(&mut self, codec: Codec, timestamp: u32, at_ms: u64) -> Placed {
        self.place_reported(codec, timestamp, at_ms, None)
    }

    fn place_reported(
        &mut self,
        codec: Codec,
        timestamp: u32,
        at_ms: u64,
        sender_report: Option<SenderReport>,
    ) -> Placed {
        let at = self.origin + Duration::from_millis(at_ms);
        self.timeline.observe(&packet(codec, timestamp, at, sender_report));
        self.timeline.place(codec, timestamp, at).unwrap()
    }
}

#[test]
fn a_track_is_placed_by_arrival_and_counts_on_over_the_wrap() {
    let mut clock = Clockwork::new();
    let first = u32::MAX - 479;
    assert_eq!(clock.place(Codec::Opus, first, 1_000).pts_ticks, 48_000);
    assert_eq!(clock.place(Codec::Opus, first.wrapping_add(960), 1_025).pts_ticks, 48_960);
    assert_eq!(clock.place(Codec::Opus, first.wrapping_add(1_920), 1_030).pts_ticks, 49_920);
}

#[test]
fn a_jump_of_the_senders_clock_is_told_and_bridged_by_the_time_that_passed() {
    let mut clock = Clockwork::new();
    clock.place(Codec::H264, 9_000, 0);
    // 20 ms pass, the timestamp goes 100 s on.
    let placed = clock.place(Codec::H264, 9_009_000, 20);
    assert_eq!(placed, Placed { pts_ticks: 1_800, jump_ms: Some(99_980) });
    assert_eq!(clock.place(Codec::H264, 9_010_800, 40), Placed { pts_ticks: 3_600, jump_ms: None });
    // And back.
    let placed = clock.place(Codec::H264, 12_600, 60);
    assert_eq!(placed, Placed { pts_ticks: 5_400, jump_ms: Some(-100_000) });
}

#[test]
fn steps_that_add_up_to_a_jump_are_one() {
    let mut clock = Clockwork::new();
    // Each frame claims 2 s and comes 33 ms after the last.
    let placed: Vec<_> = (0..100_u32).map(|n| clock.place(Codec::Vp9, n * 180_000, u64::from(n) * 33)).collect();
    assert!(placed.iter().any(|placed| placed.jump_ms.is_some()));
    let last = placed.last().unwrap().pts_ticks;
    assert!(last <= 90 * (20_000 + 3_300), "{last}");
}

#[test]
fn a_clock_that_stands_still_is_replaced_by_arrival() {
    let mut clock = Clockwork::new();
    let placed: Vec<_> = (0..=30).map(|n| clock.place(Codec::Opus, 7, n * 100)).collect();
    assert_eq!(placed[23], Placed { pts_ticks: 23, jump_ms: None });
    // Late by more than 300 ms from the fifth frame on, so 2 s later it is over; drift forgave 3 ms.
    assert_eq!(placed[24], Placed { pts_ticks: 2_397 * 48, jump_ms: Some(-2_397) });
}

#[test]
fn a_clock_that_stands_still_against_its_reports_has_jumped_after_5_s() {
    let mut clock = Clockwork::new();
    clock.place_reported(Codec::H264, 0, 0, report(10_000, 0));
    let placed: Vec<_> = (0..=100).map(|n| clock.place_reported(Codec::Opus, 7, n * 100, report(10_000, 7))).collect();
    assert_eq!(placed[50], Placed { pts_ticks: 50, jump_ms: None });
    // The first frame more than 5 s late; drift forgave 50 ms of it.
    assert_eq!(placed[51], Placed { pts_ticks: 244_800, jump_ms: Some(-5_050) });
}

#[test]
fn a_drifting_quartz_never_jumps() {
    let mut clock = Clockwork::new();
    // 0.2 % fast for 2 hours: 14 s ahead at the end. A frame a second.
    for s in 0..7_200_u32 {
        assert_eq!(clock.place(Codec::Opus, s * 48_096, u64::from(s) * 1_000).jump_ms, None);
    }
}

#[test]
fn audio_that_repeats_or_steps_back_a_little_still_grows() {
    let mut clock = Clockwork::new();
    let pts = [960, 960, 480, 1_920].map(|timestamp| clock.place(Codec::Opus, timestamp, 10).pts_ticks);
    assert_eq!(pts, [480, 481, 482, 1_440]);
    // 200 ms back is a jump: 10 ms pass, 10 ms are given.
    let placed = clock.place(Codec::Opus, 1_920_u32.wrapping_sub(9_600), 20);
    assert_eq!(placed, Placed { pts_ticks: 1_920, jump_ms: Some(-200) });
}

#[test]
fn h264_presentation_times_may_step_back() {
    let mut clock = Clockwork::new();
    let pts = [0, 9_000, 3_000, 6_000].map(|timestamp| clock.place(Codec::H264, timestamp, 1_000).pts_ticks);
    assert_eq!(pts, [90_000, 99_000, 93_000, 96_000]);
}

#[test]
fn sender_reports_known_from_the_start_align_at_once() {
    let mut clock = Clockwork::new();
    // By the sender's clock the audio of 10.0 s has timestamp 0 and the video of 10.0 s has 900,000.
    clock.place_reported(Codec::Opus, 4_800, 1_000, report(10_000, 0));
    // Audio of 10.1 s sits at 1.0 s. Video of 10.3 s took longer to come, and belongs to 1.2 s all the same.
    let placed = clock.place_reported(Codec::H264, 927_000, 1_900, report(10_000, 900_000));
    assert_eq!(placed.pts_ticks, 108_000);
}

#[test]
fn sender_reports_that_come_late_are_slewed_to() {
    let mut clock = Clockwork::new();
    clock.place(Codec::Opus, 0, 0);
    clock.place(Codec::H264, 0, 0);
    // Now both report: at the sender's 50 s audio was at 0 and video at 9,000, so video has to come 100 ms earlier.
    clock.place_reported(Codec::Opus, 960, 20, report(50_000, 0));
    let mut last = 0;
    for n in 1..=600_u32 {
        // 30 frames a second for 20 s: 0.5 % of it is the 100 ms, 15 ticks a frame.
        let placed = clock.place_reported(Codec::H264, n * 3_000, u64::from(n) * 33, report(50_000, 9_000));
        assert!((2_985..=3_000).contains(&(placed.pts_ticks - last)), "{}", placed.pts_ticks - last);
        last = placed.pts_ticks;
    }
    // 600 frames of 3,000 ticks, less the first 599 steps of at most 15.
    assert!((1_791_000..1_791_100).contains(&last), "{last}");
    for n in 601..=700_u32 {
        last = clock.place(Codec::H264, n * 3_000, u64::from(n) * 33).pts_ticks;
    }
    assert_eq!(last, 700 * 3_000 - 9_000);
}

/// Places audio by its report, then video at 30 frames a second whose reports from frame 30 on put it `video_ms` later.
fn late_reports(video_ms: i64) -> Vec<i64> {
    let mut clock = Clockwork::new();
    clock.place_reported(Codec::Opus, 0, 0, report(50_000, 0));
    let said = report(u64::try_from(50_000 + video_ms).unwrap(), 0);
    let frame =
        |n: u32| clock.place_reported(Codec::H264, n * 3_000, u64::from(n) * 33, said.filter(|_| n >= 30)).pts_ticks;
    (0..150).map(frame).collect()
}

#[test]
fn a_wide_offset_forward_is_one_gap() {
    let pts = late_reports(300);
    assert_eq!(pts[..30], (0..30).map(|n| n * 3_000).collect::<Vec<_>>());
    assert_eq!(pts[30..], (30..150).map(|n| n * 3_000 + 27_000).collect::<Vec<_>>());
}

#[test]
fn a_wide_offset_backward_is_caught_up_with_while_times_grow() {
    let pts = late_reports(-300);
    assert!(pts.windows(2).all(|pair| (1_500..=3_000).contains(&(pair[1] - pair[0]))));
    // A third of the time is made up, so 300 ms take 27 frames; all of it, not just down to 100 ms.
    assert_eq!(pts[60..], (60..150).map(|n| n * 3_000 - 27_000).collect::<Vec<_>>());
}

#[test]
fn a_track_may_be_corrected_again_after_it_was_corrected() {
    let mut clock = Clockwork::new();
    clock.place_reported(Codec::Opus, 0, 0, report(50_000, 0));
    let mut place = |n: u32, at_ms, ms| clock.place_reported(Codec::H264, n, at_ms, report(ms, 0)).pts_ticks;
    assert_eq!(place(0, 20, 58_000), 720_000);
    // 4 s in which the video clock stood still: 12 s from where it was first placed are no lie.
    assert_eq!(place(3_000, 4_020, 62_000), 1_083_000);
    // 4 s more on the wall of the sender, while none passed here.
    assert_eq!(place(6_000, 4_050, 66_000), 1_086_000);
}

#[test]
fn without_reports_a_clock_that_stood_still_is_moved_on_after_2_s() {
    let mut clock = Clockwork::new();
    let mut jumps = Vec::new();
    for n in 0..300_u32 {
        // 20 ms frames; between the 50th and the next one the microphone is silent for a second, and so is its clock.
        let at_ms = u64::from(n) * 20 + if n < 50 { 0 } else { 1_000 };
        let placed = clock.place(Codec::Opus, n * 960, at_ms);
        jumps.extend(placed.jump_ms.map(|by| (n, by)));
        let lag_ms = i64::try_from(at_ms).unwrap() - placed.pts_ticks / 48;
        assert_eq!(lag_ms, if (50..150).contains(&n) { 1_000 } else { 0 }, "{n}");
    }
    assert_eq!(jumps, [(150, -1_000)]);
}

#[test]
fn a_network_that_holds_packets_back_for_a_moment_moves_nothing() {
    let mut clock = Clockwork::new();
    for n in 0..500_u32 {
        let held_ms = if (100..180).contains(&n) { 400 } else { 0 };
        let placed = clock.place(Codec::Opus, n * 960, u64::from(n) * 20 + held_ms);
        assert_eq!(placed, Placed { pts_ticks: i64::from(n) * 960, jump_ms: None });
    }
}

#[test]
fn a_lead_over_the_limit_does_not_stick() {
    let mut clock = Clockwork::new();
    // At double speed for 60 s, then as it should.
    let (mut timestamp, mut at_ms) = (0_u32, 0);
    let mut step = |ticks, clock: &mut Clockwork| {
        (timestamp, at_ms) = (timestamp + ticks, at_ms + 100);
        let placed = clock.place(Codec::Vp9, timestamp, at_ms);
        (placed.pts_ticks - i64::try_from(at_ms).unwrap() * 90, placed.jump_ms)
    };
    let fastest = (0..600).map(|_| step(18_000, &mut clock).0).max().unwrap();
    assert!(fastest <= 20 * 90_000 + 9_000, "{fastest}");
    let after: Vec<_> = (0..100).map(|_| step(9_000, &mut clock)).collect();
    assert!(after[2..].iter().all(|&(lead, jump)| lead <= 20 * 90_000 && jump.is_none()), "{after:?}");
}

#[test]
fn reports_that_ask_for_more_than_10_s_are_lies() {
    let mut clock = Clockwork::new();
    clock.place_reported(Codec::Opus, 0, 0, report(10_000, 0));
    assert_eq!(clock.place_reported(Codec::H264, 0, 100, report(21_000, 0)).pts_ticks, 9_000);
}

#[test]
fn alignment_never_places_before_the_origin() {
    let mut clock = Clockwork::new();
    clock.place_reported(Codec::Opus, 0, 0, report(10_000, 0));
    // Video of 9.5 s: half a second before the audio that sits at 0.
    let pts = [0, 3_000].map(|timestamp| {
        clock.place_reported(Codec::H264, timestamp, u64::from(timestamp) / 90, report(9_500, 0)).pts_ticks
    });
    assert_eq!(pts, [0, 3_000]);
}

proptest! {
    #[test]
    fn no_timestamps_bring_the_timeline_to_a_stop_or_out_of_range(
        frames in prop::collection::vec((any::<u32>(), 0..3_000_u64, any::<bool>(), any::<Option<(u64, u32)>>()), 1..200),
    ) {
        let mut clock = Clockwork::new();
        let (mut at_ms, mut last_audio) = (0, -1);
        for (timestamp, later_ms, video, said) in frames {
            at_ms += later_ms;
            let codec = if video { Codec::H264 } else { Codec::Opus };
            let said = said.map(|(s, rtp_timestamp)| SenderReport { ntp: Duration::from_secs(s), rtp_timestamp });
            let placed = clock.place_reported(codec, timestamp, at_ms, said);
            let rate = i64::from(codec.clock_rate_hz());
            let lead = placed.pts_ticks - i64::try_from(at_ms).unwrap() * rate / 1_000;
            prop_assert!(placed.pts_ticks >= 0);
            prop_assert!(video || placed.pts_ticks > last_audio);
            prop_assert!(lead.abs() < rate * 30, "{lead}");
            if !video {
                last_audio = placed.pts_ticks;
            }
        }
    }
}
