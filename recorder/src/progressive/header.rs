//! What stands before the media: `ftyp`, `moov` and the header of `mdat`.
//!
//! Built in two walks over the same chunks. The first one ([`Movie`]) counts rows, so that the size of everything is
//! known; the second one ([`HeaderWriter`]) hands out the bytes with the places where they belong. Neither holds a
//! table, so an hour and a week of media need the same memory.

use std::ops::Range;

use bytes::BufMut;
use mp4_atom::{Dinf, Edts, Elst, ElstEntry, Encode, FixedPoint, FourCC, Ftyp, Smhd, Stsd, Vmhd};
use onair_media::{CodecConfig, MediaKind};

use super::Chunk;
use super::rows::{Rows, TABLES, Table, TrackWalk};
use crate::boxes::{BoxError, data_information, handler, media_header, movie_header, sample_entry, track_header};
use crate::ticks::{GRID_HZ, clock_rate_hz, to_grid};

/// The timescale of the movie: that of video, so that a picture's time is exact.
const MOVIE_HZ: u32 = 90_000;

/// From here on offsets have 64 bits. A gibibyte below the limit, for what stands around the media.
const WIDE_FROM_BYTES: u64 = 3 << 30;

/// How many bytes of a table are collected before they are handed out.
const BUFFER_BYTES: usize = 16 << 10;

/// Collects what the header needs to know of the media before it is built.
#[derive(Debug, Default)]
pub struct Movie {
    /// Video first, if there is any.
    tracks: [Option<(TrackWalk, Counts)>; 2],
    media_bytes: u64,
}

/// How many rows each table has.
#[derive(Debug, Clone, Copy, Default)]
struct Counts([u64; TABLES]);

impl Rows for Counts {
    fn row(&mut self, table: Table, _: &[u32]) {
        self.0[table as usize] += 1;
    }

    fn chunk_offset(&mut self, _: u64) {
        self.0[Table::ChunkOffsets as usize] += 1;
    }
}

/// Holds the header but for its tables' rows.
#[derive(Debug)]
pub struct Header {
    blocks: Vec<Block>,
    /// Where the rows of each table begin, by track and table.
    regions: [[Option<u64>; TABLES]; 2],
    wide: bool,
    bytes: u64,
}

/// A stretch of the header.
#[derive(Debug)]
enum Block {
    Bytes(Vec<u8>),
    /// The rows of a table of a track.
    Rows {
        track: usize,
        table: Table,
        bytes: u64,
    },
}

impl Movie {
    /// Adds the next chunk; those of a track come in the order of their times.
    pub fn push(&mut self, chunk: &Chunk<'_>) {
        self.media_bytes += chunk.bytes();
        let track = &mut self.tracks[slot(chunk.kind)];
        let (walk, counts) = track.get_or_insert_with(|| (TrackWalk::new(chunk), Counts::default()));
        walk.push(chunk, 0, counts);
    }

    /// Returns the size of all chunks together.
    pub const fn media_bytes(&self) -> u64 {
        self.media_bytes
    }

    /// Builds the header for the chunks so far (ISO/IEC 14496-12 §8.2 to §8.7); nothing can be pushed afterwards.
    ///
    /// # Errors
    /// [`BoxError`] when a configuration does not fit its box; those that came through the fragmenter do.
    pub fn header(self) -> Result<Header, BoxError> {
        let start = self.walks().map(presentation_start).min().unwrap_or_default();
        self.header_of(start..i64::MAX)
    }

    /// Builds the header of a file that presents nothing but this time, on the grid, of all that it holds.
    ///
    /// # Errors
    /// As for [`Movie::header`].
    pub(crate) fn header_of(mut self, shown: Range<i64>) -> Result<Header, BoxError> {
        for (walk, counts) in self.tracks.iter_mut().flatten() {
            walk.finish(counts);
        }
        let narrow = self.build(&shown, false)?;
        if narrow.bytes + self.media_bytes < WIDE_FROM_BYTES { Ok(narrow) } else { self.build(&shown, true) }
    }

    fn build(&self, shown: &Range<i64>, wide: bool) -> Result<Header, BoxError> {
        let duration = self.walks().map(|walk| Presentation::new(walk, shown).end()).max().unwrap_or_default();
        let mut movie = vec![leaf(&movie_header(MOVIE_HZ, duration))?];
        for (index, track) in self.tracks.iter().enumerate() {
            if let Some((walk, counts)) = track {
                movie.extend(track_box(index, walk, *counts, Presentation::new(walk, shown), wide)?);
            }
        }
        let mut blocks = vec![leaf(&file_type())?];
        blocks.extend(container(b"moov", movie)?);
        Ok(Header::new(blocks, wide))
    }

    fn walks(&self) -> impl Iterator<Item = &TrackWalk> {
        self.tracks.iter().flatten().map(|(walk, _)| walk)
    }
}

impl Header {
    fn new(blocks: Vec<Block>, wide: bool) -> Self {
        let (mut at, mut regions) = (0, [[None; TABLES]; 2]);
        for block in &blocks {
            if let Block::Rows { track, table, .. } = block {
                regions[*track][*table as usize] = Some(at);
            }
            at += block.bytes();
        }
        Self { blocks, regions, wide, bytes: at + mdat_header_bytes(wide) }
    }

    /// Returns where `mdat` begins.
    const fn mdat_offset(&self) -> u64 {
        self.bytes - mdat_header_bytes(self.wide)
    }

    /// Returns the size of everything before the media.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Block {
    const fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Rows { bytes, .. } => *bytes,
        }
    }
}

/// Writes a header: bytes, each with the place where it belongs.
#[derive(Debug)]
pub struct HeaderWriter<'a> {
    header: &'a Header,
    walks: [Option<TrackWalk>; 2],
    columns: [Columns; 2],
    ready: Vec<Placed>,
}

/// Bytes, and where they belong.
pub type Placed = (u64, Vec<u8>);

/// The rows of a track that were not handed out yet.
#[derive(Debug)]
struct Columns {
    /// Where the next rows of each table belong; `None` for a table that the file does not have.
    at: [Option<u64>; TABLES],
    rows: [Vec<u8>; TABLES],
    wide: bool,
}

impl Rows for Columns {
    fn row(&mut self, table: Table, fields: &[u32]) {
        fields.iter().for_each(|field| self.rows[table as usize].put_u32(*field));
    }

    fn chunk_offset(&mut self, offset: u64) {
        let rows = &mut self.rows[Table::ChunkOffsets as usize];
        if self.wide {
            rows.put_u64(offset);
        } else {
            rows.put_u32(u32::try_from(offset).expect("files of more than 4 GiB have wide offsets"));
        }
    }
}

impl Columns {
    /// Hands out the rows of the tables that have collected at least so many bytes.
    fn drain(&mut self, at_least: usize, ready: &mut Vec<Placed>) {
        for (at, rows) in self.at.iter_mut().zip(&mut self.rows) {
            if rows.len() < at_least {
                continue;
            }
            let rows = std::mem::take(rows);
            if let Some(at) = at {
                let begins = *at;
                *at += rows.len() as u64;
                ready.push((begins, rows));
            }
        }
    }
}

impl<'a> HeaderWriter<'a> {
    /// Begins the second walk.
    pub fn new(header: &'a Header) -> Self {
        let (mut at, mut ready) = (0, Vec::new());
        for block in &header.blocks {
            if let Block::Bytes(bytes) = block {
                ready.push((at, bytes.clone()));
            }
            at += block.bytes();
        }
        let columns = |track: usize| Columns {
            at: header.regions[track],
            rows: std::array::from_fn(|_| Vec::new()),
            wide: header.wide,
        };
        Self { header, walks: [None, None], columns: [columns(0), columns(1)], ready }
    }

    /// Adds the next chunk of the same walk and where it begins in the file, and returns what is ready to be written.
    pub fn push(&mut self, chunk: &Chunk<'_>, offset: u64) -> std::vec::Drain<'_, Placed> {
        let slot = slot(chunk.kind);
        let walk = self.walks[slot].get_or_insert_with(|| TrackWalk::new(chunk));
        walk.push(chunk, offset, &mut self.columns[slot]);
        self.columns[slot].drain(BUFFER_BYTES, &mut self.ready);
        self.ready.drain(..)
    }

    /// Returns the rest, for a file of `file_bytes`: only now is known where the last chunk ends.
    pub fn finish(mut self, file_bytes: u64) -> Vec<Placed> {
        for (walk, columns) in self.walks.iter_mut().zip(&mut self.columns) {
            if let Some(walk) = walk {
                walk.finish(columns);
            }
            columns.drain(0, &mut self.ready);
        }
        let mdat = self.header.mdat_offset();
        self.ready.push((mdat, mdat_header(file_bytes - mdat, self.header.wide)));
        debug_assert!(self.ready.iter().all(|(at, bytes)| at + bytes.len() as u64 <= self.header.bytes));
        self.ready
    }
}

const fn slot(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
    }
}

fn file_type() -> Ftyp {
    let brands: [&[u8; 4]; 4] = [b"isom", b"iso2", b"iso4", b"mp41"];
    Ftyp { major_brand: FourCC::new(b"isom"), minor_version: 512, compatible_brands: brands.map(FourCC::new).into() }
}

const fn mdat_header_bytes(wide: bool) -> u64 {
    if wide { 16 } else { 8 }
}

/// Builds size and type of `mdat`, with 64 bits where the size may need them (ISO/IEC 14496-12 §4.2).
fn mdat_header(bytes: u64, wide: bool) -> Vec<u8> {
    let mut header = Vec::with_capacity(16);
    if wide {
        header.put_u32(1);
        header.put_slice(b"mdat");
        header.put_u64(bytes);
    } else {
        header.put_u32(u32::try_from(bytes).expect("larger files are wide"));
        header.put_slice(b"mdat");
    }
    header
}

/// Encodes a box that has no rows.
fn leaf(atom: &impl Encode) -> Result<Block, BoxError> {
    let mut bytes = Vec::new();
    atom.encode(&mut bytes)?;
    Ok(Block::Bytes(bytes))
}

/// Puts a box around others.
fn container(name: &[u8; 4], children: Vec<Block>) -> Result<Vec<Block>, BoxError> {
    let size = 8 + children.iter().map(Block::bytes).sum::<u64>();
    let size = u32::try_from(size).map_err(|_| BoxError::Tables { bytes: size })?;
    let mut head = Vec::with_capacity(8);
    head.put_u32(size);
    head.put_slice(name);
    let mut blocks = vec![Block::Bytes(head)];
    blocks.extend(children);
    Ok(blocks)
}

/// Builds `trak` (ISO/IEC 14496-12 §8.3).
fn track_box(
    index: usize,
    walk: &TrackWalk,
    counts: Counts,
    presentation: Presentation,
    wide: bool,
) -> Result<Vec<Block>, BoxError> {
    let kind = walk.kind();
    let config = first_config(walk);
    let mut information = match kind {
        MediaKind::Video => vec![leaf(&Vmhd::default())?],
        MediaKind::Audio => vec![leaf(&Smhd::default())?],
    };
    let data: Dinf = data_information();
    information.push(leaf(&data)?);
    information.extend(container(b"stbl", sample_tables(index, walk, counts, wide)?)?);
    let mut media = vec![leaf(&media_header(config, walk.duration_ticks()))?, leaf(&handler(kind))?];
    media.extend(container(b"minf", information)?);
    let edits = Edts { elst: Some(presentation.edits()) };
    let mut track = vec![leaf(&track_header(config, presentation.end()))?, leaf(&edits)?];
    track.extend(container(b"mdia", media)?);
    container(b"trak", track)
}

fn sample_tables(index: usize, walk: &TrackWalk, counts: Counts, wide: bool) -> Result<Vec<Block>, BoxError> {
    let codecs = walk.descriptions().iter().map(|config| sample_entry(config)).collect::<Result<_, _>>()?;
    let mut blocks = vec![leaf(&Stsd { codecs })?];
    for (table, name, version, row_bytes) in [
        (Table::Durations, b"stts", 0, 8),
        (Table::CompositionOffsets, b"ctts", 1, 8),
        (Table::SyncSamples, b"stss", 0, 4),
        (Table::ChunkRuns, b"stsc", 0, 12),
        (Table::Sizes, b"stsz", 0, 4),
        (Table::ChunkOffsets, if wide { b"co64" } else { b"stco" }, 0, if wide { 8 } else { 4 }),
    ] {
        if walk.needs(table) {
            let count = counts.0[table as usize];
            let rows = Block::Rows { track: index, table, bytes: count * row_bytes };
            blocks.extend(container(name, vec![Block::Bytes(table_head(table, version, count)?), rows])?);
        }
    }
    Ok(blocks)
}

/// Builds what stands before the rows: version, flags and how many there are; `stsz` says first that sizes differ.
fn table_head(table: Table, version: u8, count: u64) -> Result<Vec<u8>, BoxError> {
    let rows = u32::try_from(count).map_err(|_| BoxError::Tables { bytes: count })?;
    let mut head = vec![version, 0, 0, 0];
    if table == Table::Sizes {
        head.put_u32(0);
    }
    head.put_u32(rows);
    Ok(head)
}

/// Says what of a track is presented, and when.
#[derive(Debug, Clone, Copy)]
struct Presentation {
    /// For how long the other track is alone, in the movie's timescale.
    delay: u64,
    /// How long the track is presented, same unit.
    span: u64,
    /// Where in the track that begins, in its own ticks.
    media_time: u64,
}

impl Presentation {
    /// Looks at a track in a movie that shows this time, on the grid.
    ///
    /// The media begins at the first sample's presentation, for Opus behind the samples to skip
    /// ("Encapsulation of Opus in ISO Base Media File Format" §4.4), or later if the movie does.
    fn new(walk: &TrackWalk, shown: &Range<i64>) -> Self {
        let grid_per_tick = GRID_HZ / i64::from(clock_rate_hz(walk.kind()));
        let (first, skipped_ticks) = match first_config(walk) {
            CodecConfig::Opus { pre_skip, .. } => (i64::from(*pre_skip), i64::from(*pre_skip)),
            _ => (i64::from(walk.first_composition_offset_ticks()).max(0), 0),
        };
        let track_start = presentation_start(walk);
        let track_end = track_start.saturating_add(presentation_span(walk) - skipped_ticks * grid_per_tick);
        let start = track_start.max(shown.start);
        let media_time = first + (start - track_start) / grid_per_tick;
        Self {
            delay: to_movie(start - shown.start),
            span: to_movie(track_end.min(shown.end) - start),
            media_time: u64::try_from(media_time).unwrap_or_default(),
        }
    }

    const fn end(&self) -> u64 {
        self.delay + self.span
    }

    /// Builds `elst`: nothing for as long as the other track is alone, then the samples (ISO/IEC 14496-12 §8.6.6).
    fn edits(&self) -> Elst {
        let edit =
            |segment_duration, media_time| ElstEntry { segment_duration, media_time, media_rate: FixedPoint::from(1) };
        let mut entries = vec![edit(self.span, Some(self.media_time))];
        if self.delay > 0 {
            entries.insert(0, edit(self.delay, None));
        }
        Elst { entries }
    }
}

/// Returns the configuration that a track begins with.
fn first_config(walk: &TrackWalk) -> &CodecConfig {
    walk.descriptions().first().expect("a walk begins with a chunk and its configuration")
}

/// Returns the presentation time of a track's first sample, on the grid.
fn presentation_start(walk: &TrackWalk) -> i64 {
    to_grid(walk.kind(), walk.presentation_start_ticks())
}

/// Returns how long a track is presented, on the grid.
fn presentation_span(walk: &TrackWalk) -> i64 {
    to_grid(walk.kind(), i64::try_from(walk.duration_ticks()).unwrap_or(i64::MAX))
}

/// Converts a span on the grid to the movie's timescale.
fn to_movie(grid: i64) -> u64 {
    u64::try_from(grid / (GRID_HZ / i64::from(MOVIE_HZ))).unwrap_or_default()
}
