//! The clock of one track: from RTP timestamps to times that can be relied on.

use std::time::{Duration, Instant};

use super::arrival::Delay;
use super::reports::{Reports, Tie};
use super::{Alignment, Placed};
use crate::codec::Codec;
use crate::packet::{RtpPacket, SenderReport};

/// How far timestamps and arrival may drift apart within a moment before the sender's clock counts as jumped. Retries
/// over bad networks and TCP stalls stay below it.
const JUMP_S: i64 = 5;

/// How far the timestamps of H.264 and H.265, which stand in decoding order, may step back: 16 reordered frames at 8 frames
/// a second.
const REORDER_MAX_S: i64 = 2;

/// How far the timestamps of other codecs may step back before it is a jump: in milliseconds, a few audio packets.
const BACKWARD_MAX_MS: i64 = 100;

/// A correction by sender reports wider than this comes from reports that do not belong together.
const ALIGN_MAX_S: i64 = 10;

/// How far media may ever be ahead of its arrival: the widest alignment and two jumps that just went unseen.
const LEAD_MAX_S: i64 = 20;

/// After a jump, media that lies further behind its arrival than this catches up.
const LAG_MAX_S: i64 = 1;

/// One tick of alignment by reports in this many ticks of media: 0.5 %, below what one hears or sees.
const SLEW_DIVISOR: i64 = 200;

/// The same by arrival: 500 ppm, more than twice what quartz drifts, and too slow for a network's moods to show.
const SLEW_BY_ARRIVAL_DIVISOR: i64 = 2_000;

/// A track that arrival finds off by less stays as it is, so that sample durations are even where nothing drifts.
const SLEW_BY_ARRIVAL_FROM_MS: i64 = 5;

/// A wider error between audio and video is seen, so it is not slewed: 20 s for these 100 ms.
const STEP_MS: i64 = 100;

/// Where a wide error asks for earlier times: frames keep at least half their distance, for times have to grow.
const STEP_BACK_DIVISOR: i64 = 2;

/// Without reports: a clock that lies behind arrival by this much all the time stood still, for a device was muted or
/// switched. Queues in networks are shorter, or pass.
const STOOD_STILL_MS: i64 = 300;

/// What "all the time" means.
const STOOD_STILL_FOR: Duration = Duration::from_secs(2);

/// One tick of drift between sender and arrival is forgiven in this many: quartz is a hundred times better.
const DRIFT_DIVISOR: i64 = 100;

const NS_PER_S: i128 = 1_000_000_000;

/// Says how `offset` gets to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Slowly: the target follows arrival.
    Arrival,
    /// Sender reports set the target.
    Reports,
    /// They did, and the way was too wide to be slewed.
    Step,
}

/// Follows one track. All times are in ticks of `rate_hz` unless their name says otherwise.
#[derive(Debug)]
pub(super) struct TrackClock {
    rate_hz: i64,
    origin: Instant,
    /// The latest RTP timestamp, unwrapped.
    timestamp: i64,
    /// When the packet with `timestamp` arrived.
    arrived_at: Instant,
    /// `timestamp` and `arrived_at` at the last placement: advances are measured from here.
    anchor: (i64, Instant),
    /// How far timestamps may be ahead of arrival without being a jump: it follows a drift slowly.
    drift: i64,
    /// Presentation time minus unwrapped RTP timestamp.
    offset: i64,
    /// What `offset` has to become.
    target: Option<i64>,
    pace: Pace,
    /// How late the present run of timestamps comes.
    delay: Delay,
    /// How far the track is presented behind its fastest packets: 0 unless reports said otherwise.
    behind_arrival: i64,
    /// Since when timestamps lie too far behind arrival.
    lagging_since: Option<Instant>,
    /// Media time since the last tick of alignment.
    slew_credit: i64,
    /// The highest presentation time that was given out.
    highest: Option<i64>,
    reports: Reports,
}

impl TrackClock {
    /// Places a track by the arrival of its first packet.
    pub(super) fn new(origin: Instant, packet: &RtpPacket) -> Self {
        let rate_hz = i64::from(packet.codec.clock_rate_hz());
        let (timestamp, arrived_at) = (i64::from(packet.timestamp), packet.received_at);
        let offset = ticks_between(origin, arrived_at, rate_hz).max(0) - timestamp;
        Self {
            rate_hz,
            origin,
            timestamp,
            arrived_at,
            anchor: (timestamp, arrived_at),
            drift: 0,
            offset,
            target: None,
            pace: Pace::Arrival,
            delay: Delay::default(),
            behind_arrival: 0,
            lagging_since: None,
            slew_credit: 0,
            highest: None,
            reports: Reports::new(rate_hz),
        }
    }

    /// Notes the sender's latest report with a packet that arrived at `at`.
    pub(super) fn note_report(&mut self, report: SenderReport, at: Instant) {
        self.reports.note(report, at);
    }

    /// Returns the latest report that belongs to the present run of timestamps.
    pub(super) fn report(&self, now: Instant) -> Option<Tie> {
        self.reports.tie(now)
    }

    /// Tells whether the last frame was placed by sender reports.
    pub(super) fn is_led_by_reports(&self) -> bool {
        self.pace != Pace::Arrival
    }

    /// Measures how fast the sender's clock runs against ours, in parts per million.
    pub(super) fn drift_ppm(&self) -> Option<i64> {
        self.delay.drift_ppm(self.rate_hz)
    }

    /// Returns the presentation time of a report in nanoseconds since the origin.
    pub(super) fn presentation_ns(&self, report: Tie) -> i128 {
        i128::from(self.unwrapped(report.rtp_timestamp) + self.offset) * NS_PER_S / i128::from(self.rate_hz)
    }

    /// Returns the offset with which a report is presented at `presentation_ns`; `None` when that is out of all range.
    pub(super) fn offset_presenting(&self, report: Tie, presentation_ns: i128) -> Option<i64> {
        let presentation = presentation_ns.checked_mul(i128::from(self.rate_hz))? / NS_PER_S;
        i64::try_from(presentation - i128::from(self.unwrapped(report.rtp_timestamp))).ok()
    }

    /// Sets the offset to strive for by reports: reached at once before the first frame, later slewed or stepped to.
    /// What cannot be believed is left to arrival.
    pub(super) fn align(&mut self, target: i64) {
        let presented = target.saturating_add(self.timestamp);
        let lead = presented.saturating_sub(ticks_between(self.origin, self.arrived_at, self.rate_hz));
        let by = target.saturating_sub(self.offset).unsigned_abs();
        if by > self.ticks_of(ALIGN_MAX_S * 1000) || lead.unsigned_abs() > self.ticks_of(LEAD_MAX_S * 1000) {
            return self.align_by_arrival();
        }
        self.target = Some(target);
        if self.highest.is_none() {
            // Not before the origin; what is left of the correction comes later.
            self.offset = target.max(-self.timestamp);
        }
        let is_wide = self.highest.is_some() && by > self.ticks_of(STEP_MS);
        self.pace = if is_wide || self.pace == Pace::Step { Pace::Step } else { Pace::Reports };
    }

    /// Sets the offset to strive for by the arrival of the fastest packets.
    pub(super) fn align_by_arrival(&mut self) {
        if self.is_led_by_reports() {
            (self.target, self.pace) = (None, Pace::Arrival);
        }
        let Some(least) = self.delay.least() else { return };
        let target = least.saturating_sub(self.behind_arrival);
        let by = target.saturating_sub(self.offset).unsigned_abs();
        if self.target.is_some() || by > self.ticks_of(SLEW_BY_ARRIVAL_FROM_MS) {
            self.target = Some(target);
        }
    }

    /// Gives a frame its presentation time.
    pub(super) fn place(
        &mut self,
        codec: Codec,
        rtp_timestamp: u32,
        received_at: Instant,
        alignment: Alignment,
    ) -> Placed {
        let timestamp = self.unwrapped(rtp_timestamp);
        let elapsed = ticks_between(self.arrived_at, received_at, self.rate_hz).max(0);
        self.step_forward(timestamp);
        let lag = self.steady_lag(timestamp, received_at, alignment);
        let mut jump = self.jump(codec, timestamp, received_at);
        if jump.is_some() {
            self.rebase(timestamp, received_at, elapsed);
        } else if let Some(lag) = lag {
            jump = Some(-lag);
            self.settle(timestamp, received_at, timestamp.saturating_add(self.offset).saturating_add(lag));
        } else if self.lagging_since.is_none() {
            self.follow_drift(timestamp, received_at, elapsed);
        }
        (self.timestamp, self.arrived_at) = (timestamp, received_at);
        self.note_delay(timestamp, received_at);

        let mut pts_ticks = timestamp.saturating_add(self.offset).max(0);
        if let Some(highest) = self.highest
            && pts_ticks <= highest
            && !codec.reorders()
        {
            pts_ticks = highest + 1;
        }
        self.slew(pts_ticks);
        self.highest = self.highest.max(Some(pts_ticks));
        Placed { pts_ticks, jump_ms: jump.map(|by| by.saturating_mul(1000) / self.rate_hz) }
    }

    /// Makes the whole way to a target that lies far ahead, before a frame that is shown behind all others.
    fn step_forward(&mut self, timestamp: i64) {
        let Some(target) = self.target.filter(|&target| self.pace == Pace::Step && target > self.offset) else {
            return;
        };
        if self.highest.is_none_or(|highest| timestamp.saturating_add(self.offset) > highest) {
            self.offset = target;
            self.pace = Pace::Reports;
        }
    }

    /// Measures how far timestamps lie behind arrival, when they have done so for long and no report explains it.
    fn steady_lag(&mut self, timestamp: i64, received_at: Instant, alignment: Alignment) -> Option<i64> {
        let lag = self.drift - self.ahead(timestamp, received_at);
        if alignment == Alignment::SenderReports || lag <= STOOD_STILL_MS * self.rate_hz / 1000 {
            self.lagging_since = None;
            return None;
        }
        let since = *self.lagging_since.get_or_insert(received_at);
        (received_at.saturating_duration_since(since) >= STOOD_STILL_FOR).then_some(lag)
    }

    /// Measures how far the sender's clock jumped, or returns `None` when it runs on.
    fn jump(&self, codec: Codec, timestamp: i64, received_at: Instant) -> Option<i64> {
        let ahead = self.ahead(timestamp, received_at) - self.drift;
        if ahead.abs() > JUMP_S * self.rate_hz {
            return Some(ahead);
        }
        let backward_max =
            if codec.reorders() { REORDER_MAX_S * self.rate_hz } else { BACKWARD_MAX_MS * self.rate_hz / 1000 };
        let pts_ticks = timestamp.saturating_add(self.offset);
        let step = pts_ticks - self.highest?;
        if step < -backward_max {
            return Some(step);
        }
        let lead = pts_ticks - ticks_between(self.origin, received_at, self.rate_hz);
        (lead > LEAD_MAX_S * self.rate_hz).then_some(ahead)
    }

    /// How far timestamps have gone beyond arrival since the anchor.
    fn ahead(&self, timestamp: i64, received_at: Instant) -> i64 {
        let (anchor, anchored_at) = self.anchor;
        (timestamp - anchor).saturating_sub(ticks_between(anchored_at, received_at, self.rate_hz))
    }

    /// Lets the frame follow the last one by the time that passed, whatever its timestamp says.
    fn rebase(&mut self, timestamp: i64, received_at: Instant, elapsed: i64) {
        let arrival = ticks_between(self.origin, received_at, self.rate_hz).max(0);
        let pts_ticks = match self.highest {
            // A sender whose clock stood still for seconds.
            Some(highest) if arrival - highest > elapsed + LAG_MAX_S * self.rate_hz => arrival,
            // Too far ahead: arrival catches up.
            Some(highest) if highest + elapsed - arrival > LEAD_MAX_S * self.rate_hz => highest + (elapsed / 2).max(1),
            Some(highest) => highest.saturating_add(elapsed.max(1)),
            None => arrival,
        };
        self.settle(timestamp, received_at, pts_ticks);
    }

    /// Begins a new run of timestamps: this one is presented at `pts_ticks`, and reports so far are of the old run.
    fn settle(&mut self, timestamp: i64, received_at: Instant, pts_ticks: i64) {
        self.offset = pts_ticks - timestamp;
        self.anchor = (timestamp, received_at);
        self.drift = 0;
        (self.target, self.pace) = (None, Pace::Arrival);
        self.delay = Delay::default();
        self.lagging_since = None;
        self.reports.forget();
    }

    fn follow_drift(&mut self, timestamp: i64, received_at: Instant, elapsed: i64) {
        let step = elapsed / DRIFT_DIVISOR;
        self.drift += (self.ahead(timestamp, received_at) - self.drift).clamp(-step, step);
    }

    /// Notes how late a frame came, and what a track that is aligned by reports is to keep to should they end.
    fn note_delay(&mut self, timestamp: i64, received_at: Instant) {
        let arrival = ticks_between(self.origin, received_at, self.rate_hz);
        self.delay.note(arrival.saturating_sub(timestamp), received_at);
        if self.pace == Pace::Reports
            && self.target == Some(self.offset)
            && let Some(least) = self.delay.least()
        {
            self.behind_arrival = least.saturating_sub(self.offset);
        }
    }

    /// Moves the offset of the frames behind this one towards the target.
    fn slew(&mut self, pts_ticks: i64) {
        let Some(target) = self.target else { return };
        let divisor = match self.pace {
            Pace::Step if target < self.offset => STEP_BACK_DIVISOR,
            Pace::Step | Pace::Reports => SLEW_DIVISOR,
            Pace::Arrival => SLEW_BY_ARRIVAL_DIVISOR,
        };
        let advance = self.highest.map_or(0, |highest| (pts_ticks - highest).max(0));
        // What a slower pace left over is no credit for a faster one.
        let credit = self.slew_credit.min(divisor - 1) + advance;
        let step = credit / divisor;
        self.slew_credit = credit % divisor;
        self.offset += target.saturating_sub(self.offset).clamp(-step, step);
        if self.offset == target {
            match self.pace {
                Pace::Step => self.pace = Pace::Reports,
                Pace::Reports => {}
                Pace::Arrival => self.target = None,
            }
        }
    }

    const fn ticks_of(&self, ms: i64) -> u64 {
        (ms * self.rate_hz / 1000).unsigned_abs()
    }

    /// Extends a wrapping timestamp to the one nearest to the latest.
    fn unwrapped(&self, rtp_timestamp: u32) -> i64 {
        // The low 32 bits of `timestamp` are the latest RTP timestamp; the difference is at most half a turn either way.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
        let latest = self.timestamp as u32;
        self.timestamp + i64::from(rtp_timestamp.wrapping_sub(latest).cast_signed())
    }
}

/// Returns the ticks from one instant to another; negative when `to` is the earlier one.
fn ticks_between(from: Instant, to: Instant, rate_hz: i64) -> i64 {
    let ticks = |time: Duration| {
        let ticks = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / 4) / 1000 * i128::from(rate_hz) / 1_000_000;
        i64::try_from(ticks).unwrap_or(i64::MAX / 4)
    };
    match to.checked_duration_since(from) {
        Some(later) => ticks(later),
        None => -ticks(from.saturating_duration_since(to)),
    }
}
