//! A camera whose media is pulled into a room: the shell around [`Pull`], with its RTSP session, its timer and its way to
//! the room.
//!
//! To the room it is a publisher like any other; what it lacks is a WebRTC session. Whatever ends the RTSP session, it is
//! built anew, and the broadcast goes on if that took less than `record.reconnect_s`.

mod connect;
mod media;
mod messages;
mod url;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use onair_media::SourceId;
use retina::client::SessionGroup;
use tracing::{debug, info, warn};

use self::connect::{Connected, connect, room_of};
use crate::core::pull::{LeaveReason, Order, Pull, PullSettings, PullState};
use crate::core::pulled::PulledTrack;
use crate::core::session::EndReason;
use crate::observe::{Observe, observed};
use crate::room::{CountViewers, Ousted, PullEnded};
use crate::room_manager::RoomHandle;
use crate::session_id::random;

pub use self::connect::PullError;
pub use self::messages::{Around, Camera, DescribeSource, Remove, SourceDescription, Transport, Wanted};
pub use self::url::{CameraUrl, CameraUrlError};

/// How often is looked whether somebody watches a camera on demand.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Owns the RTSP session of one camera.
pub struct RtspSource {
    camera: Arc<Camera>,
    around: Around,
    pull: Pull,
    /// Knows which sessions the camera may not have let go of yet.
    group: Arc<SessionGroup>,
    /// Held while the camera is wanted.
    room: Option<RoomHandle>,
    link: Link,
    timer: Option<(Instant, SpawnHandle)>,
    connected_since: Option<SystemTime>,
    error: Option<String>,
    counts: Counts,
    /// Said to the room when the actor goes, in whatever way it goes.
    reason: EndReason,
}

#[derive(Debug)]
enum Link {
    None,
    Connecting(SpawnHandle),
    Playing(Playing),
}

#[derive(Debug)]
struct Playing {
    frames: SpawnHandle,
    /// By the number of the camera's stream.
    tracks: Vec<(usize, PulledTrack)>,
    skipped: Vec<String>,
    source: SourceId,
    /// Whether the room misses what was just refused.
    is_room_behind: bool,
}

#[derive(Debug, Default)]
struct Counts {
    sessions: u64,
    malformed_frames: u64,
    dropped_packets: u64,
}

impl RtspSource {
    /// Creates a source that has not connected yet.
    pub fn new(camera: Arc<Camera>, around: Around) -> Self {
        let settings = PullSettings { on_demand: camera.on_demand, silence_max: around.silence_max };
        Self {
            camera,
            around,
            pull: Pull::new(settings),
            group: Arc::default(),
            room: None,
            link: Link::None,
            timer: None,
            connected_since: None,
            error: None,
            counts: Counts::default(),
            reason: EndReason::Failed,
        }
    }

    /// Does what is to be done now, then sets the timer for what is to be done later.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while let Some(order) = self.pull.poll(now, jitter()) {
            match order {
                Order::Connect => self.connect(ctx),
                Order::Leave(why) => self.leave(why, ctx),
            }
        }
        if self.pull.state() == PullState::Idle {
            self.room = None;
        }
        self.set_timer(now, ctx);
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let (camera, group, ousted) = (Arc::clone(&self.camera), Arc::clone(&self.group), ctx.address().recipient());
        let rooms = self.around.rooms.clone();
        let held = self.room.clone().filter(|room| room.addr.connected());
        let connecting = async move {
            let room = match held {
                Some(room) => room,
                None => room_of(&camera, &rooms).await?,
            };
            connect(camera, group, room, ousted).await
        };
        let handle = ctx.spawn(connecting.into_actor(self).map(|result, source, ctx| {
            match result {
                Ok(connected) => source.connected(connected, ctx),
                Err(error) => source.lost(&error.to_string(), ctx),
            }
            source.settle(ctx);
        }));
        self.link = Link::Connecting(handle);
    }

    fn connected(&mut self, connected: Connected, ctx: &mut Context<Self>) {
        let Connected { demuxed, tracks, skipped, room, source } = connected;
        let codecs: Vec<_> = tracks.iter().map(|(_, track)| track.codec()).collect();
        info!(room = %self.camera.room, url = %self.camera.url, ?source, ?codecs, "camera connected");
        if !skipped.is_empty() {
            warn!(room = %self.camera.room, url = %self.camera.url, ?skipped, "some tracks of the camera are left out");
        }
        self.room = Some(room);
        let frames = ctx.add_stream(demuxed);
        self.link = Link::Playing(Playing { frames, tracks, skipped, source, is_room_behind: false });
        self.pull.connected(Instant::now());
        self.connected_since = Some(SystemTime::now());
        self.error = None;
        self.counts.sessions += 1;
    }

    /// The attempt or the session is over, and another one will follow.
    fn lost(&mut self, why: &str, ctx: &mut Context<Self>) {
        self.pull.ended(Instant::now(), jitter());
        self.let_go(why, EndReason::Failed, ctx);
    }

    fn leave(&mut self, why: LeaveReason, ctx: &mut Context<Self>) {
        let silence_s = self.around.silence_max.as_secs();
        match why {
            LeaveReason::NobodyWatches => {
                info!(room = %self.camera.room, "nobody watches the camera any more");
                self.unlink(EndReason::Deleted, ctx);
                self.error = None;
            }
            LeaveReason::NoAnswer => self.let_go("the camera does not answer in time", EndReason::Failed, ctx),
            LeaveReason::Silent => {
                self.let_go(&format!("the camera sent no media for {silence_s} s"), EndReason::Failed, ctx);
            }
        }
    }

    /// Drops the connection and says why, once for each cause.
    fn let_go(&mut self, why: &str, reason: EndReason, ctx: &mut Context<Self>) {
        let (room, url) = (&self.camera.room, &self.camera.url);
        if self.error.as_deref() == Some(why) {
            debug!(%room, %url, why, "camera not connected");
        } else {
            warn!(%room, %url, why, "camera not connected, trying again");
        }
        self.error = Some(why.to_owned());
        self.unlink(reason, ctx);
    }

    fn unlink(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        self.connected_since = None;
        match std::mem::replace(&mut self.link, Link::None) {
            Link::None => {}
            Link::Connecting(attempt) => drop(ctx.cancel_future(attempt)),
            Link::Playing(playing) => {
                ctx.cancel_future(playing.frames);
                self.tell_room(playing.source, reason);
            }
        }
    }

    fn tell_room(&self, source: SourceId, reason: EndReason) {
        if let Some(room) = &self.room {
            room.addr.do_send(PullEnded { source, reason });
        }
    }

    /// Keeps a camera on demand for whoever watches.
    fn look_for_viewers(&mut self, ctx: &mut Context<Self>) {
        let Some(room) = &self.room else { return };
        // Whoever waits for the next part of a playlist, or reads the endless MP4.
        if self.around.live.newest(&self.camera.room).is_some_and(|window| window.waiting() > 0) {
            self.pull.wanted(Instant::now());
        }
        let count = room.addr.send(CountViewers).timeout(LOOK_EVERY);
        ctx.spawn(count.into_actor(self).map(|count, source, _| {
            if count.is_ok_and(|count| count > 0) {
                source.pull.wanted(Instant::now());
            }
        }));
    }

    /// Keeps one timer; it is set anew only for an earlier time, for it sets itself again when it fires.
    fn set_timer(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(due) = self.pull.next_timeout() else { return };
        if let Some((at, handle)) = self.timer {
            if at <= due {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(due.saturating_duration_since(now), |source, ctx| {
            source.timer = None;
            source.settle(ctx);
        });
        self.timer = Some((due, handle));
    }

    fn description(&self) -> SourceDescription {
        let (codecs, skipped) = match &self.link {
            Link::Playing(Playing { tracks, skipped, .. }) => {
                (tracks.iter().map(|(_, track)| track.codec()).collect(), skipped.clone())
            }
            Link::None | Link::Connecting(_) => Default::default(),
        };
        SourceDescription {
            room: self.camera.room.clone(),
            url: self.camera.url.to_string(),
            on_demand: self.camera.on_demand,
            transport: self.camera.transport,
            state: self.pull.state(),
            connected_since: self.connected_since.map(crate::room::rfc3339),
            error: self.error.clone(),
            codecs,
            skipped,
            sessions: self.counts.sessions,
            malformed_frames: self.counts.malformed_frames,
            dropped_packets: self.counts.dropped_packets,
        }
    }
}

fn jitter() -> u8 {
    random::<1>()[0]
}

impl std::fmt::Debug for RtspSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtspSource").field("camera", &self.camera).field("pull", &self.pull).finish_non_exhaustive()
    }
}

impl Drop for RtspSource {
    /// Lets the room go on without it, so that not even a defect of the RTSP client leaves it occupied.
    fn drop(&mut self) {
        if let Link::Playing(playing) = &self.link {
            self.tell_room(playing.source, self.reason);
        }
    }
}

impl Actor for RtspSource {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.camera.on_demand {
            ctx.run_interval(LOOK_EVERY, Self::look_for_viewers);
        }
        self.settle(ctx);
    }
}

impl Handler<Wanted> for RtspSource {
    type Result = ();

    fn handle(&mut self, _: Wanted, ctx: &mut Self::Context) {
        self.pull.wanted(Instant::now());
        self.settle(ctx);
    }
}

impl Handler<Ousted> for RtspSource {
    type Result = ();

    fn handle(&mut self, Ousted(reason): Ousted, ctx: &mut Self::Context) {
        // Also when its word that it took us has yet to be read.
        if !matches!(self.link, Link::None) {
            self.pull.ended(Instant::now(), jitter());
            let why =
                if reason == EndReason::TakenOver { "another publisher took the room" } else { "the room ended it" };
            self.let_go(why, reason, ctx);
            self.settle(ctx);
        }
    }
}

impl Handler<Remove> for RtspSource {
    type Result = ();

    fn handle(&mut self, _: Remove, ctx: &mut Self::Context) {
        info!(room = %self.camera.room, url = %self.camera.url, "source removed");
        self.reason = EndReason::Deleted;
        ctx.stop();
    }
}

impl Handler<DescribeSource> for RtspSource {
    type Result = MessageResult<DescribeSource>;

    fn handle(&mut self, _: DescribeSource, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.description())
    }
}

impl Handler<Observe> for RtspSource {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&self.description()))
    }
}
