//! What a room keeps for readers who come late: everything since the last keyframe began.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{MediaKind, PacketBatch, SourceId};

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
    source: Option<SourceId>,
    bytes: usize,
}

impl GroupOfPictures {
    /// Takes a batch in. `after_gap` says that packets before it were withheld: what was kept leads nowhere then.
    pub fn push(&mut self, batch: &Arc<PacketBatch>, after_gap: bool) {
        let begins =
            batch.packets.iter().any(|packet| packet.codec.kind() == MediaKind::Video && packet.starts_keyframe);
        if begins || after_gap || self.source != Some(batch.source) {
            self.clear();
        }
        if begins || !self.batches.is_empty() {
            self.source = Some(batch.source);
            self.bytes += payload_bytes(batch);
            self.batches.push_back(Arc::clone(batch));
        }
        if self.bytes > KEPT_MAX_BYTES || self.batches.len() > KEPT_MAX_BATCHES || self.age() > KEPT_FOR {
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the batches, the first one being that in which the keyframe begins.
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
    use onair_media::{Codec, RtpPacket};

    use super::*;

    fn batch(source: u32, at: Instant, starts_keyframe: bool, bytes: usize) -> Arc<PacketBatch> {
        let packet = RtpPacket {
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
}
