//! Places what one publisher sends on the timeline of the broadcast.
//!
//! RTP timestamps are only trusted as far as they agree with the arrival of the packets: they wrap, jump, repeat and run
//! backwards, while the times that come out never stop and, within a track, never run away from the clock on the wall.
//! Audio and video are aligned by the sender's reports (RFC 3550 §6.4.1) where there are any, by arrival where not. So they
//! stay together also where the sender captures them by two clocks that drift apart.

mod arrival;
mod clock;
mod reports;

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::codec::{Codec, MediaKind};
use crate::packet::RtpPacket;
use clock::TrackClock;

/// Says what ties audio and video together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Sender reports of both: what was captured at the same time is presented at the same time.
    SenderReports,
    /// The arrival of their packets: off by as much as the sender took longer to encode one of them.
    Arrival,
}

/// Says where a frame belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Presentation time since the origin in ticks of the codec's clock rate; never negative.
    pub(crate) pts_ticks: i64,
    /// How far the sender's clock jumped against arrival just before this frame, in milliseconds.
    pub(crate) jump_ms: Option<i64>,
}

/// Holds the clocks of both tracks and what ties them together.
#[derive(Debug)]
pub(crate) struct Timeline {
    origin: Instant,
    audio: Option<TrackClock>,
    video: Option<TrackClock>,
    /// The track that was placed first: the other is aligned to it.
    reference: Option<MediaKind>,
}

impl Timeline {
    /// Begins without tracks; `origin` is the instant of time 0.
    pub(crate) const fn new(origin: Instant) -> Self {
        Self { origin, audio: None, video: None, reference: None }
    }

    /// Notes a packet at its arrival: the first of a track places the track, any may bring a sender report.
    pub(crate) fn observe(&mut self, packet: &RtpPacket) {
        let kind = packet.codec.kind();
        self.reference.get_or_insert(kind);
        let origin = self.origin;
        let clock = self.clock_mut(kind).get_or_insert_with(|| TrackClock::new(origin, packet));
        if let Some(report) = packet.sender_report {
            clock.note_report(report, packet.received_at);
        }
    }

    /// Places a frame; frames come in decoding order, each with the arrival of its first packet.
    ///
    /// Returns `None` for a track of which no packet was observed.
    pub(crate) fn place(&mut self, codec: Codec, rtp_timestamp: u32, received_at: Instant) -> Option<Placed> {
        let alignment = self.alignment(received_at);
        let target = self.aligned_offset(codec.kind(), received_at);
        let clock = self.clock_mut(codec.kind()).as_mut()?;
        match target {
            Some(target) => clock.align(target),
            None => clock.align_by_arrival(),
        }
        Some(clock.place(codec, rtp_timestamp, received_at, alignment))
    }

    /// Returns what ties the tracks together at present; `None` while there is only one.
    pub(crate) fn aligned_by(&self) -> Option<Alignment> {
        let led_by_reports = self.audio.as_ref()?.is_led_by_reports() | self.video.as_ref()?.is_led_by_reports();
        Some(if led_by_reports { Alignment::SenderReports } else { Alignment::Arrival })
    }

    /// Measures how much faster the audio clock runs than the video clock, in parts per million.
    pub(crate) fn drift_ppm(&self) -> Option<i64> {
        Some(self.audio.as_ref()?.drift_ppm()? - self.video.as_ref()?.drift_ppm()?)
    }

    fn alignment(&self, now: Instant) -> Alignment {
        let reports = |clock: &Option<TrackClock>| clock.as_ref().is_some_and(|clock| clock.report(now).is_some());
        if reports(&self.audio) && reports(&self.video) { Alignment::SenderReports } else { Alignment::Arrival }
    }

    /// Computes the offset from RTP to presentation time with which `kind` plays in step with the reference track, or
    /// `None` for the reference itself and while a report is missing.
    fn aligned_offset(&self, kind: MediaKind, now: Instant) -> Option<i64> {
        let reference_kind = self.reference.filter(|&reference| reference != kind)?;
        let (reference, other) = (self.clock(reference_kind)?, self.clock(kind)?);
        let (reference_report, other_report) = (reference.report(now)?, other.report(now)?);
        // At the sender's wall clock `ntp` a track presents at (ts + offset) / rate; the difference of the two clocks has
        // to be the same for both tracks.
        let difference_ns = reference.presentation_ns(reference_report) - reference_report.ntp_ns;
        other.offset_presenting(other_report, difference_ns + other_report.ntp_ns)
    }

    const fn clock(&self, kind: MediaKind) -> Option<&TrackClock> {
        match kind {
            MediaKind::Audio => self.audio.as_ref(),
            MediaKind::Video => self.video.as_ref(),
        }
    }

    const fn clock_mut(&mut self, kind: MediaKind) -> &mut Option<TrackClock> {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }
}

#[cfg(test)]
mod tests;
