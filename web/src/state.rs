//! What every request handler needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::prelude::*;
use bytes::Bytes;
use onair_actors::core::cidr::Cidr;
use onair_actors::events::Events;
use onair_actors::live_window::LiveWindows;
use onair_actors::pictures::Pictures;
use onair_actors::room_manager::{Find, FindOrCreate, RoomHandle, RoomManager};
use onair_actors::sources::{OnDemand, Sources};
use onair_actors::uploader::Uploader;
use onair_media::RoomName;
use onair_recorder::{Spool, Store};

use crate::auth::{Policy, Tickets};
pub use crate::clips::Clips;
use crate::ice_servers::IceServer;
use crate::problem::Problem;

/// How long a request waits for an actor: far more than any answer takes, far less than a client's patience.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a viewer waits for a camera that comes for it: one that answers is there in a few seconds, and then takes one
/// segment.
pub(crate) const CAMERA_WITHIN: Duration = Duration::from_secs(20);

/// Holds what the handlers of a server share.
#[derive(Debug)]
pub struct AppState {
    /// The rooms.
    pub rooms: Addr<RoomManager>,
    /// What HLS players get.
    pub live: Arc<LiveWindows>,
    /// The RTSP sources.
    pub sources: Addr<Sources>,
    /// Which rooms have a source that comes when somebody watches.
    pub on_demand: Arc<OnDemand>,
    /// The networks whose cameras the API may add.
    pub camera_networks: Vec<Cidr>,
    /// Where recordings are.
    pub store: Arc<Store>,
    /// Where recordings wait while they are being made.
    pub spool: Arc<Spool>,
    /// What brings them to the store.
    pub uploader: Addr<Uploader>,
    /// What happens.
    pub events: Events,
    /// Where keyframes are decoded.
    pub pictures: Arc<Pictures>,
    /// Who may do what.
    pub policy: Policy,
    /// What viewers bring in place of a token.
    pub tickets: Tickets,
    /// Handed to WHIP and WHEP clients.
    pub ice_servers: Vec<IceServer>,
    /// How many clips are made at once.
    pub clips: Clips,
    /// The origins that may use the server from a browser; `*` for any.
    pub cors: Vec<String>,
}

impl AppState {
    /// Finds a room.
    ///
    /// # Errors
    /// 404 when there is none, 503 when the manager does not answer.
    pub async fn room(&self, name: &RoomName) -> Result<RoomHandle, Problem> {
        ask(&self.rooms, Find(name.clone())).await?.ok_or_else(|| Problem::room_not_found(name))
    }

    /// Says that somebody watches a room, and returns what its players begin with, if there is something. A camera that comes
    /// only for viewers is waited for, also while the end of its last broadcast is still to be seen.
    pub(crate) async fn multivariant(&self, room: &RoomName) -> Option<Bytes> {
        let comes = self.on_demand.want(room, Instant::now());
        let newest = self.live.newest(room);
        if comes && newest.as_ref().is_none_or(|window| window.has_ended() || window.multivariant().is_none()) {
            let there = self.live.multivariant_when_there(room);
            if let Ok(playlist) = tokio::time::timeout(CAMERA_WITHIN, there).await {
                return Some(playlist);
            }
        }
        newest.and_then(|window| window.multivariant())
    }

    /// Finds a room or makes it.
    ///
    /// # Errors
    /// 503 when the server is full or shuts down.
    pub async fn room_or_new(&self, name: &RoomName) -> Result<RoomHandle, Problem> {
        let room = ask(&self.rooms, FindOrCreate(name.clone())).await?;
        room.ok_or_else(|| Problem::overloaded("the server shuts down or holds as many rooms as it may"))
    }
}

/// Asks an actor, with a deadline.
///
/// # Errors
/// 503 when it does not answer in time.
pub async fn ask<A, M>(actor: &Addr<A>, message: M) -> Result<M::Result, Problem>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    ask_or(actor, message, Problem::unavailable).await
}

/// Asks an actor that may be gone, with a deadline.
///
/// # Errors
/// `gone()` when it has ended, 503 when it does not answer in time.
pub async fn ask_or<A, M>(actor: &Addr<A>, message: M, gone: impl FnOnce() -> Problem) -> Result<M::Result, Problem>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    actor.send(message).timeout(PATIENCE).await.map_err(|error| match error {
        MailboxError::Closed => gone(),
        MailboxError::Timeout => Problem::unavailable(),
    })
}
