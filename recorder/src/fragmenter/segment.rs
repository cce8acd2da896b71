//! A segment while it grows, one part at a time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use onair_media::MediaKind;

use crate::boxes::{Chunk, SegmentHead, chunk};
use crate::cut::{Cut, Part, Sample, Segment};

/// Collects samples into parts and parts into one segment of one rendition.
#[derive(Debug)]
pub(super) struct OpenSegment {
    kind: MediaKind,
    msn: u64,
    init: u32,
    discontinuity: bool,
    start_ticks: i64,
    /// Where the next sample begins.
    end_ticks: i64,
    parts: Vec<Arc<Part>>,
    part_start_ticks: i64,
    samples: Vec<Sample>,
    payloads: Vec<Bytes>,
}

impl OpenSegment {
    pub(super) fn new(kind: MediaKind, msn: u64, init: u32, discontinuity: bool, start_ticks: i64) -> Self {
        Self {
            kind,
            msn,
            init,
            discontinuity,
            start_ticks,
            end_ticks: start_ticks,
            parts: Vec::new(),
            part_start_ticks: start_ticks,
            samples: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Returns the decoding time of the first sample.
    pub(super) const fn start_ticks(&self) -> i64 {
        self.start_ticks
    }

    /// Returns how long the part is that has not been cut yet.
    pub(super) const fn part_ticks(&self) -> u64 {
        self.end_ticks.abs_diff(self.part_start_ticks)
    }

    pub(super) fn push(&mut self, sample: Sample, payload: Bytes) {
        self.end_ticks += i64::from(sample.duration_ticks);
        self.samples.push(sample);
        self.payloads.push(payload);
    }

    /// Cuts the samples since the last part into one; `chunks` counts the chunks of the rendition.
    ///
    /// There must be such samples.
    pub(super) fn cut_part(&mut self, chunks: &mut u32) -> Cut {
        debug_assert!(!self.samples.is_empty(), "a part holds at least one sample");
        // `mfhd` only has to grow; after 2^32 chunks (68 years of half seconds) it starts over.
        *chunks = chunks.wrapping_add(1);
        let samples = std::mem::take(&mut self.samples);
        let start = u64::try_from(self.part_start_ticks).expect("frames before the start of time are not accepted");
        let head = SegmentHead { init: self.init, discontinuity: self.discontinuity };
        let head = self.parts.is_empty().then_some(head);
        let Chunk { bytes, payload_offset } =
            chunk(self.kind, *chunks, start, head, &samples, &std::mem::take(&mut self.payloads));
        let part = Arc::new(Part {
            kind: self.kind,
            msn: self.msn,
            index: self.parts.len() as u32,
            independent: samples.first().is_some_and(|sample| sample.sync),
            start_ticks: self.part_start_ticks,
            duration_ticks: self.part_ticks(),
            bytes,
            payload_offset,
            samples,
        });
        self.part_start_ticks = self.end_ticks;
        self.parts.push(Arc::clone(&part));
        Cut::Part(part)
    }

    /// Ends the segment; all its samples must have been cut into parts.
    ///
    /// The parts of the result share the memory of its bytes.
    pub(super) fn finish(self) -> Cut {
        debug_assert!(self.samples.is_empty(), "the last part was cut before");
        let mut joined = BytesMut::with_capacity(self.parts.iter().map(|part| part.bytes.len()).sum());
        self.parts.iter().for_each(|part| joined.extend_from_slice(&part.bytes));
        let bytes = joined.freeze();
        let mut offset = 0;
        let share = |part: &Arc<Part>| {
            let end = offset + part.bytes.len();
            let shared = Part { bytes: bytes.slice(offset..end), ..Part::clone(part) };
            offset = end;
            Arc::new(shared)
        };
        let parts: Vec<_> = self.parts.iter().map(share).collect();
        Cut::Segment(Arc::new(Segment {
            kind: self.kind,
            msn: self.msn,
            init: self.init,
            independent: parts.first().is_some_and(|part| part.independent),
            discontinuity: self.discontinuity,
            start_ticks: self.start_ticks,
            duration_ticks: self.end_ticks.abs_diff(self.start_ticks),
            parts,
            bytes,
        }))
    }
}
