//! Tickets: players that send no headers watch where tokens are asked for.

use std::fs;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Answer, Server, alone, check_playable, eventually, probe, publish};

const CONFIG: &str = r#"
[log]
filter = "trace"
[auth]
mode = "token"
[[auth.tokens]]
token = "publisher-hunter2"
can = ["publish"]
[[auth.tokens]]
token = "viewer-hunter2"
can = ["view"]
rooms = "studio-*"
"#;

fn server() -> (Server, TempDir) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("onair.toml");
    fs::write(&file, CONFIG).unwrap();
    (Server::with(&["--config", file.to_str().unwrap()]), dir)
}

fn ticket(server: &Server, room: &str, token: &str) -> Answer {
    let request = server.request(Method::POST, &format!("/api/rooms/{room}/ticket")).bearer_auth(token);
    request.send().expect("the server is up").into()
}

fn issued(server: &Server, room: &str) -> String {
    let answer = ticket(server, room, "viewer-hunter2");
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
    let ticket: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(ticket["expires"].as_str().is_some_and(|date| date.ends_with('Z')), "{ticket}");
    ticket["ticket"].as_str().expect("a text").to_owned()
}

#[test]
fn a_ticket_plays_what_a_token_may_view() {
    let _alone = alone();
    let (mut server, _dir) = server();
    let get = |path: &str| -> Answer { server.request(Method::GET, path).send().expect("the server is up").into() };
    let status = publish("h264-opus.mp4", &server.url("/whip/studio-1"), &["--token", "publisher-hunter2"])
        .wait(Duration::from_secs(60));
    assert!(status.success());
    let recording = eventually("the recording is complete", Duration::from_secs(60), || {
        let request = server.request(Method::GET, "/api/recordings?room=studio-1").bearer_auth("viewer-hunter2");
        let list: Value = request.send().expect("the server is up").json().expect("JSON");
        let newest = &list["recordings"][0];
        (newest["state"] == "complete").then(|| newest["recording"].as_str().expect("an id").to_owned())
    });

    ticket(&server, "studio-1", "publisher-hunter2").refused(403, "forbidden");
    ticket(&server, "kitchen", "viewer-hunter2").refused(403, "forbidden");
    let (ours, other) = (issued(&server, "studio-1"), issued(&server, "studio-2"));
    let mp4 = format!("/recordings/studio-1/{recording}/recording.mp4");
    get(&mp4).refused(401, "token_required");
    get(&format!("{mp4}?ticket={other}")).refused(401, "ticket_invalid");
    let answer = get(&format!("{mp4}?ticket={ours}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("cache-control").starts_with("private"), "{:?}", answer.headers);
    assert_eq!(answer.header("set-cookie"), "", "one file needs no cookie");

    for name in ["poster.jpg", "clip.mp4"] {
        let path = format!("/recordings/studio-1/{recording}/{name}");
        get(&path).refused(401, "token_required");
        assert_eq!(get(&format!("{path}?ticket={ours}")).status, 200, "{name}");
    }

    // The player fetches what the playlist leads to with the cookie alone.
    let playlist = format!("/recordings/studio-1/{recording}/index.m3u8?ticket={ours}");
    let cookie = get(&playlist).header("set-cookie").to_owned();
    for part in
        ["onair_ticket=", &format!("Path=/recordings/studio-1/{recording}"), "HttpOnly", "SameSite=Lax", "Max-Age="]
    {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    check_playable(&server.url(&playlist), &["h264", "opus"], 12.0);

    // Live, too: the cookie of the playlist is for all that is below it.
    let publisher =
        publish("h264-opus.mp4", &server.url("/whip/studio-2"), &["--loop", "--token", "publisher-hunter2"]);
    let live = format!("/hls/studio-2/index.m3u8?ticket={other}");
    eventually("HLS is ready", Duration::from_secs(60), || (get(&live).status == 200).then_some(()));
    assert!(get(&live).header("set-cookie").contains("Path=/hls/studio-2"), "{:?}", get(&live).headers);
    let streams = probe(&server.url(&live))["streams"].as_array().map(Vec::len);
    assert_eq!(streams, Some(2), "picture and sound, by the cookie alone");
    publisher.kill();

    // It is for looking, and for nothing else.
    get(&format!("/api/rooms?ticket={ours}")).refused(401, "token_required");
    let delete = server.request(Method::DELETE, &format!("/api/recordings/studio-1/{recording}?ticket={ours}"));
    Answer::from(delete.send().expect("the server is up")).refused(401, "token_required");

    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    assert!(!log.contains("hunter2") && !log.contains(&ours), "{log}");
}
