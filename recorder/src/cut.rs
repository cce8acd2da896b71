//! What the fragmenter cuts: initialisation segments, parts and segments.
//!
//! Cut once: the bytes of a part are the bytes in the live window, of the segment, and in storage.

use std::sync::Arc;

use bytes::Bytes;
use onair_media::{CodecConfig, MediaKind};

/// Announces what was just cut, in the order in which readers may see it.
#[derive(Debug, Clone)]
pub enum Cut {
    /// A new initialisation segment; the next segment of this rendition refers to it.
    Init(Init),
    /// A part, whole.
    Part(Arc<Part>),
    /// A segment, whole: all its parts were announced before.
    Segment(Arc<Segment>),
    /// The segment has reached its target: a keyframe now would make a good boundary.
    KeyframeWanted,
}

/// Holds the `ftyp` and `moov` of a rendition (CMAF header, ISO/IEC 23000-19 §7.3.1).
#[derive(Debug, Clone)]
pub struct Init {
    /// The rendition.
    pub kind: MediaKind,
    /// Counts from 1 within the rendition: `init-1.mp4`, `init-2.mp4`.
    pub index: u32,
    /// What the header describes.
    pub config: Arc<CodecConfig>,
    /// The object.
    pub bytes: Bytes,
}

/// Holds one CMAF chunk: `moof` and `mdat` (ISO/IEC 23000-19 §7.3.2.3), in the first part of a segment behind a
/// [`crate::boxes::SegmentHead`].
#[derive(Debug, Clone)]
pub struct Part {
    /// The rendition.
    pub kind: MediaKind,
    /// The media sequence number of its segment; counts from 1, the same for all renditions.
    pub msn: u64,
    /// Counts from 0 within its segment.
    pub index: u32,
    /// Whether it begins with a frame at which decoding may start.
    pub independent: bool,
    /// Decoding time of the first sample since the start of the broadcast, in ticks of the rendition's clock rate.
    pub start_ticks: i64,
    /// In ticks of the rendition's clock rate.
    pub duration_ticks: u64,
    /// The chunk.
    pub bytes: Bytes,
    /// Where the samples begin within `bytes`: behind the header of `mdat`.
    pub payload_offset: usize,
    /// One entry a sample, in decoding order; their sizes add up to `bytes.len() - payload_offset`.
    pub samples: Vec<Sample>,
}

/// Describes one sample of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// In bytes.
    pub size: u32,
    /// In ticks.
    pub duration_ticks: u32,
    /// Composition time offset: presentation minus decoding time, in ticks.
    pub composition_offset_ticks: i32,
    /// Whether decoding may start here.
    pub sync: bool,
}

/// Holds one media segment: its parts, one after another.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The rendition.
    pub kind: MediaKind,
    /// The media sequence number; counts from 1, the same for all renditions: `000001.m4s`.
    pub msn: u64,
    /// The index of the [`Init`] it needs.
    pub init: u32,
    /// Whether it begins with a frame at which decoding may start.
    pub independent: bool,
    /// Whether it does not continue the segment before it: another publisher session or configuration.
    pub discontinuity: bool,
    /// Decoding time of the first sample since the start of the broadcast, in ticks of the rendition's clock rate.
    pub start_ticks: i64,
    /// In ticks of the rendition's clock rate.
    pub duration_ticks: u64,
    /// The parts, never empty.
    pub parts: Vec<Arc<Part>>,
    /// The whole object: the bytes of the parts.
    pub bytes: Bytes,
}

impl Part {
    /// Returns the size of the chunk, known from its samples even when [`bytes`](Self::bytes) was let go.
    pub fn size_bytes(&self) -> u64 {
        self.payload_offset as u64 + self.samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>()
    }
}

impl Segment {
    /// Returns the size of the object, known from its parts even when [`bytes`](Self::bytes) was let go.
    pub fn size_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.size_bytes()).sum()
    }

    /// Returns the segment without its media: all that playlists, manifests and the MP4's header want to know.
    #[must_use]
    pub fn without_media(&self) -> Self {
        let parts = self.parts.iter().map(|part| Arc::new(Part { bytes: Bytes::new(), ..Part::clone(part) }));
        Self { parts: parts.collect(), bytes: Bytes::new(), ..self.clone() }
    }

    /// Returns the object's name within its rendition, such as `000001.m4s`.
    pub fn object_name(&self) -> String {
        format!("{:06}.m4s", self.msn)
    }
}

impl Init {
    /// Returns the object's name within its rendition, such as `init-1.mp4`.
    pub fn object_name(&self) -> String {
        format!("init-{}.mp4", self.index)
    }
}
