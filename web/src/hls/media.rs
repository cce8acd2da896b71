//! Initialisation segments, segments and parts; of the next part the request, before it is there.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse};
use onair_actors::live_window::{LiveWindow, LiveWindows};
use onair_media::MediaKind;
use onair_recorder::window::MediaName;

use super::caching::Caching;
use super::waiting::version_when;
use crate::problem::Problem;

/// Answers with an object. Not a byte of a part leaves before the part is whole (L8).
pub(super) async fn get(
    request: &HttpRequest,
    windows: &LiveWindows,
    window: Arc<LiveWindow>,
    kind: MediaKind,
    name: MediaName,
) -> Result<HttpResponse, Problem> {
    // First what comes next and then what is there: a part that comes in between is not missed.
    if let MediaName::Part(msn, part) = name {
        let hinted = Some((msn, part));
        if window.version(kind).is_some_and(|version| version.progress.hinted() == hinted) {
            version_when(request, windows, &window, kind, |version| version.progress.hinted() != hinted).await?;
        }
    }
    let caching = Caching::media(window.target_duration());
    let object = window.object(kind, name);
    let bytes = object.ok_or_else(|| Problem::object_not_found().cached_for(caching.missing))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, format!("max-age={}, immutable", caching.found.as_secs())));
    Ok(response.content_type(format!("{}/mp4", kind.as_str())).body(bytes))
}
