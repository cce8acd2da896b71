//! Viewers: who comes early waits, many watch at once, and nobody is thrown out when the publisher reconnects (P1).

use std::time::Duration;

use serde_json::Value;

use crate::support::{Server, alone, publish, python};

const SOON: Duration = Duration::from_secs(25);

fn frames(event: &Value, kind: &str, more_than: u64) -> bool {
    event["event"] == kind && event["frames"].as_u64() > Some(more_than)
}

/// P1: with `?wait=` the answer comes at once and the media when there is any.
#[test]
fn a_viewer_may_come_before_the_publisher() {
    let _alone = alone();
    let server = Server::start();
    let mut viewer = python("aiortc_view.py", &[&server.url("/whep/room?wait=60")]);
    viewer.wait_for("the answer", SOON, |event| event["event"] == "joined");
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    viewer.wait_for("a picture", SOON, |event| frames(event, "video", 30));
    viewer.wait_for("sound", SOON, |event| frames(event, "audio", 30));
    viewer.finish();
}

/// The publisher is killed and another takes over: the same viewer sessions go on, with numbers and times that go on too.
#[test]
fn viewers_stay_while_the_publisher_reconnects() {
    let _alone = alone();
    let server = Server::with(&["--set", "record.reconnect_s=30"]);
    let url = server.url("/whip/room?takeover=1");
    let first = publish("h264-opus.mp4", &url, &["--loop"]);
    server.wait_until_live("room");
    let mut viewer = python("aiortc_view.py", &[&server.url("/whep/room")]);
    let before = viewer.wait_for("a picture", SOON, |event| frames(event, "video", 60));
    first.kill();
    let _second = publish("h264-opus.mp4", &url, &["--loop"]);
    let count = before["frames"].as_u64().unwrap_or_default();
    viewer.wait_for("the picture goes on", SOON, |event| frames(event, "video", count + 90));
    let summary = viewer.finish();
    for kind in ["video", "audio"] {
        let seen = &summary["viewers"][0][kind];
        assert_eq!(seen["steps_back"], 0, "times never run backwards: {summary}");
        // The pause of some seconds is the only leap; a foreign clock would leap by hours.
        assert!(seen["longest_step_s"].as_f64() < Some(20.0), "{summary}");
        assert!(seen["lost"].as_i64() < Some(20), "sequence numbers go on: {summary}");
    }
    assert_eq!(summary["deleted"][0], 200, "it was one session all the time");
}

#[test]
fn five_viewers_watch_at_once() {
    let _alone = alone();
    let server = Server::start();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_until_live("room");
    let mut viewers = python("aiortc_view.py", &[&server.url("/whep/room"), "5"]);
    viewers.wait_for("all have joined", SOON, |event| event["event"] == "joined");
    server.wait_for_room("room", "all are counted", |room| room["viewers"]["whep"] == 5);
    for number in 0..5 {
        viewers.wait_for("each sees a picture", SOON, |event| event["viewer"] == number && frames(event, "video", 30));
    }
    let summary = viewers.finish();
    for seen in summary["viewers"].as_array().expect("one each") {
        assert!(seen["audio"]["frames"].as_u64() > Some(30), "{summary}");
        assert_eq!((&seen["video"]["width"], &seen["video"]["steps_back"]), (&640.into(), &0.into()), "{summary}");
    }
    server.wait_for_room("room", "all have gone", |room| room["viewers"]["whep"] == 0);
}
