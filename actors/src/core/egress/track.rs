//! One track of one viewer: its place in the room's packets, its numbers, and how its packets are written.

use std::ops::Range;
use std::time::{Duration, Instant};

use onair_media::{Codec, MediaKind};

use super::buffer::SendBuffer;
use super::feedback::Link;
use super::header::{Extensions, Header};
use super::log::{Entry, PacketLog};
use super::logs::Logs;
use super::numbering::{Numbered, Numbering};
use super::reports::SenderReport;
use crate::core::srtp::Protector;
use crate::core::wall_clock::WallClock;

/// The most packets that a viewer gets in one turn: about what one send call takes of full ones.
pub(super) const TURN_PACKETS: u64 = 52;

/// How far a viewer may fall behind the newest packet before it is sent on to the next keyframe. Only an overloaded
/// worker brings it about, for the kernel's refusals are losses and not delays.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// How often a track's sender report goes out: often enough for a receiver to align sound and picture soon.
const REPORT_EVERY: Duration = Duration::from_secs(3);

/// What a session negotiated for a track.
#[derive(Debug, Clone)]
pub struct TrackSettings {
    /// Audio or video.
    pub kind: MediaKind,
    /// Named in the answer; nobody else sends on it.
    pub ssrc: u32,
    /// For retransmissions, likewise (RFC 4588); `None`: nothing is sent again.
    pub rtx_ssrc: Option<u32>,
    /// Each codec that the viewer takes, with its payload type and that of its retransmissions.
    pub codecs: Vec<(Codec, u8, Option<u8>)>,
    /// The m-line's name.
    pub mid: String,
    /// The number of the MID extension (RFC 8843 §15), if it was negotiated.
    pub mid_extension: Option<u8>,
    /// The number of the extension `abs-send-time`, if it was negotiated.
    pub send_time_extension: Option<u8>,
    /// The number of the extension that numbers packets across tracks, if it was negotiated.
    pub number_extension: Option<u8>,
    /// The sender's name in RTCP.
    pub cname: String,
}

/// What all packets of a turn share.
pub(super) struct Turn<'a> {
    pub(super) logs: &'a Logs,
    pub(super) now: Instant,
    pub(super) clock: WallClock,
}

/// How a viewer's packets leave.
pub(super) struct Wire<'a> {
    pub(super) protector: &'a Protector,
    /// Notes what is sent, where the viewer's link is followed.
    pub(super) link: Option<&'a mut Link>,
    pub(super) now: Instant,
}

impl Wire<'_> {
    /// Gives a packet its number. `bytes` is how much of the video it carries: encodings are compared by that.
    fn number(&mut self, extensions: &mut Extensions, bytes: usize) {
        if let Some(link) = self.link.as_deref_mut().filter(|_| extensions.is_numbered()) {
            extensions.set_number(link.send(self.now, bytes));
        }
    }
}

/// Holds one track of a viewer.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) settings: TrackSettings,
    pub(super) numbering: Numbering,
    /// The number of the next packet of its log that was not looked at.
    pub(super) next: u64,
    /// Whether the viewer has reported on the SSRC, so that it knows what it belongs to (RFC 8843 §9.2).
    pub(super) is_known: bool,
    packets: u32,
    payload_bytes: u32,
    rtx_seq_no: u64,
    reports: u32,
    reported_at: Option<Instant>,
    /// The last timestamp, and the moment that it stands for.
    pub(super) newest: Option<(u32, Instant)>,
}

impl Track {
    pub(super) fn new(settings: TrackSettings, first_seq_no: u16, first_timestamp: u32) -> Self {
        Self {
            settings,
            numbering: Numbering::new(first_seq_no, first_timestamp),
            next: 0,
            is_known: false,
            packets: 0,
            payload_bytes: 0,
            rtx_seq_no: u64::from(first_timestamp as u16),
            reports: 0,
            reported_at: None,
            newest: None,
        }
    }

    /// Takes the numbers of the packets to look at in this turn, none of them at or behind `until`.
    pub(super) fn next_turn(&mut self, until: u64, log: &PacketLog) -> Range<u64> {
        let from = self.next.max(log.begin());
        self.next = log.end().min(until).min(from + TURN_PACKETS).max(from);
        from..self.next
    }

    /// Tells whether the track is too far behind.
    pub(super) fn is_late(&self, log: &PacketLog, now: Instant) -> bool {
        let age = |entry: &Entry| now.saturating_duration_since(entry.packet.received_at);
        self.next < log.end() && log.get(self.next).is_none_or(|entry| age(entry) > BEHIND_MAX)
    }

    /// Goes on at `resume_at`, and returns how many packets are left out of those that are still there.
    pub(super) fn leave_out(&mut self, resume_at: u64, log: &PacketLog) -> u64 {
        let missed = resume_at.saturating_sub(self.next.max(log.begin()));
        self.next = resume_at;
        self.numbering.skip();
        missed
    }

    pub(super) fn payload_types(&self, codec: Codec) -> Option<(u8, Option<u8>)> {
        self.settings.codecs.iter().find(|(other, ..)| *other == codec).map(|(_, pt, rtx)| (*pt, *rtx))
    }

    /// The extensions of this turn: the send time, the MID until the viewer knows the SSRC, and a place for each packet's
    /// number, if the link is followed.
    pub(super) fn extensions(&self, turn: &Turn<'_>, is_followed: bool) -> Extensions {
        let number = self.settings.number_extension.filter(|_| is_followed);
        let sent_at = turn.clock.abs_send_time(turn.now);
        let mid = self.settings.mid_extension.filter(|_| !self.is_known);
        let elements = [
            self.settings.send_time_extension.map(|id| (id, &sent_at[..])),
            mid.map(|id| (id, self.settings.mid.as_bytes())),
        ];
        Extensions::new(number, elements)
    }

    pub(super) fn number(&mut self, entry: &Entry, due_at: Instant) -> Option<Numbered> {
        // What the viewer cannot play takes no number.
        self.payload_types(entry.packet.codec)?;
        self.numbering.number(entry.source, &entry.packet, due_at)
    }

    pub(super) fn write(
        &mut self,
        entry: &Entry,
        numbered: Numbered,
        extensions: &mut Extensions,
        wire: &mut Wire<'_>,
        out: &mut SendBuffer,
    ) {
        let Some((payload_type, _)) = self.payload_types(entry.packet.codec) else { return };
        let header = Header {
            payload_type,
            marker: entry.packet.marker,
            is_padded: entry.padding > 0,
            seq_no: numbered.seq_no as u16,
            timestamp: numbered.timestamp,
            ssrc: self.settings.ssrc,
        };
        let begin = out.begin();
        let is_video = self.settings.kind == MediaKind::Video;
        wire.number(extensions, if is_video { entry.packet.payload.len() } else { 0 });
        let header_len = header.write(extensions, &mut out.bytes);
        out.bytes.extend_from_slice(&entry.packet.payload);
        if let Some(zeros) = entry.padding.checked_sub(1) {
            out.bytes.extend(std::iter::repeat_n(0, zeros.into()));
            out.bytes.push(entry.padding);
        }
        wire.protector.protect_rtp(&mut out.bytes, begin, header_len, numbered.seq_no);
        out.end_datagram();
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self.payload_bytes.wrapping_add(entry.packet.payload.len() as u32);
    }

    /// Writes a retransmission: the original sequence number, then the payload (RFC 4588 §4).
    pub(super) fn write_rtx(
        &mut self,
        entry: &Entry,
        original: Numbered,
        extensions: &mut Extensions,
        wire: &mut Wire<'_>,
        out: &mut SendBuffer,
    ) -> bool {
        let (Some(ssrc), Some((_, Some(payload_type)))) =
            (self.settings.rtx_ssrc, self.payload_types(entry.packet.codec))
        else {
            return false;
        };
        let seq_no = self.rtx_seq_no;
        self.rtx_seq_no += 1;
        let (marker, timestamp) = (entry.packet.marker, original.timestamp);
        let header = Header { payload_type, marker, is_padded: false, seq_no: seq_no as u16, timestamp, ssrc };
        let begin = out.begin();
        wire.number(extensions, entry.packet.payload.len());
        let header_len = header.write(extensions, &mut out.bytes);
        out.bytes.extend_from_slice(&(original.seq_no as u16).to_be_bytes());
        out.bytes.extend_from_slice(&entry.packet.payload);
        wire.protector.protect_rtp(&mut out.bytes, begin, header_len, seq_no);
        out.end_datagram();
        true
    }

    /// Writes a sender report when one is due, the first one with the first packets.
    pub(super) fn report(&mut self, turn: &Turn<'_>, protector: &Protector, out: &mut SendBuffer) {
        let Some((timestamp, at)) = self.newest else { return };
        let is_fresh = |reported: Instant| turn.now.saturating_duration_since(reported) < REPORT_EVERY;
        if self.reported_at.is_some_and(is_fresh) {
            return;
        }
        self.reported_at = Some(turn.now);
        let rate = match self.settings.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        };
        // The report's two times are this very moment, so that the viewer's answer tells the round trip.
        let ticks = turn.now.saturating_duration_since(at).as_micros() as u64 * rate / 1_000_000;
        let report = SenderReport {
            ssrc: self.settings.ssrc,
            ntp: turn.clock.ntp(turn.now),
            timestamp: timestamp.wrapping_add(ticks as u32),
            packets: self.packets,
            payload_bytes: self.payload_bytes,
            cname: &self.settings.cname,
        };
        let begin = out.begin();
        report.write(&mut out.bytes);
        protector.protect_rtcp(&mut out.bytes, begin, self.reports);
        out.end_datagram();
        self.reports += 1;
    }
}
