//! `/snapshot/{room}.jpg`: what a room shows at the moment, as a picture.

use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use onair_actors::packager::{GetStill, NoStill};
use onair_actors::pictures::Still;
use onair_actors::room::FindPackager;
use onair_media::RoomName;
use serde::Deserialize;

use crate::guard::{admit, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::{AppState, ask, ask_or};

/// How wide a snapshot may be, in pixels. Few widths, for each one is decoded anew.
const WIDTHS: [usize; 5] = [160, 320, 640, 1280, 1920];

/// The width when nothing is said.
const WIDTH_DEFAULT: usize = 1280;

/// Unknown parameters do no harm.
#[derive(Debug, Deserialize)]
struct SnapshotQuery {
    width: Option<usize>,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(readable("/snapshot/{room}.jpg").route(web::get().to(get)).route(web::head().to(get)));
}

async fn get(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    admit(&request, &state, &room)?;
    let width = width(request.query_string())?;
    let still = newest(&state, &room).await?;
    let (id, pictures) = (&still.id, &state.pictures);
    let tag = EntityTag::new_strong(format!("{}-{}-{}-{width}", id.broadcast, id.msn, id.part));
    let is_known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|other| other.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let caching = if state.policy.is_open() { "max-age=1" } else { "private, max-age=1" };
    response.insert_header((CACHE_CONTROL, caching)).insert_header((ETAG, tag.to_string()));
    if is_known {
        return Ok(response.finish());
    }
    let jpeg = pictures.snapshot(still, width).await;
    let jpeg = jpeg.map_err(|error| Problem::snapshot_unavailable(&room, &error.to_string()))?;
    Ok(response.content_type("image/jpeg").body(jpeg))
}

fn width(query: &str) -> Result<usize, Problem> {
    let query = web::Query::<SnapshotQuery>::from_query(query);
    let width = query.map_err(|error| Problem::invalid_request(error.to_string()))?.width.unwrap_or(WIDTH_DEFAULT);
    let is_offered = WIDTHS.contains(&width);
    is_offered.then_some(width).ok_or_else(|| Problem::invalid_request(format!("width must be one of {WIDTHS:?}")))
}

async fn newest(state: &AppState, room: &RoomName) -> Result<Still, Problem> {
    let handle = state.room(room).await?;
    if !state.pictures.are_wanted() {
        return Err(Problem::snapshot_unavailable(room, "record.posters is false"));
    }
    let not_live = || Problem::room_not_live(room);
    let packager = ask(&handle.addr, FindPackager).await?.ok_or_else(not_live)?;
    ask_or(&packager, GetStill, not_live).await?.map_err(|reason| match reason {
        NoStill::Ended => not_live(),
        NoStill::Unavailable(reason) => Problem::snapshot_unavailable(room, &reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_widths_are_offered() {
        assert_eq!(width("").unwrap(), 1280);
        assert_eq!(width("width=160&t=1").unwrap(), 160);
        for bad in ["width=0", "width=161", "width=-1", "width=x", "width=99999999999999999999"] {
            assert_eq!(width(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
