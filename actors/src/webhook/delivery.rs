//! One receiver: what waits for it, the attempt that is under way, and when the next one is due.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use onair_recorder::{Event, EventId, EventKind, Interest};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::backlog::Backlog;
use super::post::Answer;
use super::{GIVE_UP_AFTER, Gauge, WebhookState};
use crate::core::backoff::Backoff;
use crate::core::outbox::{Letter, Outbox};
use crate::core::quiet::OncePerSecond;
use crate::events::{Events, Heard, SubscribeError, Subscription, millis};
use crate::session_id::random;

/// The waits after failures. A receiver that is back from a restart is found within a second or two; one that is gone
/// for hours costs a request in ten minutes.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

/// The most events that may wait for one receiver: 40 MB of a disk that gives 4 KiB to the smallest file.
const MAX_WAITING: usize = 10_000;

/// The most events that are written to the disk in one go.
const BATCH: usize = 64;

/// Makes one attempt: the id, the type and the body of an event.
pub(super) type Poster = Arc<dyn Fn(EventId, EventKind, Vec<u8>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Serves one receiver.
pub(super) struct Delivery {
    name: String,
    send: Poster,
    backlog: Backlog,
    outbox: Outbox,
    events: Events,
    interest: Interest,
    subscription: Subscription,
    /// Up to which event everything is on the disk.
    kept: watch::Sender<EventId>,
    is_open: bool,
    backoff: Backoff,
    next_try: Instant,
    /// Keep the log readable while the disk or the receiver fails for many events in a row.
    unsaved: OncePerSecond,
    given_up: OncePerSecond,
    gauge: Gauge,
}

impl Delivery {
    /// Takes up what is left, and listens for more.
    ///
    /// # Errors
    /// [`SubscribeError`] when there is nothing to listen to.
    pub(super) async fn new(
        name: String,
        send: Poster,
        backlog: Backlog,
        left: Vec<(EventId, EventKind)>,
        events: Events,
        interest: Interest,
    ) -> Result<Self, SubscribeError> {
        let position = events.latest();
        let (kept, kept_until) = watch::channel(position);
        let subscription = events.subscribe_and_keep(interest.clone(), Some(position), kept_until)?;
        let gauge = Gauge(Arc::new(Mutex::new(WebhookState { url: name.clone(), ..WebhookState::default() })));
        let mut delivery = Self {
            name,
            send,
            backlog,
            outbox: Outbox::new(MAX_WAITING),
            events,
            interest,
            subscription,
            kept,
            is_open: true,
            backoff: Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF),
            next_try: Instant::now(),
            unsaved: OncePerSecond::default(),
            given_up: OncePerSecond::default(),
            gauge,
        };
        if !left.is_empty() {
            info!(webhook = delivery.name, events = left.len(), "events from before go out again");
        }
        for (id, kind) in left {
            delivery.enqueue(letter(id, kind, None)).await;
        }
        Ok(delivery)
    }

    /// Shows how the receiver stands.
    pub(super) const fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Serves the receiver until nothing will happen any more and it has what it takes.
    pub(super) async fn run(mut self) {
        let mut attempt = None;
        loop {
            self.gauge.write().waiting = self.outbox.len();
            if attempt.is_none() {
                self.give_up_the_old().await;
                attempt = self.next_attempt();
            }
            if attempt.is_none() && !self.is_open {
                return;
            }
            let wake_at = self.outbox.first().map(|letter| self.next_try.min(letter.expires.into()));
            tokio::select! {
                heard = self.subscription.next(), if self.is_open => self.take(heard).await,
                answer = async { attempt.as_mut().expect("checked").await }, if attempt.is_some() => {
                    attempt = None;
                    self.answered(answer).await;
                }
                () = sleep_until(wake_at.unwrap_or(self.next_try)), if attempt.is_none() && wake_at.is_some() => {}
            }
        }
    }

    /// Begins to send the first letter, if it is time.
    fn next_attempt(&self) -> Option<BoxFuture<'static, Answer>> {
        let Letter { id, kind, unsaved, .. } = self.outbox.first().filter(|_| self.next_try <= Instant::now())?.clone();
        let (send, backlog) = (Arc::clone(&self.send), self.backlog.clone());
        let body = async move {
            match unsaved {
                Some(event) => Ok(event.json().as_bytes().to_vec()),
                None => backlog.read(id, kind).await,
            }
        };
        let attempt = async move {
            match body.await {
                Ok(body) => send(id, kind, body).await,
                Err(error) if error.kind() == ErrorKind::NotFound => Answer::Lost,
                Err(error) => {
                    Answer::Failed { reason: format!("the event cannot be read: {error}"), retry_after: None }
                }
            }
        };
        Some(attempt.boxed())
    }

    async fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Taken => {
                self.gauge.write().delivered += 1;
                self.pop_first().await;
            }
            Answer::Gone => self.give_up("the receiver says that it is gone").await,
            Answer::Lost => self.give_up("its file was removed").await,
            Answer::Failed { reason, retry_after } => return self.failed(reason, retry_after),
        }
        self.gauge.write().last_error = None;
        self.backoff.reset();
        self.next_try = Instant::now();
    }

    fn failed(&mut self, reason: String, retry_after: Option<Duration>) {
        let [jitter] = random();
        let wait = self.backoff.next(jitter).max(retry_after.unwrap_or_default()).min(GIVE_UP_AFTER);
        self.next_try = Instant::now() + wait;
        let wait_ms = wait.as_millis() as u64;
        warn!(webhook = self.name, reason, wait_ms, waiting = self.outbox.len(), "event not delivered, trying again");
        let mut gauge = self.gauge.write();
        gauge.failed_attempts += 1;
        gauge.last_error = Some(reason);
    }

    async fn give_up_the_old(&mut self) {
        let now = Instant::now().into_std();
        while self.outbox.first().is_some_and(|letter| letter.expires <= now) {
            self.give_up("it was too old").await;
        }
    }

    async fn give_up(&mut self, reason: &str) {
        if let Some(letter) = self.outbox.first() {
            let (id, kind) = (letter.id, letter.kind.as_str());
            if let Some(withheld) = self.given_up.pass(Instant::now().into_std()) {
                error!(webhook = self.name, event = %id, kind, reason, withheld, "event given up");
            }
            self.gauge.write().given_up += 1;
            self.pop_first().await;
        }
    }

    async fn pop_first(&mut self) {
        if let Some(letter) = self.outbox.pop_first() {
            self.remove(&letter).await;
        }
    }

    /// What stays on the disk goes out once more at the next start: the receiver knows it by its key.
    async fn remove(&self, letter: &Letter) {
        if letter.unsaved.is_some() {
            return;
        }
        if let Err(error) = self.backlog.remove(letter.id, letter.kind).await {
            warn!(webhook = self.name, event = %letter.id, %error, "a delivered event could not be removed");
        }
    }

    /// Takes what was heard, and whatever else waits: many events cost hardly more on the disk than one.
    async fn take(&mut self, first: Option<Heard>) {
        let (mut next, mut batch) = (Some(first), Vec::new());
        while let Some(heard) = next {
            match heard {
                Some(Heard::Event(event)) => batch.push(event),
                Some(Heard::Missed(count)) => self.missed(count),
                None => {
                    self.is_open = false;
                    // Whoever failed a moment ago has one more chance before the server ends.
                    self.next_try = Instant::now();
                }
            }
            let may_go_on = self.is_open && batch.len() < BATCH;
            next = if may_go_on { self.subscription.next().now_or_never() } else { None };
        }
        self.keep(batch).await;
    }

    /// Asks once more for events that came too fast.
    fn missed(&mut self, count: Option<u64>) {
        let position = Some(self.subscription.position());
        if count.is_some()
            && let Ok(again) = self.events.subscribe_and_keep(self.interest.clone(), position, self.kept.subscribe())
        {
            self.subscription = again;
            return;
        }
        error!(webhook = self.name, count, "events came too fast, the receiver will not hear of them");
        self.gauge.write().missed += count.unwrap_or_default();
    }

    /// Puts events to the disk, then into the queue.
    async fn keep(&mut self, events: Vec<Arc<Event>>) {
        if events.is_empty() {
            return;
        }
        let saved = self.backlog.write(events.clone()).await;
        if let Err(error) = &saved
            && let Some(withheld) = self.unsaved.pass(Instant::now().into_std())
        {
            error!(webhook = self.name, %error, withheld, "events are not on the disk, a restart would lose them");
        }
        if let (Ok(()), Some(newest)) = (&saved, events.last()) {
            self.kept.send_replace(newest.id());
        }
        for event in events {
            let (id, kind) = (event.id(), event.kind());
            let unsaved = saved.is_err().then_some(event);
            self.enqueue(letter(id, kind, unsaved)).await;
        }
    }

    async fn enqueue(&mut self, letter: Letter) {
        if let Some(too_much) = self.outbox.push(letter) {
            self.gauge.write().dropped += 1;
            self.remove(&too_much).await;
        }
    }
}

/// Addresses an event, which is given up by its age: a restart does not make it younger.
fn letter(id: EventId, kind: EventKind, unsaved: Option<Arc<Event>>) -> Letter {
    let age = Duration::from_millis(millis(Utc::now()).saturating_sub(id.millis()));
    Letter { id, kind, expires: (Instant::now() + GIVE_UP_AFTER.saturating_sub(age)).into_std(), unsaved }
}
