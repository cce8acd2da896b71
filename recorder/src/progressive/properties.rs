//! Whatever the sizes are: the file that goes up in parts, the header last, is the file that the tables describe.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use mp4_atom::{Decode, Ftyp, Header as AtomHeader, Moov};
use onair_media::{CodecConfig, MediaKind};
use proptest::prelude::*;

use super::{Arrangement, Chunk, HeaderWriter, Movie, Mp4Parts, Piece, Source, sources};
use crate::cut::Sample;
use crate::testing::{h264, opus};

/// A chunk, and the bytes of its samples.
#[derive(Debug, Clone)]
struct Made {
    kind: MediaKind,
    start_ticks: i64,
    samples: Vec<Sample>,
    media: Vec<u8>,
}

fn made(chunks: &[(bool, Vec<u32>)]) -> Vec<Made> {
    let mut times = BTreeMap::from([(MediaKind::Video, 0), (MediaKind::Audio, 0)]);
    let make = |(index, (video, sizes)): (usize, &(bool, Vec<u32>))| {
        let kind = if *video { MediaKind::Video } else { MediaKind::Audio };
        let sample = |size| Sample { size, duration_ticks: 960, composition_offset_ticks: 0, sync: index % 3 == 0 };
        let samples: Vec<_> = sizes.iter().copied().map(sample).collect();
        let time = times.get_mut(&kind).unwrap();
        let start_ticks = *time;
        *time += 960 * samples.len() as i64;
        let bytes = sizes.iter().sum::<u32>() as usize;
        Made { kind, start_ticks, samples, media: vec![index as u8 + 1; bytes] }
    };
    chunks.iter().enumerate().map(make).collect()
}

fn config(kind: MediaKind) -> Arc<CodecConfig> {
    if kind == MediaKind::Video { h264() } else { opus() }
}

/// Each made chunk stands for a segment of its own.
fn piece(index: usize, made: &Made) -> Piece {
    Piece { kind: made.kind, msn: index as u64, range: 0..made.media.len() as u64 }
}

/// Puts bytes together as an uploader does.
fn fetch(from: &[Source], header: &[u8], made: &[Made]) -> Vec<u8> {
    let bounds = |range: &Range<u64>| range.start as usize..range.end as usize;
    let bytes = |source: &Source| match source {
        Source::Header(range) => header[bounds(range)].to_vec(),
        Source::Piece(piece) => made[piece.msn as usize].media[bounds(&piece.range)].to_vec(),
        Source::Zeros(count) => vec![0; *count as usize],
    };
    from.iter().flat_map(bytes).collect()
}

/// Uploads everything: full parts while the chunks come, then the header's and the last ones.
fn upload(made: &[Made], part_bytes: u64) -> (Vec<Vec<u8>>, Vec<u64>) {
    let (mut parts, mut movie, mut mp4) = (BTreeMap::new(), Movie::default(), Mp4Parts::new(part_bytes));
    let configs = made.iter().map(|made| config(made.kind)).collect::<Vec<_>>();
    let chunk = |index: usize| {
        let Made { kind, start_ticks, samples, .. } = &made[index];
        Chunk { kind: *kind, start_ticks: *start_ticks, samples, config: &configs[index] }
    };
    for index in 0..made.len() {
        movie.push(&chunk(index));
        mp4.push(piece(index, &made[index]));
        while let Some((part, from)) = mp4.next_full() {
            parts.insert(part, fetch(&from, &[], made));
            mp4.uploaded();
        }
    }
    let header = movie.header().unwrap();
    let mut arrangement = Arrangement::new(mp4.spread(), header.bytes());
    let offsets: Vec<u64> = made.iter().map(|made| arrangement.offset(made.media.len() as u64)).collect();
    let end = arrangement.end();
    let mut header_bytes = vec![0; header.bytes() as usize];
    let mut writer = HeaderWriter::new(&header);
    let mut put = |(at, bytes): (u64, Vec<u8>)| header_bytes[at as usize..][..bytes.len()].copy_from_slice(&bytes);
    for (index, offset) in offsets.iter().enumerate() {
        writer.push(&chunk(index), *offset).for_each(&mut put);
    }
    writer.finish(end).into_iter().for_each(put);
    let mut pieces: Vec<_> =
        made.iter().enumerate().map(|(index, made)| (offsets[index], piece(index, made))).collect();
    pieces.sort_by_key(|(at, _)| *at);
    let header_parts = arrangement.header_parts();
    let rest = (mp4.uploaded_parts() + 1).max(header_parts);
    for part in (0..header_parts).chain(rest..end.div_ceil(part_bytes)) {
        let range = part * part_bytes..((part + 1) * part_bytes).min(end);
        parts.insert(part, fetch(&sources(range, header.bytes(), &pieces), &header_bytes, made));
    }
    assert!(parts.keys().copied().eq(0..parts.len() as u64), "{:?}", parts.keys());
    (parts.into_values().collect(), offsets)
}

fn chunks() -> impl Strategy<Value = Vec<(bool, Vec<u32>)>> {
    proptest::collection::vec((any::<bool>(), proptest::collection::vec(1..400_u32, 1..12)), 1..120)
}

proptest! {
    #[test]
    fn every_chunk_is_where_the_header_says(chunks in chunks(), part_bytes in 500..6_000_u64) {
        let made = made(&chunks);
        let (parts, offsets) = upload(&made, part_bytes);
        let (_last, full) = parts.split_last().unwrap();
        prop_assert!(full.iter().all(|part| part.len() as u64 == part_bytes));
        let file = parts.concat();
        for (made, offset) in made.iter().zip(&offsets) {
            prop_assert_eq!(&file[*offset as usize..][..made.media.len()], &made.media);
        }
        // No two chunks share a byte, and the tables name each of them.
        let mut taken: Vec<_> = made.iter().zip(&offsets).map(|(made, at)| (*at, at + made.media.len() as u64)).collect();
        taken.sort_unstable();
        prop_assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let mut rest = file.as_slice();
        Ftyp::decode(&mut rest).unwrap();
        let moov = Moov::decode(&mut rest).unwrap();
        prop_assert_eq!(AtomHeader::decode(&mut rest).unwrap().size, Some(rest.len()));
        prop_assert!(taken[0].0 >= (file.len() - rest.len()) as u64);
        let mut listed: Vec<u64> =
            moov.trak.iter().flat_map(|track| &track.mdia.minf.stbl.stco.as_ref().unwrap().entries).map(|at| u64::from(*at)).collect();
        listed.sort_unstable();
        prop_assert!(listed.into_iter().eq(taken.iter().map(|(at, _)| *at)));
    }
}
