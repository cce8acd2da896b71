//! Which samples of a rendition a clip needs.

use std::sync::Arc;

use onair_media::{CodecConfig, MediaKind};

use super::{ClipTrack, Span};
use crate::cut::{Part, Sample, Segment};
use crate::progressive::{Chunk, Piece};
use crate::ticks::{GRID_HZ, clock_rate_hz, to_grid};

/// How long an Opus decoder needs until it sounds right, on the grid: 80 ms (RFC 7845 §4.6).
const SOUND_PREROLL: i64 = GRID_HZ * 80 / 1000;

/// Some samples of a part that follow one another.
#[derive(Debug, Clone)]
pub(super) struct ClipChunk {
    pub(super) kind: MediaKind,
    start_ticks: i64,
    pub(super) samples: Vec<Sample>,
    config: Arc<CodecConfig>,
    pub(super) piece: Piece,
}

/// The samples of one rendition.
#[derive(Debug)]
pub(super) struct Selection {
    /// Never empty.
    pub(super) chunks: Vec<ClipChunk>,
    /// Where the presentation of the last one to be shown ends, on the grid.
    pub(super) end: i64,
}

/// One sample, and where it stands among those of its track.
#[derive(Debug, Clone, Copy)]
struct Placed {
    /// Counts all samples.
    index: usize,
    /// When it is shown, on the grid.
    start: i64,
    end: i64,
    sync: bool,
}

impl ClipChunk {
    pub(super) fn as_chunk(&self) -> Chunk<'_> {
        Chunk { kind: self.kind, start_ticks: self.start_ticks, samples: &self.samples, config: &self.config }
    }
}

/// Returns where sound has to be decoded from for a clip, on the grid.
pub(crate) const fn sound_begins(span: Span) -> i64 {
    span.start.saturating_sub(SOUND_PREROLL)
}

/// Tells whether pictures can be decoded from somewhere in this segment, so that the clip's first one is seen.
pub(crate) fn has_beginning(segment: &Segment, span: Span) -> bool {
    segment.parts.iter().flat_map(|part| placed(part)).any(|sample| sample.sync && sample.start <= span.start)
}

/// Returns when the first sample of a segment is shown, on the grid.
pub(crate) fn presentation_start(segment: &Segment) -> Option<i64> {
    segment.parts.iter().flat_map(|part| placed(part)).next().map(|sample| sample.start)
}

/// Selects the samples of a track: from the last keyframe that is shown when the clip begins, or the first one behind
/// it, to the last one that is shown before it ends.
pub(super) fn select(track: &ClipTrack, span: Span) -> Option<Selection> {
    let parts =
        || track.segments.iter().flat_map(|(segment, config)| parts_of(segment).map(move |part| (part, config)));
    let samples = || {
        let all = parts().flat_map(|((part, _), _)| placed(part));
        all.enumerate().map(|(index, sample)| Placed { index, ..sample })
    };
    let kind = track.segments.first()?.0.kind;
    let first = first_sample(kind, samples(), span)?;
    let last = samples().filter(|sample| sample.index >= first && sample.start < span.end).last()?.index;
    let mut chunks: Vec<ClipChunk> = Vec::new();
    let mut index = 0;
    for ((part, offset), config) in parts() {
        let wanted = first.max(index)..(last + 1).min(index + part.samples.len());
        if wanted.start < wanted.end {
            chunks.push(chunk(part, offset, config, wanted.start - index..wanted.end - index));
        }
        index += part.samples.len();
    }
    let shown_until =
        samples().filter(|sample| (first..=last).contains(&sample.index)).map(|sample| sample.end).max()?;
    let is_held = track.goes_on || last + 1 < index;
    let end = if is_held { shown_until.max(span.end) } else { shown_until };
    let missing = end.min(span.end) - file_end(&chunks)?;
    hold(chunks.last_mut()?, missing.max(0));
    (end > span.start).then_some(Selection { chunks, end })
}

fn first_sample(kind: MediaKind, mut samples: impl Iterator<Item = Placed> + Clone, span: Span) -> Option<usize> {
    let found = match kind {
        MediaKind::Audio => samples.find(|sample| sample.end > sound_begins(span)),
        MediaKind::Video => {
            let keyframes = samples.filter(|sample| sample.sync);
            let before = keyframes.clone().filter(|sample| sample.start <= span.start).last();
            before.or_else(|| keyframes.clone().next())
        }
    };
    found.map(|sample| sample.index)
}

/// Returns where a track of these chunks ends, on the grid: all its samples after the first one's presentation. That is
/// not where the last one's presentation ends, if they were reordered differently.
fn file_end(chunks: &[ClipChunk]) -> Option<i64> {
    let (first, last) = (chunks.first()?, chunks.last()?);
    let ends = last.start_ticks + last.samples.iter().map(|sample| i64::from(sample.duration_ticks)).sum::<i64>();
    Some(to_grid(first.kind, ends + i64::from(first.samples.first()?.composition_offset_ticks)))
}

/// Has the last sample last longer: nothing comes for a while, and the file goes on.
fn hold(chunk: &mut ClipChunk, by: i64) {
    let grid_per_tick = GRID_HZ / i64::from(clock_rate_hz(chunk.kind));
    // Up to the end and not a moment less.
    let ticks = (by + grid_per_tick - 1) / grid_per_tick;
    if let Some(last) = chunk.samples.last_mut() {
        last.duration_ticks = last.duration_ticks.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX));
    }
}

/// Returns the parts of a segment, and where the samples of each begin in it.
fn parts_of(segment: &Segment) -> impl Iterator<Item = (&Part, u64)> + Clone {
    segment.parts.iter().scan(0, |at, part| {
        let begins = *at;
        *at += part.size_bytes();
        Some((part.as_ref(), begins + part.payload_offset as u64))
    })
}

fn placed(part: &Part) -> impl Iterator<Item = Placed> + Clone {
    part.samples.iter().scan(part.start_ticks, |dts, sample| {
        let pts = dts.saturating_add(sample.composition_offset_ticks.into());
        *dts += i64::from(sample.duration_ticks);
        let on_grid = |ticks| to_grid(part.kind, ticks);
        let end = on_grid(pts.saturating_add(sample.duration_ticks.into()));
        Some(Placed { index: 0, start: on_grid(pts), end, sync: sample.sync })
    })
}

/// Takes some samples of a part.
fn chunk(part: &Part, offset: u64, config: &Arc<CodecConfig>, wanted: std::ops::Range<usize>) -> ClipChunk {
    let (before, samples) = (&part.samples[..wanted.start], &part.samples[wanted]);
    let bytes = |samples: &[Sample]| samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
    let start = offset + bytes(before);
    ClipChunk {
        kind: part.kind,
        start_ticks: part.start_ticks + before.iter().map(|sample| i64::from(sample.duration_ticks)).sum::<i64>(),
        samples: samples.to_vec(),
        config: Arc::clone(config),
        piece: Piece { kind: part.kind, msn: part.msn, range: start..start + bytes(samples) },
    }
}
