//! Two hours from packets to segments, with clocks that drift apart: nothing is dropped, and durations add up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use onair_media::{Alignment, Codec, Depacketized, Depacketizer, EncodingId, MediaKind, RtpPacket, SenderReport};

use crate::cut::Cut;
use crate::fragmenter::{Fragmenter, FragmenterSettings};

const TWO_HOURS_US: u64 = 2 * 3600 * 1_000_000;

/// Audio that runs 200 ppm fast: 1.44 s ahead after two hours, were it not made up for.
const AUDIO_PPM: u64 = 200;

/// An aggregation packet (RFC 6184 §5.7.1) of a sequence parameter set, a picture parameter set and an IDR slice.
const KEYFRAME: [u8; 23] = [
    0x78, 0, 9, 0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8, 0, 4, 0x68, 0xce, 0x38, 0x80, 0, 3, 0x65, 0x88,
    0x84,
];
const INTER: [u8; 3] = [0x41, 0x9a, 0x02];
const SOUND: [u8; 3] = [0xfc, 1, 2];

/// Sends what both tracks capture, each with a timestamp of its own clock.
struct Broadcast {
    origin: Instant,
    depacketizer: Depacketizer,
    fragmenter: Fragmenter,
    pushed: u64,
    /// Start of the first segment, and end of the last so far, in ticks.
    spans: BTreeMap<MediaKind, (i64, i64)>,
    samples: u64,
}

impl Broadcast {
    fn new() -> Self {
        let settings =
            FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };
        let origin = Instant::now();
        Self {
            origin,
            depacketizer: Depacketizer::new(origin),
            fragmenter: Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]),
            pushed: 0,
            spans: BTreeMap::new(),
            samples: 0,
        }
    }

    fn send(&mut self, codec: Codec, index: u64, captured_us: u64, payload: &[u8], reports: bool) {
        let at_us = captured_us + 40_000 + captured_us * 7919 % 60_000;
        // A stall of 3 s after an hour.
        let at_us = if (3_600_000_000..3_603_000_000).contains(&at_us) { 3_603_000_000 } else { at_us };
        let said_us = captured_us / 5_000_000 * 5_000_000;
        let report = SenderReport {
            ntp: Duration::from_micros(1_000_000_000_000 + said_us),
            rtp_timestamp: timestamp(codec, said_us),
        };
        self.depacketizer.push(&RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no: index,
            timestamp: timestamp(codec, captured_us),
            marker: true,
            starts_keyframe: payload.len() != INTER.len(),
            payload: payload.into(),
            received_at: self.origin + Duration::from_micros(at_us),
            sender_report: reports.then_some(report),
        });
        self.pull(self.origin + Duration::from_micros(at_us));
    }

    fn pull(&mut self, now: Instant) {
        while let Some(out) = self.depacketizer.pull(now) {
            match out {
                Depacketized::Frame(kind, frame) => {
                    self.pushed += 1;
                    self.fragmenter.push(kind, frame);
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(cut) = self.fragmenter.pull() {
            let Cut::Segment(segment) = cut else { continue };
            let end = segment.start_ticks + segment.duration_ticks as i64;
            let (_, last) = self.spans.entry(segment.kind).or_insert((segment.start_ticks, segment.start_ticks));
            assert_eq!(*last, segment.start_ticks, "durations add up");
            *last = end;
            self.samples += segment.parts.iter().map(|part| part.samples.len() as u64).sum::<u64>();
        }
    }

    fn finish(&mut self) {
        self.depacketizer.flush();
        self.pull(self.origin);
        self.fragmenter.finish();
        self.pull(self.origin);
    }
}

fn timestamp(codec: Codec, captured_us: u64) -> u32 {
    let ppm = if codec == Codec::Opus { AUDIO_PPM } else { 0 };
    let shown_us = captured_us + captured_us * ppm / 1_000_000;
    // Audio wraps after 10 minutes.
    let first = if codec == Codec::Opus { u32::MAX - 48_000 * 600 } else { 0 };
    first.wrapping_add((shown_us * u64::from(codec.clock_rate_hz()) / 1_000_000) as u32)
}

fn play(reports: bool) -> Alignment {
    let mut broadcast = Broadcast::new();
    let (mut audio, mut video) = (0, 0);
    while audio * 20_000 < TWO_HOURS_US {
        let (audio_us, video_us) = (audio * 20_000, video * 100_000 / 3);
        if video_us <= audio_us {
            let payload: &[u8] = if video.is_multiple_of(60) { &KEYFRAME } else { &INTER };
            broadcast.send(Codec::H264, video, video_us, payload, reports);
            video += 1;
        } else {
            broadcast.send(Codec::Opus, audio, audio_us, &SOUND, reports);
            audio += 1;
        }
    }
    let alignment = broadcast.depacketizer.alignment().expect("there are two tracks");
    broadcast.finish();
    assert_eq!((broadcast.pushed, broadcast.fragmenter.dropped_frames()), (audio + video, 0));
    assert_eq!(broadcast.samples, audio + video);
    for (kind, (start, end)) in broadcast.spans {
        let rate = if kind == MediaKind::Audio { 48_000 } else { 90_000 };
        // What two hours of capture last, in milliseconds: within the jitter of the first packet and a frame.
        let lasted_ms = (end - start) * 1000 / rate;
        assert!((lasted_ms - 7_200_000).abs() < 100, "{kind:?} lasts {lasted_ms} ms");
    }
    alignment
}

#[test]
fn with_sender_reports() {
    assert_eq!(play(true), Alignment::SenderReports);
}

#[test]
fn without_sender_reports() {
    assert_eq!(play(false), Alignment::Arrival);
}
