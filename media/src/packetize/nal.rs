//! What H.264 and H.265 have in common on their way into packets: single NAL units, one packet for parameter sets, fragments
//! for what is too long.

use std::sync::Arc;

use super::PAYLOAD_MAX_BYTES;
use crate::bits::{Malformed, take};
use crate::nal::{FU_END, FU_START};

/// What an aggregation packet adds to each NAL unit: its size.
const SIZE_BYTES: usize = 2;

/// How the NAL units of a codec travel in RTP payloads.
pub(super) trait NalFormat {
    /// The header of a NAL unit, and of a payload.
    type Header: AsRef<[u8]>;

    /// What is done with a NAL unit, which is not empty.
    fn fate(nal: &[u8]) -> Fate;

    /// The header of the packet that carries these NAL units together.
    fn aggregation(sets: &[&[u8]]) -> Self::Header;

    /// The header of the fragments of a NAL unit, and the type that stands behind it; `None` for a NAL unit that is too short
    /// to have a header.
    fn fragmentation(nal: &[u8]) -> Option<(Self::Header, u8)>;
}

/// What becomes of a NAL unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// A parameter set: it goes with those beside it.
    Together,
    /// It goes alone.
    Alone,
    /// It says nothing that a packet does not, or nothing that a receiver would know.
    LeftOut,
}

/// Returns the payloads of an access unit, whose NAL units each stand behind their length in 4 bytes.
///
/// # Errors
/// [`Malformed::Truncated`] when a length says more than there is.
pub(super) fn payloads<F: NalFormat>(mut data: &[u8]) -> Result<Vec<Arc<[u8]>>, Malformed> {
    let (mut payloads, mut sets) = (Vec::new(), Vec::new());
    while let Some(nal) = take_nal(&mut data)? {
        match F::fate(nal) {
            Fate::Together => sets.push(nal),
            Fate::Alone => {
                aggregate::<F>(&mut sets, &mut payloads);
                cut::<F>(nal, &mut payloads);
            }
            Fate::LeftOut => {}
        }
    }
    aggregate::<F>(&mut sets, &mut payloads);
    Ok(payloads)
}

/// Takes the next NAL unit off the front of an access unit; `None` at its end. Empty units are passed over.
///
/// # Errors
/// [`Malformed::Truncated`] when a length says more than there is.
fn take_nal<'a>(data: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    while !data.is_empty() {
        let length = take(data, 4)?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let nal = take(data, length)?;
        if !nal.is_empty() {
            return Ok(Some(nal));
        }
    }
    Ok(None)
}

/// Puts parameter sets into one packet, where they fit, so that none of them is lost without the others.
fn aggregate<F: NalFormat>(sets: &mut Vec<&[u8]>, payloads: &mut Vec<Arc<[u8]>>) {
    let header = F::aggregation(sets);
    let bytes = header.as_ref().len() + sets.iter().map(|nal| SIZE_BYTES + nal.len()).sum::<usize>();
    if sets.len() < 2 || bytes > PAYLOAD_MAX_BYTES {
        sets.drain(..).for_each(|nal| cut::<F>(nal, payloads));
        return;
    }
    let mut payload = Vec::with_capacity(bytes);
    payload.extend_from_slice(header.as_ref());
    for nal in sets.drain(..) {
        let size = u16::try_from(nal.len()).expect("it fits into a payload");
        payload.extend_from_slice(&size.to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payloads.push(payload.into());
}

/// Sends a NAL unit as it is, or in fragments.
fn cut<F: NalFormat>(nal: &[u8], payloads: &mut Vec<Arc<[u8]>>) {
    let Some((header, kind)) = F::fragmentation(nal) else { return };
    if nal.len() <= PAYLOAD_MAX_BYTES {
        payloads.push(nal.into());
        return;
    }
    let header = header.as_ref();
    let fragments = nal[header.len()..].chunks(PAYLOAD_MAX_BYTES - header.len() - 1);
    let last = fragments.len() - 1;
    for (index, fragment) in fragments.enumerate() {
        let start = if index == 0 { FU_START } else { 0 };
        let end = if index == last { FU_END } else { 0 };
        payloads.push([header, &[start | end | kind], fragment].concat().into());
    }
}

#[cfg(test)]
pub(super) mod testing {
    /// Writes NAL units as a frame has them.
    pub(in crate::packetize) fn unit<N: AsRef<[u8]>>(nals: &[N]) -> Vec<u8> {
        let prefixed = |nal: &[u8]| [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], nal].concat();
        nals.iter().flat_map(|nal| prefixed(nal.as_ref())).collect()
    }
}
