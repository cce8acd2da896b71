//! The media side of the WHIP client: one `Rtc` in frame mode, whose packetizers are str0m's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair_media::{Codec, MediaKind};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec as Str0mCodec;
use str0m::media::{Direction, Frequency, MediaKind as Str0mKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::PublishError;
use super::clip::Sample;

/// The largest datagram that is taken whole.
const DATAGRAM_MAX_BYTES: usize = 2048;

/// Sends frames to a WHIP server.
pub(crate) struct Sender {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    tracks: Vec<Track>,
    pending: Option<SdpPendingOffer>,
    started: Instant,
    next_timeout: Instant,
    connected: bool,
}

struct Track {
    codec: Codec,
    mid: Option<Mid>,
    pt: Option<Pt>,
}

impl Sender {
    /// Prepares to send one track of each codec.
    pub(crate) fn new(socket: UdpSocket, codecs: impl Iterator<Item = Codec>) -> Result<Self, PublishError> {
        let local = socket.local_addr()?;
        let tracks: Vec<_> = codecs.map(|codec| Track { codec, mid: None, pt: None }).collect();
        let has = |codec| tracks.iter().any(|track| track.codec == codec);
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .clear_codecs()
            .enable_h264(has(Codec::H264))
            .enable_vp9(has(Codec::Vp9))
            .enable_av1(has(Codec::Av1))
            .enable_opus(has(Codec::Opus), false);
        config.codec_config().enable_h265(has(Codec::H265));
        let mut rtc = config.build(Instant::now());
        let candidate = Candidate::host(local, "udp").map_err(|error| PublishError::Answer(error.to_string()))?;
        rtc.add_local_candidate(candidate);
        let now = Instant::now();
        Ok(Self { rtc, socket, local, tracks, pending: None, started: now, next_timeout: now, connected: false })
    }

    /// Makes the offer.
    pub(crate) fn offer(&mut self) -> Result<String, PublishError> {
        let mut changes = self.rtc.sdp_api();
        for track in &mut self.tracks {
            let kind = match track.codec.kind() {
                MediaKind::Audio => Str0mKind::Audio,
                MediaKind::Video => Str0mKind::Video,
            };
            let stream = Some("onair".into());
            track.mid = Some(changes.add_media(kind, Direction::SendOnly, stream, None, None));
        }
        let (offer, pending) = changes.apply().ok_or_else(|| PublishError::Answer("nothing to offer".into()))?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Takes the server's answer.
    pub(crate) fn answer(&mut self, answer: &str) -> Result<(), PublishError> {
        let unusable = |error: String| PublishError::Answer(error);
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| unusable(error.to_string()))?;
        let pending = self.pending.take().ok_or_else(|| unusable("no offer is open".into()))?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(|error| unusable(error.to_string()))?;
        for track in &mut self.tracks {
            let accepted = track.mid.and_then(|mid| self.rtc.writer(mid)).and_then(|writer| {
                let mut params: Vec<_> =
                    writer.payload_params().filter(|params| params.spec().codec == str0m_codec(track.codec)).collect();
                params.sort_by_key(|params| params.spec().format.packetization_mode != Some(1));
                params.first().map(|params| params.pt())
            });
            track.pt = Some(accepted.ok_or(PublishError::Codec(track.codec))?);
        }
        Ok(())
    }

    /// Waits for ICE and DTLS.
    pub(crate) async fn connect(&mut self, deadline: Instant) -> Result<(), PublishError> {
        while !self.connected {
            if Instant::now() >= deadline {
                return Err(PublishError::NotConnected);
            }
            let until = deadline.min(Instant::now() + Duration::from_millis(50));
            self.wait_until(until).await?;
        }
        self.started = Instant::now();
        Ok(())
    }

    /// Sends a frame. `later_us` is added to its presentation time.
    pub(crate) async fn send(&mut self, sample: &Sample, later_us: u64) -> Result<(), PublishError> {
        let Some(track) = self.tracks.iter().find(|track| track.codec == sample.codec) else { return Ok(()) };
        let rate = u64::from(sample.codec.clock_rate_hz());
        let ticks = sample.pts_ticks + (u128::from(later_us) * u128::from(rate) / 1_000_000) as u64;
        let frequency = match sample.codec.kind() {
            MediaKind::Audio => Frequency::FORTY_EIGHT_KHZ,
            MediaKind::Video => Frequency::NINETY_KHZ,
        };
        // The moment at which this is to be shown, so that the sender reports of both tracks agree.
        let wallclock = self.started + Duration::from_secs_f64(ticks as f64 / rate as f64);
        if let (Some(writer), Some(pt)) = (track.mid.and_then(|mid| self.rtc.writer(mid)), track.pt) {
            writer.write(pt, wallclock, MediaTime::new(ticks, frequency), sample.data.as_slice())?;
        }
        self.drive(Instant::now()).await
    }

    /// Serves the connection until `due`.
    pub(crate) async fn wait_until(&mut self, due: Instant) -> Result<(), PublishError> {
        let mut buffer = [0; DATAGRAM_MAX_BYTES];
        self.drive(Instant::now()).await?;
        while Instant::now() < due {
            let until = self.next_timeout.min(due);
            match timeout_at(until.into(), self.socket.recv_from(&mut buffer)).await {
                Ok(Ok((bytes, source))) => self.receive(source, &buffer[..bytes]).await?,
                // The server's port may be closed for a moment: ICE decides when that is the end.
                Ok(Err(_)) => {}
                Err(_) => self.drive(Instant::now()).await?,
            }
        }
        Ok(())
    }

    async fn receive(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<(), PublishError> {
        let now = Instant::now();
        if let Ok(contents) = Receive::new(Protocol::Udp, source, self.local, datagram) {
            self.rtc.handle_input(Input::Receive(now, contents))?;
        }
        self.drain(now).await
    }

    async fn drive(&mut self, now: Instant) -> Result<(), PublishError> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(now).await
    }

    async fn drain(&mut self, now: Instant) -> Result<(), PublishError> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.next_timeout = at.max(now + Duration::from_micros(100));
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // What the kernel does not take is lost like any datagram, and asked for again.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(_) => {}
            }
        }
        Err(PublishError::Ended)
    }
}

fn str0m_codec(codec: Codec) -> Str0mCodec {
    match codec {
        Codec::H264 => Str0mCodec::H264,
        Codec::H265 => Str0mCodec::H265,
        Codec::Vp8 => Str0mCodec::Vp8,
        Codec::Vp9 => Str0mCodec::Vp9,
        Codec::Av1 => Str0mCodec::Av1,
        Codec::Opus => Str0mCodec::Opus,
    }
}
