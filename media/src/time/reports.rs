//! The sender reports of one track, and what of them is to be believed.

use std::time::{Duration, Instant};

use crate::packet::SenderReport;

const NS_PER_S: i128 = 1_000_000_000;

/// Between two reports the wall clock and the RTP clock of a sender go on by the same time, or one of them stepped.
/// Drift and the coarse timestamps of some senders stay below.
const STEP_NS: i128 = 100_000_000;

/// A track without a new report for so long has none any more: they come every 5 s as a rule (RFC 3550 §6.2).
const FRESH_FOR: Duration = Duration::from_mins(1);

/// Keeps the latest report, freed from the steps of the sender's wall clock.
///
/// Audio and video report at different moments. Were a wall clock that is set meanwhile taken at its word, the tracks
/// would be torn apart until the other one reports too.
#[derive(Debug)]
pub(super) struct Reports {
    rate_hz: i64,
    /// As it came, and when.
    latest: Option<(SenderReport, Instant)>,
    /// Whether `latest` belongs to the present run of timestamps: packets carry an old one until a new one comes.
    current: bool,
    /// By how much the sender's wall clock was set so far.
    stepped_ns: i128,
}

/// At the sender's time `ntp_ns` the track was at this RTP timestamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    pub(super) ntp_ns: i128,
    pub(super) rtp_timestamp: u32,
}

impl Reports {
    /// Begins without a report.
    pub(super) const fn new(rate_hz: i64) -> Self {
        Self { rate_hz, latest: None, current: false, stepped_ns: 0 }
    }

    /// Notes the report that a packet carries.
    pub(super) fn note(&mut self, report: SenderReport, at: Instant) {
        if let Some((before, noted_at)) = self.latest {
            if before == report {
                return;
            }
            if self.current {
                self.stepped_ns = self.stepped_ns.saturating_add(self.step_ns(
                    before,
                    report,
                    at.saturating_duration_since(noted_at),
                ));
            }
        }
        self.latest = Some((report, at));
        self.current = true;
    }

    /// Forgets the report: timestamps begin anew.
    pub(super) const fn forget(&mut self) {
        self.current = false;
    }

    /// Returns what the latest report ties together, at `now`.
    pub(super) fn tie(&self, now: Instant) -> Option<Tie> {
        let (report, noted_at) = self.latest.filter(|_| self.current)?;
        let is_fresh = now.saturating_duration_since(noted_at) < FRESH_FOR;
        let ntp_ns = nanos(report.ntp).saturating_sub(self.stepped_ns);
        is_fresh.then_some(Tie { ntp_ns, rtp_timestamp: report.rtp_timestamp })
    }

    /// Measures how far the wall clock was set between two reports: where wall clock and RTP clock disagree, arrival
    /// tells which of them stepped. A step of the RTP clock is for the alignment to follow.
    fn step_ns(&self, before: SenderReport, report: SenderReport, arrived_apart: Duration) -> i128 {
        let ticks = report.rtp_timestamp.wrapping_sub(before.rtp_timestamp).cast_signed();
        let rtp_ns = i128::from(ticks) * NS_PER_S / i128::from(self.rate_hz);
        let ntp_ns = nanos(report.ntp) - nanos(before.ntp);
        let off = |ns: i128| (ns - nanos(arrived_apart)).abs();
        if (ntp_ns - rtp_ns).abs() > STEP_NS && off(rtp_ns) <= off(ntp_ns) { ntp_ns - rtp_ns } else { 0 }
    }
}

/// 2^64 seconds take 94 bits.
fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ntp_ms: u64, rtp_timestamp: u32) -> SenderReport {
        SenderReport { ntp: Duration::from_millis(ntp_ms), rtp_timestamp }
    }

    /// Notes reports of (arrival, wall clock, timestamp) and returns the wall clock that the last one is taken for.
    fn taken_ms(reports: &[(u64, u64, u32)]) -> i128 {
        let (mut kept, start) = (Reports::new(48_000), Instant::now());
        let mut at = start;
        for &(at_ms, ntp_ms, rtp_timestamp) in reports {
            at = start + Duration::from_millis(at_ms);
            kept.note(report(ntp_ms, rtp_timestamp), at);
        }
        kept.tie(at).unwrap().ntp_ns / 1_000_000
    }

    #[test]
    fn a_wall_clock_that_is_set_goes_on_as_if_it_were_not() {
        assert_eq!(taken_ms(&[(0, 10_000, 0), (5_010, 15_000, 240_000)]), 15_000);
        assert_eq!(taken_ms(&[(0, 10_000, 0), (5_010, 3_615_000, 240_000)]), 15_000);
        assert_eq!(taken_ms(&[(0, 10_000, 0), (5_010, 14_000, 240_000)]), 15_000);
        assert_eq!(taken_ms(&[(0, 10_000, 0), (5_010, 3_615_000, 240_000), (10_000, 3_620_000, 480_000)]), 20_000);
    }

    #[test]
    fn an_rtp_clock_that_stood_still_is_the_reports_to_tell() {
        // 5 s passed on the wall and here, 3 s on the track.
        assert_eq!(taken_ms(&[(0, 10_000, 0), (5_010, 15_000, 144_000)]), 15_000);
    }

    #[test]
    fn a_report_held_back_by_the_network_moves_nothing() {
        assert_eq!(taken_ms(&[(0, 10_000, 0), (9_000, 15_000, 240_000)]), 15_000);
    }

    #[test]
    fn an_old_report_is_none() {
        let (mut kept, start) = (Reports::new(48_000), Instant::now());
        kept.note(report(10_000, 0), start);
        // Each packet carries it again.
        kept.note(report(10_000, 0), start + Duration::from_secs(50));
        assert!(kept.tie(start + Duration::from_secs(59)).is_some());
        assert!(kept.tie(start + Duration::from_secs(60)).is_none());
        kept.note(report(11_000, 48_000), start + Duration::from_secs(61));
        kept.forget();
        kept.note(report(11_000, 48_000), start + Duration::from_secs(62));
        assert!(kept.tie(start + Duration::from_secs(62)).is_none());
    }
}
