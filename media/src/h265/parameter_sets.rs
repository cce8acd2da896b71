//! The parameter sets of one stream, kept by id until a slice refers to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{HEADER_BYTES, Sps};
use crate::bits::BitReader;
use crate::codec::CodecConfig;
use crate::nal::unescape;

/// Longer sets are ignored, in bytes: with all scaling lists a set has about 1,000.
const SET_MAX_BYTES: usize = 4096;

/// The highest ids (ITU-T H.265 §7.4.3.2.1 and §7.4.3.3.1). Those of video parameter sets have four bits.
const SPS_ID_MAX: u32 = 15;
const PPS_ID_MAX: u32 = 63;

/// Holds at most 16 video, 16 sequence and 64 picture parameter sets. Sets that cannot be read are ignored: the slices
/// that refer to them have no configuration then.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    video: BTreeMap<u8, Bytes>,
    sequence: BTreeMap<u32, (Sps, Bytes)>,
    /// With the id of the sequence parameter set each refers to.
    picture: BTreeMap<u32, (u32, Bytes)>,
}

impl ParameterSets {
    /// Takes a video parameter set.
    pub(super) fn put_video(&mut self, nal: &[u8]) {
        // Its id is the first field (ITU-T H.265 §7.3.2.1).
        if let Some(first) = nal.get(HEADER_BYTES)
            && nal.len() <= SET_MAX_BYTES
        {
            self.video.insert(first >> 4, Bytes::copy_from_slice(nal));
        }
    }

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
        let raw = unescape(nal.get(HEADER_BYTES..).unwrap_or_default());
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
        let vps = self.video.get(&sps.vps_id)?;
        let config = CodecConfig::H265 {
            vps: vps.clone(),
            sps: bytes.clone(),
            pps: pps.clone(),
            width: sps.width,
            height: sps.height,
        };
        Some((config, sps.reorder_depth))
    }
}
