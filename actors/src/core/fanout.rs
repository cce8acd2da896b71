//! One batch to many readers: a slow reader costs only itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{MediaKind, PacketBatch, SourceId};

/// How long a reader waits for a keyframe before it is asked for again: the request or the answer may be lost.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What became of a batch that was offered to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The reader has it.
    Taken,
    /// The reader's queue is full.
    Full,
    /// The reader is no more.
    Gone,
}

/// Holds the readers of a room. `R` is how to reach one.
#[derive(Debug)]
pub struct Fanout<R> {
    readers: Vec<Reader<R>>,
    /// The source that was seen to send video: only such a one has keyframes to wait for.
    video_source: Option<SourceId>,
    /// When a keyframe was last asked for.
    asked_at: Option<Instant>,
}

#[derive(Debug)]
struct Reader<R> {
    to: R,
    /// Set while the reader misses media: it gets none until a keyframe begins.
    behind: bool,
    dropped_packets: u64,
}

impl<R> Reader<R> {
    fn new(to: R) -> Self {
        Self { to, behind: false, dropped_packets: 0 }
    }
}

impl<R> Default for Fanout<R> {
    fn default() -> Self {
        Self { readers: Vec::new(), video_source: None, asked_at: None }
    }
}

impl<R> Fanout<R> {
    /// Adds a reader behind the others: each batch is offered to it after them.
    pub fn add(&mut self, to: R) {
        self.readers.push(Reader::new(to));
    }

    /// Adds a reader ahead of the others: each batch is offered to it before them.
    pub fn add_first(&mut self, to: R) {
        self.readers.insert(0, Reader::new(to));
    }

    /// Removes the readers that `is_it` picks.
    pub fn remove(&mut self, is_it: impl Fn(&R) -> bool) {
        self.readers.retain(|reader| !is_it(&reader.to));
    }

    /// Offers a batch to every reader through `deliver(reader, batch, after_gap)`.
    ///
    /// A reader whose queue is full misses everything up to the next keyframe. Returns true when the publisher is to be
    /// asked for one: a reader fell behind, or could not even take the keyframe, or has waited for one for a second.
    pub fn publish(
        &mut self,
        batch: &Arc<PacketBatch>,
        mut deliver: impl FnMut(&R, Arc<PacketBatch>, bool) -> Delivery,
    ) -> bool {
        let may_resume = self.may_resume(batch);
        let (mut fell_behind, mut waiting) = (false, false);
        self.readers.retain_mut(|reader| {
            let after_gap = reader.behind;
            if after_gap && !may_resume {
                reader.dropped_packets += batch.packets.len() as u64;
                waiting = true;
                return true;
            }
            match deliver(&reader.to, Arc::clone(batch), after_gap) {
                Delivery::Taken => reader.behind = false,
                Delivery::Full => {
                    reader.dropped_packets += batch.packets.len() as u64;
                    fell_behind = true;
                    reader.behind = true;
                }
                Delivery::Gone => return false,
            }
            true
        });
        let now = batch.packets.last().map(|packet| packet.received_at);
        let is_due = |asked: Instant| now.is_some_and(|now| now.saturating_duration_since(asked) >= ASK_AGAIN_AFTER);
        let asks = fell_behind || (waiting && self.asked_at.is_none_or(is_due));
        if asks {
            self.asked_at = now;
        }
        asks
    }

    /// Returns how many readers there are.
    pub fn len(&self) -> usize {
        self.readers.len()
    }

    /// Tells whether nobody reads.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Returns how many packets were dropped in front of full queues of the present readers.
    pub fn dropped_packets(&self) -> u64 {
        self.readers.iter().map(|reader| reader.dropped_packets).sum()
    }

    /// A reader may come back where a keyframe begins, or anywhere when the source has no video.
    fn may_resume(&mut self, batch: &PacketBatch) -> bool {
        let mut video = batch.packets.iter().filter(|packet| packet.codec.kind() == MediaKind::Video).peekable();
        if video.peek().is_some() {
            self.video_source = Some(batch.source);
        }
        self.video_source != Some(batch.source) || video.any(|packet| packet.starts_keyframe)
    }
}

#[cfg(test)]
mod tests {
    use onair_media::{Codec, EncodingId, RtpPacket, SourceId};

    use super::*;

    fn batch(starts_keyframe: bool) -> Arc<PacketBatch> {
        let packet = RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::Vp8,
            seq_no: 1,
            timestamp: 0,
            marker: true,
            starts_keyframe,
            payload: [0_u8; 4].into(),
            received_at: Instant::now(),
            sender_report: None,
        };
        Arc::new(PacketBatch { source: SourceId(1), packets: vec![packet] })
    }

    #[test]
    fn a_slow_reader_costs_only_itself() {
        let mut fanout = Fanout::default();
        fanout.add("slow");
        fanout.add("fast");
        let mut got = Vec::new();
        let mut publish = |fanout: &mut Fanout<&'static str>, keyframe, slow_is_full| {
            fanout.publish(&batch(keyframe), |reader, _, after_gap| {
                if *reader == "slow" && slow_is_full {
                    return Delivery::Full;
                }
                got.push((*reader, keyframe, after_gap));
                Delivery::Taken
            })
        };
        // The queue is full once: the keyframe is asked for once, and the slow reader waits for it.
        assert!(publish(&mut fanout, false, true));
        assert!(!publish(&mut fanout, false, false));
        assert!(!publish(&mut fanout, true, false));
        assert!(!publish(&mut fanout, false, false));
        let slow: Vec<_> = got.iter().filter(|(reader, ..)| *reader == "slow").map(|got| (got.1, got.2)).collect();
        assert_eq!(slow, [(true, true), (false, false)]);
        assert_eq!(got.iter().filter(|(reader, ..)| *reader == "fast").count(), 4);
        assert_eq!(fanout.dropped_packets(), 2);
    }

    #[test]
    fn who_was_added_first_of_all_is_offered_each_batch_first() {
        let mut fanout = Fanout::default();
        fanout.add("relay of worker 0");
        fanout.add_first("packager");
        fanout.add("relay of worker 1");
        let mut offered = Vec::new();
        for slow in [true, false] {
            fanout.publish(&batch(true), |reader, _, _| {
                offered.push(*reader);
                if slow { Delivery::Full } else { Delivery::Taken }
            });
        }
        let order = ["packager", "relay of worker 0", "relay of worker 1"];
        assert_eq!(offered, [order, order].concat());
    }

    #[test]
    fn a_reader_that_cannot_take_its_keyframe_is_not_forgotten() {
        let mut fanout = Fanout::default();
        fanout.add(());
        let at = |seconds: u64, keyframe| {
            let mut batch = Arc::into_inner(batch(keyframe)).unwrap();
            batch.packets[0].received_at += Duration::from_secs(seconds);
            Arc::new(batch)
        };
        // Behind; the keyframe finds the queue still full, and another one is wanted at once. It never comes, so it is
        // wanted again after a second, and not before.
        assert!(fanout.publish(&at(0, false), |_, _, _| Delivery::Full));
        assert!(fanout.publish(&at(0, true), |_, _, _| Delivery::Full));
        assert!(!fanout.publish(&at(0, false), |_, _, _| Delivery::Taken));
        assert!(fanout.publish(&at(2, false), |_, _, _| Delivery::Taken));
    }

    #[test]
    fn without_video_there_is_no_keyframe_to_wait_for() {
        let mut sound = Arc::into_inner(batch(true)).unwrap();
        sound.packets[0].codec = Codec::Opus;
        let sound = Arc::new(sound);
        let mut fanout = Fanout::default();
        fanout.add(());
        fanout.publish(&sound, |_, _, _| Delivery::Full);
        let mut resumed = false;
        fanout.publish(&sound, |_, _, after_gap| {
            resumed = after_gap;
            Delivery::Taken
        });
        assert!(resumed);
    }

    #[test]
    fn readers_that_are_gone_are_forgotten() {
        let mut fanout = Fanout::default();
        fanout.add(1);
        fanout.publish(&batch(true), |_, _, _| Delivery::Gone);
        assert!(fanout.is_empty());
    }
}
