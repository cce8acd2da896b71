//! What a room keeps for readers who come late: everything since the last keyframe began, of each encoding.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{EncodingId, MediaKind, PacketBatch, SourceId};

/// How long ago a keyframe may have begun to be of use: encoders with a longer interval exist, but a viewer would take too
/// long to catch up.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(15);

/// The most payload that is kept: 15 s at 17 Mbit/s.
pub(super) const KEPT_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The most batches that are kept: each has at least one packet, and two thousand a second are more than any sender's.
const KEPT_MAX_BATCHES: usize = 32_768;

/// Holds the batches of a group of pictures, shared with those who have them already.
#[derive(Debug, Default)]
pub struct GroupOfPictures {
    batches: VecDeque<Arc<PacketBatch>>,
    /// The number of the first batch; they are counted on.
    begin: u64,
    /// In which batch the newest keyframe of each encoding begins.
    keyframes: [Option<u64>; EncodingId::COUNT],
    source: Option<SourceId>,
    bytes: usize,
}

impl GroupOfPictures {
    /// Takes a batch in. `after_gap` says that packets before it were withheld: what was kept leads nowhere then.
    pub fn push(&mut self, batch: &Arc<PacketBatch>, after_gap: bool) {
        if after_gap || self.source != Some(batch.source) {
            self.clear();
        }
        let end = self.begin + self.batches.len() as u64;
        let starts =
            batch.packets.iter().filter(|packet| packet.codec.kind() == MediaKind::Video && packet.starts_keyframe);
        for packet in starts {
            if let Some(keyframe) = self.keyframes.get_mut(usize::from(packet.encoding.0)) {
                *keyframe = Some(end);
            }
        }
        if self.keyframes.iter().any(Option::is_some) {
            self.source = Some(batch.source);
            self.bytes += payload_bytes(batch);
            self.batches.push_back(Arc::clone(batch));
        }
        self.let_go();
    }

    /// Lets go of what leads nowhere: batches before all the keyframes, and keyframes of too long ago.
    fn let_go(&mut self) {
        while let Some(first) = self.batches.front() {
            let is_before_all = self.keyframes.iter().flatten().all(|keyframe| *keyframe > self.begin);
            let is_too_much = self.bytes > KEPT_MAX_BYTES || self.batches.len() > KEPT_MAX_BATCHES;
            if !is_before_all && !is_too_much && self.age() <= KEPT_FOR {
                return;
            }
            self.bytes -= payload_bytes(first);
            self.batches.pop_front();
            self.begin += 1;
            let begin = self.begin;
            self.keyframes.iter_mut().for_each(|keyframe| *keyframe = keyframe.filter(|number| *number >= begin));
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the batches, the first one being that in which the oldest of the keyframes begins.
    pub fn batches(&self) -> Vec<Arc<PacketBatch>> {
        self.batches.iter().cloned().collect()
    }

    fn age(&self) -> Duration {
        let at = |batch: Option<&Arc<PacketBatch>>| batch.and_then(|batch| Some(batch.packets.first()?.received_at));
        let newest: Option<Instant> = at(self.batches.back());
        newest.zip(at(self.batches.front())).map_or(Duration::ZERO, |(new, old)| new.saturating_duration_since(old))
    }
}

fn payload_bytes(batch: &PacketBatch) -> usize {
    batch.packets.iter().map(|packet| packet.payload.len()).sum()
}

#[cfg(test)]
mod tests {
    use onair_media::{Codec, EncodingId, RtpPacket};

    use super::*;

    fn batch(source: u32, at: Instant, starts_keyframe: bool, bytes: usize) -> Arc<PacketBatch> {
        let packet = RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no: 1,
            timestamp: 0,
            marker: true,
            starts_keyframe,
            payload: vec![0; bytes].into(),
            received_at: at,
            sender_report: None,
        };
        Arc::new(PacketBatch { source: SourceId(source), packets: vec![packet] })
    }

    #[test]
    fn a_keyframe_begins_anew_and_nothing_is_kept_before_the_first() {
        let (start, mut group) = (Instant::now(), GroupOfPictures::default());
        let kept = |group: &mut GroupOfPictures, source, keyframe, after_gap| {
            group.push(&batch(source, start, keyframe, 9), after_gap);
            group.batches().len()
        };
        assert_eq!(kept(&mut group, 1, false, false), 0);
        assert_eq!(kept(&mut group, 1, true, false), 1);
        assert_eq!(kept(&mut group, 1, false, false), 2);
        assert_eq!(kept(&mut group, 1, true, false), 1);
        assert_eq!(kept(&mut group, 1, false, true), 0);
        assert_eq!(kept(&mut group, 1, true, true), 1);
        assert_eq!(kept(&mut group, 2, false, false), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_in_time_and_bytes() {
        let (start, mut group) = (Instant::now(), GroupOfPictures::default());
        group.push(&batch(1, start, true, 9), false);
        group.push(&batch(1, start + Duration::from_secs(15), false, 9), false);
        assert_eq!(group.batches().len(), 2);
        group.push(&batch(1, start + Duration::from_secs(16), false, 9), false);
        assert_eq!(group.batches().len(), 0);
        group.push(&batch(1, start, true, KEPT_MAX_BYTES), false);
        group.push(&batch(1, start, false, 1), false);
        assert_eq!(group.batches().len(), 0);
    }

    #[test]
    fn each_encoding_keeps_its_last_keyframe() {
        let (start, mut group) = (Instant::now(), GroupOfPictures::default());
        let mut kept = |encoding, second, starts_keyframe| {
            let at = start + Duration::from_secs(second);
            let mut batch = Arc::into_inner(batch(1, at, starts_keyframe, 9)).unwrap();
            batch.packets[0].encoding = EncodingId(encoding);
            group.push(&Arc::new(batch), false);
            group.batches().iter().map(|batch| batch.packets[0].encoding.0).collect::<Vec<_>>()
        };
        assert_eq!(kept(0, 0, true), [0]);
        assert_eq!(kept(1, 1, true), [0, 1]);
        assert_eq!(kept(1, 2, false), [0, 1, 1]);
        assert_eq!(kept(1, 3, true), [0, 1, 1, 1]);
        // The first encoding's next keyframe frees all before the second's last one.
        assert_eq!(kept(0, 4, true), [1, 0]);
        // One that fell silent does not hold the others for ever.
        assert_eq!(kept(0, 18, false), [1, 0, 0]);
        assert_eq!(kept(0, 19, false), [0, 0, 0]);
        assert_eq!(kept(0, 20, false), [0; 0]);
    }
}
