//! A WHIP client that is neither ours nor a browser: ffmpeg 9 publishes, Debian's ffmpeg reads HLS meanwhile.

use std::time::Duration;

use crate::support::{
    Server, alone, bundled_ffmpeg, check_playable, clip, decode_errors, eventually, finished_recording, probe,
};

#[test]
fn ffmpeg_publishes_over_whip() {
    let _alone = alone();
    let server = Server::start();
    let file = clip("h264-opus.mp4");
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let to = server.url("/whip/studio-1");
    let input = ["-re", "-i", file.to_str().expect("UTF-8"), "-c", "copy", "-f", "whip", &to];
    let mut ffmpeg = bundled_ffmpeg(&[&["-v", "info"], &input[..]].concat(), log.as_file());
    let room = server.wait_for_room("studio-1", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let codecs: Vec<_> =
        room["tracks"].as_array().expect("a list").iter().map(|track| track["codec"].clone()).collect();
    assert!(codecs.contains(&"h264".into()) && codecs.contains(&"opus".into()), "{room}");

    let live = server.url("/hls/studio-1/index.m3u8");
    let probed = eventually("ffprobe reads the live playlist", Duration::from_secs(10), || {
        let probed = probe(&live);
        (probed["streams"].as_array()?.len() == 2).then_some(probed)
    });
    let video = probed["streams"].as_array().and_then(|all| all.iter().find(|one| one["codec_name"] == "h264"));
    assert_eq!(video.map(|video| &video["width"]), Some(&640.into()), "{probed}");
    // The player begins while the broadcast runs, and the playlist ends with the broadcast.
    assert_eq!(decode_errors(&live), "");

    let said = || std::fs::read_to_string(log.path()).unwrap_or_default();
    assert_eq!(ffmpeg.wait(Duration::from_secs(20)).code(), Some(0), "{}", said());
    let recording = finished_recording(&server, "studio-1")["recording"].as_str().expect("an id").to_owned();
    let stored = server.recordings().join("studio-1").join(recording).join("recording.mp4");
    check_playable(stored.to_str().expect("UTF-8"), &["h264", "opus"], 12.0);
}
