//! Arbitrary packets of one publisher: whatever comes, times grow and stay near the clock on the wall.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use onair_media::{Codec, Depacketized, Depacketizer, EncodingId, MediaKind, RtpPacket, SenderReport, starts_keyframe};

#[derive(Debug, Arbitrary)]
enum Sent {
    Opus,
    H264,
    H265,
    Vp8,
    Vp9,
    Av1,
}

#[derive(Debug, Arbitrary)]
struct Packet {
    codec: Sent,
    /// To the sequence number of the packet before.
    seq_step: i8,
    seq_jump: Option<u64>,
    /// To the timestamp of the packet before.
    timestamp_step: i16,
    timestamp_jump: Option<u32>,
    marker: bool,
    payload: Vec<u8>,
    later_ms: u16,
    report: Option<(u64, u32, u32)>,
}

/// What a track may ever be from its arrival: 20 s of lead, and what one jump adds before it is seen.
const AWAY_MAX_S: i64 = 30;

fuzz_target!(|packets: Vec<Packet>| {
    let origin = Instant::now();
    let mut now = origin;
    let mut depacketizer = Depacketizer::new(origin);
    let (mut seq_no, mut timestamp) = (1_000_u64, 0_u32);
    let mut last_dts = [-1; 2];
    for packet in packets {
        now += Duration::from_millis(packet.later_ms.into());
        seq_no = packet.seq_jump.unwrap_or(seq_no.wrapping_add_signed(packet.seq_step.into()));
        timestamp = packet.timestamp_jump.unwrap_or(timestamp.wrapping_add_signed(packet.timestamp_step.into()));
        let codec = match packet.codec {
            Sent::Opus => Codec::Opus,
            Sent::H264 => Codec::H264,
            Sent::H265 => Codec::H265,
            Sent::Vp8 => Codec::Vp8,
            Sent::Vp9 => Codec::Vp9,
            Sent::Av1 => Codec::Av1,
        };
        let sender_report = packet.report.map(|(seconds, nanos, rtp_timestamp)| SenderReport {
            ntp: Duration::new(seconds, nanos % 1_000_000_000),
            rtp_timestamp,
        });
        depacketizer.push(&RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no,
            timestamp,
            marker: packet.marker,
            starts_keyframe: starts_keyframe(codec, &packet.payload),
            payload: packet.payload.into(),
            received_at: now,
            sender_report,
        });
        drain(&mut depacketizer, origin, now, &mut last_dts);
    }
    depacketizer.flush();
    drain(&mut depacketizer, origin, now, &mut last_dts);
});

fn drain(depacketizer: &mut Depacketizer, origin: Instant, now: Instant, last_dts: &mut [i64; 2]) {
    while let Some(out) = depacketizer.pull(now) {
        let Depacketized::Frame(kind, frame) = out else { continue };
        let (last, rate) = match kind {
            MediaKind::Audio => (&mut last_dts[0], 48_000),
            MediaKind::Video => (&mut last_dts[1], 90_000),
        };
        assert!(frame.dts_ticks > *last, "decoding times grow");
        assert_eq!(frame.config.codec().kind(), kind);
        *last = frame.dts_ticks;
        let passed_s = i64::try_from((now - origin).as_secs()).expect("a fuzzed broadcast is short");
        assert!(
            (0..(passed_s + AWAY_MAX_S) * rate).contains(&frame.pts_ticks),
            "{} after {passed_s} s",
            frame.pts_ticks
        );
    }
    let _ = (depacketizer.alignment(), depacketizer.drift_ppm());
}
