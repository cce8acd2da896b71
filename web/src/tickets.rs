//! `/api/rooms/{room}/ticket`: turns a bearer token into something that fits into a URL, for a while.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::auth::Right;
use crate::guard::{authorize, now_s, room_name};
use crate::problem::Problem;
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Ticket {
    ticket: String,
    /// RFC 3339.
    expires: String,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/api/rooms/{room}/ticket")
            .route(web::post().to(issue))
            .default_service(web::to(async || Problem::method_not_allowed("POST"))),
    );
}

/// Issues a ticket to whoever may view the room, there already or not.
async fn issue(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    authorize(&request, &state, Right::View, Some(&room))?;
    let (ticket, end_s) = state.tickets.issue(&room, now_s());
    let end = i64::try_from(end_s).ok().and_then(|end_s| DateTime::from_timestamp(end_s, 0));
    let expires = end.unwrap_or(DateTime::<Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Ticket { ticket, expires }))
}
