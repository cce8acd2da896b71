//! A store that misbehaves in every way that stores are known to: each byte arrives all the same, and the broadcast goes
//! on meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{
    Fate, Objects, Proxy, Request, S3, Server, alone, check_stored, check_unbroken, clip, eventually, manifest,
    packets, publish,
};

const CLIP: &str = "h264-heavy-opus.mp4";

/// Pauses between attempts grow up to half a minute, and a busy machine is slow besides.
const WITHIN: Duration = Duration::from_secs(150);

/// What becomes of the first request for some objects; everything after that is passed on.
const FAULTS: [(&str, Fate); 9] = [
    ("PUT /video/init-1.mp4", Fate::Refused(500, "X-Fault: 1")),
    ("PUT /audio/init-1.mp4", Fate::Refused(429, "Retry-After: 1")),
    ("PUT /video/000001.m4s", Fate::ResetInBody),
    ("PUT /audio/000001.m4s", Fate::AnswerTruncated),
    ("PUT /video/000002.m4s", Fate::Swallowed),
    ("PUT /audio/000002.m4s", Fate::Refused(503, "Retry-After: 1")),
    ("PUT /video/000003.m4s", Fate::Delayed(Duration::from_secs(3))),
    ("PUT /recording.json", Fate::Swallowed),
    ("PUT part 2", Fate::ResetInBody),
];

/// Names a request as [`FAULTS`] does.
fn name_of(request: &Request) -> String {
    if let Some(number) = request.part_number() {
        return format!("PUT part {number}");
    }
    // bucket, prefix of two, room, recording.
    let path: Vec<_> = request.target.splitn(7, '/').collect();
    format!("{} /{}", request.method, path.get(6).copied().unwrap_or_default())
}

/// Counts the segments that were ever in the live video playlist.
fn listed(server: &Server) -> u64 {
    let get = |path: &str| {
        let answer = server.request(Method::GET, path).send().expect("the server is up");
        answer.text().expect("the body arrives")
    };
    let multivariant = get("/hls/room/index.m3u8");
    let video = multivariant.lines().find(|line| line.ends_with("/video/index.m3u8")).expect("a rendition");
    let playlist = get(&format!("/hls/room/{video}"));
    let last = playlist.lines().rev().find_map(|line| line.strip_suffix(".m4s")).expect("a segment");
    last.parse().expect("segments are numbered")
}

#[test]
fn every_byte_reaches_a_store_that_misbehaves() {
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    let mut faults: HashMap<&str, Fate> = FAULTS.into_iter().collect();
    proxy.decide(move |request| faults.remove(name_of(request).as_str()).unwrap_or(Fate::Passed));
    let arguments = S3::arguments(&proxy.address());
    let mut server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let recording = server.json("/api/rooms/room").expect("it is live")["recording"]["recording"].clone();
    let recording = recording.as_str().expect("an id");
    eventually("each fault was met", WITHIN, || {
        (proxy.count(|request| request.fate != Fate::Passed) >= FAULTS.len()).then_some(())
    });

    // The upload in parts vanishes when a part of it is there.
    eventually("a part is stored", WITHIN, || {
        (proxy.count(|request| request.part_number().is_some() && request.is_done()) > 0).then_some(())
    });
    s3.forget_uploads();
    eventually("the upload begins again", WITHIN, || {
        (proxy.count(|request| request.begins_upload() && request.is_done()) >= 2).then_some(())
    });

    // The store says that it has a part, and does not: that comes out when they are put together.
    let mut swallowed = false;
    proxy.decide(move |request| {
        let is_first = !swallowed && request.part_number().is_some();
        swallowed |= is_first;
        if is_first { Fate::Swallowed } else { Fate::Passed }
    });
    eventually("a part is swallowed", WITHIN, || {
        (proxy.count(|request| request.fate == Fate::Swallowed && request.part_number().is_some()) > 0).then_some(())
    });

    // The store is away. The broadcast goes on, and what waits is to be seen.
    proxy.decide(|_| Fate::Dead);
    let before = listed(&server);
    server.wait_for_room("room", "segments wait", |room| {
        let actors = &room["actors"];
        actors["packager"]["recorder"]["segments_waiting"].as_u64() >= Some(8)
            && actors["uploader"]["waiting"].as_u64() >= Some(1)
            && actors["uploader"]["last_error"].is_string()
    });
    assert!(listed(&server) >= before + 3, "the live playlist went on");
    assert_eq!(server.json("/api/rooms/room").expect("it is live")["recording"]["state"], "recording");
    proxy.decide(|_| Fate::Passed);
    server.wait_for_room_within("room", "the backlog is gone", WITHIN, |room| {
        room["actors"]["packager"]["recorder"]["segments_waiting"].as_u64() <= Some(2)
    });
    // The broadcast ends with the server; what is not stored in its time to go, the command stores.
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(server.run("recover").status.code(), Some(0));
    drop(publisher);

    let objects = s3.recording("room", recording);
    let manifest = manifest(&objects);
    assert_eq!(manifest["state"], "complete", "{manifest}");
    assert_eq!(manifest["gaps"], Value::Array(Vec::new()), "{manifest}");
    check_stored(&objects, &manifest);
    for (kind, name) in [('v', "video"), ('a', "audio")] {
        let published = packets(clip(CLIP).to_str().expect("UTF-8"), kind);
        let in_segments = packets(&objects.playable(&format!("{name}/index.m3u8")), kind);
        let in_mp4 = packets(&objects.playable("recording.mp4"), kind);
        check_unbroken(name, &in_segments, &published);
        assert!(in_segments == in_mp4, "{name}: segments and MP4 have the same packets");
    }
    assert!(s3.uploads().is_empty(), "no upload is left behind");
}

/// Eight ended broadcasts of a room could wait for the store. The ninth had neither HLS nor a recording.
#[test]
fn broadcasts_that_wait_for_the_store_do_not_keep_the_next_one_out() {
    const BROADCASTS: usize = 10;
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    proxy.decide(|_| Fate::Dead);
    let arguments = S3::arguments(&proxy.address());
    let mut server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let recordings: Vec<String> = (0..BROADCASTS)
        .map(|_| {
            let mut publisher = publish("h264-only.mp4", &server.url("/whip/room"), &[]);
            let room = server.wait_for_room("room", "it has HLS and is recorded", |room| {
                room["hls"]["state"] == "ready" && room["recording"]["state"] == "recording"
            });
            assert!(publisher.wait(Duration::from_secs(60)).success());
            server.wait_for_room("room", "it is over", |room| room["state"] == "idle");
            room["recording"]["recording"].as_str().expect("an id").to_owned()
        })
        .collect();
    proxy.decide(|_| Fate::Passed);
    assert_eq!(server.terminate(), Some(0));
    let recovered = server.run("recover");
    assert_eq!(recovered.status.code(), Some(0), "{}", String::from_utf8_lossy(&recovered.stderr));
    for recording in &recordings {
        let objects = s3.recording("room", recording);
        let manifest = manifest(&objects);
        assert_eq!(
            (&manifest["state"], &manifest["gaps"]),
            (&"complete".into(), &Value::Array(Vec::new())),
            "{manifest}"
        );
        check_stored(&objects, &manifest);
    }
}

/// The server ended between the completion of the MP4 and the entry that says so. All of it was sent again.
#[test]
fn an_mp4_that_is_in_the_store_is_not_sent_again() {
    let _alone = alone();
    let mut s3 = S3::start();
    let proxy = Proxy::before(s3.address());
    let arguments = S3::arguments(&proxy.address());
    let mut server = Server::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut publisher = publish(CLIP, &server.url("/whip/room"), &[]);
    let live = server.wait_for_room("room", "it is recorded", |room| room["recording"]["state"] == "recording");
    let recording = live["recording"]["recording"].as_str().expect("an id").to_owned();
    // The store has made the object, and is not heard of again.
    let mut is_over = false;
    proxy.decide(move |request| {
        let completes = request.completes_upload() && !is_over;
        is_over |= completes;
        if completes {
            Fate::AnswerTruncated
        } else if is_over {
            Fate::Dead
        } else {
            Fate::Passed
        }
    });
    assert!(publisher.wait(Duration::from_secs(60)).success());
    let put = |proxy: &Proxy| proxy.count(|request| request.part_number().is_some());
    eventually("the MP4 is made of its parts", WITHIN, || {
        (proxy.count(|request| request.completes_upload() && request.is_done()) > 0).then_some(())
    });
    server.kill();
    let parts = put(&proxy);
    assert!(parts >= 2, "the MP4 went up in parts");

    proxy.decide(|_| Fate::Passed);
    server.start_again(&[]);
    eventually("it is finished", WITHIN, || {
        let manifest = server.json(&format!("/api/recordings/room/{recording}"))?;
        (manifest["state"] == "complete").then_some(())
    });
    assert_eq!(put(&proxy), parts, "nothing of it is sent again");
    let objects = s3.recording("room", &recording);
    check_stored(&objects, &manifest(&objects));
    let published = packets(clip(CLIP).to_str().expect("UTF-8"), 'v');
    assert_eq!(packets(&objects.playable("recording.mp4"), 'v'), published);
    assert!(s3.uploads().is_empty(), "no upload is left behind");
}
