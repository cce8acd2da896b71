//! Every refusal of the server, one constructor each.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use onair_media::RoomName;

use super::Problem;
use crate::auth::Denied;

/// What a client may POST here (W3C Linked Data Platform §7.1; RFC 9725 §4.2 has it on WHIP endpoints).
pub(crate) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// What a client may PATCH here (RFC 5789 §3.1).
pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Seconds after which a viewer should ask again: a publisher who reconnects needs about that.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("2");
/// Seconds after which a client should ask a busy server again.
const RETRY_LATER: HeaderValue = HeaderValue::from_static("5");

/// What the request itself gets wrong.
impl Problem {
    /// 400: the room in the path is no room name.
    pub fn invalid_room_name() -> Self {
        let detail = "a room name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot";
        Self::new(StatusCode::BAD_REQUEST, "invalid_room_name", "Invalid room name", detail)
    }

    /// 400: a query parameter or a header has no meaning here; `detail` names it.
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "Invalid request", detail.into())
    }

    /// 400: the body is no SDP offer or fragment; `detail` says where it fails.
    pub fn malformed_sdp(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_sdp", "Malformed SDP", detail.into())
    }

    /// 404: the path leads nowhere.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "there is nothing at this path")
    }

    /// 405: `allow` lists the methods that work here, as in `GET, HEAD`.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path answers to {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
            .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// 406: no codec or transport that both sides know; `detail` says which.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "Not acceptable", detail.into())
    }

    /// 413: the body is longer than `limit_bytes`.
    pub fn body_too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body may have at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large", detail)
    }

    /// 415: a POST must carry `expected`, such as `application/sdp`.
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        Self::wrong_content_type(expected).with(ACCEPT_POST, HeaderValue::from_static(expected))
    }

    /// 415: a PATCH must carry `expected`, such as `application/trickle-ice-sdpfrag`.
    pub fn unsupported_patch_type(expected: &'static str) -> Self {
        Self::wrong_content_type(expected).with(ACCEPT_PATCH, HeaderValue::from_static(expected))
    }

    fn wrong_content_type(expected: &'static str) -> Self {
        let detail = format!("the Content-Type must be {expected}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type", detail)
    }

    /// 416: the object has `total_bytes`, and the range asks for none of them (RFC 9110 §15.5.17).
    pub fn range_not_satisfiable(total_bytes: u64) -> Self {
        let detail = format!("the object has {total_bytes} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "Range not satisfiable", detail)
            .with(CONTENT_RANGE, text_header(format!("bytes */{total_bytes}")))
    }
}

/// Rooms, sessions and recordings that are not as the client thinks.
impl Problem {
    /// 404: no such room.
    pub fn room_not_found(room: &RoomName) -> Self {
        Self::new(StatusCode::NOT_FOUND, "room_not_found", "Room not found", format!("there is no room {room}"))
    }

    /// 409: nobody publishes to the room; it is worth asking again soon.
    pub fn room_not_live(room: &RoomName) -> Self {
        let detail = format!("nobody publishes to {room} at the moment");
        Self::new(StatusCode::CONFLICT, "room_not_live", "Room is not live", detail).with(RETRY_AFTER, RETRY_SOON)
    }

    /// 404: the broadcast has no playlist yet, or none at all.
    pub fn hls_not_ready(room: &RoomName) -> Self {
        let detail = format!("{room} has no HLS at the moment; /api/rooms/{room} says why");
        Self::new(StatusCode::NOT_FOUND, "hls_not_ready", "HLS is not ready", detail).with(RETRY_AFTER, RETRY_SOON)
    }

    /// 404: the room is there, and a picture of it is not; `reason` says why.
    pub fn snapshot_unavailable(room: &RoomName, reason: &str) -> Self {
        let detail = format!("there is no picture of {room}: {reason}");
        Self::new(StatusCode::NOT_FOUND, "snapshot_unavailable", "No snapshot", detail).with(RETRY_AFTER, RETRY_SOON)
    }

    /// 409: somebody else publishes to the room.
    pub fn room_has_publisher(room: &RoomName) -> Self {
        let detail = format!("{room} already has a publisher");
        Self::new(StatusCode::CONFLICT, "room_has_publisher", "Room has a publisher", detail)
    }

    /// 409: the room is published to by a camera already.
    pub fn room_has_source(room: &RoomName) -> Self {
        let detail = format!("{room} already has a source");
        Self::new(StatusCode::CONFLICT, "room_has_source", "Room has a source", detail)
    }

    /// 404: no camera publishes to the room.
    pub fn source_not_found(room: &RoomName) -> Self {
        let detail = format!("{room} has no source");
        Self::new(StatusCode::NOT_FOUND, "source_not_found", "Source not found", detail)
    }

    /// 404: the session has ended or never was.
    pub fn session_not_found() -> Self {
        let detail = "the session has ended or never existed";
        Self::new(StatusCode::NOT_FOUND, "session_not_found", "Session not found", detail)
    }

    /// 412: `If-Match` names another ICE session than the current one, whose entity tag (quotes included) goes along.
    pub fn precondition_failed(current_etag: &str) -> Self {
        let detail = "If-Match does not name the current ICE session";
        let problem = Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "Precondition failed", detail);
        // A tag that no header can carry would be our own mistake; the refusal is still right without it.
        match HeaderValue::from_str(current_etag) {
            Ok(etag) => problem.with(ETAG, etag),
            Err(_) => problem,
        }
    }

    /// 428: the request must carry `If-Match` (RFC 6585 §3, RFC 9725 §4.3.1).
    pub fn precondition_required() -> Self {
        let detail = "send If-Match with the ETag of the session";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", "Precondition required", detail)
    }

    /// 404: no such recording.
    pub fn recording_not_found() -> Self {
        let detail = "there is no such recording in this room";
        Self::new(StatusCode::NOT_FOUND, "recording_not_found", "Recording not found", detail)
    }

    /// 409: the recording is still being made.
    pub fn recording_is_live() -> Self {
        let detail = "the recording is still being made; end the broadcast first";
        Self::new(StatusCode::CONFLICT, "recording_is_live", "Recording is live", detail)
    }

    /// 404: nothing of the room is being recorded.
    pub fn not_recording(room: &RoomName) -> Self {
        let detail = format!("{room} is not being recorded");
        Self::new(StatusCode::NOT_FOUND, "not_recording", "Not recording", detail)
    }

    /// 409: this broadcast cannot be recorded; `detail` says why.
    pub fn recording_unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "recording_unavailable", "Recording is not possible", detail.into())
    }

    /// 404: the recording, playlist or rendition has no such object.
    pub fn object_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "object_not_found", "Object not found", "there is no such object")
    }
}

/// Who may do what.
impl Problem {
    /// 401: bring a bearer token (RFC 6750 §3).
    pub fn token_required() -> Self {
        let challenge = HeaderValue::from_static(r#"Bearer realm="onair""#);
        Self::new(StatusCode::UNAUTHORIZED, "token_required", "Token required", Denied::TokenRequired.to_string())
            .with(WWW_AUTHENTICATE, challenge)
    }

    /// 401: the token that was brought is not known.
    pub fn token_unknown() -> Self {
        let challenge = HeaderValue::from_static(r#"Bearer realm="onair", error="invalid_token""#);
        Self::new(StatusCode::UNAUTHORIZED, "token_unknown", "Token unknown", Denied::TokenUnknown.to_string())
            .with(WWW_AUTHENTICATE, challenge)
    }

    /// 401: the ticket that was brought in place of a token has ended, or is for another room.
    pub fn ticket_invalid() -> Self {
        let challenge = HeaderValue::from_static(r#"Bearer realm="onair", error="invalid_token""#);
        Self::new(StatusCode::UNAUTHORIZED, "ticket_invalid", "Ticket invalid", Denied::TicketInvalid.to_string())
            .with(WWW_AUTHENTICATE, challenge)
    }

    /// 403: the token does not allow this.
    pub fn forbidden() -> Self {
        let challenge = HeaderValue::from_static(r#"Bearer realm="onair", error="insufficient_scope""#);
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", Denied::Forbidden.to_string())
            .with(WWW_AUTHENTICATE, challenge)
    }
}

/// Where the server may go at the wish of a client.
impl Problem {
    /// 403: the configuration does not let the API pull this camera; `detail` names the key.
    pub fn source_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "source_not_allowed", "Source not allowed", detail.into())
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TokenRequired => Self::token_required(),
            Denied::TokenUnknown => Self::token_unknown(),
            Denied::TicketInvalid => Self::ticket_invalid(),
            Denied::Forbidden => Self::forbidden(),
        }
    }
}

/// What the server or its storage cannot do right now.
impl Problem {
    /// 503: a limit such as `media.max_sessions` is reached; `detail` names it.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded", detail.into())
            .with(RETRY_AFTER, RETRY_LATER)
    }

    /// 503: there is no room for another recording; `detail` says where.
    pub fn recording_refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "recording_refused", "Recording was refused", detail.into())
            .with(RETRY_AFTER, RETRY_LATER)
    }

    /// 503: the server is going down.
    pub fn shutting_down() -> Self {
        let detail = "the server is shutting down";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "Shutting down", detail)
            .with(RETRY_AFTER, RETRY_LATER)
    }

    /// 503: a part of the server did not answer in time.
    pub fn unavailable() -> Self {
        let detail = "a part of the server did not answer in time";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail).with(RETRY_AFTER, RETRY_SOON)
    }

    /// 502: the object store answered with an error. The log has it; the client gets no names of buckets or hosts.
    pub fn storage_error() -> Self {
        let detail = "the object store answered with an error";
        Self::new(StatusCode::BAD_GATEWAY, "storage_error", "Storage error", detail)
    }
}

/// Makes a header value of text that we composed from ASCII words and numbers.
fn text_header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("words and numbers are visible ASCII")
}
