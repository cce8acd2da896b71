//! What people and pages may know of a room.

use std::time::{Instant, SystemTime};

use actix::prelude::*;
use chrono::{DateTime, SecondsFormat, Utc};
use onair_media::{EncodingId, MediaKind, RoomName};
use serde::Serialize;
use serde_json::{Value, json};

use super::Room;
use super::sessions::Stage;
use crate::core::encodings::Encoding;
use crate::core::meter::TrackFigures;
use crate::core::offer::Role;
use crate::core::report::Finding;
use crate::observe::{Observe, PATIENCE, observe, observe_all};
use crate::packager::{HlsStatus, PackagerStatus, RecordingStatus, Status};

/// The most sessions whose state is shown one by one.
const MAX_SESSIONS_SHOWN: usize = 50;

/// Describes the room. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "RoomDescription")]
pub struct Describe {
    /// Whether the states of the actors are wanted too.
    pub with_actors: bool,
}

/// Describes a room.
#[derive(Debug, Serialize)]
pub struct RoomDescription {
    /// Its name.
    pub room: RoomName,
    /// What it shows.
    pub state: RoomState,
    /// When the broadcast began, RFC 3339.
    pub live_since: Option<String>,
    /// Who watches.
    pub viewers: ViewerCounts,
    /// What is published.
    pub tracks: Vec<TrackDescription>,
    /// What is wrong with it.
    pub report: Vec<Finding>,
    /// Whether HLS can be had.
    pub hls: HlsStatus,
    /// What becomes of it.
    pub recording: RecordingStatus,
    /// The states of its actors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actors: Option<Value>,
}

/// Tells whether a room shows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomState {
    /// Nobody publishes.
    Idle,
    /// Media flows.
    Live,
    /// The publisher is gone and may come back.
    Reconnecting,
}

/// Counts viewers by protocol.
#[derive(Debug, Serialize)]
pub struct ViewerCounts {
    /// Over WebRTC.
    pub whep: usize,
    /// Who fetched a playlist in the last half minute.
    pub hls: usize,
}

/// Describes a published track.
#[derive(Debug, Serialize)]
pub struct TrackDescription {
    /// Rates and losses.
    #[serde(flatten)]
    pub figures: TrackFigures,
    /// Width in pixels, once a keyframe was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, once a keyframe was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// What the publisher sends at the same time (simulcast), the best first; left out where that is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<EncodingDescription>,
    /// Samples per second, for audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Channels, for audio: RTP Opus is always announced as two (RFC 7587 §7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
}

/// Describes one encoding of a video that comes in several.
#[derive(Debug, Serialize)]
pub struct EncodingDescription {
    /// The name that the publisher gave it (`rid`, RFC 8851).
    pub encoding: String,
    /// Width in pixels, once a keyframe was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, once a keyframe was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Payload bits per second.
    pub bitrate_bps: u64,
    /// Frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
}

impl TrackDescription {
    fn new(figures: TrackFigures, dimensions: Option<(u32, u32)>, encodings: Vec<EncodingDescription>) -> Self {
        let is_audio = figures.kind == MediaKind::Audio;
        let dimensions = dimensions.filter(|_| !is_audio);
        Self {
            encodings,
            width: dimensions.map(|(width, _)| width),
            height: dimensions.map(|(_, height)| height),
            sample_rate: is_audio.then(|| figures.codec.clock_rate_hz()),
            channels: is_audio.then_some(2),
            figures,
        }
    }
}

impl Handler<Describe> for Room {
    type Result = ResponseFuture<RoomDescription>;

    fn handle(&mut self, describe: Describe, _: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        let (mut figures, mut encodings) = (self.figures(now), self.describe_encodings(now));
        let (room, state) = (self.name.clone(), self.state());
        let live_since = self.live_since.map(rfc3339);
        let whep = self.viewers();
        let best = self.encodings.ranked().next().map_or_else(EncodingId::default, |(id, _)| id);
        let report = self.report.findings(best, now);
        let packager = self.packager.as_ref().or_else(|| self.finishing.last()).cloned();
        let actors = describe.with_actors.then(|| self.observe_actors());
        Box::pin(async move {
            let status = match packager {
                Some(packager) => packager.send(Status).timeout(PATIENCE).await.unwrap_or_default(),
                None => PackagerStatus::default(),
            };
            let mut describe = |figures: TrackFigures| {
                let is_video = figures.kind == MediaKind::Video;
                let encodings = if is_video { std::mem::take(&mut encodings) } else { Vec::new() };
                TrackDescription::new(figures, status.dimensions, encodings)
            };
            let tracks = figures.drain(..).map(&mut describe).collect();
            let viewers = ViewerCounts { whep, hls: status.hls_viewers };
            let actors = match actors {
                Some(actors) => Some(actors.await),
                None => None,
            };
            RoomDescription {
                room,
                state,
                live_since,
                viewers,
                tracks,
                report,
                hls: status.hls,
                recording: status.recording,
                actors,
            }
        })
    }
}

impl Room {
    fn state(&self) -> RoomState {
        match (&self.publisher, self.live_since) {
            (Some(publisher), _) if publisher.started => RoomState::Live,
            (_, Some(_)) => RoomState::Reconnecting,
            _ => RoomState::Idle,
        }
    }

    /// Returns the figures of each track, video before audio; those of the best encoding where there are several.
    fn figures(&self, now: Instant) -> Vec<TrackFigures> {
        let best = self.encodings.ranked().next().map(|(id, _)| id);
        let is_shown = |kind, id| kind == MediaKind::Audio || best.is_none_or(|best| best == id);
        let meters = self.meters.iter().filter(|((kind, id), _)| is_shown(*kind, *id));
        let mut figures: Vec<_> = meters.map(|(_, meter)| meter.figures(now)).collect();
        figures.sort_by_key(|figures| figures.kind);
        figures.dedup_by_key(|figures| figures.kind);
        figures
    }

    fn describe_encodings(&self, now: Instant) -> Vec<EncodingDescription> {
        let Some(names) = self.publisher.as_ref().map(|publisher| &publisher.encodings) else { return Vec::new() };
        let describe = |(id, encoding): (EncodingId, &Encoding)| {
            let figures = self.meters.get(&(MediaKind::Video, id)).map(|meter| meter.figures(now));
            Some(EncodingDescription {
                encoding: names.get(usize::from(id.0))?.clone(),
                width: encoding.size.map(|(width, _)| width),
                height: encoding.size.map(|(_, height)| height),
                bitrate_bps: figures.as_ref().map_or(0, |figures| figures.bitrate_bps),
                frame_rate: figures.and_then(|figures| figures.frame_rate),
            })
        };
        self.encodings.ranked().filter_map(describe).collect()
    }

    pub(super) fn viewers(&self) -> usize {
        self.sessions.values().filter(|member| member.role == Role::Viewer).count()
    }

    fn observe_actors(&self) -> impl Future<Output = Value> + use<> {
        let (keyframes_requested, keyframes_asked_for) = self.throttle.counts();
        let own = json!({
            "readers": self.readers.len(),
            "dropped_packets": self.readers.dropped_packets(),
            "sessions": self.sessions.len(),
            "keyframes_requested": keyframes_requested,
            "keyframes_asked_for": keyframes_asked_for,
            "finishing": self.finishing.len(),
        });
        let (peers, waiting) = self.shown_sessions();
        let relays = self.relays.values().map(|relay| relay.clone().recipient()).collect();
        let packager = self.packager.as_ref().or_else(|| self.finishing.last()).cloned().map(Addr::recipient);
        let udp = self.shared.workers.iter().map(|worker| worker.udp.clone().recipient()).collect();
        let uploader = self.shared.archive.uploader.clone().recipient();
        let limits = json!(self.shared.limits.state());
        let events = json!(self.shared.archive.events.state());
        let webhooks: Vec<_> = self.shared.webhooks.iter().map(|webhook| json!(webhook.state())).collect();
        async move {
            let relays = observe_all(relays).await;
            let packager = match packager {
                Some(packager) => observe(&packager).await,
                None => Value::Null,
            };
            let peers = [observe_all(peers).await, waiting].concat();
            let (udp, uploader) = (observe_all(udp).await, observe(&uploader).await);
            json!({
                "room": own,
                "limits": limits,
                "events": events,
                "webhooks": webhooks,
                "relays": relays,
                "peers": peers,
                "packager": packager,
                "udp": udp,
                "uploader": uploader,
            })
        }
    }

    /// Returns whom to ask for their state, and the states of sessions that no worker runs yet.
    fn shown_sessions(&self) -> (Vec<Recipient<Observe>>, Vec<Value>) {
        let (mut peers, mut waiting) = (Vec::new(), Vec::new());
        for member in self.sessions.values().take(MAX_SESSIONS_SHOWN) {
            match &member.stage {
                Stage::Running(peer) => peers.push(peer.clone().recipient()),
                Stage::Waiting(it) => waiting.push(it.observed()),
            }
        }
        (peers, waiting)
    }
}

/// Renders a moment as RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}
