//! Temporal units out of OBU elements.
//!
//! A keyframe is a temporal unit in which a sequence header precedes a shown key frame: so one whose beginning was lost
//! is none, and decoding does not resume with it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::sequence::Sequence;
use super::{
    Aggregation, OBU_FRAME, OBU_FRAME_HEADER, OBU_METADATA, OBU_REDUNDANT_FRAME_HEADER, OBU_SEQUENCE_HEADER,
    OBU_TILE_GROUP, Obu,
};
use crate::assemble::{Assemble, Assembled, Unit, append, update_config};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// Assembles the temporal units of one AV1 stream.
#[derive(Debug, Default)]
pub(crate) struct Av1Assembler {
    config: Option<Arc<CodecConfig>>,
    unit: Option<TemporalUnit>,
}

#[derive(Debug)]
struct TemporalUnit {
    timestamp: u32,
    received_at: Instant,
    /// OBUs with size fields.
    data: Vec<u8>,
    /// The OBU of which elements came so far.
    fragment: Option<Vec<u8>>,
    /// The sequence header, parsed and whole.
    sequence: Option<(Sequence, Bytes)>,
    keyframe: bool,
    broken: bool,
}

impl Assemble for Av1Assembler {
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>) {
        if self.unit.as_ref().is_some_and(|unit| unit.timestamp != packet.timestamp) {
            self.finish(out);
        }
        let unit = self.unit.get_or_insert_with(|| TemporalUnit::new(packet));
        if unit.push(&packet.payload).is_err() {
            unit.broken = true;
        }
        if packet.marker {
            self.finish(out);
        }
    }

    fn interrupt(&mut self) {
        self.unit = None;
    }

    fn flush(&mut self, out: &mut Vec<Assembled>) {
        self.finish(out);
    }
}

impl Av1Assembler {
    /// Ends the temporal unit under construction; one of delimiters and padding alone is none.
    fn finish(&mut self, out: &mut Vec<Assembled>) {
        let Some(unit) = self.unit.take() else { return };
        if unit.broken || unit.fragment.is_some() {
            out.push(Assembled::Broken);
            return;
        }
        if unit.data.is_empty() {
            return;
        }
        if let (true, Some((sequence, header))) = (unit.keyframe, unit.sequence) {
            update_config(&mut self.config, Some(sequence.config(header)));
        }
        out.push(Assembled::Unit(Unit {
            timestamp: unit.timestamp,
            received_at: unit.received_at,
            keyframe: unit.keyframe,
            config: self.config.clone(),
            reorder_depth: 0,
            data: unit.data.into(),
        }));
    }
}

impl TemporalUnit {
    fn new(packet: &RtpPacket) -> Self {
        Self {
            timestamp: packet.timestamp,
            received_at: packet.received_at,
            data: Vec::new(),
            fragment: None,
            sequence: None,
            keyframe: false,
            broken: false,
        }
    }

    fn push(&mut self, mut payload: &[u8]) -> Result<(), Malformed> {
        let aggregation = Aggregation::take(&mut payload)?;
        if aggregation.continues != self.fragment.is_some() {
            return Err(Malformed::Invalid("an OBU has no beginning or no end"));
        }
        let mut index = 0_u8;
        while !payload.is_empty() {
            index = index.saturating_add(1);
            let element = aggregation.take_element(index, &mut payload)?;
            append(self.fragment.get_or_insert_default(), element)?;
            let goes_on = aggregation.goes_on && payload.is_empty();
            if !goes_on && let Some(obu) = self.fragment.take() {
                self.push_obu(&obu)?;
            }
        }
        if index < aggregation.count {
            return Err(Malformed::Truncated);
        }
        Ok(())
    }

    /// Takes a whole OBU. Delimiters are implied by samples; padding, tile lists and what is reserved has no place.
    fn push_obu(&mut self, data: &[u8]) -> Result<(), Malformed> {
        if data.is_empty() {
            return Ok(());
        }
        let obu = Obu::parse(data)?;
        match obu.kind() {
            OBU_SEQUENCE_HEADER => {
                let sequence = Sequence::parse(obu.payload)?;
                let sized = obu.sized();
                append(&mut self.data, &sized)?;
                self.sequence.get_or_insert_with(|| (sequence, sized.into()));
            }
            OBU_FRAME_HEADER | OBU_FRAME => {
                if let Some((sequence, _)) = &self.sequence {
                    self.keyframe |= sequence.is_shown_keyframe(obu.payload)?;
                }
                append(&mut self.data, &obu.sized())?;
            }
            OBU_TILE_GROUP | OBU_METADATA | OBU_REDUNDANT_FRAME_HEADER => append(&mut self.data, &obu.sized())?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
