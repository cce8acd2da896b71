//! What a packager can be told and asked, and what it says of itself.

use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_media::{MediaKind, RecordingId, SourceId};
use onair_recorder::Protocol;
use serde::Serialize;

use crate::pictures::Still;

/// Announces a publisher session. *Reliable*, before its media.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SourceStarted {
    /// The publisher session.
    pub source: SourceId,
    /// How its media comes.
    pub protocol: Protocol,
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

/// A recorder has nothing more to do. *Reliable.*
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RecordingDone {
    /// The recording.
    pub recording: RecordingId,
    /// What became of it.
    pub end: RecordingEnd,
}

/// Says what became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingEnd {
    /// The store has everything.
    Stored,
    /// What there is of it waits in the spool, in order, for a store that does not answer.
    Left,
    /// Nothing was recorded, and nothing is left of it.
    Empty,
    /// It could not begin, for this reason; nothing is left of it.
    NotBegun(String),
    /// It could not go on, for this reason. What there is of it stays in the spool for the next start.
    GivenUp(String),
}

/// The broadcast is not the newest any more, and others need what it holds: its players have had their time, and its
/// recordings wait in the spool. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LetGo;

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

/// Has the broadcast recorded from the segment that grows on, whatever the configuration says of the room, or go on being
/// recorded. Returns what becomes of it, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Started, RecordingRefusal>")]
pub struct StartRecording;

/// Ends the recording with the segment that grows, and has no other begin in this broadcast unless somebody says so.
/// Returns what becomes of it, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<RecordingStatus, RecordingRefusal>")]
pub struct EndRecording;

/// Answers [`StartRecording`].
#[derive(Debug)]
pub struct Started {
    /// What becomes of the recording.
    pub status: RecordingStatus,
    /// Whether it was not being recorded before.
    pub is_new: bool,
}

/// Says why a recording is not started or ended by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingRefusal {
    /// There is no broadcast.
    #[error("the room is not live")]
    NotLive,
    /// Nothing is recorded.
    #[error("nothing is recorded")]
    NotRecording,
    /// The broadcast cannot be recorded.
    #[error("{0}")]
    Unavailable(String),
    /// There is no room for a recording at the moment.
    #[error("{0}")]
    NoRoom(String),
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
    /// `off`, `starting`, `recording`, `finishing`, `stored`, `failed` or `unavailable`.
    pub state: RecordingState,
    /// The recording.
    pub recording: Option<String>,
    /// Why there is none, or none that is whole.
    pub reason: Option<String>,
}

/// See [`RecordingStatus`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Nothing is recorded.
    #[default]
    Off,
    /// It begins with the first segment.
    Starting,
    /// Segments go to the store.
    Recording,
    /// Its end is decided, and the rest is being stored.
    Finishing,
    /// Everything is stored.
    Stored,
    /// It could not go on; what there is of it waits in the spool for the next start of the server.
    Failed,
    /// This broadcast cannot be recorded.
    Unavailable,
}
