//! aiortc, a WebRTC stack of its own (PyPI), publishes and watches.

use std::time::Duration;

use reqwest::Method;

use crate::support::{
    Answer, Server, alone, check_playable, decode_errors, eventually, finished_recording, probe, publish, python,
};

/// VP8 has no place in HLS or MP4: viewers get it, and the room says why there is nothing else.
#[test]
fn vp8_goes_to_viewers_and_the_room_says_why_nowhere_else() {
    let _alone = alone();
    let server = Server::start();
    let mut publisher = python("aiortc_publish.py", &[&server.url("/whip/room"), "VP8"]);
    let room = server.wait_for_room("room", "HLS is ruled out", |room| room["hls"]["state"] == "unavailable");
    assert!(room["hls"]["reason"].as_str().is_some_and(|why| why.to_uppercase().contains("VP8")), "{room}");
    assert_eq!(room["recording"]["state"], "unavailable", "{room}");
    assert!(room["recording"]["reason"].is_string(), "{room}");

    let mut viewer = python("aiortc_view.py", &[&server.url("/whep/room")]);
    let video = viewer.wait_for("a picture", Duration::from_secs(20), |event| {
        event["event"] == "video" && event["frames"].as_u64() > Some(20)
    });
    assert_eq!((&video["width"], &video["height"]), (&320.into(), &240.into()));
    viewer.wait_for("sound", Duration::from_secs(20), |event| {
        event["event"] == "audio" && event["frames"].as_u64() > Some(20)
    });
    let hls = Answer::from(server.request(Method::GET, "/hls/room/index.m3u8").send().expect("an answer"));
    assert_eq!((hls.status, hls.header("content-type")), (404, "application/problem+json"), "{}", hls.text());
    viewer.finish();
    assert_eq!(publisher.finish()["deleted"], 200);
}

#[test]
fn h264_of_aiortc_is_recorded() {
    let _alone = alone();
    let server = Server::start();
    let mut publisher = python("aiortc_publish.py", &[&server.url("/whip/room"), "H264"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let list = "/api/recordings?room=room";
    eventually("the recording grows", Duration::from_secs(20), || {
        let id = server.json(list)?["recordings"][0]["recording"].as_str()?.to_owned();
        let segments = server.json(&format!("/api/recordings/room/{id}"))?["segments"].as_array()?.len();
        (segments >= 4).then_some(())
    });
    assert_eq!(publisher.finish()["deleted"], 200);
    let recording = finished_recording(&server, "room");
    let stored =
        server.recordings().join("room").join(recording["recording"].as_str().expect("an id")).join("recording.mp4");
    let stored = stored.to_str().expect("UTF-8");
    let duration_s = recording["duration_ms"].as_f64().expect("a number") / 1000.0;
    check_playable(stored, &["h264", "opus"], duration_s);
    assert_eq!(probe(stored)["streams"][0]["width"], 320);
    assert_eq!(decode_errors(stored), "");
}

/// What aiortc sees of our own publisher: the right picture, and sound.
#[test]
fn aiortc_watches_a_file_that_onair_publishes() {
    let _alone = alone();
    let server = Server::start();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_until_live("room");
    let mut viewer = python("aiortc_view.py", &[&server.url("/whep/room")]);
    let video = viewer.wait_for("a picture", Duration::from_secs(20), |event| {
        event["event"] == "video" && event["frames"].as_u64() > Some(60)
    });
    assert_eq!((&video["width"], &video["height"]), (&640.into(), &360.into()));
    server.wait_for_room("room", "the viewer is counted", |room| room["viewers"]["whep"] == 1);
    let summary = viewer.finish();
    let seen = &summary["viewers"][0];
    assert!(seen["audio"]["frames"].as_u64() > Some(60), "{summary}");
    assert_eq!((&seen["video"]["steps_back"], &seen["audio"]["steps_back"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(seen["video"]["lost"], 0, "nothing is lost on the loopback: {summary}");
    assert_eq!(summary["deleted"][0], 200);
    server.wait_for_room("room", "the viewer has gone", |room| room["viewers"]["whep"] == 0);
}
