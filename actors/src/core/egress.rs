//! The media plane of WebRTC viewers: a room's packets, rewritten, protected and put together for each of them.
//!
//! str0m keeps a viewer's session: SDP, ICE, DTLS, incoming RTCP. What is sent to it as media leaves from here, for
//! SSRCs on which str0m never sends, with the keys that the session's handshake agreed on (ADR 0009).
//!
//! A room's packets stand in one set of [`Logs`](logs::Logs) a worker, and each viewer has a place in it. So packets gather by
//! themselves while the worker is busy, a viewer that comes late begins at the last keyframe, and what a viewer lost is
//! taken from where everybody's packets are. Work goes viewer by viewer: all that is new for one, then the next.

use std::net::SocketAddr;

use onair_media::MediaKind;

mod buffer;
mod capture;
mod equalise;
mod feedback;
mod group;
mod header;
mod log;
mod logs;
mod numbering;
mod reports;
mod simulcast;
mod track;
mod viewer;

pub use buffer::SendBuffer;
pub use feedback::{LinkReport, Reported};
pub use group::{EgressCounts, EgressGroup};
pub use track::TrackSettings;
pub use viewer::{Egress, EgressSettings};

/// What a viewer's session tells its media plane.
#[derive(Debug)]
pub enum EgressOrder {
    /// The session is connected: media may flow.
    Attach(Box<Egress>),
    /// The session is over.
    Detach,
    /// The viewer misses these video packets (NACK, RFC 4585 §6.2.1).
    Resend(Vec<u16>),
    /// The viewer cannot go on without a keyframe (PLI or FIR).
    KeyframeWanted,
    /// When the viewer got packets.
    Arrivals(Vec<Reported>),
    /// The viewer loses so much of the video that its link must be full.
    Lossy,
    /// The viewer has reported on a track, so it knows the track's SSRC.
    Known(MediaKind),
    /// The viewer nominated another address.
    Redirect(SocketAddr),
    /// The viewer cannot be reached.
    Pause,
    /// The viewer can be reached again.
    Resume,
}
