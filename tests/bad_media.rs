//! Publishers that are unusual: no video, only video, B-frames, and one that connects and says nothing.

use std::time::Duration;

use crate::support::{Server, alone, check_playable, decode_errors, finished_recording, publish};

/// Publishes a clip to its end and returns the path of the recorded MP4.
fn recorded(server: &Server, clip: &str) -> String {
    assert!(publish(clip, &server.url("/whip/room"), &[]).wait(Duration::from_secs(30)).success());
    let recording = finished_recording(server, "room")["recording"].as_str().expect("an id").to_owned();
    server.recordings().join("room").join(recording).join("recording.mp4").to_str().expect("UTF-8").into()
}

#[test]
fn sound_without_a_picture_is_a_broadcast() {
    let _alone = alone();
    let server = Server::start();
    let file = recorded(&server, "opus-only.mp4");
    check_playable(&file, &["opus"], 6.0);
    check_playable(&file.replace("recording.mp4", "index.m3u8"), &["opus"], 6.0);
}

#[test]
fn a_picture_without_sound_is_a_broadcast() {
    let _alone = alone();
    let server = Server::start();
    let file = recorded(&server, "h264-only.mp4");
    check_playable(&file, &["h264"], 6.0);
    check_playable(&file.replace("recording.mp4", "index.m3u8"), &["h264"], 6.0);
}

/// WebRTC has no B-frames (RFC 7742 leaves them out of what must work), but a file may: nothing breaks, and what is
/// recorded decodes.
#[test]
fn b_frames_do_no_harm() {
    let _alone = alone();
    let mut server = Server::start();
    let file = recorded(&server, "h264-bframes-opus.mp4");
    assert_eq!(decode_errors(&file), "");
    assert!(server.is_alive());
}

/// The publisher is gone without a word: the room notices by itself (RFC 7675, W21).
#[test]
fn a_publisher_that_vanishes_is_noticed() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "it is recorded", |room| room["recording"]["state"] == "recording");
    publisher.kill();
    let recording = crate::support::eventually("the recording is finished", Duration::from_secs(60), || {
        server.json("/api/recordings?room=room")?["recordings"]
            .as_array()?
            .first()
            .filter(|r| r["state"] == "complete")
            .cloned()
    });
    let stored =
        server.recordings().join("room").join(recording["recording"].as_str().expect("an id")).join("recording.mp4");
    assert_eq!(decode_errors(stored.to_str().expect("UTF-8")), "");
}
