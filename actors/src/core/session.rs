//! One WHIP or WHEP session around one `str0m::Rtc`, in RTP mode, ICE-lite.
//!
//! > Every mutation of the `Rtc` is followed by a full drain of `poll_output` before the next one. Only this file
//! > touches an `Rtc`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use onair_media::{Codec, EncodingId, EncodingSet, MediaKind, RtpPacket, SenderReport};
use serde::Serialize;
use str0m::ice::StunMessage;
use str0m::media::{KeyframeRequestKind, Mid, Pt, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RawPacket, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Output as RtcOutput, Rtc, RtcError};

mod arrivals;
mod identity;
mod ingest;
pub mod key_tap;
mod viewing;

pub use identity::{Identity, IdentityError};

use self::identity::{config, known_codec};
use self::ingest::{Arrived, Ingest, Noted};
use self::key_tap::capture;
use self::viewing::Viewing;
use super::egress::EgressOrder;
use super::offer::{IceFragment, Offer, OfferError, Role};

/// How long a peer may go without a connectivity check before its consent is lost (RFC 7675 §5.1).
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a session asks its surroundings to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit(SocketAddr, Vec<u8>),
    /// A packet of the publisher.
    Packet(RtpPacket),
    /// For the media plane of a viewer.
    Egress(EgressOrder),
    /// ICE and DTLS are through.
    Connected,
    /// A datagram with valid message integrity came from this address: it belongs to this session.
    AddressConfirmed(SocketAddr),
    /// The session is over and of no more use.
    Ended(EndReason),
}

/// Says why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// DELETE on the session URL.
    Deleted,
    /// The peer closed DTLS.
    ClosedByPeer,
    /// No connectivity check came for thirty seconds (RFC 7675), or none at all.
    ConsentLost,
    /// str0m gave up.
    Failed,
    /// Another publisher took the room.
    TakenOver,
    /// The room ended, or never went live in the time that the viewer wanted to wait.
    RoomEnded,
    /// The server shuts down.
    ShuttingDown,
}

/// Holds one peer's session. Input goes in with `now`; [`poll`](Self::poll) until `None` afterwards.
#[derive(Debug)]
pub struct Session {
    rtc: Rtc,
    identity: Arc<Identity>,
    offer: Offer,
    mids: Mids,
    /// The codec of each RTP payload type, as negotiated.
    codecs: Vec<(Pt, Codec)>,
    /// The names of the publisher's encodings, by their numbers; empty where there is one.
    rids: Vec<Rid>,
    /// What a viewer's media plane needs of the session; `None` for a publisher.
    viewing: Option<Viewing>,
    /// What came of a publisher.
    ingest: Ingest,
    outputs: VecDeque<Output>,
    next_timeout: Instant,
    consent_at: Instant,
    /// Whether DTLS is through; ICE may come and go after that.
    is_secured: bool,
    /// Why we are closing, once we are.
    closing: Option<EndReason>,
    ended: bool,
    state: SessionState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mids {
    audio: Option<Mid>,
    video: Option<Mid>,
}

/// Shows a session to people.
#[derive(Debug, Clone, Serialize)]
pub struct SessionState {
    /// Publisher or viewer.
    pub role: Role,
    /// Whether ICE and DTLS are through.
    pub connected: bool,
    /// Datagrams that str0m refused.
    pub refused_datagrams: u64,
    /// Media packets received from a publisher.
    pub packets: u64,
    /// Round-trip time in milliseconds, once one was measured.
    pub rtt_ms: Option<f64>,
    /// Fraction of packets lost, 0 to 1, where reported.
    pub loss: Option<f32>,
    /// The last error of str0m, when it gave up.
    pub error: Option<String>,
}

impl Session {
    /// Accepts an offer and returns the session with its SDP answer, which lists every candidate (no server trickle).
    ///
    /// `seed` makes the viewer's sequence numbers and timestamps unpredictable.
    ///
    /// # Errors
    /// [`OfferError`] when str0m cannot parse or meet the offer, or shares no codec with an m-line.
    pub fn accept(
        identity: Arc<Identity>,
        offer: Offer,
        seed: [u8; 12],
        now: Instant,
    ) -> Result<(Self, String), OfferError> {
        let (mut rtc, keys) = capture(|| config(&identity, offer.role).build(now));
        for address in &identity.candidates {
            if let Ok(candidate) = Candidate::host(*address, "udp") {
                rtc.add_local_candidate(candidate);
            }
        }
        let answer = accept_offer(&mut rtc, &offer)?;
        let role = offer.role;
        let mut session = Self {
            rtc,
            identity,
            offer,
            mids: Mids::default(),
            codecs: Vec::new(),
            rids: Vec::new(),
            viewing: (role == Role::Viewer).then(|| Viewing::new(keys, seed, now)),
            ingest: Ingest::default(),
            outputs: VecDeque::new(),
            next_timeout: now,
            consent_at: now,
            is_secured: false,
            closing: None,
            ended: false,
            state: SessionState {
                role,
                connected: false,
                refused_datagrams: 0,
                packets: 0,
                rtt_ms: None,
                loss: None,
                error: None,
            },
        };
        session.note_codecs()?;
        session.leave_media_to_egress();
        session.drain(now);
        Ok((session, answer))
    }

    /// Returns our side's ICE user fragment, by which STUN requests are routed.
    pub fn local_ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Returns our side's ICE credentials as a fragment: the answer to an ICE restart (RFC 9725 §4.4.2).
    fn local_fragment(&mut self) -> String {
        let creds = self.rtc.direct_api().local_ice_credentials();
        let mids: Vec<_> = self.offer.tracks().iter().map(|track| track.mid.as_str()).collect();
        let mut text = format!("a=ice-lite\r\na=group:BUNDLE {}\r\n", mids.join(" "));
        if let Some(track) = self.offer.tracks().first() {
            text.push_str(&format!("m={} 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{}\r\n", track.kind.as_str(), track.mid));
        }
        text.push_str(&format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", creds.ufrag, creds.pass));
        let candidates = self.identity.candidates.iter().filter_map(|address| Candidate::host(*address, "udp").ok());
        for candidate in candidates {
            text.push_str(&format!("a={}\r\n", candidate.to_sdp_string().trim_start_matches("a=")));
        }
        text.push_str("a=end-of-candidates\r\n");
        text
    }

    /// Tells whether this session can carry a codec.
    pub fn carries(&self, codec: Codec) -> bool {
        self.payload_type(codec).is_some()
    }

    /// Returns the names of the publisher's encodings, by their numbers; empty where there is one.
    pub fn encoding_names(&self) -> Vec<String> {
        self.rids.iter().map(ToString::to_string).collect()
    }

    /// Tells which kinds of tracks the session has.
    pub fn kinds(&self) -> Vec<MediaKind> {
        self.offer.tracks().iter().map(|track| track.kind).collect()
    }

    /// Takes a datagram from the socket.
    pub fn receive(&mut self, received_at: Instant, source: SocketAddr, datagram: &[u8]) {
        let Some(destination) = self.identity.destination_for(source) else { return };
        let Ok(contents) = Receive::new(Protocol::Udp, source, destination, datagram) else {
            self.state.refused_datagrams += 1;
            return;
        };
        let input = Input::Receive(received_at, contents);
        if !self.rtc.accepts(&input) {
            self.state.refused_datagrams += 1;
            return;
        }
        if let Some(check) = self.check(datagram) {
            self.consent_at = self.consent_at.max(received_at);
            self.outputs.push_back(Output::AddressConfirmed(source));
            self.note_path(source, check, received_at);
        }
        let handled = self.rtc.handle_input(input);
        self.settle(handled, received_at);
    }

    /// Reads a connectivity check by somebody who knows our password; anything else is `None`.
    ///
    /// str0m checks that as well, but accepts whatever comes from the peer's address without saying how it judged, and
    /// an address is easily forged.
    fn check(&mut self, datagram: &[u8]) -> Option<Check> {
        let message = StunMessage::parse(datagram).ok().filter(|_| is_stun(datagram))?;
        let ours = self.rtc.direct_api().local_ice_credentials();
        let is_to_us = message.split_username().is_some_and(|(local, _)| local == ours.ufrag);
        let sha1_hmac = |key: &[u8], parts: &[&[u8]]| self.identity.crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        let is_check = message.is_binding_request() && is_to_us && message.verify(ours.pass.as_bytes(), sha1_hmac);
        is_check.then(|| Check { is_nomination: message.use_candidate(), priority: message.prio().unwrap_or(0) })
    }

    /// Lets time pass; to be called at [`next_timeout`](Self::next_timeout) at the latest.
    pub fn timeout(&mut self, now: Instant) {
        if now.saturating_duration_since(self.consent_at) >= CONSENT_TIMEOUT {
            self.end(EndReason::ConsentLost);
            return;
        }
        self.drive(now);
    }

    /// Returns when [`timeout`](Self::timeout) is due.
    pub fn next_timeout(&self) -> Instant {
        self.next_timeout.min(self.consent_at + CONSENT_TIMEOUT)
    }

    /// Restarts ICE when the credentials are new.
    ///
    /// Returns the fragment of our side after a restart, `None` after mere trickle.
    ///
    /// # Errors
    /// [`OfferError`] when str0m refuses the restart; the session goes on as it was (RFC 9725 §4.4.2).
    pub fn patch(&mut self, fragment: IceFragment, now: Instant) -> Result<Option<String>, OfferError> {
        match fragment.creds {
            Some(creds) if !self.offer.has_credentials(&creds) => {
                let offer = self.offer.with_credentials(&creds);
                accept_offer(&mut self.rtc, &offer)?;
                self.leave_media_to_egress();
                self.offer = offer;
                self.consent_at = now;
                self.drive(now);
                Ok(Some(self.local_fragment()))
            }
            _ => Ok(None),
        }
    }

    /// Asks the publisher for a keyframe of some encodings (PLI, RFC 4585 §6.3.1).
    pub fn request_keyframe(&mut self, encodings: EncodingSet, now: Instant) {
        let Some(mid) = self.mids.video else { return };
        let named: Vec<_> = match self.rids.as_slice() {
            [] => vec![None],
            rids => encodings.iter().filter_map(|id| rids.get(usize::from(id.0))).map(|rid| Some(*rid)).collect(),
        };
        for rid in named {
            if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                self.drive(now);
            }
        }
    }

    /// Returns the encoding that an SSRC of the publisher's video belongs to; `None`: one that was not agreed upon.
    fn encoding_of(&mut self, ssrc: Ssrc) -> Option<EncodingId> {
        if self.rids.is_empty() {
            return Some(EncodingId::default());
        }
        let rid = self.rtc.direct_api().stream_rx(&ssrc)?.rid()?;
        let at = self.rids.iter().position(|it| *it == rid)?;
        u8::try_from(at).ok().map(EncodingId)
    }

    /// Says goodbye to the peer (RTCP BYE, DTLS close_notify) and ends.
    pub fn close(&mut self, reason: EndReason, now: Instant) {
        if self.ended {
            return;
        }
        self.closing = Some(reason);
        // An error here means that nothing was connected yet: there is nobody to say goodbye to.
        if self.rtc.close().is_ok() {
            self.drain(now);
        }
        self.end(reason);
    }

    /// Returns the next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.viewing.as_mut()?.take_feedback())
    }

    /// Shows the session to people.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    fn payload_type(&self, codec: Codec) -> Option<Pt> {
        self.codecs.iter().find(|(_, other)| *other == codec).map(|(pt, _)| *pt)
    }

    fn codec_of(&self, pt: Pt) -> Option<Codec> {
        self.codecs.iter().find(|(other, _)| *other == pt).map(|(_, codec)| *codec)
    }

    /// Notes what was negotiated; an m-line without a common codec makes the whole offer unacceptable (W6).
    fn note_codecs(&mut self) -> Result<(), OfferError> {
        for track in self.offer.tracks() {
            let mid = Mid::from(track.mid.as_str());
            let Some(media) = self.rtc.media(mid) else {
                return Err(OfferError::NotAcceptable(format!("the m-line {:?} was refused", track.mid)));
            };
            let before = self.codecs.len();
            let negotiated =
                self.rtc.codec_config().params().iter().filter(|params| media.remote_pts().contains(&params.pt()));
            let mut params: Vec<_> =
                negotiated.filter_map(|params| Some((known_codec(params.spec().codec)?, params))).collect();
            // Of several H.264 payload types the one that allows fragments comes first (RFC 6184 §6.3).
            params.sort_by_key(|(_, params)| params.spec().format.packetization_mode != Some(1));
            self.codecs.extend(params.iter().map(|(codec, params)| (params.pt(), *codec)));
            if self.codecs.len() == before {
                return Err(OfferError::NotAcceptable(format!("no common {} codec", track.kind.as_str())));
            }
            match track.kind {
                MediaKind::Audio => self.mids.audio = Some(mid),
                MediaKind::Video => self.mids.video = Some(mid),
            }
            self.rids.extend(track.encodings.iter().map(|rid| Rid::from(rid.as_str())));
        }
        Ok(())
    }

    fn drive(&mut self, now: Instant) {
        let handled = self.rtc.handle_input(Input::Timeout(now));
        self.settle(handled, now);
    }

    fn settle(&mut self, handled: Result<(), RtcError>, now: Instant) {
        match handled {
            Ok(()) => self.drain(now),
            Err(error) => self.fail(&error),
        }
    }

    /// The full drain that the invariant above asks for.
    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(RtcOutput::Timeout(at)) => {
                    self.next_timeout = at.max(now);
                    break;
                }
                Ok(RtcOutput::Transmit(transmit)) => {
                    if !is_stun(&transmit.contents) {
                        self.note_transmit(transmit.destination);
                    }
                    self.outputs.push_back(Output::Transmit(transmit.destination, transmit.contents.into()));
                }
                Ok(RtcOutput::Event(event)) => self.note(event, now),
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            }
            if !self.rtc.is_alive() {
                break;
            }
        }
        if !self.rtc.is_alive() {
            self.end(self.closing.unwrap_or(EndReason::ClosedByPeer));
        }
    }

    fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => {
                self.is_secured = true;
                self.state.connected = true;
                self.outputs.push_back(Output::Connected);
                self.attach_egress();
            }
            Event::RtpPacket(packet) => self.note_packet(packet),
            Event::RawPacket(packet) => {
                if let RawPacket::RtcpRx(rtcp) = *packet {
                    self.note_rtcp(&rtcp, now);
                }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.reachable(false),
            Event::IceConnectionStateChange(state) if state.is_connected() => self.reachable(self.is_secured),
            Event::PeerStats(stats) => self.state.rtt_ms = stats.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            Event::MediaIngressStats(stats) => self.state.loss = stats.loss,
            _ => {}
        }
    }

    fn note_packet(&mut self, packet: str0m::rtp::RtpPacket) {
        let Some(codec) = self.codec_of(packet.header.payload_type) else { return };
        if self.state.role == Role::Viewer {
            return;
        }
        let header = &packet.header;
        let is_video = codec.kind() == MediaKind::Video;
        let encoding = if is_video { self.encoding_of(header.ssrc) } else { Some(EncodingId::default()) };
        let Some(encoding) = encoding else { return };
        let (ssrc, seq_no, timestamp, payload) = (*header.ssrc, *packet.seq_no, header.timestamp, &packet.payload);
        let noted = self.ingest.note(&Arrived { codec, encoding, ssrc, seq_no, timestamp, payload });
        let Some(Noted { seq_no, starts_keyframe }) = noted else { return };
        self.state.packets += 1;
        let sender_report = packet.last_sender_info.map(|info| SenderReport {
            ntp: info.ntp_time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            rtp_timestamp: info.rtp_time.numer() as u32,
        });
        self.outputs.push_back(Output::Packet(RtpPacket {
            codec,
            encoding,
            seq_no,
            timestamp: header.timestamp,
            marker: header.marker,
            starts_keyframe,
            payload: packet.payload,
            received_at: packet.timestamp,
            sender_report,
        }));
    }

    fn fail(&mut self, error: &RtcError) {
        self.state.error = Some(error.to_string());
        self.end(EndReason::Failed);
    }

    fn end(&mut self, reason: EndReason) {
        if !self.ended {
            self.ended = true;
            self.state.connected = false;
            self.outputs.push_back(Output::Ended(reason));
        }
    }
}

/// A connectivity check that was found right.
#[derive(Debug, Clone, Copy)]
struct Check {
    /// Whether the other side wants to use this pair (RFC 8445 §8.1).
    is_nomination: bool,
    /// What its side of the pair is worth (RFC 8445 §5.1.2).
    priority: u32,
}

/// Tells STUN from DTLS and SRTP by the first byte (RFC 7983).
fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0..=3))
}

/// Negotiates. str0m asserts what it takes for granted of an offer, and an offer is anybody's text: what our own checks
/// might still let through must not take the room down.
fn accept_offer(rtc: &mut Rtc, offer: &Offer) -> Result<String, OfferError> {
    let offer = offer.to_str0m()?;
    let negotiated = catch_unwind(AssertUnwindSafe(|| rtc.sdp_api().accept_offer(offer)));
    let answer = negotiated.map_err(|_| OfferError::Malformed("it contradicts itself".into()))?;
    Ok(answer.map_err(refusal)?.to_sdp_string())
}

fn refusal(error: RtcError) -> OfferError {
    match error {
        RtcError::RemoteSdp(why) => OfferError::NotAcceptable(why),
        other => OfferError::Malformed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
