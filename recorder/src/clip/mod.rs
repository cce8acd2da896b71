//! A clip: an MP4 of some time of a recording, made of ranges of its segments.
//!
//! It is the same stretch of the same timeline that the recording's own MP4 has, see [`crate::progressive`]. Pictures
//! begin at the keyframe before the clip does and sound a moment before it, for decoders need both; edit lists say that
//! nothing is shown until the clip begins. Over a gap the last picture stays.
//!
//! Everything about a clip follows from the segments and the time that is asked for, to the byte: whoever asks twice may
//! have one half of it from each answer, as long as its [`Clip::tag`] is the same.

mod moment;
#[cfg(test)]
mod properties;
mod reads;
mod select;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use onair_media::{CodecConfig, MediaKind};
use sha2::{Digest, Sha256};

pub use self::moment::{ClipRange, Origins, Span};
pub use self::reads::{Step, steps};
use self::select::{ClipChunk, Selection, select};
pub(crate) use self::select::{has_beginning, presentation_start, sound_begins};
use crate::boxes::BoxError;
use crate::cut::Segment;
use crate::manifest::hex;
use crate::progressive::{Mp4Layout, layout_chunks};
use crate::ticks::GRID_HZ;

/// The longest clip, in seconds.
pub const CLIP_MAX_S: u64 = 2 * 3600;

/// The most samples of a clip: two hours of 60 pictures and 50 packets of sound a second are fewer. They take 32 bytes
/// each while a clip is laid out, and up to 28 in its header.
pub const CLIP_MAX_SAMPLES: usize = 1 << 20;

/// Says why there is no such clip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClipRefusal {
    /// Neither seconds nor a time of day.
    #[error("{name} is neither seconds such as 12.5 nor a time such as 2026-11-22T06:30:12.500Z")]
    Malformed {
        /// `from` or `to`.
        name: &'static str,
    },
    /// It would end before it begins, or there.
    #[error("from is not before to")]
    Order,
    /// It begins or ends where the recording does not go.
    #[error("{name} lies outside of the recording, which lasts {}.{:03} s", .duration_ms / 1000, .duration_ms % 1000)]
    Outside {
        /// `from` or `to`.
        name: &'static str,
        /// How long the recording lasts, so far.
        duration_ms: u64,
    },
    /// It would be longer than [`CLIP_MAX_S`].
    #[error("a clip lasts at most {CLIP_MAX_S} s; the whole recording is recording.mp4")]
    TooLong,
    /// It would have more than [`CLIP_MAX_SAMPLES`].
    #[error("a clip has at most {CLIP_MAX_SAMPLES} pictures and packets of sound")]
    TooMany,
    /// Nothing is there.
    #[error("nothing is stored of this time")]
    Empty,
}

/// Holds the segments of one rendition that a clip may need, without their media, and with their configurations.
#[derive(Debug, Default)]
pub struct ClipTrack {
    /// One after another; there may be more than are needed.
    pub segments: Vec<(Segment, Arc<CodecConfig>)>,
    /// Whether the rendition has segments behind these.
    pub goes_on: bool,
}

/// Holds the plan of a clip.
#[derive(Debug)]
pub struct Clip {
    layout: Mp4Layout,
    kinds: Vec<MediaKind>,
    from_ms: u64,
    to_ms: u64,
    tag: String,
}

impl Clip {
    /// Plans the clip of a span.
    ///
    /// # Errors
    /// [`ClipRefusal::Empty`] or [`ClipRefusal::TooMany`]; [`BoxError`] for configurations that no initialisation
    /// segment has.
    pub fn plan(tracks: &[ClipTrack], span: Span) -> Result<Result<Self, ClipRefusal>, BoxError> {
        let selections: Vec<Selection> = tracks.iter().filter_map(|track| select(track, span)).collect();
        let chunks: Vec<&ClipChunk> = selections.iter().flat_map(|selection| &selection.chunks).collect();
        if chunks.is_empty() {
            return Ok(Err(ClipRefusal::Empty));
        }
        if chunks.iter().map(|chunk| chunk.samples.len()).sum::<usize>() > CLIP_MAX_SAMPLES {
            return Ok(Err(ClipRefusal::TooMany));
        }
        let pairs = chunks.iter().map(|chunk| (chunk.as_chunk(), chunk.piece.clone())).collect();
        let layout = layout_chunks(pairs, |movie| movie.header_of(span.start..span.end))?;
        let end = selections.iter().map(|selection| selection.end).max().unwrap_or(span.end).min(span.end);
        let since_zero = |time: i64| u64::try_from((time - span.zero) / (GRID_HZ / 1000)).unwrap_or_default();
        Ok(Ok(Self {
            tag: tag(&layout),
            layout,
            kinds: selections.iter().filter_map(|selection| selection.chunks.first()).map(|chunk| chunk.kind).collect(),
            from_ms: since_zero(span.start),
            to_ms: since_zero(end),
        }))
    }

    /// Returns how the file is put together.
    pub const fn layout(&self) -> &Mp4Layout {
        &self.layout
    }

    /// Returns the media type of the file (RFC 4337 §3).
    pub fn content_type(&self) -> &'static str {
        if self.kinds.contains(&MediaKind::Video) { "video/mp4" } else { "audio/mp4" }
    }

    /// Returns when the clip begins, in milliseconds of the recording.
    pub const fn from_ms(&self) -> u64 {
        self.from_ms
    }

    /// Returns when it ends, same unit.
    pub const fn to_ms(&self) -> u64 {
        self.to_ms
    }

    /// Returns what two clips of a recording share only if they are the same byte for byte.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

/// Segments never change, so it is enough to look at what tells of them.
fn tag(layout: &Mp4Layout) -> String {
    let mut digest = Sha256::new();
    digest.update(&layout.header);
    for piece in &layout.pieces {
        digest.update([piece.kind as u8]);
        [piece.msn, piece.range.start, piece.range.end].iter().for_each(|number| digest.update(number.to_be_bytes()));
    }
    hex(&digest.finalize()[..16])
}
