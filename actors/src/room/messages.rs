//! What a room can be told and asked.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_media::{EncodingSet, PacketBatch};

use crate::core::offer::{Offer, OfferError, Role};
use crate::core::session::EndReason;
use crate::packager::Packager;
use crate::patch::{Patch, PatchError, Patched};
use crate::room_manager::Lease;
use crate::session_id::{ETag, SessionId};

/// Packets of the room's publisher. *Lossy*: a full mailbox drops them, and `after_gap` says so afterwards.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Media {
    /// The packets.
    pub batch: Arc<PacketBatch>,
    /// Whether packets before these were withheld.
    pub after_gap: bool,
}

/// Asks for a keyframe of some encodings; many become one. *At most once.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RequestKeyframe(pub EncodingSet);

/// Takes a publisher in. Returns its session, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Admitted, AdmitError>")]
pub struct Publish {
    /// The checked offer.
    pub offer: Offer,
    /// Whether a present publisher is to be replaced.
    pub takeover: bool,
    /// Keeps the room.
    pub lease: Lease,
}

/// Takes a viewer in. Returns its session, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Admitted, AdmitError>")]
pub struct Subscribe {
    /// The checked offer.
    pub offer: Offer,
    /// How long the viewer waits for a publisher; `None` for not at all.
    pub wait: Option<Duration>,
    /// Keeps the room.
    pub lease: Lease,
}

/// A session that was just accepted.
#[derive(Debug)]
pub struct Admitted {
    /// Its id, the secret part of its URL.
    pub session: SessionId,
    /// The SDP answer.
    pub answer: String,
    /// Names its ICE generation.
    pub etag: ETag,
}

/// Says why a session was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The room has a publisher already.
    #[error("the room has a publisher")]
    HasPublisher,
    /// Nobody publishes, and the viewer would not wait.
    #[error("the room is not live")]
    NotLive,
    /// The offer was refused.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The room has as many viewers as it may.
    #[error("the room is full")]
    RoomFull,
    /// The server has as much to do as it can: another viewer would cost those who watch.
    #[error("the server is busy")]
    Busy,
    /// All seats are taken.
    #[error("the server is full")]
    Full,
    /// The server shuts down.
    #[error("the server shuts down")]
    ShuttingDown,
}

/// Changes a session by its id and role. Returns the answer, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Patched, PatchError>")]
pub struct PatchSession {
    /// The session.
    pub session: SessionId,
    /// What it is.
    pub role: Role,
    /// What to change.
    pub patch: Patch,
}

/// Ends a session by its id and role. Returns whether there was one. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct DeleteSession(pub SessionId, pub Role);

/// Finds the packager of the present broadcast. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Option<Addr<Packager>>")]
pub struct FindPackager;

/// Tells that a session is over. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PeerEnded {
    /// The session.
    pub session: SessionId,
    /// Why.
    pub reason: EndReason,
}

/// Tells that a packager has nothing left to do. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PackagerDone(pub Addr<Packager>);

/// Ends the broadcast and all sessions. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown;

/// Ends the actor; only the manager sends it, when nobody holds the room. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;
