//! When a packet was captured, on our clock: what sender reports are made of.

use std::time::{Duration, Instant};

use onair_media::{RtpPacket, SenderReport, SourceId};

/// How far a sender's clock may lead or lag its packets, repaired ones included, before both are tied anew: it may drift
/// by so much within hours, or jump.
const BELIEVED_FOR: Duration = Duration::from_secs(2);

/// Ties the wall clock of a room's sender to ours, once for both tracks, so that their reports agree.
#[derive(Debug, Default)]
pub(super) struct CaptureClock {
    /// One moment on the sender's clock and on ours.
    anchor: Option<(SourceId, Duration, Instant)>,
}

impl CaptureClock {
    /// Returns when a packet was captured; its arrival, when the sender does not tell.
    pub(super) fn captured_at(&mut self, source: SourceId, packet: &RtpPacket) -> Instant {
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
        // Tied anew for both tracks, so that they stay together.
        ours.filter(|ours| abs_diff(*ours, packet.received_at) < BELIEVED_FOR).unwrap_or_else(|| {
            self.anchor = Some((source, captured, packet.received_at));
            packet.received_at
        })
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
    use onair_media::{Codec, EncodingId};

    use super::*;

    #[test]
    fn sender_reports_keep_both_tracks_on_one_clock() {
        let start = Instant::now();
        let packet = |codec, timestamp, received_at| RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no: 1,
            timestamp,
            marker: true,
            starts_keyframe: true,
            payload: [0_u8; 4].into(),
            received_at,
            sender_report: Some(SenderReport { ntp: Duration::from_secs(1000), rtp_timestamp: timestamp }),
        };
        let mut clock = CaptureClock::default();
        // Captured together, but the picture took 80 ms longer to arrive.
        let sound = clock.captured_at(SourceId(1), &packet(Codec::Opus, 48_000, start));
        let picture = clock.captured_at(SourceId(1), &packet(Codec::H264, 90_000, start + Duration::from_millis(80)));
        assert_eq!(sound, picture);
        // A report from another century is not believed.
        let mut liar = packet(Codec::Opus, 48_000, start);
        liar.sender_report = Some(SenderReport { ntp: Duration::from_secs(9), rtp_timestamp: 48_000 });
        assert_eq!(clock.captured_at(SourceId(1), &liar), start);
    }
}
