//! Access units out of NAL units.
//!
//! Access units are cut where the timestamp changes: some senders set the marker on the parameter sets and send the
//! slices behind them. So that a frame need not wait for the next one, the marker cuts too, once a slice came. A sender
//! whose marker proves to be early, for slices of the same picture follow it, is no longer believed: its frames come one
//! frame late from then on, and the picture that was cut in two ends at the next keyframe.

use std::sync::Arc;
use std::time::Instant;

use super::parameter_sets::ParameterSets;
use super::{PPS, Piece, SEI, SLICE, SLICE_IDR, SPS, SliceStart, nal_type, split};
use crate::assemble::{Assemble, Assembled, Unit, append, update_config};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// Assembles the access units of one H.264 stream.
#[derive(Debug, Default)]
pub(crate) struct H264Assembler {
    sets: ParameterSets,
    /// Of the latest keyframe: sets that come between keyframes wait for the next.
    config: Option<Arc<CodecConfig>>,
    reorder_depth: usize,
    unit: Option<AccessUnit>,
    /// The timestamp of the access unit that a marker ended.
    cut_by_marker: Option<u32>,
    marker_is_early: bool,
    /// Whether packets went missing before the slices to come.
    after_gap: bool,
}

#[derive(Debug)]
struct AccessUnit {
    timestamp: u32,
    received_at: Instant,
    /// NAL units, each behind its length in 4 bytes.
    data: Vec<u8>,
    /// The NAL unit of which fragments came so far.
    fragment: Option<Vec<u8>>,
    /// Whether the first slice is the first of the picture; `None` before it.
    begins_picture: Option<bool>,
    /// The picture parameter set of the first IDR slice, if there is one.
    idr_pps_id: Option<u32>,
    broken: bool,
}

impl Assemble for H264Assembler {
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>) {
        if self.unit.as_ref().is_some_and(|unit| unit.timestamp != packet.timestamp) {
            self.finish(out);
        }
        if self.cut_by_marker.is_some_and(|timestamp| timestamp != packet.timestamp) {
            self.cut_by_marker = None;
        }
        let unit = self.unit.get_or_insert_with(|| AccessUnit::new(packet));
        let sets = &mut self.sets;
        if split(&packet.payload, |piece| unit.push(piece, sets)).is_err() {
            unit.broken = true;
        }
        if packet.marker && !self.marker_is_early && unit.begins_picture.is_some() {
            self.finish(out);
            self.cut_by_marker = Some(packet.timestamp);
        }
    }

    fn interrupt(&mut self) {
        self.unit = None;
        self.after_gap = true;
    }

    fn flush(&mut self, out: &mut Vec<Assembled>) {
        self.finish(out);
    }
}

impl H264Assembler {
    /// Ends the access unit under construction; parameter sets alone are none.
    fn finish(&mut self, out: &mut Vec<Assembled>) {
        let Some(unit) = self.unit.take() else { return };
        if unit.broken || unit.fragment.is_some() {
            out.push(Assembled::Broken);
            return;
        }
        let Some(begins_picture) = unit.begins_picture else { return };
        let continues_cut = self.cut_by_marker == Some(unit.timestamp);
        if !begins_picture && (self.after_gap || continues_cut) {
            self.marker_is_early |= continues_cut;
            out.push(Assembled::Broken);
            return;
        }
        self.after_gap = false;
        if let Some(pps_id) = unit.idr_pps_id {
            let (config, depth) = self.sets.config(pps_id).unzip();
            update_config(&mut self.config, config);
            self.reorder_depth = depth.unwrap_or(0);
        }
        out.push(Assembled::Unit(Unit {
            timestamp: unit.timestamp,
            received_at: unit.received_at,
            keyframe: unit.idr_pps_id.is_some(),
            config: self.config.clone(),
            reorder_depth: self.reorder_depth,
            data: unit.data.into(),
        }));
    }
}

impl AccessUnit {
    fn new(packet: &RtpPacket) -> Self {
        Self {
            timestamp: packet.timestamp,
            received_at: packet.received_at,
            data: Vec::new(),
            fragment: None,
            begins_picture: None,
            idr_pps_id: None,
            broken: false,
        }
    }

    fn push(&mut self, piece: Piece<'_>, sets: &mut ParameterSets) -> Result<(), Malformed> {
        if self.fragment.is_some() && !matches!(piece, Piece::Fragment { start: false, .. }) {
            return Err(Malformed::Invalid("a fragmented NAL unit has no end"));
        }
        match piece {
            Piece::Nal(nal) => self.push_nal(nal, sets),
            Piece::Fragment { header, start, end, body } => {
                if start {
                    self.fragment = Some(vec![header]);
                }
                let fragment = self.fragment.as_mut().ok_or(Malformed::Invalid("a fragment has no beginning"))?;
                append(fragment, body)?;
                if end && let Some(nal) = self.fragment.take() {
                    self.push_nal(&nal, sets)?;
                }
                Ok(())
            }
        }
    }

    /// Takes a whole NAL unit: parameter sets to their place, slices and SEI to the sample. Delimiters and filler say
    /// nothing in MP4, and the rest serves scalable and multiview decoders only.
    fn push_nal(&mut self, nal: &[u8], sets: &mut ParameterSets) -> Result<(), Malformed> {
        let Some(&header) = nal.first() else { return Ok(()) };
        match nal_type(header) {
            SPS => sets.put_sequence(nal),
            PPS => sets.put_picture(nal),
            kind @ SLICE..=SEI => {
                let length = u32::try_from(nal.len()).map_err(|_| Malformed::Invalid("a NAL unit is over 4 GiB"))?;
                append(&mut self.data, &length.to_be_bytes())?;
                append(&mut self.data, nal)?;
                if kind != SEI {
                    self.note_slice(kind, nal);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_slice(&mut self, kind: u8, nal: &[u8]) {
        let start = SliceStart::parse(nal).ok();
        let begins_picture = start.as_ref().is_some_and(|start| start.begins_picture);
        self.begins_picture.get_or_insert(begins_picture);
        if kind == SLICE_IDR {
            // A header that cannot be read refers to no set, so that the frame has no configuration.
            self.idr_pps_id.get_or_insert_with(|| start.map_or(u32::MAX, |start| start.pps_id));
        }
    }
}

#[cfg(test)]
mod tests;
