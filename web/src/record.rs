//! `/api/rooms/{room}/recording`: recordings started and ended by hand.

use actix::prelude::Addr;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use onair_actors::packager::{EndRecording, Packager, RecordingRefusal, RecordingState, StartRecording, Started};
use onair_actors::room::FindPackager;
use onair_actors::room_manager::RoomHandle;
use onair_media::RoomName;

use crate::auth::Right;
use crate::guard::{authorize, refuse_foreign_pages, room_name};
use crate::problem::Problem;
use crate::state::{AppState, ask, ask_or};

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/api/rooms/{room}/recording")
            .route(web::post().to(start))
            .route(web::delete().to(end))
            .default_service(web::to(async || Problem::method_not_allowed("POST, DELETE"))),
    );
}

/// Has the broadcast of a room recorded.
async fn start(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = permitted(&request, &path, &state)?;
    let (_lease, packager) = broadcast(&room, &state).await?;
    let started = ask_or(&packager, StartRecording, || Problem::room_not_live(&room)).await?;
    let Started { status, is_new } = started.map_err(|refusal| problem(refusal, &room))?;
    let mut response = match status.state {
        RecordingState::Starting => HttpResponse::Accepted(),
        _ if is_new => HttpResponse::Created(),
        _ => HttpResponse::Ok(),
    };
    if let Some(recording) = status.recording.as_deref().filter(|_| status.state == RecordingState::Recording) {
        response.insert_header((LOCATION, format!("/api/recordings/{room}/{recording}")));
    }
    Ok(response.json(status))
}

/// Ends the recording of a room's broadcast, which goes on without one.
async fn end(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = permitted(&request, &path, &state)?;
    let (_lease, packager) = broadcast(&room, &state).await?;
    let ended = ask_or(&packager, EndRecording, || Problem::room_not_live(&room)).await?;
    Ok(HttpResponse::Accepted().json(ended.map_err(|refusal| problem(refusal, &room))?))
}

fn permitted(request: &HttpRequest, path: &str, state: &AppState) -> Result<RoomName, Problem> {
    let room = room_name(path)?;
    authorize(request, state, Right::Record, Some(&room))?;
    refuse_foreign_pages(request, state)?;
    Ok(room)
}

/// Finds the packager of a room's broadcast, and keeps the room meanwhile.
async fn broadcast(room: &RoomName, state: &AppState) -> Result<(RoomHandle, Addr<Packager>), Problem> {
    let handle = state.room(room).await?;
    let packager = ask(&handle.addr, FindPackager).await?.ok_or_else(|| Problem::room_not_live(room))?;
    Ok((handle, packager))
}

fn problem(refusal: RecordingRefusal, room: &RoomName) -> Problem {
    match refusal {
        RecordingRefusal::NotLive => Problem::room_not_live(room),
        RecordingRefusal::NotRecording => Problem::not_recording(room),
        RecordingRefusal::Unavailable(reason) => Problem::recording_unavailable(reason),
        RecordingRefusal::NoRoom(reason) => Problem::recording_refused(reason),
    }
}
