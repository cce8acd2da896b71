//! Events: what happens to recordings, said in JSON to those who wait for it.
//!
//! An [`Event`] is one fact with a name of its own; its JSON is a public contract, and readers must take unknown members
//! and types. Who hears of it, and how often, is decided elsewhere.

mod id;
mod interest;

use chrono::{DateTime, SecondsFormat, Utc};
use onair_media::{RecordingId, RoomName};
use serde::Serialize;

use crate::manifest::{Gap, GapReason, Manifest, SegmentEntry, TrackEntry};
use crate::object::ObjectName;

pub use id::{EventId, EventIds};
pub use interest::{EventPattern, Interest, UnknownEvent};

/// Names what happened. The part before the dot says what it happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A recording began.
    RecordingStarted,
    /// A segment is stored and listed.
    RecordingSegment,
    /// There is a time for which the recording has nothing.
    RecordingGap,
    /// Everything of a recording is stored and verified, its manifest last.
    RecordingFinished,
    /// The same after the server had been interrupted.
    RecordingRecovered,
    /// Something of a recording will not be in the store.
    RecordingFailed,
    /// The spool filled up to another state, or emptied.
    SpoolPressure,
}

impl EventKind {
    /// Lists every kind, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::RecordingStarted,
        Self::RecordingSegment,
        Self::RecordingGap,
        Self::RecordingFinished,
        Self::RecordingRecovered,
        Self::RecordingFailed,
        Self::SpoolPressure,
    ];

    /// Returns the name, as it stands in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecordingStarted => "recording.started",
            Self::RecordingSegment => "recording.segment",
            Self::RecordingGap => "recording.gap",
            Self::RecordingFinished => "recording.finished",
            Self::RecordingRecovered => "recording.recovered",
            Self::RecordingFailed => "recording.failed",
            Self::SpoolPressure => "spool.pressure",
        }
    }

    /// Parses a name; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Tells whether events of this kind come every few seconds all day. They must never push out one that comes once
    /// a recording.
    pub const fn is_frequent(self) -> bool {
        matches!(self, Self::RecordingSegment)
    }
}

/// Says what happened to a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RecordingEvent {
    /// It began.
    Started {
        /// What is known of its renditions; empty when they are still to come.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tracks: Vec<TrackEntry>,
    },
    /// A segment of it is stored and listed.
    Segment(SegmentEntry),
    /// It has nothing for a while.
    Gap(Gap),
    /// Everything of it is stored and verified, the manifest that says so included.
    Finished(Outcome),
    /// The same after the server had been interrupted.
    Recovered(Outcome),
    /// Something of it will not be in the store.
    Failed {
        /// What is lost.
        reason: FailureReason,
        /// The object that is missing, such as `video/000001.m4s`; `None` when it is not one alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<String>,
    },
}

impl RecordingEvent {
    /// Says that a segment is listed.
    pub fn segment(entry: &SegmentEntry) -> Self {
        Self::Segment(entry.clone())
    }

    /// Says that there is nothing for a while; times count from the start of the recording.
    pub const fn gap(start_ms: u64, duration_ms: u64, reason: GapReason) -> Self {
        Self::Gap(Gap { start_ms, duration_ms, reason })
    }

    /// Says that a recording ended in order; asked for when its manifest is stored.
    pub fn finished(manifest: &Manifest) -> Self {
        Self::Finished(Outcome::of(manifest))
    }

    /// Says that an interrupted recording was finished; asked for when its manifest is stored.
    pub fn recovered(manifest: &Manifest) -> Self {
        Self::Recovered(Outcome::of(manifest))
    }

    /// Says that an object is lost to its recording.
    pub fn object_lost(name: &ObjectName) -> Self {
        Self::Failed { reason: FailureReason::ObjectLost, object: Some(name.as_str().into()) }
    }

    /// Says that a recording cannot be completed: what there is of it stays where it is, in the spool or in the store.
    pub const fn incomplete() -> Self {
        Self::Failed { reason: FailureReason::Incomplete, object: None }
    }

    /// Says that a recording ended before there was media in it: nothing of it is kept.
    pub const fn empty() -> Self {
        Self::Failed { reason: FailureReason::Empty, object: None }
    }

    /// Returns what kind of event this is.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Started { .. } => EventKind::RecordingStarted,
            Self::Segment(_) => EventKind::RecordingSegment,
            Self::Gap(_) => EventKind::RecordingGap,
            Self::Finished(_) => EventKind::RecordingFinished,
            Self::Recovered(_) => EventKind::RecordingRecovered,
            Self::Failed { .. } => EventKind::RecordingFailed,
        }
    }
}

/// Sums up a recording that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// From start to end, gaps included.
    pub duration_ms: u64,
    /// The size of all segments.
    pub bytes: u64,
    /// How many times there are for which there is nothing; the manifest lists them.
    pub gaps: usize,
    /// The stored objects beside segments and playlists, such as `recording.mp4`.
    pub objects: Vec<String>,
}

impl Outcome {
    fn of(manifest: &Manifest) -> Self {
        Self {
            duration_ms: manifest.duration_ms,
            bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
            gaps: manifest.gaps.len(),
            objects: manifest.objects.iter().map(|object| object.name.clone()).collect(),
        }
    }
}

/// Says what is lost. Why, with its paths and hosts, stands in the log: events go to viewers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// One object will not be in the store; the recording goes on without it.
    ObjectLost,
    /// The recording cannot be completed; what there is stays in the spool.
    Incomplete,
    /// There is no media in the recording; nothing of it is kept.
    Empty,
}

/// Tells how full the spool is, at the moment its state changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SpoolPressure {
    /// What the spool holds.
    pub used_bytes: u64,
    /// What it may hold.
    pub max_bytes: u64,
    /// What its disk has left.
    pub free_bytes: u64,
    /// What is done about it.
    pub state: PressureState,
}

/// Says what is done about a spool that fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PressureState {
    /// Nothing needs to be done.
    Ok,
    /// What the store has already is removed early.
    Evicting,
    /// No new recording begins.
    Refusing,
    /// Media is dropped.
    Dropping,
}

/// Says what happened to whom.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// To a recording.
    Recording {
        /// Its room.
        room: RoomName,
        /// Its id.
        recording: RecordingId,
        /// What happened.
        event: RecordingEvent,
    },
    /// To the spool, and so to the whole server.
    SpoolPressure(SpoolPressure),
}

/// One thing that happened. Its JSON is made once, whoever reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    id: EventId,
    kind: EventKind,
    room: Option<RoomName>,
    json: String,
}

impl Event {
    /// Puts an event into words; `at` is when it happened.
    pub fn new(id: EventId, at: DateTime<Utc>, body: &EventBody) -> Self {
        let (kind, room, recording, details) = match body {
            EventBody::Recording { room, recording, event } => {
                (event.kind(), Some(room), Some(recording), Details::Recording(event))
            }
            EventBody::SpoolPressure(pressure) => (EventKind::SpoolPressure, None, None, Details::Spool(pressure)),
        };
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let document = Document { id: id.to_string(), kind: kind.as_str(), at, room, recording, details };
        let json = serde_json::to_string(&document).expect("an event holds nothing that JSON cannot");
        Self { id, kind, room: room.cloned(), json }
    }

    /// Returns its name, which no other event has.
    pub const fn id(&self) -> EventId {
        self.id
    }

    /// Returns what kind of event it is.
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// Returns the room that it concerns; `None` for the whole server.
    pub const fn room(&self) -> Option<&RoomName> {
        self.room.as_ref()
    }

    /// Returns the event as one JSON object, without a line break.
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// The members in the order of the documentation.
#[derive(Serialize)]
struct Document<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a RoomName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<&'a RecordingId>,
    #[serde(flatten)]
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Recording(&'a RecordingEvent),
    Spool(&'a SpoolPressure),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(body: &EventBody) -> Value {
        let at = DateTime::parse_from_rfc3339("2026-11-22T06:31:02.5Z").unwrap().with_timezone(&Utc);
        let event = Event::new(EventIds::new(0x7f3a9c).next(at.timestamp_millis().unsigned_abs()), at, body);
        assert!(!event.json().contains('\n'), "one line each");
        serde_json::from_str(event.json()).unwrap()
    }

    fn of_a_recording(event: RecordingEvent) -> Value {
        let room = RoomName::parse("studio-1").unwrap();
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        shown(&EventBody::Recording { room, recording, event })
    }

    fn outcome() -> Outcome {
        Outcome { duration_ms: 60_000, bytes: 37_804_622, gaps: 1, objects: vec!["recording.mp4".into()] }
    }

    /// The public contract: see docs/api.md.
    #[test]
    fn a_finished_recording_says_what_there_is() {
        assert_eq!(
            of_a_recording(RecordingEvent::Finished(outcome())),
            json!({
                "id": "01a201f37664-000000-7f3a9c", "type": "recording.finished", "at": "2026-11-22T06:31:02.500Z",
                "room": "studio-1", "recording": "20261122T063000Z-7f3a9c",
                "duration_ms": 60000, "bytes": 37804622, "objects": ["recording.mp4"],
                "gaps": 1,
            })
        );
    }

    #[test]
    fn every_kind_has_its_members() {
        let entry = SegmentEntry {
            name: "video/000001.m4s".into(),
            start_ms: 0,
            duration_ms: 4_000,
            bytes: 1_251_200,
            sha256: "ab".into(),
        };
        let lost = RecordingEvent::object_lost(&ObjectName::progressive());
        for (event, kind, details) in [
            (RecordingEvent::Started { tracks: vec![] }, "recording.started", json!({})),
            (
                RecordingEvent::segment(&entry),
                "recording.segment",
                json!({ "name": "video/000001.m4s", "start_ms": 0, "duration_ms": 4000, "bytes": 1251200, "sha256": "ab" }),
            ),
            (
                RecordingEvent::gap(5, 10, GapReason::Overload),
                "recording.gap",
                json!({ "start_ms": 5, "duration_ms": 10, "reason": "overload" }),
            ),
            (lost, "recording.failed", json!({ "reason": "object_lost", "object": "recording.mp4" })),
            (RecordingEvent::incomplete(), "recording.failed", json!({ "reason": "incomplete" })),
            (RecordingEvent::empty(), "recording.failed", json!({ "reason": "empty" })),
        ] {
            let mut shown = of_a_recording(event);
            let members = shown.as_object_mut().unwrap();
            assert_eq!(members.remove("type"), Some(json!(kind)));
            members.retain(|name, _| !["id", "at", "room", "recording"].contains(&name.as_str()));
            assert_eq!(shown, details, "{kind}");
        }
        assert_eq!(of_a_recording(RecordingEvent::Recovered(outcome()))["type"], "recording.recovered");
    }

    #[test]
    fn the_spool_concerns_no_room() {
        let state = PressureState::Evicting;
        let pressure = SpoolPressure { used_bytes: 9, max_bytes: 10, free_bytes: 11, state };
        let mut shown = shown(&EventBody::SpoolPressure(pressure));
        shown.as_object_mut().unwrap().retain(|name, _| name != "id" && name != "at");
        assert_eq!(
            shown,
            json!({ "type": "spool.pressure", "used_bytes": 9, "max_bytes": 10, "free_bytes": 11, "state": "evicting" })
        );
    }

    #[test]
    fn every_kind_has_one_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::parse("recording"), None);
    }
}
