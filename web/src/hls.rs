//! `/hls/{room}/…`: the live playlists, segments and parts.
//!
//! `index.m3u8` leads to paths that hold the id of the broadcast, so that whatever lies below may be cached for ever:
//! the next broadcast of the room has other paths. Nothing here asks an actor but where there is nothing to serve.

mod caching;
mod media;
mod playlist;
mod waiting;

use std::time::Instant;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use onair_media::{MediaKind, RecordingId, RoomName};
use onair_recorder::window::MediaName;

use crate::guard::{Admission, admit, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::AppState;

pub(crate) const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";

/// Names an object of the live HLS tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HlsPath {
    /// `index.m3u8`
    Multivariant,
    /// `{broadcast}/video/index.m3u8`
    Playlist(RecordingId, MediaKind),
    /// `{broadcast}/video/000001.m4s`
    Media(RecordingId, MediaKind, MediaName),
}

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
    let mut response = match HlsPath::parse(&object).ok_or_else(Problem::object_not_found)? {
        HlsPath::Multivariant => multivariant(&request, &state, &room, admission).await?,
        HlsPath::Playlist(broadcast, kind) => match state.live.find(&room, &broadcast) {
            Some(window) => {
                state.on_demand.want(&room, Instant::now());
                playlist::get(&request, &state.live, window, kind).await?
            }
            None => recorded(&request, &admission),
        },
        HlsPath::Media(broadcast, kind, name) => match (state.live.find(&room, &broadcast), name) {
            (Some(window), _) => media::get(&request, &state.live, window, kind, name).await?,
            // Of a recording there are whole segments only.
            (None, MediaName::Part(..)) => return Err(Problem::object_not_found()),
            (None, MediaName::Init(_) | MediaName::Segment(_)) => recorded(&request, &admission),
        },
    };
    if !state.policy.is_open() {
        keep_private(response.headers_mut());
    }
    Ok(response)
}

/// Leads players of a broadcast that is over to its recording, which has the same names below the same id, if there is one.
fn recorded(request: &HttpRequest, admission: &Admission) -> HttpResponse {
    let path = request.path().replacen("/hls/", "/recordings/", 1);
    let location = match admission.ticket() {
        Some(ticket) => format!("{path}?ticket={ticket}"),
        None => path,
    };
    HttpResponse::TemporaryRedirect()
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .finish()
}

/// What a token or a cookie opened must not lie in a cache where it opens to everybody.
fn keep_private(headers: &mut HeaderMap) {
    let rules = headers.get(CACHE_CONTROL).and_then(|rules| rules.to_str().ok()).unwrap_or("no-cache");
    let rules = HeaderValue::try_from(format!("private, {rules}")).expect("one more word of ASCII");
    headers.insert(CACHE_CONTROL, rules);
}

async fn multivariant(
    request: &HttpRequest,
    state: &AppState,
    room: &RoomName,
    admission: Admission,
) -> Result<HttpResponse, Problem> {
    let Some(playlist) = state.multivariant(room).await else {
        // Only the manager knows rooms that have no broadcast.
        state.room(room).await?;
        return Err(Problem::hls_not_ready(room));
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-cache")).content_type(PLAYLIST_TYPE);
    admission.keep(request, format!("/hls/{room}"), &mut response);
    Ok(response.body(playlist))
}

impl HlsPath {
    fn parse(object: &str) -> Option<Self> {
        let segments: Vec<_> = object.split('/').collect();
        match segments.as_slice() {
            ["index.m3u8"] => Some(Self::Multivariant),
            [broadcast, kind, name] => {
                let broadcast = RecordingId::parse(broadcast).ok()?;
                let kind = [MediaKind::Video, MediaKind::Audio].into_iter().find(|other| other.as_str() == *kind)?;
                Some(match *name {
                    "index.m3u8" => Self::Playlist(broadcast, kind),
                    name => Self::Media(broadcast, kind, MediaName::parse(name)?),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_objects_have_a_path() {
        let id = "20261122T063000Z-7f3a9c";
        let parse = HlsPath::parse;
        assert_eq!(parse("index.m3u8"), Some(HlsPath::Multivariant));
        let broadcast = RecordingId::parse(id).unwrap();
        let playlist = HlsPath::Playlist(broadcast.clone(), MediaKind::Audio);
        assert_eq!(parse(&format!("{id}/audio/index.m3u8")), Some(playlist));
        let part = HlsPath::Media(broadcast, MediaKind::Video, MediaName::Part(12, 3));
        assert_eq!(parse(&format!("{id}/video/000012.3.m4s")), Some(part));
        for bad in
            ["", "x", "video/index.m3u8", &format!("{id}/text/index.m3u8"), &format!("{id}/video/a/b"), "../index.m3u8"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for bad in ["", "x.m4s", "1.m4s", "..", "000001.m4s "] {
            assert_eq!(parse(&format!("{id}/video/{bad}")), None, "{bad}");
        }
    }
}
