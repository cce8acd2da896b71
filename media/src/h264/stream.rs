//! What the NAL units of an H.264 stream are to its access units.

use super::parameter_sets::ParameterSets;
use super::{PPS, SEI, SLICE, SLICE_IDR, SPS, SliceStart, nal_type, split};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::nal::{NalStream, Picture, Piece, Role, Slice};

/// Holds the parameter sets of one H.264 stream.
#[derive(Debug, Default)]
pub(crate) struct H264Stream {
    sets: ParameterSets,
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
        self.sets.config(pps_id)
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
