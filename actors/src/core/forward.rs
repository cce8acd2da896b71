//! Rewrites a publisher's packets for one viewer: sequence numbers and timestamps that never break, from a keyframe on.

use std::time::{Duration, Instant};

use onair_media::{Codec, MediaKind, RtpPacket, SenderReport, SourceId};

/// How often a viewer that waits for a keyframe asks again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How far a number may be from the newest one: some seconds of loss or reordering at any bitrate we carry, and
/// SRTP's own reach is but ten times that (RFC 3711 §3.3.1).
const RUN_REACH: u64 = 3000;

/// Holds what one viewer has got so far, for both of its tracks.
#[derive(Debug)]
pub struct Forwarder {
    audio: Track,
    video: Track,
    asked_at: Option<Instant>,
    /// One moment on the sender's clock and on ours, so that the sender reports of both tracks agree.
    anchor: Option<(SourceId, Duration, Instant)>,
}

/// Says how a packet is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// Extended sequence number; the first one of a track is below 65,536, so that the viewer's SRTP roll-over count
    /// starts at zero as ours does (RFC 3711 §3.3.1).
    pub seq_no: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// When the sender captured it, on our clock, for the sender reports; its arrival, when the sender does not tell.
    pub wallclock: Instant,
}

#[derive(Debug)]
struct Track {
    /// The run of packets that is being forwarded, once one has begun.
    run: Option<Run>,
    next_seq_no: u64,
    last: Option<(u32, Instant)>,
    first_timestamp: u32,
}

/// Packets of one source and codec without a gap of ours: one shift for all of them.
#[derive(Debug, Clone, Copy)]
struct Run {
    source: SourceId,
    codec: Codec,
    first_seq_no: u64,
    newest_seq_no: u64,
    seq_shift: i64,
    timestamp_shift: u32,
}

impl Forwarder {
    /// Creates one with unpredictable starts (RFC 3550 §5.1), drawn by the caller.
    pub fn new(seed: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = seed;
        Self {
            audio: Track::new(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
            video: Track::new(u16::from_be_bytes([g, h]), u32::from_be_bytes([i, j, k, l])),
            asked_at: None,
            anchor: None,
        }
    }

    /// Notes that packets were withheld: the viewer goes on at the next keyframe, and sees no gap in the numbers.
    pub fn skipped(&mut self) {
        self.audio.run = None;
        self.video.run = None;
    }

    /// Decides whether and how a packet goes to this viewer. Video waits for a keyframe.
    pub fn forward(&mut self, source: SourceId, packet: &RtpPacket) -> Option<Forwarded> {
        let wallclock = self.wallclock(source, packet);
        let track = match packet.codec.kind() {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        };
        let (seq_no, timestamp) = track.forward(source, packet)?;
        Some(Forwarded { seq_no, timestamp, wallclock })
    }

    /// Returns true, at most once a second, while video comes but cannot be shown for lack of a keyframe.
    pub fn wants_keyframe(&mut self, now: Instant) -> bool {
        let due = self.asked_at.is_none_or(|asked| now.saturating_duration_since(asked) >= ASK_AGAIN_AFTER);
        let wants = self.video.run.is_none() && due;
        if wants {
            self.asked_at = Some(now);
        }
        wants
    }

    fn wallclock(&mut self, source: SourceId, packet: &RtpPacket) -> Instant {
        let Some(report) = packet.sender_report else { return packet.received_at };
        let captured = captured_ntp(report, packet);
        if self.anchor.is_none_or(|(anchored, ..)| anchored != source) {
            self.anchor = Some((source, captured, packet.received_at));
        }
        let Some((_, ntp, at)) = self.anchor else { return packet.received_at };
        let ours = match captured.checked_sub(ntp) {
            Some(later) => at.checked_add(later),
            None => at.checked_sub(ntp - captured),
        };
        // A lying report must not send the viewer's clock away.
        ours.filter(|ours| abs_diff(*ours, packet.received_at) < Duration::from_secs(5)).unwrap_or(packet.received_at)
    }
}

impl Track {
    fn new(first_seq_no: u16, first_timestamp: u32) -> Self {
        Self { run: None, next_seq_no: u64::from(first_seq_no), last: None, first_timestamp }
    }

    fn forward(&mut self, source: SourceId, packet: &RtpPacket) -> Option<(u64, u32)> {
        let goes_on = |run: &Run| run.source == source && run.codec == packet.codec && run.is_near(packet.seq_no);
        let mut run = match self.run.filter(goes_on) {
            Some(run) => run,
            None => self.begin(source, packet)?,
        };
        run.newest_seq_no = run.newest_seq_no.max(packet.seq_no);
        self.run = Some(run);
        if packet.seq_no < run.first_seq_no {
            return None;
        }
        let seq_no = packet.seq_no.checked_add_signed(run.seq_shift)?;
        let timestamp = packet.timestamp.wrapping_add(run.timestamp_shift);
        self.next_seq_no = self.next_seq_no.max(seq_no + 1);
        self.last = Some((timestamp, packet.received_at));
        Some((seq_no, timestamp))
    }

    /// Begins a run at a packet where a decoder may start.
    fn begin(&mut self, source: SourceId, packet: &RtpPacket) -> Option<Run> {
        self.run = None;
        if !packet.starts_keyframe {
            return None;
        }
        let timestamp = match self.last {
            None => self.first_timestamp,
            Some((last, at)) => {
                let elapsed = packet.received_at.saturating_duration_since(at);
                let ticks = elapsed.as_secs_f64() * f64::from(packet.codec.clock_rate_hz());
                last.wrapping_add((ticks as u64).max(1) as u32)
            }
        };
        let run = Run {
            source,
            codec: packet.codec,
            first_seq_no: packet.seq_no,
            newest_seq_no: packet.seq_no,
            seq_shift: (self.next_seq_no as i64).checked_sub_unsigned(packet.seq_no)?,
            timestamp_shift: timestamp.wrapping_sub(packet.timestamp),
        };
        self.run = Some(run);
        self.run
    }
}

impl Run {
    /// Tells whether a number belongs to the run: a sender that changes its SSRC in mid-session numbers anew.
    const fn is_near(&self, seq_no: u64) -> bool {
        seq_no + RUN_REACH >= self.newest_seq_no && seq_no <= self.newest_seq_no + RUN_REACH
    }
}

/// Returns the sender's wall clock at the packet's capture.
fn captured_ntp(report: SenderReport, packet: &RtpPacket) -> Duration {
    let ticks = i64::from(packet.timestamp.wrapping_sub(report.rtp_timestamp) as i32);
    let rate = i64::from(packet.codec.clock_rate_hz());
    let micros = ticks * 1_000_000 / rate;
    let shift = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { report.ntp.saturating_sub(shift) } else { report.ntp.saturating_add(shift) }
}

fn abs_diff(a: Instant, b: Instant) -> Duration {
    a.saturating_duration_since(b).max(b.saturating_duration_since(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 12] = [255; 12];

    fn video(seq_no: u64, timestamp: u32, starts_keyframe: bool, received_at: Instant) -> RtpPacket {
        let payload = [0_u8; 4].into();
        RtpPacket {
            codec: Codec::H264,
            seq_no,
            timestamp,
            marker: true,
            starts_keyframe,
            payload,
            received_at,
            sender_report: None,
        }
    }

    #[test]
    fn video_begins_with_a_keyframe_and_below_the_first_roll_over() {
        let start = Instant::now();
        let mut forwarder = Forwarder::new(SEED);
        assert_eq!(forwarder.forward(SourceId(1), &video(5_000_000, 90, false, start)), None);
        assert!(forwarder.wants_keyframe(start));
        assert!(!forwarder.wants_keyframe(start + Duration::from_millis(999)));
        let first = forwarder.forward(SourceId(1), &video(5_000_001, 3090, true, start)).unwrap();
        assert_eq!(first.seq_no, 65_535);
        assert!(!forwarder.wants_keyframe(start + Duration::from_secs(5)));
        // Late packets from before the keyframe stay out; later ones keep their distance, over the roll-over too.
        assert_eq!(forwarder.forward(SourceId(1), &video(5_000_000, 90, false, start)), None);
        let third = forwarder.forward(SourceId(1), &video(5_000_003, 9090, false, start)).unwrap();
        assert_eq!(third.seq_no, 65_537);
        assert_eq!(third.timestamp.wrapping_sub(first.timestamp), 6000);
    }

    #[test]
    fn a_returning_publisher_breaks_neither_numbers_nor_time() {
        let start = Instant::now();
        let mut forwarder = Forwarder::new(SEED);
        let first = forwarder.forward(SourceId(1), &video(100, 7, true, start)).unwrap();
        let later = start + Duration::from_secs(2);
        assert_eq!(forwarder.forward(SourceId(2), &video(9, 4_000_000_000, false, later)), None);
        let second = forwarder.forward(SourceId(2), &video(10, 4_000_000_000, true, later)).unwrap();
        assert_eq!(second.seq_no, first.seq_no + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 180_000);
    }

    #[test]
    fn a_gap_of_ours_is_no_gap_for_the_viewer() {
        let start = Instant::now();
        let mut forwarder = Forwarder::new(SEED);
        let first = forwarder.forward(SourceId(1), &video(100, 0, true, start)).unwrap();
        forwarder.skipped();
        let at = start + Duration::from_secs(1);
        assert_eq!(forwarder.forward(SourceId(1), &video(150, 90_000, false, at)), None);
        let second = forwarder.forward(SourceId(1), &video(151, 90_000, true, at)).unwrap();
        assert_eq!(second.seq_no, first.seq_no + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 90_000);
    }

    #[test]
    fn a_sender_that_numbers_anew_goes_on_at_its_keyframe() {
        let start = Instant::now();
        for restart in [7, 9_000_000] {
            let mut forwarder = Forwarder::new(SEED);
            let first = forwarder.forward(SourceId(1), &video(100_000, 0, true, start)).unwrap();
            assert_eq!(forwarder.forward(SourceId(1), &video(restart, 0, false, start)), None);
            assert!(forwarder.wants_keyframe(start));
            let second = forwarder.forward(SourceId(1), &video(restart + 1, 0, true, start)).unwrap();
            assert_eq!(second.seq_no, first.seq_no + 1);
        }
    }

    #[test]
    fn sender_reports_keep_both_tracks_on_one_clock() {
        let start = Instant::now();
        let report = |rtp_timestamp| Some(SenderReport { ntp: Duration::from_secs(1000), rtp_timestamp });
        let mut forwarder = Forwarder::new(SEED);
        // Captured together, but the picture took 80 ms longer to arrive.
        let sound = RtpPacket { codec: Codec::Opus, sender_report: report(48_000), ..video(1, 48_000, true, start) };
        let late = start + Duration::from_millis(80);
        let picture = RtpPacket { sender_report: report(90_000), ..video(1, 90_000, true, late) };
        let sound = forwarder.forward(SourceId(1), &sound).unwrap();
        let picture = forwarder.forward(SourceId(1), &picture).unwrap();
        assert_eq!(sound.wallclock, picture.wallclock);
    }
}
