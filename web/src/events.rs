//! `/api/events` and `/api/rooms/{room}/events`: what happens, as server-sent events (HTML Living Standard §9.2).

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use onair_actors::events::{Heard, SubscribeError, Subscription};
use onair_recorder::{Event, EventId, Interest};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::auth::Right;
use crate::guard::{authorize, bearer, room_name};
use crate::problem::Problem;
use crate::state::AppState;

/// How often something is sent when nothing happens. Proxies cut what is silent for a minute, and a client that is gone
/// is noticed by it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream begins with: it is open, and after a break the client comes back in this many milliseconds.
const OPENING: &str = "retry: 2000\n: onair\n\n";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to hand on each event when it comes.
const NOT_BUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(streamed("/api/events").route(web::get().to(of_the_server)))
        .service(streamed("/api/rooms/{room}/events").route(web::get().to(of_a_room)));
}

fn streamed(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Problem::method_not_allowed("GET")))
}

/// Streams what happens in the rooms that the token may view.
async fn of_the_server(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    match authorize(&request, &state, Right::View, None) {
        Ok(()) => stream_of(&request, &state, Interest::everything()),
        // A token for some rooms hears of those.
        Err(problem) if problem.code() == "forbidden" => stream_of(&request, &state, Interest::everything()),
        Err(problem) => Err(problem),
    }
}

/// Streams what happens in one room, which need not exist yet.
async fn of_a_room(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    authorize(&request, &state, Right::View, Some(&room))?;
    stream_of(&request, &state, Interest::room(&room))
}

fn stream_of(request: &HttpRequest, state: &web::Data<AppState>, interest: Interest) -> Result<HttpResponse, Problem> {
    let last = last_event_id(request)?;
    let subscription = state.events.subscribe(interest, last).map_err(|error| match error {
        SubscribeError::Full => Problem::overloaded(error.to_string()),
        SubscribeError::Closed => Problem::shutting_down(),
    })?;
    let (state, token) = (state.clone(), bearer(request).map(String::from));
    let may_view = move |event: &Event| state.policy.check(token.as_deref(), Right::View, event.room()).is_ok();
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(NOT_BUFFERED)
        .streaming(frames(subscription, may_view).map(Ok::<_, Infallible>)))
}

/// Reads where a client that comes back has stopped; an empty one is none.
fn last_event_id(request: &HttpRequest) -> Result<Option<EventId>, Problem> {
    let Some(value) = request.headers().get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(EventId::parse);
    id.map(Some).ok_or_else(|| Problem::invalid_request("Last-Event-ID is not the id of an event"))
}

/// Renders what is heard and may be seen, and a heartbeat; ends when nothing more will happen.
fn frames(subscription: Subscription, may_view: impl Fn(&Event) -> bool) -> impl Stream<Item = Bytes> {
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let opening = stream::once(async { Bytes::from_static(OPENING.as_bytes()) });
    let rest =
        stream::unfold((subscription, heartbeat, may_view), async |(mut subscription, mut heartbeat, may_view)| {
            let frame = next_frame(&mut subscription, &mut heartbeat, &may_view).await?;
            Some((frame, (subscription, heartbeat, may_view)))
        });
    opening.chain(rest)
}

async fn next_frame(
    subscription: &mut Subscription,
    heartbeat: &mut Interval,
    may_view: &impl Fn(&Event) -> bool,
) -> Option<Bytes> {
    loop {
        tokio::select! {
            heard = subscription.next() => match heard? {
                Heard::Event(event) if !may_view(&event) => {}
                Heard::Event(event) => {
                    heartbeat.reset();
                    return Some(event_frame(&event));
                }
                Heard::Missed(count) => return Some(missed_frame(count)),
            },
            _ = heartbeat.tick() => return Some(Bytes::from_static(b": heartbeat\n\n")),
        }
    }
}

fn event_frame(event: &Event) -> Bytes {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id(), event.kind().as_str(), event.json()).into()
}

/// Has no id: whoever comes back with that of the event before is shown what was left out, as far as it is kept.
fn missed_frame(count: Option<u64>) -> Bytes {
    format!("event: missed\ndata: {}\n\n", json!({ "type": "missed", "events": count })).into()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use onair_actors::events::Events;
    use onair_media::{RecordingId, RoomName};
    use onair_recorder::RecordingEvent;

    use super::*;

    fn start(events: &Events, room: &str) {
        let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
        events.publish(&RoomName::parse(room).unwrap(), &recording, RecordingEvent::Started { tracks: vec![] });
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_says_what_may_be_seen_and_beats_while_nothing_happens() {
        let events = Events::new();
        let subscription = events.subscribe(Interest::everything(), None).unwrap();
        let mut frames = pin!(frames(subscription, |event| event.room().is_some_and(|room| room.as_str() == "studio")));
        let mut next = async || String::from_utf8(frames.next().await.unwrap().into()).unwrap();
        assert_eq!(next().await, OPENING);
        let began = tokio::time::Instant::now();
        assert_eq!(next().await, ": heartbeat\n\n");
        assert_eq!(began.elapsed().as_secs(), HEARTBEAT.as_secs());

        start(&events, "lobby");
        start(&events, "studio");
        let frame = next().await;
        let lines: Vec<_> = frame.lines().collect();
        let id = lines[0].strip_prefix("id: ").unwrap();
        assert!(EventId::parse(id).is_some(), "{frame}");
        assert_eq!(lines[1], "event: recording.started");
        let data: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["id"], &data["room"]), (&json!(id), &json!("studio")));
        assert!(lines.len() == 4 && frame.ends_with("\n\n"), "{frame}");

        events.close();
        assert_eq!(frames.next().now_or_never(), Some(None), "it ends with the server");
    }

    #[test]
    fn what_was_missed_is_said_without_an_id() {
        assert_eq!(missed_frame(Some(3)), "event: missed\ndata: {\"events\":3,\"type\":\"missed\"}\n\n");
        assert_eq!(missed_frame(None), "event: missed\ndata: {\"events\":null,\"type\":\"missed\"}\n\n");
    }
}
