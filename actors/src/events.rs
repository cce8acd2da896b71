//! Events: from whoever sees one happen to everybody who wants to hear of it.
//!
//! Publishing never waits. Every subscription has a queue of its own, and one that is full misses events, is told how
//! many, and may ask for them again: the newest ones are kept.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use onair_media::{RecordingId, RoomName};
use onair_recorder::event::EventIds;
use onair_recorder::{Event, EventBody, EventId, Interest, RecordingEvent, SpoolPressure};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::core::event_log::EventLog;
use crate::session_id::random;

/// The most subscriptions at a time.
pub const MAX_SUBSCRIPTIONS: usize = 256;

/// How many events may wait for one subscriber. Segments take at most half of it, so that there is room for the rest.
const QUEUED: usize = 256;

/// Tells and is told what happens. Cloning is cheap, and all clones are one.
#[derive(Debug, Clone)]
pub struct Events(Arc<Mutex<Bus>>);

#[derive(Debug)]
struct Bus {
    ids: EventIds,
    /// The name of the beginning: what happened before, another run of the server has seen.
    began: EventId,
    log: EventLog,
    subscribers: Vec<Subscriber>,
    is_closed: bool,
    published: u64,
    missed: u64,
}

#[derive(Debug)]
struct Subscriber {
    interest: Interest,
    queue: mpsc::Sender<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

/// Says why nobody can subscribe now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// There are [`MAX_SUBSCRIPTIONS`] already.
    #[error("{MAX_SUBSCRIPTIONS} readers of events are as many as there may be")]
    Full,
    /// The server ends.
    #[error("nothing more will happen")]
    Closed,
}

/// Shows the events to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EventsState {
    /// How many there were.
    pub published: u64,
    /// How many somebody who was too slow did not get.
    pub missed: u64,
    /// How many listen.
    pub subscriptions: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// Begins with nothing.
    pub fn new() -> Self {
        let [a, b, c] = random();
        let mut ids = EventIds::new(u32::from_be_bytes([0, a, b, c]));
        let began = ids.next(now_millis());
        Self(Arc::new(Mutex::new(Bus {
            ids,
            began,
            log: EventLog::default(),
            subscribers: Vec::new(),
            is_closed: false,
            published: 0,
            missed: 0,
        })))
    }

    /// Says what happened to a recording. Never waits for anybody; may be called from any thread.
    pub fn publish(&self, room: &RoomName, recording: &RecordingId, event: RecordingEvent) {
        self.tell(&EventBody::Recording { room: room.clone(), recording: recording.clone(), event });
    }

    /// Says how the spool stands, when that has changed. Never waits either.
    pub fn publish_pressure(&self, pressure: SpoolPressure) {
        self.tell(&EventBody::SpoolPressure(pressure));
    }

    /// Listens from now on, or from after the event `last` as far as that is kept.
    ///
    /// # Errors
    /// [`SubscribeError`] when too many listen, or nothing will follow.
    pub fn subscribe(&self, interest: Interest, last: Option<EventId>) -> Result<Subscription, SubscribeError> {
        let mut bus = self.bus();
        if bus.is_closed {
            return Err(SubscribeError::Closed);
        }
        bus.subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        if bus.subscribers.len() >= MAX_SUBSCRIPTIONS {
            return Err(SubscribeError::Full);
        }
        let (queue, events) = mpsc::channel(QUEUED);
        let missed = Arc::<AtomicU64>::default();
        let mut past: VecDeque<_> = last.map(|last| bus.log.since(last)).unwrap_or_default().into();
        past.retain(|event| interest.includes(event));
        let is_incomplete = last.is_some_and(|last| last < bus.began || bus.log.has_forgotten_since(last));
        bus.subscribers.push(Subscriber { interest, queue, missed: Arc::clone(&missed) });
        Ok(Subscription { is_incomplete, past, events, missed })
    }

    /// Nothing will follow: every subscription ends when it has heard what waits for it. What is published afterwards
    /// is counted, and heard by nobody.
    pub fn close(&self) {
        let mut bus = self.bus();
        bus.is_closed = true;
        bus.subscribers.clear();
    }

    /// Shows what was published and missed.
    pub fn state(&self) -> EventsState {
        let bus = self.bus();
        let subscriptions = bus.subscribers.iter().filter(|subscriber| !subscriber.queue.is_closed()).count();
        EventsState { published: bus.published, missed: bus.missed, subscriptions }
    }

    fn tell(&self, body: &EventBody) {
        let mut bus = self.bus();
        let event = Arc::new(Event::new(bus.ids.next(now_millis()), Utc::now(), body));
        bus.published += 1;
        let Bus { subscribers, missed, .. } = &mut *bus;
        subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        let wanted = subscribers.iter().filter(|subscriber| subscriber.interest.includes(&event));
        *missed += wanted.map(|subscriber| u64::from(!subscriber.offer(&event))).sum::<u64>();
        bus.log.push(event);
    }

    /// Nothing under the lock waits or fails, so that a poisoned one is as good as any.
    fn bus(&self) -> MutexGuard<'_, Bus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Puts an event into the queue; tells whether there was room.
    fn offer(&self, event: &Arc<Event>) -> bool {
        let is_half_full = self.queue.capacity() * 2 <= self.queue.max_capacity();
        let has_room = !(event.kind().is_frequent() && is_half_full);
        let is_queued = has_room && self.queue.try_send(Arc::clone(event)).is_ok();
        if !is_queued {
            self.missed.fetch_add(1, Relaxed);
        }
        is_queued
    }
}

/// Hears events, in their order. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    is_incomplete: bool,
    past: VecDeque<Arc<Event>>,
    events: mpsc::Receiver<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

/// What a subscription hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// An event.
    Event(Arc<Event>),
    /// Events were left out, after the last one that was heard: this many, or nobody knows how many, perhaps none.
    Missed(Option<u64>),
}

impl Subscription {
    /// Waits for what comes next; `None` when nothing will. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Heard> {
        if std::mem::take(&mut self.is_incomplete) {
            return Some(Heard::Missed(None));
        }
        if let Some(event) = self.past.pop_front() {
            return Some(Heard::Event(event));
        }
        let missed = self.missed.swap(0, Relaxed);
        if missed > 0 {
            return Some(Heard::Missed(Some(missed)));
        }
        self.events.recv().await.map(Heard::Event)
    }
}

fn now_millis() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default()
}
