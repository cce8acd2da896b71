//! The MP4 that plays everywhere: `moov` first, one file, made of the bytes that are already stored.
//!
//! Collects sample tables while segments go by and holds no media. At the end it says which header belongs in front
//! of which byte ranges of the stored segments; whoever writes the file puts them together, in any order it likes.
//!
//! The timeline is honest: where a track has a gap (a reconnect, a pause), the sample before the gap lasts until the
//! next one begins, and a track that begins later than the other one does so by an empty edit. So a moment of the
//! file is the moment of the broadcast, for both tracks.

mod table;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Edts, Elst, ElstEntry, Encode, FixedPoint, FourCC, Ftyp, Mdia, Moov, Trak};
use onair_media::{CodecConfig, MediaKind};

use self::table::{ChunkPlace, SampleTable};
use crate::boxes::{BoxError, handler, media_header, media_information, movie_header, track_header};
use crate::cut::Segment;
use crate::ticks::{GRID_HZ, clock_rate_hz, to_grid};

/// The timescale of the movie: that of video, so that a picture's time is exact.
const MOVIE_HZ: u32 = 90_000;

/// Collects what the header of the file needs.
#[derive(Debug, Default)]
pub struct Progressive {
    video: Option<SampleTable>,
    audio: Option<SampleTable>,
}

/// Says how to put the file together: the header, then the pieces, one after another.
#[derive(Debug, Clone)]
pub struct Mp4Layout {
    /// `ftyp`, `moov` and the header of `mdat`.
    pub header: Bytes,
    /// What `mdat` holds, interleaved by time.
    pub pieces: Vec<Piece>,
    /// The size of the file: the header and all pieces.
    pub total_bytes: u64,
}

/// Names a range of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The rendition it belongs to.
    pub kind: MediaKind,
    /// The object within the recording, such as `video/000001.m4s`.
    pub object: String,
    /// The bytes of it.
    pub range: Range<u64>,
}

impl Progressive {
    /// Begins a file without samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment and the configuration it was made for; segments of a rendition come in their order.
    pub fn push_segment(&mut self, segment: &Segment, config: &Arc<CodecConfig>) {
        let table = match segment.kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        };
        table.get_or_insert_with(|| SampleTable::new(segment)).push(segment, config);
    }

    /// Lays out the file for the segments so far (ISO/IEC 14496-12 §8.2 to §8.7).
    ///
    /// # Errors
    /// [`BoxError`] when a configuration does not fit its box; those that came through the fragmenter do.
    pub fn layout(&self) -> Result<Mp4Layout, BoxError> {
        let chunks = self.interleaved();
        let media_bytes: u64 = chunks.iter().map(|(_, chunk)| chunk.bytes).sum();
        // The size of `moov` depends on the offsets only by their width, so two attempts settle it.
        let mut header = self.header(&chunks, 0, media_bytes)?;
        loop {
            let header_bytes = header.len() as u64;
            header = self.header(&chunks, header_bytes, media_bytes)?;
            if header.len() as u64 == header_bytes {
                break;
            }
        }
        let pieces = chunks.iter().map(|(kind, chunk)| piece(*kind, chunk)).collect();
        Ok(Mp4Layout { total_bytes: header.len() as u64 + media_bytes, header, pieces })
    }

    fn tables(&self) -> impl Iterator<Item = &SampleTable> {
        self.video.iter().chain(&self.audio)
    }

    /// Returns the chunks of both tracks by the time they begin; each track's own stay in order.
    fn interleaved(&self) -> Vec<(MediaKind, ChunkPlace)> {
        let of = |table: &SampleTable| table.chunks.iter().map(|chunk| (table.kind(), *chunk)).collect::<Vec<_>>();
        let mut chunks: Vec<_> = self.tables().flat_map(of).collect();
        chunks.sort_by_key(|(kind, chunk)| (to_grid(*kind, chunk.start_ticks), chunk.msn));
        chunks
    }

    /// Encodes everything before the media, for media that begin at `header_bytes`.
    fn header(
        &self,
        chunks: &[(MediaKind, ChunkPlace)],
        header_bytes: u64,
        media_bytes: u64,
    ) -> Result<Bytes, BoxError> {
        let mut bytes = BytesMut::new();
        file_type().encode(&mut bytes)?;
        self.movie(chunks, header_bytes)?.encode(&mut bytes)?;
        put_mdat_header(&mut bytes, media_bytes);
        Ok(bytes.freeze())
    }

    fn movie(&self, chunks: &[(MediaKind, ChunkPlace)], header_bytes: u64) -> Result<Moov, BoxError> {
        let start = self.tables().map(presentation_start).min().unwrap_or_default();
        let end = self.tables().map(|table| presentation_start(table) + presentation_span(table)).max();
        let tracks = self.tables().map(|table| track(table, start, &offsets(table.kind(), chunks, header_bytes)));
        Ok(Moov {
            mvhd: movie_header(MOVIE_HZ, to_movie(end.unwrap_or(start) - start)),
            trak: tracks.collect::<Result<_, _>>()?,
            ..Moov::default()
        })
    }
}

fn file_type() -> Ftyp {
    let brands: [&[u8; 4]; 4] = [b"isom", b"iso2", b"iso4", b"mp41"];
    Ftyp { major_brand: FourCC::new(b"isom"), minor_version: 512, compatible_brands: brands.map(FourCC::new).into() }
}

/// Writes size and type of `mdat`, with 64 bits where the size needs them (ISO/IEC 14496-12 §4.2).
fn put_mdat_header(bytes: &mut BytesMut, media_bytes: u64) {
    match u32::try_from(media_bytes + 8) {
        Ok(size) => {
            bytes.put_u32(size);
            bytes.put_slice(b"mdat");
        }
        Err(_) => {
            bytes.put_u32(1);
            bytes.put_slice(b"mdat");
            bytes.put_u64(media_bytes + 16);
        }
    }
}

/// Returns where each chunk of a track begins in the file.
fn offsets(kind: MediaKind, chunks: &[(MediaKind, ChunkPlace)], header_bytes: u64) -> Vec<u64> {
    let mut next = header_bytes;
    let mut offsets = Vec::new();
    for (of, chunk) in chunks {
        if *of == kind {
            offsets.push(next);
        }
        next += chunk.bytes;
    }
    offsets
}

/// Returns the presentation time of a track's first sample, on the grid.
fn presentation_start(table: &SampleTable) -> i64 {
    to_grid(table.kind(), table.start_ticks + i64::from(table.first_composition_offset_ticks))
}

/// Returns how long a track is presented, on the grid.
fn presentation_span(table: &SampleTable) -> i64 {
    to_grid(table.kind(), i64::try_from(table.duration_ticks()).unwrap_or(i64::MAX))
}

/// Converts a span on the grid to the movie's timescale.
fn to_movie(grid: i64) -> u64 {
    u64::try_from(grid / (GRID_HZ / i64::from(MOVIE_HZ))).unwrap_or_default()
}

fn track(table: &SampleTable, movie_start: i64, offsets: &[u64]) -> Result<Trak, BoxError> {
    let kind = table.kind();
    let config = table.first_config().expect("a table begins with a segment and its configuration");
    let delay = to_movie(presentation_start(table) - movie_start);
    let span = to_movie(presentation_span(table));
    Ok(Trak {
        tkhd: track_header(config, delay + span),
        edts: Some(Edts { elst: Some(edits(table, config, delay, span)) }),
        mdia: Mdia {
            mdhd: media_header(config, table.duration_ticks()),
            hdlr: handler(kind),
            minf: media_information(kind, table.boxes(offsets)?),
        },
        ..Trak::default()
    })
}

/// Builds `elst`: nothing for as long as the other track is alone, then all samples (ISO/IEC 14496-12 §8.6.6).
///
/// The media begins at the first sample's presentation, for Opus behind the samples to skip
/// ("Encapsulation of Opus in ISO Base Media File Format" §4.4).
fn edits(table: &SampleTable, config: &CodecConfig, delay: u64, span: u64) -> Elst {
    let edit =
        |segment_duration, media_time| ElstEntry { segment_duration, media_time, media_rate: FixedPoint::from(1) };
    let skip = match config {
        CodecConfig::Opus { pre_skip, .. } => u64::from(*pre_skip),
        _ => u64::try_from(table.first_composition_offset_ticks).unwrap_or_default(),
    };
    let skipped = skip * u64::from(MOVIE_HZ) / u64::from(clock_rate_hz(table.kind()));
    let span = if table.kind() == MediaKind::Audio { span.saturating_sub(skipped) } else { span };
    let mut entries = vec![edit(span, Some(skip))];
    if delay > 0 {
        entries.insert(0, edit(delay, None));
    }
    Elst { entries }
}

fn piece(kind: MediaKind, chunk: &ChunkPlace) -> Piece {
    Piece {
        kind,
        object: format!("{}/{:06}.m4s", kind.as_str(), chunk.msn),
        range: chunk.offset..chunk.offset + chunk.bytes,
    }
}
