use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::codec::CodecConfig;
use crate::packet::EncodingId;

/// Baseline, 1280x720, and a picture parameter set 0 that refers to it.
const SPS: [u8; 9] = [0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8];
const PPS: [u8; 4] = [0x68, 0xce, 0x38, 0x80];
/// Slices with first_mb_in_slice = 0 and pic_parameter_set_id = 0.
const IDR: [u8; 3] = [0x65, 0x88, 0x84];
const INTER: [u8; 3] = [0x41, 0x9a, 0x02];
const INTER_TICKS: u32 = 3_000;

/// A publisher and the depacketizer behind it on virtual time.
struct Bench {
    depacketizer: Depacketizer,
    origin: Instant,
    at_ms: u64,
    seq_no: u64,
}

impl Bench {
    fn new() -> Self {
        let origin = Instant::now();
        Self { depacketizer: Depacketizer::new(origin), origin, at_ms: 0, seq_no: 100 }
    }

    fn now(&self) -> Instant {
        self.origin + Duration::from_millis(self.at_ms)
    }

    fn packet(&mut self, codec: Codec, timestamp: u32, payload: &[u8]) -> RtpPacket {
        self.seq_no += 1;
        RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no: self.seq_no,
            timestamp,
            marker: true,
            starts_keyframe: starts_keyframe(codec, payload),
            payload: payload.into(),
            received_at: self.now(),
            sender_report: None,
        }
    }

    fn video(&mut self, timestamp: u32, payload: &[u8]) {
        let packet = self.packet(Codec::H264, timestamp, payload);
        self.depacketizer.push(&packet);
    }

    /// Renders what comes out now.
    fn pulled(&mut self) -> Vec<String> {
        let now = self.now();
        std::iter::from_fn(|| self.depacketizer.pull(now)).map(|it| told(&it)).collect()
    }
}

fn told(it: &Depacketized) -> String {
    match it {
        Depacketized::Frame(kind, frame) => {
            let key = if frame.keyframe { "key" } else { "inter" };
            format!("{} {key} {} {}", kind.as_str(), frame.pts_ticks, frame.data.len())
        }
        Depacketized::Lost { kind, packets } => format!("{} lost {packets}", kind.as_str()),
        Depacketized::KeyframeWanted => "keyframe wanted".into(),
        Depacketized::ClockJump { kind, by_ms } => format!("{} jump {by_ms}", kind.as_str()),
    }
}

fn stap(nals: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0x78];
    for nal in nals {
        payload.extend(u16::try_from(nal.len()).unwrap().to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payload
}

#[test]
fn a_browsers_audio_and_video_come_out_on_one_timeline() {
    let mut bench = Bench::new();
    bench.at_ms = 1_000;
    bench.video(7_000, &stap(&[&SPS, &PPS, &IDR]));
    let audio = bench.packet(Codec::Opus, 50, &[0xfc, 1, 2]);
    bench.seq_no -= 1; // each track counts for itself
    bench.depacketizer.push(&audio);
    assert_eq!(bench.pulled(), ["video key 90000 7", "audio key 48000 3"]);
    bench.at_ms = 1_033;
    bench.video(7_000 + INTER_TICKS, &INTER);
    assert_eq!(bench.pulled(), ["video inter 93000 7"]);
}

#[test]
fn a_frame_is_an_mp4_sample_and_shares_its_configuration() {
    let mut bench = Bench::new();
    bench.video(0, &stap(&[&SPS, &PPS, &IDR]));
    bench.video(3_000, &INTER);
    bench.video(6_000, &stap(&[&SPS, &PPS, &IDR]));
    let now = bench.now();
    let frames: Vec<Frame> = std::iter::from_fn(|| bench.depacketizer.pull(now))
        .map(|it| match it {
            Depacketized::Frame(MediaKind::Video, frame) => frame,
            other => panic!("{}", told(&other)),
        })
        .collect();
    let [first, second, third] = frames.as_slice() else { panic!("{} frames", frames.len()) };
    assert_eq!(&first.data[..], [&[0, 0, 0, 3][..], &IDR].concat());
    assert!(Arc::ptr_eq(&first.config, &second.config) && Arc::ptr_eq(&first.config, &third.config));
    let CodecConfig::H264 { sps, pps, width, height } = &*first.config else { panic!("{:?}", first.config) };
    assert_eq!((&sps[..], &pps[..], *width, *height), (&SPS[..], &PPS[..], 1280, 720));
}

#[test]
fn after_a_loss_frames_are_dropped_until_the_next_keyframe() {
    let mut bench = Bench::new();
    bench.video(0, &stap(&[&SPS, &PPS, &IDR]));
    bench.seq_no += 2;
    bench.video(3_000, &INTER);
    assert_eq!(bench.pulled(), ["video key 0 7"]);
    bench.at_ms = 499;
    assert_eq!(bench.pulled(), [""; 0]);
    bench.at_ms = 500;
    assert_eq!(bench.pulled(), ["video lost 2", "keyframe wanted"]);
    bench.at_ms = 1_499;
    bench.video(135_000, &INTER);
    assert_eq!(bench.pulled(), [""; 0]);
    bench.at_ms = 1_500;
    assert_eq!(bench.pulled(), ["keyframe wanted"]);
    bench.video(138_000, &IDR);
    assert_eq!(bench.pulled(), ["video key 138000 7"]);
    bench.at_ms = 9_000;
    assert_eq!(bench.pulled(), [""; 0]);
}

#[test]
fn a_retransmission_within_the_wait_repairs_the_loss() {
    let mut bench = Bench::new();
    bench.video(0, &stap(&[&SPS, &PPS, &IDR]));
    let missing = bench.packet(Codec::H264, 3_000, &INTER);
    bench.video(6_000, &INTER);
    assert_eq!(bench.pulled(), ["video key 0 7"]);
    bench.at_ms = 400;
    bench.depacketizer.push(&missing);
    assert_eq!(bench.pulled(), ["video inter 3000 7", "video inter 6000 7"]);
}

#[test]
fn a_stream_that_begins_without_keyframe_asks_for_one() {
    let mut bench = Bench::new();
    bench.video(0, &INTER);
    bench.video(3_000, &IDR);
    assert_eq!(bench.pulled(), ["keyframe wanted"], "and an IDR without parameter sets is none");
    bench.at_ms = 66;
    bench.video(6_000, &stap(&[&SPS, &PPS, &IDR]));
    assert_eq!(bench.pulled(), ["video key 6000 7"]);
}

#[test]
fn audio_goes_on_behind_its_losses() {
    let mut bench = Bench::new();
    for n in [0, 1, 3] {
        let mut packet = bench.packet(Codec::Opus, n * 960, &[0xfc, 1]);
        packet.seq_no = 10 + u64::from(n);
        bench.depacketizer.push(&packet);
    }
    assert_eq!(bench.pulled(), ["audio key 0 2", "audio key 960 2"]);
    bench.depacketizer.flush();
    assert_eq!(bench.pulled(), ["audio lost 1", "audio key 2880 2"]);
}

#[test]
fn a_returning_publisher_continues_the_timeline_by_its_arrival() {
    let mut bench = Bench::new();
    bench.video(0, &stap(&[&SPS, &PPS, &IDR]));
    bench.pulled();
    bench.depacketizer = Depacketizer::new(bench.origin);
    bench.at_ms = 10_000;
    bench.video(123_456, &stap(&[&SPS, &PPS, &IDR]));
    assert_eq!(bench.pulled(), ["video key 900000 7"]);
}

#[test]
fn padding_on_the_media_ssrc_is_no_picture() {
    let h264 = (Codec::H264, stap(&[&SPS, &PPS, &IDR]), INTER.to_vec());
    // What libvpx begins a keyframe of 854x480 with, and a predicted picture, each in one packet.
    let vp9 = (
        Codec::Vp9,
        vec![0x0c, 0x82, 0x49, 0x83, 0x42, 0x00, 0x35, 0x50, 0x1d, 0xf6, 0x08],
        vec![0x4c, 0x86, 0x00, 0x40],
    );
    // A sequence header with its length and a key frame, then an inter frame.
    let sequence = [0x28, 12, 0x08, 0x00, 0x00, 0x00, 0x24, 0xc6, 0xab, 0xdf, 0x3e, 0xfe, 0x40, 0x10];
    let av1 = (Codec::Av1, [&sequence[..], &[0x30, 0x10, 0xaa, 0xbb]].concat(), vec![0x10, 0x30, 0x30, 0xcc]);
    for (codec, key, inter) in [h264, vp9, av1] {
        let mut bench = Bench::new();
        // Padding comes behind a picture, with its timestamp or one of its own.
        for (timestamp, payload) in [(0, &key[..]), (0, &[]), (3_000, &inter), (4_500, &[]), (6_000, &inter)] {
            let packet = bench.packet(codec, timestamp, payload);
            bench.depacketizer.push(&packet);
        }
        let pulled = bench.pulled();
        assert_eq!(pulled.len(), 3, "{codec:?}: {pulled:?}");
        assert!(pulled[0].starts_with("video key 0") && pulled[2].starts_with("video inter 6000"), "{pulled:?}");
    }
}

#[test]
fn a_clock_jump_is_told_before_the_frame_that_follows_it() {
    let mut bench = Bench::new();
    bench.video(0, &stap(&[&SPS, &PPS, &IDR]));
    bench.at_ms = 100;
    bench.video(900_000, &INTER);
    assert_eq!(bench.pulled(), ["video key 0 7", "video jump 9900", "video inter 9000 7"]);
}

#[test]
fn vp8_is_dropped_in_silence() {
    let mut bench = Bench::new();
    let packet = bench.packet(Codec::Vp8, 0, &[0x10, 0, 0, 0]);
    bench.depacketizer.push(&packet);
    assert!(packet.starts_keyframe);
    assert_eq!(bench.pulled(), [""; 0]);
}

#[test]
fn a_flush_brings_out_the_frame_that_waits_for_its_successor() {
    let mut bench = Bench::new();
    let mut packet = bench.packet(Codec::H264, 0, &stap(&[&SPS, &PPS, &IDR]));
    packet.marker = false;
    bench.depacketizer.push(&packet);
    assert_eq!(bench.pulled(), [""; 0]);
    bench.depacketizer.flush();
    assert_eq!(bench.pulled(), ["video key 0 7"]);
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus])
}

/// Payloads near enough to real ones to get past the first byte.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        0x65, 0x67, 0x68, 0x78, 0x7c, 0x28, 0x60, 0x62, 0x08, 0x8c, 0x0e, 0xbe, 0x10, 0x50, 0x90, 0x20,
    ]);
    let likely =
        (first, prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 0x0a, 0x49, 0x82, 0x85, 0xff]), 0..40))
            .prop_map(|(first, rest)| [vec![first], rest].concat());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..60), likely]
}

proptest! {
    #[test]
    fn whatever_is_sent_nothing_panics_and_times_grow(
        packets in prop::collection::vec(
            (any_codec(), any_payload(), 0..40_u64, 0..4_u32, any::<bool>(), 0..300_u64), 1..200),
    ) {
        let mut bench = Bench::new();
        let mut last = [(-1, false); 2];
        for (codec, payload, skew, later, marker, later_ms) in packets {
            let _ = starts_keyframe(codec, &payload);
            let mut packet = bench.packet(codec, later * 3_000, &payload);
            packet.marker = marker;
            packet.seq_no += skew / 38;
            bench.depacketizer.push(&packet);
            bench.at_ms += later_ms;
            let now = bench.now();
            while let Some(it) = bench.depacketizer.pull(now) {
                let Depacketized::Frame(kind, frame) = it else { continue };
                let (last, begun) = &mut last[usize::from(kind == MediaKind::Video)];
                prop_assert!(frame.dts_ticks > *last && frame.pts_ticks >= 0);
                prop_assert!(*begun || frame.keyframe);
                (*last, *begun) = (frame.dts_ticks, true);
            }
        }
        bench.depacketizer.flush();
    }
}
