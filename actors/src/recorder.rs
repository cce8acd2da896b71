//! Writes one recording: into the spool as it is cut, and from there to the store. Segments first, then the playlists
//! and the manifest that name them, the MP4's header at the end.
//!
//! What is to be done next is the ledger's to say; see [`onair_recorder::ledger`].

mod finishing;
mod pictures;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{Alignment, RecordingId, RoomName};
use onair_recorder::journal::{Begun, Entry};
use onair_recorder::{
    Completeness, Cut, Finish, Ledger, ObjectName, ObjectPath, PART_BYTES, Publisher, RecordingEvent, RecordingState,
    Resumed, SpoolError, SpoolWriter, Store, StoreError,
};
use serde::Serialize;
use tracing::{error, info, warn};

use self::writing::Note;
use crate::archive::Archive;
use crate::core::quiet::OncePerSecond;
use crate::mailbox::Bounded;
use crate::observe::{Observe, observed};
use crate::packager::{RecordingDone, RecordingEnd, Spooled};
use crate::session_id::random;
use crate::uploader::{Content, Done, Outcome, Put, PutFailure, StoredObject, with_cause};

/// How much media may wait for a disk that is stuck. A part that does not fit comes once more with its segment, if that
/// fits.
const INBOX_MAX_BYTES: usize = 32 << 20;

/// How many objects of one recording are on their way to the store at once, beside a part of its MP4.
const OBJECTS_AT_ONCE: usize = 4;

/// While live, the index is written anew when the recording has grown by one in this many: it names every segment, so
/// writing it for each of them would cost the square of the length.
const INDEX_SHARE: u64 = 50;

/// How long nothing may come of an ended recording, for the store does not answer, before it is left to be taken up later:
/// then it costs no more than its place in the spool.
const LEAVE_AFTER: Duration = Duration::from_secs(120);

/// Takes a cut. *Reliable*: a full mailbox is a gap that the packager counts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Record(pub Cut);

/// Says where the media comes from that follows. *Reliable.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Provenance {
    /// Who publishes.
    pub publisher: Publisher,
    /// What ties sound and pictures together, where there are both.
    pub alignment: Option<Alignment>,
}

/// Nothing follows: finish the recording. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopRecording;

/// Others need what it holds in memory: an ended recording is left in the spool to be taken up later. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave;

/// Names a recording that begins at `start`.
pub fn recording_id(start: DateTime<Utc>) -> RecordingId {
    let [a, b, c] = random();
    let id = format!("{}-{a:02x}{b:02x}{c:02x}", start.format("%Y%m%dT%H%M%SZ"));
    RecordingId::parse(&id).expect("a date of four-digit years and six hexadecimal digits")
}

/// Who hears of a recording.
#[derive(Debug, Clone)]
pub struct Listeners {
    /// Hears which cuts are in the spool; nobody, for a recording that is only finished.
    pub spooled: Option<Recipient<Spooled>>,
    /// Hears that nothing is left to do.
    pub done: Recipient<RecordingDone>,
}

/// Owns one recording.
#[derive(Debug)]
pub struct Recorder {
    room: RoomName,
    id: RecordingId,
    archive: Arc<Archive>,
    listeners: Listeners,
    ledger: Ledger,
    /// Away while it writes.
    writer: Option<SpoolWriter>,
    /// What is to be written next, and how much media that is.
    inbox: Vec<Note>,
    inbox_bytes: usize,
    /// Whether the timer is set after which the journal is written that could not be.
    retries_journal: bool,
    phase: Phase,
    /// How many spooled objects are on their way to the store.
    objects_under_way: usize,
    is_mp4_under_way: bool,
    /// What is left to do for the MP4, once everything else of it is up.
    finish: Option<Finish>,
    /// Playlists and manifests to be stored one after another; the first one is on its way.
    index: VecDeque<(ObjectName, Bytes)>,
    /// When the playlists and the manifest are to be written next, in milliseconds of the recording.
    next_index_ms: u64,
    /// How many segments and gaps were told of.
    told: (usize, usize),
    /// What is told when it ends.
    end: RecordingEnd,
    /// Whether it ends as soon as everything that it knows is written.
    leaves: bool,
    /// How often it heard from the store.
    heard: u64,
    failures: u64,
    last_error: Option<String>,
    quiet: OncePerSecond,
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
    /// The pictures to be made, then the store to have them.
    Picturing { made: bool },
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
    mp4_parts_stored: u64,
    duration_ms: u64,
    failures: u64,
    last_error: Option<&'a str>,
}

impl Recorder {
    /// Begins a recording.
    pub fn new(begun: Begun, archive: Arc<Archive>, listeners: Listeners) -> Self {
        Self::with(Ledger::new(begun, PART_BYTES), None, Phase::Recording, archive, listeners)
    }

    /// Finishes a recording that another process left.
    pub fn resume(resumed: Resumed, archive: Arc<Archive>, done: Recipient<RecordingDone>) -> Self {
        let Resumed { ledger, writer } = resumed;
        Self::with(ledger, Some(writer), Phase::Draining, archive, Listeners { spooled: None, done })
    }

    fn with(
        ledger: Ledger,
        writer: Option<SpoolWriter>,
        phase: Phase,
        archive: Arc<Archive>,
        listeners: Listeners,
    ) -> Self {
        let told = (ledger.manifest().segments.len(), ledger.manifest().gaps.len());
        Self {
            room: ledger.begun().room.clone(),
            id: ledger.begun().recording.clone(),
            archive,
            listeners,
            ledger,
            writer,
            inbox: Vec::new(),
            inbox_bytes: 0,
            retries_journal: false,
            phase,
            objects_under_way: 0,
            is_mp4_under_way: false,
            finish: None,
            index: VecDeque::new(),
            next_index_ms: 0,
            told,
            end: RecordingEnd::GivenUp("the recorder has ended by mistake".into()),
            leaves: false,
            heard: 0,
            failures: 0,
            last_error: None,
            quiet: OncePerSecond::default(),
        }
    }

    fn path(&self, name: ObjectName) -> ObjectPath {
        ObjectPath::new(&self.room, &self.id, name)
    }

    fn publish(&self, event: RecordingEvent) {
        self.archive.events.publish(&self.room, &self.id, event);
    }

    fn put(&self, name: ObjectName, content: Content, ctx: &Context<Self>) {
        self.archive.uploader.do_send(Put { to: self.path(name), content, reply: ctx.address().recipient() });
    }

    /// Does what can be done now: everything that changes something ends here.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.send_objects(ctx);
        self.go_on_with_mp4(ctx);
        self.write(ctx);
        match self.phase {
            Phase::Recording => self.refresh_index(ctx),
            Phase::Draining if self.is_drained() && self.ledger.manifest().segments.is_empty() => self.discard(ctx),
            Phase::Draining if self.is_drained() => {
                self.phase = Phase::Finishing;
                self.put_index(Completeness::Complete, ctx);
                self.go_on_with_mp4(ctx);
            }
            Phase::Finishing if self.index.is_empty() && !self.ledger.makes_mp4() => {
                self.phase = Phase::Picturing { made: false };
                self.make_pictures(ctx);
            }
            Phase::Picturing { made: true } if self.index.is_empty() => {
                self.phase = Phase::Sealing;
                self.ledger.seal();
                self.put_manifest(ctx);
            }
            _ => {}
        }
        self.tell();
        if self.leaves && self.phase != Phase::Done && self.is_written() {
            info!(recording = %self.id, "waits in the spool, for the store does not answer");
            self.end = RecordingEnd::Left;
            ctx.stop();
        }
    }

    /// Leaves when nothing has come from the store for long.
    fn watch_store(&self, ctx: &mut Context<Self>) {
        let heard = self.heard;
        ctx.run_later(LEAVE_AFTER, move |recorder, ctx| {
            if recorder.heard == heard {
                ctx.notify(Leave);
            } else {
                recorder.watch_store(ctx);
            }
        });
    }

    /// Tells whether everything that was recorded is written, stored and listed.
    fn is_drained(&self) -> bool {
        self.is_written() && self.ledger.is_stopped() && self.ledger.is_drained()
    }

    /// Tells whether everything that came is in the journal.
    fn is_written(&self) -> bool {
        self.inbox.is_empty() && self.writer.as_ref().is_some_and(SpoolWriter::is_flushed)
    }

    /// Hands what is whole in the spool to the uploader, a few objects at a time.
    fn send_objects(&mut self, ctx: &Context<Self>) {
        while self.objects_under_way < OBJECTS_AT_ONCE
            && let Some((name, bytes)) = self.ledger.next_object()
        {
            self.objects_under_way += 1;
            let content = match self.ledger.init_segment(&name) {
                // Never lost, whatever becomes of its file.
                Some(init) => Content::Bytes(init),
                None => Content::Spooled(bytes),
            };
            self.put(name, content, ctx);
        }
    }

    /// Lists what has been stored, when enough has come to be worth it.
    fn refresh_index(&mut self, ctx: &Context<Self>) {
        let duration_ms = self.ledger.manifest().duration_ms;
        let has_news = self.ledger.manifest().segments.len() > self.told.0;
        if self.index.is_empty() && has_news && duration_ms >= self.next_index_ms {
            self.next_index_ms = duration_ms + duration_ms / INDEX_SHARE;
            self.put_index(Completeness::Live, ctx);
            self.put_manifest(ctx);
        }
    }

    /// Stores the playlists: the media playlists before the multivariant one that names them.
    fn put_index(&mut self, completeness: Completeness, ctx: &Context<Self>) {
        match self.ledger.playlists(completeness) {
            Ok(playlists) => playlists.into_iter().for_each(|(name, text)| self.put_next(name, text.into(), ctx)),
            Err(error) => self.note_failure("playlists", &error.to_string()),
        }
    }

    fn put_manifest(&mut self, ctx: &Context<Self>) {
        let json = self.ledger.to_json();
        self.put_next(ObjectName::manifest(), json.into(), ctx);
    }

    /// Stores an object of the index behind those that wait.
    fn put_next(&mut self, name: ObjectName, bytes: Bytes, ctx: &Context<Self>) {
        if self.index.is_empty() {
            self.put(name.clone(), Content::Bytes(bytes.clone()), ctx);
        }
        self.index.push_back((name, bytes));
    }

    /// The first object of the index is stored; the next one follows.
    fn index_stored(&mut self, ctx: &mut Context<Self>) {
        self.index.pop_front();
        if let Some((name, bytes)) = self.index.front() {
            self.put(name.clone(), Content::Bytes(bytes.clone()), ctx);
        } else if self.phase == Phase::Sealing {
            self.seal(ctx);
        }
    }

    /// Says what is listed since the last time.
    fn tell(&mut self) {
        let manifest = self.ledger.manifest();
        for gap in manifest.gaps.iter().skip(self.told.1) {
            self.publish(RecordingEvent::Gap(gap.clone()));
        }
        for segment in manifest.segments.iter().skip(self.told.0) {
            self.publish(RecordingEvent::segment(segment));
        }
        self.told = (manifest.segments.len(), manifest.gaps.len());
    }

    /// The disk does not keep up. Players do not wait for it.
    fn refuse_cut(&mut self) {
        self.failures += 1;
        if let Some(withheld) = self.quiet.pass(Instant::now()) {
            warn!(recording = %self.id, withheld, "the disk is too slow for the recording");
        }
        self.spooled(1);
    }

    /// Lets players see so many cuts more.
    fn spooled(&self, cuts: u64) {
        if let Some(spooled) = &self.listeners.spooled {
            spooled.do_send(Spooled { recording: self.id.clone(), cuts });
        }
    }

    fn note_failure(&mut self, what: &str, error: &str) {
        error!(recording = %self.id, what, error, "the recording is not what it should be");
        self.failures += 1;
        self.last_error = Some(error.into());
    }

    /// A spooled object is stored, or lost: what would name it must not.
    fn object_done(&mut self, name: &ObjectName, outcome: Result<Outcome, PutFailure>) {
        self.objects_under_way -= 1;
        let object = name.as_str().to_owned();
        let entry = match (outcome, name.init_index()) {
            (Ok(Outcome::Stored(StoredObject { bytes, sha256 })), Some((kind, index))) => {
                Entry::InitStored { kind, index, bytes, sha256 }
            }
            (Ok(_), _) => Entry::Stored { object },
            (Err(failure), _) => {
                self.note_failure(&object, &failure.to_string());
                self.publish(RecordingEvent::object_lost(name));
                Entry::Lost { object }
            }
        };
        self.inbox.push(Note::Entry(entry));
    }

    /// The recording is whole: the spool is not needed any more.
    fn seal(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Done;
        self.end = RecordingEnd::Stored;
        let manifest = self.ledger.manifest();
        info!(room = %self.room, recording = %self.id, duration_ms = manifest.duration_ms, "stored");
        self.publish(match manifest.state {
            RecordingState::Recovered => RecordingEvent::recovered(manifest),
            _ => RecordingEvent::finished(manifest),
        });
        self.leave_spool(ctx);
    }

    /// There is nothing to list or to play: it leaves nothing behind, unless the store has more than is known here.
    fn discard(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Done;
        self.end = RecordingEnd::Empty;
        self.abort_upload();
        let is_in_store = self.ledger.is_in_store();
        let (store, room, id) = (Arc::clone(&self.archive.store), self.room.clone(), self.id.clone());
        let discard = async move { if is_in_store { discard_stored(&store, &room, &id).await } else { Ok(true) } };
        ctx.spawn(discard.into_actor(self).map(|discarded, recorder, ctx| {
            match discarded {
                Ok(true) => info!(room = %recorder.room, recording = %recorder.id, "nothing was recorded"),
                Ok(false) => recorder.keep_stored(),
                Err(error) => {
                    warn!(recording = %recorder.id, error = with_cause(&error), "something of it stays in the store");
                }
            }
            recorder.publish(match recorder.end {
                RecordingEnd::Empty => RecordingEvent::empty(),
                _ => RecordingEvent::incomplete(),
            });
            recorder.leave_spool(ctx);
        }));
    }

    /// A disk that lost power has forgotten what was stored: a repair makes a recording of it.
    fn keep_stored(&mut self) {
        let error = "the journal was lost; the store has segments that a repair can list";
        self.note_failure("the journal", error);
        self.end = RecordingEnd::GivenUp(error.into());
    }

    /// The recording cannot go on; what is in the spool stays for the next start. Why, with its paths, is for the log.
    fn give_up(&mut self, error: &SpoolError, ctx: &mut Context<Self>) {
        self.note_failure("the spool", &with_cause(error));
        self.end = RecordingEnd::GivenUp(format!("the spool failed: {}", error.source));
        self.publish(RecordingEvent::incomplete());
        ctx.stop();
    }
}

/// Removes what the store has of a recording without media. Returns false, and leaves everything, when there is media.
async fn discard_stored(store: &Store, room: &RoomName, id: &RecordingId) -> Result<bool, StoreError> {
    let objects = store.list_objects(room, id).await?;
    if objects.keys().any(|name| name.segment_number().is_some()) {
        return Ok(false);
    }
    store.delete_recording(room, id).await.map(|_| true)
}

impl Drop for Recorder {
    /// Says that nothing follows, in whatever way the actor goes: its packager and room wait for it.
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, RecordingEnd::Left);
        self.listeners.done.do_send(RecordingDone { recording: self.id.clone(), end });
    }
}

impl Bounded for Recorder {
    /// How many cuts may wait here: minutes of them, for the disk to catch its breath.
    const MAILBOX: usize = 2048;
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.writer.is_none() {
            self.begin(ctx);
        } else {
            self.go_on(ctx);
        }
    }
}

impl Handler<Record> for Recorder {
    type Result = ();

    fn handle(&mut self, Record(cut): Record, ctx: &mut Self::Context) {
        let bytes = match &cut {
            Cut::Part(part) => part.bytes.len(),
            Cut::Segment(segment) => segment.bytes.len(),
            Cut::Init(_) | Cut::KeyframeWanted => 0,
        };
        if self.inbox_bytes + bytes > INBOX_MAX_BYTES {
            return self.refuse_cut();
        }
        self.inbox_bytes += bytes;
        self.inbox.push(Note::Cut(cut));
        self.go_on(ctx);
    }
}

impl Handler<Provenance> for Recorder {
    type Result = ();

    fn handle(&mut self, Provenance { publisher, alignment }: Provenance, ctx: &mut Self::Context) {
        self.inbox.push(Note::Entry(Entry::Provenance { publisher, alignment }));
        self.go_on(ctx);
    }
}

impl Handler<StopRecording> for Recorder {
    type Result = ();

    fn handle(&mut self, _: StopRecording, ctx: &mut Self::Context) {
        if self.phase == Phase::Recording {
            self.phase = Phase::Draining;
            self.inbox.push(Note::Entry(Entry::Stopped));
            self.watch_store(ctx);
        }
        self.go_on(ctx);
    }
}

impl Handler<Leave> for Recorder {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) {
        self.leaves = self.phase != Phase::Recording;
        self.go_on(ctx);
    }
}

impl Handler<Done> for Recorder {
    type Result = ();

    fn handle(&mut self, done: Done, ctx: &mut Self::Context) {
        self.heard += 1;
        let name = &done.object.name;
        if *name == ObjectName::progressive() {
            self.mp4_done(done.outcome);
        } else if name.is_init() || name.segment_number().is_some() {
            self.object_done(name, done.outcome);
        } else {
            if name.is_picture() {
                self.picture_done(name, done.outcome);
            }
            self.index_stored(ctx);
        }
        self.go_on(ctx);
    }
}

impl Handler<Observe> for Recorder {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let manifest = self.ledger.manifest();
        MessageResult(observed(&RecorderState {
            recording: &self.id,
            phase: self.phase,
            segments_waiting: self.ledger.waiting_segments(),
            segments_stored: manifest.segments.len(),
            mp4_parts_stored: self.ledger.uploaded_parts(),
            duration_ms: manifest.duration_ms,
            failures: self.failures,
            last_error: self.last_error.as_deref(),
        }))
    }
}
