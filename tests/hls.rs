//! Live HLS from outside: playlists that name only what can be fetched, and never change their mind (PROTOCOLS C, L1 to
//! L5; RFC 8216 §6.2).

use std::time::Duration;

use reqwest::Method;

use crate::support::{Answer, Server, alone, eventually, publish};

fn get(server: &Server, path: &str) -> Answer {
    server.request(Method::GET, path).send().expect("an answer").into()
}

/// Returns the value of a tag that stands alone on its line.
fn tag<'a>(playlist: &'a str, name: &str) -> &'a str {
    let value = playlist.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} is missing: {playlist}"))
}

fn uris(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Returns the paths of the video and the audio playlist of a live room.
fn renditions(server: &Server, room: &str) -> [String; 2] {
    let multivariant = get(server, &format!("/hls/{room}/index.m3u8"));
    assert_eq!(multivariant.header("content-type"), "application/vnd.apple.mpegurl");
    let text = multivariant.text();
    assert!(text.contains("CODECS=\"avc1.") && text.contains("opus") && text.contains("RESOLUTION=640x360"), "{text}");
    let video = uris(&text)[0].to_owned();
    let audio = text.lines().find(|line| line.starts_with("#EXT-X-MEDIA:")).expect("a rendition of its own");
    let audio = audio.split("URI=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has a URI");
    [format!("/hls/{room}/{video}"), format!("/hls/{room}/{audio}")]
}

/// Everything that a playlist names is there, and says what it is.
#[test]
fn what_is_listed_can_be_fetched() {
    let _alone = alone();
    let server = Server::start();
    assert_eq!(get(&server, "/hls/room/index.m3u8").status, 404);
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    for (path, media_type) in renditions(&server, "room").iter().zip(["video/mp4", "audio/mp4"]) {
        let playlist = get(&server, path).text();
        let init = tag(&playlist, "#EXT-X-MAP").trim_start_matches("URI=").trim_matches('"').to_owned();
        let base = path.trim_end_matches("index.m3u8");
        for object in uris(&playlist).into_iter().chain([init.as_str()]) {
            let answer = get(&server, &format!("{base}{object}"));
            assert_eq!((answer.status, answer.header("content-type")), (200, media_type), "{object}");
            assert!(answer.header("cache-control").contains("max-age"), "{}", answer.header("cache-control"));
            assert!(!answer.body.is_empty(), "{object}");
        }
        get(&server, &format!("{base}999999.m4s")).refused(404, "object_not_found");
        get(&server, &format!("{base}..%2findex.m3u8")).refused(404, "object_not_found");
    }
}

/// A player that still has the address of a broadcast that is over plays its recording.
#[test]
fn what_was_live_leads_to_its_recording() {
    let _alone = alone();
    let mut server = Server::start();
    let publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let [video, _] = renditions(&server, "room");
    let live = get(&server, &video).text();
    let segment = video.replace("index.m3u8", uris(&live)[0]);
    let bytes = get(&server, &segment).body;
    // The server ends the broadcast, and the next one has its recordings.
    assert_eq!(server.terminate(), Some(0));
    publisher.kill();
    server.start_again(&[]);
    let led_to = |path: &str| {
        let answer = get(&server, path);
        assert_eq!(answer.status, 307, "{}", answer.text());
        get(&server, answer.header("location"))
    };
    let recorded = led_to(&video).text();
    assert!(recorded.ends_with("#EXT-X-ENDLIST\n") && recorded.contains("#EXT-X-PLAYLIST-TYPE:VOD"), "{recorded}");
    for uri in uris(&live) {
        assert!(recorded.contains(uri), "{uri}: {recorded}");
    }
    assert!(led_to(&segment).body == bytes, "it is the same segment");
    let part = segment.replace(".m4s", ".0.m4s");
    get(&server, &part).refused(404, "object_not_found");
    let elsewhere = get(&server, &video.replace("/room/", "/other/"));
    get(&server, elsewhere.header("location")).refused(404, "object_not_found");
}

/// L1, L4: the target duration stays, numbers only grow, and the end is said.
#[test]
fn a_live_playlist_grows_and_ends() {
    let _alone = alone();
    let server = Server::start();
    let mut publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &[]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let paths = renditions(&server, "room");
    let first = get(&server, &paths[0]).text();
    let target = tag(&first, "#EXT-X-TARGETDURATION").to_owned();
    assert!(!first.contains("#EXT-X-ENDLIST") && !first.contains("#EXT-X-PLAYLIST-TYPE"), "{first}");
    assert!(first.contains("#EXT-X-PROGRAM-DATE-TIME:"), "{first}");
    let mut sequence: u64 = 0;
    let last = eventually("the playlist ends", Duration::from_secs(30), || {
        let playlist = get(&server, &paths[0]).text();
        assert_eq!(tag(&playlist, "#EXT-X-TARGETDURATION"), target, "{playlist}");
        let next = tag(&playlist, "#EXT-X-MEDIA-SEQUENCE").parse().expect("a number");
        assert!(next >= sequence, "{playlist}");
        sequence = next;
        playlist.contains("#EXT-X-ENDLIST").then_some(playlist)
    });
    assert!(publisher.wait(Duration::from_secs(10)).success());
    let limit: f64 = target.parse::<f64>().expect("whole seconds") + 0.5;
    let durations =
        last.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.parse::<f64>().ok());
    let durations: Vec<_> = durations.collect();
    assert!(durations.len() >= 5 && durations.iter().all(|seconds| *seconds < limit), "{last}");
    let total: f64 = durations.iter().sum();
    assert!((total - 12.0).abs() < 0.5, "{total} s: {last}");
}
