//! Rewrites one track for one viewer: sequence numbers and timestamps that never break, from a keyframe on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use onair_media::{Codec, EncodingId, RtpPacket, SourceId};

/// How far a number may be from the newest one: some seconds of loss or reordering at any bitrate we carry, and
/// SRTP's own reach is but ten times that (RFC 3711 §3.3.1).
const RUN_REACH: u64 = 3000;

/// How many earlier runs are remembered, for packets that are asked for again.
const PAST_RUNS: usize = 4;

/// How many ticks of the source pass before a run's beginning is forgotten: minutes at any clock rate.
const SETTLED_AFTER_TICKS: u32 = 1 << 24;

/// How many times faster than it was filmed a viewer sees what came before it joined, until it has caught up.
pub(super) const CATCH_UP_SPEED: u32 = 4;

/// Holds what one viewer has got so far of one track.
#[derive(Debug)]
pub(super) struct Numbering {
    /// The run of packets that is being sent, once one has begun.
    run: Option<Run>,
    past: VecDeque<Run>,
    next_seq_no: u64,
    last: Option<(u32, Instant)>,
    first_timestamp: u32,
}

/// What a packet is to this viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Extended sequence number; the first one of a track is below 65,536, so that the viewer's SRTP roll-over count
    /// starts at zero as ours does (RFC 3711 §3.3.1).
    pub(super) seq_no: u64,
    pub(super) timestamp: u32,
}

/// Where packets come from: they share a row of sequence numbers and a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: SourceId,
    pub(super) encoding: EncodingId,
}

impl Origin {
    const fn of(source: SourceId, packet: &RtpPacket) -> Self {
        Self { source, encoding: packet.encoding }
    }
}

/// Packets of one origin and codec without a gap of ours: one shift for all of them.
#[derive(Debug, Clone, Copy)]
struct Run {
    origin: Origin,
    codec: Codec,
    first_seq_no: u64,
    newest_seq_no: u64,
    seq_shift: i64,
    timeline: Timeline,
}

/// How the timestamps of a run become the viewer's.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    /// The source's timestamp at the beginning of the run, and the viewer's.
    from: u32,
    to: u32,
    catch_up: CatchUp,
}

/// How a run that begins in the past comes to the present: its first ticks pass [`CATCH_UP_SPEED`] times as fast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CatchUp {
    /// How many of the source's ticks are sped up.
    span_ticks: u32,
}

impl CatchUp {
    /// Plans for a run whose first packet is `behind_ticks` behind the newest one.
    ///
    /// At `n` times the speed, `b` ticks are made good within `b · n / (n − 1)` ticks of the source, for the present moves
    /// on meanwhile.
    pub(super) fn behind(behind_ticks: u32) -> Self {
        let span = u64::from(behind_ticks) * u64::from(CATCH_UP_SPEED) / u64::from(CATCH_UP_SPEED - 1);
        Self { span_ticks: u32::try_from(span).unwrap_or(0) }
    }

    /// Returns how many ticks it takes until the viewer is in the present.
    pub(super) const fn lasts(self) -> u32 {
        self.span_ticks / CATCH_UP_SPEED
    }

    /// Returns how many ticks pass for the viewer while `ticks` pass at the source.
    pub(super) fn shown(self, ticks: u32) -> u32 {
        let sped_up = ticks.min(self.span_ticks);
        sped_up / CATCH_UP_SPEED + (ticks - sped_up)
    }
}

impl Timeline {
    /// Forgets the beginning once nothing of it can be asked for any more: 32 bits of ticks are but half a day.
    fn settle(&mut self, timestamp: u32) {
        let ticks = timestamp.wrapping_sub(self.from);
        if ticks as i32 > 0 && ticks > self.catch_up.span_ticks.saturating_add(SETTLED_AFTER_TICKS) {
            *self = Self { from: timestamp, to: self.map(timestamp), catch_up: CatchUp::default() };
        }
    }

    fn map(&self, timestamp: u32) -> u32 {
        let ticks = timestamp.wrapping_sub(self.from);
        // Frames that are shown before the run's first one, and were sent after it, are not sped up.
        let is_before = ticks as i32 <= 0;
        self.to.wrapping_add(if is_before { ticks } else { self.catch_up.shown(ticks) })
    }
}

impl Run {
    /// Tells whether a number belongs to the run: a sender that changes its SSRC in mid-session numbers anew.
    const fn is_near(&self, seq_no: u64) -> bool {
        seq_no.abs_diff(self.newest_seq_no) <= RUN_REACH
    }

    fn numbered(&self, packet: &RtpPacket) -> Option<Numbered> {
        if packet.seq_no < self.first_seq_no {
            return None;
        }
        let seq_no = packet.seq_no.checked_add_signed(self.seq_shift)?;
        Some(Numbered { seq_no, timestamp: self.timeline.map(packet.timestamp) })
    }

    /// Returns the source's number of what the viewer knows as `seq_no`, if this run has it.
    fn original(&self, seq_no: u64) -> Option<u64> {
        let original = seq_no.checked_add_signed(self.seq_shift.checked_neg()?)?;
        (self.first_seq_no..=self.newest_seq_no).contains(&original).then_some(original)
    }
}

impl Numbering {
    /// Creates one with unpredictable starts (RFC 3550 §5.1), drawn by the caller.
    pub(super) fn new(first_seq_no: u16, first_timestamp: u32) -> Self {
        Self { run: None, past: VecDeque::new(), next_seq_no: first_seq_no.into(), last: None, first_timestamp }
    }

    /// Tells whether packets are being sent; if not, the track waits for a keyframe.
    pub(super) const fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Returns when the newest packet that was sent came.
    pub(super) fn newest_at(&self) -> Option<Instant> {
        self.last.map(|(_, at)| at)
    }

    /// Notes that packets were withheld: the viewer goes on at the next keyframe, and sees no gap in the numbers.
    pub(super) fn skip(&mut self) {
        let Some(run) = self.run.take() else { return };
        if self.past.len() == PAST_RUNS {
            self.past.pop_front();
        }
        self.past.push_back(run);
    }

    /// Begins a run at a keyframe of the past. `at` is now.
    pub(super) fn begin_in_the_past(&mut self, source: SourceId, packet: &RtpPacket, at: Instant, catch_up: CatchUp) {
        self.skip();
        self.begin(source, packet, at, catch_up);
    }

    /// Decides whether and how a packet goes to this viewer. `at` is when the packet came or, for one of the past, when
    /// it is due.
    pub(super) fn number(&mut self, source: SourceId, packet: &RtpPacket, at: Instant) -> Option<Numbered> {
        let origin = Origin::of(source, packet);
        let goes_on = |run: &Run| run.origin == origin && run.codec == packet.codec && run.is_near(packet.seq_no);
        if !self.run.as_ref().is_some_and(goes_on) {
            self.skip();
            if packet.starts_keyframe {
                self.begin(source, packet, at, CatchUp::default());
            }
        }
        let run = self.run.as_mut()?;
        run.newest_seq_no = run.newest_seq_no.max(packet.seq_no);
        run.timeline.settle(packet.timestamp);
        let numbered = run.numbered(packet)?;
        self.next_seq_no = self.next_seq_no.max(numbered.seq_no + 1);
        // A late packet is no later for that.
        if self.last.is_none_or(|(last, _)| (numbered.timestamp.wrapping_sub(last) as i32) > 0) {
            self.last = Some((numbered.timestamp, at));
        }
        Some(numbered)
    }

    /// Finds a packet that the viewer misses: its origin, the number that it has there, and the extended one that the viewer
    /// knows it by.
    pub(super) fn missing(&self, seq_no: u16) -> Option<(Origin, u64, u64)> {
        let newest = self.next_seq_no.checked_sub(1)?;
        let extended = newest.checked_sub(u64::from((newest as u16).wrapping_sub(seq_no)))?;
        let runs = self.run.iter().chain(self.past.iter().rev());
        runs.filter_map(|run| Some((run.origin, run.original(extended)?, extended))).next()
    }

    /// Returns how a packet was sent before.
    pub(super) fn as_sent(&self, source: SourceId, packet: &RtpPacket, seq_no: u64) -> Option<Numbered> {
        let origin = Origin::of(source, packet);
        let runs = self.run.iter().chain(self.past.iter().rev()).filter(|run| run.origin == origin);
        runs.filter_map(|run| run.numbered(packet)).find(|numbered| numbered.seq_no == seq_no)
    }

    /// Returns how a packet of the present run was sent.
    pub(super) fn as_sent_last(&self, source: SourceId, packet: &RtpPacket) -> Option<Numbered> {
        self.run.as_ref().filter(|run| run.origin == Origin::of(source, packet))?.numbered(packet)
    }

    /// Begins a run at a packet where a decoder may start.
    fn begin(&mut self, source: SourceId, packet: &RtpPacket, at: Instant, catch_up: CatchUp) {
        let timestamp = match self.last {
            None => self.first_timestamp,
            Some((last, then)) => last.wrapping_add(ticks(at.saturating_duration_since(then), packet.codec).max(1)),
        };
        // Both are far below 2^63: they count packets.
        let Some(seq_shift) = (self.next_seq_no as i64).checked_sub_unsigned(packet.seq_no) else { return };
        self.run = Some(Run {
            origin: Origin::of(source, packet),
            codec: packet.codec,
            first_seq_no: packet.seq_no,
            newest_seq_no: packet.seq_no,
            seq_shift,
            timeline: Timeline { from: packet.timestamp, to: timestamp, catch_up },
        });
    }
}

/// Returns how many ticks of a codec's clock pass in a time.
fn ticks(time: Duration, codec: Codec) -> u32 {
    let micros = time.as_micros() as u64;
    (micros * u64::from(codec.clock_rate_hz()) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(seq_no: u64, timestamp: u32, starts_keyframe: bool) -> RtpPacket {
        RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no,
            timestamp,
            marker: true,
            starts_keyframe,
            payload: [0_u8; 4].into(),
            received_at: Instant::now(),
            sender_report: None,
        }
    }

    fn numbering() -> Numbering {
        Numbering::new(u16::MAX, u32::MAX)
    }

    fn origin(source: u32) -> Origin {
        Origin { source: SourceId(source), encoding: EncodingId::default() }
    }

    #[test]
    fn another_encoding_goes_on_where_the_first_one_was() {
        let (start, mut numbering) = (Instant::now(), numbering());
        let first = numbering.number(SourceId(1), &video(100, 7, true), start).unwrap();
        let other = |seq_no, timestamp, keyframe| {
            let encoding = EncodingId(1);
            RtpPacket { encoding, ..video(seq_no, timestamp, keyframe) }
        };
        let at = start + Duration::from_millis(40);
        let second = numbering.number(SourceId(1), &other(90, 5_000_000, true), at).unwrap();
        assert_eq!(second.seq_no, first.seq_no + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 3600);
        assert_eq!(numbering.missing(65_535), Some((origin(1), 100, 65_535)));
        let wire = second.seq_no as u16;
        assert_eq!(numbering.missing(wire).unwrap().0.encoding, EncodingId(1));
    }

    #[test]
    fn video_begins_with_a_keyframe_and_below_the_first_roll_over() {
        let (start, mut numbering) = (Instant::now(), numbering());
        assert_eq!(numbering.number(SourceId(1), &video(5_000_000, 90, false), start), None);
        let first = numbering.number(SourceId(1), &video(5_000_001, 3090, true), start).unwrap();
        assert_eq!(first.seq_no, 65_535);
        // Late packets from before the keyframe stay out; later ones keep their distance, over the roll-over too.
        assert_eq!(numbering.number(SourceId(1), &video(5_000_000, 90, false), start), None);
        let third = numbering.number(SourceId(1), &video(5_000_003, 9090, false), start).unwrap();
        assert_eq!(third.seq_no, 65_537);
        assert_eq!(third.timestamp.wrapping_sub(first.timestamp), 6000);
    }

    #[test]
    fn a_returning_publisher_breaks_neither_numbers_nor_time() {
        let (start, mut numbering) = (Instant::now(), numbering());
        let first = numbering.number(SourceId(1), &video(100, 7, true), start).unwrap();
        let later = start + Duration::from_secs(2);
        assert_eq!(numbering.number(SourceId(2), &video(9, 4_000_000_000, false), later), None);
        let second = numbering.number(SourceId(2), &video(10, 4_000_000_000, true), later).unwrap();
        assert_eq!(second.seq_no, first.seq_no + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 180_000);
    }

    #[test]
    fn a_gap_of_ours_is_no_gap_for_the_viewer() {
        let (start, mut numbering) = (Instant::now(), numbering());
        let first = numbering.number(SourceId(1), &video(100, 0, true), start).unwrap();
        numbering.skip();
        let at = start + Duration::from_secs(1);
        assert_eq!(numbering.number(SourceId(1), &video(150, 90_000, false), at), None);
        let second = numbering.number(SourceId(1), &video(151, 90_000, true), at).unwrap();
        assert_eq!(second.seq_no, first.seq_no + 1);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 90_000);
    }

    #[test]
    fn a_sender_that_numbers_anew_goes_on_at_its_keyframe() {
        let start = Instant::now();
        for restart in [7, 9_000_000] {
            let mut numbering = numbering();
            let first = numbering.number(SourceId(1), &video(100_000, 0, true), start).unwrap();
            assert_eq!(numbering.number(SourceId(1), &video(restart, 0, false), start), None);
            assert!(!numbering.is_running());
            let second = numbering.number(SourceId(1), &video(restart + 1, 0, true), start).unwrap();
            assert_eq!(second.seq_no, first.seq_no + 1);
        }
    }

    #[test]
    fn what_is_missing_is_found_in_the_run_that_had_it() {
        let (start, mut numbering) = (Instant::now(), numbering());
        numbering.number(SourceId(1), &video(100, 0, true), start);
        let sent = numbering.number(SourceId(1), &video(101, 3000, false), start).unwrap();
        numbering.number(SourceId(2), &video(7, 0, true), start).unwrap();
        // Sent as 65,535, 65,536 and 65,537: on the wire -1, 0 and 1.
        assert_eq!(numbering.missing(0), Some((origin(1), 101, 65_536)));
        assert_eq!(numbering.missing(1), Some((origin(2), 7, 65_537)));
        assert_eq!(numbering.missing(2), None);
        assert_eq!(numbering.missing(65_534), None);
        assert_eq!(numbering.as_sent(SourceId(1), &video(101, 3000, false), 65_536), Some(sent));
    }

    #[test]
    fn a_run_of_days_keeps_its_time() {
        let (start, mut numbering) = (Instant::now(), numbering());
        numbering.begin_in_the_past(SourceId(1), &video(50, 7, true), start, CatchUp::behind(900_000));
        let mut last = numbering.number(SourceId(1), &video(50, 7, true), start).unwrap().timestamp;
        // A packet a minute for two days; after the first, nothing is sped up any more.
        for minute in 1..2880_u64 {
            let packet = video(50 + minute, (minute as u32).wrapping_mul(5_400_000).wrapping_add(7), false);
            let timestamp = numbering.number(SourceId(1), &packet, start).unwrap().timestamp;
            let passed = timestamp.wrapping_sub(last);
            assert!(passed == 5_400_000 || minute == 1, "minute {minute}: {passed}");
            last = timestamp;
        }
    }

    #[test]
    fn a_late_packet_takes_no_time_back() {
        let (start, mut numbering) = (Instant::now(), numbering());
        numbering.number(SourceId(1), &video(1, 0, true), start);
        let newest = numbering.number(SourceId(1), &video(9, 18_000, false), start).unwrap();
        numbering.number(SourceId(1), &video(2, 3000, false), start);
        let next = numbering.number(SourceId(2), &video(1, 0, true), start).unwrap();
        assert!((next.timestamp.wrapping_sub(newest.timestamp) as i32) > 0);
    }

    #[test]
    fn a_run_from_the_past_comes_to_the_present_and_stays_there() {
        let (start, mut numbering) = (Instant::now(), numbering());
        // Three seconds behind: four seconds of the source pass within one, and then the viewer is where the source is.
        let catch_up = CatchUp::behind(270_000);
        numbering.begin_in_the_past(SourceId(1), &video(50, 1000, true), start, catch_up);
        let mut shown =
            |seq_no, timestamp| numbering.number(SourceId(1), &video(seq_no, timestamp, false), start).unwrap();
        let first = shown(50, 1000);
        let after = |numbered: Numbered| numbered.timestamp.wrapping_sub(first.timestamp);
        assert_eq!(after(shown(51, 1000 + 4000)), 1000);
        assert_eq!(after(shown(52, 1000 + 360_000)), 90_000);
        assert_eq!(after(shown(53, 1000 + 360_000 + 3000)), 93_000);
        assert_eq!(first.seq_no, 65_535);
    }
}
