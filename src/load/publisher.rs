//! A WHIP publisher of the synthetic broadcast: one `Rtc` in RTP mode, which sends each packet as we cut it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reqwest::Client;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;
use url::Url;

use super::LoadError;
use super::args::Pacing;
use super::frames::{FRAMES_PER_S, Frames, sound};
use super::stamp::wallclock_us;
use crate::config::Secret;
use crate::publish::local_address;
use crate::publish::whip::Endpoint;

/// How long the server may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest datagram that is taken whole.
const DATAGRAM_MAX_BYTES: usize = 2048;

/// Packets written before one drain, as str0m's send queue takes several.
const WRITES_PER_DRAIN: usize = 32;

/// Sound packets a second: 20 ms each.
const SOUNDS_PER_S: u32 = 50;

/// What is kept for retransmission: about 3 s.
const RETRANSMISSION_PACKETS: usize = 1024;
const RETRANSMISSION_AGE: Duration = Duration::from_secs(3);

/// What to publish.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The bitrate of the video.
    pub(crate) bitrate_kbps: u32,
    /// The time between keyframes that nobody asked for.
    pub(crate) gop_ms: u32,
    /// How a frame's packets leave.
    pub(crate) pacing: Pacing,
    /// The token that the endpoints ask for.
    pub(crate) token: Option<Secret>,
}

/// What publishers count, all of them together.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Packets that were sent, retransmissions aside.
    pub(crate) packets: AtomicU64,
    /// How often a keyframe was asked for.
    pub(crate) keyframe_requests: AtomicU64,
}

impl Published {
    /// Returns the packets sent and the keyframes asked for.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.packets.load(Relaxed), self.keyframe_requests.load(Relaxed))
    }
}

/// A publisher whose session is up.
pub(crate) struct Publisher {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    video: Track,
    audio: Track,
    frames: Frames,
    pacing: Pacing,
    /// What is to be sent, and when.
    outgoing: VecDeque<Outgoing>,
    next_timeout: Instant,
    connected: bool,
    published: Arc<Published>,
    endpoint: Endpoint,
    session: Option<Url>,
}

/// A packet that waits for its time.
struct Outgoing {
    due: Instant,
    mid: Mid,
    write: RtpWrite,
}

/// One of the two streams.
struct Track {
    mid: Mid,
    pt: Pt,
    seq_no: u64,
}

impl Publisher {
    /// Opens a session and waits for ICE and DTLS.
    ///
    /// # Errors
    /// [`LoadError`] when the server refuses, does not speak H.264 and Opus, or cannot be reached over UDP.
    pub(crate) async fn connect(
        to: Url,
        plan: &Plan,
        http: Client,
        published: Arc<Published>,
    ) -> Result<Self, LoadError> {
        let socket = UdpSocket::bind(SocketAddr::new(local_address(&to).await?, 0)).await?;
        let local = socket.local_addr()?;
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(unusable)?);
        let (offer, pending, mids) = offer(&mut rtc)?;
        let endpoint = Endpoint::over(http, to, plan.token.clone());
        let granted = endpoint.post(offer).await?;
        let answer = SdpAnswer::from_sdp_string(&granted.answer).map_err(unusable)?;
        rtc.sdp_api().accept_answer(pending, answer).map_err(unusable)?;
        let now = Instant::now();
        let [video, audio] = mids;
        let mut publisher = Self {
            video: Track { mid: video, pt: accepted(&rtc, video, Codec::H264)?, seq_no: 0 },
            audio: Track { mid: audio, pt: accepted(&rtc, audio, Codec::Opus)?, seq_no: 0 },
            rtc,
            socket,
            local,
            frames: Frames::new(plan.bitrate_kbps, plan.gop_ms),
            pacing: plan.pacing,
            outgoing: VecDeque::new(),
            next_timeout: now,
            connected: false,
            published,
            endpoint,
            session: granted.session,
        };
        if let Some(stream) = publisher.rtc.direct_api().stream_tx_by_mid(video, None) {
            stream.set_rtx_cache(RETRANSMISSION_PACKETS, RETRANSMISSION_AGE, Some(0.5));
        }
        publisher.wait_until_connected(now + CONNECT_TIMEOUT).await?;
        Ok(publisher)
    }

    async fn wait_until_connected(&mut self, deadline: Instant) -> Result<(), LoadError> {
        while !self.connected {
            if Instant::now() >= deadline {
                return Err(LoadError::NotConnected);
            }
            self.wait_until(deadline.min(Instant::now() + Duration::from_millis(20))).await?;
        }
        Ok(())
    }

    /// Sends pictures and sound until the server ends the session.
    ///
    /// # Errors
    /// Always: that is how it ends by itself.
    pub(crate) async fn run(&mut self) -> Result<(), LoadError> {
        let started = Instant::now();
        let (mut pictures, mut sounds) = (0_u32, 0_u32);
        let due = |number: u32, per_s: u32| started + Duration::from_secs(1) * number / per_s;
        loop {
            let (picture_at, sound_at) = (due(pictures, FRAMES_PER_S), due(sounds, SOUNDS_PER_S));
            let outgoing_at = self.outgoing.front().map_or(picture_at, |outgoing| outgoing.due);
            self.wait_until(picture_at.min(sound_at).min(outgoing_at)).await?;
            let now = Instant::now();
            if now >= picture_at {
                self.picture(picture_at, pictures);
                pictures += 1;
            }
            if now >= sound_at {
                self.sound(sound_at, sounds);
                sounds += 1;
            }
            self.send_due(now)?;
        }
    }

    /// Ends the session.
    pub(crate) async fn end(&mut self) {
        if let Some(session) = self.session.take() {
            self.endpoint.delete(session).await;
        }
    }

    fn picture(&mut self, due: Instant, number: u32) {
        let payloads = self.frames.next(wallclock_us());
        let timestamp = (u64::from(number) * 90_000 / u64::from(FRAMES_PER_S)) as u32;
        let apart = match self.pacing {
            Pacing::Burst => Duration::ZERO,
            Pacing::Spread => Duration::from_millis(750) / FRAMES_PER_S / payloads.len() as u32,
        };
        let (last, mut at) = (payloads.len() - 1, due);
        for (index, payload) in payloads.into_iter().enumerate() {
            let write = RtpWrite::new(self.video.pt, self.video.seq_no.into(), timestamp, due, payload);
            let write = write.marker(index == last).nackable(true);
            self.outgoing.push_back(Outgoing { due: at, mid: self.video.mid, write });
            self.video.seq_no += 1;
            at += apart;
        }
    }

    /// Sound goes ahead of what waits for its turn: it is a stream of its own.
    fn sound(&mut self, due: Instant, number: u32) {
        let timestamp = (u64::from(number) * 48_000 / u64::from(SOUNDS_PER_S)) as u32;
        let write = RtpWrite::new(self.audio.pt, self.audio.seq_no.into(), timestamp, due, sound(number));
        self.audio.seq_no += 1;
        self.outgoing.push_front(Outgoing { due, mid: self.audio.mid, write: write.marker(number == 0) });
    }

    fn send_due(&mut self, now: Instant) -> Result<(), LoadError> {
        while self.outgoing.front().is_some_and(|outgoing| outgoing.due <= now) {
            for _ in 0..WRITES_PER_DRAIN {
                let Some(outgoing) = self.outgoing.pop_front_if(|outgoing| outgoing.due <= now) else { break };
                if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(outgoing.mid, None) {
                    stream.write_rtp(outgoing.write);
                    self.published.packets.fetch_add(1, Relaxed);
                }
            }
            self.drive(now)?;
        }
        Ok(())
    }

    /// Serves the connection until `due`.
    async fn wait_until(&mut self, due: Instant) -> Result<(), LoadError> {
        let mut buffer = [0; DATAGRAM_MAX_BYTES];
        loop {
            let now = Instant::now();
            if now >= self.next_timeout {
                self.drive(now)?;
            }
            if now >= due {
                return Ok(());
            }
            let until = self.next_timeout.min(due);
            // An error of the socket is one of an earlier send (ICMP): ICE decides when that is the end.
            if let Ok(Ok((bytes, source))) = timeout_at(until.into(), self.socket.recv_from(&mut buffer)).await {
                self.receive(source, &buffer[..bytes])?;
            }
        }
    }

    fn receive(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<(), LoadError> {
        let now = Instant::now();
        if let Ok(contents) = Receive::new(Protocol::Udp, source, self.local, datagram) {
            self.rtc.handle_input(Input::Receive(now, contents))?;
        }
        self.drain(now)
    }

    fn drive(&mut self, now: Instant) -> Result<(), LoadError> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(now)
    }

    fn drain(&mut self, now: Instant) -> Result<(), LoadError> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.next_timeout = at.max(now + Duration::from_micros(100));
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // What the kernel does not take is lost like any datagram, and asked for again.
                    let _lost = self.socket.try_send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::KeyframeRequest(_)) => {
                    self.published.keyframe_requests.fetch_add(1, Relaxed);
                    self.frames.want_keyframe();
                }
                Output::Event(_) => {}
            }
        }
        Err(LoadError::Ended)
    }
}

fn offer(rtc: &mut Rtc) -> Result<(String, SdpPendingOffer, [Mid; 2]), LoadError> {
    let mut changes = rtc.sdp_api();
    let mids = [MediaKind::Video, MediaKind::Audio]
        .map(|kind| changes.add_media(kind, Direction::SendOnly, Some("onair".into()), None, None));
    let (offer, pending) = changes.apply().ok_or_else(|| unusable("nothing to offer"))?;
    Ok((offer.to_sdp_string(), pending, mids))
}

/// Finds the payload type of a codec in the answer; of H.264 that of packetization mode 1.
fn accepted(rtc: &Rtc, mid: Mid, codec: Codec) -> Result<Pt, LoadError> {
    let remote = rtc.media(mid).map(|media| media.remote_pts()).unwrap_or_default();
    let params = rtc.codec_config().params().iter().filter(|params| params.spec().codec == codec);
    params
        .filter(|params| remote.contains(&params.pt()))
        .min_by_key(|params| params.spec().format.packetization_mode != Some(1))
        .map(|params| params.pt())
        .ok_or(LoadError::Codec(codec))
}

fn unusable(error: impl ToString) -> LoadError {
    LoadError::Answer(error.to_string())
}
