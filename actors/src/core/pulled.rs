//! What comes of a camera's track: frames of an RTSP client go in, packets of the room come out.

use std::time::{Duration, Instant};

use onair_media::bits::Malformed;
use onair_media::{AccessUnit, Codec, Packetizer, RtpPacket, SenderReport};

/// Carries one track of a camera over into the packets of its room.
#[derive(Debug)]
pub struct PulledTrack {
    /// Of the camera's timestamps.
    clock_rate_hz: u32,
    packetizer: Packetizer,
}

/// One frame as the RTSP client hands it out.
#[derive(Debug, Clone, Copy)]
pub struct PulledFrame<'a> {
    /// What [`AccessUnit::data`] wants.
    pub data: &'a [u8],
    /// In ticks of the camera's clock; does not wrap.
    pub timestamp: i64,
    /// How many packets were lost right before.
    pub lost_packets: u16,
    /// When its last packet arrived.
    pub received_at: Instant,
}

impl PulledTrack {
    /// Begins a track whose timestamps count `clock_rate_hz`; `None` for a codec that we do not take from cameras, or a
    /// clock that stands still.
    pub fn new(codec: Codec, clock_rate_hz: u32) -> Option<Self> {
        let packetizer = Packetizer::new(codec).filter(|_| clock_rate_hz > 0)?;
        Some(Self { clock_rate_hz, packetizer })
    }

    /// Returns the codec.
    pub const fn codec(&self) -> Codec {
        self.packetizer.codec()
    }

    /// Returns the packets of a frame.
    ///
    /// # Errors
    /// [`Malformed`] when the frame is not what the codec wants; the next one may be.
    pub fn frame(&mut self, frame: PulledFrame<'_>) -> Result<Vec<RtpPacket>, Malformed> {
        self.packetizer.lose(frame.lost_packets.into());
        let timestamp = self.ticks(frame.timestamp);
        self.packetizer.push(AccessUnit { data: frame.data, timestamp, received_at: frame.received_at })
    }

    /// Notes a sender report: at `ntp`, 2^-32 seconds since 1900, the track was at this timestamp.
    pub fn note_report(&mut self, ntp: u64, timestamp: i64) {
        let (seconds, fraction) = (ntp >> 32, ntp & u64::from(u32::MAX));
        // Below 10^9, for the fraction is below 2^32.
        let nanos = u32::try_from((fraction * 1_000_000_000) >> 32).unwrap_or_default();
        let rtp_timestamp = self.ticks(timestamp);
        self.packetizer.note_report(SenderReport { ntp: Duration::new(seconds, nanos), rtp_timestamp });
    }

    /// Turns the camera's ticks into those of the codec's clock, which wrap.
    fn ticks(&self, timestamp: i64) -> u32 {
        let (ours, theirs) = (self.codec().clock_rate_hz(), self.clock_rate_hz);
        let ticks = i128::from(timestamp) * i128::from(ours) / i128::from(theirs);
        ticks.rem_euclid(1 << 32).try_into().expect("a remainder of 2^32 has 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: [u8; 6] = [0, 0, 0, 2, 0x41, 0x9a];

    fn track() -> PulledTrack {
        PulledTrack::new(Codec::H264, 90_000).unwrap()
    }

    fn frame(timestamp: i64, lost_packets: u16) -> PulledFrame<'static> {
        PulledFrame { data: &SLICE, timestamp, lost_packets, received_at: Instant::now() }
    }

    #[test]
    fn timestamps_go_on_where_those_of_rtp_wrap() {
        let mut track = track();
        let mut timestamp = |ticks| track.frame(frame(ticks, 0)).unwrap()[0].timestamp;
        assert_eq!(timestamp((1 << 32) - 3_000), u32::MAX - 2_999);
        assert_eq!(timestamp((1 << 32) + 600), 600);
        // A client places what came before its first packet below it.
        assert_eq!(timestamp(-3_000), u32::MAX - 2_999);
    }

    #[test]
    fn a_loss_shows_in_the_numbers() {
        let mut track = track();
        let mut number = |lost| track.frame(frame(0, lost)).unwrap()[0].seq_no;
        assert_eq!([number(0), number(0), number(2), number(0)], [1, 2, 5, 6]);
    }

    #[test]
    fn reports_tie_ticks_to_the_wall() {
        let mut track = track();
        // 10.5 s.
        track.note_report((10 << 32) | (1 << 31), (1 << 32) + 7);
        let report = track.frame(frame(0, 0)).unwrap()[0].sender_report;
        assert_eq!(report, Some(SenderReport { ntp: Duration::from_millis(10_500), rtp_timestamp: 7 }));
        track.note_report(u64::MAX, i64::MIN);
    }
}
