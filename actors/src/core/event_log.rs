//! What happened lately, for those who come late.

use std::collections::VecDeque;
use std::sync::Arc;

use onair_recorder::{Event, EventId};

/// How many events are kept; as many again of the frequent ones, which have a list of their own.
const KEPT: usize = 1_000;

/// Keeps the newest events, oldest first. Segments come every few seconds from every room: they push out segments only.
#[derive(Debug, Default)]
pub struct EventLog {
    rare: VecDeque<Arc<Event>>,
    frequent: VecDeque<Arc<Event>>,
    /// The newest event that is not kept any more.
    forgotten: Option<EventId>,
}

impl EventLog {
    /// Appends an event, which is newer than all that are kept.
    pub fn push(&mut self, event: Arc<Event>) {
        let list = if event.kind().is_frequent() { &mut self.frequent } else { &mut self.rare };
        list.push_back(event);
        if list.len() > KEPT {
            let oldest = list.pop_front().map(|event| event.id());
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Returns what happened after an event, oldest first.
    pub fn since(&self, last: EventId) -> Vec<Arc<Event>> {
        let newer = |list: &VecDeque<Arc<Event>>| list.partition_point(|event| event.id() <= last);
        let rare = self.rare.range(newer(&self.rare)..);
        let mut events: Vec<_> = rare.chain(self.frequent.range(newer(&self.frequent)..)).cloned().collect();
        events.sort_unstable_by_key(|event| event.id());
        events
    }

    /// Tells whether something after an event is not kept any more.
    pub fn has_forgotten_since(&self, last: EventId) -> bool {
        self.forgotten.is_some_and(|forgotten| forgotten > last)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use onair_media::{RecordingId, RoomName};
    use onair_recorder::event::EventIds;
    use onair_recorder::manifest::SegmentEntry;
    use onair_recorder::{EventBody, EventKind, RecordingEvent};

    use super::*;

    fn event(ids: &mut EventIds, event: RecordingEvent) -> Arc<Event> {
        let room = RoomName::parse("studio").unwrap();
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        let body = EventBody::Recording { room, recording, event };
        Arc::new(Event::new(ids.next(0), DateTime::UNIX_EPOCH, &body))
    }

    fn started(ids: &mut EventIds) -> Arc<Event> {
        event(ids, RecordingEvent::Started { tracks: vec![] })
    }

    fn segment(ids: &mut EventIds) -> Arc<Event> {
        let (name, sha256) = ("video/000001.m4s".into(), String::new());
        event(ids, RecordingEvent::Segment(SegmentEntry { name, start_ms: 0, duration_ms: 0, bytes: 0, sha256 }))
    }

    #[test]
    fn a_flood_of_segments_pushes_out_segments_only() {
        let (mut log, mut ids) = (EventLog::default(), EventIds::new(0));
        let before = ids.next(0);
        let first = started(&mut ids);
        log.push(Arc::clone(&first));
        let mut last_but_one_kept = before;
        for number in 0..5_000 {
            let segment = segment(&mut ids);
            // 5,000 - 1,000 = 4,000 are forgotten; the last of these is number 3,999.
            if number == 3_999 {
                last_but_one_kept = segment.id();
            }
            log.push(segment);
        }
        let kept = log.since(before);
        assert_eq!(kept.len(), 1 + 1_000);
        assert_eq!(kept[0].id(), first.id());
        assert!(kept.is_sorted_by_key(|event| event.id()));
        assert!(log.has_forgotten_since(before) && log.has_forgotten_since(first.id()));
        assert!(!log.has_forgotten_since(last_but_one_kept));
    }

    #[test]
    fn what_was_seen_is_not_shown_again() {
        let (mut log, mut ids) = (EventLog::default(), EventIds::new(0));
        let made: Vec<_> = (0..6).map(|n| if n % 2 == 0 { started(&mut ids) } else { segment(&mut ids) }).collect();
        made.iter().for_each(|event| log.push(Arc::clone(event)));
        let since: Vec<_> = log.since(made[2].id()).iter().map(|event| event.kind()).collect();
        assert_eq!(since, [EventKind::RecordingSegment, EventKind::RecordingStarted, EventKind::RecordingSegment]);
        assert!(log.since(made[5].id()).is_empty() && !log.has_forgotten_since(made[0].id()));
    }
}
