//! Clips of a recording: the very pictures of the time that was asked for, from any store, in any ranges.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Proxy, S3, Server, alone, decode_errors, decode_errors_beside_gaps, eventually, finished_recording, probe,
    publish, top_level_boxes,
};

/// How long a recorded picture is shown, in seconds.
const PICTURE_S: f64 = 1.0 / 30.0;

/// ffprobe tells times to the microsecond, and clips are cut to the millisecond.
const APART_MAX_S: f64 = 0.001;

/// A decoded picture: when it is shown, and its digest.
type Picture = (f64, String);

/// Publishes a clip to its end and returns the path of the recording, `/recordings/room/…`.
fn record(server: &Server, clip: &str) -> String {
    assert!(publish(clip, &server.url("/whip/room"), &[]).wait(Duration::from_secs(60)).success());
    let recording = finished_recording(server, "room")["recording"].as_str().expect("an id").to_owned();
    format!("/recordings/room/{recording}")
}

fn ask(server: &Server, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let request = server.request(method, path);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .send()
        .expect("an answer")
        .into()
}

fn get(server: &Server, path: &str) -> Answer {
    ask(server, Method::GET, path, &[])
}

/// Keeps a clip as a file, for programs that want one.
fn keep(dir: &Path, answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let file = dir.join("clip.mp4");
    fs::write(&file, &answer.body).expect("the directory is ours");
    file.to_str().expect("UTF-8").to_owned()
}

/// Decodes the pictures that a player shows.
fn pictures(input: &str) -> Vec<Picture> {
    pictures_by(&[], input)
}

/// The same with a decoder of choice.
fn pictures_by(decoder: &[&str], input: &str) -> Vec<Picture> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(decoder);
    command.args(["-i", input, "-map", "0:v", "-fps_mode", "passthrough"]);
    let output = command.args(["-enc_time_base", "1:90000", "-f", "framemd5", "-"]).output();
    let output = output.expect("ffmpeg is installed");
    assert!(output.stderr.is_empty(), "{input}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("ffmpeg writes text");
    assert!(text.contains("#tb 0: 1/90000"), "{text}");
    let frames = text.lines().filter(|line| !line.starts_with('#'));
    let picture = |line: &str| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().expect("a time") / 90_000.0, fields[5].to_owned())
    };
    frames.map(picture).collect()
}

fn seconds(text: &Value) -> f64 {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no number of seconds: {text}"))
}

/// Checks that these are the pictures of the whole recording that begin from `from` to `to`, each at its time.
///
/// A clip that begins within a picture's time begins with the rest of it. ffmpeg leaves that out and shows the next one at
/// once, and all others as much too early; so they are held against the first one.
#[track_caller]
fn check_pictures(shown: &[Picture], whole: &[Picture], from: f64, to: f64) {
    let wanted: Vec<_> = whole.iter().filter(|(at, _)| (from - 1e-6..to - 1e-6).contains(at)).collect();
    assert_eq!(shown.len(), wanted.len(), "{from} to {to}");
    let (shown_first, first) = (shown[0].0, wanted[0].0);
    assert!((shown_first + from - first).abs() < PICTURE_S, "{from}: {shown_first} s, {first} s");
    for ((at, digest), (wanted_at, wanted_digest)) in shown.iter().zip(wanted) {
        assert!(digest == wanted_digest, "another picture at {at} s of {from} to {to}");
        assert!((at - shown_first - (wanted_at - first)).abs() < APART_MAX_S, "{at} s after {from}: {wanted_at} s");
    }
}

/// Checks that a clip shows the pictures of its time, with sound for as long.
#[track_caller]
fn check_clip(file: &str, whole: &[Picture], from: f64, to: f64) {
    check_clip_by(&[], file, whole, from, to);
}

/// The same with a decoder of choice.
#[track_caller]
fn check_clip_by(decoder: &[&str], file: &str, whole: &[Picture], from: f64, to: f64) {
    assert_eq!(decode_errors(file), "", "{file}");
    check_pictures(&pictures_by(decoder, file), whole, from, to);
    let probed = probe(file);
    let lasts = seconds(&probed["format"]["duration"]);
    assert!((lasts - (to - from)).abs() <= PICTURE_S, "{from} to {to} lasts {lasts} s");
    for stream in probed["streams"].as_array().expect("a list of streams") {
        let lasts = seconds(&stream["duration"]);
        assert!((lasts - (to - from)).abs() <= PICTURE_S, "{from} to {to}: {stream}");
    }
}

#[test]
fn a_clip_shows_exactly_what_was_asked_for() {
    let _alone = alone();
    let server = Server::start();
    let path = record(&server, "h264-opus.mp4");
    let dir = TempDir::new().expect("a temporary directory");
    let whole = pictures(&server.url(&format!("{path}/recording.mp4")));
    assert!(whole.len() > 350, "{} pictures", whole.len());
    // On a keyframe, between two, between two pictures, within one segment, across several, within one picture's time.
    for (from, to) in [(0.0, 2.0), (2.0, 3.0), (2.5, 9.7), (3.333, 3.9), (5.017, 11.25), (6.1, 6.15)] {
        let clip = get(&server, &format!("{path}/clip.mp4?from={from}&to={to}"));
        assert_eq!((clip.header("content-type"), clip.header("accept-ranges")), ("video/mp4", "bytes"));
        assert_eq!(clip.header("content-disposition"), "");
        let file = keep(dir.path(), &clip);
        check_clip(&file, &whole, from, to);
        assert_eq!(top_level_boxes(Path::new(&file)), ["ftyp", "moov", "mdat"], "it plays while it loads");
    }
    // Without an end it ends with the recording, without a beginning it begins with it.
    let rest = get(&server, &format!("{path}/clip.mp4?from=8.5"));
    let last = whole.last().expect("there are pictures").0 + PICTURE_S;
    check_clip(&keep(dir.path(), &rest), &whole, 8.5, last);
    let begin = get(&server, &format!("{path}/clip.mp4?to=1"));
    check_clip(&keep(dir.path(), &begin), &whole, 0.0, 1.0);

    // The time of day says the same as seconds do, but for how sound begins before the first picture.
    let manifest = server.json(&path.replace("/recordings", "/api/recordings")).expect("a manifest");
    let start = chrono::DateTime::parse_from_rfc3339(manifest["start"].as_str().expect("a time")).expect("RFC 3339");
    let at = |ms| {
        (start.to_utc() + chrono::TimeDelta::milliseconds(ms)).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let clip = get(&server, &format!("{path}/clip.mp4?from={}&to={}&download=1", at(4_000), at(6_000)));
    let shown = pictures(&keep(dir.path(), &clip));
    // The manifest's start is rounded to the millisecond: the picture that begins there may be in or out at either end.
    assert!((60..=61).contains(&shown.len()), "{} pictures", shown.len());
    let first = whole.iter().position(|(_, digest)| *digest == shown[0].1).expect("a picture of the recording");
    assert!((whole[first].0 - 4.0).abs() < 0.05, "{} s", whole[first].0);
    let name = clip.header("content-disposition");
    assert!(name.starts_with("attachment; filename=\"room-") && name.ends_with(".mp4\""), "{name}");
}

#[test]
fn a_clip_is_sent_in_ranges() {
    let _alone = alone();
    let server = Server::start();
    let path = record(&server, "h264-opus.mp4");
    let clip = format!("{path}/clip.mp4?from=3.21&to=10");
    let whole = get(&server, &clip);
    let (total, tag) = (whole.body.len(), whole.header("etag"));
    let head = ask(&server, Method::HEAD, &clip, &[]);
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, tag));
    assert_eq!(head.header("content-length"), total.to_string());
    assert_eq!(ask(&server, Method::GET, &clip, &[("if-none-match", tag)]).status, 304);
    // A prime, so that ranges end wherever they do.
    let mut joined = Vec::new();
    while joined.len() < total {
        let (from, last) = (joined.len(), (joined.len() + 77_777).min(total - 1));
        let part = ask(&server, Method::GET, &clip, &[("range", &format!("bytes={from}-{last}")), ("if-range", tag)]);
        assert_eq!(part.status, 206);
        assert_eq!(part.header("content-range"), format!("bytes {from}-{last}/{total}"));
        assert_eq!(part.body.len(), last - from + 1);
        joined.extend(part.body);
    }
    assert!(joined == whole.body, "ranges are ranges of the whole");
    let end = ask(&server, Method::GET, &clip, &[("range", "bytes=-1000")]);
    assert!(end.body == whole.body[total - 1000..]);
    let changed = ask(&server, Method::GET, &clip, &[("range", "bytes=0-9"), ("if-range", "\"another\"")]);
    assert_eq!((changed.status, changed.body.len()), (200, total));
    let beyond = ask(&server, Method::GET, &clip, &[("range", &format!("bytes={total}-"))]);
    beyond.refused(416, "range_not_satisfiable");
    let other = get(&server, &format!("{path}/clip.mp4?from=3.22&to=10"));
    assert_ne!(other.header("etag"), tag, "another clip has another tag");
    let named = ask(&server, Method::HEAD, &format!("{clip}&download=1"), &[]);
    let recording = path.rsplit('/').next().expect("an id");
    assert_eq!(named.header("content-disposition"), format!("attachment; filename=\"room-{recording}-3.21-10.mp4\""));

    for bad in [
        "from=5&to=5",
        "from=5&to=4",
        "from=-1",
        "from=NaN",
        "from=inf",
        "to=0",
        "from=100",
        "to=100",
        "from=1e1",
        "from=x",
        "to=2020-01-01T00:00:00Z",
        "from=2020-01-01T00:00:00Z",
        "from=1&from=2",
        "from=99999999999999999999",
    ] {
        let refused = get(&server, &format!("{path}/clip.mp4?{bad}")).refused(400, "invalid_request");
        assert!(refused.text().contains("from") || refused.text().contains("to"), "{bad}: {}", refused.text());
    }
    get(&server, "/recordings/room/20200101T000000Z-000000/clip.mp4").refused(404, "recording_not_found");
    get(&server, "/recordings/room/junk/clip.mp4").refused(404, "recording_not_found");
    ask(&server, Method::POST, &clip, &[]).refused(405, "method_not_allowed");
}

/// Segments that are gone are a gap, as they are in the MP4 that a repair writes.
#[test]
fn a_segment_that_is_gone_is_a_gap() {
    let _alone = alone();
    let server = Server::start();
    let path = record(&server, "h264-opus.mp4");
    let dir = TempDir::new().expect("a temporary directory");
    let whole = pictures(&server.url(&format!("{path}/recording.mp4")));
    let before = get(&server, &format!("{path}/clip.mp4?from=3.5&to=9.5"));
    for kind in ["video", "audio"] {
        let folder = server.recordings().join(path.trim_start_matches("/recordings/")).join(kind);
        fs::remove_file(folder.join("000003.m4s")).expect("segments of 2 s");
    }
    let after = get(&server, &format!("{path}/clip.mp4?from=3.5&to=9.5"));
    assert_ne!(after.header("etag"), before.header("etag"));
    let file = keep(dir.path(), &after);
    assert_eq!(decode_errors_beside_gaps(&file), "");
    let lasts = seconds(&probe(&file)["format"]["duration"]);
    assert!((lasts - 6.0).abs() <= PICTURE_S, "{lasts} s");
    let manifest = server.json(&path.replace("/recordings", "/api/recordings")).expect("a manifest");
    let segments = manifest["segments"].as_array().expect("a list");
    let lost = segments.iter().find(|segment| segment["name"] == "video/000003.m4s").expect("it is listed");
    let ms = |key: &str| lost[key].as_f64().expect("a number") / 1000.0 + whole[0].0 - PICTURE_S / 2.0;
    let lost = ms("start_ms")..ms("start_ms") + lost["duration_ms"].as_f64().expect("a number") / 1000.0;
    let left: Vec<_> = whole.iter().filter(|(at, _)| !lost.contains(at)).cloned().collect();
    assert!(left.len() + 50 < whole.len(), "{lost:?}");
    check_pictures(&pictures(&file), &left, 3.5, 9.5);
}

#[test]
fn clips_have_every_codec_and_sound_alone() {
    let _alone = alone();
    let server = Server::start();
    let dir = TempDir::new().expect("a temporary directory");
    // ffmpeg's binding of dav1d shows what the container says is not to be shown.
    let libaom = ["-c:v", "libaom-av1"];
    let clips =
        [("vp9-opus.mp4", &[][..]), ("av1-opus.mp4", &libaom), ("h264-bframes-opus.mp4", &[]), ("h265-opus.mp4", &[])];
    for (clip, decoder) in clips {
        let path = record(&server, clip);
        let whole = pictures_by(decoder, &server.url(&format!("{path}/recording.mp4")));
        let file = keep(dir.path(), &get(&server, &format!("{path}/clip.mp4?from=2.4&to=4.6")));
        check_clip_by(decoder, &file, &whole, 2.4, 4.6);
        let deleted = ask(&server, Method::DELETE, &path.replace("/recordings", "/api/recordings"), &[]);
        assert_eq!(deleted.status, 204, "{}", deleted.text());
    }
    let path = record(&server, "opus-only.mp4");
    let clip = get(&server, &format!("{path}/clip.mp4?from=1.5&to=4"));
    assert_eq!(clip.header("content-type"), "audio/mp4");
    let file = keep(dir.path(), &clip);
    assert_eq!(decode_errors(&file), "");
    let lasts = seconds(&probe(&file)["format"]["duration"]);
    assert!((lasts - 2.5).abs() < 0.01, "{lasts} s");
}

/// Of a recording that goes on there are clips of what is stored.
#[test]
fn a_live_recording_has_clips() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "a recording begins", |room| room["recording"]["state"] == "recording");
    let path = eventually("six seconds are stored", Duration::from_secs(60), || {
        let list = server.json("/api/recordings?room=room")?;
        let entry = list["recordings"].as_array()?.first()?;
        let is_long = entry["duration_ms"].as_u64()? >= 6_000;
        is_long.then(|| format!("/recordings/room/{}", entry["recording"].as_str().expect("an id")))
    });
    let dir = TempDir::new().expect("a temporary directory");
    let file = keep(dir.path(), &get(&server, &format!("{path}/clip.mp4?from=1.5&to=5")));
    assert_eq!(decode_errors(&file), "");
    assert!((105..=106).contains(&pictures(&file).len()));
    get(&server, &format!("{path}/clip.mp4?from=900")).refused(400, "invalid_request");
    drop(publisher);
}

#[test]
fn clips_come_from_s3_too() {
    let _alone = alone();
    let s3 = S3::start();
    let arguments = S3::arguments(s3.address());
    let server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let path = record(&server, "h264-opus.mp4");
    let dir = TempDir::new().expect("a temporary directory");
    let whole = pictures(&server.url(&format!("{path}/recording.mp4")));
    let clip = get(&server, &format!("{path}/clip.mp4?from=2.5&to=9.7"));
    check_clip(&keep(dir.path(), &clip), &whole, 2.5, 9.7);
    let part =
        ask(&server, Method::GET, &format!("{path}/clip.mp4?from=2.5&to=9.7"), &[("range", "bytes=100000-200000")]);
    assert!(part.status == 206 && part.body == clip.body[100_000..=200_000]);
}

/// Each range that a player asked for cost a request for every part of every segment, once more.
#[test]
fn seeking_in_a_clip_in_a_bucket_does_not_plan_it_anew() {
    let _alone = alone();
    let s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    let arguments = S3::arguments(&proxy.address());
    let server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let recording = record(&server, "h264-opus.mp4");
    let url = format!("{recording}/clip.mp4?from=2&to=10");
    let requests = || proxy.requests().len();
    let before = requests();
    let whole = get(&server, &url);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let for_whole = requests() - before;
    let size = whole.body.len();
    for start in [0, size / 3, size - 1000] {
        let (before, end) = (requests(), start + 999);
        let part = ask(&server, Method::GET, &url, &[("range", &format!("bytes={start}-{end}"))]);
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[start..=end]), "{}", part.text());
        // Whether the manifest is what it was, and the stretches that the range lies in.
        let for_part = requests() - before;
        assert!(for_part <= 4 && for_part * 4 < for_whole, "{for_part} requests, {for_whole} for the whole");
    }
    // Another time is another clip.
    let before = requests();
    assert_eq!(get(&server, &format!("{recording}/clip.mp4?from=2&to=9")).status, 200);
    assert!(requests() - before > 8);
}
