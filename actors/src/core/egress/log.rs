//! The packets of one stream of a room, its sound or one encoding of its video, on one worker: what viewers have yet to
//! get, may ask for again, or begin with.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use onair_media::{MediaKind, RtpPacket, SourceId};

use super::capture::CaptureClock;
use super::equalise::paddings;
use crate::core::gop;

/// How long packets are kept for retransmission: what comes later than that, no player waits for.
const KEPT_FOR: Duration = Duration::from_secs(3);

/// The most packets that are kept, however small: ten thousand a second over the time of retransmission.
const KEPT_MAX_PACKETS: usize = 32_768;

/// One packet and what all viewers need to know of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: SourceId,
    pub(super) packet: RtpPacket,
    /// When it was captured, on our clock.
    pub(super) captured_at: Instant,
    /// RTP padding that makes it as long as its neighbours.
    pub(super) padding: u8,
    /// Whether packets before it were withheld from the room.
    pub(super) after_gap: bool,
}

/// What a packet is known by at its publisher: source and sequence number.
type Name = (SourceId, u64);

/// Holds packets under numbers that only grow, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct PacketLog {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    begin: u64,
    /// Where the newest keyframe begins, while that is of use.
    keyframe: Option<u64>,
    /// Where each packet is, by what its publisher named it.
    names: HashMap<Name, u64>,
    bytes: usize,
    /// Whether packets were withheld before the next one.
    has_gap: bool,
    /// The newest timestamp of the source's video.
    newest_video: Option<u32>,
}

impl PacketLog {
    /// Notes that another publisher begins.
    pub(super) fn begin_source(&mut self) {
        (self.keyframe, self.newest_video) = (None, None);
    }

    /// Notes that packets were withheld.
    pub(super) fn note_gap(&mut self) {
        (self.keyframe, self.has_gap) = (None, true);
    }

    /// Appends packets of the present source that left the socket together.
    pub(super) fn push<'a>(
        &mut self,
        source: SourceId,
        packets: impl Iterator<Item = &'a RtpPacket> + Clone,
        clock: &mut CaptureClock,
    ) {
        let sizes: Vec<_> = packets.clone().map(|packet| packet.payload.len()).collect();
        for (packet, padding) in packets.zip(paddings(&sizes)) {
            let name = (source, packet.seq_no);
            // One that came before must not leave again: under one number a viewer's key protects one packet only.
            if self.names.contains_key(&name) {
                continue;
            }
            let is_video = packet.codec.kind() == MediaKind::Video;
            self.names.insert(name, self.end());
            if is_video {
                self.note_video(packet);
            }
            self.bytes += packet.payload.len();
            self.entries.push_back(Entry {
                source,
                packet: packet.clone(),
                captured_at: clock.captured_at(source, packet),
                padding: if is_video { padding } else { 0 },
                after_gap: std::mem::take(&mut self.has_gap),
            });
        }
    }

    fn note_video(&mut self, packet: &RtpPacket) {
        if packet.starts_keyframe {
            self.keyframe = Some(self.end());
        }
        let is_newer = |newest| (packet.timestamp.wrapping_sub(newest) as i32) > 0;
        // A keyframe begins anew: the sender's clock may have jumped.
        if packet.starts_keyframe || self.newest_video.is_none_or(is_newer) {
            self.newest_video = Some(packet.timestamp);
        }
    }

    /// Returns the number that the next packet will have.
    pub(super) fn end(&self) -> u64 {
        self.begin + self.entries.len() as u64
    }

    /// Returns the number of the oldest packet that is still here.
    pub(super) const fn begin(&self) -> u64 {
        self.begin
    }

    /// Returns the number of the packet with which the newest keyframe of the present source begins.
    pub(super) const fn keyframe(&self) -> Option<u64> {
        self.keyframe
    }

    /// Returns the newest timestamp of the present source's video.
    pub(super) const fn newest_video(&self) -> Option<u32> {
        self.newest_video
    }

    /// Returns a packet by its number.
    pub(super) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.begin)?).ok()?)
    }

    /// Returns the newest packet.
    pub(super) fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// Finds a packet by the sequence number that its publisher gave it.
    pub(super) fn find(&self, source: SourceId, seq_no: u64) -> Option<&Entry> {
        self.get(*self.names.get(&(source, seq_no))?)
    }

    /// Returns how many packets and bytes are kept.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Forgets what is of no use any more at `now`.
    pub(super) fn let_go(&mut self, now: Instant) {
        let age = |entry: &Entry| now.saturating_duration_since(entry.packet.received_at);
        while let Some(first) = self.entries.front() {
            let is_old = age(first) > KEPT_FOR;
            let is_wanted = self.keyframe.is_some_and(|keyframe| self.begin >= keyframe) && age(first) <= gop::KEPT_FOR;
            let is_too_much = self.bytes > gop::KEPT_MAX_BYTES || self.entries.len() > KEPT_MAX_PACKETS;
            if (!is_old || is_wanted) && !is_too_much {
                return;
            }
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(first) = self.entries.pop_front() else { return };
        self.bytes -= first.packet.payload.len();
        self.names.remove(&(first.source, first.packet.seq_no));
        self.begin += 1;
        self.keyframe = self.keyframe.filter(|keyframe| *keyframe >= self.begin);
    }
}

#[cfg(test)]
mod tests {
    use onair_media::{Codec, EncodingId};

    use super::*;

    fn push(log: &mut PacketLog, source: u32, seq_no: u64, at: Instant, starts_keyframe: bool, bytes: usize) {
        let packet = RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no,
            timestamp: seq_no as u32 * 3000,
            marker: true,
            starts_keyframe,
            payload: vec![0; bytes].into(),
            received_at: at,
            sender_report: None,
        };
        log.push(SourceId(source), [packet].iter(), &mut CaptureClock::default());
        log.let_go(at);
    }

    #[test]
    fn the_last_keyframe_and_all_behind_it_stay_for_those_who_come() {
        let start = Instant::now();
        let mut log = PacketLog::default();
        // A keyframe, then fourteen seconds without one, ten packets a second.
        for number in 0..140 {
            push(&mut log, 1, number, start + Duration::from_millis(100 * number), number == 20, 100);
        }
        assert_eq!((log.begin(), log.keyframe(), log.end()), (20, Some(20), 140));
        assert_eq!(log.find(SourceId(1), 20).unwrap().packet.seq_no, 20);
        assert!(log.find(SourceId(1), 19).is_none());
        // The next keyframe sends the old ones away, but for what may be asked for again.
        push(&mut log, 1, 140, start + Duration::from_secs(14), true, 100);
        assert_eq!((log.begin(), log.keyframe()), (110, Some(140)));
        assert_eq!(log.kept(), (31, 3100));
    }

    #[test]
    fn what_comes_twice_is_kept_once() {
        let start = Instant::now();
        let mut log = PacketLog::default();
        for seq_no in [1, 2, 2, 1, 3] {
            push(&mut log, 1, seq_no, start, false, 9);
        }
        assert_eq!((log.end(), log.names.len()), (3, 3));
        // Another publisher's numbers are others.
        push(&mut log, 2, 2, start, false, 9);
        assert_eq!(log.end(), 4);
    }

    #[test]
    fn a_keyframe_too_long_ago_is_of_no_use() {
        let start = Instant::now();
        let mut log = PacketLog::default();
        for second in 0..30 {
            push(&mut log, 1, second, start + Duration::from_secs(second), second == 0, 100);
        }
        assert_eq!((log.keyframe(), log.end() - log.begin()), (None, 4));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_in_packets() {
        let start = Instant::now();
        let mut log = PacketLog::default();
        for number in 0..100 {
            push(&mut log, 1, number, start, number == 0, 1024 * 1024);
        }
        assert_eq!(log.kept(), (32, 32 * 1024 * 1024));
        assert_eq!(log.names.len(), 32);
        for number in 0..40_000 {
            push(&mut log, 2, number, start, number == 0, 1);
        }
        assert_eq!((log.kept().0, log.names.len()), (KEPT_MAX_PACKETS, KEPT_MAX_PACKETS));
    }

    #[test]
    fn nobody_begins_with_another_publisher_or_behind_a_gap() {
        let start = Instant::now();
        let mut log = PacketLog::default();
        push(&mut log, 1, 7, start, true, 9);
        assert_eq!(log.keyframe(), Some(0));
        log.begin_source();
        push(&mut log, 2, 7, start, false, 9);
        assert_eq!(log.keyframe(), None);
        // Both packets number seven can be asked for again.
        assert!(log.find(SourceId(1), 7).is_some() && log.find(SourceId(2), 7).is_some());
        push(&mut log, 2, 8, start, true, 9);
        log.note_gap();
        push(&mut log, 2, 30, start, false, 9);
        assert_eq!(log.keyframe(), None);
    }
}
