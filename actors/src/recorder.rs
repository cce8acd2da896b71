//! Writes one recording: segments first, then the playlists and the manifest that name them, the MP4 at the end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{CodecConfig, MediaKind, RecordingId, RoomName};
use onair_recorder::{
    Completeness, Cut, GapReason, ManifestBuilder, ObjectName, ObjectPath, Progressive, RecordingEvent,
    RecordingPlaylists, RecordingState, Segment,
};
use serde::Serialize;
use tracing::{error, info};

use crate::observe::{Observe, observed};
use crate::packager::RecordingDone;
use crate::session_id::random;
use crate::shared::Shared;
use crate::uploader::{Content, Put, Stored, StoredObject};

/// How many cuts may wait here: minutes of them, for the disk to catch its breath.
const MAILBOX_CUTS: usize = 1024;

/// While live, the index is written anew when the recording has grown by one in this many: it names every segment, so
/// writing it for each of them would cost the square of the length.
const INDEX_SHARE: u64 = 50;

/// Takes a cut. *Reliable*: a full mailbox is a gap that the packager counts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Record(pub Cut);

/// Nothing follows: finish the recording. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopRecording;

/// Names a recording.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its room.
    pub room: RoomName,
    /// Its id.
    pub id: RecordingId,
    /// The wall clock of pts 0.
    pub epoch: DateTime<Utc>,
}

impl Recording {
    /// Names a recording that begins at `epoch`.
    pub fn new(room: RoomName, epoch: DateTime<Utc>) -> Self {
        let [a, b, c] = random();
        let id = format!("{}-{a:02x}{b:02x}{c:02x}", epoch.format("%Y%m%dT%H%M%SZ"));
        let id = RecordingId::parse(&id).expect("a date of four-digit years and six hexadecimal digits");
        Self { room, id, epoch }
    }
}

/// Owns one recording.
#[derive(Debug)]
pub struct Recorder {
    recording: Recording,
    shared: Arc<Shared>,
    done: Recipient<RecordingDone>,
    manifest: ManifestBuilder,
    playlists: RecordingPlaylists,
    progressive: Progressive,
    /// The newest configuration of each rendition.
    configs: HashMap<MediaKind, Arc<CodecConfig>>,
    /// Segments on their way to the store, oldest first, without their media: that is in the spool.
    pending: VecDeque<(ObjectName, Segment, Arc<CodecConfig>)>,
    phase: Phase,
    /// When the playlists and the manifest are to be written next, in milliseconds of the recording.
    next_index_ms: u64,
    failures: u64,
    last_error: Option<String>,
}

/// What the recording waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// More cuts.
    Recording,
    /// The store to have every segment.
    Draining,
    /// The store to have the MP4 and the playlists.
    Finishing,
    /// The store to have the manifest.
    Sealing,
    /// Nothing.
    Done,
}

#[derive(Debug, Serialize)]
struct RecorderState<'a> {
    recording: &'a RecordingId,
    phase: Phase,
    segments_waiting: usize,
    segments_stored: usize,
    duration_ms: u64,
    failures: u64,
    last_error: Option<&'a str>,
}

impl Recorder {
    /// Begins a recording; `done` hears when nothing is left to do.
    pub fn new(recording: Recording, shared: Arc<Shared>, done: Recipient<RecordingDone>) -> Self {
        let Recording { room, id, epoch } = recording.clone();
        let manifest = ManifestBuilder::new(room, id, &shared.record.server, epoch);
        let playlists = RecordingPlaylists::new(shared.hls.cut.target_duration_s());
        shared.events.publish(&recording.room, &recording.id, RecordingEvent::Started { tracks: Vec::new() });
        Self {
            recording,
            shared,
            done,
            manifest,
            playlists,
            progressive: Progressive::new(),
            configs: HashMap::new(),
            pending: VecDeque::new(),
            phase: Phase::Recording,
            next_index_ms: 0,
            failures: 0,
            last_error: None,
        }
    }

    fn publish(&self, event: RecordingEvent) {
        self.shared.events.publish(&self.recording.room, &self.recording.id, event);
    }

    fn path(&self, name: ObjectName) -> ObjectPath {
        ObjectPath::new(&self.recording.room, &self.recording.id, name)
    }

    /// Writes an object to the spool, and from there to the store. No other message is handled before it is spooled.
    fn spool_and_store(&self, name: ObjectName, bytes: Bytes, ctx: &mut Context<Self>) {
        let (path, spool) = (self.path(name), Arc::clone(&self.shared.spool));
        let write = async move {
            let outcome = spool.write(&path, &bytes).await;
            (path, outcome)
        };
        ctx.wait(write.into_actor(self).map(|(path, outcome), recorder, ctx| match outcome {
            Ok(()) => recorder.store(path, Content::Spooled, ctx),
            Err(error) => recorder.lost(&path.name, &error.to_string(), ctx),
        }));
    }

    fn store(&self, to: ObjectPath, content: Content, ctx: &Context<Self>) {
        self.shared.uploader.do_send(Put { to, content, reply: ctx.address().recipient() });
    }

    /// An object will never be in the store: what would name it must not.
    fn lost(&mut self, name: &ObjectName, error: &str, ctx: &mut Context<Self>) {
        error!(recording = %self.recording.id, object = %name, error, "lost to the recording");
        self.publish(RecordingEvent::object_lost(name));
        self.failures += 1;
        self.last_error = Some(error.into());
        self.pending.retain(|(other, ..)| other != name);
        if *name == ObjectName::manifest() && self.phase == Phase::Sealing {
            error!(recording = %self.recording.id, "the recording cannot be completed, it stays in the spool");
            return ctx.stop();
        }
        self.go_on(ctx);
    }

    /// The store has an object: a segment may be named from now on.
    fn stored(&mut self, name: &ObjectName, object: StoredObject, ctx: &mut Context<Self>) {
        let at = self.pending.iter().position(|(other, ..)| other == name);
        match at.and_then(|at| self.pending.remove(at)) {
            Some((_, segment, config)) => self.list(&segment, &config, object.sha256, ctx),
            None if *name == ObjectName::progressive() => self.manifest.add_object(name, object.bytes, object.sha256),
            None => {}
        }
        if *name == ObjectName::manifest() && self.phase == Phase::Sealing {
            self.seal(ctx);
        }
        self.go_on(ctx);
    }

    fn list(&mut self, segment: &Segment, config: &Arc<CodecConfig>, sha256: String, ctx: &Context<Self>) {
        if let Some((start_ms, duration_ms)) = self.manifest.gap_before(segment) {
            // Without a new publisher session, media was lost on the way here.
            let reason = if segment.discontinuity { GapReason::PublisherReconnect } else { GapReason::Overload };
            self.manifest.add_gap(start_ms, duration_ms, reason);
            self.publish(RecordingEvent::gap(start_ms, duration_ms, reason));
        }
        self.manifest.add_segment(segment, config, sha256);
        if let Some(entry) = self.manifest.manifest().segments.last() {
            self.publish(RecordingEvent::segment(entry));
        }
        self.playlists.push(segment, config, self.recording.epoch);
        self.progressive.push_segment(segment, config);
        let duration_ms = self.manifest.manifest().duration_ms;
        if self.phase == Phase::Recording && self.pending.is_empty() && duration_ms >= self.next_index_ms {
            self.next_index_ms = duration_ms + duration_ms / INDEX_SHARE;
            self.store_index(Completeness::Live, ctx);
            self.store_manifest(ctx);
        }
    }

    /// Stores the playlists: the media playlists before the multivariant one that names them.
    fn store_index(&mut self, completeness: Completeness, ctx: &Context<Self>) {
        let media = [MediaKind::Video, MediaKind::Audio]
            .map(|kind| (ObjectName::playlist(kind), self.playlists.media(kind, completeness)));
        let multivariant = (ObjectName::multivariant(), self.playlists.multivariant());
        for (name, playlist) in media.into_iter().chain([multivariant]) {
            match playlist {
                Ok(Some(text)) => self.store(self.path(name), Content::Bytes(text.into()), ctx),
                Ok(None) => {}
                Err(error) => {
                    error!(recording = %self.recording.id, object = %name, %error, "playlist not written");
                    self.last_error = Some(error.to_string());
                }
            }
        }
    }

    fn store_manifest(&self, ctx: &Context<Self>) {
        let json = self.manifest.to_json();
        self.store(self.path(ObjectName::manifest()), Content::Bytes(json.into()), ctx);
    }

    /// Takes the next step towards the end, when what it waits for has come. The uploader keeps the order within a
    /// recording, so that the manifest, put last, is stored last.
    fn go_on(&mut self, ctx: &Context<Self>) {
        if self.phase == Phase::Draining && self.pending.is_empty() {
            self.phase = Phase::Finishing;
            self.store_index(Completeness::Complete, ctx);
            self.store_mp4(ctx);
        }
    }

    fn store_mp4(&mut self, ctx: &Context<Self>) {
        if !self.shared.record.mp4 {
            return self.finish(ctx);
        }
        if self.manifest.manifest().segments.is_empty() {
            return self.finish(ctx);
        }
        match self.progressive.layout() {
            Ok(layout) => self.store(self.path(ObjectName::progressive()), Content::Assembled(layout), ctx),
            Err(error) => {
                self.last_error = Some(error.to_string());
                error!(recording = %self.recording.id, %error, "no MP4");
                self.finish(ctx);
            }
        }
    }

    /// Everything is stored but the manifest that says so.
    fn finish(&mut self, ctx: &Context<Self>) {
        self.phase = Phase::Sealing;
        self.manifest.finish(RecordingState::Complete);
        self.store_manifest(ctx);
    }

    /// The recording is whole: the spool is not needed any more.
    fn seal(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Done;
        let manifest = self.manifest.manifest();
        self.publish(RecordingEvent::finished(manifest));
        info!(room = %self.recording.room, recording = %self.recording.id, duration_ms = manifest.duration_ms, "stored");
        let (spool, Recording { room, id, .. }) = (Arc::clone(&self.shared.spool), self.recording.clone());
        let keep = self.failures > 0;
        let clean_up = async move { if keep { Ok(()) } else { spool.remove_recording(&room, &id).await } };
        ctx.spawn(clean_up.into_actor(self).map(|outcome, recorder, ctx| {
            if let Err(error) = outcome {
                error!(recording = %recorder.recording.id, %error, "the spool could not be cleaned up");
            }
            ctx.stop();
        }));
    }
}

impl Drop for Recorder {
    /// Says that nothing follows, in whatever way the actor goes: its packager and room wait for it.
    fn drop(&mut self) {
        self.done.do_send(RecordingDone);
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CUTS);
    }
}

impl Handler<Record> for Recorder {
    type Result = ();

    fn handle(&mut self, Record(cut): Record, ctx: &mut Self::Context) {
        match cut {
            Cut::Init(init) => {
                let name = ObjectName::init(&init);
                self.configs.insert(init.kind, Arc::clone(&init.config));
                self.spool_and_store(name, init.bytes, ctx);
            }
            Cut::Segment(segment) => {
                let name = ObjectName::segment(&segment);
                let Some(config) = self.configs.get(&segment.kind).cloned() else {
                    return self.lost(&name, "its initialisation segment was lost before", ctx);
                };
                let bytes = segment.bytes.clone();
                self.pending.push_back((name.clone(), segment.without_media(), config));
                self.spool_and_store(name, bytes, ctx);
            }
            Cut::Part(_) | Cut::KeyframeWanted => {}
        }
    }
}

impl Handler<StopRecording> for Recorder {
    type Result = ();

    fn handle(&mut self, _: StopRecording, ctx: &mut Self::Context) {
        self.phase = Phase::Draining;
        self.go_on(ctx);
    }
}

impl Handler<Stored> for Recorder {
    type Result = ();

    fn handle(&mut self, stored: Stored, ctx: &mut Self::Context) {
        match stored.outcome {
            Ok(object) => self.stored(&stored.object.name, object, ctx),
            Err(error) => self.lost(&stored.object.name, &error, ctx),
        }
        if self.phase == Phase::Finishing && stored.object.name == ObjectName::progressive() {
            self.finish(ctx);
        }
    }
}

impl Handler<Observe> for Recorder {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let manifest = self.manifest.manifest();
        MessageResult(observed(&RecorderState {
            recording: &self.recording.id,
            phase: self.phase,
            segments_waiting: self.pending.len(),
            segments_stored: manifest.segments.len(),
            duration_ms: manifest.duration_ms,
            failures: self.failures,
            last_error: self.last_error.as_deref(),
        }))
    }
}
