//! The file that comes out when header and pieces are put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Decode, Ftyp, Header, Moov, StszSamples, Trak};
use onair_media::MediaKind::{Audio, Video};
use onair_media::{CodecConfig, MediaKind};

use super::{Mp4Layout, layout};
use crate::cut::{Cut, Segment};
use crate::testing::{broadcast, frame, h264, opus, pull};
use crate::{Fragmenter, FragmenterSettings};

const SETTINGS: FragmenterSettings =
    FragmenterSettings { segment_target: Duration::from_secs(4), part_target: Duration::from_millis(500) };

/// A sample of the finished file: its decoding time in ticks from the track's start, and its bytes.
type FileSample = (i64, Bytes);

/// Collects everything the fragmenter cut into a layout and the finished file.
fn record(fragmenter: &mut Fragmenter) -> (Mp4Layout, Bytes) {
    let mut segments: Vec<(Arc<Segment>, Arc<CodecConfig>)> = Vec::new();
    let mut configs: BTreeMap<(MediaKind, u32), Arc<CodecConfig>> = BTreeMap::new();
    for cut in pull(fragmenter).all {
        match cut {
            Cut::Init(init) => drop(configs.insert((init.kind, init.index), init.config)),
            Cut::Segment(segment) => {
                let config = Arc::clone(&configs[&(segment.kind, segment.init)]);
                segments.push((segment, config));
            }
            _ => {}
        }
    }
    let layout = layout(segments.iter().map(|(segment, config)| (segment.as_ref(), config))).unwrap();
    let mut file = layout.header.to_vec();
    for piece in &layout.pieces {
        let named = |segment: &&Arc<Segment>| segment.kind == piece.kind && segment.msn == piece.msn;
        let segment = segments.iter().map(|(segment, _)| segment).find(named).unwrap();
        file.extend_from_slice(&segment.bytes[piece.range.start as usize..piece.range.end as usize]);
    }
    assert_eq!(file.len() as u64, layout.total_bytes);
    (layout, file.into())
}

fn movie(file: &Bytes) -> Moov {
    let mut rest = file.as_ref();
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert_eq!(Header::decode(&mut rest).unwrap().size, Some(rest.len()));
    moov
}

/// Reads a track as a player does: chunk offsets, samples per chunk, sizes, durations.
fn samples(track: &Trak, file: &Bytes) -> Vec<FileSample> {
    let stbl = &track.mdia.minf.stbl;
    let mut durations = stbl.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
    let mut sizes = match &stbl.stsz.samples {
        StszSamples::Identical { count, size } => vec![*size; *count as usize],
        StszSamples::Different { sizes } => sizes.clone(),
    }
    .into_iter();
    let (mut time, mut read) = (0, Vec::new());
    for (index, offset) in stbl.stco.as_ref().unwrap().entries.iter().enumerate() {
        let run = stbl.stsc.entries.iter().rfind(|run| run.first_chunk as usize <= index + 1).unwrap();
        let mut at = *offset as usize;
        for _ in 0..run.samples_per_chunk {
            let size = sizes.next().unwrap() as usize;
            read.push((time, file.slice(at..at + size)));
            at += size;
            time += i64::from(durations.next().unwrap());
        }
    }
    assert!(sizes.next().is_none() && durations.next().is_none());
    read
}

/// Checks that each sample stands at the time that its bytes tell, see [`frame`].
fn assert_honest(track: &Trak, file: &Bytes) {
    let samples = samples(track, file);
    let told = |bytes: &Bytes| i64::from_be_bytes(bytes.as_ref().try_into().unwrap());
    let start = told(&samples[0].1);
    for (time, bytes) in &samples {
        assert_eq!(*time, told(bytes) - start);
    }
}

#[test]
fn every_sample_is_found_where_the_tables_say() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video, Audio]);
    broadcast(&mut fragmenter, 0, 10, 2);
    fragmenter.finish();
    let (layout, file) = record(&mut fragmenter);
    let moov = movie(&file);
    assert_eq!(moov.trak.iter().map(|track| samples(track, &file).len()).collect::<Vec<_>>(), [300, 499]);
    moov.trak.iter().for_each(|track| assert_honest(track, &file));
    // 10 s of pictures, in a movie timescale of 90 kHz; keyframes every 60 pictures.
    assert_eq!(moov.mvhd.duration, 900_000);
    assert_eq!(moov.trak[0].mdia.minf.stbl.stss.as_ref().unwrap().entries, [1, 61, 121, 181, 241]);
    assert!(moov.trak[1].mdia.minf.stbl.stss.is_none());
    // Interleaved: never more than one part of a track before the other's turn.
    assert_eq!(layout.pieces[..4].iter().map(|piece| piece.kind).collect::<Vec<_>>(), [Video, Audio, Video, Audio]);
    assert_eq!((layout.pieces[0].kind, layout.pieces[0].msn), (Video, 1));
}

#[test]
fn pictures_of_two_publishers_never_come_closer_than_half_a_picture() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video]);
    (0..30).for_each(|n| fragmenter.push(Video, frame(&h264(), n * 3_000, n == 0)));
    fragmenter.discontinuity();
    // The new publisher's first picture comes 5 ms after the last one, its second segment 4 s later.
    let taken_over = 29 * 3_000 + 450;
    (0..150).for_each(|n| fragmenter.push(Video, frame(&h264(), taken_over + n * 3_000, n % 30 == 0)));
    fragmenter.finish();
    let (_, file) = record(&mut fragmenter);
    let samples = samples(&movie(&file).trak[0], &file);
    assert!(samples.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1_500));
    // 1,050 ticks late, until the next part begins at its time again.
    assert_eq!((samples[30].0, samples[44].0), (taken_over + 1_050, taken_over + 14 * 3_000 + 1_050));
    assert_eq!(samples[45].0, taken_over + 15 * 3_000);
}

#[test]
fn a_gap_holds_the_last_picture_and_keeps_the_time() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video, Audio]);
    broadcast(&mut fragmenter, 0, 5, 1);
    fragmenter.discontinuity();
    broadcast(&mut fragmenter, 12, 3, 1);
    fragmenter.finish();
    let (_, file) = record(&mut fragmenter);
    let moov = movie(&file);
    moov.trak.iter().for_each(|track| assert_honest(track, &file));
    assert_eq!(moov.mvhd.duration, 15 * 90_000);
}

#[test]
fn a_track_that_begins_later_waits_in_an_empty_edit() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video]);
    (0..30).for_each(|n| fragmenter.push(Video, frame(&h264(), n * 3_000, n == 0)));
    broadcast(&mut fragmenter, 1, 7, 1);
    fragmenter.finish();
    let (_, file) = record(&mut fragmenter);
    let moov = movie(&file);
    let edits = |track: &Trak| track.edts.as_ref().unwrap().elst.as_ref().unwrap().entries.clone();
    assert_eq!(edits(&moov.trak[0]).len(), 1);
    // Sound joins at the segment boundary: 4 s.
    let sound = edits(&moov.trak[1]);
    assert_eq!((sound[0].segment_duration, sound[0].media_time), (4 * 90_000, None));
    assert_eq!(sound[1].media_time, Some(0));
}

#[test]
fn a_new_configuration_is_a_second_sample_description() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video]);
    let CodecConfig::H264 { sps, pps, .. } = h264().as_ref().clone() else { unreachable!() };
    let rotated = Arc::new(CodecConfig::H264 { sps, pps, width: 720, height: 1280 });
    for n in 0..90 {
        let config = if (30..60).contains(&n) { &rotated } else { &h264() };
        fragmenter.push(Video, frame(config, n * 3_000, n % 30 == 0));
    }
    fragmenter.finish();
    let (_, file) = record(&mut fragmenter);
    let moov = movie(&file);
    let stbl = &moov.trak[0].mdia.minf.stbl;
    // The first configuration comes back: it is not described twice.
    assert_eq!(stbl.stsd.codecs.len(), 2);
    let described: Vec<_> = stbl.stsc.entries.iter().map(|run| run.sample_description_index).collect();
    assert_eq!(described, [1, 2, 1]);
    assert_honest(&moov.trak[0], &file);
}

#[test]
fn an_independent_reader_agrees() {
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Video]);
    (0..90).for_each(|n| fragmenter.push(Video, frame(&h264(), n * 3_000, n % 30 == 0)));
    fragmenter.finish();
    let (_, file) = record(&mut fragmenter);
    let mut reader = mp4::Mp4Reader::read_header(std::io::Cursor::new(&file), file.len() as u64).unwrap();
    assert_eq!(reader.sample_count(1).unwrap(), 90);
    assert_eq!(reader.duration(), Duration::from_secs(3));
    let sample = reader.read_sample(1, 31).unwrap().unwrap();
    assert_eq!(
        (sample.start_time, sample.is_sync, sample.bytes),
        (90_000, true, Bytes::from(90_000i64.to_be_bytes().to_vec()))
    );
}

#[test]
fn a_file_beyond_four_gibibytes_has_wide_offsets() {
    // One segment, told to be listed under 1,100 numbers of 4 MiB each; its bytes are never put together.
    let mut fragmenter = Fragmenter::new(SETTINGS, &[Audio]);
    let big = Bytes::from(vec![0; 4 << 20]);
    fragmenter.push(Audio, onair_media::Frame { data: big, ..frame(&opus(), 0, true) });
    fragmenter.finish();
    let template = pull(&mut fragmenter).segments.remove(0);
    let mut segments = Vec::new();
    for msn in 1..=1100 {
        let start_ticks = (msn as i64 - 1) * 960;
        let part = crate::Part { msn, start_ticks, ..template.parts[0].as_ref().clone() };
        let segment = Segment { msn, start_ticks, parts: vec![Arc::new(part)], ..template.as_ref().clone() };
        segments.push(segment);
    }
    let config = opus();
    let layout = layout(segments.iter().map(|segment| (segment, &config))).unwrap();
    assert_eq!(layout.total_bytes, layout.header.len() as u64 + (1100 << 22));
    let mut rest = layout.header.as_ref();
    Ftyp::decode(&mut rest).unwrap();
    let stbl = Moov::decode(&mut rest).unwrap().trak.remove(0).mdia.minf.stbl;
    assert!(stbl.stco.is_none());
    let offsets = stbl.co64.unwrap().entries;
    assert_eq!(offsets[0], layout.header.len() as u64);
    assert_eq!(offsets[1099] - offsets[0], 1099 << 22);
    assert_eq!(Header::decode(&mut rest).unwrap().size, Some(1100 << 22));
    assert!(rest.is_empty());
}
