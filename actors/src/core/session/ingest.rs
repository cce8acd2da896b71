//! What a publisher's packets are to the house: numbered without an end, each picture with one beginning.

use onair_media::{Codec, EncodingId, MediaKind};

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
    video: [Pictures; EncodingId::COUNT],
}

/// Notes what came of one encoding of the video.
#[derive(Debug, Default)]
struct Pictures {
    numbers: Numbers,
    /// The highest number so far.
    newest: Option<u64>,
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
    /// Whatever the sender does, no two packets of an encoding have the same number: a viewer's key protects one packet
    /// only under each.
    pub(super) fn note(&mut self, arrived: &Arrived<'_>) -> Option<Noted> {
        match arrived.codec.kind() {
            MediaKind::Audio => {
                Some(Noted { seq_no: self.audio.number(arrived.ssrc, arrived.seq_no)?, starts_keyframe: true })
            }
            MediaKind::Video => self.video.get_mut(usize::from(arrived.encoding.0))?.note(arrived),
        }
    }
}

/// What is noted of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) codec: Codec,
    pub(super) encoding: EncodingId,
    pub(super) ssrc: u32,
    pub(super) seq_no: u64,
    pub(super) timestamp: u32,
    pub(super) payload: &'a [u8],
}

impl Pictures {
    fn note(&mut self, arrived: &Arrived<'_>) -> Option<Noted> {
        let seq_no = self.numbers.number(arrived.ssrc, arrived.seq_no)?;
        // Who is let in at a late packet misses what has already gone by, and nobody could repair that.
        let is_start = !self.is_late(seq_no) && onair_media::starts_keyframe(arrived.codec, arrived.payload);
        // Parameter sets and the first slice both look like it; whoever began with the slice could not decode it.
        let starts_keyframe = is_start && self.keyframe_timestamp.replace(arrived.timestamp) != Some(arrived.timestamp);
        Some(Noted { seq_no, starts_keyframe })
    }

    /// Tells whether later packets were there before, and notes this number.
    fn is_late(&mut self, seq_no: u64) -> bool {
        let is_late = self.newest.is_some_and(|newest| seq_no < newest && newest - seq_no <= LATE_PACKETS_MAX);
        if !is_late {
            self.newest = Some(seq_no);
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

    fn arrived(encoding: u8, ssrc: u32, seq_no: u64, payload: &[u8]) -> Arrived<'_> {
        let timestamp = seq_no as u32 / 10;
        Arrived { codec: Codec::H264, encoding: EncodingId(encoding), ssrc, seq_no, timestamp, payload }
    }

    fn note(ingest: &mut Ingest, ssrc: u32, seq_no: u64, payload: &[u8]) -> Option<Noted> {
        ingest.note(&arrived(0, ssrc, seq_no, payload))
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
        let sound = ingest.note(&Arrived { codec: Codec::Opus, ..arrived(0, 9, 5000, &[1]) }).unwrap();
        assert_eq!(sound, Noted { seq_no: 5000, starts_keyframe: true });
    }

    #[test]
    fn ssrcs_without_end_are_not_remembered() {
        let mut ingest = Ingest::default();
        let taken = (0..1000).filter(|ssrc| note(&mut ingest, *ssrc, 1, &[1]).is_some()).count();
        assert_eq!((taken, ingest.video[0].numbers.ssrcs.len()), (SSRCS_MAX, SSRCS_MAX));
    }

    #[test]
    fn each_encoding_has_numbers_and_keyframes_of_its_own() {
        let mut ingest = Ingest::default();
        let mut noted = |encoding, ssrc, seq_no, payload| ingest.note(&arrived(encoding, ssrc, seq_no, payload));
        assert_eq!(noted(0, 7, 5000, &SPS), Some(Noted { seq_no: 5000, starts_keyframe: true }));
        // Fewer packets were sent of the other one, and it is not late for that.
        assert_eq!(noted(1, 8, 4500, &SPS), Some(Noted { seq_no: 4500, starts_keyframe: true }));
        assert_eq!(noted(0, 7, 5001, &SLICE), Some(Noted { seq_no: 5001, starts_keyframe: false }));
        assert_eq!(noted(3, 9, 1, &SPS), None, "more than a publisher may send");
    }
}
