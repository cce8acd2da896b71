//! What a request claims to be, checked once: the room of its path and the right of its token.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, ORIGIN};
use onair_media::{RecordingId, RoomName};

use crate::auth::{Denied, Policy, Right, bearer_token};
use crate::problem::Problem;
use crate::state::AppState;

/// Parses the room of a path.
pub(crate) fn room_name(segment: &str) -> Result<RoomName, Problem> {
    RoomName::parse(segment).map_err(|_| Problem::invalid_room_name())
}

/// Parses the recording of a path; what cannot be one is not found.
pub(crate) fn recording_id(segment: &str) -> Result<RecordingId, Problem> {
    RecordingId::parse(segment).map_err(|_| Problem::recording_not_found())
}

/// Returns the token that the request brings.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(bearer_token)
}

/// Tells whether the request has a right, in a room or on the whole server.
pub(crate) fn authorize(
    request: &HttpRequest,
    state: &AppState,
    right: Right,
    room: Option<&RoomName>,
) -> Result<(), Problem> {
    state.policy.check(bearer(request), right, room).map_err(|denied| match denied {
        Denied::TokenRequired => Problem::token_required(),
        Denied::TokenUnknown => Problem::token_unknown(),
        Denied::Forbidden => Problem::forbidden(),
    })
}

/// Refuses what changes something at the wish of another site's page, where no token stands in its way: whoever runs a
/// server without tokens on his own machine may visit any site.
pub(crate) fn refuse_foreign_pages(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let host = request.connection_info().host().to_owned();
    let is_ours = origin.to_str().is_ok_and(|origin| origin.split("://").nth(1) == Some(host.as_str()));
    match state.policy {
        Policy::Open if !is_ours => {
            Err(Problem::forbidden().because("pages of other sites may not change anything here"))
        }
        _ => Ok(()),
    }
}
