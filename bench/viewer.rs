//! A WHEP viewer: a whole WebRTC session around str0m in RTP mode, with a socket of its own, that counts what it gets.
//!
//! It answers like a browser: STUN, DTLS, receiver reports, and NACKs for what is missing.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use socket2::{Domain, Socket, Type};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::detect_h264_keyframe;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

/// What the kernel may hold for a viewer: many keyframes, so that a late turn on a busy machine loses nothing.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The largest datagram that is taken whole.
const DATAGRAM_MAX_BYTES: usize = 2048;

/// Datagrams that are read before other viewers get their turn.
const RECEIVE_BATCH: usize = 64;

/// How much later than the promptest packet of its track a packet must come to count as late: three frames.
const LATE_S: f64 = 0.1;

/// What all viewers share.
pub(crate) struct Audience {
    http: Client,
    whep: String,
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

/// What one viewer has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Media packets, each counted once, retransmitted ones included.
    pub(crate) delivered: AtomicU64,
    /// Media packets by the sequence numbers: last minus first plus one, of both tracks.
    pub(crate) expected: AtomicU64,
    /// Media packets that came late, by their RTP timestamps: [`LATE_S`].
    pub(crate) late: AtomicU64,
    /// From before the POST until ICE and DTLS were through.
    pub(crate) connected: OnceLock<Duration>,
    /// From before the POST until the first packet of a keyframe.
    pub(crate) first_keyframe: OnceLock<Duration>,
    /// Why it ended before its time.
    pub(crate) failed: OnceLock<String>,
}

impl Audience {
    /// Prepares viewers of a WHEP endpoint. They share a certificate, to spare the machine a key generation each.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub(crate) fn new(whep: String) -> Result<Self, Box<dyn Error>> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate().ok_or("no DTLS certificate")?;
        Ok(Self { http: Client::new(), whep, crypto, certificate })
    }

    /// Starts a viewer, which runs until the runtime ends.
    pub(crate) fn join(self: &Arc<Self>) -> Arc<Seen> {
        let (audience, seen) = (Arc::clone(self), Arc::<Seen>::default());
        let watched = Arc::clone(&seen);
        tokio::spawn(async move {
            if let Err(error) = audience.watch(&watched).await {
                // Set once, by this task alone.
                let _first = watched.failed.set(error.to_string());
            }
        });
        seen
    }

    async fn watch(&self, seen: &Seen) -> Result<(), Box<dyn Error + Send + Sync>> {
        let socket = open_socket()?;
        let local = socket.local_addr()?;
        let Offered { mut rtc, tracks, offer, pending } = self.offer(local)?;
        let posted_at = Instant::now();
        let request = self.http.post(&self.whep).header(CONTENT_TYPE, "application/sdp").body(offer);
        let response = request.send().await?;
        let (status, body) = (response.status(), response.text().await?);
        if status != StatusCode::CREATED {
            return Err(format!("{status}: {body}").into());
        }
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&body)?)?;
        Ok(Viewer { rtc, socket, local, tracks, posted_at, next_timeout: posted_at, seen }.run().await?)
    }

    fn offer(&self, local: SocketAddr) -> Result<Offered, Box<dyn Error + Send + Sync>> {
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&self.crypto))
            .set_dtls_cert(self.certificate.clone())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let mut changes = rtc.sdp_api();
        let tracks = [MediaKind::Video, MediaKind::Audio].map(|kind| {
            let mid = changes.add_media(kind, Direction::RecvOnly, None, None, None);
            Track { mid, kind, range: None, promptest_s: f64::INFINITY }
        });
        let (offer, pending) = changes.apply().ok_or("nothing to offer")?;
        Ok(Offered { rtc, tracks, offer: offer.to_sdp_string(), pending })
    }
}

/// A session that waits for its answer.
struct Offered {
    rtc: Rtc,
    tracks: [Track; 2],
    offer: String,
    pending: SdpPendingOffer,
}

struct Track {
    mid: Mid,
    kind: MediaKind,
    /// The lowest and the highest extended sequence number.
    range: Option<(u64, u64)>,
    /// The least that our clock was ahead of the RTP timestamps, in seconds.
    promptest_s: f64,
}

struct Viewer<'a> {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    tracks: [Track; 2],
    posted_at: Instant,
    next_timeout: Instant,
    seen: &'a Seen,
}

impl Viewer<'_> {
    async fn run(mut self) -> Result<(), RtcError> {
        let mut buffer = [0; DATAGRAM_MAX_BYTES];
        self.drain(Instant::now())?;
        while self.rtc.is_alive() {
            match timeout_at(self.next_timeout.into(), self.socket.readable()).await {
                Ok(_) => self.receive(&mut buffer)?,
                Err(_) => {
                    let now = Instant::now();
                    self.rtc.handle_input(Input::Timeout(now))?;
                    self.drain(now)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<(), RtcError> {
        for _ in 0..RECEIVE_BATCH {
            // An error other than "no more" is one of an earlier send (ICMP): the socket itself goes on.
            let Ok((bytes, source)) = self.socket.try_recv_from(buffer) else { break };
            let now = Instant::now();
            let Ok(contents) = Receive::new(Protocol::Udp, source, self.local, &buffer[..bytes]) else { continue };
            self.rtc.handle_input(Input::Receive(now, contents))?;
            self.drain(now)?;
        }
        Ok(())
    }

    fn drain(&mut self, now: Instant) -> Result<(), RtcError> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.next_timeout = at.max(now);
                    break;
                }
                Output::Transmit(transmit) => {
                    // What the kernel does not take is lost like any datagram.
                    let _lost = self.socket.try_send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::Connected) => {
                    let _again = self.seen.connected.set(self.posted_at.elapsed());
                }
                Output::Event(Event::RtpPacket(packet)) => self.count(&packet),
                Output::Event(_) => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, packet: &RtpPacket) {
        let stream = self.rtc.direct_api().stream_rx(&packet.header.ssrc).map(|stream| stream.mid());
        let Some(track) = self.tracks.iter_mut().find(|track| Some(track.mid) == stream) else { return };
        let after = self.posted_at.elapsed();
        if track.kind == MediaKind::Video && detect_h264_keyframe(&packet.payload) {
            let _later_one = self.seen.first_keyframe.set(after);
        }
        let behind_s = after.as_secs_f64() - packet.time.as_seconds();
        track.promptest_s = track.promptest_s.min(behind_s);
        if behind_s > track.promptest_s + LATE_S {
            self.seen.late.fetch_add(1, Relaxed);
        }
        let seq_no = *packet.seq_no;
        let (first, last) = track.range.unwrap_or((seq_no, seq_no));
        track.range = Some((first.min(seq_no), last.max(seq_no)));
        self.seen.delivered.fetch_add(1, Relaxed);
        let expected = self.tracks.iter().filter_map(|track| track.range).map(|(first, last)| last - first + 1).sum();
        self.seen.expected.store(expected, Relaxed);
    }
}

fn open_socket() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // The kernel caps it silently; a smaller one works, it only drops earlier.
    let _capped = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    UdpSocket::from_std(socket.into())
}
