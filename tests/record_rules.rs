//! Which part of a broadcast is recorded, and as what: by rules for rooms, by hand, and one recording after another.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::Value;

use crate::support::{
    Answer, Server, alone, check_playable, check_stored, check_unbroken, check_whole, clip, eventually, manifest,
    packets, publish,
};

/// What is published: 12 s, a keyframe a second, no two packets alike.
const CLIP: &str = "h264-distinct-opus.mp4";

/// What the fixture's segments last, in milliseconds.
const SEGMENT_MS: u64 = 2_000;

fn recording_of(server: &Server, method: Method, room: &str) -> Answer {
    server.request(method, &format!("/api/rooms/{room}/recording")).send().expect("the server is up").into()
}

fn state(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Waits until a room has so many recordings, all of them complete. Returns their ids, the oldest first.
fn complete(server: &Server, room: &str, count: usize) -> Vec<String> {
    let path = format!("/api/recordings?room={room}");
    eventually("the recordings are complete", Duration::from_secs(60), || {
        let list = server.json(&path)?["recordings"].as_array()?.clone();
        let is_done = list.len() == count && list.iter().all(|recording| recording["state"] == "complete");
        let id = |recording: &Value| recording["recording"].as_str().expect("an id").to_owned();
        is_done.then(|| list.iter().rev().map(id).collect())
    })
}

fn folder(server: &Server, room: &str, recording: &str) -> PathBuf {
    server.recordings().join(room).join(recording)
}

/// Checks a recording from the clip's rooms against itself, and returns its manifest.
fn check(server: &Server, room: &str, recording: &str) -> Value {
    let folder = folder(server, room, recording);
    let manifest = manifest(&folder.as_path());
    assert_eq!(manifest["gaps"], Value::Array(Vec::new()), "{manifest}");
    check_stored(&folder.as_path(), &manifest);
    check_whole(&["--set", &server.storage()], &format!("{room}/{recording}"));
    manifest
}

/// The packets of a recording's MP4, after a check that its segments have the same.
fn recorded(server: &Server, room: &str, recording: &str, kind: char) -> Vec<String> {
    let folder = folder(server, room, recording);
    let rendition = if kind == 'v' { "video" } else { "audio" };
    let of = |name: &str| packets(folder.join(name).to_str().expect("UTF-8"), kind);
    let (in_mp4, in_segments) = (of("recording.mp4"), of(&format!("{rendition}/index.m3u8")));
    assert_eq!(in_mp4, in_segments, "{recording}: {rendition}");
    in_mp4
}

fn published(kind: char) -> Vec<String> {
    packets(clip(CLIP).to_str().expect("UTF-8"), kind)
}

#[test]
fn the_next_recording_takes_over_without_a_packet_lost() {
    let _alone = alone();
    let server = Server::with(&["--set", "rooms.\"studio-*\".record_max_duration=10s"]);
    let status = publish(CLIP, &server.url("/whip/studio-1"), &[]).wait(Duration::from_secs(60));
    assert!(status.success());
    let ids = complete(&server, "studio-1", 2);
    let manifests: Vec<_> = ids.iter().map(|id| check(&server, "studio-1", id)).collect();
    let seconds = |manifest: &Value| manifest["duration_ms"].as_f64().expect("a number") / 1000.0;
    assert!(seconds(&manifests[0]) <= 10.25, "{}", manifests[0]);
    assert!((seconds(&manifests[0]) + seconds(&manifests[1]) - 12.0).abs() < 0.5, "{manifests:?}");
    let date = |manifest: &Value, key: &str| -> DateTime<Utc> {
        manifest[key].as_str().and_then(|date| date.parse().ok()).unwrap_or_else(|| panic!("{key}: {manifest}"))
    };
    // To a frame of sound.
    let apart = date(&manifests[1], "start") - date(&manifests[0], "end");
    assert!(apart.abs() <= TimeDelta::milliseconds(25), "one begins where the other ends: {manifests:?}");
    for kind in ['v', 'a'] {
        let all = ids.iter().flat_map(|id| recorded(&server, "studio-1", id, kind)).collect::<Vec<_>>();
        assert_eq!(all, published(kind), "{kind}");
    }
    for (id, manifest) in ids.iter().zip(&manifests) {
        let folder = folder(&server, "studio-1", id);
        for name in ["recording.mp4", "index.m3u8"] {
            let input = folder.join(name);
            check_playable(input.to_str().expect("UTF-8"), &["h264", "opus"], seconds(manifest));
        }
    }
}

#[test]
fn by_hand_a_recording_begins_and_ends_within_a_broadcast() {
    let _alone = alone();
    let server = Server::with(&["--set", "record.default=false"]);
    recording_of(&server, Method::POST, "room").refused(404, "room_not_found");
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    let room = server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    assert_eq!(room["recording"]["state"], "off", "{room}");
    recording_of(&server, Method::DELETE, "room").refused(404, "not_recording");
    recording_of(&server, Method::GET, "room").refused(405, "method_not_allowed");

    let started = recording_of(&server, Method::POST, "room");
    assert_eq!((started.status, &state(&started)["state"]), (201, &"recording".into()), "{}", started.text());
    let id = state(&started)["recording"].as_str().expect("an id").to_owned();
    assert_eq!(started.header("location"), format!("/api/recordings/room/{id}"));
    let again = recording_of(&server, Method::POST, "room");
    assert_eq!((again.status, &state(&again)["recording"]), (200, &id.as_str().into()), "{}", again.text());
    server.wait_for_room("room", "a few segments are cut", |room| {
        room["actors"]["packager"]["recorder"]["segments_stored"].as_u64() >= Some(4)
    });

    let ended = recording_of(&server, Method::DELETE, "room");
    assert_eq!((ended.status, &state(&ended)["state"]), (202, &"finishing".into()), "{}", ended.text());
    assert_eq!(complete(&server, "room", 1), [id.as_str()]);
    let room = server.wait_for_room("room", "it is stored", |room| room["recording"]["state"] == "stored");
    assert_eq!(room["state"], "live", "the broadcast goes on: {room}");
    recording_of(&server, Method::DELETE, "room").refused(404, "not_recording");

    // A second one in the same broadcast.
    let started = recording_of(&server, Method::POST, "room");
    assert_eq!(started.status, 201, "{}", started.text());
    let second = state(&started)["recording"].as_str().expect("an id").to_owned();
    assert_ne!(second, id);
    server.wait_for_room("room", "a segment is cut", |room| {
        room["actors"]["packager"]["recorder"]["segments_stored"].as_u64() >= Some(2)
    });
    assert_eq!(recording_of(&server, Method::DELETE, "room").status, 202);
    assert_eq!(complete(&server, "room", 2), [id.clone(), second.clone()]);
    publisher.kill();

    for id in [id, second] {
        let manifest = check(&server, "room", &id);
        assert!(manifest["duration_ms"].as_u64() >= Some(SEGMENT_MS), "{manifest}");
        for kind in ['v', 'a'] {
            let (recorded, published) = (recorded(&server, "room", &id, kind), published(kind));
            let first = published.iter().position(|packet| *packet == recorded[0]).expect("a packet of the clip");
            let from_there: Vec<_> = published.iter().cycle().skip(first).take(published.len()).cloned().collect();
            check_unbroken(&format!("{id}: {kind}"), &recorded, &from_there);
        }
    }
}

/// What is stopped and at once started again is one recording.
#[test]
fn a_recording_that_is_wanted_after_all_goes_on() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "it is recorded", |room| room["recording"]["state"] == "recording");
    // Where the segment that grows ends between the two, the second is another one.
    eventually("both within a segment", Duration::from_secs(60), || {
        let ended = recording_of(&server, Method::DELETE, "room");
        assert_eq!((ended.status, &state(&ended)["state"]), (202, &"finishing".into()), "{}", ended.text());
        let after = recording_of(&server, Method::POST, "room");
        let is_same = state(&after)["recording"] == state(&ended)["recording"];
        assert_eq!(after.status, if is_same { 200 } else { 201 }, "{}", after.text());
        assert_eq!(state(&after)["state"], "recording", "{}", after.text());
        is_same.then_some(())
    });
    publisher.kill();
}

/// It went on for as long as the publisher had time to come back.
#[test]
fn a_recording_ends_by_hand_while_the_publisher_is_away() {
    let _alone = alone();
    let server = Server::with(&["--set", "record.reconnect_s=600"]);
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    let room = server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let id = room["recording"]["recording"].as_str().expect("an id").to_owned();
    publisher.kill();
    let within = Duration::from_secs(60);
    server.wait_for_room_within("room", "the publisher is away", within, |room| room["state"] == "reconnecting");
    let ended = recording_of(&server, Method::DELETE, "room");
    assert_eq!((ended.status, &state(&ended)["state"]), (202, &"finishing".into()), "{}", ended.text());
    assert_eq!(complete(&server, "room", 1), [id.as_str()]);
    let room = server.wait_for_room("room", "it is stored", |room| room["recording"]["state"] == "stored");
    assert_eq!(room["state"], "reconnecting", "{room}");
    check(&server, "room", &id);
    // Wanted again, it begins when there is something to record.
    let started = recording_of(&server, Method::POST, "room");
    assert_eq!((started.status, &state(&started)["recording"]), (202, &Value::Null), "{}", started.text());
}

#[test]
fn sound_alone_is_recorded_where_that_is_wanted() {
    let _alone = alone();
    let server = Server::with(&["--set", "rooms.\"radio-*\".record_audio_only=true"]);
    let status = publish(CLIP, &server.url("/whip/radio-1"), &[]).wait(Duration::from_secs(60));
    assert!(status.success());
    let ids = complete(&server, "radio-1", 1);
    let manifest = check(&server, "radio-1", &ids[0]);
    let tracks = manifest["tracks"].as_array().expect("a list");
    assert_eq!((tracks.len(), &tracks[0]["name"]), (1, &"audio".into()), "{manifest}");
    let folder = folder(&server, "radio-1", &ids[0]);
    assert!(!folder.join("video").exists(), "no object of the picture is stored");
    assert_eq!(recorded(&server, "radio-1", &ids[0], 'a'), published('a'));
    check_playable(folder.join("recording.mp4").to_str().expect("UTF-8"), &["opus"], 12.0);
}

#[test]
fn recording_by_hand_needs_its_right() {
    let _alone = alone();
    let tokens =
        r#"auth.tokens=[{ token = "viewer", can = ["view", "publish"] }, { token = "recorder", can = ["record"] }]"#;
    let server = Server::with(&["--set", "auth.mode=token", "--set", tokens]);
    let post = |token: &str| -> Answer {
        let request = server.request(Method::POST, "/api/rooms/room/recording").bearer_auth(token);
        request.send().expect("the server is up").into()
    };
    post("viewer").refused(403, "forbidden");
    post("recorder").refused(404, "room_not_found");
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop", "--token", "viewer"]);
    let started = eventually("the broadcast is there", Duration::from_secs(60), || {
        Some(post("recorder")).filter(|answer| answer.status < 300)
    });
    assert!([200, 201, 202].contains(&started.status), "{}", started.text());
    post("viewer").refused(403, "forbidden");
    publisher.kill();
    // A page of another site may not, either, where there are no tokens.
    let open = Server::start();
    let foreign = open.request(Method::POST, "/api/rooms/room/recording").header("origin", "https://example.org");
    Answer::from(foreign.send().expect("the server is up")).refused(403, "forbidden");
}
