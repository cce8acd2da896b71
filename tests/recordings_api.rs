//! `/api/recordings` and `/recordings`: listing, paging, ranges and deletion (CONTRACT §3).

use std::time::Duration;

use reqwest::Method;

use crate::support::{Answer, Server, alone, eventually, finished_recording, publish};

/// Records half a dozen seconds in each room, one after the other.
fn with_recordings(rooms: &[&str]) -> Server {
    let server = Server::start();
    let publishers: Vec<_> =
        rooms.iter().map(|room| publish("h264-only.mp4", &server.url(&format!("/whip/{room}")), &[])).collect();
    for mut publisher in publishers {
        assert!(publisher.wait(Duration::from_secs(30)).success());
    }
    for room in rooms {
        finished_recording(&server, room);
    }
    server
}

fn get(server: &Server, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let request = server.request(method, path);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .send()
        .expect("an answer")
        .into()
}

/// RFC 9110 §14: ranges, and what a player needs to resume.
#[test]
fn objects_are_served_whole_and_in_ranges() {
    let _alone = alone();
    let server = with_recordings(&["room"]);
    let recording = finished_recording(&server, "room")["recording"].as_str().expect("an id").to_owned();
    let path = format!("/recordings/room/{recording}/recording.mp4");
    let whole = get(&server, Method::GET, &path, &[]);
    let (status, total) = (whole.status, whole.body.len());
    assert_eq!((status, whole.header("content-type"), whole.header("accept-ranges")), (200, "video/mp4", "bytes"));
    let etag = whole.header("etag");
    assert!(!etag.is_empty());

    let head = get(&server, Method::HEAD, &path, &[]);
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, etag));
    assert_eq!(head.header("content-length"), total.to_string());
    let unchanged = get(&server, Method::GET, &path, &[("if-none-match", etag)]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    for (range, from, to) in [("bytes=0-99", 0, 100), ("bytes=100-", 100, total), ("bytes=-50", total - 50, total)] {
        let part = get(&server, Method::GET, &path, &[("range", range)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{total}", to - 1));
        assert!(part.body == whole.body[from..to], "{range}");
    }
    let beyond = get(&server, Method::GET, &path, &[("range", &format!("bytes={total}-"))]);
    let beyond = beyond.refused(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{total}"));
    assert_eq!(get(&server, Method::GET, &path, &[("range", "lines=1-2")]).status, 200, "an unknown unit is ignored");
}

#[test]
fn what_is_not_an_object_is_not_found() {
    let _alone = alone();
    let server = with_recordings(&["room"]);
    let recording = finished_recording(&server, "room")["recording"].as_str().expect("an id").to_owned();
    for object in [
        "none.mp4",
        "video/999999.m4s",
        "video",
        "video/",
        "%2e%2e/%2e%2e/log",
        "..%2f..%2flog",
        "video//index.m3u8",
        "%00",
    ] {
        let answer = get(&server, Method::GET, &format!("/recordings/room/{recording}/{object}"), &[]);
        assert_eq!(answer.status, 404, "{object}: {}", answer.text());
    }
    get(&server, Method::GET, "/api/recordings/room/20200101T000000Z-000000", &[]).refused(404, "recording_not_found");
    get(&server, Method::GET, "/api/recordings/room/junk", &[]).refused(404, "recording_not_found");
}

#[test]
fn recordings_are_listed_newest_first_and_by_page() {
    let _alone = alone();
    let server = with_recordings(&["a", "b", "c"]);
    let all = server.json("/api/recordings").expect("a list");
    let ids_of = |page: &serde_json::Value| -> Vec<String> {
        let recordings = page["recordings"].as_array().expect("a list").iter();
        recordings.map(|one| one["recording"].as_str().expect("an id").to_owned()).collect()
    };
    let ids = ids_of(&all);
    assert_eq!((ids.len(), &all["next"]), (3, &serde_json::Value::Null), "{all}");
    // An id begins with the second, as in 20261122T063000Z; within one second any order will do.
    assert!(ids.windows(2).all(|pair| pair[0][..16] >= pair[1][..16]), "{ids:?}");

    let (mut path, mut paged) = ("/api/recordings?limit=1".to_owned(), Vec::new());
    // One request more than there are recordings: the last page may be empty.
    for _ in 0..4 {
        let page = server.json(&path).expect("a page");
        let on_page = ids_of(&page);
        assert!(on_page.len() <= 1, "{page}");
        paged.extend(on_page);
        let Some(cursor) = page["next"].as_str() else { break };
        path = format!("/api/recordings?limit=1&cursor={cursor}");
    }
    assert_eq!(paged, ids);
    let of_room = server.json("/api/recordings?room=b").expect("a list");
    assert_eq!(of_room["recordings"].as_array().map(Vec::len), Some(1), "{of_room}");
    for bad in ["limit=x", "room=..%2f", "from=yesterday"] {
        assert_eq!(get(&server, Method::GET, &format!("/api/recordings?{bad}"), &[]).status, 400, "{bad}");
    }
}

#[test]
fn a_deleted_recording_leaves_nothing() {
    let _alone = alone();
    let server = with_recordings(&["room"]);
    let recording = finished_recording(&server, "room")["recording"].as_str().expect("an id").to_owned();
    let path = format!("/api/recordings/room/{recording}");
    let deleted = get(&server, Method::DELETE, &path, &[]);
    assert!(matches!(deleted.status, 200 | 204), "{}", deleted.text());
    get(&server, Method::GET, &path, &[]).refused(404, "recording_not_found");
    get(&server, Method::DELETE, &path, &[]).refused(404, "recording_not_found");
    assert_eq!(server.json("/api/recordings").expect("a list")["recordings"].as_array().map(Vec::len), Some(0));
    let left = || std::fs::read_dir(server.recordings().join("room").join(&recording)).map_or(0, Iterator::count);
    eventually("no object is left", Duration::from_secs(5), || (left() == 0).then_some(()));
}

/// The list shows what is being recorded, too.
#[test]
fn a_recording_under_way_is_listed_as_live() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "a recording begins", |room| room["recording"]["state"] == "recording");
    let entry = eventually("it is listed", Duration::from_secs(20), || {
        server.json("/api/recordings?room=room")?["recordings"].as_array()?.first().cloned()
    });
    assert_eq!(entry["state"], "live", "{entry}");
    let path = format!("/api/recordings/room/{}", entry["recording"].as_str().expect("an id"));
    eventually("its manifest grows", Duration::from_secs(20), || {
        let segments = server.json(&path)?["segments"].as_array()?.len();
        (segments >= 4).then_some(())
    });
    drop(publisher);
}
