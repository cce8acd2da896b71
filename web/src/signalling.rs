//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): the same protocol with the media flowing the other way.

use std::time::{Duration, Instant, SystemTime};

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use onair_actors::core::offer::{IceFragment, Offer, OfferError, Role};
use onair_actors::patch::{Patch, PatchError, Patched};
use onair_actors::room::{AdmitError, Admitted, DeleteSession, PatchSession, Publish, Subscribe};
use onair_actors::room_manager::RoomHandle;
use onair_actors::session_id::SessionId;
use onair_media::RoomName;
use serde::Deserialize;

use crate::auth::Right;
use crate::guard::{authorize, room_name};
use crate::problem::{ACCEPT_PATCH, ACCEPT_POST, Problem};
use crate::state::{AppState, CAMERA_WITHIN, ask, ask_or};

/// An offer of a browser with all its codecs is some 10 KiB.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// The longest a viewer may wait for a publisher.
const WAIT_MAX: Duration = Duration::from_secs(300);

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ENDPOINT_METHODS: &str = "POST, OPTIONS, GET, HEAD";
const SESSION_METHODS: &str = "PATCH, DELETE, OPTIONS, GET, HEAD";

/// What a POST may add to its URL. Unknown parameters do no harm.
#[derive(Debug, Deserialize)]
struct PostQuery {
    takeover: Option<String>,
    wait: Option<String>,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for (role, prefix) in [(Role::Publisher, "/whip"), (Role::Viewer, "/whep")] {
        let endpoint = web::resource(format!("{prefix}/{{room}}"))
            .route(web::post().to(move |request, state, body| post(role, request, state, body)))
            .route(web::method(Method::OPTIONS).to(move |request, state| endpoint_options(role, request, state)))
            .route(web::get().to(reserved))
            .route(web::head().to(reserved))
            .default_service(web::to(async || Problem::method_not_allowed(ENDPOINT_METHODS)));
        let session = web::resource(format!("{prefix}/{{room}}/{{session}}"))
            .route(web::patch().to(move |request, state, body| patch(role, request, state, body)))
            .route(web::delete().to(move |request, state| delete(role, request, state)))
            .route(web::method(Method::OPTIONS).to(session_options))
            .route(web::get().to(reserved))
            .route(web::head().to(reserved))
            .default_service(web::to(async || Problem::method_not_allowed(SESSION_METHODS)));
        config.service(endpoint).service(session);
    }
}

/// Answers an offer (RFC 9725 §4.2).
async fn post(
    role: Role,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let room = room_name(request.match_info().query("room"))?;
    authorize(&request, &state, right(role), Some(&room))?;
    let query = web::Query::<PostQuery>::from_query(request.query_string());
    let query = query.map_err(|error| Problem::invalid_request(error.to_string()))?;
    if !has_content_type(request.headers(), SDP) {
        return Err(Problem::unsupported_media_type(SDP));
    }
    let offer = Offer::parse(&text(body).await?, role).map_err(offer_problem)?;
    let admitted = match role {
        Role::Publisher => publish(&request, &query, &state, &room, offer).await?,
        Role::Viewer => subscribe(&query, &state, &room, offer).await?,
    };
    Ok(created(&request, &state, admitted))
}

async fn publish(
    request: &HttpRequest,
    query: &PostQuery,
    state: &AppState,
    room: &RoomName,
    offer: Offer,
) -> Result<Admitted, Problem> {
    let takeover = query.takeover.as_deref().is_some_and(|value| !matches!(value, "0" | "false"));
    if takeover {
        authorize(request, state, Right::Takeover, Some(room))?;
    }
    let RoomHandle { addr, lease } = state.room_or_new(room).await?;
    ask(&addr, Publish { offer, takeover, lease }).await?.map_err(|error| admit_problem(error, room))
}

async fn subscribe(query: &PostQuery, state: &AppState, room: &RoomName, offer: Offer) -> Result<Admitted, Problem> {
    let comes = state.on_demand.want(room, Instant::now());
    let wait = match &query.wait {
        Some(seconds) => Some(parse_wait(seconds)?),
        None => comes.then_some(CAMERA_WITHIN),
    };
    let RoomHandle { addr, lease } = match wait {
        Some(_) => state.room_or_new(room).await?,
        None => state.room(room).await.map_err(|problem| not_live(problem, room))?,
    };
    ask(&addr, Subscribe { offer, wait, lease }).await?.map_err(|error| admit_problem(error, room))
}

fn parse_wait(seconds: &str) -> Result<Duration, Problem> {
    let seconds: u64 = seconds.parse().map_err(|_| Problem::invalid_request("wait is a whole number of seconds"))?;
    Ok(Duration::from_secs(seconds).min(WAIT_MAX))
}

/// To a viewer, a room that does not exist is one that is not live.
fn not_live(problem: Problem, room: &RoomName) -> Problem {
    if problem.code() == "room_not_found" { Problem::room_not_live(room) } else { problem }
}

fn created(request: &HttpRequest, state: &AppState, admitted: Admitted) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response
        .insert_header((LOCATION, format!("{}/{}", request.path().trim_end_matches('/'), admitted.session)))
        .insert_header((ETAG, admitted.etag.as_str()))
        .insert_header((ACCEPT_PATCH, SDP_FRAGMENT))
        .content_type(SDP);
    add_ice_servers(&mut response, state);
    response.body(admitted.answer)
}

fn add_ice_servers(response: &mut HttpResponseBuilder, state: &AppState) {
    for link in state.ice_servers.iter().flat_map(|server| server.links(SystemTime::now())) {
        response.append_header((LINK, link));
    }
}

/// Trickles candidates or restarts ICE (RFC 9725 §4.4).
async fn patch(
    role: Role,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (room, session) = named_session(role, &request, &state).await?;
    if !has_content_type(request.headers(), SDP_FRAGMENT) {
        return Err(Problem::unsupported_patch_type(SDP_FRAGMENT));
    }
    let if_match = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fragment = IceFragment::parse(&text(body).await?).map_err(offer_problem)?;
    let patch = PatchSession { session, role, patch: Patch { fragment, if_match } };
    match ask_or(&room.addr, patch, Problem::session_not_found).await? {
        Ok(Patched::Trickled) => Ok(HttpResponse::NoContent().finish()),
        Ok(Patched::Restarted { fragment, etag }) => {
            Ok(HttpResponse::Ok().insert_header((ETAG, etag.as_str())).content_type(SDP_FRAGMENT).body(fragment))
        }
        Err(PatchError::NoSession) => Err(Problem::session_not_found()),
        Err(PatchError::TagMissing) => Err(Problem::precondition_required()),
        Err(PatchError::TagMismatch { current }) => Err(Problem::precondition_failed(current.as_str())),
        Err(PatchError::Offer(error)) => Err(offer_problem(error)),
    }
}

/// Ends a session (RFC 9725 §4.2). The tag is ignored.
async fn delete(role: Role, request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let (room, id) = named_session(role, &request, &state).await?;
    match ask_or(&room.addr, DeleteSession(id, role), Problem::session_not_found).await? {
        true => Ok(HttpResponse::Ok().finish()),
        false => Err(Problem::session_not_found()),
    }
}

/// Parses and authorises the path of a session.
async fn named_session(
    role: Role,
    request: &HttpRequest,
    state: &AppState,
) -> Result<(RoomHandle, SessionId), Problem> {
    let room = room_name(request.match_info().query("room"))?;
    authorize(request, state, right(role), Some(&room))?;
    let id = SessionId::parse(request.match_info().query("session")).ok_or_else(Problem::session_not_found)?;
    let handle = state.room(&room).await.map_err(|problem| match problem.code() {
        "room_not_found" => Problem::session_not_found(),
        _ => problem,
    })?;
    Ok((handle, id))
}

/// Names the ICE servers to those who may use them: a preflight carries no token (W9).
async fn endpoint_options(role: Role, request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    let mut response = options(ACCEPT_POST, SDP, ENDPOINT_METHODS);
    let room = room_name(request.match_info().query("room"));
    if room.is_ok_and(|room| authorize(&request, &state, right(role), Some(&room)).is_ok()) {
        add_ice_servers(&mut response, &state);
    }
    response.finish()
}

async fn session_options() -> HttpResponse {
    options(ACCEPT_PATCH, SDP_FRAGMENT, SESSION_METHODS).finish()
}

fn options(accepts: HeaderName, media_type: &'static str, methods: &'static str) -> HttpResponseBuilder {
    let mut response = HttpResponse::NoContent();
    response.insert_header((accepts, media_type)).insert_header((ALLOW, methods));
    response
}

/// GET and HEAD are reserved for later and answer with nothing (RFC 9725 §4.1).
async fn reserved() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

const fn right(role: Role) -> Right {
    match role {
        Role::Publisher => Right::Publish,
        Role::Viewer => Right::View,
    }
}

fn has_content_type(headers: &HeaderMap, expected: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected)
}

/// Reads a body of text, bounded.
async fn text(body: web::Payload) -> Result<String, Problem> {
    let bytes = body.to_bytes_limited(BODY_MAX_BYTES).await.map_err(|_| Problem::body_too_large(BODY_MAX_BYTES))?;
    let bytes = bytes.map_err(|_| Problem::invalid_request("the body ended early"))?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::malformed_sdp("it is not UTF-8"))
}

fn offer_problem(error: OfferError) -> Problem {
    match error {
        OfferError::Malformed(why) => Problem::malformed_sdp(why),
        OfferError::NotAcceptable(why) => Problem::not_acceptable(why),
    }
}

fn admit_problem(error: AdmitError, room: &RoomName) -> Problem {
    match error {
        AdmitError::HasPublisher => Problem::room_has_publisher(room),
        AdmitError::NotLive => Problem::room_not_live(room),
        AdmitError::Offer(error) => offer_problem(error),
        AdmitError::RoomFull => Problem::overloaded("this room has as many viewers as it may"),
        AdmitError::Busy => {
            Problem::overloaded("this server has as many viewers as it can serve well; try again later")
        }
        AdmitError::Full => Problem::overloaded("all seats of this server are taken"),
        AdmitError::ShuttingDown => Problem::shutting_down(),
    }
}
