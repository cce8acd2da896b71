//! What a packager can be told and asked, and what it says of itself.

use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use onair_media::{MediaKind, RecordingId, SourceId};
use serde::Serialize;

use crate::pictures::Still;

/// Announces a publisher session. *Reliable*, before its media.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SourceStarted {
    /// The publisher session.
    pub source: SourceId,
    /// The tracks that it announced.
    pub tracks: Vec<MediaKind>,
    /// When its first packet left the socket.
    pub at: Instant,
}

/// The publisher session is over; another may follow. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SourceEnded;

/// Ends the broadcast; what is cut stays for a while. *Reliable*, and a second one changes only how long.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Finish {
    /// How long the playlists stay.
    pub linger: Duration,
}

/// The recording is stored, or given up. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RecordingDone(pub RecordingId);

/// So many more cuts are in the spool, or found no room there. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Spooled {
    /// The recording.
    pub recording: RecordingId,
    /// How many.
    pub cuts: u64,
}

/// Asks what a page shows of HLS and recording. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "PackagerStatus")]
pub struct Status;

/// Asks for an HLS object. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Option<Bytes>")]
pub struct GetHls {
    /// What is wanted.
    pub object: HlsObject,
    /// Tells viewers apart, without saying who they are.
    pub viewer: u64,
}

/// Asks for the newest keyframe. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Still, NoStill>")]
pub struct GetStill;

/// Says why there is no keyframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStill {
    /// The broadcast is over.
    Ended,
    /// There is none, for the reason given.
    Unavailable(String),
}

/// Names an object of the live HLS tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HlsObject {
    /// `index.m3u8`
    Multivariant,
    /// `video/index.m3u8` of a broadcast.
    Playlist(RecordingId, MediaKind),
    /// `video/init-1.mp4` or `video/000001.m4s` of a broadcast.
    Media(RecordingId, MediaKind, String),
}

/// Says whether something is there, and if not, why.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PackagerStatus {
    /// HLS.
    pub hls: HlsStatus,
    /// The recording.
    pub recording: RecordingStatus,
    /// Width and height of the video in pixels.
    pub dimensions: Option<(u32, u32)>,
    /// Players that asked for a playlist lately.
    pub hls_viewers: usize,
}

/// Says whether HLS can be had.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HlsStatus {
    /// `starting`, `ready`, `ended` or `unavailable`.
    pub state: HlsState,
    /// Why it is unavailable.
    pub reason: Option<String>,
}

/// See [`HlsStatus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HlsState {
    /// Nothing is published.
    #[default]
    Off,
    /// The first segment is not complete yet.
    Starting,
    /// Playlists can be had.
    Ready,
    /// The broadcast is over.
    Ended,
    /// This broadcast has no HLS.
    Unavailable,
}

/// Says what becomes of the recording.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecordingStatus {
    /// `off`, `recording`, `finishing`, `stored` or `unavailable`.
    pub state: RecordingState,
    /// The recording.
    pub recording: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// See [`RecordingStatus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Nothing is recorded.
    #[default]
    Off,
    /// Segments go to the store.
    Recording,
    /// The broadcast is over, and the rest is being stored.
    Finishing,
    /// Everything is stored.
    Stored,
    /// This broadcast cannot be recorded.
    Unavailable,
}
