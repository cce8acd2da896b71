//! What the packager and the recorder make of packets: frames, segments, files, and ffmpeg's word on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{Depacketized, Depacketizer, Frame, MediaKind, RtpPacket};
use onair_recorder::progressive::layout;
use onair_recorder::{Cut, Fragmenter, FragmenterSettings, Init, Segment};

use super::clip::run;

const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };

/// Packages one publisher.
pub(crate) struct Packaging {
    depacketizer: Depacketizer,
    fragmenter: Fragmenter,
    inits: BTreeMap<(MediaKind, u32), Init>,
    segments: Vec<Arc<Segment>>,
    /// Presentation time and whether it is a keyframe, of every video frame, in order.
    pub(crate) video: Vec<(i64, bool)>,
    pub(crate) audio_frames: usize,
    /// Packets given up, by kind.
    pub(crate) lost: BTreeMap<MediaKind, u64>,
    /// A keyframe is to be asked for.
    pub(crate) wants_keyframe: bool,
}

impl Packaging {
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            depacketizer: Depacketizer::new(origin),
            fragmenter: Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]),
            inits: BTreeMap::new(),
            segments: Vec::new(),
            video: Vec::new(),
            audio_frames: 0,
            lost: BTreeMap::new(),
            wants_keyframe: false,
        }
    }

    pub(crate) fn push(&mut self, packet: &RtpPacket) {
        self.depacketizer.push(packet);
    }

    /// Works off what is ready.
    pub(crate) fn step(&mut self, now: Instant) {
        while let Some(event) = self.depacketizer.pull(now) {
            match event {
                Depacketized::Frame(kind, frame) => self.keep(kind, frame),
                Depacketized::Lost { kind, packets } => *self.lost.entry(kind).or_default() += packets,
                Depacketized::KeyframeWanted => self.wants_keyframe = true,
                Depacketized::ClockJump { kind, by_ms } => panic!("the {kind:?} clock jumped by {by_ms} ms"),
            }
        }
        self.pull();
    }

    /// Ends the recording.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.depacketizer.flush();
        self.step(now);
        self.fragmenter.finish();
        self.pull();
    }

    /// Asserts that segments and the file decode without a complaint, and hold every frame that came out but the sound
    /// from before the first picture.
    pub(crate) fn assert_decodes(&self, name: &str) {
        let directory = Directory::new(name);
        let audio_frames = self.audio_frames - self.fragmenter.dropped_frames() as usize;
        for (kind, frames) in [(MediaKind::Video, self.video.len()), (MediaKind::Audio, audio_frames)] {
            let file = directory.write(&format!("{}.mp4", kind.as_str()), &self.rendition(kind));
            assert_clean(&file);
            assert_eq!(packets(&file), format!("{frames}\n"), "{name}: {kind:?} segments");
        }
        let file = directory.write("recording.mp4", &self.progressive());
        assert_clean(&file);
        assert_eq!(packets(&file), format!("{}\n{}\n", self.video.len(), audio_frames), "{name}: the file");
    }

    fn keep(&mut self, kind: MediaKind, frame: Frame) {
        match kind {
            MediaKind::Video => self.video.push((frame.pts_ticks, frame.keyframe)),
            MediaKind::Audio => self.audio_frames += 1,
        }
        self.fragmenter.push(kind, frame);
    }

    fn pull(&mut self) {
        while let Some(cut) = self.fragmenter.pull() {
            match cut {
                Cut::Init(init) => drop(self.inits.insert((init.kind, init.index), init)),
                Cut::Segment(segment) => self.segments.push(segment),
                Cut::Part(_) => {}
                Cut::KeyframeWanted => self.wants_keyframe = true,
            }
        }
    }

    /// Puts a rendition together as a player does: the initialisation segment, then the segments.
    fn rendition(&self, kind: MediaKind) -> Vec<u8> {
        let mut bytes = self.inits[&(kind, 1)].bytes.to_vec();
        let segments = self.segments.iter().filter(|segment| segment.kind == kind);
        segments.for_each(|segment| bytes.extend_from_slice(&segment.bytes));
        bytes
    }

    /// Puts the file together from the stored segments.
    fn progressive(&self) -> Vec<u8> {
        let segments: BTreeMap<_, _> =
            self.segments.iter().map(|segment| ((segment.kind, segment.msn), segment)).collect();
        let config = |segment: &Segment| &self.inits[&(segment.kind, segment.init)].config;
        let layout = layout(self.segments.iter().map(|segment| (segment.as_ref(), config(segment)))).unwrap();
        let mut file = layout.header.to_vec();
        for piece in layout.pieces {
            let bytes = &segments[&(piece.kind, piece.msn)].bytes;
            file.extend_from_slice(&bytes[piece.range.start as usize..piece.range.end as usize]);
        }
        file
    }
}

/// Decodes the whole file and asserts that the decoder has nothing to complain about.
fn assert_clean(file: &Path) {
    // Times stay as they are: ffmpeg would round them to the frame rate, and pictures that catch up are closer than that.
    let times = ["-enc_time_base", "-1", "-f", "null", "-"];
    let output = run("ffmpeg", &[&["-v", "error", "-i", file.to_str().unwrap()], &times[..]].concat());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", file.display());
}

/// Returns the number of packets of each stream, a line each.
fn packets(file: &Path) -> String {
    let show = ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "default=nw=1:nk=1"];
    String::from_utf8(run("ffprobe", &[&show[..], &[file.to_str().unwrap()]].concat()).stdout).unwrap()
}

/// A directory of its own for each recording, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("network-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
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
