//! Arbitrary frames of arbitrary configurations: what is cut is whole and adds up, and every frame is accounted for.

#![no_main]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use onair_media::{CodecConfig, Frame, MediaKind};
use onair_recorder::{Cut, Fragmenter, FragmenterSettings, Part};

#[derive(Debug, Clone, Arbitrary)]
enum Config {
    H264 { sps: Vec<u8>, pps: Vec<u8>, width: u32, height: u32 },
    H265 { sets: [Vec<u8>; 3], width: u32, height: u32 },
    Vp9 { profile: u8, level: u8, bit_depth: u8, chroma: u8, full_range: bool, width: u32, height: u32 },
    Av1 { bytes: [u8; 4], flags: [bool; 4], sequence_header: Vec<u8>, width: u32, height: u32 },
    Opus { channels: u8, pre_skip: u16 },
}

#[derive(Debug, Arbitrary)]
enum Step {
    Frame {
        audio: bool,
        after: i32,
        shown_after: i32,
        keyframe: bool,
        config: u8,
        bytes: u8,
    },
    /// Frames in step, as a sender means them.
    Steady {
        frames: u8,
        config: u8,
    },
    Far {
        audio: bool,
        dts: i64,
        pts: i64,
        config: u8,
    },
    Tracks {
        audio: bool,
        video: bool,
    },
    Discontinuity,
}

#[derive(Debug, Arbitrary)]
struct Broadcast {
    segment_ms: u16,
    part_ms: u16,
    configs: [Config; 3],
    steps: Vec<Step>,
}

struct Bench {
    fragmenter: Fragmenter,
    configs: Vec<Arc<CodecConfig>>,
    dts: [i64; 2],
    pushed: u64,
    samples: u64,
    /// The parts of the open segment of each rendition.
    open: [Vec<Arc<Part>>; 2],
}

impl Bench {
    fn frame(&mut self, kind: MediaKind, dts_ticks: i64, pts_ticks: i64, keyframe: bool, config: u8, bytes: u8) {
        let config = Arc::clone(&self.configs[usize::from(config) % self.configs.len()]);
        let data = Bytes::from(vec![0; bytes.into()]);
        self.fragmenter.push(kind, Frame { pts_ticks, dts_ticks, keyframe, config, data });
        self.pushed += 1;
    }

    fn after(&mut self, kind: MediaKind, ticks: i64) -> i64 {
        let dts = &mut self.dts[usize::from(kind == MediaKind::Audio)];
        *dts = dts.saturating_add(ticks);
        *dts
    }

    fn play(&mut self, step: &Step) {
        let kind = |audio| if audio { MediaKind::Audio } else { MediaKind::Video };
        match *step {
            Step::Frame { audio, after, shown_after, keyframe, config, bytes } => {
                let dts = self.after(kind(audio), after.into());
                self.frame(kind(audio), dts, dts.saturating_add(shown_after.into()), keyframe, config, bytes);
            }
            Step::Steady { frames, config } => {
                for n in 0..frames {
                    let (video, audio) = (self.after(MediaKind::Video, 3_000), self.after(MediaKind::Audio, 1_600));
                    self.frame(MediaKind::Video, video, video, n % 30 == 0, config, 4);
                    self.frame(MediaKind::Audio, audio, audio, true, config.wrapping_add(1), 4);
                }
            }
            Step::Far { audio, dts, pts, config } => self.frame(kind(audio), dts, pts, true, config, 1),
            Step::Tracks { audio, video } => {
                let tracks = [(audio, MediaKind::Audio), (video, MediaKind::Video)];
                let tracks: Vec<_> =
                    tracks.into_iter().filter(|&(is_there, _)| is_there).map(|(_, kind)| kind).collect();
                self.fragmenter.set_tracks(&tracks);
            }
            Step::Discontinuity => self.fragmenter.discontinuity(),
        }
        self.pull();
    }

    fn pull(&mut self) {
        while let Some(cut) = self.fragmenter.pull() {
            match cut {
                Cut::Init(init) => assert!(!init.bytes.is_empty()),
                Cut::Part(part) => {
                    let durations: u64 = part.samples.iter().map(|sample| u64::from(sample.duration_ticks)).sum();
                    assert_eq!((part.duration_ticks, part.size_bytes()), (durations, part.bytes.len() as u64));
                    self.samples += part.samples.len() as u64;
                    self.open[usize::from(part.kind == MediaKind::Audio)].push(part);
                }
                Cut::Segment(segment) => {
                    let parts = std::mem::take(&mut self.open[usize::from(segment.kind == MediaKind::Audio)]);
                    assert!(!parts.is_empty() && parts.len() == segment.parts.len());
                    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
                    let durations: u64 = parts.iter().map(|part| part.duration_ticks).sum();
                    assert_eq!((bytes.as_slice(), durations), (&segment.bytes[..], segment.duration_ticks));
                }
                Cut::KeyframeWanted => {}
            }
        }
    }
}

fuzz_target!(|broadcast: Broadcast| {
    let settings = FragmenterSettings {
        segment_target: Duration::from_millis(u64::from(broadcast.segment_ms).max(100)),
        part_target: Duration::from_millis(u64::from(broadcast.part_ms).max(50)),
    };
    let mut bench = Bench {
        fragmenter: Fragmenter::new(settings, &[MediaKind::Video, MediaKind::Audio]),
        configs: broadcast.configs.iter().cloned().map(|config| Arc::new(config.into())).collect(),
        dts: [0; 2],
        pushed: 0,
        samples: 0,
        open: [Vec::new(), Vec::new()],
    };
    for step in &broadcast.steps {
        bench.play(step);
    }
    bench.fragmenter.finish();
    bench.pull();
    assert!(bench.open.iter().all(Vec::is_empty));
    assert_eq!(bench.samples + bench.fragmenter.dropped_frames(), bench.pushed);
});

impl From<Config> for CodecConfig {
    fn from(config: Config) -> Self {
        match config {
            Config::H264 { sps, pps, width, height } => Self::H264 { sps: sps.into(), pps: pps.into(), width, height },
            Config::H265 { sets, width, height } => {
                let [vps, sps, pps] = sets.map(Bytes::from);
                Self::H265 { vps, sps, pps, width, height }
            }
            Config::Vp9 { profile, level, bit_depth, chroma, full_range, width, height } => {
                Self::Vp9 { profile, level, bit_depth, chroma_subsampling: chroma, full_range, width, height }
            }
            Config::Av1 { bytes, flags, sequence_header, width, height } => Self::Av1 {
                profile: bytes[0],
                level_idx: bytes[1],
                high_tier: flags[0],
                bit_depth: bytes[2],
                monochrome: flags[1],
                subsampling_x: flags[2],
                subsampling_y: flags[3],
                sample_position: bytes[3],
                sequence_header: sequence_header.into(),
                width,
                height,
            },
            Config::Opus { channels, pre_skip } => Self::Opus { channels, pre_skip },
        }
    }
}
