//! Access units out of NAL units.
//!
//! Access units are cut where the timestamp changes: some senders set the marker on the parameter sets and send the
//! slices behind them. So that a frame need not wait for the next one, the marker cuts too, once a slice came. A sender
//! whose marker proves to be early, for slices of the same picture follow it, is no longer believed: its frames come one
//! frame late from then on, and the picture that was cut in two ends at the next keyframe.
//!
//! Where decoding begins with a keyframe, the pictures that lead it and need what preceded it are left out without a
//! complaint: no decoder shows them (ITU-T H.265 §8.1.3).

use std::sync::Arc;
use std::time::Instant;

use super::{NalStream, Picture, Piece, Role, Slice};
use crate::assemble::{Assemble, Assembled, Unit, append, update_config};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::packet::RtpPacket;

/// Assembles the access units of one stream.
#[derive(Debug, Default)]
pub(crate) struct NalAssembler<S> {
    stream: S,
    /// Of the latest keyframe: sets that come between keyframes wait for the next.
    config: Option<Arc<CodecConfig>>,
    reorder_depth: usize,
    unit: Option<AccessUnit>,
    /// The timestamp of the access unit that a marker ended.
    cut_by_marker: Option<u32>,
    marker_is_early: bool,
    /// Whether packets went missing before the slices to come.
    after_gap: bool,
    /// Whether all came that was sent since the latest keyframe.
    unbroken: bool,
    /// Whether all came that was sent between the two latest keyframes.
    leads_in: bool,
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
    /// The picture parameter set of the first slice of a keyframe, if there is one.
    key_pps_id: Option<u32>,
    is_leading: bool,
    broken: bool,
}

impl<S: NalStream> Assemble for NalAssembler<S> {
    fn push(&mut self, packet: &RtpPacket, out: &mut Vec<Assembled>) {
        if self.unit.as_ref().is_some_and(|unit| unit.timestamp != packet.timestamp) {
            self.finish(out);
        }
        if self.cut_by_marker.is_some_and(|timestamp| timestamp != packet.timestamp) {
            self.cut_by_marker = None;
        }
        let unit = self.unit.get_or_insert_with(|| AccessUnit::new(packet));
        let stream = &mut self.stream;
        if S::split(&packet.payload, |piece| unit.push(piece, stream)).is_err() {
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
        self.unbroken = false;
    }

    fn flush(&mut self, out: &mut Vec<Assembled>) {
        self.finish(out);
    }
}

impl<S: NalStream> NalAssembler<S> {
    /// Ends the access unit under construction; parameter sets alone are none.
    fn finish(&mut self, out: &mut Vec<Assembled>) {
        let Some(unit) = self.unit.take() else { return };
        if unit.broken || unit.fragment.is_some() {
            self.discard(out);
            return;
        }
        let Some(begins_picture) = unit.begins_picture else { return };
        let continues_cut = self.cut_by_marker == Some(unit.timestamp);
        if !begins_picture && (self.after_gap || continues_cut) {
            self.marker_is_early |= continues_cut;
            self.discard(out);
            return;
        }
        self.after_gap = false;
        if let Some(pps_id) = unit.key_pps_id {
            let (config, depth) = self.stream.config(pps_id).unzip();
            update_config(&mut self.config, config);
            self.reorder_depth = depth.unwrap_or(0);
            self.leads_in = std::mem::replace(&mut self.unbroken, self.config.is_some());
        }
        if unit.is_leading && !self.leads_in {
            return;
        }
        out.push(Assembled::Unit(Unit {
            timestamp: unit.timestamp,
            received_at: unit.received_at,
            keyframe: unit.key_pps_id.is_some(),
            config: self.config.clone(),
            reorder_depth: self.reorder_depth,
            data: unit.data.into(),
        }));
    }

    fn discard(&mut self, out: &mut Vec<Assembled>) {
        self.unbroken = false;
        out.push(Assembled::Broken);
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
            key_pps_id: None,
            is_leading: false,
            broken: false,
        }
    }

    fn push<S: NalStream>(&mut self, piece: Piece<'_, S::Header>, stream: &mut S) -> Result<(), Malformed> {
        if self.fragment.is_some() && !matches!(piece, Piece::Fragment { start: false, .. }) {
            return Err(Malformed::Invalid("a fragmented NAL unit has no end"));
        }
        match piece {
            Piece::Nal(nal) => self.push_nal(nal, stream),
            Piece::Fragment { header, start, end, body } => {
                if start {
                    self.fragment = Some(header.as_ref().to_vec());
                }
                let fragment = self.fragment.as_mut().ok_or(Malformed::Invalid("a fragment has no beginning"))?;
                append(fragment, body)?;
                if end && let Some(nal) = self.fragment.take() {
                    self.push_nal(&nal, stream)?;
                }
                Ok(())
            }
        }
    }

    /// Takes a whole NAL unit: parameter sets to their place, slices and their supplements to the sample.
    fn push_nal(&mut self, nal: &[u8], stream: &mut impl NalStream) -> Result<(), Malformed> {
        let role = stream.take(nal);
        if matches!(role, Role::LeftOut) {
            return Ok(());
        }
        let length = u32::try_from(nal.len()).map_err(|_| Malformed::Invalid("a NAL unit is over 4 GiB"))?;
        append(&mut self.data, &length.to_be_bytes())?;
        append(&mut self.data, nal)?;
        if let Role::Slice(slice) = role {
            self.note_slice(&slice);
        }
        Ok(())
    }

    fn note_slice(&mut self, slice: &Slice) {
        self.begins_picture.get_or_insert(slice.begins_picture);
        match slice.picture {
            // A header that cannot be read refers to no set, so that the frame has no configuration.
            Picture::Key => drop(self.key_pps_id.get_or_insert(slice.pps_id)),
            Picture::Leading => self.is_leading = true,
            Picture::Inter => {}
        }
    }
}

#[cfg(test)]
mod tests;
