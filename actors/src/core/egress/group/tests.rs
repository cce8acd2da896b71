//! Stories of viewers, on virtual time; what they get is opened with their own keys.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use onair_media::{Codec, EncodingId, MediaKind, RtpPacket, SourceId};

use super::*;
use crate::core::egress::{EgressSettings, TrackSettings};
use crate::core::srtp::{MasterKey, Profile, Unprotector};

mod simulcast;

const VIDEO_SSRC: u32 = 1;
const RTX_SSRC: u32 = 2;
const AUDIO_SSRC: u32 = 3;
const PROFILE: Profile = Profile::AeadAes128Gcm;

/// Thirty frames a second, three packets and one of sound each.
const FRAME: Duration = Duration::from_micros(33_333);

/// One RTP packet that a viewer got, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    ssrc: u32,
    seq_no: u16,
    timestamp: u32,
    payload: Vec<u8>,
    /// Its number across tracks.
    number: Option<u16>,
}

/// A room with a camera, and what its viewers got.
struct Stage {
    start: Instant,
    now: Instant,
    group: EgressGroup<u8>,
    frames: u64,
    got: BTreeMap<u8, Vec<Got>>,
    reports: BTreeMap<u8, usize>,
    destinations: Vec<SocketAddr>,
    /// How much of what they got the viewers have reported.
    told: BTreeMap<u8, usize>,
}

fn address(key: u8) -> SocketAddr {
    ([127, 0, 0, key], 9).into()
}

fn master(key: u8) -> MasterKey {
    MasterKey::new(PROFILE, &[key; 16], &[key; 12]).unwrap()
}

fn egress(key: u8) -> Box<Egress> {
    Box::new(Egress::new(settings(key)))
}

fn settings(key: u8) -> EgressSettings {
    let track = |kind, ssrc, rtx_ssrc, codecs| TrackSettings {
        kind,
        ssrc,
        rtx_ssrc,
        codecs,
        mid: "m".into(),
        mid_extension: Some(4),
        send_time_extension: Some(2),
        number_extension: Some(3),
        cname: "c".into(),
    };
    EgressSettings {
        profile: PROFILE,
        key: master(key),
        destination: address(key),
        tracks: vec![
            track(MediaKind::Video, VIDEO_SSRC, Some(RTX_SSRC), vec![(Codec::H264, 102, Some(103))]),
            track(MediaKind::Audio, AUDIO_SSRC, None, vec![(Codec::Opus, 111, None)]),
        ],
        seed: [key; 12],
    }
}

impl Stage {
    fn new() -> Self {
        let start = Instant::now();
        let group = EgressGroup::new(WallClock::new(start, SystemTime::UNIX_EPOCH));
        let (got, reports, destinations, told) = Default::default();
        Self { start, now: start, group, frames: 0, got, reports, destinations, told }
    }

    fn attach(&mut self, key: u8) {
        self.obey(key, EgressOrder::Attach(egress(key)));
    }

    fn obey(&mut self, key: u8, order: EgressOrder) {
        let mut buffer = SendBuffer::default();
        if let Some(to) = self.group.obey(key, order, self.now, &mut buffer) {
            self.deliver(to, &buffer);
        }
    }

    /// The batch of the next frame: three packets of the picture, whose first payload byte is the frame's number, and one
    /// of sound.
    fn batch(&mut self, is_keyframe: bool) -> PacketBatch {
        let frame = self.frames;
        self.frames += 1;
        let packet = |codec, seq_no, timestamp, starts_keyframe, marker| RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no,
            timestamp,
            marker,
            starts_keyframe,
            payload: [frame as u8, (frame >> 8) as u8, seq_no as u8, 7].into(),
            received_at: self.now,
            sender_report: None,
        };
        let mut packets: Vec<_> = (0..3_u64)
            .map(|part| packet(Codec::H264, 3 * frame + part, frame as u32 * 3000, is_keyframe && part == 0, part == 2))
            .collect();
        packets.push(packet(Codec::Opus, frame, frame as u32 * 1600, true, false));
        PacketBatch { source: SourceId(1), packets }
    }

    fn film(&mut self, frames: u64, keyframe_every: u64) {
        for _ in 0..frames {
            let batch = self.batch(self.frames.is_multiple_of(keyframe_every));
            self.group.push(&batch, false);
            self.serve();
            self.now += FRAME;
        }
    }

    fn serve(&mut self) {
        let mut buffer = SendBuffer::default();
        while let Some(to) = self.group.next(self.now, &mut buffer) {
            self.deliver(to, &buffer);
        }
    }

    fn deliver(&mut self, to: SocketAddr, buffer: &SendBuffer) {
        let SocketAddr::V4(v4) = to else { panic!("{to}") };
        let key = v4.ip().octets()[3];
        self.destinations.push(to);
        let unprotector = Unprotector::new(PROFILE, &master(key));
        for datagram in buffer.datagrams() {
            let mut out = Vec::new();
            if matches!(datagram[1], 192..=223) {
                unprotector.open_rtcp(datagram, &mut out).unwrap();
                *self.reports.entry(key).or_default() += 1;
                continue;
            }
            let words = usize::from(u16::from_be_bytes([datagram[14], datagram[15]]));
            let header_len = if datagram[0] & 0x10 == 0 { 12 } else { 16 + 4 * words };
            let seq_no = u16::from_be_bytes([datagram[2], datagram[3]]);
            // Few packets: the roll-over count changes at most once, and begins at zero.
            let opened = [0, 1_u64 << 16]
                .into_iter()
                .any(|roc| unprotector.open_rtp(datagram, header_len, roc + u64::from(seq_no), &mut out).is_ok());
            assert!(opened, "the viewer cannot open what it got");
            let number = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap());
            let payload = out[header_len..].to_vec();
            let is_numbered = header_len > 12 && datagram[16] >> 4 == 3;
            let across = is_numbered.then(|| u16::from_be_bytes([datagram[17], datagram[18]]));
            let got = Got { ssrc: number(8), seq_no, timestamp: number(4), payload, number: across };
            self.got.entry(key).or_default().push(got);
        }
    }

    fn of(&self, key: u8, ssrc: u32) -> Vec<Got> {
        self.got.get(&key).into_iter().flatten().filter(|got| got.ssrc == ssrc).cloned().collect()
    }

    /// The numbers of the frames whose pictures a viewer got, a number for each packet.
    fn pictures(&self, key: u8) -> Vec<u16> {
        self.of(key, VIDEO_SSRC).iter().map(|got| u16::from_le_bytes([got.payload[0], got.payload[1]])).collect()
    }
}

fn assert_unbroken(got: &[Got]) {
    let is_next = |pair: &[Got]| pair[1].seq_no == pair[0].seq_no.wrapping_add(1);
    assert!(got.windows(2).all(is_next), "a number is missing or comes twice");
}

#[test]
fn every_viewer_gets_every_packet_with_numbers_of_its_own() {
    let mut stage = Stage::new();
    [1, 2].into_iter().for_each(|key| stage.attach(key));
    stage.film(10, 100);
    for key in [1, 2] {
        let video = stage.of(key, VIDEO_SSRC);
        assert_unbroken(&video);
        assert_eq!((video.len(), stage.of(key, AUDIO_SSRC).len(), stage.reports[&key]), (30, 10, 2));
        assert_eq!(video[3].timestamp.wrapping_sub(video[0].timestamp), 3000);
        assert_eq!(video[0].seq_no, u16::from_be_bytes([key; 2]));
    }
    assert_eq!(stage.group.counts().sent_packets, 80);
}

#[test]
fn with_a_recent_keyframe_a_picture_is_there_at_once() {
    let mut stage = Stage::new();
    stage.film(15, 100);
    stage.attach(1);
    assert!(stage.group.take_keyframe_wish().is_empty(), "half a second ago is as good as new");
    stage.film(1, 100);
    assert_eq!(stage.pictures(1)[..3], [0, 0, 0]);
    stage.film(30, 100);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
    // All of it came, and nothing behind the camera.
    assert_eq!(stage.pictures(1), (0..46).flat_map(|frame| [frame; 3]).collect::<Vec<_>>());
}

#[test]
fn whoever_does_not_answer_is_shown_from_the_last_keyframe_on_and_caught_up_with() {
    let mut stage = Stage::new();
    stage.film(271, 1000);
    stage.attach(1);
    assert!(!stage.group.take_keyframe_wish().is_empty());
    let joined = stage.now;
    stage.film(5, 1000);
    assert!(stage.pictures(1).is_empty(), "the publisher has 150 ms to answer");
    stage.film(1, 1000);
    assert_eq!(stage.pictures(1)[..3], [0, 0, 0]);
    // Nine seconds and a bit behind, at four times the speed: three seconds later the viewer is there.
    stage.film(80, 1000);
    assert!(*stage.pictures(1).last().unwrap() < 340);
    stage.film(20, 1000);
    let frames = stage.frames;
    assert_eq!(u64::from(*stage.pictures(1).last().unwrap()), frames - 1);
    stage.film(10, 1000);
    let video = stage.of(1, VIDEO_SSRC);
    assert_unbroken(&video);
    assert_eq!(u64::from(*stage.pictures(1).last().unwrap()), frames + 9);
    // The viewer's time is the time since its first picture, to within the frame that the camera was ahead.
    let shown = video[video.len() - 1].timestamp.wrapping_sub(video[0].timestamp);
    let passed = (stage.now - FRAME - joined - 5 * FRAME).as_micros() as u32 * 9 / 100;
    assert!(shown.abs_diff(passed) <= 3100, "{shown} ticks for {passed}");
    // Sound was live all the time, none of it twice.
    let audio = stage.of(1, AUDIO_SSRC);
    assert_unbroken(&audio);
    assert_eq!(audio.len() as u64, stage.frames - 271);
}

#[test]
fn sound_does_not_wait_for_pictures_that_catch_up() {
    let mut stage = Stage::new();
    stage.film(271, 1000);
    stage.attach(1);
    stage.film(30, 1000);
    let is_in_the_past = u64::from(*stage.pictures(1).last().unwrap()) < stage.frames - 60;
    assert!(is_in_the_past && stage.of(1, AUDIO_SSRC).len() == 30);
    // A keyframe that ends the catching up costs no sound either.
    stage.film(10, 302);
    assert_eq!(u64::from(*stage.pictures(1).last().unwrap()), stage.frames - 1);
    assert_eq!(stage.of(1, AUDIO_SSRC).len(), 40);
    assert_unbroken(&stage.of(1, AUDIO_SSRC));
}

#[test]
fn a_gap_on_the_way_ends_the_catching_up() {
    let mut stage = Stage::new();
    stage.film(271, 1000);
    stage.attach(1);
    stage.film(20, 1000);
    stage.group.take_keyframe_wish();
    let batch = stage.batch(false);
    stage.group.push(&batch, true);
    stage.film(150, 1000);
    assert!(*stage.pictures(1).last().unwrap() < 291, "nothing can be shown behind the gap");
    assert!(!stage.group.take_keyframe_wish().is_empty());
    let batch = stage.batch(true);
    stage.group.push(&batch, false);
    stage.serve();
    assert_eq!(u64::from(*stage.pictures(1).last().unwrap()), stage.frames - 1);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn a_publisher_that_answers_spares_the_viewer_the_past() {
    let mut stage = Stage::new();
    stage.film(99, 1000);
    stage.attach(1);
    stage.film(2, 100);
    assert_eq!(stage.pictures(1), [100, 100, 100]);
    stage.film(30, 1000);
    assert_eq!(stage.pictures(1).len(), 31 * 3);
}

#[test]
fn a_keyframe_on_the_way_shortens_it() {
    let mut stage = Stage::new();
    stage.film(271, 1000);
    stage.attach(1);
    stage.film(19, 1000);
    stage.film(11, 300);
    let pictures = stage.pictures(1);
    assert_eq!((pictures[0], *pictures.last().unwrap()), (0, 300));
    let past = pictures.iter().filter(|frame| **frame < 300).count();
    assert!(past < 3 * 271, "{past} packets of the past");
    let video = stage.of(1, VIDEO_SSRC);
    assert_unbroken(&video);
    let forward = |pair: &[Got]| (pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) >= 0;
    assert!(video.windows(2).all(forward), "time runs backwards");
}

#[test]
fn what_a_viewer_misses_comes_again_for_all_from_one_place() {
    let mut stage = Stage::new();
    [1, 2].into_iter().for_each(|key| stage.attach(key));
    stage.film(10, 100);
    let lost = stage.of(1, VIDEO_SSRC)[4].clone();
    stage
        .obey(1, EgressOrder::Resend(vec![lost.seq_no, lost.seq_no.wrapping_sub(100), lost.seq_no.wrapping_add(1000)]));
    let again = stage.of(1, RTX_SSRC);
    // The original number stands before the payload (RFC 4588 §4).
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].payload, [&lost.seq_no.to_be_bytes()[..], &lost.payload].concat());
    assert_eq!(again[0].timestamp, lost.timestamp);
    assert_eq!(stage.group.counts().resent_packets, 1);
    assert!(stage.of(2, RTX_SSRC).is_empty());
}

#[test]
fn a_viewer_that_asks_for_everything_again_and_again_is_not_obeyed_for_ever() {
    let mut stage = Stage::new();
    stage.attach(1);
    let mut batch = stage.batch(true);
    batch.packets[0].payload = vec![0; 1200].into();
    stage.group.push(&batch, false);
    stage.serve();
    let first = stage.of(1, VIDEO_SSRC)[0].seq_no;
    stage.obey(1, EgressOrder::Resend(vec![first; 1000]));
    // 256 KiB and what it was sent: some 220 packets of 1,200 bytes.
    let again = stage.of(1, RTX_SSRC).len();
    assert!((200..=230).contains(&again), "{again}");
}

#[test]
fn whoever_falls_behind_is_sent_on_to_the_next_keyframe() {
    let mut stage = Stage::new();
    stage.attach(1);
    stage.film(5, 1000);
    // The worker does nothing for two seconds, in which a keyframe comes.
    for frame in 0..60 {
        let batch = stage.batch(frame == 40);
        stage.group.push(&batch, false);
        stage.now += FRAME;
    }
    stage.serve();
    stage.film(5, 1000);
    let pictures = stage.pictures(1);
    assert_eq!(pictures[12..18], [4, 4, 4, 45, 45, 45]);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
    // Forty frames of three packets, and two seconds of sound.
    assert_eq!(stage.group.counts().dropped_packets, 120 + 60);
}

#[test]
fn a_viewer_out_of_reach_costs_nothing_and_comes_back_with_a_picture() {
    let mut stage = Stage::new();
    stage.attach(1);
    stage.film(5, 1000);
    stage.group.take_keyframe_wish();
    stage.obey(1, EgressOrder::Pause);
    stage.film(60, 1000);
    assert_eq!(stage.pictures(1).len(), 15);
    stage.obey(1, EgressOrder::Resume);
    assert!(!stage.group.take_keyframe_wish().is_empty());
    stage.film(10, 1000);
    assert!(stage.pictures(1).len() > 15);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn a_gap_of_the_room_is_none_for_the_viewer() {
    let mut stage = Stage::new();
    stage.attach(1);
    stage.film(5, 1000);
    stage.frames += 50;
    let batch = stage.batch(false);
    stage.group.push(&batch, true);
    stage.serve();
    stage.film(2, 1000);
    assert_eq!(stage.pictures(1).len(), 15, "no picture without a keyframe");
    let batch = stage.batch(true);
    stage.group.push(&batch, false);
    stage.serve();
    assert_eq!(stage.pictures(1).len(), 18);
    assert_unbroken(&stage.of(1, VIDEO_SSRC));
}

#[test]
fn viewers_take_turns() {
    let mut stage = Stage::new();
    [1, 2, 3].into_iter().for_each(|key| stage.attach(key));
    // Three hundred packets of pictures at once: six turns for each, one after the other.
    for _ in 0..100 {
        let batch = stage.batch(stage.frames == 0);
        stage.group.push(&batch, false);
    }
    stage.serve();
    assert_eq!(stage.destinations.len(), 18);
    for turns in stage.destinations.chunks(3) {
        assert!([1, 2, 3].into_iter().all(|key| turns.contains(&address(key))), "{turns:?}");
    }
}

#[test]
fn who_leaves_is_gone_and_who_stays_is_found() {
    let mut stage = Stage::new();
    [1, 2, 3].into_iter().for_each(|key| stage.attach(key));
    stage.film(1, 100);
    stage.obey(1, EgressOrder::Detach);
    stage.obey(1, EgressOrder::Detach);
    stage.obey(3, EgressOrder::Redirect(address(9)));
    stage.destinations.clear();
    // Sent to another address, but with its own keys.
    let batch = stage.batch(false);
    stage.group.push(&batch, false);
    let mut buffer = SendBuffer::default();
    let mut to = Vec::new();
    while let Some(destination) = stage.group.next(stage.now, &mut buffer) {
        to.push(destination);
    }
    to.sort();
    assert_eq!(to, [address(2), address(9)]);
    let counts = stage.group.counts();
    assert_eq!((counts.viewers, counts.sent_packets), (2, 4 * 3 + 4 * 2));
    [2, 3].into_iter().for_each(|key| stage.obey(key, EgressOrder::Detach));
    assert!(stage.group.viewers.is_empty() && stage.group.places.is_empty());
}

#[test]
fn sound_alone_needs_no_keyframe() {
    let mut stage = Stage::new();
    stage.attach(1);
    stage.group.take_keyframe_wish();
    for _ in 0..100 {
        let mut batch = stage.batch(false);
        batch.packets.retain(|packet| packet.codec == Codec::Opus);
        stage.group.push(&batch, false);
        stage.serve();
        stage.now += FRAME;
    }
    assert_eq!(stage.of(1, AUDIO_SSRC).len(), 100);
    assert!(stage.group.take_keyframe_wish().is_empty());
    assert!(stage.now > stage.start);
}

#[test]
fn sound_finds_its_way_through_a_crowd_of_pictures() {
    let mut stage = Stage::new();
    let mut settings = settings(1);
    settings.tracks.retain(|track| track.kind == MediaKind::Audio);
    stage.obey(1, EgressOrder::Attach(Box::new(Egress::new(settings))));
    assert!(stage.group.take_keyframe_wish().is_empty(), "who hears only needs no keyframe");
    let mut batch = stage.batch(true);
    for number in 1000..1200 {
        batch.packets.insert(0, RtpPacket { seq_no: number, ..batch.packets[0].clone() });
    }
    stage.group.push(&batch, false);
    stage.serve();
    assert_eq!(stage.of(1, AUDIO_SSRC).len(), 1);
}

#[test]
fn the_mid_is_said_until_the_viewer_knows_it() {
    let mut stage = Stage::new();
    stage.attach(1);
    let size = |stage: &mut Stage| {
        let batch = stage.batch(true);
        stage.group.push(&batch, false);
        let mut buffer = SendBuffer::default();
        stage.group.next(stage.now, &mut buffer).unwrap();
        buffer.datagrams().next().unwrap().len()
    };
    let with_mid = size(&mut stage);
    stage.obey(1, EgressOrder::Known(MediaKind::Video));
    // Two bytes of MID, in words of four.
    assert_eq!(with_mid - size(&mut stage), 4);
}
