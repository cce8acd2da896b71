//! A media segment read back, see [`crate::fragmenter`].

use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{Tfdt, Tfhd, Trun, TrunEntry};
use onair_media::MediaKind;

use super::tree::{RawBox, child, leaf, next_box};
use super::{ReadError, SegmentScan};
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
    let mut scan = SegmentScan::new(kind, msn, bytes.len() as u64);
    scan.push(&bytes)?;
    let mut segment = scan.finish()?;
    let mut start = 0;
    for part in &mut segment.parts {
        // The parts fill the segment, so each of them lies within it.
        let end = start + usize::try_from(part.size_bytes()).unwrap_or(usize::MAX);
        *part = Arc::new(Part { bytes: bytes.slice(start..end), ..part.without_media() });
        start = end;
    }
    Ok(Segment { bytes, ..segment })
}

/// Holds what a `moof` says.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) start_ticks: i64,
    pub(super) duration_ticks: u64,
    /// From the first byte of `moof`.
    pub(super) data_offset: i32,
    /// Of all samples.
    pub(super) bytes: u64,
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
