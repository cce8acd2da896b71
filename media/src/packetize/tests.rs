use std::time::Duration;

use proptest::prelude::*;

use super::nal::testing::unit;
use super::*;
use crate::depacketize::{Depacketized, Depacketizer};
use crate::h265::testing::{PPS, SPS_322X182, VPS_322X182};

/// How a codec writes what the tests send.
#[derive(Debug)]
struct Sample {
    codec: Codec,
    sets: &'static [&'static [u8]],
    sei: &'static [u8],
    /// The header of the slices of a keyframe, what follows in the first one, and in others.
    key: [&'static [u8]; 3],
    /// The same for other pictures.
    inter: [&'static [u8]; 3],
}

const H264: Sample = Sample {
    codec: Codec::H264,
    sets: &[&[0x67, 0x42, 0xe0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8], &[0x68, 0xce, 0x38, 0x80]],
    sei: &[0x06],
    key: [&[0x65], &[0x88, 0x84], &[0x50, 0x84]],
    inter: [&[0x41], &[0x88, 0x84], &[0x50, 0x84]],
};

const H265: Sample = Sample {
    codec: Codec::H265,
    sets: &[&VPS_322X182, &SPS_322X182, &PPS],
    sei: &[0x4e, 0x01],
    key: [&[0x28, 0x01], &[0xaf], &[0x2f]],
    inter: [&[0x02, 0x01], &[0xd0], &[0x50]],
};

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
fn picture(sei: &'static [u8], [header, first, other]: [&'static [u8]; 3]) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let slice = move |start: &'static [u8]| body(0..3_000).prop_map(move |body| [header, start, &body[..]].concat());
    let sei = prop::option::of(body(1..3_000).prop_map(move |body| [sei, &body].concat()));
    let more = prop::collection::vec(slice(other), 0..3);
    (sei, slice(first), more).prop_map(|(sei, first, more)| sei.into_iter().chain([first]).chain(more).collect())
}

/// A keyframe and what follows it.
fn pictures() -> impl Strategy<Value = (&'static Sample, Vec<Vec<Vec<u8>>>)> {
    prop::sample::select(vec![&H264, &H265]).prop_flat_map(|sample| {
        let rest = prop::collection::vec(picture(sample.sei, sample.inter), 0..6);
        let all = (picture(sample.sei, sample.key), rest);
        all.prop_map(move |(first, rest)| (sample, [first].into_iter().chain(rest).collect()))
    })
}

proptest! {
    #[test]
    fn what_was_cut_comes_out_as_it_went_in((sample, pictures) in pictures()) {
        let samples: Vec<_> = pictures.iter().map(|nals| unit(nals)).collect();
        let mut frames = samples.clone();
        frames[0] = [unit(sample.sets), samples[0].clone()].concat();
        let (out, packets) = round_trip(sample.codec, &frames);
        prop_assert!(out == samples, "{} frames of {}", out.len(), samples.len());
        prop_assert!(packets.iter().all(|packet| packet.payload.len() <= PAYLOAD_MAX_BYTES));
        prop_assert!(packets.iter().zip(1..).all(|(packet, number)| packet.seq_no == number));
        prop_assert_eq!(packets.iter().filter(|packet| packet.marker).count(), frames.len());
        prop_assert_eq!(packets.iter().filter(|packet| packet.starts_keyframe).count(), 1);
        prop_assert!(packets[0].starts_keyframe);
    }

    #[test]
    fn whatever_is_pushed_is_cut_or_refused(
        codec in prop::sample::select(vec![Codec::H264, Codec::H265]), data in body(0..4_000), lengths in any::<bool>(),
    ) {
        let data = if lengths { unit(&[data]) } else { data };
        let mut packetizer = Packetizer::new(codec).unwrap();
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
