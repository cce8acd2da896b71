//! Turns a room's packets into HLS, and hands what it cut to the recorder.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, Depacketized, Depacketizer, EncodingSet, MediaKind, RoomName, RtpPacket, SourceId};
use onair_recorder::journal::{self, Begun};
use onair_recorder::{Cut, Fragmenter, Pressure, Protocol, Publisher, RecordingEvent};
use serde::Serialize;
use tracing::{error, info, warn};

use self::recordings::Recordings;
use self::still::Newest;
use crate::core::best_encoding::{BestEncoding, Pick};
use crate::core::quiet::OncePerSecond;
use crate::live_window::OpenWindow;
use crate::mailbox::Bounded;
use crate::observe::{Observe, observed};
use crate::pictures::Still;
use crate::recorder::{Listeners, Provenance, recording_id};
use crate::recovery::TakeUp;
use crate::room::{Media, PackagerDone, RequestKeyframe, Room};
use crate::shared::{RecordRule, Shared};

mod messages;
mod recordings;
mod still;

pub use messages::*;

/// How often gaps are looked after when no packet comes.
const TICK: Duration = Duration::from_millis(50);

/// How long the ended broadcast's playlists stay, for players that still have to see the end.
pub const LINGER: Duration = Duration::from_secs(30);

/// Why a broadcast is not recorded although it should be.
const SPOOL_IS_FULL: &str = "the spool is full: the store is away, or the disk has no room";

/// Owns the packaging of one broadcast.
#[derive(Debug)]
pub struct Packager {
    name: RoomName,
    shared: Arc<Shared>,
    room: Addr<Room>,
    source: Option<SourceId>,
    /// Which of the publisher's encodings is packaged.
    best: BestEncoding,
    protocol: Protocol,
    depacketizer: Option<Depacketizer>,
    fragmenter: Option<Fragmenter>,
    newest: Newest,
    broadcast: Option<Broadcast>,
    recordings: Recordings,
    rule: RecordRule,
    /// What somebody decided for this broadcast, whatever the rule says.
    by_hand: Option<bool>,
    refusal: Option<String>,
    video: Option<Arc<CodecConfig>>,
    unavailable: Option<String>,
    phase: Phase,
    counts: Counts,
    quiet: Quiet,
}

/// What is logged at most once a second.
#[derive(Debug, Default)]
struct Quiet {
    lost: OncePerSecond,
    jumps: OncePerSecond,
}

/// When and under which name the broadcast began: with its first publisher session.
#[derive(Debug)]
struct Broadcast {
    origin: Instant,
    /// The wall clock of pts 0.
    epoch: DateTime<Utc>,
    /// What players get. It lies below the broadcast's id; the first recording has the same name.
    window: OpenWindow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Live,
    Ended { lingered: bool },
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    packets: u64,
    frames: u64,
    lost_packets: u64,
    clock_jumps: u64,
    parts: u64,
    segments: u64,
}

impl Packager {
    /// Creates the packager of a broadcast that is about to begin.
    pub fn new(name: RoomName, shared: Arc<Shared>, room: Addr<Room>) -> Self {
        let rule = (shared.record.rule)(&name);
        Self {
            name,
            shared,
            room,
            source: None,
            best: BestEncoding::default(),
            protocol: Protocol::Other,
            depacketizer: None,
            fragmenter: None,
            newest: Newest::default(),
            broadcast: None,
            recordings: Recordings::default(),
            rule,
            by_hand: None,
            refusal: None,
            video: None,
            unavailable: None,
            phase: Phase::Live,
            counts: Counts::default(),
            quiet: Quiet::default(),
        }
    }

    /// Moves everything that is ready from packets to frames to cuts to their readers.
    fn pump(&mut self, ctx: &Context<Self>) {
        let now = Instant::now();
        while let Some(event) = self.depacketizer.as_mut().and_then(|depacketizer| depacketizer.pull(now)) {
            self.note(event, now);
        }
        if let Some(depacketizer) = &self.depacketizer {
            let (publisher, alignment) = (Publisher { protocol: self.protocol }, depacketizer.alignment());
            self.recordings.set_provenance(Provenance { publisher, alignment });
        }
        while let Some(cut) = self.fragmenter.as_mut().and_then(Fragmenter::pull) {
            self.record(cut, ctx);
        }
        self.announce(now);
    }

    fn note(&mut self, event: Depacketized, now: Instant) {
        match event {
            Depacketized::Frame(kind, frame) => {
                self.counts.frames += 1;
                if kind == MediaKind::Video
                    && self.video.as_ref().is_none_or(|video| !Arc::ptr_eq(video, &frame.config))
                {
                    self.video = Some(Arc::clone(&frame.config));
                }
                if let Some(fragmenter) = &mut self.fragmenter {
                    fragmenter.push(kind, frame);
                }
            }
            Depacketized::Lost { kind, packets } => {
                self.counts.lost_packets += packets;
                if let Some(withheld) = self.quiet.lost.pass(now) {
                    warn!(room = %self.name, ?kind, packets, withheld, "packets lost beyond repair");
                }
            }
            Depacketized::ClockJump { kind, by_ms } => {
                self.counts.clock_jumps += 1;
                if let Some(withheld) = self.quiet.jumps.pass(now) {
                    warn!(room = %self.name, ?kind, by_ms, withheld, "the publisher's clock jumped");
                }
            }
            Depacketized::KeyframeWanted => self.want_keyframe(),
        }
    }

    fn want_keyframe(&self) {
        let current = self.best.current().map_or(EncodingSet::ALL, EncodingSet::from);
        self.room.do_send(RequestKeyframe(current));
    }

    /// Takes a packet, if it is of the encoding that is packaged.
    fn take(&mut self, packet: &RtpPacket, ctx: &Context<Self>) {
        match self.best.pick(packet) {
            Pick::Take => {}
            Pick::Skip => return,
            Pick::Change => self.change_encoding(ctx),
        }
        if let Some(depacketizer) = &mut self.depacketizer {
            depacketizer.push(packet);
        }
    }

    /// Another encoding goes on where the present one ends: for players, another picture size.
    fn change_encoding(&mut self, ctx: &Context<Self>) {
        info!(room = %self.name, encoding = ?self.best.current(), "another encoding is packaged");
        self.finish();
        self.pump(ctx);
        self.depacketizer = self.broadcast.as_ref().map(|broadcast| Depacketizer::new(broadcast.origin));
        if let Some(fragmenter) = &mut self.fragmenter {
            fragmenter.discontinuity();
        }
    }

    /// Gives what was cut to the recorder, and lets players see it when it is safe.
    fn record(&mut self, cut: Cut, ctx: &Context<Self>) {
        match &cut {
            Cut::KeyframeWanted => return self.want_keyframe(),
            Cut::Part(_) => self.counts.parts += 1,
            Cut::Segment(_) => self.counts.segments += 1,
            Cut::Init(_) => {}
        }
        self.recordings.look_ahead(&cut);
        let is_wanted = self.is_to_be_recorded() && !self.recordings.is_recording() && self.may_begin_at(&cut);
        if is_wanted && self.recordings.may_try(Instant::now()) {
            self.start_recording(ctx);
        }
        self.recordings.push(cut);
    }

    /// Lets players see what is safe, all at once: each time makes a version of the playlists.
    fn announce(&mut self, now: Instant) {
        let cuts: Vec<_> = std::iter::from_fn(|| self.recordings.announce(now)).collect();
        self.show(&cuts);
    }

    fn show(&mut self, cuts: &[Cut]) {
        if let Some(Broadcast { epoch, window, .. }) = &self.broadcast {
            window.push(cuts, *epoch);
            cuts.iter().for_each(|cut| self.newest.push(cut));
        }
    }

    fn is_to_be_recorded(&self) -> bool {
        self.by_hand.unwrap_or(self.rule.record)
    }

    /// Tells whether a cut is the first of a segment that would be recorded.
    fn may_begin_at(&self, cut: &Cut) -> bool {
        matches!(cut, Cut::Part(part) if part.index == 0 && self.rule.shape().takes(part.kind))
    }

    /// Begins a recording, if there is room for it.
    fn start_recording(&mut self, ctx: &Context<Self>) {
        let Some(Broadcast { epoch, window, .. }) = &self.broadcast else { return };
        let (epoch, id) = (*epoch, window.id().clone());
        let space = self.shared.archive.spool.space();
        // The next recording of one that was full is no new one: it would have gone on.
        if space.pressure != Pressure::None && !self.recordings.is_to_be_continued() {
            if self.refusal.is_none() {
                warn!(room = %self.name, ?space, "not recorded: the spool is full");
            }
            self.refusal = Some(SPOOL_IS_FULL.into());
            return;
        }
        self.refusal = None;
        let recording = match self.recordings.newest() {
            None => id,
            Some(_) => recording_id(SystemTime::now().into()),
        };
        let begun = Begun {
            version: journal::VERSION,
            room: self.name.clone(),
            recording,
            epoch,
            server: self.shared.record.server.clone(),
            target_duration_s: self.shared.hls.cut.target_duration_s(),
            mp4: self.rule.mp4,
        };
        let listeners = Listeners { spooled: Some(ctx.address().recipient()), done: ctx.address().recipient() };
        self.recordings.begin(begun, self.rule.shape(), &self.shared.archive, listeners);
    }

    /// VP8 has no place in HLS, so there is nothing to do for this source.
    fn refuse(&mut self, codec: onair_media::Codec) {
        let reason = format!(
            "{codec:?} can be watched over WebRTC only: publish H.264, H.265, VP9 or AV1 for HLS and recordings"
        );
        warn!(room = %self.name, reason, "not packaged");
        self.unavailable = Some(reason);
        self.depacketizer = None;
    }

    fn finish(&mut self) {
        if let Some(depacketizer) = &mut self.depacketizer {
            depacketizer.flush();
        }
    }

    /// Players have had their time. While the store is away the recording may take days, and must not keep media in memory.
    fn let_go_of_media(&mut self) {
        self.broadcast = None;
        self.newest = Newest::default();
        self.recordings.let_go_of_media();
    }

    fn stop_when_done(&self, ctx: &mut Context<Self>) {
        if self.phase == (Phase::Ended { lingered: true }) && self.recordings.are_done() {
            self.room.do_send(PackagerDone(ctx.address()));
            ctx.stop();
        }
    }

    fn hls_status(&self) -> HlsStatus {
        let state = match (&self.unavailable, self.phase) {
            (Some(_), _) => HlsState::Unavailable,
            (None, Phase::Ended { .. }) => HlsState::Ended,
            (None, Phase::Live) if self.window().is_some_and(|window| window.multivariant().is_some()) => {
                HlsState::Ready
            }
            (None, Phase::Live) => HlsState::Starting,
        };
        HlsStatus { state, reason: self.unavailable.clone() }
    }

    fn recording_status(&self) -> RecordingStatus {
        let (state, reason) = self.recording_state();
        // The newest one is not the one that has yet to begin, and one of which nothing is left has no name.
        let recording = self.recordings.newest().filter(|_| {
            let is_there =
                !matches!(self.recordings.end_of_newest(), Some(RecordingEnd::NotBegun(_) | RecordingEnd::Empty));
            state != RecordingState::Starting && is_there
        });
        RecordingStatus { state, recording: recording.map(ToString::to_string), reason }
    }

    /// Says what becomes of the recording, and why there is none.
    fn recording_state(&self) -> (RecordingState, Option<String>) {
        let is_live = self.phase == Phase::Live;
        if is_live && self.recordings.goes_on() {
            return (RecordingState::Recording, None);
        }
        if let Some(reason) = self.unavailable.clone().or_else(|| self.refusal.clone()) {
            return (RecordingState::Unavailable, Some(reason));
        }
        if is_live && self.is_to_be_recorded() && !self.recordings.is_recording() {
            let reason = self.recordings.obstacle().map(str::to_owned);
            return (if reason.is_some() { RecordingState::Failed } else { RecordingState::Starting }, reason);
        }
        match (self.recordings.newest(), self.recordings.end_of_newest()) {
            (None, _) | (_, Some(RecordingEnd::Empty)) => (RecordingState::Off, None),
            (Some(_), Some(RecordingEnd::Stored)) => (RecordingState::Stored, None),
            (Some(_), Some(RecordingEnd::GivenUp(reason) | RecordingEnd::NotBegun(reason))) => {
                (RecordingState::Failed, Some(reason.clone()))
            }
            (Some(_), Some(RecordingEnd::Left) | None) => (RecordingState::Finishing, None),
        }
    }

    fn window(&self) -> Option<&OpenWindow> {
        self.broadcast.as_ref().map(|broadcast| &broadcast.window)
    }
}

impl Bounded for Packager {
    /// How many batches may wait here: several seconds, for nothing of the packager's is to be lost to a busy moment.
    const MAILBOX: usize = 1024;
}

impl Actor for Packager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, |packager, ctx| packager.pump(ctx));
    }
}

impl Handler<SourceStarted> for Packager {
    type Result = ();

    fn handle(&mut self, started: SourceStarted, _: &mut Self::Context) {
        let broadcast = self.broadcast.get_or_insert_with(|| {
            let epoch = (SystemTime::now() - started.at.elapsed()).into();
            let (room, hls) = (self.name.clone(), &self.shared.hls);
            let window = hls.windows.open(room, recording_id(epoch), hls.window);
            Broadcast { origin: started.at, epoch, window }
        });
        let origin = broadcast.origin;
        self.source = Some(started.source);
        self.protocol = started.protocol;
        self.unavailable = None;
        self.best = BestEncoding::default();
        self.depacketizer = Some(Depacketizer::new(origin));
        match &mut self.fragmenter {
            Some(fragmenter) => {
                fragmenter.discontinuity();
                fragmenter.set_tracks(&started.tracks);
            }
            None => self.fragmenter = Some(Fragmenter::new(self.shared.hls.cut, &started.tracks)),
        }
    }
}

impl Handler<Media> for Packager {
    type Result = ();

    fn handle(&mut self, media: Media, ctx: &mut Self::Context) {
        if self.source != Some(media.batch.source) {
            return;
        }
        self.counts.packets += media.batch.packets.len() as u64;
        for packet in &media.batch.packets {
            if !packet.codec.is_packageable() && self.unavailable.is_none() {
                self.refuse(packet.codec);
            }
            if self.depacketizer.is_some() {
                self.take(packet, ctx);
            }
        }
        if let Some(encodings) = self.best.wants_keyframe(Instant::now()) {
            self.room.do_send(RequestKeyframe(encodings));
        }
        self.pump(ctx);
    }
}

impl Handler<SourceEnded> for Packager {
    type Result = ();

    fn handle(&mut self, _: SourceEnded, ctx: &mut Self::Context) {
        self.finish();
        self.pump(ctx);
        // Nothing follows that the last frames could wait for, however long the publisher is away.
        if let Some(fragmenter) = &mut self.fragmenter {
            fragmenter.discontinuity();
        }
        self.pump(ctx);
        self.recordings.end_number();
        self.depacketizer = None;
        self.source = None;
    }
}

impl Handler<Finish> for Packager {
    type Result = ();

    fn handle(&mut self, finish: Finish, ctx: &mut Self::Context) {
        if self.phase == Phase::Live {
            self.finish();
            self.pump(ctx);
            if let Some(fragmenter) = &mut self.fragmenter {
                fragmenter.finish();
            }
            self.pump(ctx);
            let rest = self.recordings.announce_all();
            self.show(&rest);
            if let Some(window) = self.window() {
                window.end();
            }
            self.phase = Phase::Ended { lingered: false };
            self.recordings.stop();
        }
        ctx.run_later(finish.linger, |packager, ctx| {
            packager.phase = Phase::Ended { lingered: true };
            packager.let_go_of_media();
            packager.stop_when_done(ctx);
        });
    }
}

impl Handler<Spooled> for Packager {
    type Result = ();

    fn handle(&mut self, spooled: Spooled, _: &mut Self::Context) {
        self.recordings.spooled(&spooled);
        self.announce(Instant::now());
    }
}

impl Handler<RecordingDone> for Packager {
    type Result = ();

    fn handle(&mut self, done: RecordingDone, ctx: &mut Self::Context) {
        match &done.end {
            RecordingEnd::Left => {
                let (room, recording) = (self.name.clone(), done.recording.clone());
                self.shared.recovery.do_send(TakeUp { room, recording, done: ctx.address().recipient() });
            }
            RecordingEnd::NotBegun(reason) if self.recordings.not_begun(reason, Instant::now()) => {
                error!(room = %self.name, reason, "not recorded; it is tried again and again");
                self.shared.archive.events.publish(&self.name, &done.recording, RecordingEvent::incomplete());
            }
            _ => {}
        }
        self.recordings.done(done);
        self.announce(Instant::now());
        self.stop_when_done(ctx);
    }
}

impl Handler<LetGo> for Packager {
    type Result = ();

    fn handle(&mut self, _: LetGo, ctx: &mut Self::Context) {
        self.phase = Phase::Ended { lingered: true };
        self.let_go_of_media();
        self.recordings.leave();
        self.stop_when_done(ctx);
    }
}

impl Handler<StartRecording> for Packager {
    type Result = Result<Started, RecordingRefusal>;

    fn handle(&mut self, _: StartRecording, ctx: &mut Self::Context) -> Self::Result {
        if self.phase != Phase::Live {
            return Err(RecordingRefusal::NotLive);
        }
        if let Some(reason) = self.unavailable.clone() {
            return Err(RecordingRefusal::Unavailable(reason));
        }
        let before = self.by_hand.replace(true);
        if self.recordings.end_with_number(false) {
            return Ok(Started { status: self.recording_status(), is_new: false });
        }
        if self.recordings.may_begin(self.rule.shape()) {
            self.start_recording(ctx);
        }
        if let Some(reason) = self.refusal.clone() {
            self.by_hand = before;
            return Err(RecordingRefusal::NoRoom(reason));
        }
        Ok(Started { status: self.recording_status(), is_new: true })
    }
}

impl Handler<EndRecording> for Packager {
    type Result = Result<RecordingStatus, RecordingRefusal>;

    fn handle(&mut self, _: EndRecording, _: &mut Self::Context) -> Self::Result {
        let was_to_be = self.is_to_be_recorded();
        if self.phase != Phase::Live || !(self.recordings.end_with_number(true) || was_to_be) {
            return Err(RecordingRefusal::NotRecording);
        }
        self.by_hand = Some(false);
        self.refusal = None;
        if self.source.is_none() {
            self.recordings.end_number();
        }
        Ok(self.recording_status())
    }
}

impl Handler<GetStill> for Packager {
    type Result = Result<Still, NoStill>;

    fn handle(&mut self, _: GetStill, _: &mut Self::Context) -> Self::Result {
        if self.phase != Phase::Live {
            return Err(NoStill::Ended);
        }
        let still = self.broadcast.as_ref().and_then(|broadcast| self.newest.still(broadcast.window.id()));
        let none =
            || NoStill::Unavailable(self.unavailable.clone().unwrap_or_else(|| "no keyframe has come yet".into()));
        still.ok_or_else(none)
    }
}

impl Handler<Status> for Packager {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Self::Context) -> Self::Result {
        MessageResult(PackagerStatus {
            hls: self.hls_status(),
            recording: self.recording_status(),
            dimensions: self.video.as_ref().and_then(|config| config.dimensions()),
            hls_viewers: self.window().map_or(0, |window| window.viewers(Instant::now())),
        })
    }
}

impl Handler<Observe> for Packager {
    type Result = ResponseFuture<serde_json::Value>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let mut state = observed(&self.counts);
        let recorder = self.recordings.observe();
        state["dropped_cuts"] = self.recordings.dropped_cuts.into();
        state["announced_early"] = self.recordings.announced_early.into();
        state["hls_waiting"] = self.window().map_or(0, |window| window.waiting()).into();
        state["codec"] = self.video.as_ref().map(|config| config.rfc6381()).into();
        Box::pin(async move {
            state["recorder"] = recorder.await;
            state
        })
    }
}
