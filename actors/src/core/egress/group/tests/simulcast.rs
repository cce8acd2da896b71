//! Viewers of a publisher that sends three encodings at the same time.

use super::*;

/// Packets of a frame in each encoding: about 144, 432 and 1,296 kbit/s.
const PACKETS: [u64; 3] = [1, 3, 9];
const BYTES: usize = 600;

/// Films for a while, and the viewers tell what they got. Keyframes come when they are asked for, in the encodings that are `on`.
fn film(stage: &mut Stage, seconds: u64, on: &[u8]) {
    film_with(stage, seconds, on, SourceId(1), PACKETS);
}

fn film_with(stage: &mut Stage, seconds: u64, on: &[u8], source: SourceId, packets_of: [u64; 3]) {
    let first = stage.frames;
    for _ in 0..seconds * 30 {
        film_frame(stage, first, on, source, packets_of);
        for key in [1, 2] {
            stage.report(key);
        }
        stage.now += FRAME;
    }
}

fn film_frame(stage: &mut Stage, first: u64, on: &[u8], source: SourceId, packets_of: [u64; 3]) {
    let wishes = stage.group.take_keyframe_wish();
    let frame = stage.frames;
    stage.frames += 1;
    let mut packets = Vec::new();
    for (number, count) in (0_u8..).zip(packets_of).filter(|(number, _)| on.contains(number)) {
        let encoding = EncodingId(number);
        let is_keyframe = frame == first || wishes.iter().any(|wish| wish == encoding);
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
    stage.group.push(&PacketBatch { source, packets }, false);
    stage.serve();
}

impl Stage {
    /// Has a viewer report what it got since it did so last, five milliseconds after it was sent.
    fn report(&mut self, key: u8) {
        let got = self.got.get(&key).map(Vec::as_slice).unwrap_or_default();
        let told = self.told.insert(key, got.len()).unwrap_or_default();
        let at = self.now - self.start + Duration::from_millis(5);
        let arrivals: Vec<_> = got[told..].iter().filter_map(|got| Some((got.number?, Some(at)))).collect();
        if !arrivals.is_empty() {
            self.obey(key, EgressOrder::Arrivals(arrivals));
        }
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
    film(&mut stage, 10, &[0, 1, 2]);
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
    film(&mut stage, 10, &[0, 1, 2]);
    stage.obey(1, EgressOrder::Lossy);
    film(&mut stage, 2, &[0, 1, 2]);
    assert_eq!(encodings(&stage, 1), [0, 1, 2, 1]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn a_viewer_of_an_encoding_that_stops_gets_the_next_one() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2]);
    film(&mut stage, 3, &[0, 1]);
    assert_eq!(encodings(&stage, 1), [0, 1, 2, 1]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn what_a_viewer_misses_is_found_in_the_encoding_that_it_came_from() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2]);
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
    film(&mut stage, 10, &[1]);
    assert_eq!(encodings(&stage, 1), [1]);
    assert!(stage.of(1, RTX_SSRC).is_empty());
}

#[test]
fn a_viewer_that_tells_nothing_stays_at_the_lowest() {
    let mut stage = Stage::new();
    // Its reports are not passed on.
    stage.attach(3);
    film(&mut stage, 20, &[0, 1, 2]);
    assert_eq!(encodings(&stage, 3), [0]);
}

#[test]
fn the_best_of_many_megabits_is_reached_too() {
    let mut stage = Stage::new();
    stage.attach(1);
    // About 0.15, 0.85 and 6 Mbit/s.
    film_with(&mut stage, 15, &[0, 1, 2], SourceId(1), [1, 6, 42]);
    assert_eq!(encodings(&stage, 1), [0, 1, 2]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn another_publisher_s_encodings_are_climbed_anew() {
    let mut stage = Stage::new();
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2]);
    // The first one is the best now.
    film_with(&mut stage, 10, &[0, 1, 2], SourceId(2), [9, 3, 1]);
    let all = encodings(&stage, 1);
    assert_eq!(all[..3], [0, 1, 2], "{all:?}");
    assert_eq!(all[all.len() - 3..], [2, 1, 0], "{all:?}");
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn a_viewer_that_comes_late_climbs_past_encodings_of_unknown_size() {
    let mut stage = Stage::new();
    // Nobody watched when the encodings began, and keyframes come only when they are asked for.
    film(&mut stage, 1, &[0, 1, 2]);
    stage.now += Duration::from_secs(30);
    stage.frames += 900;
    stage.attach(1);
    film(&mut stage, 10, &[0, 1, 2]);
    assert_eq!(encodings(&stage, 1).last(), Some(&2));
}
