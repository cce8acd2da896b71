//! What the NAL units of an H.264 stream are to its access units.

use super::{PPS, SEI, SLICE, SLICE_IDR, SPS, SliceStart, Sps, nal_type, split};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::nal::{NalStream, ParameterSets, Picture, Piece, Role, SequenceSet, Sets, Slice};

/// Holds the parameter sets of one H.264 stream.
#[derive(Debug, Default)]
pub(crate) struct H264Stream {
    sets: ParameterSets<Sps>,
}

impl NalStream for H264Stream {
    type Header = [u8; 1];

    fn split<'a>(
        payload: &'a [u8],
        each: impl FnMut(Piece<'a, [u8; 1]>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        split(payload, each)
    }

    fn take(&mut self, nal: &[u8]) -> Role {
        let Some(&header) = nal.first() else { return Role::LeftOut };
        match nal_type(header) {
            SPS => self.sets.put_sequence(nal),
            PPS => self.sets.put_picture(nal),
            SEI => return Role::Supplement,
            kind @ SLICE..SEI => return Role::Slice(slice(kind, nal)),
            _ => {}
        }
        Role::LeftOut
    }

    fn config(&self, pps_id: u32) -> Option<(CodecConfig, usize)> {
        let Sets { sequence, sps, pps } = self.sets.of(pps_id)?;
        let Sps { width, height, .. } = *sequence;
        let config = CodecConfig::H264 { sps: sps.clone(), pps: pps.clone(), width, height };
        Some((config, sequence.reorder_depth()))
    }
}

/// The ids are those of ITU-T H.264 §7.4.2.1.1 and §7.4.2.2.
impl SequenceSet for Sps {
    const HEADER_BYTES: usize = 1;
    const ID_MAX: u32 = 31;
    const PICTURE_ID_MAX: u32 = 255;

    fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        Self::parse(nal)
    }

    fn id(&self) -> u32 {
        self.id
    }
}

fn slice(kind: u8, nal: &[u8]) -> Slice {
    let start = SliceStart::parse(nal).ok();
    Slice {
        picture: if kind == SLICE_IDR { Picture::Key } else { Picture::Inter },
        begins_picture: start.as_ref().is_some_and(|start| start.begins_picture),
        pps_id: start.map_or(u32::MAX, |start| start.pps_id),
    }
}
