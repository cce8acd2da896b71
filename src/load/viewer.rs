//! One WHEP viewer: str0m does its SDP, ICE and DTLS; media, and the RTCP about it, pass by str0m.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_actors::core::session::key_tap::{KeySlot, capture, tapped};
use onair_actors::core::srtp::{Protector, Unprotector};
use onair_media::MediaKind as OurKind;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError};
use url::Url;

use super::LoadError;
use super::answer::Negotiated;
use super::media::{Arrival, Media, Opener, Seen};
use super::port::Port;

/// How long ICE and DTLS may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connected session is looked after this often at most: consent checks take seconds.
const IDLE_EVERY: Duration = Duration::from_millis(50);

/// How often str0m may ask to be called again at once.
const DRAINS_MAX: usize = 8;

/// What all viewers share.
pub(crate) struct Identity {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Identity {
    /// Makes one certificate, to spare the machine a key generation for each viewer.
    ///
    /// # Errors
    /// [`LoadError::Certificate`].
    pub(crate) fn new() -> Result<Self, LoadError> {
        let crypto = Arc::new(tapped(str0m::crypto::from_feature_flags()));
        let certificate = crypto.dtls_provider.generate_certificate().ok_or(LoadError::Certificate)?;
        Ok(Self { crypto, certificate })
    }
}

/// Where a viewer sits: its socket, and its address there.
#[derive(Clone)]
pub(crate) struct Seat {
    /// Its place in the audience.
    pub(crate) slot: usize,
    /// The socket that carries it.
    pub(crate) port: Rc<Port>,
    /// Its local address.
    pub(crate) local: SocketAddr,
}

/// A session that waits for its answer.
pub(crate) struct Offered {
    rtc: Rtc,
    keys: KeySlot,
    pending: SdpPendingOffer,
    /// The SDP offer.
    pub(crate) offer: String,
}

impl Offered {
    /// Prepares a session and its offer.
    ///
    /// # Errors
    /// [`LoadError`] when str0m refuses the local address.
    pub(crate) fn new(identity: &Identity, local: SocketAddr) -> Result<Self, LoadError> {
        let unusable = |error: String| LoadError::Answer(error);
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&identity.crypto))
            .set_dtls_cert(identity.certificate.clone())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_vp9(true)
            .enable_av1(true);
        config.codec_config().enable_h265(true);
        let (mut rtc, keys) = capture(|| config.build(Instant::now()));
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(|error| unusable(error.to_string()))?);
        let mut changes = rtc.sdp_api();
        for kind in [MediaKind::Video, MediaKind::Audio] {
            changes.add_media(kind, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = changes.apply().ok_or_else(|| unusable("nothing to offer".into()))?;
        Ok(Self { rtc, keys, pending, offer: offer.to_sdp_string() })
    }
}

/// A viewer that has its answer.
pub(crate) struct Viewer {
    /// What it gets.
    pub(crate) media: Media,
    rtc: Rtc,
    keys: KeySlot,
    seat: Seat,
    /// The server's address, once ICE has found it.
    server: Option<SocketAddr>,
    protector: Option<Protector>,
    /// Counts the RTCP packets sent.
    rtcp_index: u32,
    next_timeout: Instant,
    posted_at: Instant,
    connected_at: Option<Instant>,
    check: Option<([u8; 12], Instant)>,
    samples: bool,
    failed: Option<String>,
    /// Whether its failure was counted.
    is_told: bool,
    counted_from: Instant,
    /// The session's URL, for the end.
    pub(crate) session: Option<Url>,
}

/// What happened to a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// ICE and DTLS are through, so long after the POST.
    Connected(Duration),
    /// A connectivity check came back after so long.
    RoundTrip(Duration),
}

impl Viewer {
    /// Takes the server's answer.
    ///
    /// # Errors
    /// [`LoadError::Answer`] when it does not fit the offer.
    pub(crate) fn new(
        offered: Offered,
        answer: &str,
        seat: Seat,
        posted_at: Instant,
        samples: bool,
    ) -> Result<Self, LoadError> {
        let Offered { mut rtc, keys, pending, .. } = offered;
        let unusable = |error: String| LoadError::Answer(error);
        let negotiated = Negotiated::parse(answer);
        if !negotiated.has_media() {
            return Err(unusable("it has no codec in common with us".into()));
        }
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| unusable(error.to_string()))?;
        rtc.sdp_api().accept_answer(pending, answer).map_err(|error| unusable(error.to_string()))?;
        let now = Instant::now();
        let stagger = Duration::from_millis((seat.slot as u64 * 37) % 1000);
        // Any numbers will do: we have the session to ourselves.
        let sender = 0x6c00_0000 + 2 * seat.slot as u32;
        Ok(Self {
            media: Media::new(negotiated, sender, now, stagger),
            rtc,
            keys,
            seat,
            server: None,
            protector: None,
            rtcp_index: 0,
            next_timeout: now,
            posted_at,
            connected_at: None,
            check: None,
            samples,
            failed: None,
            is_told: false,
            counted_from: now,
            session: None,
        })
    }

    /// Adds the session's URL, where the server gave one.
    pub(crate) fn with_session(self, session: Option<Url>) -> Self {
        Self { session, ..self }
    }

    /// Returns why it is over, if it is.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Returns why it is over, once: whoever counts failures counts each one time.
    pub(crate) fn news_of_failure(&mut self) -> Option<&str> {
        let is_told = std::mem::replace(&mut self.is_told, self.failed.is_some());
        self.failed.as_deref().filter(|_| !is_told)
    }

    /// Begins to count anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.media.restart();
        self.counted_from = now;
    }

    /// Returns how many packets a second came since counting began.
    pub(crate) fn packets_per_s(&self, now: Instant) -> f64 {
        let (video, audio) = (self.media.counts(OurKind::Video).0, self.media.counts(OurKind::Audio).0);
        let since = now.saturating_duration_since(self.counted_from).as_secs_f64();
        (video.delivered + audio.delivered) as f64 / since.max(0.001)
    }

    /// Tells whether ICE and DTLS are through.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected_at.is_some()
    }

    /// Returns where it sits.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Returns how long ago the offer was sent.
    pub(crate) fn since_post(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.posted_at)
    }

    /// Takes an RTP or RTCP datagram. The first byte and the second tell them apart (RFC 5761 §4).
    pub(crate) fn receive_media(&mut self, datagram: &[u8], arrival: Arrival, scratch: &mut Vec<u8>) -> Option<Seen> {
        if !matches!(datagram.get(1), Some(192..=223)) {
            return self.media.receive(datagram, arrival, scratch);
        }
        scratch.clear();
        if self.media.open_rtcp(datagram, scratch) {
            self.media.receive_rtcp(scratch, arrival.now);
        }
        None
    }

    /// Takes a datagram of ICE or DTLS.
    pub(crate) fn receive_other(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) -> Option<Turn> {
        let round_trip = self.round_trip(datagram, now);
        let contents = Receive::new(Protocol::Udp, source, self.seat.local, datagram).ok()?;
        // Whatever comes here is the server's, be it from another of its addresses: that of a socket bound to all of them.
        let handled = self.rtc.handle_input(Input::Receive(now, contents));
        self.drain(handled, now).or(round_trip)
    }

    /// Lets time pass: connectivity checks, DTLS retransmissions, and feedback.
    pub(crate) fn tick(&mut self, now: Instant, scratch: &mut Vec<u8>, numbers: &mut Vec<u16>) -> Option<Turn> {
        let mut turn = None;
        if now >= self.next_timeout && self.failed.is_none() {
            let handled = self.rtc.handle_input(Input::Timeout(now));
            turn = self.drain(handled, now);
        }
        if self.connected_at.is_none() && self.since_post(now) >= CONNECT_TIMEOUT {
            self.failed.get_or_insert_with(|| "no connection over UDP within 15 s".into());
        }
        for kind in [OurKind::Video, OurKind::Audio] {
            self.send_feedback(kind, now, scratch, numbers);
        }
        turn
    }

    fn send_feedback(&mut self, kind: OurKind, now: Instant, scratch: &mut Vec<u8>, numbers: &mut Vec<u16>) {
        let (Some(protector), Some(server)) = (&self.protector, self.server) else { return };
        scratch.clear();
        self.media.feedback(kind, now, scratch, numbers);
        if !scratch.is_empty() {
            protector.protect_rtcp(scratch, 0, self.rtcp_index);
            self.rtcp_index += 1;
            self.seat.port.send(self.seat.local.ip(), server, scratch);
        }
    }

    /// Every mutation of the `Rtc` is followed by this: it empties the outputs.
    fn drain(&mut self, handled: Result<(), RtcError>, now: Instant) -> Option<Turn> {
        let mut turn = None;
        let mut result = handled;
        for _ in 0..DRAINS_MAX {
            match result.and_then(|()| self.poll(now, &mut turn)) {
                Ok(at) if at <= now => result = self.rtc.handle_input(Input::Timeout(now)),
                Ok(at) => {
                    let earliest = if self.is_connected() { now + IDLE_EVERY } else { now };
                    self.next_timeout = at.max(earliest);
                    return turn;
                }
                Err(error) => {
                    self.failed.get_or_insert_with(|| error.to_string());
                    return turn;
                }
            }
        }
        self.next_timeout = now + Duration::from_millis(1);
        turn
    }

    /// Polls until str0m waits for something; returns until when.
    fn poll(&mut self, now: Instant, turn: &mut Option<Turn>) -> Result<Instant, RtcError> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                // RTP and RTCP are ours: two senders with one key would be one too many.
                Output::Transmit(transmit) if matches!(transmit.contents.first(), Some(128..=191)) => {}
                Output::Transmit(transmit) => {
                    self.note_check(&transmit.contents, now);
                    // DTLS goes where ICE has found the server, and so does our RTCP.
                    if matches!(transmit.contents.first(), Some(20..=63)) {
                        self.server = Some(transmit.destination);
                    }
                    self.seat.port.send(self.seat.local.ip(), transmit.destination, &transmit.contents);
                }
                Output::Event(Event::Connected) => *turn = self.connected(now).or(*turn),
                Output::Event(_) => {}
            }
        }
        self.failed.get_or_insert_with(|| "the server ended the session".into());
        Ok(now + Duration::from_secs(3600))
    }

    fn connected(&mut self, now: Instant) -> Option<Turn> {
        let Some(keys) = self.keys.take() else {
            self.failed.get_or_insert_with(|| "DTLS agreed on no SRTP keys".into());
            return None;
        };
        self.protector = Some(Protector::new(keys.profile, &keys.local));
        self.media.unlock(Opener { unprotector: Unprotector::new(keys.profile, &keys.remote), samples: self.samples });
        (self.connected_at, self.counted_from) = (Some(now), now);
        Some(Turn::Connected(now.saturating_duration_since(self.posted_at)))
    }

    /// Remembers a STUN binding request (RFC 8489 §5), whose answer tells the round-trip time.
    fn note_check(&mut self, datagram: &[u8], now: Instant) {
        if let Some(id) = transaction(datagram, [0x00, 0x01]) {
            self.check = Some((id, now));
        }
    }

    fn round_trip(&mut self, datagram: &[u8], now: Instant) -> Option<Turn> {
        let id = transaction(datagram, [0x01, 0x01])?;
        let (_, sent_at) = self.check.take_if(|(sent, _)| *sent == id)?;
        self.is_connected().then(|| Turn::RoundTrip(now.saturating_duration_since(sent_at)))
    }
}

fn transaction(datagram: &[u8], kind: [u8; 2]) -> Option<[u8; 12]> {
    let rest = datagram.strip_prefix(&kind)?;
    rest.get(6..)?.first_chunk().copied()
}

/// Tells media (SRTP and SRTCP) from ICE and DTLS by the first byte (RFC 7983).
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

/// The address of a datagram's sender or receiver, as IPv4 where it is one.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
