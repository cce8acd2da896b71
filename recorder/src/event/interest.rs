//! Who wants to hear what: types by pattern, rooms by glob.

use std::fmt;

use onair_media::{RoomGlob, RoomName};

use super::{Event, EventKind};

/// Selects types of events: one by its name, or all that begin with what stands before a final `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

/// Says that a pattern selects nothing there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {names}, or begin like one and end with *", names = all_names())]
pub struct UnknownEvent;

fn all_names() -> String {
    EventKind::ALL.map(EventKind::as_str).join(", ")
}

impl EventPattern {
    /// Parses a pattern such as `recording.finished`, `recording.*` or `*`.
    ///
    /// # Errors
    /// [`UnknownEvent`] when no event could match: a slip of the pen shall not pass for silence.
    pub fn parse(text: &str) -> Result<Self, UnknownEvent> {
        let pattern = Self(text.into());
        if EventKind::ALL.into_iter().any(|kind| pattern.matches(kind)) { Ok(pattern) } else { Err(UnknownEvent) }
    }

    /// Tells whether the pattern selects a kind of events.
    pub fn matches(&self, kind: EventKind) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => kind.as_str().starts_with(beginning),
            None => kind.as_str() == self.0,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells which events somebody wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// Events of these rooms; those of the whole server only where it is every room.
    pub rooms: RoomGlob,
    /// Events of these types; `None` for all but the frequent ones.
    pub types: Option<Vec<EventPattern>>,
}

impl Interest {
    /// Wants everything there is.
    pub fn everything() -> Self {
        Self { rooms: RoomGlob::any(), types: Some(vec![EventPattern("*".into())]) }
    }

    /// Wants everything of one room.
    pub fn room(name: &RoomName) -> Self {
        let rooms = RoomGlob::parse(name.as_str()).expect("the alphabet of a glob includes that of a name");
        Self { rooms, ..Self::everything() }
    }

    /// Tells whether an event is wanted.
    pub fn includes(&self, event: &Event) -> bool {
        let in_room = event.room().map_or_else(|| self.rooms.matches_all(), |room| self.rooms.matches(room));
        in_room && self.includes_kind(event.kind())
    }

    fn includes_kind(&self, kind: EventKind) -> bool {
        match &self.types {
            Some(patterns) => patterns.iter().any(|pattern| pattern.matches(kind)),
            None => !kind.is_frequent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use onair_media::RecordingId;

    use super::*;
    use crate::event::{EventBody, EventIds, PressureState, RecordingEvent, SpoolPressure};

    fn patterns(texts: &[&str]) -> Option<Vec<EventPattern>> {
        Some(texts.iter().map(|text| EventPattern::parse(text).unwrap()).collect())
    }

    fn kinds(types: Option<Vec<EventPattern>>) -> Vec<&'static str> {
        let interest = Interest { rooms: RoomGlob::any(), types };
        EventKind::ALL.into_iter().filter(|kind| interest.includes_kind(*kind)).map(EventKind::as_str).collect()
    }

    #[test]
    fn patterns_select_by_name_and_by_beginning() {
        assert_eq!(kinds(patterns(&["spool.pressure", "recording.f*"])).len(), 3);
        assert_eq!(kinds(patterns(&["*"])).len(), EventKind::ALL.len());
        assert_eq!(kinds(patterns(&["recording.*"])).len(), 6);
        assert_eq!(kinds(Some(vec![])), [""; 0]);
        let default = kinds(None);
        assert!(default.len() == 6 && !default.contains(&"recording.segment"), "{default:?}");
    }

    #[test]
    fn a_pattern_that_selects_nothing_is_a_mistake() {
        for bad in ["", "recording", "recordings.*", "*.finished", "recording.finished "] {
            assert_eq!(EventPattern::parse(bad), Err(UnknownEvent), "{bad}");
        }
        assert!(UnknownEvent.to_string().starts_with("must be one of recording.started, recording.segment, "));
    }

    #[test]
    fn a_room_hears_of_itself_and_the_whole_server_of_everything() {
        let mut ids = EventIds::new(0);
        let (studio, lobby) = (RoomName::parse("studio").unwrap(), RoomName::parse("lobby").unwrap());
        let mut event = |body: &EventBody| Event::new(ids.next(0), DateTime::UNIX_EPOCH, body);
        let started = event(&EventBody::Recording {
            room: studio.clone(),
            recording: RecordingId::parse("20261122T063000Z-7f3a9c").unwrap(),
            event: RecordingEvent::Started { tracks: vec![] },
        });
        let state = PressureState::Ok;
        let pressure =
            event(&EventBody::SpoolPressure(SpoolPressure { used_bytes: 0, max_bytes: 0, free_bytes: 0, state }));
        let heard = |interest: Interest| [interest.includes(&started), interest.includes(&pressure)];
        assert_eq!(heard(Interest::everything()), [true, true]);
        assert_eq!(heard(Interest::room(&studio)), [true, false]);
        assert_eq!(heard(Interest::room(&lobby)), [false, false]);
    }
}
