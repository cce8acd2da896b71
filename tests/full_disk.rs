//! No room: the broadcast goes on, what cannot be kept is a gap that says why, and everything else is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{
    Client, Fate, Objects, Proxy, S3, Server, alone, check_stored, clip, eventually, gaps, manifest, millis, packets,
    publish,
};

const HEAVY: &str = "h264-heavy-opus.mp4";

const WITHIN: Duration = Duration::from_secs(120);

fn publish_to(server: &Server, clip: &str, room: &str) -> Client {
    publish(clip, &server.url(&format!("/whip/{room}")), &["--loop"])
}

fn wait_until_recorded(server: &Server, room: &str) -> String {
    let state = server.wait_for_room(room, "it is recorded", |room| room["recording"]["state"] == "recording");
    state["recording"]["recording"].as_str().expect("an id").into()
}

/// Returns the number of the newest segment in a room's live playlist.
fn newest_segment(server: &Server, room: &str) -> u64 {
    let get = |path: &str| {
        let answer = server.request(Method::GET, path).send().expect("the server is up");
        answer.text().expect("the body arrives")
    };
    let multivariant = get(&format!("/hls/{room}/index.m3u8"));
    let video = multivariant.lines().find(|line| line.ends_with("/video/index.m3u8")).expect("a rendition");
    let playlist = get(&format!("/hls/{room}/{video}"));
    let last = playlist.lines().rev().find_map(|line| line.strip_suffix(".m4s")).expect("a segment");
    last.parse().expect("segments are numbered")
}

/// Returns in which places the packets that were found do not follow each other in a clip that is published over and
/// over.
fn breaks(found: &[String], clip: &[String]) -> usize {
    let index = |packet: &String| clip.iter().position(|other| other == packet).expect("a packet of the clip");
    let places: Vec<usize> = found.iter().map(index).collect();
    places.windows(2).filter(|pair| (pair[0] + 1) % clip.len() != pair[1]).count()
}

/// Returns the times for which a rendition has no segment, as start and end in milliseconds.
fn holes(manifest: &Value, name: &str) -> Vec<(u64, u64)> {
    let segments = manifest["segments"].as_array().expect("a list").iter();
    let of_rendition = segments.filter(|it| it["name"].as_str().is_some_and(|it| it.starts_with(name)));
    let spans = of_rendition.map(|it| (millis(&it["start_ms"]), millis(&it["start_ms"]) + millis(&it["duration_ms"])));
    let spans: Vec<_> = spans.collect();
    // A few milliseconds are rounded.
    spans.windows(2).map(|pair| (pair[0].1, pair[1].0)).filter(|(end, next)| *next > *end + 10).collect()
}

/// Checks a recording that lost something in the middle: all of it is stored and decodes, and the gaps are listed.
fn check_with_gaps(objects: &impl Objects, clip_name: &str) {
    let manifest = manifest(objects);
    assert_eq!(manifest["state"], "complete", "{manifest}");
    check_stored(objects, &manifest);
    let gaps = gaps(&manifest, "spool_full");
    assert!(!gaps.is_empty(), "what is missing is listed: {manifest}");
    assert_eq!(manifest["gaps"].as_array().map(Vec::len), Some(gaps.len()), "and nothing else is missing: {manifest}");
    let mut lost = 0;
    for (kind, name) in [('v', "video"), ('a', "audio")] {
        let published = packets(clip(clip_name).to_str().expect("UTF-8"), kind);
        let in_segments = packets(&objects.playable(&format!("{name}/index.m3u8")), kind);
        let in_mp4 = packets(&objects.playable("recording.mp4"), kind);
        assert!(in_segments == in_mp4, "{name}: segments and MP4 have the same packets");
        let holes = holes(&manifest, name);
        assert!(breaks(&in_mp4, &published) <= holes.len(), "{name} breaks off elsewhere, too: {manifest}");
        for (from, to) in &holes {
            let is_listed = gaps.iter().any(|(start, length)| start <= from && *to <= start + length + 2);
            assert!(is_listed, "{name} has nothing from {from} to {to} ms: {manifest}");
        }
        lost += holes.len();
    }
    assert!(lost > 0, "something did not fit: {manifest}");
}

/// The store is away for so long that the spool reaches its limit.
#[test]
fn a_spool_at_its_limit_costs_recordings_not_broadcasts() {
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    proxy.decide(|_| Fate::Dead);
    let mut arguments = S3::arguments(&proxy.address());
    arguments.extend(["--set".into(), "storage.spool_max_bytes=64MiB".into()]);
    let mut server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let rooms = ["first", "second"];
    let publishers = rooms.map(|room| publish_to(&server, HEAVY, room));
    let recordings = rooms.map(|room| wait_until_recorded(&server, room));
    for room in rooms {
        server.wait_for_room_within(room, "its recording finds no room", WITHIN, |state| {
            state["actors"]["packager"]["recorder"]["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("no storage space"))
        });
    }
    assert!(used_bytes(&server.spool()) <= (64 << 20) + (1 << 20), "the limit holds, but for a few journals");

    // A broadcast that begins now is not recorded, and says so.
    let late = publish_to(&server, "h264-distinct-opus.mp4", "late");
    let refused = server.wait_for_room("late", "it is live without a recording", |room| {
        room["hls"]["state"] == "ready" && room["recording"]["state"] == "unavailable"
    });
    let reason = refused["recording"]["reason"].as_str().expect("it says why");
    assert!(reason.contains("the spool is full"), "{reason}");
    let metrics = server.request(Method::GET, "/metrics").send().expect("the server is up").text().expect("a text");
    let value = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{series}: {metrics}"))
    };
    assert_eq!(value("onair_rooms{state=\"live\"}"), 3);
    let states = ["refusing", "dropping"].map(|state| value(&format!("onair_spool_pressure{{state=\"{state}\"}}")));
    assert!(states.contains(&1), "{metrics}");
    assert!(value("onair_spool_used_bytes") > 50 << 20, "{metrics}");
    assert!(value("onair_uploads_waiting") > 0 && value("onair_uploads_failed_attempts_total") > 0, "{metrics}");
    let before = rooms.map(|room| newest_segment(&server, room));
    eventually("the broadcasts go on", Duration::from_secs(30), || {
        let newest = rooms.map(|room| newest_segment(&server, room));
        newest.iter().zip(before).all(|(newest, before)| *newest >= before + 2).then_some(())
    });

    // The store is back.
    proxy.decide(|_| Fate::Passed);
    server.wait_for_room_within("late", "it is recorded in the end", WITHIN, |room| {
        room["recording"]["state"] == "recording"
    });
    for room in rooms {
        server.wait_for_room_within(room, "its backlog is gone", WITHIN, |state| {
            state["actors"]["packager"]["recorder"]["segments_waiting"].as_u64() <= Some(2)
        });
        let newest = newest_segment(&server, room);
        eventually("more is recorded", WITHIN, || (newest_segment(&server, room) >= newest + 2).then_some(()));
    }
    // The broadcasts end with the server; what is not stored in its time to go, the command stores.
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(server.run("recover").status.code(), Some(0));
    drop((publishers, late));
    for (room, recording) in rooms.iter().zip(&recordings) {
        check_with_gaps(&s3.recording(room, recording), HEAVY);
    }
    assert_eq!(used_bytes(&server.spool()), 0, "nothing is left in the spool");
    assert!(s3.uploads().is_empty());
}

/// The file system is full of other things: once up to the part that is to be left alone, once wholly.
#[test]
fn a_full_disk_costs_recordings_not_broadcasts() {
    for (min_free_bytes, filled_to_bytes) in [(16 << 20, 8 << 20), (0, 0)] {
        let _alone = alone();
        let min_free = format!("storage.spool_min_free={min_free_bytes}B");
        let mut s3 = S3::start();
        let proxy = Proxy::before(s3.address());
        let mut arguments = S3::arguments(&proxy.address());
        arguments.extend(["--set".into(), min_free]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut server = Server::with_small_disk(64 << 20, &arguments);
        let publisher = publish_to(&server, "h264-distinct-opus.mp4", "room");
        let recording = wait_until_recorded(&server, "room");
        server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");

        let filler = server.spool().join("filler");
        fill(&filler, filled_to_bytes);
        server.wait_for_room("room", "the recording finds no room", |state| {
            state["actors"]["packager"]["recorder"]["last_error"].is_string()
        });
        let before = newest_segment(&server, "room");
        eventually("the broadcast goes on", Duration::from_secs(30), || {
            (newest_segment(&server, "room") >= before + 2).then_some(())
        });
        let state = server.json("/api/rooms/room").expect("it is live");
        assert_eq!(state["recording"]["state"], "recording", "{state}");

        fs::remove_file(&filler).expect("it is there");
        let newest = newest_segment(&server, "room");
        eventually("more is recorded", Duration::from_secs(30), || {
            (newest_segment(&server, "room") >= newest + 3).then_some(())
        });
        assert_eq!(server.terminate(), Some(0));
        drop(publisher);
        check_with_gaps(&s3.recording("room", &recording), "h264-distinct-opus.mp4");
    }
}

/// Writes a file until so much of its disk is left.
fn fill(path: &Path, left_bytes: u64) {
    let mut file = File::create(path).expect("there is room for a name");
    loop {
        let stat = rustix::fs::statvfs(path).expect("a file system");
        let rest = (stat.f_bavail * stat.f_frsize).saturating_sub(left_bytes);
        if rest == 0 || file.write_all(&vec![0; rest.min(1 << 20) as usize]).is_err() {
            return;
        }
    }
}

/// Adds up the files below a directory.
fn used_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    // What is being removed may be gone by now.
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// A recording that could not begin was tried for each segment, with an event each; and once nothing was tried any more
/// the room said that it was stored.
#[test]
fn a_recording_that_cannot_begin_says_why_and_begins_when_it_can() {
    let _alone = alone();
    let server = Server::start();
    // A file where a folder is to be.
    let obstacle = server.spool().join("room");
    fs::write(&obstacle, []).expect("the spool is there");
    let publisher = publish_to(&server, "h264-opus.mp4", "room");
    let room = server.wait_for_room("room", "it says why", |room| room["recording"]["state"] == "failed");
    let reason = room["recording"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("the spool cannot be used: ") && !reason.contains("room"), "{reason}");
    assert_eq!(room["recording"]["recording"], Value::Null, "{room}");
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let newest = newest_segment(&server, "room");
    eventually("the broadcast goes on", Duration::from_secs(60), || {
        (newest_segment(&server, "room") >= newest + 3).then_some(())
    });
    assert_eq!(server.log().matches("not recorded; it is tried again and again").count(), 1, "{}", server.log());
    fs::remove_file(&obstacle).expect("it is there");
    server.wait_for_room_within("room", "it is recorded in the end", WITHIN, |room| {
        room["recording"]["state"] == "recording"
    });
    publisher.kill();
}
