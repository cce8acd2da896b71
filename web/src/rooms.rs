//! `/api/rooms`: what is on air, for pages and scripts.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{self, StreamExt};
use onair_actors::observe::Observe;
use onair_actors::room::{Describe, RoomDescription};
use onair_actors::room_manager::List;
use serde::Serialize;

use crate::auth::Right;
use crate::guard::{authorize, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::{AppState, ask};

/// How many rooms are asked at a time for a list.
const ASKED_AT_ONCE: usize = 64;

#[derive(Debug, Serialize)]
struct Rooms {
    rooms: Vec<RoomDescription>,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(readable("/api/rooms").route(web::get().to(list)))
        .service(readable("/api/rooms/{room}").route(web::get().to(describe)));
}

/// Lists the rooms that the token may view.
async fn list(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let mut rooms = describe_all(&state).await?;
    rooms.retain(|room| authorize(&request, &state, Right::View, Some(&room.room)).is_ok());
    if rooms.is_empty() {
        // Tells a page to ask for a token, where no token at all was brought.
        authorize(&request, &state, Right::View, None).or_else(|problem| match problem.status().as_u16() {
            401 => Err(problem),
            _ => Ok(()),
        })?;
    }
    Ok(HttpResponse::Ok().json(Rooms { rooms }))
}

/// Describes every room; one that ended meanwhile is left out.
pub(crate) async fn describe_all(state: &AppState) -> Result<Vec<RoomDescription>, Problem> {
    let handles = ask(&state.rooms, List).await?;
    let described = stream::iter(handles).map(async |handle| ask(&handle.addr, Describe { with_actors: false }).await);
    let described: Vec<_> = described.buffered(ASKED_AT_ONCE).collect().await;
    Ok(described.into_iter().filter_map(Result::ok).collect())
}

/// Describes one room, its actors included.
async fn describe(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    authorize(&request, &state, Right::View, Some(&room))?;
    let handle = state.room(&room).await?;
    let mut description = ask(&handle.addr, Describe { with_actors: true }).await?;
    if let Some(actors) = &mut description.actors {
        actors["room_manager"] = ask(&state.rooms, Observe).await?;
        // Where an operator's programs listen is no business of viewers.
        if authorize(&request, &state, Right::Admin, None).is_err() {
            actors["webhooks"].take();
        }
    }
    Ok(HttpResponse::Ok().json(description))
}
