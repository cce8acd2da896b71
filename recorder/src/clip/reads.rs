//! In which order the bytes of a file are read from its segments.
//!
//! Pictures and sound take turns in the file every part of a second, and lie in different segments. So a longer stretch of a
//! segment is read at once, with the boxes between its pieces, and kept until its last piece was sent: one of each
//! rendition, and what is read ahead.

use std::collections::HashMap;
use std::ops::Range;

use onair_media::MediaKind;

use crate::progressive::{Mp4Layout, Piece, Source, sources};

/// The longest stretch of a segment that is read at once.
const READ_MAX_BYTES: u64 = 1 << 20;

/// How much of the header is sent at a time.
const HEADER_CHUNK_BYTES: u64 = 64 << 10;

/// Says what to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes of the header.
    Header(Range<u64>),
    /// Bytes of the stretch of a rendition that was read last.
    Media {
        /// The stretch to read first, in the place of the one of its rendition before it.
        read: Option<Piece>,
        /// The rendition.
        kind: MediaKind,
        /// Which bytes of the stretch.
        range: Range<usize>,
    },
}

impl Step {
    /// Returns the stretch that has to be read first.
    pub fn read(&self) -> Option<Piece> {
        match self {
            Self::Media { read, .. } => read.clone(),
            Self::Header(_) => None,
        }
    }
}

/// Returns how to send a range of a file, which must lie within it.
pub fn steps(layout: &Mp4Layout, range: Range<u64>) -> Vec<Step> {
    let mut at = layout.header.len() as u64;
    let placed: Vec<(u64, Piece)> = layout
        .pieces
        .iter()
        .map(|piece| {
            let begins = at;
            at += piece.bytes();
            (begins, piece.clone())
        })
        .collect();
    let (mut steps, mut pieces) = (Vec::new(), Vec::new());
    for source in sources(range, layout.header.len() as u64, &placed) {
        match source {
            Source::Header(range) => {
                let starts = range.clone().step_by(HEADER_CHUNK_BYTES as usize);
                let chunk = |start| Step::Header(start..range.end.min(start + HEADER_CHUNK_BYTES));
                steps.extend(starts.map(chunk));
            }
            Source::Piece(piece) => pieces.extend(split(piece)),
            Source::Zeros(_) => debug_assert!(false, "the pieces follow the header without a hole"),
        }
    }
    let reads = reads(&pieces);
    steps.extend(pieces.into_iter().zip(reads).map(|(piece, (read, begins))| Step::Media {
        read,
        kind: piece.kind,
        // A stretch is short enough for memory.
        range: (piece.range.start - begins) as usize..(piece.range.end - begins) as usize,
    }));
    steps
}

/// Cuts a piece so that each fits into a stretch.
fn split(piece: Piece) -> impl Iterator<Item = Piece> {
    let Piece { kind, msn, range } = piece;
    let starts = range.clone().step_by(READ_MAX_BYTES as usize);
    starts.map(move |start| Piece { kind, msn, range: start..range.end.min(start + READ_MAX_BYTES) })
}

/// Returns for each piece the stretch that has to be read for it, if it is another one than before, and where the one
/// that it lies in begins.
fn reads(pieces: &[Piece]) -> Vec<(Option<Piece>, u64)> {
    let mut reads: Vec<(Option<Piece>, u64)> = Vec::with_capacity(pieces.len());
    // Of each rendition, which entry opened the last stretch.
    let mut open: HashMap<MediaKind, usize> = HashMap::new();
    for (index, piece) in pieces.iter().enumerate() {
        let opened = open.get(&piece.kind).copied();
        let stretch = opened.and_then(|opened| reads[opened].0.as_mut());
        let fits = |stretch: &&mut Piece| {
            let follows = stretch.msn == piece.msn && stretch.range.end <= piece.range.start;
            follows && piece.range.end - stretch.range.start <= READ_MAX_BYTES
        };
        if let Some(stretch) = stretch.filter(fits) {
            stretch.range.end = piece.range.end;
            let begins = stretch.range.start;
            reads.push((None, begins));
        } else {
            reads.push((Some(piece.clone()), piece.range.start));
            open.insert(piece.kind, index);
        }
    }
    reads
}
