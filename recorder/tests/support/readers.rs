//! What parsers other than ffmpeg, none of which we write with, find in our files.

use std::io::Cursor;

use onair_media::Frame;

/// A sample as a parser finds it: when it is decoded, counted from the first one, whether decoding may start there, and
/// its bytes.
type Found<'a> = (i64, bool, &'a [u8]);

/// Asserts that every parser finds exactly these frames, one track after another, by the file's tables.
pub(crate) fn assert_readers_agree(file: &[u8], tracks: &[&[Frame]]) {
    let wanted: Vec<Vec<Found<'_>>> = tracks.iter().map(|frames| wanted(frames)).collect();
    assert!(by_re_mp4(file) == wanted, "re_mp4 finds other samples");
    by_mp4(file, &wanted);
}

fn wanted(frames: &[Frame]) -> Vec<Found<'_>> {
    let start = frames[0].dts_ticks;
    frames.iter().map(|frame| (frame.dts_ticks - start, frame.keyframe, frame.data.as_ref())).collect()
}

fn by_re_mp4(file: &[u8]) -> Vec<Vec<Found<'_>>> {
    let movie = re_mp4::Mp4::read_bytes(file).unwrap();
    let found = |track: &re_mp4::Track| {
        let start = track.samples[0].decode_timestamp;
        let sample =
            |sample: &re_mp4::Sample| (sample.decode_timestamp - start, sample.is_sync, &file[sample.byte_range()]);
        track.samples.iter().map(sample).collect()
    };
    movie.tracks().values().map(found).collect()
}

/// The `mp4` crate reads samples by the index of a file. Opus and AV1 it knows by no name, but their tables are as any.
fn by_mp4(file: &[u8], wanted: &[Vec<Found<'_>>]) {
    let mut reader = mp4::Mp4Reader::read_header(Cursor::new(file), file.len() as u64).unwrap();
    if reader.is_fragmented() {
        return;
    }
    for (id, wanted) in (1..).zip(wanted) {
        assert_eq!(reader.sample_count(id).unwrap() as usize, wanted.len());
        for (index, (time, sync, bytes)) in (1..).zip(wanted) {
            let sample = reader.read_sample(id, index).unwrap().unwrap();
            assert_eq!(
                (sample.start_time as i64, sample.is_sync, &*sample.bytes),
                (*time, *sync, *bytes),
                "{id} {index}"
            );
        }
    }
}
