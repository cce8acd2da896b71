//! Posters, storyboards and snapshots: what a keyframe shows is what the clip shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Server, alone, check_whole, eventually, finished_recording, probe, publish, run_onair};

/// Publishes a clip to its end and returns the directory of the finished recording, with its manifest.
fn record(server: &Server, clip: &str) -> (PathBuf, Value) {
    let status = publish(clip, &server.url("/whip/studio-1"), &[]).wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0));
    let entry = finished_recording(server, "studio-1");
    let recording = entry["recording"].as_str().expect("it has an id");
    check_whole(&["--set", &server.storage()], &format!("studio-1/{recording}"));
    let dir = server.recordings().join("studio-1").join(recording);
    let manifest = fs::read(dir.join("recording.json")).expect("the manifest is stored");
    (dir, serde_json::from_slice(&manifest).expect("the manifest is JSON"))
}

/// Decodes one picture with ffmpeg, `at_s` seconds into the input.
fn decoded(input: &Path, at_s: f64) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error"]);
    if at_s > 0.0 {
        ffmpeg.args(["-ss", &format!("{at_s}")]);
    }
    ffmpeg.arg("-i").arg(input);
    let output = ffmpeg.args(["-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]).output();
    let output = output.expect("ffmpeg is there");
    assert!(!output.stdout.is_empty(), "{}: {}", input.display(), String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns by how much the samples of two pictures differ on average.
fn difference(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len(), "pictures of one size");
    let sum: u64 = one.iter().zip(other).map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
    sum as f64 / one.len() as f64
}

fn check_jpeg(path: &Path, width: u64, height: u64) {
    let probed = probe(path.to_str().expect("UTF-8"));
    let stream = &probed["streams"][0];
    assert_eq!(stream["codec_name"], "mjpeg", "{probed}");
    assert_eq!((&stream["width"], &stream["height"]), (&width.into(), &height.into()), "{probed}");
}

fn get(server: &Server, path: &str) -> Answer {
    server.request(Method::GET, path).send().expect("the server answers").into()
}

#[test]
fn a_recording_has_a_poster_and_a_storyboard() {
    let _alone = alone();
    let server = Server::start();
    let (dir, manifest) = record(&server, "h264-opus.mp4");
    let wanted = serde_json::json!({ "poster": "poster.jpg", "storyboard": "storyboard.vtt" });
    assert_eq!(manifest["pictures"], wanted, "{manifest}");
    let objects: Vec<_> = manifest["objects"].as_array().expect("a list").iter().map(|entry| &entry["name"]).collect();
    for name in ["poster.jpg", "storyboard-1.jpg", "storyboard.vtt"] {
        assert!(objects.iter().any(|object| *object == name) && dir.join(name).is_file(), "{name}: {manifest}");
    }
    check_jpeg(&dir.join("poster.jpg"), 640, 360);

    let vtt = fs::read_to_string(dir.join("storyboard.vtt")).expect("it is stored");
    let tiles = vtt.matches("storyboard-1.jpg#xywh=").count() as u64;
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00.000 --> ") && (4..=6).contains(&tiles), "{vtt}");
    check_jpeg(&dir.join("storyboard-1.jpg"), 160 * tiles.min(5), 90 * tiles.div_ceil(5));

    // The poster is the keyframe behind the first tenth, and no other moment of the clip.
    let segments = manifest["segments"].as_array().expect("a list");
    let is_video = |entry: &&Value| entry["name"].as_str().is_some_and(|name| name.starts_with("video/"));
    let starts = segments.iter().filter(is_video).filter_map(|entry| entry["start_ms"].as_u64());
    let at_s = starts.filter(|start| *start >= 1_200).min().expect("there are several") as f64 / 1000.0;
    let (poster, movie) = (decoded(&dir.join("poster.jpg"), 0.0), dir.join("recording.mp4"));
    let same = difference(&poster, &decoded(&movie, at_s));
    let other = difference(&poster, &decoded(&movie, at_s + 3.0));
    assert!(same < 3.0 && other > 2.0 * same, "{same} from its keyframe, {other} from another one");
}

#[test]
fn a_codec_without_decoder_is_named_in_the_manifest() {
    let _alone = alone();
    let clips = [
        ("vp9-opus.mp4", "no decoder for vp09."),
        ("av1-opus.mp4", "no decoder for av01."),
        ("h265-opus.mp4", "no decoder for hvc1."),
    ];
    for (clip, reason) in clips {
        let server = Server::start();
        let (dir, manifest) = record(&server, clip);
        let said = manifest["pictures"]["unavailable"].as_str().expect("it says why");
        assert!(said.starts_with(reason), "{manifest}");
        assert!(!dir.join("poster.jpg").exists());
    }
}

#[test]
fn a_live_room_has_a_snapshot() {
    let _alone = alone();
    let server = Server::start();
    get(&server, "/snapshot/studio-1.jpg").refused(404, "room_not_found");
    let client = publish("h264-opus.mp4", &server.url("/whip/studio-1"), &["--loop"]);
    server.wait_until_live("studio-1");
    let path = "/snapshot/studio-1.jpg?width=320";
    let snapshot = eventually("the first keyframe is there", Duration::from_secs(60), || {
        let answer = get(&server, path);
        (answer.status == 200).then_some(answer)
    });
    assert_eq!((snapshot.header("content-type"), snapshot.header("cache-control")), ("image/jpeg", "max-age=1"));
    let file = server.recordings().with_extension("jpg");
    fs::write(&file, &snapshot.body).expect("the directory is ours");
    check_jpeg(&file, 320, 180);
    // A keyframe comes every second: sooner or later two requests see the same one.
    eventually("a picture that is known is not sent again", Duration::from_secs(60), || {
        let tag = get(&server, path).header("etag").to_owned();
        let again: Answer = server.request(Method::GET, path).header("If-None-Match", tag).send().ok()?.into();
        (again.status == 304 && again.body.is_empty()).then_some(())
    });
    get(&server, "/snapshot/studio-1.jpg?width=321").refused(400, "invalid_request");
    client.kill();
}

#[test]
fn a_room_without_pictures_has_no_snapshot() {
    let _alone = alone();
    let server = Server::start();
    let client = publish("opus-only.mp4", &server.url("/whip/studio-1"), &["--loop"]);
    server.wait_until_live("studio-1");
    get(&server, "/snapshot/studio-1.jpg").refused(404, "snapshot_unavailable");
    client.kill();
}

#[test]
fn pictures_can_be_switched_off() {
    let _alone = alone();
    let server = Server::with(&["--set", "record.posters=false"]);
    let (dir, manifest) = record(&server, "h264-only.mp4");
    assert_eq!(manifest["pictures"]["unavailable"], "record.posters is false", "{manifest}");
    assert!(!dir.join("poster.jpg").exists());
}

/// Pictures that were lost stayed lost, though all that they are made of was there.
#[test]
fn a_repair_makes_lost_pictures_again() {
    let _alone = alone();
    let server = Server::start();
    let (dir, manifest) = record(&server, "h264-opus.mp4");
    let id = dir.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let (name, storage) = (format!("studio-1/{id}"), server.storage());
    let verify = |more: &[&str]| run_onair(&[&["verify", &name, "--set", &storage], more].concat());
    let poster = fs::read(dir.join("poster.jpg")).expect("it is stored");
    fs::remove_file(dir.join("poster.jpg")).expect("it is there");
    fs::write(dir.join("storyboard-1.jpg"), b"damaged").expect("the directory is ours");
    let looked = verify(&[]);
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(looked.status.code() == Some(1) && said.matches("(can be mended)").count() == 2, "{said}");
    let mended = verify(&["--repair"]);
    let said = String::from_utf8_lossy(&mended.stdout);
    assert!(mended.status.code() == Some(0) && said.matches("(mended)").count() == 2, "{said}");
    check_whole(&["--set", &storage], &name);
    assert_eq!(fs::read(dir.join("poster.jpg")).expect("it is stored again"), poster);
    let again: Value =
        serde_json::from_slice(&fs::read(dir.join("recording.json")).expect("a manifest")).expect("JSON");
    assert_eq!(again["pictures"], manifest["pictures"], "{again}");

    // A manifest that is written anew knows of no pictures; they are made, too.
    fs::remove_file(dir.join("recording.json")).expect("it is there");
    assert_eq!(verify(&["--repair"]).status.code(), Some(0));
    let again: Value =
        serde_json::from_slice(&fs::read(dir.join("recording.json")).expect("a manifest")).expect("JSON");
    assert_eq!(again["pictures"], manifest["pictures"], "{again}");
    check_whole(&["--set", &storage], &name);
}
