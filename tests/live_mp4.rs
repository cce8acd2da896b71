//! The live stream as one endless MP4 over HTTP.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;

use crate::support::{Answer, Server, alone, check_unbroken, clip, eventually, packets, probe, publish};

const CLIP: &str = "h264-distinct-opus.mp4";

fn ask(server: &Server, method: Method, path: &str) -> Answer {
    server.request(method, path).send().expect("the server is up").into()
}

/// ffprobe and ffmpeg read it like a file, from a keyframe on, and it is what was published.
#[test]
fn ffmpeg_reads_the_live_stream() {
    let _alone = alone();
    let server = Server::start();
    ask(&server, Method::GET, "/live/room.mp4").refused(404, "room_not_found");
    let publisher = publish(CLIP, &server.url("/whip/room"), &["--loop"]);
    let url = server.url("/live/room.mp4");
    eventually("the stream is there", Duration::from_secs(60), || {
        (ask(&server, Method::HEAD, "/live/room.mp4").status == 200).then_some(())
    });
    // It has no end, and says what it is at its beginning.
    let probed = probe(&url);
    let streams = probed["streams"].as_array().expect("a list of streams");
    let of = |codec: &str| streams.iter().find(|stream| stream["codec_name"] == codec).expect(codec);
    assert_eq!((&of("h264")["width"], &of("h264")["height"]), (&640.into(), &360.into()), "{probed}");
    assert_eq!((&of("opus")["sample_rate"], &of("opus")["channels"]), (&"48000".into(), &2.into()), "{probed}");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("UTF-8");
    // Six seconds, copied as they come.
    let arguments = ["-nostdin", "-v", "error", "-y", "-t", "6", "-i", &url, "-c", "copy", "-f", "matroska", path];
    let copied = Command::new("ffmpeg").args(arguments).output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(copied.status.success() && said.is_empty(), "{said}");
    for (kind, least) in [('v', 150), ('a', 250)] {
        let (read, published) = (packets(path, kind), packets(clip(CLIP).to_str().expect("UTF-8"), kind));
        assert!(read.len() >= least, "{kind}: {} packets", read.len());
        let first = published.iter().position(|packet| *packet == read[0]).expect("a packet of the clip");
        assert!(kind == 'a' || first % 30 == 0, "it begins with a keyframe and not with packet {first}");
        let from_there: Vec<_> = published.iter().cycle().skip(first).take(published.len()).cloned().collect();
        check_unbroken(&format!("{kind}"), &read, &from_there);
    }
    publisher.kill();
}

/// The answer ends with the broadcast.
#[test]
fn the_stream_ends_with_the_broadcast() {
    let _alone = alone();
    let server = Server::start();
    let publisher = publish("h264-only.mp4", &server.url("/whip/room"), &[]);
    eventually("the stream is there", Duration::from_secs(60), || {
        (ask(&server, Method::HEAD, "/live/room.mp4").status == 200).then_some(())
    });
    let answer = server.request(Method::GET, "/live/room.mp4").timeout(Duration::from_secs(60)).send();
    let mut answer = answer.expect("the server is up");
    assert_eq!(answer.headers()["content-type"], "video/mp4");
    let mut bytes = Vec::new();
    answer.read_to_end(&mut bytes).expect("it ends in order");
    assert!(bytes.windows(4).filter(|four| four == b"moof").count() >= 4, "{} bytes", bytes.len());
    drop(publisher);
}
