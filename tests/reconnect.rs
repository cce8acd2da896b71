//! A publisher that breaks off and comes back within `record.reconnect_s`: one recording, which says where it was away.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{
    Server, alone, check_stored, check_whole, clip, decode_errors_beside_gaps, eventually, finished_recording, gaps,
    manifest, millis, packets, probe, publish,
};

const CLIP: &str = "h264-distinct-opus.mp4";

/// How far the manifest may be from what the clock said before and after, in milliseconds: packets are on their way for a
/// moment, and programs take a moment to end.
const APART_MAX_MS: u64 = 3_000;

/// Checks that a length lies between what was measured too short and too long.
#[track_caller]
fn check_between(shortest: Duration, ms: u64, longest: Duration) {
    let (shortest_ms, longest_ms) = (shortest.as_millis() as u64, longest.as_millis() as u64);
    let range = shortest_ms.saturating_sub(APART_MAX_MS)..=longest_ms + APART_MAX_MS;
    assert!(range.contains(&ms), "{ms} ms, by the clock {shortest_ms} to {longest_ms} ms");
}

/// Returns the number of the segment behind the only discontinuity of a playlist.
fn discontinuity(playlist: &str) -> u64 {
    let parts: Vec<_> = playlist.split("#EXT-X-DISCONTINUITY\n").collect();
    assert_eq!(parts.len(), 2, "{playlist}");
    let next = parts[1].lines().find_map(|line| line.strip_suffix(".m4s")).expect("a segment follows");
    next.parse().expect("segments are numbered")
}

/// Checks that a clip from before a gap to behind it tells the time as the recording does.
fn check_clip_across(server: &Server, recording: &str, gap_start_ms: u64, gap_ms: u64) {
    let (from_ms, to_ms) = (gap_start_ms - 1_500, gap_start_ms + gap_ms + 1_500);
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let (from, to) = (seconds(from_ms), seconds(to_ms));
    let url = server.url(&format!("/recordings/room/{recording}/clip.mp4?from={from}&to={to}"));
    assert_eq!(decode_errors_beside_gaps(&url), "");
    let probed = probe(&url);
    let lasts: f64 = probed["format"]["duration"].as_str().and_then(|text| text.parse().ok()).expect("seconds");
    assert!((lasts - (to - from)).abs() < 0.1, "{lasts} s from {from} to {to}");
    // A second and a half on either side, and the picture that the gap holds.
    let pictures = packets(&url, 'v').len();
    assert!((90..=130).contains(&pictures), "{pictures} pictures");
}

#[test]
fn a_recording_with_a_reconnect_tells_the_time() {
    let _alone = alone();
    let server = Server::with(&["--set", "record.reconnect_s=60"]);
    let begun = Instant::now();
    let first = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    server.wait_until_live("room");
    let seen = Instant::now();
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let live = server.json("/api/rooms/room").expect("it is live");
    first.kill();
    let away = Instant::now();
    eventually("the server notices that nothing comes any more", Duration::from_secs(60), || {
        server.json("/api/rooms/room").filter(|room| room["state"] == "reconnecting")
    });
    let second = Instant::now();
    let mut publisher = publish(CLIP, &server.url("/whip/room"), &[]);
    server.wait_until_live("room");
    let back = Instant::now();
    assert!(publisher.wait(Duration::from_secs(60)).success());
    let ended = Instant::now();
    let broadcast = live["recording"]["recording"].as_str().expect("an id");
    assert_eq!(finished_recording(&server, "room")["recording"], broadcast);
    let list = server.json("/api/recordings?room=room").expect("a list");
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(1), "{list}");

    let folder = server.recordings().join("room").join(broadcast);
    let objects = folder.as_path();
    let manifest = manifest(&objects);
    check_stored(&objects, &manifest);
    check_whole(&["--set", &server.storage()], &format!("room/{broadcast}"));
    let playlists =
        ["video", "audio"].map(|kind| fs::read_to_string(folder.join(kind).join("index.m3u8")).expect("a playlist"));
    let [video, audio] = playlists.each_ref().map(|playlist| discontinuity(playlist));
    assert_eq!(video, audio, "both renditions break off at the same number");

    // The clock says the same as the manifest.
    let gaps = gaps(&manifest, "publisher_reconnect");
    assert_eq!((gaps.len(), manifest["gaps"].as_array().map(Vec::len)), (1, Some(1)), "{manifest}");
    let (gap_start_ms, gap_ms) = gaps[0];
    check_between(second - away, gap_ms, back - away);
    let duration_ms = millis(&manifest["duration_ms"]);
    check_between(ended - seen, duration_ms, ended - begun);
    let mp4 = folder.join("recording.mp4");
    let mp4 = mp4.to_str().expect("UTF-8");
    let probed = probe(mp4);
    let mp4_s: f64 = probed["format"]["duration"].as_str().and_then(|text| text.parse().ok()).expect("seconds");
    assert!((mp4_s - duration_ms as f64 / 1000.0).abs() < 0.1, "the MP4 lasts {mp4_s} s: {manifest}");

    check_clip_across(&server, broadcast, gap_start_ms, gap_ms);

    // What came back is there from its first packet to its last one.
    for (kind, per_second) in [('v', 30), ('a', 50)] {
        let published = packets(clip(CLIP).to_str().expect("UTF-8"), kind);
        let recorded = packets(mp4, kind);
        let (before, after) = recorded.split_at(recorded.len() - published.len());
        assert!(after == published, "{kind}: the second session is whole");
        assert!(published.starts_with(before), "{kind}: nothing is missing from the first one's beginning on");
        let before_ms = before.len() as u64 * 1000 / per_second;
        assert!(before_ms.abs_diff(gap_start_ms) <= 100, "{kind}: {before_ms} ms, then {manifest}");
    }
}
