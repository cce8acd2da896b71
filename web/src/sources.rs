//! `/api/sources`: the cameras that are pulled into rooms.
//!
//! Whoever may add one has the server connect to an address of his choice, so the configuration says which ones
//! (`rtsp.allow`); none unless it does.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use onair_actors::rtsp::{Camera, PullError, SourceDescription, Transport};
use onair_actors::sources::{AddSource, AddSourceError, ListSources, RemoveSource};
use serde::{Deserialize, Serialize};

use crate::auth::Right;
use crate::guard::{authorize, refuse_foreign_pages, room_name};
use crate::problem::Problem;
use crate::state::{AppState, ask};

/// A URL and a few words.
const BODY_MAX_BYTES: usize = 8 * 1024;

/// How long a host name may take to become an address.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

const JSON: &str = "application/json";

/// What a camera is described by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSource {
    room: String,
    url: String,
    #[serde(default)]
    on_demand: bool,
    #[serde(default)]
    transport: Option<String>,
}

#[derive(Debug, Serialize)]
struct SourceList {
    sources: Vec<SourceDescription>,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/api/sources")
                .route(web::get().to(list))
                .route(web::post().to(add))
                .default_service(web::to(async || Problem::method_not_allowed("GET, HEAD, POST"))),
        )
        .service(
            web::resource("/api/sources/{room}")
                .route(web::get().to(describe))
                .route(web::delete().to(remove))
                .default_service(web::to(async || Problem::method_not_allowed("GET, HEAD, DELETE"))),
        );
}

/// Lists the sources, by room.
async fn list(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    authorize(&request, &state, Right::Admin, None)?;
    let sources = ask(&state.sources, ListSources).await?;
    Ok(HttpResponse::Ok().json(SourceList { sources }))
}

/// Describes the source of a room.
async fn describe(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    authorize(&request, &state, Right::Admin, None)?;
    let sources = ask(&state.sources, ListSources).await?;
    let source = sources.into_iter().find(|source| source.room == room);
    Ok(HttpResponse::Ok().json(source.ok_or_else(|| Problem::source_not_found(&room))?))
}

/// Begins to pull a camera, until it is removed or the server ends.
async fn add(request: HttpRequest, state: web::Data<AppState>, body: web::Payload) -> Result<HttpResponse, Problem> {
    authorize(&request, &state, Right::Admin, None)?;
    refuse_foreign_pages(&request, &state)?;
    if state.camera_networks.is_empty() {
        let detail = "the API may add no source: the configuration key rtsp.allow lists no network";
        return Err(Problem::source_not_allowed(detail));
    }
    let camera = camera(&request, &state, body).await?;
    let checked = tokio::time::timeout(RESOLVE_WITHIN, camera.check()).await;
    checked.unwrap_or(Err(PullError::NoAddress)).map_err(|error| match error {
        PullError::NotAllowed(_) | PullError::OnlyTcp => Problem::source_not_allowed(error.to_string()),
        other => Problem::invalid_request(format!("url: {other}")),
    })?;
    let room = camera.room.clone();
    ask(&state.sources, AddSource(camera)).await?.map_err(|error| match error {
        AddSourceError::RoomHasSource => Problem::room_has_source(&room),
        AddSourceError::Full => Problem::overloaded(error.to_string()),
        AddSourceError::ShuttingDown => Problem::shutting_down(),
    })?;
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/api/sources/{room}"))).finish())
}

/// Ends the source of a room, and the broadcast of its camera.
async fn remove(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    authorize(&request, &state, Right::Admin, None)?;
    refuse_foreign_pages(&request, &state)?;
    match ask(&state.sources, RemoveSource(room.clone())).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::source_not_found(&room)),
    }
}

/// Reads a camera from the body of a request; what is wrong with the URL is told without it.
async fn camera(request: &HttpRequest, state: &AppState, body: web::Payload) -> Result<Camera, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JSON) {
        return Err(Problem::unsupported_media_type(JSON));
    }
    let bytes = body.to_bytes_limited(BODY_MAX_BYTES).await.map_err(|_| Problem::body_too_large(BODY_MAX_BYTES))?;
    let bytes = bytes.map_err(|_| Problem::invalid_request("the body ended early"))?;
    let new: NewSource = serde_json::from_slice(&bytes).map_err(|error| {
        // Not the error's Display: that may quote a text of the body.
        let (line, column) = (error.line(), error.column());
        let wanted = "wanted is an object with room, url and perhaps on_demand and transport";
        Problem::invalid_request(format!("{wanted}; what is there goes wrong in line {line}, column {column}"))
    })?;
    let room = room_name(&new.room)?;
    let url = new.url.parse().map_err(|error| Problem::invalid_request(format!("url {error}")))?;
    let transport = match new.transport.as_deref() {
        None | Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        Some(_) => return Err(Problem::invalid_request("transport must be \"tcp\" or \"udp\"")),
    };
    let allow = Some(state.camera_networks.clone());
    Ok(Camera { room, url, on_demand: new.on_demand, transport, allow })
}
