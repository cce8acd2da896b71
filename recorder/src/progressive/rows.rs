//! The rows of one track's sample tables, in the order in which its chunks come.
//!
//! Nothing is kept but the run that is open in each table: whoever walks the same chunks twice gets the same rows twice,
//! and so may count them first and write them afterwards.

use std::sync::Arc;

use onair_media::{CodecConfig, MediaKind};

use super::Chunk;

/// Names a table of `stbl` (ISO/IEC 14496-12 §8.6, §8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// `stts`: runs of durations.
    Durations,
    /// `ctts`: runs of composition offsets.
    CompositionOffsets,
    /// `stss`: the samples at which decoding may start.
    SyncSamples,
    /// `stsc`: runs of chunks with as many samples and the same description.
    ChunkRuns,
    /// `stsz`: the size of each sample.
    Sizes,
    /// `stco` or `co64`: where each chunk begins.
    ChunkOffsets,
}

/// How many tables there are.
pub(super) const TABLES: usize = 6;

/// Takes the rows of a track; each call is one row.
pub(super) trait Rows {
    /// Takes a row of a table, in fields of 32 bits.
    fn row(&mut self, table: Table, fields: &[u32]);

    /// Takes where a chunk begins.
    fn chunk_offset(&mut self, offset: u64);
}

/// Some equal values that follow one another.
#[derive(Debug, Clone, Copy)]
struct Run {
    count: u32,
    value: u32,
}

/// Walks the chunks of one track.
#[derive(Debug)]
pub(super) struct TrackWalk {
    kind: MediaKind,
    descriptions: Vec<Arc<CodecConfig>>,
    /// Decoding time of the first sample, in ticks of the broadcast.
    start_ticks: i64,
    /// Where the last sample ends, same unit.
    end_ticks: i64,
    first_composition_offset_ticks: i32,
    is_reordered: bool,
    /// The last sample's duration: it may be stretched until the next chunk begins.
    last_duration: Option<u32>,
    durations: Option<Run>,
    composition_offsets: Option<Run>,
    /// Samples of a chunk and its description, of the last row of `stsc`.
    shape: Option<(u32, u32)>,
    samples: u32,
    sync_samples: u32,
    chunks: u32,
}

impl TrackWalk {
    pub(super) fn new(first: &Chunk<'_>) -> Self {
        let offset = first.samples.first().map_or(0, |sample| sample.composition_offset_ticks);
        Self {
            kind: first.kind,
            descriptions: Vec::new(),
            start_ticks: first.start_ticks,
            end_ticks: first.start_ticks,
            first_composition_offset_ticks: offset,
            is_reordered: false,
            last_duration: None,
            durations: None,
            composition_offsets: None,
            shape: None,
            samples: 0,
            sync_samples: 0,
            chunks: 0,
        }
    }

    /// Adds a chunk that begins at `offset` in the file; the sample before it lasts until it begins.
    pub(super) fn push(&mut self, chunk: &Chunk<'_>, offset: u64, rows: &mut impl Rows) {
        self.meet(chunk.start_ticks);
        self.chunks += 1;
        let shape = (chunk.samples.len() as u32, self.describe(chunk.config));
        if self.shape.replace(shape) != Some(shape) {
            rows.row(Table::ChunkRuns, &[self.chunks, shape.0, shape.1]);
        }
        rows.chunk_offset(offset);
        for sample in chunk.samples {
            self.samples += 1;
            rows.row(Table::Sizes, &[sample.size]);
            if sample.sync {
                self.sync_samples += 1;
                rows.row(Table::SyncSamples, &[self.samples]);
            }
            if let Some(duration) = self.last_duration.replace(sample.duration_ticks) {
                run(&mut self.durations, duration, Table::Durations, rows);
            }
            self.is_reordered |= sample.composition_offset_ticks != 0;
            // Version 1 of the box holds signed offsets in the same 32 bits.
            let offset = sample.composition_offset_ticks.cast_unsigned();
            run(&mut self.composition_offsets, offset, Table::CompositionOffsets, rows);
            self.end_ticks += i64::from(sample.duration_ticks);
        }
    }

    /// Ends the runs that are open.
    pub(super) fn finish(&mut self, rows: &mut impl Rows) {
        if let Some(duration) = self.last_duration.take() {
            run(&mut self.durations, duration, Table::Durations, rows);
        }
        for (open, table) in
            [(self.durations.take(), Table::Durations), (self.composition_offsets.take(), Table::CompositionOffsets)]
        {
            if let Some(Run { count, value }) = open {
                rows.row(table, &[count, value]);
            }
        }
    }

    pub(super) const fn kind(&self) -> MediaKind {
        self.kind
    }

    pub(super) fn descriptions(&self) -> &[Arc<CodecConfig>] {
        &self.descriptions
    }

    /// Returns the presentation time of the first sample, in ticks of the broadcast.
    pub(super) fn presentation_start_ticks(&self) -> i64 {
        self.start_ticks + i64::from(self.first_composition_offset_ticks)
    }

    pub(super) const fn first_composition_offset_ticks(&self) -> i32 {
        self.first_composition_offset_ticks
    }

    /// Returns how long the samples last together.
    pub(super) const fn duration_ticks(&self) -> u64 {
        self.end_ticks.abs_diff(self.start_ticks)
    }

    /// Tells whether the file needs a table: some say nothing (ISO/IEC 14496-12 §8.6.1.3, §8.6.2).
    pub(super) const fn needs(&self, table: Table) -> bool {
        match table {
            Table::CompositionOffsets => self.is_reordered,
            Table::SyncSamples => self.sync_samples != self.samples,
            _ => true,
        }
    }

    /// Stretches or shortens the last sample, so that the next one begins at `start_ticks`.
    ///
    /// A sample lasts at least half as long as it did: a wider overlap, where a publisher took over, moves what follows,
    /// and the next chunks make up for it. Frames a moment apart would be one to players that round to a frame rate.
    fn meet(&mut self, start_ticks: i64) {
        let Some(duration) = self.last_duration else { return };
        let shift = start_ticks - self.end_ticks;
        let shortest = i64::from(duration / 2).max(1);
        let met = i64::from(duration).saturating_add(shift).clamp(shortest.min(duration.into()), u32::MAX.into());
        self.end_ticks += met - i64::from(duration);
        self.last_duration = u32::try_from(met).ok();
    }

    /// Returns the number of a configuration, counting from 1.
    fn describe(&mut self, config: &Arc<CodecConfig>) -> u32 {
        let known = self.descriptions.iter().position(|known| known == config);
        let index = known.unwrap_or_else(|| {
            self.descriptions.push(Arc::clone(config));
            self.descriptions.len() - 1
        });
        index as u32 + 1
    }
}

/// Adds a value to the run that is open, or ends that one and opens the next.
fn run(open: &mut Option<Run>, value: u32, table: Table, rows: &mut impl Rows) {
    match open {
        Some(run) if run.value == value => run.count += 1,
        _ => {
            if let Some(Run { count, value }) = open.replace(Run { count: 1, value }) {
                rows.row(table, &[count, value]);
            }
        }
    }
}
