//! Places what one publisher sends on the timeline of the broadcast.
//!
//! RTP timestamps are only trusted as far as they agree with the arrival of the packets: they wrap, jump, repeat and run
//! backwards, while the times that come out never stop and, within a track, never run away from the clock on the wall.
//! Audio and video are aligned by the sender's reports (RFC 3550 §6.4.1) where there are any, by arrival where not.

mod clock;

use std::time::Instant;

use crate::codec::{Codec, MediaKind};
use crate::packet::{RtpPacket, SenderReport};
use clock::{Alignment, TrackClock};

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
            clock.note_report(report);
        }
    }

    /// Places a frame; frames come in decoding order, each with the arrival of its first packet.
    ///
    /// Returns `None` for a track of which no packet was observed.
    pub(crate) fn place(&mut self, codec: Codec, rtp_timestamp: u32, received_at: Instant) -> Option<Placed> {
        let target = self.aligned_offset(codec.kind());
        let alignment = self.alignment();
        let clock = self.clock_mut(codec.kind()).as_mut()?;
        if let Some(target) = target {
            clock.align(target);
        }
        Some(clock.place(codec, rtp_timestamp, received_at, alignment))
    }

    fn alignment(&self) -> Alignment {
        let reports = |clock: &Option<TrackClock>| clock.as_ref().is_some_and(|clock| clock.report().is_some());
        if reports(&self.audio) && reports(&self.video) { Alignment::Reports } else { Alignment::Arrival }
    }

    /// Computes the offset from RTP to presentation time with which `kind` plays in step with the reference track, or
    /// `None` for the reference itself and while a report is missing.
    fn aligned_offset(&self, kind: MediaKind) -> Option<i64> {
        let reference_kind = self.reference.filter(|&reference| reference != kind)?;
        let (reference, other) = (self.clock(reference_kind)?, self.clock(kind)?);
        let (reference_report, other_report) = (reference.report()?, other.report()?);
        // At the sender's wall clock `ntp` a track presents at (ts + offset) / rate; the difference of the two clocks has
        // to be the same for both tracks.
        let difference_ns = reference.presentation_ns(reference_report) - ns(reference_report);
        other.offset_presenting(other_report, difference_ns + ns(other_report))
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

/// The report's wall clock in nanoseconds: 2^64 seconds take 94 bits.
fn ns(report: &SenderReport) -> i128 {
    i128::try_from(report.ntp.as_nanos()).unwrap_or(i128::MAX / 4)
}

#[cfg(test)]
mod tests;
