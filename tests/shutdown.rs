//! SIGTERM: broadcasts end, uploads finish, the exit code is 0.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Server, alone, decode_errors, publish};

/// How long the whole of it may take, uploads included, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn an_idle_server_exits_at_once() {
    let mut server = Server::start();
    let begun = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn a_broadcast_that_runs_is_finished_and_kept() {
    let _alone = alone();
    let mut server = Server::start();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let begun = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());

    let room = server.recordings().join("room");
    let dir = fs::read_dir(room).expect("a room").next().expect("a recording").expect("it can be read").path();
    let manifest: Value =
        serde_json::from_slice(&fs::read(dir.join("recording.json")).expect("a manifest")).expect("JSON");
    assert_eq!(manifest["state"], "complete", "{manifest}");
    for name in ["recording.mp4", "index.m3u8"] {
        assert_eq!(decode_errors(dir.join(name).to_str().expect("UTF-8")), "", "{name}");
    }
}
