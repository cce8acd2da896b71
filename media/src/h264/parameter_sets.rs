//! The parameter sets of one stream, kept by id until a slice refers to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Sps;
use crate::bits::BitReader;
use crate::codec::CodecConfig;
use crate::nal::unescape;

/// Longer sets are ignored, in bytes: with all scaling lists a set has about 500.
const SET_MAX_BYTES: usize = 4096;

/// The highest ids (ITU-T H.264 §7.4.2.1.1 and §7.4.2.2).
const SPS_ID_MAX: u32 = 31;
const PPS_ID_MAX: u32 = 255;

/// Holds at most 32 sequence and 256 picture parameter sets. Sets that cannot be read are ignored: the slices that
/// refer to them have no configuration then.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    sequence: BTreeMap<u32, (Sps, Bytes)>,
    /// With the id of the sequence parameter set each refers to.
    picture: BTreeMap<u32, (u32, Bytes)>,
}

impl ParameterSets {
    /// Takes a sequence parameter set.
    pub(super) fn put_sequence(&mut self, nal: &[u8]) {
        let known = self.sequence.values().any(|(_, bytes)| bytes == nal);
        if known || nal.len() > SET_MAX_BYTES {
            return;
        }
        if let Ok(sps) = Sps::parse(nal)
            && sps.id <= SPS_ID_MAX
        {
            self.sequence.insert(sps.id, (sps, Bytes::copy_from_slice(nal)));
        }
    }

    /// Takes a picture parameter set.
    pub(super) fn put_picture(&mut self, nal: &[u8]) {
        if nal.len() > SET_MAX_BYTES {
            return;
        }
        let raw = unescape(nal.get(1..).unwrap_or_default());
        let mut bits = BitReader::new(&raw);
        if let (Ok(id @ 0..=PPS_ID_MAX), Ok(sps_id @ 0..=SPS_ID_MAX)) = (bits.ue(), bits.ue()) {
            self.picture.insert(id, (sps_id, Bytes::copy_from_slice(nal)));
        }
    }

    /// Returns the configuration, and the depth of reordering, of a keyframe that refers to a picture parameter set;
    /// `None` while a set is missing.
    pub(super) fn config(&self, pps_id: u32) -> Option<(CodecConfig, usize)> {
        let (sps_id, pps) = self.picture.get(&pps_id)?;
        let (sps, bytes) = self.sequence.get(sps_id)?;
        let config = CodecConfig::H264 { sps: bytes.clone(), pps: pps.clone(), width: sps.width, height: sps.height };
        Some((config, sps.reorder_depth()))
    }
}
