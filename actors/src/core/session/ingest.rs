//! What a publisher's packets are to the house: numbered without an end, each picture with one beginning.

use onair_media::{Codec, MediaKind};

/// A step back of the sequence number wider than this is a sender that numbers anew, and no late packet: str0m takes
/// none that is more than 100 late.
const LATE_PACKETS_MAX: u64 = 1000;

/// Sequence numbers with their roll-over count have so many bits (RFC 3711 §3.3.1); those above count SSRCs.
const NUMBER_BITS: u32 = 48;

/// How many SSRCs a track may have had before it is no more taken: a sender changes it when it starts anew.
const SSRCS_MAX: usize = 256;

/// Notes what came of both tracks.
#[derive(Debug, Default)]
pub(super) struct Ingest {
    audio: Numbers,
    video: Numbers,
    /// The highest number of the video so far.
    newest_video: Option<u64>,
    /// The RTP timestamp of the last keyframe's beginning.
    keyframe_timestamp: Option<u32>,
}

/// The SSRCs of a track, the present one last.
#[derive(Debug, Default)]
struct Numbers {
    ssrcs: Vec<u32>,
}

/// What a packet is called, and whether a decoder may start with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) seq_no: u64,
    pub(super) starts_keyframe: bool,
}

impl Ingest {
    /// Notes a packet; `seq_no` is its sequence number with the roll-over count. `None`: it is not to be taken.
    ///
    /// Whatever the sender does, no two packets of a track have the same number: a viewer's key protects one packet only
    /// under each.
    pub(super) fn note(
        &mut self,
        codec: Codec,
        ssrc: u32,
        seq_no: u64,
        timestamp: u32,
        payload: &[u8],
    ) -> Option<Noted> {
        match codec.kind() {
            MediaKind::Audio => Some(Noted { seq_no: self.audio.number(ssrc, seq_no)?, starts_keyframe: true }),
            MediaKind::Video => {
                let seq_no = self.video.number(ssrc, seq_no)?;
                // Who is let in at a late packet misses what has already gone by, and nobody could repair that.
                let is_start = !self.is_late(seq_no) && onair_media::starts_keyframe(codec, payload);
                // Parameter sets and the first slice both look like it; whoever began with the slice could not decode it.
                let starts_keyframe = is_start && self.keyframe_timestamp.replace(timestamp) != Some(timestamp);
                Some(Noted { seq_no, starts_keyframe })
            }
        }
    }

    /// Tells whether later video was there before, and notes this number.
    fn is_late(&mut self, seq_no: u64) -> bool {
        let is_late = self.newest_video.is_some_and(|newest| seq_no < newest && newest - seq_no <= LATE_PACKETS_MAX);
        if !is_late {
            self.newest_video = Some(seq_no);
        }
        is_late
    }
}

impl Numbers {
    /// Numbers a packet apart from those of all earlier SSRCs; what still comes of these is not taken.
    fn number(&mut self, ssrc: u32, seq_no: u64) -> Option<u64> {
        if self.ssrcs.last() != Some(&ssrc) {
            if self.ssrcs.contains(&ssrc) || self.ssrcs.len() == SSRCS_MAX {
                return None;
            }
            self.ssrcs.push(ssrc);
        }
        let earlier = self.ssrcs.len() as u64 - 1;
        (seq_no >> NUMBER_BITS == 0).then_some(earlier << NUMBER_BITS | seq_no)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 3] = [0x67, 1, 2];
    const SLICE: [u8; 3] = [0x65, 1, 2];

    fn note(ingest: &mut Ingest, ssrc: u32, seq_no: u64, payload: &[u8]) -> Option<Noted> {
        ingest.note(Codec::H264, ssrc, seq_no, seq_no as u32 / 10, payload)
    }

    #[test]
    fn a_picture_begins_once() {
        let mut ingest = Ingest::default();
        let starts = |ingest: &mut Ingest, seq_no, payload| note(ingest, 1, seq_no, payload).unwrap().starts_keyframe;
        assert!(starts(&mut ingest, 10, &SPS));
        assert!(!starts(&mut ingest, 11, &SLICE));
        assert!(!starts(&mut ingest, 12, &SLICE));
        // Without parameter sets the slice is the beginning.
        assert!(starts(&mut ingest, 20, &SLICE));
        // One that was lost and is repaired lets nobody in.
        assert!(!starts(&mut ingest, 9, &SPS));
    }

    #[test]
    fn no_number_comes_twice_whatever_the_sender_does() {
        let mut ingest = Ingest::default();
        let number = |ingest: &mut Ingest, ssrc, seq_no| note(ingest, ssrc, seq_no, &[1]).map(|noted| noted.seq_no);
        assert_eq!(number(&mut ingest, 7, 5000), Some(5000));
        let second = number(&mut ingest, 8, 3000).unwrap();
        assert_eq!(second, (1 << 48) + 3000);
        // The first SSRC again: its numbers were used.
        assert_eq!(number(&mut ingest, 7, 5001), None);
        assert_eq!(number(&mut ingest, 8, 3001), Some(second + 1));
        assert_eq!(number(&mut ingest, 8, u64::MAX), None);
        // Sound has numbers of its own.
        let sound = ingest.note(Codec::Opus, 9, 5000, 0, &[1]).unwrap();
        assert_eq!(sound, Noted { seq_no: 5000, starts_keyframe: true });
    }

    #[test]
    fn ssrcs_without_end_are_not_remembered() {
        let mut ingest = Ingest::default();
        let taken = (0..1000).filter(|ssrc| note(&mut ingest, *ssrc, 1, &[1]).is_some()).count();
        assert_eq!((taken, ingest.video.ssrcs.len()), (SSRCS_MAX, SSRCS_MAX));
    }
}
