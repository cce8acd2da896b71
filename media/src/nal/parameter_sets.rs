//! The parameter sets that H.264 and H.265 have in common, kept by id until a slice refers to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::unescape;
use crate::bits::{BitReader, Malformed};

/// Longer sets are ignored, in bytes: with all scaling lists a set of H.264 has about 500, one of H.265 about 1,000.
pub(crate) const SET_MAX_BYTES: usize = 4096;

/// A sequence parameter set of a codec, and where its neighbours bear their ids.
pub(crate) trait SequenceSet: Sized {
    /// How long the header of a NAL unit is.
    const HEADER_BYTES: usize;
    /// The highest id of a sequence parameter set, which [`parse`](Self::parse) keeps to.
    const ID_MAX: u32;
    /// The highest id of a picture parameter set.
    const PICTURE_ID_MAX: u32;

    /// Reads a NAL unit.
    ///
    /// # Errors
    /// [`Malformed`] when it breaks off or says what no decoder would take.
    fn parse(nal: &[u8]) -> Result<Self, Malformed>;

    /// Its id.
    fn id(&self) -> u32;
}

/// Holds the sets of one stream, as many as there are ids. Sets that cannot be read are ignored: the slices that refer to
/// them have no configuration then.
#[derive(Debug)]
pub(crate) struct ParameterSets<S> {
    sequence: BTreeMap<u32, (S, Bytes)>,
    /// With the id of the sequence parameter set each refers to.
    picture: BTreeMap<u32, (u32, Bytes)>,
}

/// The sets that a slice refers to.
pub(crate) struct Sets<'a, S> {
    /// The sequence parameter set, read.
    pub(crate) sequence: &'a S,
    /// Its NAL unit.
    pub(crate) sps: &'a Bytes,
    /// The NAL unit of the picture parameter set.
    pub(crate) pps: &'a Bytes,
}

impl<S> Default for ParameterSets<S> {
    fn default() -> Self {
        Self { sequence: BTreeMap::new(), picture: BTreeMap::new() }
    }
}

impl<S: SequenceSet> ParameterSets<S> {
    /// Takes a sequence parameter set.
    pub(crate) fn put_sequence(&mut self, nal: &[u8]) {
        let known = self.sequence.values().any(|(_, bytes)| bytes == nal);
        if known || nal.len() > SET_MAX_BYTES {
            return;
        }
        if let Ok(sps) = S::parse(nal) {
            self.sequence.insert(sps.id(), (sps, Bytes::copy_from_slice(nal)));
        }
    }

    /// Takes a picture parameter set.
    pub(crate) fn put_picture(&mut self, nal: &[u8]) {
        if nal.len() > SET_MAX_BYTES {
            return;
        }
        let raw = unescape(nal.get(S::HEADER_BYTES..).unwrap_or_default());
        let mut bits = BitReader::new(&raw);
        if let (Ok(id), Ok(sps_id)) = (bits.ue(), bits.ue())
            && id <= S::PICTURE_ID_MAX
            && sps_id <= S::ID_MAX
        {
            self.picture.insert(id, (sps_id, Bytes::copy_from_slice(nal)));
        }
    }

    /// Returns the sets that a slice with this picture parameter set refers to; `None` while one is missing.
    pub(crate) fn of(&self, pps_id: u32) -> Option<Sets<'_, S>> {
        let (sps_id, pps) = self.picture.get(&pps_id)?;
        let (sequence, sps) = self.sequence.get(sps_id)?;
        Some(Sets { sequence, sps, pps })
    }
}
