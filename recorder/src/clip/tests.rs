//! Clips of a broadcast that is known frame by frame.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Decode, ElstEntry, Ftyp, Header, Moov, StszSamples, Trak};
use onair_media::MediaKind::{Audio, Video};
use onair_media::{CodecConfig, MediaKind};

use super::{Clip, ClipRefusal, ClipTrack, Span, Step, steps};
use crate::cut::{Cut, Segment};
use crate::progressive::Piece;
use crate::testing::{broadcast, frame, h264, opus, pull};
use crate::ticks::GRID_HZ;
use crate::{Fragmenter, FragmenterSettings};

const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

/// A recording in memory.
pub(super) struct Kept {
    segments: Vec<Arc<Segment>>,
}

/// A sample of a file: its decoding time in ticks since the track's start, when it is shown in ticks since then, and its
/// bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileSample {
    pub(super) dts: i64,
    pub(super) pts: i64,
    pub(super) bytes: Bytes,
}

/// Adds whole seconds to the grid.
pub(super) fn span(from_ms: i64, to_ms: i64) -> Span {
    let grid = |ms: i64| ms * GRID_HZ / 1000;
    Span { zero: 0, start: grid(from_ms), end: grid(to_ms) }
}

impl Kept {
    pub(super) fn new(fill: impl FnOnce(&mut Fragmenter)) -> Self {
        let mut fragmenter = Fragmenter::new(SETTINGS, &[Video, Audio]);
        fill(&mut fragmenter);
        fragmenter.finish();
        let cuts = pull(&mut fragmenter).all;
        let segment = |cut| if let Cut::Segment(segment) = cut { Some(segment) } else { None };
        Self { segments: cuts.into_iter().filter_map(segment).collect() }
    }

    /// Returns both renditions without some numbers: a store that lost them, or was not asked for them.
    pub(super) fn tracks(&self, is_there: impl Fn(u64) -> bool) -> Vec<ClipTrack> {
        let config = |kind| if kind == Video { h264() } else { opus() };
        let track = |kind: MediaKind| {
            let of_kind = self.segments.iter().filter(|segment| segment.kind == kind);
            let there = of_kind.clone().filter(|segment| is_there(segment.msn));
            let last = of_kind.clone().next_back().is_some_and(|last| is_there(last.msn));
            let segments = there.map(|segment| (segment.without_media(), config(kind))).collect();
            ClipTrack { segments, goes_on: !last }
        };
        vec![track(Video), track(Audio)]
    }

    pub(super) fn clip(&self, span: Span) -> Clip {
        Clip::plan(&self.tracks(|_| true), span).unwrap().unwrap()
    }

    /// Sends a range of a clip as a store does.
    pub(super) fn send(&self, clip: &Clip, range: std::ops::Range<u64>) -> Bytes {
        let (mut sent, mut open) = (Vec::new(), std::collections::HashMap::new());
        for step in steps(clip.layout(), range) {
            match step {
                Step::Header(range) => {
                    sent.extend_from_slice(&clip.layout().header[range.start as usize..range.end as usize]);
                }
                Step::Media { read, kind, range } => {
                    if let Some(read) = read {
                        open.insert(kind, self.bytes(&read));
                    }
                    sent.extend_from_slice(&open[&kind][range]);
                }
            }
        }
        sent.into()
    }

    fn bytes(&self, piece: &Piece) -> Bytes {
        let named = |segment: &&Arc<Segment>| segment.kind == piece.kind && segment.msn == piece.msn;
        let segment = self.segments.iter().find(named).unwrap();
        assert!(piece.bytes() <= 1 << 20);
        segment.bytes.slice(piece.range.start as usize..piece.range.end as usize)
    }

    pub(super) fn file(&self, clip: &Clip) -> Bytes {
        self.send(clip, 0..clip.layout().total_bytes)
    }
}

pub(super) fn movie(file: &Bytes) -> Moov {
    let mut rest = file.as_ref();
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert_eq!(Header::decode(&mut rest).unwrap().size, Some(rest.len()));
    moov
}

/// Reads a track as a player does, but for its edits.
pub(super) fn samples(track: &Trak, file: &Bytes) -> Vec<FileSample> {
    let stbl = &track.mdia.minf.stbl;
    let mut durations = stbl.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
    let offsets = stbl.ctts.iter().flat_map(|ctts| &ctts.entries);
    let mut offsets = offsets.flat_map(|run| vec![run.sample_offset; run.sample_count as usize]);
    let StszSamples::Different { sizes } = &stbl.stsz.samples else { panic!("sizes differ") };
    let mut sizes = sizes.iter();
    let (mut dts, mut read) = (0, Vec::new());
    for (index, offset) in stbl.stco.as_ref().unwrap().entries.iter().enumerate() {
        let run = stbl.stsc.entries.iter().rfind(|run| run.first_chunk as usize <= index + 1).unwrap();
        let mut at = *offset as usize;
        for _ in 0..run.samples_per_chunk {
            let size = *sizes.next().unwrap() as usize;
            let pts = dts + offsets.next().unwrap_or_default();
            read.push(FileSample { dts, pts, bytes: file.slice(at..at + size) });
            at += size;
            dts += i64::from(durations.next().unwrap());
        }
    }
    assert!(sizes.next().is_none() && durations.next().is_none());
    read
}

pub(super) fn edits(track: &Trak) -> Vec<ElstEntry> {
    track.edts.as_ref().unwrap().elst.as_ref().unwrap().entries.clone()
}

/// Returns the decoding time that a frame's bytes tell.
pub(super) fn told(bytes: &Bytes) -> i64 {
    i64::from_be_bytes(bytes.as_ref().try_into().unwrap())
}

#[test]
fn a_clip_begins_at_the_keyframe_before_it_and_shows_nothing_of_what_comes_first() {
    let kept = Kept::new(|fragmenter| broadcast(fragmenter, 0, 12, 2));
    let clip = kept.clip(span(5_500, 9_250));
    let file = kept.file(&clip);
    let moov = movie(&file);
    let [video, audio] = &moov.trak[..] else { panic!("two tracks") };
    let pictures = samples(video, &file);
    // The keyframe is that of 4 s; the last picture that begins before 9.25 s is number 277 of 30 a second.
    assert_eq!((told(&pictures[0].bytes), told(&pictures.last().unwrap().bytes)), (4 * 90_000, 277 * 3_000));
    assert!(pictures.iter().all(|picture| picture.dts == told(&picture.bytes) - 4 * 90_000));
    assert_eq!(video.mdia.minf.stbl.stss.as_ref().unwrap().entries, [1, 61, 121]);
    let edit = &edits(video)[0];
    assert_eq!((edits(video).len(), edit.media_time, edit.segment_duration), (1, Some(135_000), 337_500));
    // 80 ms of sound for the decoder: the packet that covers 5.42 s begins there.
    let packets = samples(audio, &file);
    assert_eq!((told(&packets[0].bytes), told(&packets.last().unwrap().bytes)), (260_160, 443_520));
    let edit = &edits(audio)[0];
    assert_eq!((edits(audio).len(), edit.media_time, edit.segment_duration), (1, Some(264_000 - 260_160), 337_500));
    assert_eq!((moov.mvhd.duration, video.tkhd.duration, audio.tkhd.duration), (337_500, 337_500, 337_500));
    assert_eq!((clip.from_ms(), clip.to_ms(), clip.content_type()), (5_500, 9_250, "video/mp4"));
}

#[test]
fn a_clip_of_everything_is_the_recordings_mp4() {
    let kept = Kept::new(|fragmenter| broadcast(fragmenter, 0, 12, 2));
    let tracks = kept.tracks(|_| true);
    let all = tracks.iter().flat_map(|track| &track.segments);
    let whole = crate::progressive::layout(all.map(|(segment, config)| (segment, config))).unwrap();
    let clip = kept.clip(span(0, 13_000));
    assert_eq!((&clip.layout().header, &clip.layout().pieces), (&whole.header, &whole.pieces));
    assert_eq!(clip.to_ms(), 12_000);
}

#[test]
fn over_a_gap_the_last_picture_stays() {
    let kept = Kept::new(|fragmenter| {
        broadcast(fragmenter, 0, 5, 1);
        fragmenter.discontinuity();
        broadcast(fragmenter, 12, 3, 1);
    });
    let ends = |span| {
        let file = kept.file(&kept.clip(span));
        let moov = movie(&file);
        moov.trak.iter().for_each(|track| assert_eq!(edits(track).len(), 1));
        moov.trak.iter().map(|track| (edits(track)[0].media_time, edits(track)[0].segment_duration)).collect::<Vec<_>>()
    };
    // Into it, out of it, across it, and within it: from the keyframe of 4 s on; there is no sound in the midst of it.
    assert_eq!(ends(span(4_500, 8_000)), [(Some(45_000), 315_000), (Some(3_840), 315_000)]);
    assert_eq!(ends(span(4_500, 13_000)), [(Some(45_000), 765_000), (Some(3_840), 765_000)]);
    assert_eq!(ends(span(8_000, 9_000)), [(Some(4 * 90_000), 90_000)]);
    let file = kept.file(&kept.clip(span(8_000, 13_000)));
    let moov = movie(&file);
    assert_eq!(edits(&moov.trak[0])[0].media_time, Some(4 * 90_000));
    // Sound waits for what comes next.
    assert_eq!((edits(&moov.trak[1])[0].media_time, edits(&moov.trak[1])[0].segment_duration), (None, 4 * 90_000));
    let pictures = samples(&moov.trak[0], &file);
    assert!(pictures.iter().all(|picture| picture.dts == told(&picture.bytes) - 4 * 90_000));
}

#[test]
fn a_segment_that_is_lost_is_a_gap() {
    let kept = Kept::new(|fragmenter| broadcast(fragmenter, 0, 16, 2));
    let clip = Clip::plan(&kept.tracks(|msn| msn != 2), span(1_000, 11_000)).unwrap().unwrap();
    let file = kept.file(&clip);
    let moov = movie(&file);
    assert_eq!(moov.mvhd.duration, 10 * 90_000);
    let pictures = samples(&moov.trak[0], &file);
    assert!(pictures.iter().all(|picture| picture.dts == told(&picture.bytes)));
    assert!(pictures.iter().all(|picture| !(4 * 90_000..8 * 90_000).contains(&told(&picture.bytes))));
    // Its end is not there either: what is there lasts until then.
    let clip = Clip::plan(&kept.tracks(|msn| msn == 1), span(1_000, 11_000)).unwrap().unwrap();
    assert_eq!(movie(&kept.file(&clip)).mvhd.duration, 10 * 90_000);
}

#[test]
fn where_nothing_is_there_is_no_clip() {
    let kept = Kept::new(|fragmenter| broadcast(fragmenter, 0, 5, 1));
    let refused = |span, is_there: fn(u64) -> bool| Clip::plan(&kept.tracks(is_there), span).unwrap().unwrap_err();
    assert_eq!(refused(span(5_000, 6_000), |_| true), ClipRefusal::Empty);
    assert_eq!(refused(span(1_000, 2_000), |_| false), ClipRefusal::Empty);
}

#[test]
fn sound_alone_is_sound() {
    let kept = Kept::new(|fragmenter| {
        (0..500).for_each(|n| fragmenter.push(Audio, frame(&opus(), n * 960, true)));
    });
    let clip = kept.clip(span(3_333, 4_444));
    assert_eq!(clip.content_type(), "audio/mp4");
    let file = kept.file(&clip);
    let moov = movie(&file);
    let edit = &edits(&moov.trak[0])[0];
    let first = told(&samples(&moov.trak[0], &file)[0].bytes);
    assert_eq!((first + edit.media_time.unwrap() as i64, edit.segment_duration), (3_333 * 48, 1_111 * 90));
}

#[test]
fn an_independent_reader_agrees() {
    let kept = Kept::new(|fragmenter| broadcast(fragmenter, 0, 12, 2));
    let file = kept.file(&kept.clip(span(5_500, 9_250)));
    let mut reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(&file), file.len() as u64).unwrap();
    assert_eq!(reader.duration(), Duration::from_millis(3_750));
    let sample = reader.read_sample(1, 1).unwrap().unwrap();
    assert_eq!((sample.is_sync, told(&sample.bytes)), (true, 4 * 90_000));
    let read = re_mp4::Mp4::read(std::io::Cursor::new(&file), file.len() as u64).unwrap();
    assert_eq!(read.tracks().len(), 2);
}

#[test]
fn a_new_configuration_goes_along() {
    let CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
    let small = Arc::new(CodecConfig::H264 { sps, pps, width: 640, height: 360 });
    let kept = Kept::new(|fragmenter| {
        (0..300).for_each(|n| {
            let config = if n < 150 { h264() } else { Arc::clone(&small) };
            fragmenter.push(Video, frame(&config, n * 3_000, n % 30 == 0));
        });
    });
    let mut tracks = kept.tracks(|_| true);
    tracks[0]
        .segments
        .iter_mut()
        .filter(|(segment, _)| segment.init == 2)
        .for_each(|(_, config)| *config = Arc::clone(&small));
    let clip = Clip::plan(&tracks, span(4_500, 5_500)).unwrap().unwrap();
    let stbl = &movie(&kept.file(&clip)).trak[0].mdia.minf.stbl.clone();
    assert_eq!(stbl.stsd.codecs.len(), 2);
    assert_eq!(stbl.stsc.entries.last().unwrap().sample_description_index, 2);
}
