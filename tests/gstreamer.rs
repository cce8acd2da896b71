//! A player of another family: Debian's GStreamer plays a live broadcast by plain HLS, to its end.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Server, alone, publish};

/// Pictures are written this small: as many bytes each as this squared.
const SIDE: u64 = 16;

/// Returns how many bytes a file has.
fn bytes(dir: &TempDir, name: &str) -> u64 {
    fs::metadata(dir.path().join(name)).expect("GStreamer writes it").len()
}

#[test]
fn gstreamer_plays_hls_to_its_end() {
    let _alone = alone();
    let server = Server::start();
    let mut publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &[]);
    server.wait_for_room("room", "HLS is ready", |room| room["hls"]["state"] == "ready");
    let dir = TempDir::new().expect("a temporary directory");
    let url = server.url("/hls/room/index.m3u8");
    let file = |name: &str| format!("location={}", dir.path().join(name).display());
    let picture = format!("video/x-raw,format=GRAY8,width={SIDE},height={SIDE}");
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "souphttpsrc", &format!("location={url}"), "!", "hlsdemux", "name=hls"]);
    // What is decoded has the size and the rate of what was published.
    command.args(["hls.", "!", "decodebin", "!", "video/x-raw,width=640,height=360", "!", "videoconvert", "!"]);
    command.args(["videoscale", "!", &picture, "!", "filesink", &file("pictures"), "hls.", "!", "decodebin", "!"]);
    command.args(["audio/x-raw,rate=48000", "!", "audioconvert", "!", "audio/x-raw,format=S16LE,channels=1", "!"]);
    command.args(["filesink", &file("sound")]);
    let output = command.output().expect("GStreamer is installed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("ERROR") && !said.contains("WARNING"), "{said}");
    assert!(publisher.wait(Duration::from_secs(20)).success());
    let (pictures, seconds) = (bytes(&dir, "pictures") / (SIDE * SIDE), bytes(&dir, "sound") as f64 / 96_000.0);
    // It begins three segments behind what there is when it comes, and the clip lasts 12 s.
    assert!((8.0..12.5).contains(&seconds), "{seconds} s of sound");
    assert!((pictures as f64 / 30.0 - seconds).abs() < 0.2, "{pictures} pictures, {seconds} s of sound");
}
