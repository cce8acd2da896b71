//! Whether a stored MP4 holds together: read by ranges, however long it is.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use onair_media::MediaKind;

use crate::object::ObjectPath;
use crate::read::box_header;
use crate::store::{Store, StoreError};
use crate::verify::rebuild::Totals;

/// How much is fetched at once.
const WINDOW_BYTES: u64 = 256 << 10;

/// A box of ours has at most a dozen children. Whoever has more is not read to its end.
const CHILDREN_MAX: usize = 64;

/// Says why a file cannot be judged, or what is wrong with it.
#[derive(Debug)]
pub(super) enum Fault {
    Store(StoreError),
    Wrong(String),
}

/// Holds what the sample tables of a file add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Movie {
    pub(super) video: Totals,
    pub(super) audio: Totals,
}

/// Reads the boxes of an object.
pub(super) struct MovieReader<'a> {
    store: &'a Store,
    object: &'a ObjectPath,
    size: u64,
    window: Bytes,
    window_at: u64,
}

type BoxPlace = ([u8; 4], Range<u64>);

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn wrong(what: impl Into<String>) -> Fault {
    Fault::Wrong(what.into())
}

impl<'a> MovieReader<'a> {
    pub(super) const fn new(store: &'a Store, object: &'a ObjectPath, size: u64) -> Self {
        Self { store, object, size, window: Bytes::new(), window_at: 0 }
    }

    /// Adds up the sample tables and checks that every chunk begins within the media, and that the samples of all
    /// tracks are the media (ISO/IEC 14496-12 §8.6.1, §8.7).
    pub(super) async fn read(mut self) -> Result<Movie, Fault> {
        let boxes = self.children(0..self.size).await?;
        let media: Vec<_> = boxes.iter().filter(|(kind, _)| kind == b"mdat").map(|(_, body)| body.clone()).collect();
        let movie = find(&boxes, b"moov")?;
        let (mut totals, mut seen) = (Movie::default(), Vec::new());
        for (kind, body) in self.children(movie).await? {
            if &kind != b"trak" {
                continue;
            }
            let (kind, track) = self.track(body, &media).await?;
            if seen.contains(&kind) {
                return Err(wrong(format!("has two tracks of {}", kind.as_str())));
            }
            seen.push(kind);
            match kind {
                MediaKind::Video => totals.video = track,
                MediaKind::Audio => totals.audio = track,
            }
        }
        let held: u64 = media.iter().map(|body| body.end - body.start).sum();
        let told = totals.video.bytes.checked_add(totals.audio.bytes);
        if told != Some(held) {
            return Err(wrong(format!("holds {held} bytes of media, and its tables tell of others")));
        }
        Ok(totals)
    }

    async fn track(&mut self, track: Range<u64>, media: &[Range<u64>]) -> Result<(MediaKind, Totals), Fault> {
        let media_boxes = self.descend(track, &[b"mdia"]).await?;
        let handler = find(&media_boxes, b"hdlr")?;
        // Version, flags and a reserved word stand before the type (ISO/IEC 14496-12 §8.4.3.2).
        let kind = match &*self.bytes(handler.start + 8..handler.start + 12).await? {
            b"vide" => MediaKind::Video,
            b"soun" => MediaKind::Audio,
            _ => return Err(wrong("has a track that is neither sound nor pictures")),
        };
        let tables = self.descend(find(&media_boxes, b"minf")?, &[b"stbl"]).await?;
        let totals = self.sizes(find(&tables, b"stsz")?).await?;
        let mut timed = 0_u64;
        let durations = find(&tables, b"stts")?;
        self.rows::<8>(durations, 4, |row| timed += u64::from(be32(row))).await?;
        if timed != totals.samples {
            return Err(wrong(format!("gives times to {timed} samples of {}, of {}", kind.as_str(), totals.samples)));
        }
        self.offsets(&tables, media).await?;
        Ok((kind, totals))
    }

    /// Adds up `stsz` (ISO/IEC 14496-12 §8.7.3).
    async fn sizes(&mut self, table: Range<u64>) -> Result<Totals, Fault> {
        let head = self.bytes(table.start..table.start + 12).await?;
        let (size, samples) = (be32(&head[4..]), u64::from(be32(&head[8..])));
        if size > 0 {
            return Ok(Totals { samples, bytes: u64::from(size) * samples });
        }
        let mut bytes = 0_u64;
        self.rows::<4>(table, 8, |row| bytes = bytes.saturating_add(be32(row).into())).await?;
        Ok(Totals { samples, bytes })
    }

    /// Checks `stco` or `co64` (ISO/IEC 14496-12 §8.7.5).
    async fn offsets(&mut self, tables: &[BoxPlace], media: &[Range<u64>]) -> Result<(), Fault> {
        let mut astray = None;
        let mut check = |offset: u64| {
            if !media.iter().any(|body| body.contains(&offset)) {
                astray.get_or_insert(offset);
            }
        };
        match find(tables, b"stco") {
            Ok(table) => self.rows::<4>(table, 4, |row| check(be32(row).into())).await?,
            Err(_) => {
                let wide = |row: &[u8]| u64::from(be32(row)) << 32 | u64::from(be32(&row[4..]));
                self.rows::<8>(find(tables, b"co64")?, 4, |row| check(wide(row))).await?;
            }
        }
        astray.map_or(Ok(()), |offset| Err(wrong(format!("has samples at byte {offset}, where no media is"))))
    }

    /// Reads a table of `ROW` bytes a row, whose count stands `count_at` bytes into the body.
    async fn rows<const ROW: u64>(
        &mut self,
        table: Range<u64>,
        count_at: u64,
        mut row: impl FnMut(&[u8]),
    ) -> Result<(), Fault> {
        let count = be32(&self.bytes(table.start + count_at..table.start + count_at + 4).await?);
        let mut rows = table.start + count_at + 4..table.end;
        if rows.end.saturating_sub(rows.start) != u64::from(count) * ROW {
            return Err(wrong("has a sample table that is longer or shorter than it says"));
        }
        while rows.start < rows.end {
            let end = rows.end.min(rows.start + WINDOW_BYTES / ROW * ROW);
            let bytes = self.bytes(rows.start..end).await?;
            bytes.chunks_exact(ROW as usize).for_each(&mut row);
            rows.start = end;
        }
        Ok(())
    }

    /// Follows a path of types downwards and lists the children of the last.
    async fn descend(&mut self, mut body: Range<u64>, path: &[&[u8; 4]]) -> Result<Vec<BoxPlace>, Fault> {
        for kind in path {
            body = find(&self.children(body).await?, kind)?;
        }
        self.children(body).await
    }

    /// Lists the boxes of a range, which they must fill.
    async fn children(&mut self, mut range: Range<u64>) -> Result<Vec<BoxPlace>, Fault> {
        let mut found = Vec::new();
        while range.start < range.end {
            if found.len() == CHILDREN_MAX {
                return Err(wrong("has too many boxes"));
            }
            let bytes = self.bytes(range.start..range.end.min(range.start + 16)).await?;
            let header = box_header(&bytes, range.end - range.start)
                .map_err(|error| wrong(format!("cannot be read at byte {}: {error}", range.start)))?;
            let end = range.start + header.total_bytes;
            found.push((header.kind.into(), range.start + header.header_bytes..end));
            range.start = end;
        }
        Ok(found)
    }

    /// Returns a range of at most [`WINDOW_BYTES`], fetched with what follows it.
    async fn bytes(&mut self, range: Range<u64>) -> Result<Bytes, Fault> {
        if range.end > self.size || range.start > range.end {
            return Err(wrong("ends within a box"));
        }
        let within = |at: u64, window: &Bytes| at >= self.window_at && at <= self.window_at + window.len() as u64;
        if !within(range.start, &self.window) || !within(range.end, &self.window) {
            let end = self.size.min(range.start + WINDOW_BYTES);
            let download = self.store.get_range(self.object, Some(range.start..end)).await?;
            let chunks: Vec<Bytes> = download.stream.try_collect().await?;
            (self.window, self.window_at) = (chunks.concat().into(), range.start);
        }
        let from = usize::try_from(range.start - self.window_at).unwrap_or(usize::MAX);
        let to = usize::try_from(range.end - self.window_at).unwrap_or(usize::MAX);
        if to > self.window.len() {
            return Err(wrong("became shorter while it was read"));
        }
        Ok(self.window.slice(from..to))
    }
}

fn find(boxes: &[BoxPlace], kind: &[u8; 4]) -> Result<Range<u64>, Fault> {
    let found = boxes.iter().find(|(found, _)| found == kind).map(|(_, body)| body.clone());
    found.ok_or_else(|| wrong(format!("has no {} box", String::from_utf8_lossy(kind))))
}

/// Reads a number; there must be four bytes.
fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
