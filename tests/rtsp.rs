//! RTSP cameras: they publish like anybody, over TCP and UDP, with and without a password, and come back when they were away.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Server, alone, camera, check_playable, check_stored, eventually, finished_recording, gaps,
    manifest, probe, publish, python, run_onair,
};

/// On a busy machine everything takes its time.
const SOON: Duration = Duration::from_secs(60);

/// Writes the setting for one source of the room `cam`; `login` is `user:password@`, or nothing.
fn source(port: u64, login: &str, more: &str) -> String {
    format!("sources=[{{ room = \"cam\", url = \"rtsp://{login}127.0.0.1:{port}/cam\"{more} }}]")
}

/// Starts a server with that source and more settings.
fn server(source: &str, settings: &[&str]) -> Server {
    let settings = [source].into_iter().chain(settings.iter().copied());
    Server::with(&settings.flat_map(|setting| ["--set", setting]).collect::<Vec<_>>())
}

fn ask(server: &Server, method: Method, path: &str) -> Answer {
    server.request(method, path).send().expect("the server is up").into()
}

/// Waits until the source of the room `cam` is as wanted.
fn wait_for_source(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, SOON, || server.json("/api/sources/cam").filter(&wanted))
}

fn wait_until_live(server: &Server) -> Value {
    server.wait_for_room_within("cam", "the camera is live", SOON, |room| room["state"] == "live")
}

fn wait_for_hls(server: &Server) {
    server.wait_for_room_within("cam", "HLS is ready", SOON, |room| room["hls"]["state"] == "ready");
}

/// Watches over WebRTC until pictures move.
fn see(server: &Server) -> Client {
    let viewer = python("aiortc_view.py", &[&server.url("/whep/cam")]);
    let seen =
        viewer.wait_for("pictures", SOON, |event| event["event"] == "video" && event["frames"].as_u64() > Some(20));
    assert_eq!((&seen["width"], &seen["height"]), (&640.into(), &360.into()), "{seen}");
    viewer
}

/// Ends the source, and returns its finished recording with the path of its MP4.
fn end(server: &Server) -> (Value, String) {
    assert_eq!(ask(server, Method::DELETE, "/api/sources/cam").status, 204);
    let recording = finished_recording(server, "cam");
    let name = recording["recording"].as_str().expect("an id");
    let mp4 = server.recordings().join("cam").join(name).join("recording.mp4");
    (recording.clone(), mp4.to_str().expect("UTF-8").into())
}

/// Waits for some seconds to be recorded, and checks the finished recording: it decodes without a word and lasts as long as
/// it says. Returns the path of its MP4.
#[track_caller]
fn check_recording(server: &Server, codecs: &[&str]) -> String {
    eventually("some seconds are recorded", SOON, || {
        let list = server.json("/api/recordings?room=cam")?;
        (list["recordings"][0]["duration_ms"].as_u64()? >= 6_000).then_some(())
    });
    let (recording, mp4) = end(server);
    let duration_s = recording["duration_ms"].as_f64().expect("a number") / 1000.0;
    check_playable(&mp4, codecs, duration_s);
    mp4
}

fn has_b_frames(room: &Value) -> bool {
    room["report"].as_array().is_some_and(|all| all.iter().any(|found| found["code"] == "b_frames"))
}

fn check_everywhere(transport: &str) {
    let _alone = alone();
    let (_camera, port) = camera(&["--only", transport]);
    let server = server(&source(port, "", &format!(", transport = \"{transport}\"")), &[]);
    let room = wait_until_live(&server);
    assert_eq!(room["tracks"][0]["codec"], "h264", "{room}");
    assert!(!has_b_frames(&room), "{room}");
    let mut viewer = see(&server);
    wait_for_hls(&server);
    let seen = viewer.finish();
    assert_eq!(seen["viewers"][0]["video"]["steps_back"], 0, "{seen}");
    let playing = wait_for_source(&server, "it says so", |source| source["state"] == "playing");
    assert_eq!((&playing["transport"], &playing["codecs"]), (&transport.into(), &json!(["h264"])), "{playing}");
    assert_eq!((&playing["error"], &playing["malformed_frames"]), (&Value::Null, &0.into()), "{playing}");
    check_recording(&server, &["h264"]);
    ask(&server, Method::DELETE, "/api/sources/cam").refused(404, "source_not_found");
}

#[test]
fn a_camera_over_tcp_is_watched_and_recorded() {
    check_everywhere("tcp");
}

#[test]
fn a_camera_over_udp_is_watched_and_recorded() {
    check_everywhere("udp");
}

/// A camera that wants a password gets it; what is wrong with it is told, and the password is not.
#[test]
fn a_password_opens_a_camera_and_shows_nowhere() {
    let _alone = alone();
    let (_camera, port) = camera(&["--login", "admin:hunter2"]);
    let right = server(&source(port, "admin:hunter2@", ""), &["log.filter=trace"]);
    wait_until_live(&right);
    let shown = right.json("/api/sources").expect("a list").to_string();
    assert!(
        shown.contains("rtsp://***@127.0.0.1") && !shown.contains("hunter2") && !shown.contains("/cam\""),
        "{shown}"
    );
    let log = right.log();
    assert!(log.contains("camera connected") && !log.contains("hunter2"), "{log}");

    let wrong_source = source(port, "admin:letmein-7f3a@", "");
    let wrong = server(&wrong_source, &["log.filter=trace"]);
    let failed = wait_for_source(&wrong, "it says why", |source| source["error"].is_string());
    assert!(failed["error"].as_str().is_some_and(|why| why.contains("user and password")), "{failed}");
    assert!(matches!(failed["state"].as_str(), Some("waiting" | "connecting")), "{failed}");
    assert_ne!(wrong.json("/api/rooms/cam").expect("it is held for the camera")["state"], "live");
    let log = wrong.log();
    assert!(log.contains("user and password") && !log.contains("letmein-7f3a"), "{log}");
    let printed = run_onair(&["serve", "--print-config", "--set", &wrong_source]);
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("rtsp://***@127.0.0.1") && !printed.contains("letmein-7f3a"), "{printed}");
}

/// Waits for the recording to have begun, and returns its name.
fn recording_name(server: &Server) -> Value {
    let recording = |room: &Value| room["recording"]["state"] == "recording";
    server.wait_for_room_within("cam", "it is recorded", SOON, recording)["recording"]["recording"].clone()
}

/// Checks that there is one recording with one gap, which plays.
#[track_caller]
fn check_one_recording_with_a_gap(server: &Server, name: &Value) {
    let (recording, mp4) = end(server);
    assert_eq!(recording["recording"], *name);
    let list = server.json("/api/recordings?room=cam").expect("a list");
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(1), "{list}");
    let folder = std::path::Path::new(&mp4).parent().expect("a folder");
    let manifest = manifest(&folder);
    assert_eq!(gaps(&manifest, "publisher_reconnect").len(), 1, "{manifest}");
    check_stored(&folder, &manifest);
}

/// A camera that is switched off and on again continues its recording.
#[test]
fn a_restarted_camera_continues_its_recording() {
    let _alone = alone();
    let (first, port) = camera(&[]);
    let server = server(&source(port, "", ""), &["record.reconnect_s=300"]);
    wait_until_live(&server);
    let name = recording_name(&server);
    first.kill();
    server.wait_for_room_within("cam", "it is noticed", SOON, |room| room["state"] == "reconnecting");
    let (_second, _) = camera(&["--port", &port.to_string()]);
    wait_until_live(&server);
    wait_for_source(&server, "it was connected twice", |source| source["sessions"] == 2);
    // A keyframe comes each second.
    let viewer = see(&server);
    drop(viewer);
    check_one_recording_with_a_gap(&server, &name);
}

/// A camera whose connection stays while nothing comes is dead all the same.
#[test]
fn a_camera_that_falls_silent_is_connected_to_anew() {
    let _alone = alone();
    let (mut camera, port) = camera(&[]);
    let server = server(&source(port, "", ""), &["record.reconnect_s=300", "rooms.timeout_s=3"]);
    wait_until_live(&server);
    let name = recording_name(&server);
    camera.say("mute");
    camera.wait_for("it is mute", SOON, |event| event["event"] == "muted");
    wait_for_source(&server, "it is connected anew", |source| source["sessions"].as_u64() > Some(1));
    wait_until_live(&server);
    drop(see(&server));
    let log = server.log();
    assert!(log.contains("the camera sent no media for 3 s"), "{log}");
    check_one_recording_with_a_gap(&server, &name);
}

/// H.265 is recorded and in HLS. It is for those WebRTC viewers whose browsers offer it.
#[test]
fn an_h265_camera_is_recorded() {
    let _alone = alone();
    let (_camera, port) = camera(&["--video", "h265"]);
    let server = server(&source(port, "", ""), &[]);
    let room = wait_until_live(&server);
    assert_eq!(room["tracks"][0]["codec"], "h265", "{room}");
    wait_for_hls(&server);
    let live = probe(&server.url("/hls/cam/index.m3u8"));
    let video = &live["streams"][0];
    assert_eq!((&video["codec_name"], &video["codec_tag_string"]), (&"hevc".into(), &"hvc1".into()), "{live}");
    assert_eq!((&video["width"], &video["height"]), (&640.into(), &360.into()), "{live}");
    check_recording(&server, &["hevc"]);
}

/// B-frames come out of recordings and HLS in the order in which they are shown; the room says that WebRTC cannot.
#[test]
fn b_frames_are_recorded_in_their_order() {
    let _alone = alone();
    let (_camera, port) = camera(&["--video", "bframes"]);
    let server = server(&source(port, "", ""), &[]);
    server.wait_for_room_within("cam", "the room says so", SOON, has_b_frames);
    wait_for_hls(&server);
    let live = probe(&server.url("/hls/cam/index.m3u8"));
    assert_ne!(live["streams"][0]["has_b_frames"], 0, "{live}");
    let mp4 = check_recording(&server, &["h264"]);
    let (pts, dts) = times_us(&mp4);
    assert!(pts.windows(2).any(|two| two[1] < two[0]), "pictures are sent out of order: {pts:?}");
    assert!(dts.windows(2).all(|two| two[0] < two[1]), "{dts:?}");
    assert!(pts.iter().zip(&dts).all(|(pts, dts)| pts >= dts), "no picture is shown before it is decoded");
    let mut shown = pts.clone();
    shown.sort_unstable();
    // The end of the broadcast may come between a picture and those that are sent behind it and shown before it.
    shown.pop();
    let steps = shown.windows(2).map(|two| two[1] - two[0]);
    assert!(
        steps.clone().all(|step| (20_000..=60_000).contains(&step)),
        "25 pictures a second: {:?}",
        steps.collect::<Vec<_>>()
    );
}

/// Returns presentation and decoding times of the pictures of a file, in microseconds, in decoding order.
fn times_us(file: &str) -> (Vec<i64>, Vec<i64>) {
    let arguments =
        ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,dts_time", "-of", "csv=p=0", file];
    let output = std::process::Command::new("ffprobe").args(arguments).output().expect("ffprobe is installed");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let us = |text: &str| (text.parse::<f64>().unwrap_or_else(|_| panic!("{text}: {lines}")) * 1e6).round() as i64;
    lines
        .lines()
        .filter_map(|line| line.split_once(','))
        .map(|(pts, dts)| (us(pts), us(dts.trim_end_matches(','))))
        .unzip()
}

/// A camera on demand is left alone until somebody watches, and after that again.
#[test]
fn a_camera_on_demand_comes_for_its_viewers() {
    let _alone = alone();
    let (_camera, port) = camera(&[]);
    let server = server(&source(port, "", ", on_demand = true"), &[]);
    let idle = wait_for_source(&server, "it is there", |source| source["state"] == "idle");
    assert_eq!((&idle["sessions"], &idle["on_demand"]), (&0.into(), &true.into()), "{idle}");
    ask(&server, Method::GET, "/api/rooms/cam").refused(404, "room_not_found");
    // Nobody publishes, and yet the viewer is taken.
    let mut viewer = see(&server);
    assert_eq!(viewer.finish()["deleted"][0], 200);
    let left = wait_for_source(&server, "it is left", |source| source["state"] == "idle");
    assert_eq!((&left["sessions"], &left["error"]), (&1.into(), &Value::Null), "{left}");
    // Its last broadcast stays for a while, for those who have yet to see its end; whoever comes now wants the next one.
    eventually("its end is known", SOON, || match server.json("/api/rooms/cam") {
        Some(room) => (room["hls"]["state"] == "ended").then_some(()),
        None => Some(()),
    });
    // The first request of a player is answered when there is something to play.
    let playlist = ask(&server, Method::GET, "/hls/cam/index.m3u8");
    assert_eq!(playlist.status, 200, "{}", playlist.text());
    assert_eq!(server.json("/api/sources/cam").expect("it is there")["sessions"], 2);
}

/// A track that we cannot carry does not cost the picture, and is named.
#[test]
fn a_track_that_is_not_carried_is_left_out() {
    let _alone = alone();
    let (_camera, port) = camera(&["--audio", "l16"]);
    let server = server(&source(port, "", ""), &[]);
    let room = wait_until_live(&server);
    assert_eq!(room["tracks"].as_array().map(Vec::len), Some(1), "{room}");
    let playing = wait_for_source(&server, "it plays", |source| source["state"] == "playing");
    assert_eq!((&playing["codecs"], &playing["skipped"]), (&json!(["h264"]), &json!(["audio/l16"])), "{playing}");
    assert_eq!(playing["error"], Value::Null, "{playing}");
    drop(see(&server));
    assert!(server.log().contains("left out"), "{}", server.log());
    check_recording(&server, &["h264"]);
}

/// A camera with nothing for us says so, and is asked again.
#[test]
fn a_camera_with_nothing_to_carry_says_so() {
    let _alone = alone();
    let (_camera, port) = camera(&["--video", "none", "--audio", "l16"]);
    let server = server(&source(port, "", ""), &[]);
    let failed = wait_for_source(&server, "it says why", |source| source["error"].is_string());
    assert!(failed["error"].as_str().is_some_and(|why| why.ends_with("carried: audio/l16")), "{failed}");
    assert_eq!(failed["sessions"], 0, "{failed}");
}

/// Somebody who may take a room over from a camera has it, until he leaves.
#[test]
fn a_camera_makes_way_and_comes_back() {
    let _alone = alone();
    let (_camera, port) = camera(&[]);
    let server = server(&source(port, "", ""), &["record.reconnect_s=300"]);
    wait_until_live(&server);
    let whip = server.url("/whip/cam");
    let mut refused = publish("h264-opus.mp4", &whip, &[]);
    assert!(!refused.wait(SOON).success(), "the room has a publisher");
    let publisher = publish("h264-opus.mp4", &format!("{whip}?takeover=1"), &["--loop"]);
    let has_sound = |room: &Value| room["tracks"].as_array().is_some_and(|tracks| tracks.len() == 2);
    server.wait_for_room_within("cam", "somebody took it over", SOON, has_sound);
    let out =
        wait_for_source(&server, "it knows", |source| source["state"] != "playing" && source["error"].is_string());
    assert!(out["error"].as_str().is_some_and(|why| why.contains("publisher")), "{out}");
    publisher.kill();
    let is_camera = |room: &Value| room["state"] == "live" && !has_sound(room);
    server.wait_for_room_within("cam", "the camera is back", 2 * SOON, is_camera);
    let (recording, _) = end(&server);
    let list = server.json("/api/recordings?room=cam").expect("a list");
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(1), "{recording}");
}
