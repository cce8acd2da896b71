//! RTP packets as they travel from one publisher to everybody: immutable, shared, batched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::codec::Codec;

/// Numbers the publisher sessions of a room; it grows with each new publisher.
///
/// A change tells every reader that sequence numbers and timestamps start anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
pub struct SourceId(pub u32);

/// Numbers the encodings in which a publisher sends its video at the same time (simulcast, RFC 8853), as its offer lists them.
///
/// 0 where there is but one, and for sound. The number says nothing of quality: publishers list them in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
pub struct EncodingId(pub u8);

impl EncodingId {
    /// How many encodings a publisher may send.
    pub const COUNT: usize = 3;
}

/// Names some of a publisher's encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodingSet(u8);

impl EncodingSet {
    /// All that a publisher may send.
    pub const ALL: Self = Self((1 << EncodingId::COUNT) - 1);

    /// Adds an encoding.
    pub const fn insert(&mut self, encoding: EncodingId) {
        if (encoding.0 as usize) < EncodingId::COUNT {
            self.0 |= 1 << encoding.0;
        }
    }

    /// Returns the first ones, as many as there are: at least one, and no more than a publisher may send.
    pub const fn first(count: usize) -> Self {
        match count {
            0 | 1 => Self(1),
            2 => Self(0b11),
            _ => Self::ALL,
        }
    }

    /// Returns those that are in both sets.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Adds those of another set.
    pub const fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Tells whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns them in order.
    pub fn iter(self) -> impl Iterator<Item = EncodingId> {
        (0..EncodingId::COUNT as u8).filter(move |number| self.0 >> number & 1 == 1).map(EncodingId)
    }
}

impl From<EncodingId> for EncodingSet {
    fn from(encoding: EncodingId) -> Self {
        let mut set = Self::default();
        set.insert(encoding);
        set
    }
}

/// Holds one RTP packet without its header's transport details.
#[derive(Debug, Clone)]
pub struct RtpPacket {
    /// How the payload is encoded; one publisher sends at most one audio and one video codec at a time.
    pub codec: Codec,
    /// Which of the publisher's encodings it belongs to; each has sequence numbers and timestamps of its own.
    pub encoding: EncodingId,
    /// Sequence number extended by the roll-over count, so that it only grows (RFC 3550 §6.4.1).
    pub seq_no: u64,
    /// RTP timestamp as it came, in ticks of [`Codec::clock_rate_hz`]; it wraps.
    pub timestamp: u32,
    /// The marker bit: for video, the sender's claim that the frame ends here.
    pub marker: bool,
    /// Whether a keyframe (a decoder may start here) begins with this packet, and all the rest of it is still to come: at most
    /// one packet of a picture; always `true` for audio. So a repaired packet, which comes after those behind it, lets nobody in.
    pub starts_keyframe: bool,
    /// The RTP payload, shared from socket to socket or bucket.
    pub payload: Arc<[u8]>,
    /// When the packet left the socket.
    pub received_at: Instant,
    /// The sender's latest report for this stream, if any came so far.
    pub sender_report: Option<SenderReport>,
}

/// Ties a track's RTP clock to the sender's wall clock (RTCP SR, RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// The sender's wall clock, since any epoch that all its tracks share.
    pub ntp: Duration,
    /// The RTP timestamp of that instant, in ticks; it wraps.
    pub rtp_timestamp: u32,
}

/// Packets of one publisher that left the socket together, in order of arrival; audio and video may mix.
#[derive(Debug)]
pub struct PacketBatch {
    /// The publisher session they came from.
    pub source: SourceId,
    /// The packets; never empty.
    pub packets: Vec<RtpPacket>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_a_publisher_may_send_and_nothing_else() {
        let mut set = EncodingSet::from(EncodingId(2));
        set.insert(EncodingId(0));
        set.insert(EncodingId(200));
        assert_eq!(set.iter().collect::<Vec<_>>(), [EncodingId(0), EncodingId(2)]);
        set.extend(EncodingSet::from(EncodingId(1)));
        assert_eq!(set, EncodingSet::ALL);
        assert!(EncodingSet::default().is_empty());
        assert_eq!([0, 1, 2, 3, 9].map(|count| EncodingSet::first(count).iter().count()), [1, 1, 2, 3, 3]);
        assert_eq!(EncodingSet::first(2).both(EncodingId(1).into()), EncodingId(1).into());
    }
}
