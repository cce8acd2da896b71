//! `auth.mode = "token"`: who may do what, and that no token is ever shown.

use std::fs;

use reqwest::Method;
use tempfile::TempDir;

use crate::support::{Answer, Offer, Server};

const CONFIG: &str = r#"
[log]
filter = "trace"
[auth]
mode = "token"
[[auth.tokens]]
token = "publisher-hunter2"
can = ["publish"]
rooms = "studio-*"
[[auth.tokens]]
token = "viewer-hunter2"
can = ["view"]
[[auth.tokens]]
token = "admin-hunter2"
can = ["admin"]
"#;

fn server() -> (Server, TempDir) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("onair.toml");
    fs::write(&file, CONFIG).unwrap();
    (Server::with(&["--config", file.to_str().unwrap()]), dir)
}

fn post(server: &Server, path: &str, token: Option<&str>, offer: Offer) -> Answer {
    let request = server.request(Method::POST, path).header("content-type", "application/sdp").body(offer.sdp());
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().unwrap().into()
}

/// W14: bearer tokens on endpoints and sessions; RFC 6750 §3 for the challenges.
#[test]
fn tokens_open_only_what_they_are_for() {
    let (server, _dir) = server();
    let publish = |room: &str, token| post(&server, &format!("/whip/{room}"), token, Offer::publisher());
    let refused = publish("studio-1", None).refused(401, "token_required");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    let refused = publish("studio-1", Some("guess")).refused(401, "token_unknown");
    assert!(refused.header("www-authenticate").contains("invalid_token"));
    let refused = publish("studio-1", Some("viewer-hunter2")).refused(403, "forbidden");
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    publish("kitchen", Some("publisher-hunter2")).refused(403, "forbidden");
    let created = publish("studio-1", Some("publisher-hunter2"));
    assert_eq!(created.status, 201, "{}", created.text());

    let takeover = post(&server, "/whip/studio-1?takeover=1", Some("publisher-hunter2"), Offer::publisher());
    takeover.refused(403, "forbidden");
    post(&server, "/whep/studio-1", Some("publisher-hunter2"), Offer::viewer()).refused(403, "forbidden");

    let session = created.header("location").to_owned();
    let delete = |token: Option<&str>| -> Answer {
        let request = server.request(Method::DELETE, &session);
        token
            .map_or_else(|| server.request(Method::DELETE, &session), |token| request.bearer_auth(token))
            .send()
            .unwrap()
            .into()
    };
    delete(None).refused(401, "token_required");
    delete(Some("viewer-hunter2")).refused(403, "forbidden");
    assert_eq!(delete(Some("publisher-hunter2")).status, 200);
}

#[test]
fn what_can_be_read_needs_the_right_to_view() {
    let (server, _dir) = server();
    let get = |path: &str, token: Option<&str>| -> Answer {
        let request = server.request(Method::GET, path);
        token
            .map_or_else(|| server.request(Method::GET, path), |token| request.bearer_auth(token))
            .send()
            .unwrap()
            .into()
    };
    for path in [
        "/api/rooms",
        "/api/rooms/x",
        "/api/recordings",
        "/hls/x/index.m3u8",
        "/recordings/x/20261122T063000Z-7f3a9c/recording.mp4",
        "/recordings/x/20261122T063000Z-7f3a9c/clip.mp4?from=1&to=2",
    ] {
        get(path, None).refused(401, "token_required");
        assert_ne!(get(path, Some("viewer-hunter2")).status, 401, "{path}");
        assert_ne!(get(path, Some("admin-hunter2")).status, 403, "{path}");
    }
    let recording = "/api/recordings/x/20261122T063000Z-7f3a9c";
    let delete = server.request(Method::DELETE, recording).bearer_auth("viewer-hunter2").send().unwrap();
    Answer::from(delete).refused(403, "forbidden");
    // The pages hold no secret, and must be there to ask for the token.
    assert_eq!(get("/", None).status, 200);
    assert_eq!(get("/healthz", None).status, 200);
}

#[test]
fn tokens_are_not_in_the_log() {
    let (mut server, _dir) = server();
    for token in ["publisher-hunter2", "viewer-hunter2", "admin-hunter2", "wrong-hunter2"] {
        post(&server, "/whip/studio-1?takeover=1", Some(token), Offer::publisher());
    }
    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    assert!(!log.is_empty(), "the log is on");
    assert!(!log.contains("hunter2"), "{log}");
}
