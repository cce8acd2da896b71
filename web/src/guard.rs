//! What a request claims to be, checked once: the room of its path and the right of its token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{AUTHORIZATION, ORIGIN};
use actix_web::{HttpRequest, HttpResponseBuilder};
use onair_media::{RecordingId, RoomName};

use crate::auth::{Denied, Right, bearer_token};
use crate::problem::Problem;
use crate::state::AppState;

/// Where a player keeps the ticket that its playlist was fetched with.
const TICKET_COOKIE: &str = "onair_ticket";

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
    state.policy.check(bearer(request), right, room).map_err(Problem::from)
}

/// Tells whether the request may look at what a room shows and stored: by its token, or by a ticket where players send no
/// headers. A ticket comes in the query, or in the cookie that [`Admission::keep`] left.
pub(crate) fn admit(request: &HttpRequest, state: &AppState, room: &RoomName) -> Result<Admission, Problem> {
    let denied = match state.policy.check(bearer(request), Right::View, Some(room)) {
        Ok(()) => return Ok(Admission::Permitted),
        Err(denied) => denied,
    };
    let cookie = request.cookie(TICKET_COOKIE);
    let (in_query, in_cookie) = (ticket_of(request.query_string()), cookie.as_ref().map(Cookie::value));
    // A cookie may be an old one, and is there although nobody wrote it into this request.
    let check = |ticket: &str| {
        let left = state.tickets.check(ticket, room, now_s())?;
        Some(Admission::Ticket { ticket: ticket.into(), left, is_kept: in_query.is_none() })
    };
    match in_query {
        Some(ticket) => check(ticket).ok_or_else(|| Denied::TicketInvalid.into()),
        None => in_cookie.and_then(check).ok_or_else(|| denied.into()),
    }
}

/// By what a request was let in.
#[derive(Debug)]
pub(crate) enum Admission {
    /// By a token, or because everybody is.
    Permitted,
    /// By a ticket.
    Ticket {
        ticket: String,
        /// How long it is still good for.
        left: Duration,
        /// Whether the player keeps it in a cookie already.
        is_kept: bool,
    },
}

impl Admission {
    /// Returns the ticket, for a request that goes on elsewhere.
    pub(crate) fn ticket(&self) -> Option<&str> {
        match self {
            Self::Permitted => None,
            Self::Ticket { ticket, .. } => Some(ticket),
        }
    }

    /// Has a player that came with a ticket show it for all that a playlist leads to, which is below `path`.
    pub(crate) fn keep(self, request: &HttpRequest, path: String, response: &mut HttpResponseBuilder) {
        let Self::Ticket { ticket, left, is_kept: false } = self else { return };
        let is_secure = request.connection_info().scheme() == "https";
        // Only over TLS do browsers let pages of other sites have it (RFC 6265bis §4.1.2.7).
        let same_site = if is_secure { SameSite::None } else { SameSite::Lax };
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build(TICKET_COOKIE, ticket).path(path).http_only(true).secure(is_secure);
        response.cookie(cookie.same_site(same_site).max_age(CookieDuration::seconds(seconds)).finish());
    }
}

/// Returns the time of day in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Finds `ticket=` in a query; tickets have no character that would have to be escaped.
fn ticket_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("ticket="))
}

/// Refuses what changes something at the wish of another site's page, where no token stands in its way: whoever runs a
/// server without tokens on his own machine may visit any site.
pub(crate) fn refuse_foreign_pages(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let host = request.connection_info().host().to_owned();
    let is_ours = origin.to_str().is_ok_and(|origin| origin.split("://").nth(1) == Some(host.as_str()));
    if state.policy.is_open() && !is_ours {
        return Err(Problem::forbidden().because("pages of other sites may not change anything here"));
    }
    Ok(())
}
