//! The CMAF chunk: one `moof` and its `mdat`.

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};
use onair_media::MediaKind;

use super::{NON_SYNC_FLAGS, SYNC_FLAGS, SegmentHead, track_id};
use crate::cut::Sample;

/// The header of `mdat`: 32-bit size and type (ISO/IEC 14496-12 §4.2).
const MDAT_HEADER_BYTES: usize = 8;

/// Holds the bytes of a chunk and where its samples begin.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The head, if there is one, `moof` and `mdat`.
    pub bytes: Bytes,
    /// Where the samples begin within `bytes`.
    pub payload_offset: usize,
}

/// Builds one chunk of one track: `moof` with `mfhd`, `traf` (`tfhd`, `tfdt`, `trun`), then `mdat`.
///
/// `sequence` counts the chunks of the rendition from 1; `start_ticks` is the decoding time of the first sample.
/// `head` stands in front of the first chunk of a segment.
/// `samples` and `payloads` describe and hold the same samples, in decoding order
/// (ISO/IEC 23000-19 §7.3.2.3; ISO/IEC 14496-12 §8.8.4 to §8.8.8, §8.8.12).
///
/// # Panics
/// When the chunk would exceed 2 GiB: a part holds at most a few seconds.
pub fn chunk(
    kind: MediaKind,
    sequence: u32,
    start_ticks: u64,
    head: Option<SegmentHead>,
    samples: &[Sample],
    payloads: &[Bytes],
) -> Chunk {
    let media_bytes: usize = payloads.iter().map(Bytes::len).sum();
    debug_assert_eq!(media_bytes, samples.iter().map(|s| s.size as usize).sum::<usize>());

    // The size of `moof` does not depend on the offset in it, so the first encoding finds the offset of the second.
    // It counts from the first byte of `moof`, whatever stands before (§8.8.7).
    let moof_bytes = encode(None, &moof(kind, sequence, start_ticks, samples, 0), 0).len();
    let data_offset = i32::try_from(moof_bytes + MDAT_HEADER_BYTES);
    let data_offset = data_offset.expect("a header of a few seconds of samples is below 2 GiB");

    let moof = moof(kind, sequence, start_ticks, samples, data_offset);
    let mut bytes = encode(head, &moof, MDAT_HEADER_BYTES + media_bytes);
    let payload_offset = bytes.len() + MDAT_HEADER_BYTES;
    let mdat_bytes = u32::try_from(MDAT_HEADER_BYTES + media_bytes).expect("a few seconds of media are below 2 GiB");
    bytes.put_u32(mdat_bytes);
    bytes.put_slice(b"mdat");
    for payload in payloads {
        bytes.put_slice(payload);
    }
    Chunk { bytes: bytes.freeze(), payload_offset }
}

fn moof(kind: MediaKind, sequence: u32, start_ticks: u64, samples: &[Sample], data_offset: i32) -> Moof {
    Moof {
        mfhd: Mfhd { sequence_number: sequence },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: track_id(kind),
                default_sample_flags: (kind == MediaKind::Audio).then_some(SYNC_FLAGS),
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: start_ticks }),
            trun: vec![Trun { data_offset: Some(data_offset), samples: entries(kind, samples).into() }],
            ..Traf::default()
        }],
    }
}

/// Builds the rows of `trun`, leaving out the columns that say nothing: flags of audio, offsets that are all zero.
fn entries(kind: MediaKind, samples: &[Sample]) -> Vec<TrunEntry> {
    let reordered = samples.iter().any(|s| s.composition_offset_ticks != 0);
    let flags = |sync| if sync { SYNC_FLAGS } else { NON_SYNC_FLAGS };
    let entry = |s: &Sample| TrunEntry {
        duration: Some(s.duration_ticks),
        size: Some(s.size),
        flags: (kind == MediaKind::Video).then(|| flags(s.sync)),
        cts: reordered.then_some(s.composition_offset_ticks.into()),
    };
    samples.iter().map(entry).collect()
}

fn encode(head: Option<SegmentHead>, moof: &Moof, room_for: usize) -> BytesMut {
    /// Measured: 92 bytes around the rows, and 16 bytes a row at most.
    const FRAME_BYTES: usize = 128 + SegmentHead::BYTES;
    let rows: usize = moof.traf.iter().flat_map(|traf| &traf.trun).map(|trun| trun.samples.len()).sum();
    let mut bytes = BytesMut::with_capacity(FRAME_BYTES + rows * 16 + room_for);
    if let Some(head) = head {
        bytes.put_slice(&head.to_bytes());
    }
    moof.encode(&mut bytes).expect("every field of the header was given within its range");
    bytes
}
