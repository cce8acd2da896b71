//! Media playlists: now or when they have come as far as the player wants, whole or without what it has.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, ContentEncoding, ETAG, Encoding, EntityTag,
    Header, IfNoneMatch, USER_AGENT, VARY,
};
use actix_web::{HttpRequest, HttpResponse};
use onair_actors::live_window::{Coding, LiveWindow, LiveWindows, Version};
use onair_media::MediaKind;
use onair_recorder::window::{Decision, Directives, Until};

use super::PLAYLIST_TYPE;
use super::caching::Caching;
use super::waiting::version_when;
use crate::problem::Problem;

/// Answers with a media playlist (RFC 8216bis §6.2.5).
pub(super) async fn get(
    request: &HttpRequest,
    windows: &LiveWindows,
    window: Arc<LiveWindow>,
    kind: MediaKind,
) -> Result<HttpResponse, Problem> {
    let directives = Directives::parse(request.query_string());
    let Directives { until, skip } = directives.map_err(|error| Problem::invalid_request(error.to_string()))?;
    window.seen(viewer(request), Instant::now());
    let target_duration = window.target_duration();
    let caching = match until {
        Some(_) => Caching::blocking_playlist(target_duration),
        None => Caching::playlist(target_duration),
    };
    let newest = window.version(kind).ok_or_else(|| Problem::object_not_found().cached_for(caching.missing))?;
    let version = match newest.progress.decide(until) {
        Decision::Now => newest,
        Decision::Wait => version_when(request, windows, &window, kind, |version| has(version, until)).await?,
        Decision::TooFar => return Err(Problem::invalid_request("the playlist is not nearly as far as that")),
    };
    Ok(answer(request, &version, skip, caching))
}

fn has(version: &Version, until: Option<Until>) -> bool {
    version.progress.decide(until) == Decision::Now
}

fn answer(request: &HttpRequest, version: &Version, skip: bool, caching: Caching) -> HttpResponse {
    let delta = version.delta().filter(|_| skip);
    let coding = coding(request);
    let etag = etag(version.number, delta.is_some(), coding);
    let is_known = knows(request, &etag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((CACHE_CONTROL, format!("max-age={}", caching.found.as_secs())));
    response.insert_header((VARY, ACCEPT_ENCODING.as_str())).insert_header((ETAG, etag.to_string()));
    if is_known {
        return response.finish();
    }
    match coding {
        Coding::Identity => {}
        Coding::Gzip => drop(response.insert_header((CONTENT_ENCODING, "gzip"))),
        Coding::Brotli => drop(response.insert_header((CONTENT_ENCODING, "br"))),
    }
    response.content_type(PLAYLIST_TYPE).body(delta.unwrap_or_else(|| version.full()).bytes(coding))
}

/// Chooses what the client likes best of what there is.
fn coding(request: &HttpRequest) -> Coding {
    let codings = [
        (Encoding::identity(), Coding::Identity),
        (Encoding::brotli(), Coding::Brotli),
        (Encoding::Known(ContentEncoding::Gzip), Coding::Gzip),
    ];
    let accepted = AcceptEncoding::parse(request).ok();
    let chosen = accepted.and_then(|accepted| accepted.negotiate(codings.iter().map(|(encoding, _)| encoding)));
    codings.into_iter().find(|(encoding, _)| Some(encoding) == chosen.as_ref()).map_or(Coding::Identity, |it| it.1)
}

/// Names a state of a playlist as it travels: two codings are two representations (RFC 9110 §8.8.3.3).
fn etag(number: u64, is_delta: bool, coding: Coding) -> EntityTag {
    let delta = if is_delta { "-delta" } else { "" };
    let coding = match coding {
        Coding::Identity => "",
        Coding::Gzip => "-gzip",
        Coding::Brotli => "-br",
    };
    EntityTag::new_strong(format!("{number}{delta}{coding}"))
}

/// Tells whether the client has that state already.
fn knows(request: &HttpRequest, etag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(etag)),
        Ok(IfNoneMatch::Any) => true,
        Err(_) => false,
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
    use actix_web::http::header::IF_NONE_MATCH;
    use actix_web::test::TestRequest;

    use super::*;

    fn accepting(header: &str) -> HttpRequest {
        TestRequest::default().insert_header((ACCEPT_ENCODING, header)).to_http_request()
    }

    #[test]
    fn the_client_chooses_the_coding() {
        assert_eq!(coding(&TestRequest::default().to_http_request()), Coding::Identity);
        for (header, expected) in [
            ("gzip", Coding::Gzip),
            ("br, gzip", Coding::Brotli),
            ("gzip, deflate, br, zstd", Coding::Brotli),
            ("br;q=0.5, gzip;q=0.9", Coding::Gzip),
            ("gzip;q=0, br;q=0", Coding::Identity),
            ("deflate", Coding::Identity),
            ("*", Coding::Identity),
            (";;,=", Coding::Identity),
        ] {
            assert_eq!(coding(&accepting(header)), expected, "{header}");
        }
    }

    #[test]
    fn a_state_has_a_name_in_each_form() {
        let names = [etag(7, false, Coding::Identity), etag(7, true, Coding::Identity), etag(7, true, Coding::Gzip)];
        assert_eq!(names.map(|name| name.to_string()), ["\"7\"", "\"7-delta\"", "\"7-delta-gzip\""]);
        let request = |known: &str| TestRequest::default().insert_header((IF_NONE_MATCH, known)).to_http_request();
        let etag = etag(7, false, Coding::Identity);
        assert!(knows(&request("\"7\""), &etag) && knows(&request("\"6\", W/\"7\""), &etag));
        assert!(!knows(&request("\"7-gzip\""), &etag) && !knows(&request("x"), &etag));
        assert!(!knows(&TestRequest::default().to_http_request(), &etag));
    }
}
