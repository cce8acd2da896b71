//! `/api/recordings` and `/recordings`: what is stored, read from the store itself.

use std::ops::Range;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, EntityTag, Header, IfNoneMatch, IfRange, LAST_MODIFIED,
    Range as RangeHeader,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::{DateTime, Utc};
use onair_media::{RecordingId, RoomName};
use onair_recorder::store::RecordingQuery;
use onair_recorder::{ObjectInfo, ObjectName, ObjectPath, StoreError};
use serde::Deserialize;
use tracing::warn;

use crate::auth::Right;
use crate::guard::{Admission, admit, authorize, recording_id, refuse_foreign_pages, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::AppState;

/// How long a client waits for the store to begin its answer.
const STORE_PATIENCE: Duration = Duration::from_secs(20);

/// How many recordings a page has when nothing is said, and at most.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// Filters a listing. Unknown parameters do no harm.
#[derive(Debug, Deserialize)]
struct ListQuery {
    room: Option<String>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(readable("/api/recordings").route(web::get().to(list)))
        .service(
            web::resource("/api/recordings/{room}/{recording}")
                .route(web::get().to(manifest))
                .route(web::delete().to(delete))
                .default_service(web::to(async || Problem::method_not_allowed("GET, DELETE"))),
        )
        .service(
            readable("/recordings/{room}/{recording}/{object:.+}")
                .route(web::get().to(get))
                .route(web::head().to(head)),
        );
}

/// Lists recordings, newest first.
async fn list(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let query = web::Query::<ListQuery>::from_query(request.query_string());
    let query = query.map_err(|error| Problem::invalid_request(error.to_string()))?.into_inner();
    // The pages' form sends an empty text for "all rooms".
    let room = query.room.as_deref().filter(|room| !room.is_empty()).map(room_name).transpose()?;
    let rooms = viewable_rooms(&request, &state, room).await?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let query = RecordingQuery { rooms, from: query.from, to: query.to, limit, cursor: query.cursor };
    let page = in_time(state.store.list_recordings(&query)).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(page))
}

/// Returns the rooms that are asked for and may be viewed; `None` for all there are.
async fn viewable_rooms(
    request: &HttpRequest,
    state: &AppState,
    room: Option<RoomName>,
) -> Result<Option<Vec<RoomName>>, Problem> {
    if let Some(room) = room {
        authorize(request, state, Right::View, Some(&room))?;
        return Ok(Some(vec![room]));
    }
    match authorize(request, state, Right::View, None) {
        Ok(()) => Ok(None),
        // A token for some rooms sees those.
        Err(problem) if problem.code() == "forbidden" => {
            let mut rooms = state.store.list_rooms().await.map_err(store_problem)?;
            rooms.retain(|room| authorize(request, state, Right::View, Some(room)).is_ok());
            Ok(Some(rooms))
        }
        Err(problem) => Err(problem),
    }
}

/// Returns the manifest of a recording.
async fn manifest(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (room, recording) = named(&path)?;
    authorize(&request, &state, Right::View, Some(&room))?;
    let manifest = in_time(state.store.manifest(&room, &recording)).await.map_err(|problem| match problem.code() {
        "object_not_found" => Problem::recording_not_found(),
        _ => problem,
    })?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).json(manifest))
}

/// Removes every object of a recording that is not being made.
async fn delete(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (room, recording) = named(&path)?;
    authorize(&request, &state, Right::Admin, Some(&room))?;
    refuse_foreign_pages(&request, &state)?;
    if state.spool.holds(&room, &recording) {
        return Err(Problem::recording_is_live());
    }
    match state.store.delete_recording(&room, &recording).await {
        Ok(_) => Ok(HttpResponse::NoContent().finish()),
        Err(StoreError::NotFound { .. }) => Err(Problem::recording_not_found()),
        Err(other) => Err(store_problem(other)),
    }
}

fn named(path: &(String, String)) -> Result<(RoomName, RecordingId), Problem> {
    Ok((room_name(&path.0)?, recording_id(&path.1)?))
}

/// Names the object of a request, when it may be viewed.
fn viewable(
    request: &HttpRequest,
    state: &AppState,
    path: (String, String, String),
) -> Result<(ObjectPath, Admission), Problem> {
    let (room, recording) = named(&(path.0, path.1))?;
    let admission = admit(request, state, &room)?;
    let name = ObjectName::parse(&path.2).map_err(|_| Problem::object_not_found())?;
    Ok((ObjectPath::new(&room, &recording, name), admission))
}

/// Describes an object without its bytes.
async fn head(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (object, _) = viewable(&request, &state, path.into_inner())?;
    let info = in_time(state.store.head(&object)).await?;
    let mut response = described(&state, &object.name, &info, StatusCode::OK);
    Ok(response.no_chunking(info.size).streaming(futures_util::stream::empty::<std::io::Result<bytes::Bytes>>()))
}

/// Returns an object or a range of it (RFC 9110 §14).
async fn get(
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (object, admission) = viewable(&request, &state, path.into_inner())?;
    let info = in_time(state.store.head(&object)).await?;
    let tag = entity_tag(&info);
    if is_known(&request, tag.as_ref()) {
        return Ok(described(&state, &object.name, &info, StatusCode::NOT_MODIFIED).finish());
    }
    let range = wanted_range(&request, tag.as_ref(), info.size)?;
    let download = in_time(state.store.get_range(&object, range.clone())).await?;
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = described(&state, &object.name, &download.info, status);
    if object.name.is_playlist() {
        admission.keep(&request, format!("/recordings/{}/{}", object.room, object.recording), &mut response);
    }
    let Range { start, end } = download.range;
    if range.is_some() {
        let last = end.saturating_sub(1);
        response.insert_header((CONTENT_RANGE, format!("bytes {start}-{last}/{}", download.info.size)));
    }
    Ok(response.no_chunking(end - start).streaming(download.stream))
}

fn described(state: &AppState, name: &ObjectName, info: &ObjectInfo, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .content_type(name.content_type())
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, caching(name, state.policy.is_open())))
        .insert_header((LAST_MODIFIED, info.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    if let Some(tag) = entity_tag(info) {
        response.insert_header((ETAG, tag.to_string()));
    }
    response
}

/// A segment never changes; the manifest and the playlists do until the recording is complete. What a cookie opened must
/// not lie in a cache where it opens to everybody.
fn caching(name: &ObjectName, is_open: bool) -> &'static str {
    let changes = name.is_playlist() || *name == ObjectName::manifest();
    match (changes, is_open) {
        (true, _) => "no-cache",
        (false, true) => "max-age=31536000, immutable",
        (false, false) => "private, max-age=31536000, immutable",
    }
}

/// Takes the store's tag, which may stand without quotes, as a strong one.
fn entity_tag(info: &ObjectInfo) -> Option<EntityTag> {
    let tag = info.e_tag.as_deref()?.trim_start_matches("W/").trim_matches('"');
    let is_valid = !tag.is_empty() && tag.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
    is_valid.then(|| EntityTag::new_strong(tag.into()))
}

pub(crate) fn is_known(request: &HttpRequest, tag: Option<&EntityTag>) -> bool {
    match (IfNoneMatch::parse(request), tag) {
        (Ok(IfNoneMatch::Any), _) => true,
        (Ok(IfNoneMatch::Items(known)), Some(tag)) => known.iter().any(|other| other.weak_eq(tag)),
        _ => false,
    }
}

/// Returns the one range that is wanted. Several ranges, other units and what cannot be parsed are answered with the
/// whole object, as RFC 9110 §14.2 allows.
pub(crate) fn wanted_range(
    request: &HttpRequest,
    tag: Option<&EntityTag>,
    size: u64,
) -> Result<Option<Range<u64>>, Problem> {
    let Ok(RangeHeader::Bytes(specs)) = RangeHeader::parse(request) else { return Ok(None) };
    let is_same = match IfRange::parse(request) {
        Ok(IfRange::EntityTag(wanted)) => tag.is_some_and(|tag| tag.strong_eq(&wanted)),
        // To the second, a date cannot tell two versions apart (RFC 9110 §8.8.2.2).
        Ok(IfRange::Date(_)) => false,
        Err(_) => true,
    };
    if !is_same {
        return Ok(None);
    }
    let [spec] = specs.as_slice() else { return Ok(None) };
    let (first, last) = spec.to_satisfiable_range(size).ok_or_else(|| Problem::range_not_satisfiable(size))?;
    Ok(Some(first..last + 1))
}

/// Waits for the store, but not for ever: its own time-outs are made for large uploads.
async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match tokio::time::timeout(STORE_PATIENCE, answer).await {
        Ok(answer) => answer.map_err(store_problem),
        Err(_) => {
            warn!(patience_s = STORE_PATIENCE.as_secs(), "the store does not answer");
            Err(Problem::storage_error())
        }
    }
}

pub(crate) fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::NotFound { .. } => Problem::object_not_found(),
        StoreError::Range { size, .. } => Problem::range_not_satisfiable(size),
        other => {
            let cause = std::error::Error::source(&other).map(ToString::to_string);
            warn!(error = %other, cause, "the store failed");
            Problem::storage_error()
        }
    }
}
