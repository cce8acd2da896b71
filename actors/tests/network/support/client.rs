//! The far side: a plain `str0m::Rtc` as a browser or OBS would be, on virtual time.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use onair_actors::core::offer::Role;
use onair_media::{Codec, EncodingId, MediaKind, RtpPacket, starts_keyframe};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::CryptoProvider;
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind as Str0mKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RawPacket;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::pair::SERVER;

/// What the client noticed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// ICE and DTLS were through.
    pub(crate) connected: bool,
    /// Every packet of a viewer, in order of arrival; repaired ones among them.
    pub(crate) packets: Vec<RtpPacket>,
    /// Keyframe requests to a publisher that were not yet answered.
    pub(crate) keyframe_requests: u64,
    /// RTX packets (RFC 4588) that were sent.
    pub(crate) retransmissions_sent: u64,
    /// RTX packets that were received.
    pub(crate) retransmissions_received: u64,
}

/// Holds one `Rtc` and what it has yet to send.
pub(crate) struct Client {
    rtc: Rtc,
    address: SocketAddr,
    mids: Vec<(MediaKind, Mid)>,
    next_timeout: Instant,
    pub(crate) outbox: Vec<Vec<u8>>,
    pub(crate) seen: Seen,
}

impl Client {
    /// Prepares a client: a publisher works with frames, a viewer with packets.
    pub(crate) fn new(role: Role, address: SocketAddr, now: Instant) -> Self {
        static CRYPTO: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(str0m::crypto::from_feature_flags()));
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&CRYPTO))
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .set_rtp_mode(role == Role::Viewer)
            .enable_raw_packets(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        Self { rtc, address, mids: Vec::new(), next_timeout: now, outbox: Vec::new(), seen: Seen::default() }
    }

    /// Makes the offer of a role.
    pub(crate) fn offer(&mut self, role: Role) -> (String, SdpPendingOffer) {
        let direction = match role {
            Role::Publisher => Direction::SendOnly,
            Role::Viewer => Direction::RecvOnly,
        };
        let mut changes = self.rtc.sdp_api();
        for (kind, of_str0m) in [(MediaKind::Audio, Str0mKind::Audio), (MediaKind::Video, Str0mKind::Video)] {
            self.mids.push((kind, changes.add_media(of_str0m, direction, None, None, None)));
        }
        let (offer, pending) = changes.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }

    /// Makes the offer of an ICE restart.
    pub(crate) fn restart_offer(&mut self) -> (String, SdpPendingOffer) {
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        let (offer, pending) = changes.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }

    /// Takes the server's answer.
    pub(crate) fn answer(&mut self, pending: SdpPendingOffer, answer: &str, now: Instant) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.timeout(now);
    }

    /// Sends a frame at its presentation time.
    pub(crate) fn write(&mut self, codec: Codec, now: Instant, ticks: u64, frame: &Arc<[u8]>) {
        let pt = self.payload_type(codec);
        let frequency = match codec.kind() {
            MediaKind::Audio => Frequency::FORTY_EIGHT_KHZ,
            MediaKind::Video => Frequency::NINETY_KHZ,
        };
        let writer = self.rtc.writer(self.mid(codec.kind())).unwrap();
        writer.write(pt, now, MediaTime::new(ticks, frequency), Arc::clone(frame)).unwrap();
        self.timeout(now);
    }

    /// Asks the server for a keyframe.
    pub(crate) fn request_keyframe(&mut self, now: Instant) {
        let video = self.mid(MediaKind::Video);
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(video, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.timeout(now);
    }

    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let contents = Receive::new(Protocol::Udp, SERVER, self.address, datagram).unwrap();
        self.rtc.handle_input(Input::Receive(now, contents)).unwrap();
        self.drain();
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain();
    }

    pub(crate) const fn next_timeout(&self) -> Instant {
        self.next_timeout
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    fn mid(&self, kind: MediaKind) -> Mid {
        self.mids.iter().find(|(of, _)| *of == kind).unwrap().1
    }

    /// Of several H.264 payload types the one that allows fragments (RFC 6184 §6.3).
    fn payload_type(&mut self, codec: Codec) -> Pt {
        let of_str0m = match codec {
            Codec::H264 => Str0mCodec::H264,
            Codec::Opus => Str0mCodec::Opus,
            other => panic!("{other:?} is not sent here"),
        };
        let writer = self.rtc.writer(self.mid(codec.kind())).unwrap();
        let params = writer.payload_params().filter(|params| params.spec().codec == of_str0m);
        params.max_by_key(|params| params.spec().format.packetization_mode).unwrap().pt()
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.next_timeout = at;
                    return;
                }
                Output::Transmit(transmit) => self.outbox.push(transmit.contents.to_vec()),
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.seen.connected = true,
            Event::KeyframeRequest(_) => self.seen.keyframe_requests += 1,
            Event::RtpPacket(packet) => self.keep(packet),
            Event::RawPacket(packet) => match *packet {
                RawPacket::RtpTx(header, _) => {
                    self.seen.retransmissions_sent += u64::from(self.is_rtx(header.payload_type));
                }
                RawPacket::RtpRx(header, _) => {
                    self.seen.retransmissions_received += u64::from(self.is_rtx(header.payload_type));
                }
                RawPacket::RtcpTx(_) | RawPacket::RtcpRx(_) => {}
            },
            _ => {}
        }
    }

    fn is_rtx(&self, pt: Pt) -> bool {
        self.rtc.codec_config().params().iter().any(|params| params.resend() == Some(pt))
    }

    /// Keeps a packet in the words of the house, so that it can be packaged like a publisher's.
    fn keep(&mut self, packet: str0m::rtp::RtpPacket) {
        let params = self.rtc.codec_config().params().iter();
        let is_audio = params
            .filter(|params| params.pt() == packet.header.payload_type)
            .any(|params| params.spec().codec.is_audio());
        let codec = if is_audio { Codec::Opus } else { Codec::H264 };
        self.seen.packets.push(RtpPacket {
            encoding: EncodingId::default(),
            codec,
            seq_no: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            starts_keyframe: starts_keyframe(codec, &packet.payload),
            payload: packet.payload,
            received_at: packet.timestamp,
            sender_report: None,
        });
    }
}
