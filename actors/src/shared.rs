//! What every room needs to know of its surroundings.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_media::RoomName;
use onair_recorder::{FragmenterSettings, WindowSettings};

use crate::archive::Archive;
use crate::core::session::Identity;
use crate::directory::Directory;
use crate::limits::Limits;
use crate::live_window::LiveWindows;
use crate::media_socket::MediaSocket;
use crate::recovery::Recovery;
use crate::udp::Udp;
use crate::webhook::Gauge;

/// Holds what all rooms share.
#[derive(Debug)]
pub struct Shared {
    /// Certificate and candidates.
    pub identity: Arc<Identity>,
    /// Where packets are carried: at least one.
    pub workers: Vec<Worker>,
    /// Where each session is to be found.
    pub directory: Arc<Directory>,
    /// Where packagers and recorders run, away from the packets of viewers.
    pub packaging: ArbiterHandle,
    /// Where recordings go.
    pub archive: Arc<Archive>,
    /// Who finishes those that are left in the spool.
    pub recovery: Addr<Recovery>,
    /// How the receivers of events stand.
    pub webhooks: Vec<Gauge>,
    /// How HLS is cut and kept.
    pub hls: HlsSettings,
    /// What is recorded.
    pub record: RecordSettings,
    /// How long packets may gather in front of viewers, at most.
    pub gather_for: Duration,
    /// How much is let in.
    pub limits: Limits,
}

/// One of the threads that carry packets, with its socket on the media port.
#[derive(Debug)]
pub struct Worker {
    /// Where its peers, relays and rooms run.
    pub arbiter: ArbiterHandle,
    /// The sending half of its socket.
    pub socket: Arc<MediaSocket>,
    /// The receiving half of its socket.
    pub udp: Addr<Udp>,
}

/// How HLS is cut and kept.
#[derive(Debug, Clone)]
pub struct HlsSettings {
    /// Lengths of parts and segments.
    pub cut: FragmenterSettings,
    /// What stays in memory for viewers.
    pub window: WindowSettings,
    /// Where players find it.
    pub windows: Arc<LiveWindows>,
}

/// What is recorded.
pub struct RecordSettings {
    /// Decides for each room.
    pub rule: Box<dyn Fn(&RoomName) -> RecordRule + Send + Sync>,
    /// How long a publisher may be away before its broadcast ends.
    pub reconnect: Duration,
    /// Names this server in manifests, such as `onair 0.1.0`.
    pub server: String,
}

/// How a room is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRule {
    /// Whether a broadcast is recorded unless somebody decides otherwise by hand.
    pub record: bool,
    /// Whether an MP4 is made of each recording.
    pub mp4: bool,
    /// Whether the pictures are left out.
    pub audio_only: bool,
    /// How long a recording may be before the next one takes over.
    pub max_duration: Option<Duration>,
    /// How many bytes of media it may hold before the next one takes over.
    pub max_bytes: Option<u64>,
}

impl std::fmt::Debug for RecordSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordSettings").field("reconnect", &self.reconnect).finish_non_exhaustive()
    }
}
