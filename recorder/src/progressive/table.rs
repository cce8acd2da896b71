//! The sample tables of one track, kept as runs.

use std::sync::Arc;

use mp4_atom::{Co64, Ctts, CttsEntry, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry};
use onair_media::{CodecConfig, MediaKind};

use crate::boxes::{BoxError, sample_entry};
use crate::cut::{Part, Segment};

/// One chunk of the file: the samples of one part, where they lie in the stored objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkPlace {
    pub(super) msn: u64,
    /// Where the samples begin within the segment.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) start_ticks: i64,
    samples: u32,
    /// Counts from 1.
    description: u32,
}

/// Collects the sample tables of one track (ISO/IEC 14496-12 §8.6, §8.7).
#[derive(Debug)]
pub(super) struct SampleTable {
    kind: MediaKind,
    descriptions: Vec<Arc<CodecConfig>>,
    durations: Vec<SttsEntry>,
    composition_offsets: Vec<CttsEntry>,
    sizes: Vec<u32>,
    sync_samples: Vec<u32>,
    pub(super) chunks: Vec<ChunkPlace>,
    /// Decoding time of the first sample, in ticks of the broadcast.
    pub(super) start_ticks: i64,
    /// Where the last sample ends, same unit.
    end_ticks: i64,
    pub(super) first_composition_offset_ticks: i32,
}

impl SampleTable {
    pub(super) fn new(first: &Segment) -> Self {
        let offset = first.parts.first().and_then(|part| part.samples.first());
        Self {
            kind: first.kind,
            descriptions: Vec::new(),
            durations: Vec::new(),
            composition_offsets: Vec::new(),
            sizes: Vec::new(),
            sync_samples: Vec::new(),
            chunks: Vec::new(),
            start_ticks: first.start_ticks,
            end_ticks: first.start_ticks,
            first_composition_offset_ticks: offset.map_or(0, |sample| sample.composition_offset_ticks),
        }
    }

    /// Adds the samples of a segment; the sample before it lasts until it begins.
    pub(super) fn push(&mut self, segment: &Segment, config: &Arc<CodecConfig>) {
        self.meet(segment.start_ticks);
        let description = self.describe(config);
        let mut part_offset = 0;
        for part in &segment.parts {
            self.push_part(part, part_offset, description);
            part_offset += part.size_bytes();
        }
    }

    /// Returns the configuration that the file is played with first.
    pub(super) fn first_config(&self) -> Option<&Arc<CodecConfig>> {
        self.descriptions.first()
    }

    /// Returns how long the samples last together.
    pub(super) const fn duration_ticks(&self) -> u64 {
        self.end_ticks.abs_diff(self.start_ticks)
    }

    /// Stretches or shortens the last sample, so that the next one begins at `start_ticks`.
    ///
    /// A sample lasts at least half as long as it did: a wider overlap, where a publisher took over, moves what follows,
    /// and the next segment makes up for it. Frames a moment apart would be one to players that round to a frame rate.
    fn meet(&mut self, start_ticks: i64) {
        let shift = start_ticks - self.end_ticks;
        if shift == 0 {
            return;
        }
        let Some(SttsEntry { sample_count, sample_delta }) = self.durations.pop() else { return };
        if sample_count > 1 {
            self.durations.push(SttsEntry { sample_count: sample_count - 1, sample_delta });
        }
        let shortest = i64::from(sample_delta / 2).max(1);
        let stretched = (i64::from(sample_delta) + shift).clamp(shortest, u32::MAX.into());
        let stretched = u32::try_from(stretched).expect("clamped to its range");
        push_duration(&mut self.durations, stretched);
        self.end_ticks += i64::from(stretched) - i64::from(sample_delta);
    }

    fn describe(&mut self, config: &Arc<CodecConfig>) -> u32 {
        let known = self.descriptions.iter().position(|known| known == config);
        let index = known.unwrap_or_else(|| {
            self.descriptions.push(Arc::clone(config));
            self.descriptions.len() - 1
        });
        index as u32 + 1
    }

    fn push_part(&mut self, part: &Part, part_offset: u64, description: u32) {
        self.chunks.push(ChunkPlace {
            msn: part.msn,
            offset: part_offset + part.payload_offset as u64,
            bytes: part.size_bytes() - part.payload_offset as u64,
            start_ticks: part.start_ticks,
            samples: part.samples.len() as u32,
            description,
        });
        for sample in &part.samples {
            push_duration(&mut self.durations, sample.duration_ticks);
            let offset = i64::from(sample.composition_offset_ticks);
            match self.composition_offsets.last_mut() {
                Some(run) if run.sample_offset == offset => run.sample_count += 1,
                _ => self.composition_offsets.push(CttsEntry { sample_count: 1, sample_offset: offset }),
            }
            self.sizes.push(sample.size);
            if sample.sync {
                self.sync_samples.push(self.sizes.len() as u32);
            }
            self.end_ticks += i64::from(sample.duration_ticks);
        }
    }

    /// Builds `stbl`; `offsets` says where each chunk begins in the file.
    pub(super) fn boxes(&self, offsets: &[u64]) -> Result<Stbl, BoxError> {
        let narrow: Option<Vec<u32>> = offsets.iter().map(|offset| u32::try_from(*offset).ok()).collect();
        let reordered = self.composition_offsets.iter().any(|run| run.sample_offset != 0);
        let all_sync = self.sync_samples.len() == self.sizes.len();
        Ok(Stbl {
            stsd: Stsd { codecs: self.descriptions.iter().map(|c| sample_entry(c)).collect::<Result<_, _>>()? },
            stts: Stts { entries: self.durations.clone() },
            ctts: reordered.then(|| Ctts { entries: self.composition_offsets.clone() }),
            stss: (!all_sync).then(|| Stss { entries: self.sync_samples.clone() }),
            stsc: self.chunk_runs(),
            stsz: self.size_box(),
            co64: narrow.is_none().then(|| Co64 { entries: offsets.to_vec() }),
            stco: narrow.map(|entries| Stco { entries }),
            ..Stbl::default()
        })
    }

    /// Builds `stsc`: runs of chunks with as many samples and the same description (ISO/IEC 14496-12 §8.7.4).
    fn chunk_runs(&self) -> Stsc {
        let mut entries: Vec<StscEntry> = Vec::new();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let shape = (chunk.samples, chunk.description);
            if entries.last().is_some_and(|run| (run.samples_per_chunk, run.sample_description_index) == shape) {
                continue;
            }
            entries.push(StscEntry {
                first_chunk: index as u32 + 1,
                samples_per_chunk: chunk.samples,
                sample_description_index: chunk.description,
            });
        }
        Stsc { entries }
    }

    fn size_box(&self) -> Stsz {
        let samples = match self.sizes.split_first() {
            Some((first, rest)) if *first > 0 && rest.iter().all(|size| size == first) => {
                StszSamples::Identical { count: self.sizes.len() as u32, size: *first }
            }
            _ => StszSamples::Different { sizes: self.sizes.clone() },
        };
        Stsz { samples }
    }

    pub(super) const fn kind(&self) -> MediaKind {
        self.kind
    }
}

fn push_duration(runs: &mut Vec<SttsEntry>, duration_ticks: u32) {
    match runs.last_mut() {
        Some(run) if run.sample_delta == duration_ticks => run.sample_count += 1,
        _ => runs.push(SttsEntry { sample_count: 1, sample_delta: duration_ticks }),
    }
}
