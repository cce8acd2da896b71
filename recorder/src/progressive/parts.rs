//! What the parts of an upload are made of: the header, pieces of segments, and filling.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Piece, Spot, Spread};

/// Says where some bytes of a part come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From the header.
    Header(Range<u64>),
    /// From a segment.
    Piece(Piece),
    /// Nothing refers to them.
    Zeros(u64),
}

impl Source {
    /// Returns how many bytes they are.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Header(range) => range.end - range.start,
            Self::Piece(piece) => piece.bytes(),
            Self::Zeros(count) => *count,
        }
    }
}

/// Returns what a range of a file is made of, given pieces and where they lie, in order.
///
/// What no piece covers is filled with zeros.
pub fn sources(range: Range<u64>, header_bytes: u64, pieces: &[(u64, Piece)]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut at = range.start;
    if at < header_bytes {
        let end = header_bytes.min(range.end);
        sources.push(Source::Header(at..end));
        at = end;
    }
    for (offset, piece) in pieces {
        let (begins, ends) = (at.max(*offset), range.end.min(offset + piece.bytes()));
        if begins >= ends {
            continue;
        }
        if begins > at {
            sources.push(Source::Zeros(begins - at));
        }
        let within = piece.range.start + (begins - offset)..piece.range.start + (ends - offset);
        sources.push(Source::Piece(Piece { range: within, ..piece.clone() }));
        at = ends;
    }
    if at < range.end {
        sources.push(Source::Zeros(range.end - at));
    }
    sources
}

/// Collects the pieces of a growing file until they are uploaded.
#[derive(Debug)]
pub struct Mp4Parts {
    spread: Spread,
    /// Streamed pieces that are not in an uploaded part, with their place behind the beginning of the second part.
    waiting: VecDeque<(u64, Piece)>,
    /// Of the second part and those that follow.
    uploaded: u64,
    /// Whether the pieces of uploaded parts are needed again, but are forgotten.
    lost: bool,
}

impl Mp4Parts {
    /// Begins a file whose parts have one size.
    pub const fn new(part_bytes: u64) -> Self {
        Self { spread: Spread::new(part_bytes), waiting: VecDeque::new(), uploaded: 0, lost: false }
    }

    /// Adds the next chunk.
    pub fn push(&mut self, piece: Piece) -> Spot {
        let spot = self.spread.place(piece.bytes());
        if let Spot::Streamed(at) = spot {
            self.waiting.push_back((at, piece));
        }
        spot
    }

    /// Returns the index of the next part that is full, and what it is made of.
    pub fn next_full(&self) -> Option<(u64, Vec<Source>)> {
        if self.lost || self.uploaded >= self.spread.full_parts() {
            return None;
        }
        let part_bytes = self.spread.part_bytes();
        let range = self.uploaded * part_bytes..(self.uploaded + 1) * part_bytes;
        let until = self.waiting.partition_point(|(at, _)| *at < range.end);
        let pieces: Vec<_> = self.waiting.range(..until).cloned().collect();
        Some((self.uploaded + 1, sources(range, 0, &pieces)))
    }

    /// Counts the part that [`Mp4Parts::next_full`] returned as uploaded, and forgets what it was made of.
    pub fn uploaded(&mut self) {
        self.uploaded += 1;
        let end = self.uploaded_bytes();
        while self.waiting.front().is_some_and(|(at, piece)| at + piece.bytes() <= end) {
            self.waiting.pop_front();
        }
    }

    /// Returns how many streamed bytes are uploaded.
    pub const fn uploaded_bytes(&self) -> u64 {
        self.uploaded * self.spread.part_bytes()
    }

    /// Returns how many parts are uploaded, the first one of the file not counted.
    pub const fn uploaded_parts(&self) -> u64 {
        self.uploaded
    }

    /// The uploaded parts are gone: all of it has to be made again, from the first chunk on.
    pub const fn lose(&mut self) {
        self.lost = true;
    }

    /// Tells whether everything has to be made again.
    pub const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Returns the size of the parts.
    pub const fn part_bytes(&self) -> u64 {
        self.spread.part_bytes()
    }

    /// Returns how the chunks were placed.
    pub const fn spread(&self) -> Spread {
        self.spread
    }
}
