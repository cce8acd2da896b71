use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::depacketize::{Depacketized, Depacketizer};

const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8];
const PPS: &[u8] = &[0x68, 0xce, 0x38, 0x80];

/// Writes NAL units as a frame has them.
fn unit(nals: &[Vec<u8>]) -> Vec<u8> {
    let prefixed = |nal: &Vec<u8>| [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], nal].concat();
    nals.iter().flat_map(prefixed).collect()
}

/// Sends frames 40 ms apart through packets, and returns them with the packets.
fn round_trip(codec: Codec, frames: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<RtpPacket>) {
    let start = Instant::now();
    let (mut packetizer, mut depacketizer) = (Packetizer::new(codec).unwrap(), Depacketizer::new(start));
    let mut sent = Vec::new();
    for (frame, number) in frames.iter().zip(0_u32..) {
        let received_at = start + Duration::from_millis(40) * number;
        let timestamp = (u32::MAX - 10_000).wrapping_add(number * 3_600);
        let packets = packetizer.push(AccessUnit { data: frame, timestamp, received_at }).unwrap();
        packets.iter().for_each(|packet| depacketizer.push(packet));
        sent.extend(packets);
    }
    depacketizer.flush();
    let end = start + Duration::from_secs(3_600);
    let out = std::iter::from_fn(|| depacketizer.pull(end)).filter_map(|out| match out {
        Depacketized::Frame(_, frame) => Some(frame.data.to_vec()),
        Depacketized::KeyframeWanted => None,
        other => panic!("{other:?}"),
    });
    (out.collect(), sent)
}

fn body(bytes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), bytes)
}

/// The slices of one picture behind SEI, as long as they may be: the first one begins the picture.
fn picture(header: u8) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let slice = move |start: &'static [u8]| body(0..3_000).prop_map(move |body| [&[header], start, &body[..]].concat());
    let sei = prop::option::of(body(1..3_000).prop_map(|body| [&[0x06][..], &body].concat()));
    let more = prop::collection::vec(slice(&[0x50, 0x84]), 0..3);
    (sei, slice(&[0x88, 0x84]), more)
        .prop_map(|(sei, first, more)| sei.into_iter().chain([first]).chain(more).collect())
}

proptest! {
    #[test]
    fn what_was_cut_comes_out_as_it_went_in(first in picture(0x65), rest in prop::collection::vec(picture(0x41), 0..6)) {
        let sets = [SPS.to_vec(), PPS.to_vec()];
        let with_sets: Vec<_> = sets.into_iter().chain(first.clone()).collect();
        let frames: Vec<_> = [&with_sets].into_iter().chain(&rest).map(|nals| unit(nals)).collect();
        let samples: Vec<_> = [&first].into_iter().chain(&rest).map(|nals| unit(nals)).collect();
        let (out, packets) = round_trip(Codec::H264, &frames);
        prop_assert!(out == samples, "{} frames of {}", out.len(), samples.len());
        prop_assert!(packets.iter().all(|packet| packet.payload.len() <= PAYLOAD_MAX_BYTES));
        prop_assert!(packets.iter().zip(1..).all(|(packet, number)| packet.seq_no == number));
        prop_assert_eq!(packets.iter().filter(|packet| packet.marker).count(), frames.len());
        prop_assert_eq!(packets.iter().filter(|packet| packet.starts_keyframe).count(), 1);
        prop_assert!(packets[0].starts_keyframe);
    }

    #[test]
    fn whatever_is_pushed_is_cut_or_refused(data in body(0..4_000), lengths in any::<bool>()) {
        let data = if lengths { unit(&[data]) } else { data };
        let mut packetizer = Packetizer::new(Codec::H264).unwrap();
        let pushed = packetizer.push(AccessUnit { data: &data, timestamp: 0, received_at: Instant::now() });
        let packets = pushed.unwrap_or_default();
        prop_assert!(packets.iter().all(|packet| !packet.payload.is_empty() && packet.payload.len() <= PAYLOAD_MAX_BYTES));
    }
}

#[test]
fn what_is_missing_leaves_numbers_out_and_reports_stay() {
    let mut packetizer = Packetizer::new(Codec::H264).unwrap();
    let report = SenderReport { ntp: Duration::from_secs(7), rtp_timestamp: 3 };
    let data = unit(&[vec![0x41, 0x9a]]);
    let push = |packetizer: &mut Packetizer| {
        let packets = packetizer.push(AccessUnit { data: &data, timestamp: 0, received_at: Instant::now() }).unwrap();
        (packets[0].seq_no, packets[0].sender_report)
    };
    assert_eq!(push(&mut packetizer), (1, None));
    packetizer.note_report(report);
    packetizer.lose(3);
    assert_eq!(push(&mut packetizer), (5, Some(report)));
    assert_eq!(push(&mut packetizer), (6, Some(report)));
    assert!(Packetizer::new(Codec::Vp8).is_none());
}
