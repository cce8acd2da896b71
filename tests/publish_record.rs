//! `onair publish` of a file, and the recording it leaves: H.264, H.265, VP9 and AV1 with Opus (CONTRACT §2 to §4).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Server, alone, check_playable, check_whole, finished_recording, publish, top_level_boxes};

/// Publishes a clip to its end and returns the directory of the finished recording, with its manifest.
fn record(server: &Server, clip: &str) -> (PathBuf, Value) {
    let status = publish(clip, &server.url("/whip/studio-1"), &[]).wait(Duration::from_secs(40));
    assert_eq!(status.code(), Some(0), "the file ends, and that is no failure");
    let entry = finished_recording(server, "studio-1");
    let dir = server.recordings().join("studio-1").join(entry["recording"].as_str().expect("it has an id"));
    let manifest = fs::read(dir.join("recording.json")).expect("the manifest is stored");
    (dir, serde_json::from_slice(&manifest).expect("the manifest is JSON"))
}

fn check_recording(clip: &str, codecs: &[&str; 2], duration_s: f64) -> (PathBuf, Value, Server) {
    let server = Server::start();
    let (dir, manifest) = record(&server, clip);
    let duration_ms = manifest["duration_ms"].as_f64().expect("a number");
    assert!((duration_ms / 1000.0 - duration_s).abs() <= 0.5, "{manifest}");
    assert_eq!(manifest["gaps"], Value::Array(vec![]), "{manifest}");
    check_objects(&dir, &manifest);
    for name in ["recording.mp4", "index.m3u8"] {
        check_playable(dir.join(name).to_str().expect("UTF-8"), codecs, duration_s);
    }
    let recording = dir.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let url = server.url(&format!("/recordings/studio-1/{recording}/index.m3u8"));
    check_playable(&url, codecs, duration_s);
    check_whole(&["--set", &server.storage()], &format!("studio-1/{recording}"));
    (dir, manifest, server)
}

/// Checks that every object of the manifest is there, whole, and nothing else is.
fn check_objects(dir: &Path, manifest: &Value) {
    let listed = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    assert_eq!(manifest["publisher"]["protocol"], "whip", "{manifest}");
    // `onair publish` sends reports.
    assert_eq!((&manifest["alignment"], manifest.get("guessed")), (&"sender_reports".into(), None), "{manifest}");
    assert_eq!(listed("inits").len(), 2, "{manifest}");
    let segments = listed("segments");
    assert!(segments.len() >= 6, "segments of about 2 s in two renditions: {manifest}");
    for entry in segments.iter().chain(&listed("inits")).chain(&listed("objects")) {
        let name = entry["name"].as_str().expect("an object has a name");
        let bytes = fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(entry["bytes"], bytes.len(), "{name}");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(entry["sha256"], hash.as_str(), "{name}");
    }
    for name in [
        "recording.json",
        "index.m3u8",
        "recording.mp4",
        "video/index.m3u8",
        "video/init-1.mp4",
        "audio/index.m3u8",
        "audio/init-1.mp4",
    ] {
        assert!(dir.join(name).is_file(), "{name} is missing");
    }
    let in_dir = |kind: &str| {
        let prefix = format!("{kind}/");
        let wanted =
            segments.iter().filter(|entry| entry["name"].as_str().is_some_and(|name| name.starts_with(&prefix)));
        let stored = fs::read_dir(dir.join(kind)).expect("a rendition").flatten();
        let stored = stored.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "m4s"));
        assert_eq!(stored.count(), wanted.count(), "{kind}: every stored segment is listed");
    };
    in_dir("video");
    in_dir("audio");
}

#[test]
fn h264_and_opus_are_recorded() {
    let _alone = alone();
    let (dir, manifest, _server) = check_recording("h264-opus.mp4", &["h264", "opus"], 12.0);
    assert_eq!((&manifest["schema"], &manifest["state"]), (&1.into(), &"complete".into()));
    let video = &manifest["tracks"][0];
    assert_eq!((&video["width"], &video["height"]), (&640.into(), &360.into()), "{manifest}");
    assert!(video["codec"].as_str().is_some_and(|codec| codec.starts_with("avc1.")), "{manifest}");
    assert!((video["frame_rate"].as_f64().expect("a number") - 30.0).abs() < 1.0, "{manifest}");
    assert_eq!(manifest["tracks"][1]["sample_rate"], 48_000, "{manifest}");
    let boxes = top_level_boxes(&dir.join("recording.mp4"));
    let position = |kind: &str| boxes.iter().position(|found| found == kind);
    assert_eq!(position("ftyp"), Some(0), "{boxes:?}");
    assert!(
        position("moov") < position("mdat") && position("moov").is_some(),
        "it can be played while it loads: {boxes:?}"
    );
}

#[test]
fn vp9_and_opus_are_recorded() {
    let _alone = alone();
    let (_, manifest, _server) = check_recording("vp9-opus.mp4", &["vp9", "opus"], 8.0);
    assert!(manifest["tracks"][0]["codec"].as_str().is_some_and(|codec| codec.starts_with("vp09.")), "{manifest}");
}

#[test]
fn av1_and_opus_are_recorded() {
    let _alone = alone();
    let (_, manifest, _server) = check_recording("av1-opus.mp4", &["av1", "opus"], 8.0);
    assert!(manifest["tracks"][0]["codec"].as_str().is_some_and(|codec| codec.starts_with("av01.")), "{manifest}");
}

#[test]
fn h265_and_opus_are_recorded() {
    let _alone = alone();
    for (clip, seconds) in [("h265-opus.mp4", 8.0), ("h265-bframes-opus.mp4", 6.0)] {
        let (_, manifest, _server) = check_recording(clip, &["hevc", "opus"], seconds);
        let video = &manifest["tracks"][0];
        // As x265 says of it: Main, level 2, progressive and frames only.
        assert_eq!(video["codec"], "hvc1.1.6.L60.90", "{manifest}");
        assert_eq!((&video["width"], &video["height"]), (&322.into(), &182.into()), "{manifest}");
    }
}

/// `--token` is sent, and a refusal is an exit code.
#[test]
fn a_refused_publisher_fails() {
    let server = Server::start();
    let mut client = publish("h264-opus.mp4", &server.url("/whip/.hidden"), &["--token", "x"]);
    assert_eq!(client.wait(Duration::from_secs(20)).code(), Some(1));
}
