//! What a source is told and asked, and what it is made of.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_media::{Codec, RoomName};
use serde::Serialize;

use super::connect::{PullError, resolved};
use super::url::CameraUrl;
use crate::core::cidr::Cidr;
use crate::core::pull::PullState;
use crate::live_window::LiveWindows;
use crate::room_manager::RoomManager;

/// How a camera sends its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Within the RTSP connection: nothing is lost, and firewalls let it pass.
    #[default]
    Tcp,
    /// In datagrams of its own.
    Udp,
}

/// Describes a camera.
#[derive(Debug)]
pub struct Camera {
    /// The room that it publishes to.
    pub room: RoomName,
    /// Where it is.
    pub url: CameraUrl,
    /// Whether it is pulled only while somebody watches.
    pub on_demand: bool,
    /// How it sends.
    pub transport: Transport,
    /// The networks that it must be in; `None` for one of the configuration file, whose author may pull from anywhere.
    pub allow: Option<Vec<Cidr>>,
}

/// What a source needs to know of its surroundings.
#[derive(Debug, Clone)]
pub struct Around {
    /// Where its room is found.
    pub rooms: Addr<RoomManager>,
    /// By which HLS players are seen.
    pub live: Arc<LiveWindows>,
    /// How long a camera may send no media.
    pub silence_max: Duration,
}

impl Camera {
    /// Looks whether a camera of the API may be pulled, as each attempt will once more.
    ///
    /// # Errors
    /// [`PullError::NoAddress`], [`PullError::NotAllowed`] or [`PullError::OnlyTcp`].
    pub async fn check(&self) -> Result<(), PullError> {
        match &self.allow {
            Some(allow) => resolved(self, allow).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Tells a source that somebody wants to watch its room. *At most once* a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wanted;

/// Ends a source, and the broadcast of its camera. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Remove;

/// Describes a source. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "SourceDescription")]
pub struct DescribeSource;

/// Shows a source to people.
#[derive(Debug, Clone, Serialize)]
pub struct SourceDescription {
    /// Its room.
    pub room: RoomName,
    /// Where the camera is, without what may be secret.
    pub url: String,
    /// Whether it is pulled only while somebody watches.
    pub on_demand: bool,
    /// How it sends.
    pub transport: Transport,
    /// How far it is.
    pub state: PullState,
    /// Since when it plays, RFC 3339.
    pub connected_since: Option<String>,
    /// What ended the last session or attempt; `None` while the camera plays.
    pub error: Option<String>,
    /// What is taken of what it sends.
    pub codecs: Vec<Codec>,
    /// What is not, by the names of SDP such as `audio/mpeg4-generic`: of other codecs, or a second track of its kind.
    pub skipped: Vec<String>,
    /// How often it was connected.
    pub sessions: u64,
    /// Frames that were not what their codec wants, and were left out.
    pub malformed_frames: u64,
    /// Packets that the room's full mailbox refused.
    pub dropped_packets: u64,
}
