//! A media segment read back, see [`crate::fragmenter`].

use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{FourCC, Tfdt, Tfhd, Trun, TrunEntry};
use onair_media::MediaKind;

use super::ReadError;
use super::tree::{RawBox, child, leaf, next_box};
use crate::boxes::{SegmentHead, track_id};
use crate::cut::{Part, Sample, Segment};

/// No later time is ever written; sums of times below it are far from overflow.
const LATEST_TICKS: i64 = 1 << 57;

/// In the flags of a sample: it is no sync sample (ISO/IEC 14496-12 §8.8.3.1).
const IS_NON_SYNC: u32 = 0x0001_0000;

/// Reads the head of a segment, or returns `None` for one of format version 1, which has none.
pub fn read_head(bytes: &[u8]) -> Option<SegmentHead> {
    let first = next_box(&mut &*bytes).ok().flatten()?;
    SegmentHead::from_box(first.kind, first.body)
}

/// Reads a segment: it equals the one that was cut. `msn` is the number that its name tells.
///
/// A segment without head says neither which initialisation segment it needs nor whether it continues the one before
/// it: they are given as the first one, and as if it did.
///
/// # Errors
/// [`ReadError`] when the bytes are not whole parts of one track, one after another without a gap in time.
pub fn read_segment(kind: MediaKind, msn: u64, bytes: Bytes) -> Result<Segment, ReadError> {
    let head = read_head(&bytes).unwrap_or(SegmentHead { init: 1, discontinuity: false });
    let parts = read_parts(kind, msn, head, &bytes)?;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(ReadError::Missing(FourCC::new(b"moof")));
    };
    let end_ticks = last.start_ticks.saturating_add_unsigned(last.duration_ticks);
    Ok(Segment {
        kind,
        msn,
        init: head.init,
        independent: first.independent,
        discontinuity: head.discontinuity,
        start_ticks: first.start_ticks,
        duration_ticks: end_ticks.abs_diff(first.start_ticks),
        parts,
        bytes,
    })
}

fn read_parts(kind: MediaKind, msn: u64, head: SegmentHead, bytes: &Bytes) -> Result<Vec<Arc<Part>>, ReadError> {
    let mut parts: Vec<Arc<Part>> = Vec::new();
    let mut rest = bytes.as_ref();
    let (mut part_start, mut fragment) = (0, None);
    while let Some(found) = next_box(&mut rest)? {
        let end = bytes.len() - rest.len();
        match (found.kind.as_ref(), fragment.take()) {
            (b"moof", None) => fragment = Some((end - found.whole.len(), read_fragment(kind, &found)?)),
            (b"mdat", Some((moof, fragment))) => {
                let place = Place { head, part: part_start, moof, payload: end - found.body.len(), end };
                let part = place.part(kind, msn, parts.len() as u32, bytes, fragment)?;
                if parts.last().is_some_and(|last| !continues(last, &part)) {
                    return Err(ReadError::Unexpected("a part that does not begin where the one before it ends"));
                }
                parts.push(Arc::new(part));
                part_start = end;
            }
            (b"mdat", None) => return Err(ReadError::Missing(FourCC::new(b"moof"))),
            (b"moof", Some(_)) => return Err(ReadError::Missing(FourCC::new(b"mdat"))),
            // Whatever else stands before a chunk belongs to its part, as the head does.
            (_, pending) => fragment = pending,
        }
    }
    if part_start != bytes.len() {
        return Err(ReadError::Missing(FourCC::new(b"mdat")));
    }
    Ok(parts)
}

/// Where a part and what it consists of lie within the segment.
struct Place {
    head: SegmentHead,
    part: usize,
    moof: usize,
    payload: usize,
    end: usize,
}

impl Place {
    fn part(
        &self,
        kind: MediaKind,
        msn: u64,
        index: u32,
        segment: &Bytes,
        fragment: Fragment,
    ) -> Result<Part, ReadError> {
        let Fragment { start_ticks, duration_ticks, data_offset, bytes, samples } = fragment;
        let placed = usize::try_from(data_offset) == Ok(self.payload - self.moof);
        if !placed || bytes != (self.end - self.payload) as u64 {
            return Err(ReadError::Unexpected("samples that are not the content of their mdat box"));
        }
        Ok(Part {
            kind,
            msn,
            index,
            init: self.head.init,
            discontinuity: self.head.discontinuity,
            independent: samples.first().is_some_and(|sample| sample.sync),
            start_ticks,
            duration_ticks,
            bytes: segment.slice(self.part..self.end),
            payload_offset: self.payload - self.part,
            samples,
        })
    }
}

fn continues(last: &Part, next: &Part) -> bool {
    last.start_ticks.checked_add_unsigned(last.duration_ticks) == Some(next.start_ticks)
}

/// Holds what a `moof` says.
pub(super) struct Fragment {
    start_ticks: i64,
    duration_ticks: u64,
    /// From the first byte of `moof`.
    pub(super) data_offset: i32,
    /// Of all samples.
    bytes: u64,
    /// Never empty.
    pub(super) samples: Vec<Sample>,
}

pub(super) fn read_fragment(kind: MediaKind, moof: &RawBox<'_>) -> Result<Fragment, ReadError> {
    let track = child(moof.body, b"traf")?.body;
    let tfhd: Tfhd = leaf(track)?;
    if tfhd.track_id != track_id(kind) || !tfhd.default_base_is_moof {
        return Err(ReadError::Unexpected("a fragment of another track"));
    }
    let start_ticks = i64::try_from(leaf::<Tfdt>(track)?.base_media_decode_time).unwrap_or(i64::MAX);
    let trun: Trun = leaf(track)?;
    let samples: Vec<Sample> = match &trun.samples {
        mp4_atom::TrunSamples::Explicit(entries) => {
            entries.iter().map(|entry| read_sample(entry, tfhd.default_sample_flags)).collect::<Option<_>>()
        }
        // A run whose samples say nothing may claim any number of them.
        mp4_atom::TrunSamples::Inherited { .. } => None,
    }
    .filter(|samples: &Vec<Sample>| !samples.is_empty())
    .ok_or(ReadError::Unexpected("samples without size, duration or flags"))?;
    let duration_ticks = samples.iter().map(|sample| u64::from(sample.duration_ticks)).sum();
    if start_ticks.checked_add_unsigned(duration_ticks).is_none_or(|end| end > LATEST_TICKS) {
        return Err(ReadError::Unexpected("a time that never comes"));
    }
    Ok(Fragment {
        start_ticks,
        duration_ticks,
        data_offset: trun.data_offset.ok_or(ReadError::Unexpected("samples without a place"))?,
        bytes: samples.iter().map(|sample| u64::from(sample.size)).sum(),
        samples,
    })
}

/// Reads a row of `trun`; the columns that may be left out are the flags of audio and offsets that are zero.
fn read_sample(entry: &TrunEntry, default_flags: Option<u32>) -> Option<Sample> {
    Some(Sample {
        size: entry.size?,
        duration_ticks: entry.duration?,
        composition_offset_ticks: i32::try_from(entry.cts.unwrap_or_default()).ok()?,
        sync: entry.flags.or(default_flags)? & IS_NON_SYNC == 0,
    })
}
