//! A short broadcast to send: made by ffmpeg once, split into frames here.

use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

/// The length of the clip; it is played in a loop.
const SECONDS: u32 = 6;

/// Frames between two keyframes: one every 2 s.
const KEYFRAME_EVERY: usize = 60;

/// Pictures a second; 3,000 ticks of 90 kHz each.
pub(crate) const FRAME_RATE: u32 = 30;

/// Holds both tracks, frame by frame, in the form that packetizers take.
pub(crate) struct Clip {
    /// H.264 byte streams (ITU-T H.264 Annex B), one picture each, parameter sets before each keyframe.
    pub(crate) video: Vec<Arc<[u8]>>,
    /// Opus packets of 20 ms.
    pub(crate) audio: Vec<Arc<[u8]>>,
}

impl Clip {
    /// Returns the clip that all tests share.
    pub(crate) fn shared() -> &'static Self {
        static CLIP: LazyLock<Clip> = LazyLock::new(|| Clip { video: h264(), audio: opus() });
        &CLIP
    }

    /// Returns the first keyframe at or behind a frame; the clip begins with one.
    pub(crate) fn keyframe_from(&self, frame: usize) -> usize {
        frame.next_multiple_of(KEYFRAME_EVERY) % self.video.len()
    }
}

/// Runs a tool of ffmpeg and returns what it said; it must succeed.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> Output {
    let output = Command::new(tool).args(arguments).output().unwrap_or_else(|err| panic!("{tool} is needed: {err}"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Encodes the test picture without B-frames, about 1 Mbit/s, so that most frames need several packets.
fn h264() -> Vec<Arc<[u8]>> {
    let source = format!("testsrc2=size=480x270:rate={FRAME_RATE}:duration={SECONDS}");
    let input = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast"];
    let rate =
        ["-profile:v", "baseline", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "60", "-sc_threshold", "0", "-crf", "28"];
    let output = ["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"];
    let stream = run("ffmpeg", &[&input[..], &rate[..], &output[..]].concat()).stdout;
    // An access unit delimiter (type 9) begins each picture.
    let is_delimiter = |bytes: &[u8]| matches!(bytes, [0, 0, 0, 1, 0x09, _]);
    let starts = stream.windows(6).enumerate().filter(|(_, bytes)| is_delimiter(bytes)).map(|(at, _)| at);
    let starts: Vec<_> = starts.chain([stream.len()]).collect();
    starts.windows(2).map(|pair| stream[pair[0]..pair[1]].into()).collect()
}

fn opus() -> Vec<Arc<[u8]>> {
    let source = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
    let input = ["-v", "error", "-f", "lavfi", "-i", &source];
    let stream = run("ffmpeg", &[&input[..], &["-ac", "2", "-c:a", "libopus", "-f", "ogg", "-"]].concat()).stdout;
    // The first two packets are headers (RFC 7845 §3).
    ogg_packets(&stream).into_iter().skip(2).collect()
}

/// Takes the packets out of an Ogg stream (RFC 3533 §6).
fn ogg_packets(stream: &[u8]) -> Vec<Arc<[u8]>> {
    let (mut packets, mut packet, mut page) = (Vec::new(), Vec::new(), stream);
    while let Some(&segments) = page.get(26) {
        let (header, mut rest) = page.split_at(27 + usize::from(segments));
        for &lacing in &header[27..] {
            let (part, behind) = rest.split_at(lacing.into());
            packet.extend_from_slice(part);
            rest = behind;
            if lacing < 255 {
                packets.push(std::mem::take(&mut packet).into());
            }
        }
        page = rest;
    }
    packets
}
