//! What we cut decodes without a complaint: segments put together, and the progressive file.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use onair_media::{Frame, MediaKind, RecordingId, RoomName};
use onair_recorder::progressive::layout;
use onair_recorder::{
    Completeness, Cut, Fragmenter, FragmenterSettings, Init, ObjectName, ObjectPath, RecordingPlaylists, Segment, Store,
};

use support::{
    Directory, assert_decodes, assert_readers_agree, h264_frames, h265_frames, opus_frames, probe, vp9_frames,
};

const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(2), part_target: Duration::from_millis(500) };

/// What a broadcast left behind.
#[derive(Default)]
struct Stored {
    inits: BTreeMap<(MediaKind, u32), Init>,
    segments: Vec<Arc<Segment>>,
}

impl Stored {
    fn pull(&mut self, fragmenter: &mut Fragmenter) {
        while let Some(cut) = fragmenter.pull() {
            match cut {
                Cut::Init(init) => drop(self.inits.insert((init.kind, init.index), init)),
                Cut::Segment(segment) => self.segments.push(segment),
                Cut::Part(_) | Cut::KeyframeWanted => {}
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

/// Returns frames that are `shift_s` seconds later than they were made.
fn later(frames: &[Frame], rate: i64, shift_s: i64) -> Vec<Frame> {
    let shift = shift_s * rate;
    let moved = |frame: &Frame| Frame {
        pts_ticks: frame.pts_ticks + shift,
        dts_ticks: frame.dts_ticks + shift,
        ..frame.clone()
    };
    frames.iter().map(moved).collect()
}

/// Pushes both tracks in the order of their times, `shift_s` seconds later than they were made.
fn push_all(fragmenter: &mut Fragmenter, video: &[Frame], audio: &[Frame], shift_s: i64) {
    let timed = |kind, rate: i64| move |frame: Frame| (frame.dts_ticks * 720_000 / rate, kind, frame);
    let video = later(video, 90_000, shift_s).into_iter().map(timed(MediaKind::Video, 90_000));
    let audio = later(audio, 48_000, shift_s).into_iter().map(timed(MediaKind::Audio, 48_000));
    let mut frames: Vec<_> = video.chain(audio).collect();
    frames.sort_by_key(|(time, kind, _)| (*time, *kind));
    frames.into_iter().for_each(|(_, kind, frame)| fragmenter.push(kind, frame));
}

#[test]
fn h264_and_opus_decode_as_segments_and_as_one_file() {
    let directory = Directory::new("h264");
    let (video, audio) = (h264_frames(6), opus_frames(6));
    let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
    push_all(&mut fragmenter, &video, &audio, 0);
    fragmenter.finish();
    let mut stored = Stored::default();
    stored.pull(&mut fragmenter);

    for (kind, frames) in [(MediaKind::Video, video.len()), (MediaKind::Audio, audio.len())] {
        let bytes = stored.rendition(kind);
        let file = directory.write(&format!("{}.mp4", kind.as_str()), &bytes);
        assert_decodes(&file);
        assert_readers_agree(&bytes, &[if kind == MediaKind::Video { &video } else { &audio }]);
        assert_eq!(probe(&file, "nb_read_packets").trim(), frames.to_string());
    }
    assert_readers_agree(&stored.progressive(), &[&video, &audio]);
    let file = directory.write("recording.mp4", &stored.progressive());
    assert_decodes(&file);
    assert_eq!(probe(&file, "codec_name,nb_read_packets"), format!("h264\n{}\nopus\n{}\n", video.len(), audio.len()));
    assert_eq!(probe(&file, "start_time"), "0.000000\n0.000000\n");
}

#[test]
fn a_recording_with_a_reconnect_keeps_its_length() {
    let directory = Directory::new("reconnect");
    let (video, audio) = (h264_frames(4), opus_frames(4));
    let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
    push_all(&mut fragmenter, &video, &audio, 0);
    fragmenter.discontinuity();
    push_all(&mut fragmenter, &video, &audio, 7);
    fragmenter.finish();
    let mut stored = Stored::default();
    stored.pull(&mut fragmenter);
    let file = directory.write("recording.mp4", &stored.progressive());
    assert_decodes(&file);
    let twice = |frames: &[Frame], rate| [frames.to_vec(), later(frames, rate, 7)].concat();
    assert_readers_agree(&stored.progressive(), &[&twice(&video, 90_000), &twice(&audio, 48_000)]);
    // 4 s, a gap of 3 s, 4 s.
    let durations = probe(&file, "duration");
    let seconds: Vec<f64> = durations.lines().map(|line| line.parse().unwrap()).collect();
    assert!(seconds.iter().all(|seconds| (10.97..11.05).contains(seconds)), "{durations}");
}

#[test]
fn a_stored_recording_plays_straight_from_the_bucket() {
    let directory = Directory::new("bucket");
    let (video, audio) = (h264_frames(4), opus_frames(4));
    let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video, MediaKind::Audio]);
    push_all(&mut fragmenter, &video, &audio, 0);
    fragmenter.discontinuity();
    push_all(&mut fragmenter, &video, &audio, 6);
    fragmenter.finish();
    let mut stored = Stored::default();
    stored.pull(&mut fragmenter);

    let store = Store::open(&directory.url(), &BTreeMap::new()).unwrap();
    let room = RoomName::parse("studio-1").unwrap();
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let put = |name, bytes: Bytes| {
        runtime.block_on(store.put(&ObjectPath::new(&room, &recording, name), bytes)).unwrap();
    };
    let mut playlists = RecordingPlaylists::new(SETTINGS.target_duration_s());
    stored.inits.values().for_each(|init| put(ObjectName::init(init), init.bytes.clone()));
    for segment in &stored.segments {
        put(ObjectName::segment(segment), segment.bytes.clone());
        let config = &stored.inits[&(segment.kind, segment.init)].config;
        playlists.push(segment, config, chrono::DateTime::UNIX_EPOCH);
    }
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let playlist = playlists.media(kind, Completeness::Complete).unwrap().unwrap();
        put(ObjectName::playlist(kind), playlist.into());
    }
    put(ObjectName::multivariant(), playlists.multivariant().unwrap().unwrap().into());

    let playlist = directory.path().join("studio-1/20261122T063000Z-7f3a9c/index.m3u8");
    assert_decodes(&playlist);
    let packets = format!("opus\n{}\nh264\n{}\n", 2 * audio.len(), 2 * video.len());
    // ffprobe tells the streams of a playlist twice: for the program, and for the whole.
    assert_eq!(probe(&playlist, "codec_name,nb_read_packets"), packets.repeat(2));
}

#[test]
fn vp9_decodes() {
    decodes(&vp9_frames(4), "vp9,320,240");
}

#[test]
fn h265_decodes() {
    decodes(&h265_frames(4), "hevc,322,182");
}

/// Cuts the frames, and asserts that the segments and the file decode, and that every reader finds the frames in them.
/// `told` is what ffprobe says of them: codec, width, height.
fn decodes(video: &[Frame], told: &str) {
    let directory = Directory::new(told);
    let mut fragmenter = Fragmenter::new(SETTINGS, &[MediaKind::Video]);
    push_all(&mut fragmenter, video, &[], 0);
    fragmenter.finish();
    let mut stored = Stored::default();
    stored.pull(&mut fragmenter);
    assert_readers_agree(&stored.rendition(MediaKind::Video), &[video]);
    assert_readers_agree(&stored.progressive(), &[video]);
    for (name, bytes) in [("video.mp4", stored.rendition(MediaKind::Video)), ("recording.mp4", stored.progressive())] {
        let file = directory.write(name, &bytes);
        assert_decodes(&file);
        let wanted = format!("{}\n{}\n", told.replace(',', "\n"), video.len());
        assert_eq!(probe(&file, "codec_name,width,height,nb_read_packets"), wanted);
    }
}
