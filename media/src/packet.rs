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

/// Holds one RTP packet without its header's transport details.
#[derive(Debug, Clone)]
pub struct RtpPacket {
    /// How the payload is encoded; one publisher sends at most one audio and one video codec at a time.
    pub codec: Codec,
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
