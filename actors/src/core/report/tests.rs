//! What publishers of different kinds are told.

use onair_media::{Codec, SenderReport};

use super::*;
use crate::core::encodings::tests::vp8;

const FRAME: Duration = Duration::from_millis(33);

/// Says what frame `number` is like; it may be changed before it is sent.
struct Camera {
    start: Instant,
    report: PublisherReport,
}

impl Camera {
    fn new() -> Self {
        Self { start: Instant::now(), report: PublisherReport::default() }
    }

    fn at(&self, frame: u64) -> Instant {
        self.start + FRAME * frame as u32
    }

    /// Sends frames of a healthy publisher: a packet each, a keyframe every two seconds, sender reports.
    fn film(&mut self, frames: std::ops::Range<u64>, change: impl Fn(u64, &mut RtpPacket)) {
        for frame in frames {
            let keyframe = frame.is_multiple_of(60).then_some(640);
            let mut packet = vp8(0, keyframe, 100, self.at(frame));
            (packet.seq_no, packet.timestamp) = (frame, frame as u32 * 2970);
            packet.sender_report = Some(SenderReport { ntp: Duration::ZERO, rtp_timestamp: 0 });
            change(frame, &mut packet);
            self.report.note(&packet);
        }
    }

    fn codes(&self, frame: u64) -> Vec<&'static str> {
        let findings = self.report.findings(EncodingId::default(), self.at(frame));
        findings.iter().map(|finding| finding.code).collect()
    }
}

#[test]
fn a_healthy_publisher_hears_nothing() {
    let mut camera = Camera::new();
    camera.film(0..2000, |_, _| {});
    assert_eq!(camera.codes(2000), [""; 0]);
    assert!(PublisherReport::default().findings(EncodingId::default(), camera.start).is_empty());
}

#[test]
fn each_fault_is_named_and_goes_when_it_is_mended() {
    type Fault = fn(u64, &mut RtpPacket);
    let faults: [(&str, Fault); 6] = [
        // I P B B as encoders send it: the P is shown after those that follow it.
        ("b_frames", |frame, packet| {
            packet.timestamp = ([0, 3, 1, 2][frame as usize % 4] + frame as u32 / 4 * 4) * 2970
        }),
        ("keyframe_interval", |frame, packet| packet.starts_keyframe = frame.is_multiple_of(300)),
        ("low_frame_rate", |frame, packet| packet.timestamp = frame as u32 / 5 * 5 * 2970),
        ("loss", |frame, packet| packet.seq_no += frame / 20),
        ("jitter", |frame, packet| packet.received_at += Duration::from_millis(frame % 2 * 150)),
        ("resolution_changes", |frame, packet| {
            if frame.is_multiple_of(60) {
                *packet = RtpPacket {
                    payload: vp8(0, Some(640 + frame as u16), 100, packet.received_at).payload,
                    ..packet.clone()
                };
            }
        }),
    ];
    for (code, fault) in faults {
        let mut camera = Camera::new();
        camera.film(0..700, fault);
        assert_eq!(camera.codes(700), [code]);
        let finding = &camera.report.findings(EncodingId::default(), camera.at(700))[0];
        assert!(!finding.detail.is_empty() && !finding.advice.is_empty());
        camera.film(700..4000, |_, packet| packet.seq_no += 35);
        assert_eq!(camera.codes(4000), [""; 0], "{code} is mended");
    }
}

#[test]
fn a_publisher_that_answers_no_request_is_told() {
    let mut camera = Camera::new();
    camera.film(0..90, |_, _| {});
    camera.report.asked_for_keyframes(EncodingSet::ALL, camera.at(90));
    assert_eq!(camera.codes(100), [""; 0]);
    assert_eq!(camera.codes(151), ["keyframe_requests_ignored"]);
    camera.film(90..160, |_, _| {});
    assert_eq!(camera.codes(160), [""; 0], "one came");
}

#[test]
fn without_sender_reports_nothing_aligns_sound_and_pictures() {
    let mut camera = Camera::new();
    camera.film(0..500, |_, packet| packet.sender_report = None);
    assert_eq!(camera.codes(500), ["no_sender_reports"]);
}

#[test]
fn a_track_that_falls_silent_is_named_and_nothing_else_of_it() {
    let mut camera = Camera::new();
    camera.film(0..1000, |_, packet| packet.sender_report = None);
    let opus = RtpPacket { codec: Codec::Opus, ..vp8(0, None, 20, camera.at(1000)) };
    camera.report.note(&opus);
    let findings = camera.report.findings(EncodingId::default(), camera.at(1093));
    let named: Vec<_> = findings.iter().map(|finding| (finding.code, finding.track)).collect();
    assert_eq!(named, [("silent", MediaKind::Video), ("silent", MediaKind::Audio)]);
    camera.report.clear();
    assert_eq!(camera.codes(1093), [""; 0]);
}

#[test]
fn a_sender_that_numbers_anew_has_lost_nothing() {
    let mut camera = Camera::new();
    camera.film(0..450, |_, _| {});
    camera.film(450..1000, |_, packet| packet.seq_no += 10_000_000);
    assert_eq!(camera.codes(1000), [""; 0]);
}
