//! What the NAL units of an H.265 stream are to its access units.

use super::parameter_sets::ParameterSets;
use super::{
    END_OF_SEQUENCE, HEADER_BYTES, IRAP_FIRST, IRAP_LAST, PPS, RASL_N, RASL_R, SEI_PREFIX, SEI_SUFFIX, SLICE_LAST, SPS,
    SliceStart, VPS, layer, nal_type, split,
};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::nal::{NalStream, Picture, Piece, Role, Slice};

/// Holds the parameter sets of one H.265 stream.
#[derive(Debug, Default)]
pub(crate) struct H265Stream {
    sets: ParameterSets,
}

impl NalStream for H265Stream {
    type Header = [u8; HEADER_BYTES];

    fn split<'a>(
        payload: &'a [u8],
        each: impl FnMut(Piece<'a, Self::Header>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        split(payload, each)
    }

    fn take(&mut self, nal: &[u8]) -> Role {
        let Some((&header, body)) = nal.split_first_chunk() else { return Role::LeftOut };
        if layer(header) != 0 {
            return Role::LeftOut;
        }
        match nal_type(header[0]) {
            VPS => self.sets.put_video(nal),
            SPS => self.sets.put_sequence(nal),
            PPS => self.sets.put_picture(nal),
            // The end of a sequence changes how the next picture is decoded (ITU-T H.265 §7.4.2.4.4).
            SEI_PREFIX | SEI_SUFFIX | END_OF_SEQUENCE => return Role::Supplement,
            kind @ ..=SLICE_LAST => return Role::Slice(slice(kind, body)),
            _ => {}
        }
        Role::LeftOut
    }

    fn config(&self, pps_id: u32) -> Option<(CodecConfig, usize)> {
        self.sets.config(pps_id)
    }
}

fn slice(kind: u8, body: &[u8]) -> Slice {
    let start = SliceStart::parse(kind, body).ok();
    Slice {
        picture: match kind {
            IRAP_FIRST..=IRAP_LAST => Picture::Key,
            RASL_N | RASL_R => Picture::Leading,
            _ => Picture::Inter,
        },
        begins_picture: start.as_ref().is_some_and(|start| start.begins_picture),
        pps_id: start.map_or(u32::MAX, |start| start.pps_id),
    }
}

#[cfg(test)]
mod tests;
