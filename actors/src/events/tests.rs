//! Who hears what, and what happens to those who are slow.

use futures_util::FutureExt;
use onair_recorder::manifest::SegmentEntry;
use onair_recorder::{EventKind, PressureState};

use super::*;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn start(events: &Events, name: &str) {
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    events.publish(&room(name), &recording, RecordingEvent::Started { tracks: vec![] });
}

fn segment(events: &Events) {
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    let entry = SegmentEntry { name: String::new(), start_ms: 0, duration_ms: 0, bytes: 0, sha256: String::new() };
    events.publish(&room("studio"), &recording, RecordingEvent::Segment(entry));
}

/// Everything that can be heard without waiting.
fn heard(subscription: &mut Subscription) -> Vec<Heard> {
    std::iter::from_fn(|| subscription.next().now_or_never().flatten()).collect()
}

fn kinds(heard: &[Heard]) -> Vec<EventKind> {
    let events = heard.iter().filter_map(|heard| match heard {
        Heard::Event(event) => Some(event.kind()),
        Heard::Missed(_) => None,
    });
    events.collect()
}

#[test]
fn everybody_hears_what_he_asked_for_in_order() {
    let events = Events::new();
    let mut all = events.subscribe(Interest::everything(), None).unwrap();
    let mut lobby = events.subscribe(Interest::room(&room("lobby")), None).unwrap();
    start(&events, "studio");
    start(&events, "lobby");
    events.publish_pressure(SpoolPressure { used_bytes: 0, max_bytes: 0, free_bytes: 0, state: PressureState::Ok });
    let (all, lobby) = (heard(&mut all), heard(&mut lobby));
    assert_eq!(kinds(&all), [EventKind::RecordingStarted, EventKind::RecordingStarted, EventKind::SpoolPressure]);
    assert_eq!(lobby, all[1..2]);
}

#[test]
fn a_slow_subscriber_misses_segments_first_and_is_told() {
    let events = Events::new();
    let mut slow = events.subscribe(Interest::everything(), None).unwrap();
    let mut other = events.subscribe(Interest::room(&room("lobby")), None).unwrap();
    // Segments fill half of the queue, the others the rest: 128 + 128; of the latter 72 find no room.
    (0..150).for_each(|_| segment(&events));
    (0..200).for_each(|_| start(&events, "studio"));
    let heard_late = heard(&mut slow);
    assert_eq!(heard_late[0], Heard::Missed(Some(22 + 72)));
    let kinds = kinds(&heard_late);
    assert_eq!(kinds.iter().filter(|kind| kind.is_frequent()).count(), 128);
    assert_eq!(kinds.len(), 256);
    assert_eq!(events.state(), EventsState { published: 350, missed: 94, subscriptions: 2 });
    assert_eq!(heard(&mut other), []);

    // What it missed can be had again, from the last one before the gap.
    let Heard::Event(last) = &heard_late[128] else { panic!("{:?}", heard_late[128]) };
    let again = heard(&mut events.subscribe(Interest::everything(), Some(last.id())).unwrap());
    assert_eq!(again.len(), 22 + 200);
}

#[test]
fn who_comes_back_hears_what_happened_meanwhile_once() {
    let events = Events::new();
    let mut first = events.subscribe(Interest::everything(), None).unwrap();
    (0..3).for_each(|_| start(&events, "studio"));
    let heard_first = heard(&mut first);
    drop(first);
    let Heard::Event(seen) = &heard_first[0] else { panic!("an event") };
    let mut again = events.subscribe(Interest::everything(), Some(seen.id())).unwrap();
    start(&events, "studio");
    let heard_again = heard(&mut again);
    assert_eq!(heard_again[..2], heard_first[1..]);
    assert_eq!(heard_again.len(), 3);
    assert_eq!(events.state().subscriptions, 1);
}

#[test]
fn who_comes_back_after_a_restart_is_told_that_something_may_be_missing() {
    let events = Events::new();
    let before = EventId::parse("000000000001-000000-7f3a9c").unwrap();
    start(&events, "studio");
    let heard = heard(&mut events.subscribe(Interest::everything(), Some(before)).unwrap());
    assert_eq!((&heard[0], heard.len()), (&Heard::Missed(None), 2));
}

#[test]
fn subscriptions_are_few_and_end_with_the_bus() {
    let events = Events::new();
    let subscribe = || events.subscribe(Interest::everything(), None);
    let mut subscriptions: Vec<_> = (0..MAX_SUBSCRIPTIONS).map(|_| subscribe().unwrap()).collect();
    assert_eq!(subscribe().unwrap_err(), SubscribeError::Full);
    drop(subscriptions.pop());
    let mut last = subscribe().unwrap();
    start(&events, "studio");
    events.close();
    start(&events, "studio");
    let next = || last.next().now_or_never();
    let (first, second) = {
        let mut next = next;
        (next(), next())
    };
    assert!(matches!(first, Some(Some(Heard::Event(_)))), "what waited is heard: {first:?}");
    assert_eq!(second, Some(None), "and then it ends");
    assert_eq!(subscribe().unwrap_err(), SubscribeError::Closed);
}
