//! What the NAL units of an H.265 stream are to its access units.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    END_OF_SEQUENCE, HEADER_BYTES, IRAP_FIRST, IRAP_LAST, PPS, RASL_N, RASL_R, SEI_PREFIX, SEI_SUFFIX, SLICE_LAST, SPS,
    SliceStart, Sps, VPS, layer, nal_type, split,
};
use crate::bits::Malformed;
use crate::codec::CodecConfig;
use crate::nal::{NalStream, ParameterSets, Picture, Piece, Role, SET_MAX_BYTES, SequenceSet, Sets, Slice};

/// Holds the parameter sets of one H.265 stream.
#[derive(Debug, Default)]
pub(crate) struct H265Stream {
    /// Sixteen at most: their ids have four bits.
    video: BTreeMap<u8, Bytes>,
    sets: ParameterSets<Sps>,
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
            VPS => self.put_video(nal),
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
        let Sets { sequence, sps, pps } = self.sets.of(pps_id)?;
        let Sps { width, height, vps_id, reorder_depth, .. } = *sequence;
        let vps = self.video.get(&vps_id)?.clone();
        let config = CodecConfig::H265 { vps, sps: sps.clone(), pps: pps.clone(), width, height };
        Some((config, reorder_depth))
    }
}

impl H265Stream {
    /// Takes a video parameter set. Its id is the first field (ITU-T H.265 §7.3.2.1).
    fn put_video(&mut self, nal: &[u8]) {
        if let Some(first) = nal.get(HEADER_BYTES)
            && nal.len() <= SET_MAX_BYTES
        {
            self.video.insert(first >> 4, Bytes::copy_from_slice(nal));
        }
    }
}

/// The ids are those of ITU-T H.265 §7.4.3.2.1 and §7.4.3.3.1.
impl SequenceSet for Sps {
    const HEADER_BYTES: usize = HEADER_BYTES;
    const ID_MAX: u32 = 15;
    const PICTURE_ID_MAX: u32 = 63;

    fn parse(nal: &[u8]) -> Result<Self, Malformed> {
        Self::parse(nal)
    }

    fn id(&self) -> u32 {
        self.id
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
