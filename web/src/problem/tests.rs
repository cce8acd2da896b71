//! What goes over the wire for each refusal.

use actix_web::body::MessageBody;
use onair_media::RoomName;
use serde_json::{Value, json};

use super::*;
use crate::auth::Denied;

fn room() -> RoomName {
    RoomName::parse("studio-1").unwrap()
}

fn body(problem: &Problem) -> Value {
    let bytes = problem.error_response().into_body().try_into_bytes().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn header(problem: &Problem, name: &str) -> Option<String> {
    problem.error_response().headers().get(name).map(|value| value.to_str().unwrap().into())
}

#[test]
fn the_document_has_the_members_of_rfc_9457_and_a_code() {
    let problem = Problem::room_not_live(&room());
    assert_eq!(
        body(&problem),
        json!({
            "type": "urn:onair:problem:room_not_live",
            "title": "Room is not live",
            "status": 409,
            "detail": "nobody publishes to studio-1 at the moment",
            "code": "room_not_live",
        })
    );
    assert_eq!(header(&problem, "content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(header(&problem, "cache-control").as_deref(), Some("no-store"));
}

/// The public contract: code, status, and the header that tells the client what to do next.
#[test]
fn every_case_has_its_status_and_header() {
    let cases = [
        (Problem::invalid_room_name(), 400, "invalid_room_name", None),
        (Problem::invalid_request("q"), 400, "invalid_request", None),
        (Problem::malformed_sdp("line 3"), 400, "malformed_sdp", None),
        (Problem::token_required(), 401, "token_required", Some(("www-authenticate", r#"Bearer realm="onair""#))),
        (
            Problem::token_unknown(),
            401,
            "token_unknown",
            Some(("www-authenticate", r#"Bearer realm="onair", error="invalid_token""#)),
        ),
        (
            Problem::ticket_invalid(),
            401,
            "ticket_invalid",
            Some(("www-authenticate", r#"Bearer realm="onair", error="invalid_token""#)),
        ),
        (
            Problem::forbidden(),
            403,
            "forbidden",
            Some(("www-authenticate", r#"Bearer realm="onair", error="insufficient_scope""#)),
        ),
        (Problem::not_found(), 404, "not_found", None),
        (Problem::room_not_found(&room()), 404, "room_not_found", None),
        (Problem::session_not_found(), 404, "session_not_found", None),
        (Problem::recording_not_found(), 404, "recording_not_found", None),
        (Problem::not_recording(&room()), 404, "not_recording", None),
        (Problem::recording_unavailable("VP8"), 409, "recording_unavailable", None),
        (Problem::recording_refused("the spool is full"), 503, "recording_refused", Some(("retry-after", "5"))),
        (Problem::object_not_found(), 404, "object_not_found", None),
        (Problem::method_not_allowed("GET, HEAD"), 405, "method_not_allowed", Some(("allow", "GET, HEAD"))),
        (Problem::not_acceptable("no common codec"), 406, "not_acceptable", None),
        (Problem::snapshot_unavailable(&room(), "no video"), 404, "snapshot_unavailable", Some(("retry-after", "2"))),
        (Problem::room_not_live(&room()), 409, "room_not_live", Some(("retry-after", "2"))),
        (Problem::room_has_publisher(&room()), 409, "room_has_publisher", None),
        (Problem::room_has_source(&room()), 409, "room_has_source", None),
        (Problem::source_not_found(&room()), 404, "source_not_found", None),
        (Problem::source_not_allowed("rtsp.allow"), 403, "source_not_allowed", None),
        (Problem::precondition_failed("\"ice-2\""), 412, "precondition_failed", Some(("etag", "\"ice-2\""))),
        (Problem::body_too_large(65_536), 413, "body_too_large", None),
        (
            Problem::unsupported_media_type("application/sdp"),
            415,
            "unsupported_media_type",
            Some(("accept-post", "application/sdp")),
        ),
        (
            Problem::unsupported_patch_type("application/trickle-ice-sdpfrag"),
            415,
            "unsupported_media_type",
            Some(("accept-patch", "application/trickle-ice-sdpfrag")),
        ),
        (Problem::range_not_satisfiable(10), 416, "range_not_satisfiable", Some(("content-range", "bytes */10"))),
        (Problem::precondition_required(), 428, "precondition_required", None),
        (Problem::storage_error(), 502, "storage_error", None),
        (Problem::overloaded("10000 sessions"), 503, "overloaded", Some(("retry-after", "5"))),
        (Problem::shutting_down(), 503, "shutting_down", Some(("retry-after", "5"))),
        (Problem::unavailable(), 503, "unavailable", Some(("retry-after", "2"))),
    ];
    for (problem, status, code, expected_header) in cases {
        assert_eq!(problem.error_response().status().as_u16(), status, "{code}");
        assert_eq!((&body(&problem)["code"], &body(&problem)["status"]), (&json!(code), &json!(status)));
        if let Some((name, value)) = expected_header {
            assert_eq!(header(&problem, name).as_deref(), Some(value), "{code}");
        }
    }
}

#[test]
fn what_a_client_sent_cannot_break_the_document() {
    let problem = Problem::malformed_sdp("bad line: \"\r\nSet-Cookie: x\u{0}");
    assert_eq!(body(&problem)["detail"], "bad line: \"\r\nSet-Cookie: x\u{0}");
}

#[test]
fn a_tag_that_no_header_can_carry_is_left_out() {
    let problem = Problem::precondition_failed("\"\r\n\"");
    assert_eq!((problem.status().as_u16(), header(&problem, "etag")), (412, None));
}

#[test]
fn denials_become_problems() {
    for (denied, code) in [
        (Denied::TokenRequired, "token_required"),
        (Denied::TokenUnknown, "token_unknown"),
        (Denied::Forbidden, "forbidden"),
    ] {
        assert_eq!(Problem::from(denied).code(), code);
    }
}

#[test]
fn the_detail_can_be_made_more_precise() {
    let problem = Problem::storage_error().because("the recording is listed but its manifest is gone");
    assert_eq!(problem.to_string(), "storage_error: the recording is listed but its manifest is gone");
}
