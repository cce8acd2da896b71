//! Pictures out of packets.
//!
//! All spatial layers of one timestamp are one picture and one sample. A picture has to begin with its base layer: so
//! what is left of one whose beginning was lost is discarded.

use std::sync::Arc;
use std::time::Instant;

use super::{Descriptor, header};
use crate::assemble::{Assemble, Assembled, Unit, append, update_config};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// A superframe index counts its frames in 3 bits (annex B.2).
const LAYERS_MAX: usize = 8;

/// The three highest bits of the marker of a superframe index (annex B.3).
const INDEX_MARKER: u8 = 0b1100_0000;

/// Assembles the pictures of one VP9 stream.
#[derive(Debug, Default)]
pub(crate) struct Vp9Assembler {
    config: Option<Arc<CodecConfig>>,
    picture: Option<Picture>,
}

#[derive(Debug)]
struct Picture {
    timestamp: u32,
    received_at: Instant,
    data: Vec<u8>,
    /// Where each layer frame begins in `data`.
    frame_starts: Vec<usize>,
    /// Whether a layer frame has begun and not ended.
    in_frame: bool,
    /// Whether the base layer is free of inter-picture prediction.
    intra: bool,
    /// The size of the largest layer, when the stream tells it.
    largest: Option<(u32, u32)>,
    broken: bool,
}

impl Assemble for Vp9Assembler {
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>) {
        if self.picture.as_ref().is_some_and(|picture| picture.timestamp != packet.timestamp) {
            self.finish(out);
        }
        let picture = self.picture.get_or_insert_with(|| Picture::new(packet));
        if picture.push(&packet.payload).is_err() {
            picture.broken = true;
        }
        if packet.marker {
            self.finish(out);
        }
    }

    fn interrupt(&mut self) {
        self.picture = None;
    }

    fn flush(&mut self, out: &mut Vec<Assembled>) {
        self.finish(out);
    }
}

impl Vp9Assembler {
    fn finish(&mut self, out: &mut Vec<Assembled>) {
        let Some(picture) = self.picture.take() else { return };
        let (timestamp, received_at) = (picture.timestamp, picture.received_at);
        let config = if picture.intra { picture.config() } else { Ok(None) };
        let (Ok(config), Some(data)) = (config, picture.into_sample()) else {
            out.push(Assembled::Broken);
            return;
        };
        // Pictures without inter-picture prediction may still be no keyframes: intra-only ones.
        let keyframe = config.is_some();
        if keyframe {
            update_config(&mut self.config, config);
        }
        let config = self.config.clone();
        out.push(Assembled::Unit(Unit {
            timestamp,
            received_at,
            keyframe,
            config,
            reorder_depth: 0,
            data: data.into(),
        }));
    }
}

impl Picture {
    fn new(packet: &RtpPacket) -> Self {
        Self {
            timestamp: packet.timestamp,
            received_at: packet.received_at,
            data: Vec::new(),
            frame_starts: Vec::new(),
            in_frame: false,
            intra: false,
            largest: None,
            broken: false,
        }
    }

    fn push(&mut self, mut payload: &[u8]) -> Result<(), Malformed> {
        let descriptor = Descriptor::take(&mut payload)?;
        if descriptor.begins_frame == self.in_frame {
            return Err(Malformed::Invalid("a VP9 frame has no beginning or no end"));
        }
        if self.frame_starts.is_empty() {
            if descriptor.spatial_id != 0 {
                return Err(Malformed::Invalid("a VP9 picture has no base layer"));
            }
            self.intra = !descriptor.inter_predicted;
        }
        if descriptor.begins_frame {
            if self.frame_starts.len() == LAYERS_MAX {
                return Err(Malformed::Invalid("a VP9 picture has more than 8 layers"));
            }
            self.frame_starts.push(self.data.len());
        }
        self.in_frame = !descriptor.ends_frame;
        self.largest = descriptor.largest.or(self.largest);
        append(&mut self.data, payload)
    }

    /// Reads the configuration from the base layer; the scalability structure may know of a larger one.
    fn config(&self) -> Result<Option<CodecConfig>, Malformed> {
        let mut config = header::key_config(&self.data)?;
        if self.frame_starts.len() > 1
            && let (Some(CodecConfig::Vp9 { level, width, height, .. }), Some(largest)) = (&mut config, self.largest)
        {
            (*width, *height) = (largest.0.max(*width), largest.1.max(*height));
            *level = header::level(*width, *height);
        }
        Ok(config)
    }

    /// Returns the sample: a frame as it is, several as a superframe; `None` when something is missing.
    fn into_sample(self) -> Option<Vec<u8>> {
        let mut data = self.data;
        if self.broken || self.in_frame || data.is_empty() {
            return None;
        }
        if self.frame_starts.len() > 1 {
            let ends = self.frame_starts.iter().skip(1).copied().chain([data.len()]);
            let sizes: Vec<u32> = self
                .frame_starts
                .iter()
                .zip(ends)
                .map(|(start, end)| u32::try_from(end - start).expect("a picture is at most 8 MiB"))
                .collect();
            append_index(&mut data, &sizes);
        }
        Some(data)
    }
}

/// Appends a superframe index with sizes of 4 bytes (annex B.3): marker, sizes in little-endian order, marker again.
fn append_index(data: &mut Vec<u8>, sizes: &[u32]) {
    let frames_minus_1 = u8::try_from(sizes.len() - 1).expect("a picture has at most 8 layers");
    let marker = INDEX_MARKER | 3 << 3 | frames_minus_1;
    data.push(marker);
    data.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    data.push(marker);
}

#[cfg(test)]
mod tests;
