//! A media segment read box by box: what its samples are and where they lie, without their media.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::FourCC;
use onair_media::MediaKind;

use super::ReadError;
use super::segment::{Fragment, read_fragment};
use super::tree::{BoxHeader, RawBox, box_header};
use crate::boxes::SegmentHead;
use crate::cut::{Part, Segment};

/// No header of a box is longer.
const BOX_HEADER_BYTES: u64 = 16;

/// The largest `moof` that is read: more than a hundred thousand samples in one part.
const FRAGMENT_MAX_BYTES: u64 = 2 << 20;

/// Reads a segment of a known size from the stretches of it that it asks for: all but the samples themselves.
#[derive(Debug)]
pub struct SegmentScan {
    kind: MediaKind,
    msn: u64,
    size: u64,
    head: SegmentHead,
    /// Where the next box begins, and how much of it must be there.
    at: u64,
    needed: u64,
    /// Where the part begins that the next box belongs to.
    part_start: u64,
    /// The `moof` that waits for its `mdat`, and where it begins.
    fragment: Option<(u64, Fragment)>,
    parts: Vec<Arc<Part>>,
}

impl SegmentScan {
    /// Begins a segment of `size` bytes; `msn` is the number that its name tells.
    pub const fn new(kind: MediaKind, msn: u64, size: u64) -> Self {
        let head = SegmentHead { init: 1, discontinuity: false };
        let needed = BOX_HEADER_BYTES;
        Self { kind, msn, size, head, at: 0, needed, part_start: 0, fragment: None, parts: Vec::new() }
    }

    /// Returns the bytes that are needed next, or `None` when everything was seen. More of what follows does no harm.
    pub fn wants(&self) -> Option<Range<u64>> {
        (self.at < self.size).then(|| self.at..self.size.min(self.at + self.needed))
    }

    /// Reads on, given bytes of the segment that begin where [`SegmentScan::wants`] does.
    ///
    /// # Errors
    /// [`ReadError`] when they are no boxes that this crate writes in this order.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let begins = self.at;
        while self.at < self.size {
            let skipped = usize::try_from(self.at - begins).unwrap_or(usize::MAX);
            let available = self.size - self.at;
            self.needed = BOX_HEADER_BYTES.min(available);
            let Some(window) = bytes.get(skipped..).filter(|window| window.len() as u64 >= self.needed) else { break };
            let header = box_header(window, available)?;
            self.needed = self.needed_of(&header)?;
            let Some(seen) = window.get(..usize::try_from(self.needed).unwrap_or(usize::MAX)) else { break };
            self.take(&header, seen)?;
            self.at += header.total_bytes;
        }
        Ok(())
    }

    /// Returns the segment without its media, once everything was seen.
    ///
    /// # Errors
    /// [`ReadError`] when the last part is not whole, or there is none.
    pub fn finish(self) -> Result<Segment, ReadError> {
        if self.part_start != self.size {
            return Err(ReadError::Missing(FourCC::new(b"mdat")));
        }
        Segment::of_parts(self.parts).ok_or(ReadError::Missing(FourCC::new(b"moof")))
    }

    /// Returns how much of a box must be seen: all of `moof`, of a head what we know of it, and of others nothing.
    fn needed_of(&self, header: &BoxHeader) -> Result<u64, ReadError> {
        match header.kind.as_ref() {
            b"moof" if header.total_bytes > FRAGMENT_MAX_BYTES => {
                Err(ReadError::Unexpected("a fragment of more samples than are ever written"))
            }
            b"moof" => Ok(header.total_bytes),
            b"uuid" if self.at == 0 => Ok(header.total_bytes.min(SegmentHead::BYTES as u64)),
            _ => Ok(header.header_bytes),
        }
    }

    fn take(&mut self, header: &BoxHeader, seen: &[u8]) -> Result<(), ReadError> {
        // Both are within what was seen.
        let body = &seen[header.header_bytes as usize..];
        match (header.kind.as_ref(), self.fragment.take()) {
            (b"moof", None) => {
                let moof = RawBox { kind: header.kind, whole: seen, body };
                self.fragment = Some((self.at, read_fragment(self.kind, &moof)?));
            }
            (b"mdat", Some((moof, fragment))) => self.end_part(header, moof, fragment)?,
            (b"mdat", None) => return Err(ReadError::Missing(FourCC::new(b"moof"))),
            (b"moof", Some(_)) => return Err(ReadError::Missing(FourCC::new(b"mdat"))),
            // Whatever else stands before a chunk belongs to its part, as the head does.
            (_, pending) => {
                self.fragment = pending;
                let head = if self.at == 0 { SegmentHead::from_box(header.kind, body) } else { None };
                self.head = head.unwrap_or(self.head);
            }
        }
        Ok(())
    }

    /// Adds the part that ends with this `mdat`.
    fn end_part(&mut self, mdat: &BoxHeader, moof: u64, fragment: Fragment) -> Result<(), ReadError> {
        let Fragment { start_ticks, duration_ticks, data_offset, bytes, samples } = fragment;
        let payload = self.at + mdat.header_bytes;
        let placed = u64::try_from(data_offset) == Ok(payload - moof);
        if !placed || bytes != mdat.total_bytes - mdat.header_bytes {
            return Err(ReadError::Unexpected("samples that are not the content of their mdat box"));
        }
        if self.parts.last().is_some_and(|last| !ends_at(last, start_ticks)) {
            return Err(ReadError::Unexpected("a part that does not begin where the one before it ends"));
        }
        let SegmentHead { init, discontinuity } = self.head;
        self.parts.push(Arc::new(Part {
            kind: self.kind,
            msn: self.msn,
            index: self.parts.len() as u32,
            init,
            discontinuity,
            independent: samples.first().is_some_and(|sample| sample.sync),
            start_ticks,
            duration_ticks,
            bytes: Bytes::new(),
            payload_offset: usize::try_from(payload - self.part_start).unwrap_or(usize::MAX),
            samples,
        }));
        self.part_start = self.at + mdat.total_bytes;
        Ok(())
    }
}

fn ends_at(part: &Part, ticks: i64) -> bool {
    part.start_ticks.checked_add_unsigned(part.duration_ticks) == Some(ticks)
}
