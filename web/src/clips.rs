//! `/recordings/{room}/{recording}/clip.mp4`: some time of a recording as an MP4 of its own.
//!
//! Nothing of a clip is kept but the last few plans: it is streamed from the segments. Both are bounded, how many are
//! planned and how many are sent at once.

mod plans;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, EntityTag, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::StreamExt;
use onair_media::{RecordingId, RoomName};
use onair_recorder::{Clip, ClipError, ClipRange, ObjectName, ObjectPath, StoreError};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use self::plans::{PlanKey, Plans};
use crate::guard::{admit, recording_id, room_name};
use crate::problem::Problem;
use crate::recordings::{is_known, store_problem, wanted_range};
use crate::server::readable;
use crate::state::AppState;

/// How many clips are sent at once: each holds two or three stretches of up to a mebibyte, and what is left of its header.
const SENT_MAX: usize = 64;

/// How many clips are planned at once, of up to a million samples each; others wait.
const PLANNED_MAX: usize = 4;

/// How long a client waits for the plan. One of two hours in a bucket takes some ten thousand small requests.
const PLAN_PATIENCE: Duration = Duration::from_secs(60);

/// Bounds how many clips are made at once.
#[derive(Debug, Clone)]
pub struct Clips {
    sent: Arc<Semaphore>,
    planned: Arc<Semaphore>,
    plans: Arc<Mutex<Plans>>,
}

/// Says what is wanted. Unknown parameters do no harm.
#[derive(Debug, Deserialize)]
struct ClipQuery {
    from: Option<String>,
    to: Option<String>,
    download: Option<String>,
}

/// A clip that is about to be sent.
struct Planned {
    room: RoomName,
    recording: RecordingId,
    clip: Arc<Clip>,
    as_file: bool,
    seat: OwnedSemaphorePermit,
}

impl Default for Clips {
    fn default() -> Self {
        let [sent, planned] = [SENT_MAX, PLANNED_MAX].map(|places| Arc::new(Semaphore::new(places)));
        Self { sent, planned, plans: Arc::default() }
    }
}

impl Clips {
    /// Does something with the plans. Whoever panicked meanwhile left them whole.
    fn with_plans<T>(&self, act: impl FnOnce(&mut Plans, Instant) -> T) -> T {
        act(&mut self.plans.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let clip = readable("/recordings/{room}/{recording}/clip.mp4");
    config.service(clip.route(web::get().to(get)).route(web::head().to(head)));
}

/// Describes a clip without its bytes.
async fn head(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let planned = plan(&request, &path, &state).await?;
    let mut response = planned.described(StatusCode::OK);
    let none = futures_util::stream::empty::<std::io::Result<bytes::Bytes>>();
    Ok(response.no_chunking(planned.clip.layout().total_bytes).streaming(none))
}

/// Returns a clip or a range of it (RFC 9110 §14).
async fn get(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let planned = plan(&request, &path, &state).await?;
    let (tag, size) = (planned.tag(), planned.clip.layout().total_bytes);
    if is_known(&request, Some(&tag)) {
        return Ok(planned.described(StatusCode::NOT_MODIFIED).finish());
    }
    let range = wanted_range(&request, Some(&tag), size)?;
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = planned.described(status);
    let Range { start, end } = range.unwrap_or(0..size);
    if status == StatusCode::PARTIAL_CONTENT {
        response.insert_header((CONTENT_RANGE, format!("bytes {start}-{}/{size}", end.saturating_sub(1))));
    }
    let Planned { room, recording, clip, seat, .. } = planned;
    // The seat is taken for as long as the answer is sent.
    let stream = state.store.read_clip(&room, &recording, &clip, start..end).map(move |bytes| {
        let _taken = &seat;
        bytes
    });
    Ok(response.no_chunking(end - start).streaming(stream))
}

async fn plan(request: &HttpRequest, path: &(String, String), state: &AppState) -> Result<Planned, Problem> {
    let (room, recording) = (room_name(&path.0)?, recording_id(&path.1)?);
    admit(request, state, &room)?;
    let query = web::Query::<ClipQuery>::from_query(request.query_string());
    let query = query.map_err(|error| Problem::invalid_request(error.to_string()))?.into_inner();
    // The pages' form sends an empty text for what is not filled in.
    let range = ClipRange::parse(given(&query.from), given(&query.to));
    let range = range.map_err(|refusal| Problem::invalid_request(refusal.to_string()))?;
    let as_file = query.download.is_some_and(|value| !matches!(value.as_str(), "0" | "false"));
    let seat = Arc::clone(&state.clips.sent).try_acquire_owned();
    let seat = seat.map_err(|_| Problem::overloaded(format!("{SENT_MAX} clips are being sent")))?;
    let Ok(clip) = timeout(PLAN_PATIENCE, find_or_plan(request, state, &room, &recording, range)).await else {
        warn!(%room, %recording, patience_s = PLAN_PATIENCE.as_secs(), "a clip could not be planned in time");
        return Err(Problem::storage_error());
    };
    Ok(Planned { clip: clip.map_err(clip_problem)?, room, recording, as_file, seat })
}

/// Returns the plan of a clip. For a range it is one that is kept, if the manifest is what it was then: whoever asks for
/// the whole gets what there is now.
async fn find_or_plan(
    request: &HttpRequest,
    state: &AppState,
    room: &RoomName,
    recording: &RecordingId,
    range: ClipRange,
) -> Result<Arc<Clip>, ClipError> {
    let manifest = state.store.head(&ObjectPath::new(room, recording, ObjectName::manifest())).await?;
    let key = PlanKey::new(room, recording, range, &manifest);
    let is_part = request.headers().contains_key(RANGE);
    let find = || state.clips.with_plans(|plans, now| plans.find(&key, now)).filter(|_| is_part);
    if let Some(clip) = find() {
        return Ok(clip);
    }
    let _turn = state.clips.planned.acquire().await.expect("it is never closed");
    // Players ask for more than one range at once: who waited may find what the others planned.
    if let Some(clip) = find() {
        return Ok(clip);
    }
    let clip = Arc::new(state.store.clip(room, recording, &range).await?);
    state.clips.with_plans(|plans, now| plans.keep(key.clone(), &clip, now));
    Ok(clip)
}

impl Planned {
    fn tag(&self) -> EntityTag {
        EntityTag::new_strong(self.clip.tag().into())
    }

    fn described(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        response
            .content_type(self.clip.content_type())
            .insert_header((ACCEPT_RANGES, "bytes"))
            // A segment may be lost, or mended.
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((ETAG, self.tag().to_string()));
        if self.as_file {
            let (from, to) = (seconds(self.clip.from_ms()), seconds(self.clip.to_ms()));
            let name = format!("{}-{}-{from}-{to}.mp4", self.room, self.recording);
            response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
        }
        response
    }
}

fn clip_problem(error: ClipError) -> Problem {
    match error {
        ClipError::Refused(refusal) => Problem::invalid_request(refusal.to_string()),
        ClipError::Store(StoreError::NotFound { .. }) => Problem::recording_not_found(),
        ClipError::Store(error) => store_problem(error),
        ClipError::Box(error) => {
            warn!(%error, "a stored configuration has no box");
            Problem::storage_error()
        }
    }
}

/// Takes an empty text as none.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Renders milliseconds as seconds, with no more digits than it takes.
fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_no_more_digits_than_it_takes() {
        assert_eq!([0, 10_000, 12_500, 12_034].map(seconds), ["0", "10", "12.5", "12.034"]);
    }
}
