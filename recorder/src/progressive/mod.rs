//! The MP4 that plays everywhere: `moov` first, one file, made of the bytes that are already stored.
//!
//! Media is never moved or copied in memory here. Chunks are walked twice: [`Movie`] and [`Spread`] see them while the
//! recording grows, [`HeaderWriter`] and [`Arrangement`] once more when it has ended, from the journal. [`layout`] does
//! both at once for segments that are stored, and is how a file is put together again.
//!
//! The timeline is honest: where a track has a gap (a reconnect, a pause), the sample before the gap lasts until the
//! next one begins, and a track that begins later than the other one does so by an empty edit. So a moment of the
//! file is the moment of the broadcast, for both tracks.

mod header;
mod parts;
#[cfg(test)]
mod properties;
mod rows;
mod spread;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use onair_media::{CodecConfig, MediaKind};

pub use self::header::{Header, HeaderWriter, Movie, Placed};
pub use self::parts::{Mp4Parts, Source, sources};
pub use self::spread::{Arrangement, Spot, Spread};
use crate::boxes::BoxError;
use crate::cut::{Part, Sample, Segment};
use crate::ticks::to_grid;

/// One chunk of the file: the samples of one part.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Which track it belongs to.
    pub kind: MediaKind,
    /// Decoding time of the first sample since the start of the broadcast, in ticks of the track's clock rate.
    pub start_ticks: i64,
    /// In decoding order.
    pub samples: &'a [Sample],
    /// What they are decoded with.
    pub config: &'a Arc<CodecConfig>,
}

impl<'a> Chunk<'a> {
    /// Describes the samples of a part.
    pub fn new(part: &'a Part, config: &'a Arc<CodecConfig>) -> Self {
        Self { kind: part.kind, start_ticks: part.start_ticks, samples: &part.samples, config }
    }

    /// Returns the size of the samples together.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.size)).sum()
    }
}

/// Names a range of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The rendition it belongs to.
    pub kind: MediaKind,
    /// The media sequence number of the segment.
    pub msn: u64,
    /// The bytes of it.
    pub range: Range<u64>,
}

impl Piece {
    /// Returns how many bytes they are.
    pub const fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Says how to put a file together in one go: the header, then the pieces, one after another.
#[derive(Debug, Clone)]
pub struct Mp4Layout {
    /// `ftyp`, `moov` and the header of `mdat`.
    pub header: Bytes,
    /// What `mdat` holds, interleaved by time.
    pub pieces: Vec<Piece>,
    /// The size of the file: the header and all pieces.
    pub total_bytes: u64,
}

/// Lays out the file of some segments, each with the configuration it was made for; those of a rendition come in their
/// order. Their media may have been let go.
///
/// # Errors
/// [`BoxError`] when a configuration does not fit its box; those that came through the fragmenter do.
pub fn layout<'a>(
    segments: impl IntoIterator<Item = (&'a Segment, &'a Arc<CodecConfig>)>,
) -> Result<Mp4Layout, BoxError> {
    layout_chunks(segments.into_iter().flat_map(chunks_of).collect(), Movie::header)
}

/// Lays out the file of some chunks, each with where its samples lie; those of a track come in their order.
pub(crate) fn layout_chunks(
    mut chunks: Vec<(Chunk<'_>, Piece)>,
    header: impl FnOnce(Movie) -> Result<Header, BoxError>,
) -> Result<Mp4Layout, BoxError> {
    // Each track's own stay in order.
    chunks.sort_by_key(|(chunk, piece)| (to_grid(chunk.kind, chunk.start_ticks), piece.msn));
    let mut movie = Movie::default();
    chunks.iter().for_each(|(chunk, _)| movie.push(chunk));
    let media_bytes = movie.media_bytes();
    let header = header(movie)?;
    let total_bytes = header.bytes() + media_bytes;
    let mut bytes = vec![0; usize::try_from(header.bytes()).map_err(|_| BoxError::Tables { bytes: header.bytes() })?];
    let mut put = |(at, placed): Placed| bytes[at as usize..][..placed.len()].copy_from_slice(&placed);
    let mut writer = HeaderWriter::new(&header);
    let mut at = header.bytes();
    for (chunk, piece) in &chunks {
        writer.push(chunk, at).for_each(&mut put);
        at += piece.bytes();
    }
    writer.finish(total_bytes).into_iter().for_each(put);
    let pieces = chunks.into_iter().map(|(_, piece)| piece).collect();
    Ok(Mp4Layout { header: bytes.into(), pieces, total_bytes })
}

/// Returns the chunks of a segment, and where their samples lie in it.
fn chunks_of<'a>((segment, config): (&'a Segment, &'a Arc<CodecConfig>)) -> impl Iterator<Item = (Chunk<'a>, Piece)> {
    let mut part_offset = 0;
    segment.parts.iter().map(move |part| {
        let range = part_offset + part.payload_offset as u64..part_offset + part.size_bytes();
        part_offset = range.end;
        (Chunk::new(part, config), Piece { kind: part.kind, msn: segment.msn, range })
    })
}
