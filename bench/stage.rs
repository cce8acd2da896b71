//! What the benchmarks of the media plane work on: sessions, keys, viewers and packets, all made from numbers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use onair_actors::core::demux::Demux;
use onair_actors::core::egress::{Egress, EgressGroup, EgressOrder, EgressSettings, SendBuffer, TrackSettings};
use onair_actors::core::srtp::{MasterKey, Profile};
use onair_actors::core::wall_clock::WallClock;
use onair_media::{Codec, EncodingId, MediaKind, PacketBatch, RtpPacket, SourceId};

/// A full packet, as encoders for WebRTC make them.
pub(crate) const PAYLOAD_BYTES: usize = 1200;

/// An RTP header with one extension of three bytes, the send time: what a viewer's packets have once it knows its SSRCs.
pub(crate) const HEADER_BYTES: usize = 20;

/// The profile of all viewers here. AES-GCM with the longer key costs more, and the shorter one hides less.
pub(crate) const VIEWERS_PROFILE: Profile = Profile::AeadAes128Gcm;

/// Names the sessions of a demux.
pub(crate) const SESSIONS: u16 = 1000;

/// Time between packets, and packets between keyframes: the clip of `fanout`, 339 packets a second.
const PACKET_EVERY: Duration = Duration::from_nanos(2_949_853);
const KEYFRAME_EVERY: u64 = 339;

/// As many payloads as are alive at once when a second is kept: they come from memory, not from the nearest cache.
const PAYLOADS: usize = 512;

/// Returns the address of a session or viewer.
pub(crate) fn address(number: u16) -> SocketAddr {
    ([10, 0, (number >> 8) as u8, number as u8], 40_000 + number).into()
}

/// Creates a table in which every session has its address.
pub(crate) fn demux() -> Demux<u16> {
    let mut demux = Demux::new();
    for session in 0..SESSIONS {
        demux.register(ufrag(session), session);
        demux.confirm(address(session), &session);
    }
    demux
}

fn ufrag(session: u16) -> String {
    format!("{session:016x}")
}

/// Writes an ICE check for a session (RFC 8445 §7.1) with what browsers put into it. Its integrity is not right: routing
/// does not ask.
pub(crate) fn stun_check(session: u16) -> Vec<u8> {
    let username = format!("{}:theirs", ufrag(session));
    let attributes: [(u16, &[u8]); 5] = [
        (0x0006, username.as_bytes()),
        (0x0024, &[0x6e, 0, 0x1e, 0xff]),
        (0x8029, &[7; 8]),
        (0x0008, &[0; 20]),
        (0x8028, &[0; 4]),
    ];
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(&(value.len() as u16).to_be_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    [&[0, 1][..], &(body.len() as u16).to_be_bytes(), &[0x21, 0x12, 0xa4, 0x42], &[9; 12], &body].concat()
}

/// Returns the master key that is made from a number.
pub(crate) fn master_key(profile: Profile, number: u8) -> MasterKey {
    let (key, salt) = match profile {
        Profile::Aes128CmSha1_80 => (16, 14),
        Profile::AeadAes128Gcm => (16, 12),
        Profile::AeadAes256Gcm => (32, 12),
    };
    MasterKey::new(profile, &vec![number; key], &vec![number; salt]).expect("the lengths are the profile's")
}

/// Returns a packet with its header, not yet protected.
pub(crate) fn plain_packet() -> Vec<u8> {
    let header = [0x90, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x22, 1, 2, 3];
    let mut packet = header.to_vec();
    packet.resize(HEADER_BYTES + PAYLOAD_BYTES, 7);
    packet
}

/// A batch, and the moment at which it is served.
pub(crate) struct Filmed {
    now: Instant,
    batch: PacketBatch,
}

/// A room with a camera, whose viewers all know their SSRCs.
pub(crate) struct Room {
    group: EgressGroup<u16>,
    buffer: SendBuffer,
    payloads: Vec<Arc<[u8]>>,
    start: Instant,
    /// Packets filmed so far, and since the last keyframe.
    filmed: u64,
    since_keyframe: u64,
}

impl Room {
    /// Creates a room with a viewer at each address. The first batch begins with a keyframe.
    pub(crate) fn new(viewers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let start = Instant::now();
        let mut room = Self {
            group: EgressGroup::new(WallClock::new(start, SystemTime::UNIX_EPOCH)),
            buffer: SendBuffer::default(),
            payloads: (0..PAYLOADS).map(|number| vec![number as u8; PAYLOAD_BYTES].into()).collect(),
            start,
            filmed: 0,
            since_keyframe: KEYFRAME_EVERY,
        };
        for (key, destination) in (0..).zip(viewers) {
            room.obey(key, EgressOrder::Attach(egress(key, destination)));
            room.obey(key, EgressOrder::Known(MediaKind::Video));
        }
        room
    }

    /// Returns the next batch of so many packets.
    pub(crate) fn film(&mut self, packets: u64) -> Filmed {
        let is_keyframe = self.since_keyframe >= KEYFRAME_EVERY;
        self.since_keyframe = if is_keyframe { packets } else { self.since_keyframe + packets };
        let now = self.now();
        let packets = (0..packets).map(|at| self.packet(at, now, is_keyframe && at == 0)).collect::<Vec<_>>();
        self.filmed += packets.len() as u64;
        Filmed { now, batch: PacketBatch { source: SourceId(1), packets } }
    }

    fn packet(&self, at: u64, received_at: Instant, starts_keyframe: bool) -> RtpPacket {
        let seq_no = self.filmed + at;
        RtpPacket {
            encoding: EncodingId::default(),
            codec: Codec::H264,
            seq_no,
            timestamp: (self.filmed * 265) as u32,
            marker: false,
            starts_keyframe,
            payload: Arc::clone(&self.payloads[seq_no as usize % PAYLOADS]),
            received_at,
            sender_report: None,
        }
    }

    fn now(&self) -> Instant {
        self.start + PACKET_EVERY * self.filmed as u32
    }

    /// Takes a batch in and serves every viewer, as a worker does. `send` gets what is to be sent, and where.
    pub(crate) fn serve(&mut self, filmed: &Filmed, mut send: impl FnMut(SocketAddr, &SendBuffer)) {
        self.group.push(&filmed.batch, false);
        while let Some(to) = self.group.next(filmed.now, &mut self.buffer) {
            send(to, &self.buffer);
        }
    }

    /// Orders so many of the last packets again, in tens.
    pub(crate) fn losses(&self, key: u16, packets: u64) -> Vec<EgressOrder> {
        let newest = FIRST_SEQ_NO.wrapping_add(key).wrapping_add(self.filmed as u16);
        let seq_nos: Vec<u16> = (1..=packets as u16).rev().map(|back| newest.wrapping_sub(back)).collect();
        seq_nos.chunks(10).map(|ten| EgressOrder::Resend(ten.into())).collect()
    }

    /// Obeys an order and returns how many datagrams came of it.
    pub(crate) fn obey(&mut self, key: u16, order: EgressOrder) -> usize {
        let now = self.now();
        self.group.obey(key, order, now, &mut self.buffer).map_or(0, |_| self.buffer.len())
    }
}

/// The first sequence number of the first viewer; each one's is its own.
const FIRST_SEQ_NO: u16 = 100;

fn egress(key: u16, destination: SocketAddr) -> Box<Egress> {
    let [high, low] = FIRST_SEQ_NO.wrapping_add(key).to_be_bytes();
    let track = |kind, ssrc, rtx_ssrc, codecs| TrackSettings {
        kind,
        ssrc,
        rtx_ssrc,
        codecs,
        mid: "0".into(),
        mid_extension: Some(4),
        send_time_extension: Some(2),
        number_extension: Some(3),
        cname: "onair".into(),
    };
    Box::new(Egress::new(EgressSettings {
        profile: VIEWERS_PROFILE,
        key: master_key(VIEWERS_PROFILE, key as u8),
        destination,
        tracks: vec![
            track(MediaKind::Video, 1, Some(2), vec![(Codec::H264, 102, Some(103))]),
            track(MediaKind::Audio, 3, None, vec![(Codec::Opus, 111, None)]),
        ],
        seed: [0, 0, 0, 0, 0, 0, high, low, 0, 0, 0, 0],
    }))
}
