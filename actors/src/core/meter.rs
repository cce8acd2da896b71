//! Measures what a publisher sends: bitrate, frame rate, loss, for people who look at the room.

use std::time::{Duration, Instant};

use onair_media::{Codec, MediaKind, RtpPacket};
use serde::Serialize;

/// The time over which rates are averaged.
const WINDOW: Duration = Duration::from_secs(2);

/// A step of the sequence number that no loss explains.
const RENUMBERED_FROM: u64 = 1 << 32;

/// Measures one track of one publisher.
#[derive(Debug)]
pub struct TrackMeter {
    codec: Codec,
    packets: u64,
    bytes: u64,
    first_seq_no: u64,
    last_seq_no: u64,
    last_timestamp: Option<u32>,
    window: Window,
    rates: Rates,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    bytes: u64,
    frames: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    bitrate_bps: u64,
    frame_rate: f64,
}

/// Holds the figures of a track.
#[derive(Debug, Clone, Serialize)]
pub struct TrackFigures {
    /// Audio or video.
    pub kind: MediaKind,
    /// The codec.
    pub codec: Codec,
    /// Payload bits per second, averaged over two seconds.
    pub bitrate_bps: u64,
    /// Frames per second, averaged over two seconds; `None` for audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// Packets that came.
    pub packets: u64,
    /// Packets that never came, after repair.
    pub lost: u64,
}

impl TrackMeter {
    /// Begins with the first packet of a track.
    pub fn new(packet: &RtpPacket) -> Self {
        Self {
            codec: packet.codec,
            packets: 0,
            bytes: 0,
            first_seq_no: packet.seq_no,
            last_seq_no: packet.seq_no,
            last_timestamp: None,
            window: Window { began: packet.received_at, bytes: 0, frames: 0 },
            rates: Rates::default(),
        }
    }

    /// Tells whether a packet is of what it measures; a sender that numbers anew wants another meter, as another codec does.
    pub fn measures(&self, packet: &RtpPacket) -> bool {
        self.codec == packet.codec && self.last_seq_no.abs_diff(packet.seq_no) < RENUMBERED_FROM
    }

    /// Returns the codec it measures.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Counts a packet.
    pub fn count(&mut self, packet: &RtpPacket) {
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        self.last_seq_no = self.last_seq_no.max(packet.seq_no);
        self.window.bytes += packet.payload.len() as u64;
        if self.last_timestamp.replace(packet.timestamp) != Some(packet.timestamp) {
            self.window.frames += 1;
        }
        let elapsed = packet.received_at.saturating_duration_since(self.window.began);
        if elapsed >= WINDOW {
            self.rates = self.window.rates(elapsed);
            self.window = Window { began: packet.received_at, bytes: 0, frames: 0 };
        }
    }

    /// Returns the figures as of `now`; the rates of a track that fell silent are zero.
    pub fn figures(&self, now: Instant) -> TrackFigures {
        let since_window = now.saturating_duration_since(self.window.began);
        let silent = since_window > 2 * WINDOW;
        // Before the first window is full, the rates are those of what came so far.
        let measured = if self.rates.bitrate_bps == 0 { self.window.rates(since_window) } else { self.rates };
        let rates = if silent { Rates::default() } else { measured };
        let expected = self.last_seq_no.saturating_sub(self.first_seq_no) + 1;
        TrackFigures {
            kind: self.codec.kind(),
            codec: self.codec,
            bitrate_bps: rates.bitrate_bps,
            frame_rate: (self.codec.kind() == MediaKind::Video).then(|| (rates.frame_rate * 10.0).round() / 10.0),
            packets: self.packets,
            lost: expected.saturating_sub(self.packets),
        }
    }
}

impl Window {
    fn rates(&self, elapsed: Duration) -> Rates {
        let seconds = elapsed.as_secs_f64().max(0.001);
        Rates { bitrate_bps: (self.bytes as f64 * 8.0 / seconds) as u64, frame_rate: self.frames as f64 / seconds }
    }
}

#[cfg(test)]
mod tests {
    use onair_media::EncodingId;

    use super::*;

    #[test]
    fn rates_are_those_of_the_last_window() {
        let start = Instant::now();
        let packet = |n: u64| RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no: n + n / 10,
            timestamp: (n / 2) as u32 * 3000,
            marker: false,
            starts_keyframe: false,
            payload: vec![0; 1000].into(),
            received_at: start + Duration::from_millis(10 * n),
            sender_report: None,
        };
        let mut meter = TrackMeter::new(&packet(0));
        // 100 packets of 1,000 bytes a second, two a frame: 800 kbit/s and 50 frames/s; one in eleven never comes.
        (0..300).for_each(|n| meter.count(&packet(n)));
        let figures = meter.figures(start + Duration::from_secs(3));
        assert!((figures.bitrate_bps as i64 - 800_000).abs() < 10_000, "{figures:?}");
        assert!((figures.frame_rate.unwrap() - 50.0).abs() < 1.0, "{figures:?}");
        assert_eq!((figures.packets, figures.lost), (300, 29));
        assert_eq!(meter.figures(start + Duration::from_secs(60)).bitrate_bps, 0);
    }
}
