//! The media plane does not allocate by packet and viewer: what a batch costs in memory, it costs once.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use allocation_counter::measure;
use onair_actors::core::egress::{Egress, EgressGroup, EgressOrder, EgressSettings, SendBuffer, TrackSettings};
use onair_actors::core::srtp::{MasterKey, Profile};
use onair_actors::core::wall_clock::WallClock;
use onair_media::{Codec, EncodingId, MediaKind, PacketBatch, RtpPacket, SourceId};

/// Thirty frames a second, nine packets each.
const FRAME: Duration = Duration::from_micros(33_333);
const FRAME_PACKETS: u64 = 9;

/// Enough that the room lets go of old packets, and longer than two reports are apart.
const WARM_UP_FRAMES: u64 = 600;

struct Room {
    group: EgressGroup<u16>,
    start: Instant,
    frames: u64,
    buffer: SendBuffer,
}

impl Room {
    fn new(viewers: u16, profile: Profile) -> Self {
        let start = Instant::now();
        let group = EgressGroup::new(WallClock::new(start, SystemTime::UNIX_EPOCH));
        let mut room = Self { group, start, frames: 0, buffer: SendBuffer::default() };
        for viewer in 0..viewers {
            room.group.obey(viewer, EgressOrder::Attach(egress(profile)), start, &mut room.buffer);
        }
        for _ in 0..WARM_UP_FRAMES {
            let batch = room.film();
            room.group.push(&batch, false);
            room.serve();
        }
        room
    }

    fn now(&self) -> Instant {
        self.start + FRAME * self.frames as u32
    }

    /// The next frame; every thirtieth is a keyframe.
    fn film(&mut self) -> PacketBatch {
        self.frames += 1;
        let is_keyframe = self.frames % 30 == 1;
        let packets = (0..FRAME_PACKETS).map(|part| RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no: self.frames * FRAME_PACKETS + part,
            timestamp: self.frames as u32 * 3000,
            marker: part + 1 == FRAME_PACKETS,
            starts_keyframe: is_keyframe && part == 0,
            // A byte more or less, which padding evens out.
            payload: vec![7; 1100 + part as usize % 2].into(),
            received_at: self.now(),
            sender_report: None,
        });
        PacketBatch { source: SourceId(1), packets: packets.collect() }
    }

    /// Returns how many datagrams that were.
    fn serve(&mut self) -> u64 {
        let (now, mut datagrams) = (self.now(), 0);
        while self.group.next(now, &mut self.buffer).is_some() {
            datagrams += self.buffer.len() as u64;
        }
        datagrams
    }
}

fn egress(profile: Profile) -> Box<Egress> {
    let (key, salt) = match profile {
        Profile::Aes128CmSha1_80 => (16, 14),
        Profile::AeadAes128Gcm => (16, 12),
        Profile::AeadAes256Gcm => (32, 12),
    };
    Box::new(Egress::new(EgressSettings {
        profile,
        key: MasterKey::new(profile, &vec![1; key], &vec![1; salt]).unwrap(),
        destination: SocketAddr::from(([127, 0, 0, 1], 9)),
        tracks: vec![TrackSettings {
            kind: MediaKind::Video,
            ssrc: 1,
            rtx_ssrc: Some(2),
            codecs: vec![(Codec::H264, 102, Some(103))],
            mid: "0".into(),
            mid_extension: Some(4),
            send_time_extension: Some(2),
            number_extension: Some(3),
            cname: "onair".into(),
        }],
        seed: [0; 12],
    }))
}

#[test]
fn serving_viewers_allocates_nothing() {
    for profile in [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm] {
        let mut room = Room::new(100, profile);
        // Four seconds: reports are among it.
        let (mut datagrams, mut allocations) = (0, 0);
        for _ in 0..120 {
            let batch = room.film();
            room.group.push(&batch, false);
            allocations += measure(|| datagrams += room.serve()).count_total;
        }
        assert!(datagrams > 120 * FRAME_PACKETS * 100, "{datagrams} datagrams");
        assert_eq!(allocations, 0, "{profile:?}");
    }
}

#[test]
fn a_batch_allocates_the_same_for_ten_viewers_and_a_hundred() {
    let [ten, hundred] = [10, 100].map(|viewers| {
        let mut room = Room::new(viewers, Profile::AeadAes128Gcm);
        let batches: Vec<_> = (0..120).map(|_| room.film()).collect();
        let pushed = measure(|| batches.iter().for_each(|batch| room.group.push(batch, false)));
        pushed.count_total
    });
    assert_eq!(ten, hundred);
    // No packet of a batch has an allocation of its own.
    assert!(ten <= 120 * (FRAME_PACKETS - 1), "{ten} for 120 batches");
}

#[test]
fn sending_again_allocates_nothing() {
    let mut room = Room::new(1, Profile::AeadAes128Gcm);
    let sent = WARM_UP_FRAMES * FRAME_PACKETS;
    // The seed is zero, and so is the first number.
    let again: Vec<u16> = (sent - 10..sent).map(|seq_no| seq_no as u16).collect();
    let mut resent = 0;
    let mut order = Some(EgressOrder::Resend(again));
    let now = room.now();
    let counted = measure(|| {
        let order = order.take().unwrap();
        room.group.obey(0, order, now, &mut room.buffer);
        resent = room.buffer.len();
    });
    assert_eq!((resent, counted.count_total), (10, 0));
}
