//! The end of an MP4: its header, built from the journal, and the parts that are still to be put.

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

use onair_media::{RecordingId, RoomName};

use super::{JOURNAL, Spool, SpoolError};
use crate::boxes::BoxError;
use crate::journal::{Entry, Reader};
use crate::ledger::piece_of;
use crate::progressive::{Arrangement, Chunk, HeaderWriter, Movie, Piece, Placed, Source, Spread, sources};

/// The file that holds the header.
pub(super) const HEADER: &str = "header";

/// Says how to finish a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Its size.
    pub file_bytes: u64,
    /// The parts that are to be put: the last ones of the media, then those with the header, from the last to the first. A
    /// short file is one part, which may be a little larger than others.
    pub parts: Vec<FinishPart>,
    /// Whether the only part is the file: no upload is needed.
    pub is_whole: bool,
}

/// Describes a part that is to be put.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishPart {
    /// Counts from 0.
    pub index: u64,
    /// Its size.
    pub bytes: u64,
    /// What it is made of.
    pub from: Vec<Source>,
}

/// Says why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The spool failed.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The media does not fit into an MP4.
    #[error("describe the media")]
    Boxes(#[from] BoxError),
}

impl Spool {
    /// Builds the header of a recording's MP4 of which so many parts behind the first one are uploaded, and says what
    /// is left to do. `None` when there is no media.
    ///
    /// Walks the journal twice and holds none of it.
    ///
    /// # Errors
    /// [`FinishError`] when the journal cannot be read, the header not written, or the media not described.
    pub fn finish_mp4(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        part_bytes: u64,
        uploaded_parts: u64,
    ) -> Result<Option<Finish>, FinishError> {
        let folder = self.folder(room, recording);
        let (mut movie, mut spread) = (Movie::default(), Spread::new(part_bytes));
        walk(&folder, |chunk, piece| {
            movie.push(chunk);
            spread.place(piece.bytes());
            Ok(())
        })?;
        if movie.media_bytes() == 0 {
            return Ok(None);
        }
        let header = movie.header()?;
        let mut arrangement = Arrangement::new(spread, header.bytes());
        let is_whole = spread.streamed_bytes() == 0;
        let header_parts = arrangement.header_parts();
        let rest = (uploaded_parts + 1).max(header_parts);

        let path = folder.join(HEADER);
        let former_bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let file = File::create(&path).map_err(SpoolError::at("create", &path))?;
        // All of it is written or the MP4 is given up: either way its room is given back by the size of the file.
        file.set_len(header.bytes()).map_err(SpoolError::at("size", &path))?;
        self.space.add(header.bytes());
        self.space.give(former_bytes);
        let mut writer = HeaderWriter::new(&header);
        let mut put = |(at, bytes): Placed| file.write_all_at(&bytes, at).map_err(SpoolError::at("write", &path));
        let mut pieces: Vec<(u64, Piece)> = Vec::new();
        walk(&folder, |chunk, piece| {
            let at = arrangement.offset(piece.bytes());
            if is_whole || at < header_parts * part_bytes || at + piece.bytes() > rest * part_bytes {
                pieces.push((at, piece.clone()));
            }
            writer.push(chunk, at).try_for_each(&mut put)
        })?;
        let file_bytes = arrangement.end();
        writer.finish(file_bytes).into_iter().try_for_each(put)?;
        pieces.sort_by_key(|(at, _)| *at);

        let part = |index: u64, bytes: u64| {
            let range = index * part_bytes..(index * part_bytes + bytes).min(file_bytes);
            let bytes = range.end - range.start;
            FinishPart { index, bytes, from: sources(range, header.bytes(), &pieces) }
        };
        let parts = if is_whole {
            vec![part(0, file_bytes)]
        } else {
            // The header's parts come last, and the first one last of all: who has that has everything.
            let rest = rest..file_bytes.div_ceil(part_bytes);
            rest.chain((0..header_parts).rev()).map(|index| part(index, part_bytes)).collect()
        };
        Ok(Some(Finish { file_bytes, parts, is_whole }))
    }

    /// Returns where the samples of each part lie, in the order of the journal.
    ///
    /// # Errors
    /// [`SpoolError`] when the journal cannot be read.
    pub fn pieces(&self, room: &RoomName, recording: &RecordingId) -> Result<Vec<Piece>, SpoolError> {
        let mut pieces = Vec::new();
        walk(&self.folder(room, recording), |_, piece| {
            pieces.push(piece);
            Ok(())
        })?;
        Ok(pieces)
    }
}

/// Walks the chunks that a journal speaks of.
fn walk(folder: &Path, mut each: impl FnMut(&Chunk<'_>, Piece) -> Result<(), SpoolError>) -> Result<(), SpoolError> {
    let path = folder.join(JOURNAL);
    let failed = |error| SpoolError::at("read", &path)(error);
    let mut reader = Reader::new(BufReader::new(File::open(&path).map_err(failed)?));
    let mut configs = std::collections::HashMap::new();
    // Number and size so far of the segment that grows, by rendition.
    let mut grown = std::collections::HashMap::new();
    while let Some(entry) = reader.next_entry().map_err(failed)? {
        match entry {
            Entry::Init { kind, index, config } => drop(configs.insert((kind, index), config)),
            Entry::Part { part, .. } => {
                let Some(config) = configs.get(&(part.kind, part.init)) else { continue };
                let (msn, bytes) = grown.entry(part.kind).or_insert((part.msn, 0));
                if *msn != part.msn {
                    (*msn, *bytes) = (part.msn, 0);
                }
                let piece = piece_of(&part, *bytes);
                *bytes += part.size_bytes();
                each(&Chunk::new(&part, config), piece)?;
            }
            _ => {}
        }
    }
    Ok(())
}
