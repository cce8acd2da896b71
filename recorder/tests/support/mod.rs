//! Real media for the tests: made by ffmpeg, split into frames here, checked by ffmpeg again.

mod readers;

pub(crate) use readers::assert_readers_agree;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use onair_media::{CodecConfig, Frame};

/// Runs a tool of ffmpeg and returns what it said; it must succeed.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> Output {
    let output = Command::new(tool).args(arguments).output().unwrap_or_else(|err| panic!("{tool} is needed: {err}"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Decodes the whole file and asserts that the decoder has nothing to complain about.
pub(crate) fn assert_decodes(file: &Path) {
    let output = run("ffmpeg", &["-v", "error", "-i", file.to_str().unwrap(), "-f", "null", "-"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", file.display());
}

/// Returns ffprobe's answer for one entry of the streams, a line a stream.
pub(crate) fn probe(file: &Path, entry: &str) -> String {
    let show = format!("stream={entry}");
    let path = file.to_str().unwrap();
    let output =
        run("ffprobe", &["-v", "error", "-count_packets", "-show_entries", &show, "-of", "default=nw=1:nk=1", path]);
    String::from_utf8(output.stdout).unwrap()
}

/// A directory of its own for each test, removed at its end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("onair-recorder-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn url(&self) -> url::Url {
        url::Url::from_directory_path(&self.0).expect("the temporary directory is an absolute path")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Encodes `seconds` of a test picture at 30 frames a second, a keyframe every 2 s, without B-frames.
pub(crate) fn h264_frames(seconds: u32) -> Vec<Frame> {
    let source = format!("testsrc2=size=320x240:rate=30:duration={seconds}");
    let stream = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &source,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-profile:v",
            "baseline",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "0",
            "-g",
            "60",
            "-bsf:v",
            "h264_metadata=aud=insert",
            "-f",
            "h264",
            "-",
        ],
    )
    .stdout;
    let mut units: Vec<Vec<&[u8]>> = Vec::new();
    let (mut sps, mut pps) = (None, None);
    for nal in nal_units(&stream) {
        match nal[0] & 0x1f {
            9 => units.push(Vec::new()),
            7 => sps = Some(Bytes::copy_from_slice(nal)),
            8 => pps = Some(Bytes::copy_from_slice(nal)),
            _ => units.last_mut().unwrap().push(nal),
        }
    }
    let config = Arc::new(CodecConfig::H264 { sps: sps.unwrap(), pps: pps.unwrap(), width: 320, height: 240 });
    let frame = |(index, nals): (usize, Vec<&[u8]>)| Frame {
        pts_ticks: index as i64 * 3_000,
        dts_ticks: index as i64 * 3_000,
        keyframe: nals.iter().any(|nal| nal[0] & 0x1f == 5),
        config: Arc::clone(&config),
        data: length_prefixed(&nals),
    };
    units.into_iter().enumerate().map(frame).collect()
}

/// Encodes `seconds` of a test picture as H.265 at 30 frames a second, a keyframe every 2 s, without B-frames.
pub(crate) fn h265_frames(seconds: u32) -> Vec<Frame> {
    let source = format!("testsrc2=size=322x182:rate=30:duration={seconds}");
    let parameters = "log-level=error:keyint=60:min-keyint=60:scenecut=0:bframes=0:aud=1:repeat-headers=1";
    let input = ["-v", "error", "-f", "lavfi", "-i", &source];
    let encoder = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", parameters];
    let stream = run("ffmpeg", &[&input[..], &encoder, &["-f", "hevc", "-"]].concat()).stdout;
    let (mut units, mut sets) = (Vec::<Vec<&[u8]>>::new(), [const { Bytes::new() }; 3]);
    for nal in nal_units(&stream) {
        match nal[0] >> 1 {
            35 => units.push(Vec::new()),
            kind @ 32..=34 => sets[usize::from(kind) - 32] = Bytes::copy_from_slice(nal),
            _ => units.last_mut().unwrap().push(nal),
        }
    }
    let [vps, sps, pps] = sets;
    let config = Arc::new(CodecConfig::H265 { vps, sps, pps, width: 322, height: 182 });
    let frame = |(index, nals): (usize, Vec<&[u8]>)| Frame {
        pts_ticks: index as i64 * 3_000,
        dts_ticks: index as i64 * 3_000,
        keyframe: nals.iter().any(|nal| (16..24).contains(&(nal[0] >> 1))),
        config: Arc::clone(&config),
        data: length_prefixed(&nals),
    };
    units.into_iter().enumerate().map(frame).collect()
}

/// Splits an Annex B byte stream at its start codes (ITU-T H.264 Annex B).
fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let trim = |(start, end): (&usize, usize)| {
        let nal = &stream[start + 3..end];
        let zeros = nal.iter().rev().take_while(|byte| **byte == 0).count();
        &nal[..nal.len() - zeros]
    };
    starts.iter().zip(ends).map(trim).collect()
}

fn length_prefixed(nals: &[&[u8]]) -> Bytes {
    let mut data = BytesMut::new();
    for nal in nals {
        data.put_u32(nal.len() as u32);
        data.put_slice(nal);
    }
    data.freeze()
}

/// Encodes `seconds` of a tone as stereo Opus in packets of 20 ms.
pub(crate) fn opus_frames(seconds: u32) -> Vec<Frame> {
    let source = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let stream =
        run("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", &source, "-ac", "2", "-c:a", "libopus", "-f", "ogg", "-"]);
    let config = Arc::new(CodecConfig::Opus { channels: 2, pre_skip: 0 });
    let frame = |(index, data): (usize, Bytes)| Frame {
        pts_ticks: index as i64 * 960,
        dts_ticks: index as i64 * 960,
        keyframe: true,
        config: Arc::clone(&config),
        data,
    };
    // The first two packets are headers (RFC 7845 §3).
    ogg_packets(&stream.stdout).into_iter().skip(2).enumerate().map(frame).collect()
}

/// Takes the packets out of an Ogg stream (RFC 3533 §6).
fn ogg_packets(stream: &[u8]) -> Vec<Bytes> {
    let (mut packets, mut packet, mut at) = (Vec::new(), BytesMut::new(), 0);
    while at < stream.len() {
        assert_eq!(&stream[at..at + 4], b"OggS");
        let segments = usize::from(stream[at + 26]);
        let mut body = at + 27 + segments;
        for lacing in &stream[at + 27..at + 27 + segments] {
            packet.put_slice(&stream[body..body + usize::from(*lacing)]);
            body += usize::from(*lacing);
            if *lacing < 255 {
                packets.push(packet.split().freeze());
            }
        }
        at = body;
    }
    packets
}

/// Encodes `seconds` of a test picture as VP9, a keyframe every 2 s.
pub(crate) fn vp9_frames(seconds: u32) -> Vec<Frame> {
    let source = format!("testsrc2=size=320x240:rate=30:duration={seconds}");
    let stream = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &source,
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "60",
            "-f",
            "ivf",
            "-",
        ],
    )
    .stdout;
    let config = Arc::new(CodecConfig::Vp9 {
        profile: 0,
        level: 11,
        bit_depth: 8,
        chroma_subsampling: 1,
        full_range: false,
        width: 320,
        height: 240,
    });
    let (mut frames, mut at) = (Vec::new(), 32);
    while at < stream.len() {
        let size = u32::from_le_bytes(stream[at..at + 4].try_into().unwrap()) as usize;
        let data = Bytes::copy_from_slice(&stream[at + 12..at + 12 + size]);
        let ticks = frames.len() as i64 * 3_000;
        // Frame marker 10, profile 00, show_existing_frame 0, frame_type 0 is a keyframe.
        let keyframe = data[0] & 0x0c == 0;
        frames.push(Frame { pts_ticks: ticks, dts_ticks: ticks, keyframe, config: Arc::clone(&config), data });
        at += 12 + size;
    }
    frames
}
