//! `/hls/{room}/…`: the live playlists and segments.
//!
//! `index.m3u8` leads to paths that hold the id of the broadcast, so that whatever lies below may be cached for ever:
//! the next broadcast of the room has other paths.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::http::header::{CACHE_CONTROL, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use onair_actors::packager::{GetHls, HlsObject};
use onair_actors::room::FindPackager;
use onair_media::{MediaKind, RecordingId, RoomName};

use crate::guard::{admit, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::{AppState, ask, ask_or};

pub(crate) const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(readable("/hls/{room}/{object:.*}").route(web::get().to(get)).route(web::head().to(get)));
}

async fn get(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (room, object) = path.into_inner();
    let room = room_name(&room)?;
    let admission = admit(&request, &state, &room)?;
    let object = parse(&object).ok_or_else(Problem::object_not_found)?;
    let mut response = HttpResponse::Ok();
    match &object {
        HlsObject::Multivariant | HlsObject::Playlist(..) => {
            response.insert_header((CACHE_CONTROL, "no-cache")).content_type(PLAYLIST_TYPE);
        }
        HlsObject::Media(_, kind, _) => {
            let caching =
                if state.policy.is_open() { "max-age=3600, immutable" } else { "private, max-age=3600, immutable" };
            response.insert_header((CACHE_CONTROL, caching)).content_type(format!("{}/mp4", kind.as_str()));
        }
    }
    if !matches!(object, HlsObject::Media(..)) {
        admission.keep(&request, format!("/hls/{room}"), &mut response);
    }
    let bytes = fetch(&state, &room, GetHls { object, viewer: viewer(&request) }).await?;
    Ok(response.body(bytes))
}

async fn fetch(state: &AppState, room: &RoomName, get: GetHls) -> Result<bytes::Bytes, Problem> {
    let is_entry = get.object == HlsObject::Multivariant;
    let missing = || if is_entry { Problem::hls_not_ready(room) } else { Problem::object_not_found() };
    let handle =
        state.room(room).await.map_err(|problem| if is_entry { problem } else { Problem::object_not_found() })?;
    let packager = ask(&handle.addr, FindPackager).await?.ok_or_else(missing)?;
    ask_or(&packager, get, missing).await?.ok_or_else(missing)
}

/// Parses `index.m3u8`, `{broadcast}/video/index.m3u8` or `{broadcast}/video/000001.m4s`.
fn parse(object: &str) -> Option<HlsObject> {
    let segments: Vec<_> = object.split('/').collect();
    match segments.as_slice() {
        ["index.m3u8"] => Some(HlsObject::Multivariant),
        [broadcast, kind, name] => {
            let broadcast = RecordingId::parse(broadcast).ok()?;
            let kind = [MediaKind::Video, MediaKind::Audio].into_iter().find(|other| other.as_str() == *kind)?;
            Some(match *name {
                "index.m3u8" => HlsObject::Playlist(broadcast, kind),
                name => HlsObject::Media(broadcast, kind, name.into()),
            })
        }
        _ => None,
    }
}

/// Tells players apart well enough to count them; nothing about them is kept but this number.
fn viewer(request: &HttpRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.peer_addr().map(|address| address.ip()).hash(&mut hasher);
    request.headers().get(USER_AGENT).map(|value| value.as_bytes()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_objects_have_a_path() {
        let id = "20261122T063000Z-7f3a9c";
        assert_eq!(parse("index.m3u8"), Some(HlsObject::Multivariant));
        let broadcast = RecordingId::parse(id).unwrap();
        assert_eq!(parse(&format!("{id}/audio/index.m3u8")), Some(HlsObject::Playlist(broadcast, MediaKind::Audio)));
        for bad in
            ["", "x", "video/index.m3u8", &format!("{id}/text/index.m3u8"), &format!("{id}/video/a/b"), "../index.m3u8"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
