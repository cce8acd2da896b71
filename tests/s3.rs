//! Recording straight into S3: moto (PyPI) over HTTP, read back by another client than ours.

use std::time::Duration;

use crate::support::{Server, alone, check_playable, check_whole, finished_recording, publish, python};

#[test]
fn a_recording_goes_to_s3_and_is_read_from_there() {
    let _alone = alone();
    let mut s3 = python("s3_server.py", &["bucket"]);
    let ready = s3.wait_for("S3 starts", Duration::from_secs(60), |event| event["event"] == "ready");
    let endpoint = format!("storage.options.endpoint={}", ready["endpoint"].as_str().expect("a URL"));
    let settings = [
        "storage.url=s3://bucket/some/prefix",
        &endpoint,
        "storage.options.allow_http=true",
        "storage.options.region=us-east-1",
        "storage.options.access_key_id=test",
        "storage.options.secret_access_key=hunter2",
    ];
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let server = Server::with(&arguments);
    assert!(publish("h264-opus.mp4", &server.url("/whip/room"), &[]).wait(Duration::from_secs(40)).success());
    let recording = finished_recording(&server, "room")["recording"].as_str().expect("an id").to_owned();

    s3.say("some/prefix/room/");
    let listed = s3.wait_for("S3 lists", Duration::from_secs(10), |event| event["event"] == "listed");
    let objects = listed["objects"].as_object().expect("names and URLs");
    let object = |name: &str| {
        let key = format!("some/prefix/room/{recording}/{name}");
        objects.get(&key).and_then(|url| url.as_str()).unwrap_or_else(|| panic!("{key} is missing: {listed}"))
    };
    for name in ["recording.json", "index.m3u8", "video/index.m3u8", "video/init-1.mp4", "audio/000001.m4s"] {
        object(name);
    }
    check_playable(object("recording.mp4"), &["h264", "opus"], 12.0);
    let through_us = server.url(&format!("/recordings/room/{recording}/index.m3u8"));
    check_playable(&through_us, &["h264", "opus"], 12.0);

    check_whole(&arguments, &format!("room/{recording}"));

    // Another server on the same bucket knows the recording, and may remove it.
    let other = Server::with(&arguments);
    assert_eq!(finished_recording(&other, "room")["recording"], recording.as_str());
    let path = format!("/api/recordings/room/{recording}");
    assert!(other.request(reqwest::Method::DELETE, &path).send().expect("an answer").status().is_success());
    s3.say("some/prefix/room/");
    let left = s3.wait_for("S3 lists", Duration::from_secs(10), |event| event["event"] == "listed");
    assert_eq!(left["objects"], serde_json::json!({}));
    assert!(!server.log().contains("hunter2"));
}
