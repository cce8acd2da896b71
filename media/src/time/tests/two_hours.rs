//! Two hours of a sender whose audio and video clocks drift apart, over a network that jitters, stalls and bursts.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::packet::{EncodingId, SenderReport};

const TWO_HOURS_US: i64 = 2 * 3600 * 1_000_000;

/// What is not seen: ITU-R BT.1359 puts the threshold at 45 ms for sound that is early.
const SKEW_MAX_US: i64 = 40_000;

/// Where a sender starts within the jitter of its first packets, by so much audio and video may be apart at first.
const SETTLED_US: i64 = 240 * 1_000_000;

/// 0.5 % of a video frame of 3,000 ticks, and what the division left over from the one before.
const BENT_BY_REPORTS: i64 = 16;

/// 500 ppm of it, likewise.
const BENT_BY_ARRIVAL: i64 = 3;

/// Something that happens to the sender or its network.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Nothing arrives for so long; then everything at once.
    Stall { at_s: i64, for_ms: i64 },
    /// The RTP clock of a track steps.
    RtpStep { at_s: i64, kind: MediaKind, by_ms: i64 },
    /// The wall clock that reports are made of steps.
    WallStep { at_s: i64, by_ms: i64 },
}

/// How reports are sent.
#[derive(Debug, Clone, Copy)]
struct Reporting {
    from_s: i64,
    until_s: i64,
}

const NEVER: Reporting = Reporting { from_s: i64::MAX, until_s: 0 };
const ALWAYS: Reporting = Reporting { from_s: 0, until_s: i64::MAX };

#[derive(Debug, Clone)]
struct Sender {
    audio_ppm: i64,
    video_ppm: i64,
    /// The RTP timestamps at the start.
    first: (u32, u32),
    jitter_us: i64,
    seed: u64,
    reporting: Reporting,
    events: Vec<Event>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// Audio minus video at the end: where what was captured together is presented apart.
    skew_us: i64,
    /// The widest it ever was after it had time to settle.
    widest_us: i64,
    /// How far the distance of two frames was from what their clock says, at most.
    bent_ticks: i64,
    jumps: usize,
    alignment: Option<Alignment>,
    drift_ppm: Option<i64>,
}

impl Sender {
    fn steady(audio_ppm: i64, video_ppm: i64, reporting: Reporting) -> Self {
        // Audio wraps after 20 minutes.
        let first = (u32::MAX - 48_000 * 1_200, 7);
        Self { audio_ppm, video_ppm, first, jitter_us: 30_000, seed: 1, reporting, events: Vec::new() }
    }

    fn with(mut self, events: &[Event]) -> Self {
        self.events = events.to_vec();
        self
    }

    /// What the track's clock shows at `us`.
    fn timestamp(&self, kind: MediaKind, us: i64) -> u32 {
        let (ppm, first, rate) = match kind {
            MediaKind::Audio => (self.audio_ppm, self.first.0, 48_000),
            MediaKind::Video => (self.video_ppm, self.first.1, 90_000),
        };
        let stepped_us: i64 = self
            .events
            .iter()
            .filter_map(|event| match *event {
                Event::RtpStep { at_s, kind: of, by_ms } if of == kind && us >= at_s * 1_000_000 => Some(by_ms * 1000),
                _ => None,
            })
            .sum();
        let shown_us = us + stepped_us + us * ppm / 1_000_000;
        first.wrapping_add((i128::from(shown_us) * rate / 1_000_000) as u32)
    }

    /// The latest report of a track at `us`: one every 5 s, those of the video in between those of the audio.
    fn report(&self, kind: MediaKind, us: i64) -> Option<SenderReport> {
        let phase_us = if kind == MediaKind::Audio { 0 } else { 2_300_000 };
        let earliest_us = self.reporting.from_s.saturating_mul(1_000_000).saturating_add(phase_us);
        let latest_us = us.min(self.reporting.until_s.saturating_mul(1_000_000));
        let said_us = (latest_us - phase_us).div_euclid(5_000_000) * 5_000_000 + phase_us;
        if said_us < earliest_us {
            return None;
        }
        let wall = |event: &Event| match *event {
            Event::WallStep { at_s, by_ms } if said_us >= at_s * 1_000_000 => by_ms * 1000,
            _ => 0,
        };
        let ntp_us = 1_000_000_000_000 + said_us + self.events.iter().map(wall).sum::<i64>();
        let ntp = Duration::from_micros(ntp_us.unsigned_abs());
        Some(SenderReport { ntp, rtp_timestamp: self.timestamp(kind, said_us) })
    }

    fn arrival_us(&self, captured_us: i64, random: &mut u64) -> i64 {
        // Knuth's MMIX generator.
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let jitter_us = (*random >> 33) as i64 % (2 * self.jitter_us + 1) - self.jitter_us;
        let at_us = captured_us + 50_000 + jitter_us;
        self.events.iter().fold(at_us, |at_us, event| match *event {
            Event::Stall { at_s, for_ms } if (0..for_ms * 1000).contains(&(at_us - at_s * 1_000_000)) => {
                at_s * 1_000_000 + for_ms * 1000
            }
            _ => at_us,
        })
    }

    fn play(&self) -> Outcome {
        let origin = Instant::now();
        let mut timeline = Timeline::new(origin);
        let mut outcome = Outcome::default();
        let (mut random, mut arrived_us) = (self.seed, 0);
        // Capture time, then presentation minus capture, timestamp and presentation of the last frame.
        let mut next_us = [0, 0];
        let mut late_us = [None; 2];
        let mut last: [Option<(u32, i64)>; 2] = [None; 2];
        while next_us[0] < TWO_HOURS_US {
            let track = usize::from(next_us[1] < next_us[0]);
            let (kind, codec) = [(MediaKind::Audio, Codec::Opus), (MediaKind::Video, Codec::Vp9)][track];
            let captured_us = next_us[track];
            next_us[track] += [20_000, 33_333][track];
            arrived_us = arrived_us.max(self.arrival_us(captured_us, &mut random));
            let received_at = origin + Duration::from_micros(arrived_us.unsigned_abs());
            let timestamp = self.timestamp(kind, captured_us);
            timeline.observe(&RtpPacket {
                encoding: EncodingId::default(),
                codec,
                seq_no: 0,
                timestamp,
                marker: true,
                starts_keyframe: true,
                payload: [0_u8].into(),
                received_at,
                sender_report: self.report(kind, captured_us),
            });
            let placed = timeline.place(codec, timestamp, received_at).unwrap();
            outcome.jumps += usize::from(placed.jump_ms.is_some());
            if let Some((last_timestamp, last_pts)) = last[track] {
                assert!(placed.pts_ticks > last_pts, "time stands still");
                let bent =
                    placed.pts_ticks - last_pts - i64::from(timestamp.wrapping_sub(last_timestamp).cast_signed());
                if placed.jump_ms.is_none() {
                    outcome.bent_ticks = outcome.bent_ticks.max(bent.abs());
                }
            }
            last[track] = Some((timestamp, placed.pts_ticks));
            late_us[track] = Some(placed.pts_ticks * 1_000_000 / i64::from(codec.clock_rate_hz()) - captured_us);
            if let [Some(audio_us), Some(video_us)] = late_us {
                outcome.skew_us = audio_us - video_us;
                if captured_us > SETTLED_US {
                    outcome.widest_us = outcome.widest_us.max(outcome.skew_us.abs());
                }
            }
        }
        outcome.alignment = timeline.aligned_by();
        outcome.drift_ppm = timeline.drift_ppm();
        outcome
    }
}

/// Asserts what holds for a sender that runs without a step of its RTP clocks.
fn assert_smooth(outcome: &Outcome, bent_max: i64) {
    assert!(outcome.widest_us < SKEW_MAX_US && outcome.skew_us.abs() < SKEW_MAX_US, "{outcome:?}");
    assert!(outcome.bent_ticks <= bent_max && outcome.jumps == 0, "{outcome:?}");
}

#[test]
fn by_sender_reports() {
    let outcome = Sender::steady(200, 0, ALWAYS).play();
    assert_smooth(&outcome, BENT_BY_REPORTS);
    assert_eq!(outcome.alignment, Some(Alignment::SenderReports));
}

#[test]
fn without_reports_over_a_network_that_jitters_and_stalls() {
    let stalls = [Event::Stall { at_s: 1_000, for_ms: 3_000 }, Event::Stall { at_s: 5_000, for_ms: 3_000 }];
    let outcome = Sender::steady(200, 0, NEVER).with(&stalls).play();
    assert_smooth(&outcome, BENT_BY_ARRIVAL);
    assert_eq!(outcome.alignment, Some(Alignment::Arrival));
    let drift_ppm = outcome.drift_ppm.unwrap();
    assert!((195..=205).contains(&drift_ppm), "{drift_ppm}");
}

#[test]
fn reports_that_begin_after_an_hour() {
    let outcome = Sender::steady(0, 200, Reporting { from_s: 3_600, until_s: i64::MAX }).play();
    assert_smooth(&outcome, BENT_BY_REPORTS);
    assert_eq!(outcome.alignment, Some(Alignment::SenderReports));
}

#[test]
fn reports_that_end_after_an_hour() {
    let outcome = Sender::steady(-100, 100, Reporting { from_s: 0, until_s: 3_600 }).play();
    assert_smooth(&outcome, BENT_BY_REPORTS);
    assert_eq!(outcome.alignment, Some(Alignment::Arrival));
}

#[test]
fn a_wall_clock_that_is_set_tears_nothing_apart() {
    let steps = [(600, 3_600_000), (1_800, -3_000), (3_000, 400), (4_201, -86_400_000), (5_402, 150)];
    let steps = steps.map(|(at_s, by_ms)| Event::WallStep { at_s, by_ms });
    assert_smooth(&Sender::steady(200, 0, ALWAYS).with(&steps).play(), BENT_BY_REPORTS);
}

#[test]
fn jumps_of_an_hour_leave_audio_and_video_together() {
    use MediaKind::{Audio, Video};
    let hour = 3_600_000;
    let jumps = [(1_000, Audio, hour), (1_000, Video, hour), (2_000, Audio, -hour), (3_000, Video, -hour)];
    let jumps = jumps.map(|(at_s, kind, by_ms)| Event::RtpStep { at_s, kind, by_ms });
    for reporting in [NEVER, ALWAYS] {
        let outcome = Sender::steady(200, 0, reporting).with(&jumps).play();
        assert!(outcome.skew_us.abs() < SKEW_MAX_US, "{outcome:?}");
        // At each jump the jitter of two packets shows, until arrival has told.
        assert!(outcome.widest_us < 2 * SKEW_MAX_US, "{outcome:?}");
        assert_eq!(outcome.jumps, 4);
    }
}

fn senders() -> impl Strategy<Value = Sender> {
    let reporting = prop_oneof![
        Just(NEVER),
        Just(ALWAYS),
        (0..7_000_i64).prop_map(|from_s| Reporting { from_s, until_s: i64::MAX }),
        (0..7_000_i64).prop_map(|until_s| Reporting { from_s: 0, until_s }),
    ];
    let event = prop_oneof![
        (SETTLED_US / 1_000_000..7_000, 100..3_000_i64).prop_map(|(at_s, for_ms)| Event::Stall { at_s, for_ms }),
        (0..7_000_i64, -4_000_000..4_000_000_i64).prop_map(|(at_s, by_ms)| Event::WallStep { at_s, by_ms }),
    ];
    let events = prop::collection::vec(event, 0..6);
    (-100..=100_i64, -100..=100_i64, any::<(u32, u32)>(), 0..=30_000_i64, any::<u64>(), reporting, events).prop_map(
        |(audio_ppm, video_ppm, first, jitter_us, seed, reporting, events)| Sender {
            audio_ppm,
            video_ppm,
            first,
            jitter_us,
            seed,
            reporting,
            events,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_sends_whatever_the_network_does_audio_and_video_stay_together(sender in senders()) {
        assert_smooth(&sender.play(), BENT_BY_REPORTS);
    }
}
