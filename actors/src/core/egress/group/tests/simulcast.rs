//! Viewers of a publisher that sends three encodings at the same time.

use super::*;

/// Packets of a frame in each encoding: about 144, 432 and 1,296 kbit/s.
const PACKETS: [u64; 3] = [1, 3, 9];
const BYTES: usize = 600;

/// Films for a while. Keyframes come when they are asked for, in the encodings that are `on`.
fn film(stage: &mut Stage, seconds: u64, on: &[u8], mut seen: impl FnMut(&mut Stage)) {
    for _ in 0..seconds * 30 {
        let wishes = stage.group.take_keyframe_wish();
        let frame = stage.frames;
        stage.frames += 1;
        let mut packets = Vec::new();
        for (number, count) in (0_u8..).zip(PACKETS).filter(|(number, _)| on.contains(number)) {
            let encoding = EncodingId(number);
            let is_keyframe = frame == 0 || wishes.iter().any(|wish| wish == encoding);
            packets.extend((0..count).map(|part| {
                let mut payload = vec![0; BYTES];
                payload[..4].copy_from_slice(&[frame as u8, (frame >> 8) as u8, part as u8, number]);
                RtpPacket {
                    codec: Codec::H264,
                    encoding,
                    seq_no: 1000 * u64::from(number) + frame * count + part,
                    timestamp: frame as u32 * 3000 + u32::from(number) * 1_000_000_000,
                    marker: part + 1 == count,
                    starts_keyframe: is_keyframe && part == 0,
                    payload: payload.into(),
                    received_at: stage.now,
                    sender_report: None,
                }
            }));
        }
        stage.group.push(&PacketBatch { source: SourceId(1), packets }, false);
        stage.serve();
        seen(stage);
        stage.now += FRAME;
    }
}

/// The encodings that a viewer got, one after the other.
fn encodings(stage: &Stage, key: u8) -> Vec<u8> {
    let mut numbers: Vec<_> = stage.of(key, VIDEO_SSRC).iter().map(|got| got.payload[3]).collect();
    numbers.dedup();
    numbers
}

#[test]
fn a_viewer_climbs_to_the_best_encoding_without_a_break() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2], |_| {});
    assert_eq!(encodings(&stage, 1), [0, 1, 2]);
    let video = stage.of(1, VIDEO_SSRC);
    assert_unbroken(&video);
    let passed = video.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
    assert!(passed.clone().all(|ticks| ticks <= 3002), "time goes on as it did: {:?}", passed.max());
    assert!(!stage.of(1, RTX_SSRC).is_empty(), "the link was probed");
    // No frame is missing: the next encoding begins where the one before ended.
    let mut frames = stage.pictures(1);
    frames.dedup();
    assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{frames:?}");
}

#[test]
fn a_viewer_whose_link_is_full_goes_down() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2], |_| {});
    stage.obey(1, EgressOrder::Loss(128));
    film(&mut stage, 2, &[0, 1, 2], |_| {});
    assert_eq!(encodings(&stage, 1), [0, 1, 2, 1]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn a_viewer_of_an_encoding_that_stops_gets_the_next_one() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2], |_| {});
    film(&mut stage, 3, &[0, 1], |_| {});
    assert_eq!(encodings(&stage, 1), [0, 1, 2, 1]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn what_a_viewer_misses_is_found_in_the_encoding_that_it_came_from() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2], |_| {});
    let video = stage.of(1, VIDEO_SSRC);
    let before = stage.of(1, RTX_SSRC).len();
    let change = video.iter().position(|got| got.payload[3] == 2).unwrap();
    stage.now = stage.start + Duration::from_millis(9999);
    for got in &video[change - 1..=change] {
        stage.obey(1, EgressOrder::Resend(vec![got.seq_no]));
    }
    let again = stage.of(1, RTX_SSRC).split_off(before);
    // Those of seconds ago are gone; what is there is what was sent under that number.
    for got in again {
        let seq_no = u16::from_be_bytes([got.payload[0], got.payload[1]]);
        let sent = video.iter().find(|sent| sent.seq_no == seq_no).unwrap();
        assert_eq!(got.payload[2..], sent.payload);
    }
}

#[test]
fn of_one_encoding_there_is_no_choice_and_nothing_is_probed() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[1], |_| {});
    assert_eq!(encodings(&stage, 1), [1]);
    assert!(stage.of(1, RTX_SSRC).is_empty());
}
