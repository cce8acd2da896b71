//! From a URL to frames: what an RTSP client is told and asked, up to the answer to PLAY.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use onair_media::{Codec, MediaKind, SourceId};
use retina::client::{
    Credentials, Demuxed, InitialSequenceNumberPolicy, InitialTimestampPolicy, PlayOptions, Session, SessionGroup,
    SessionIdPolicy, SessionOptions, SetupOptions, Stream, TcpTransportOptions, TeardownPolicy,
    Transport as RtpTransport, UdpTransportOptions, UnknownRtcpSsrcPolicy,
};
use retina::codec::{FrameFormat, ParameterSetInsertion, aac, h26x};
use url::Host;

use super::{Camera, Transport};
use crate::core::cidr::Cidr;
use crate::core::pulled::PulledTrack;
use crate::room::{AdmitError, Ousted, PublishPulled};
use crate::room_manager::{FindOrCreate, RoomHandle, RoomManager};

/// How long is waited until a camera has let go of our last session: some take no second one.
const STALE_PATIENCE: Duration = Duration::from_secs(5);

/// How many streams that are left out are named: a camera has a handful.
const SKIPPED_MAX: usize = 8;

const PROGRAM: &str = concat!("onair/", env!("CARGO_PKG_VERSION"));

/// What our packets are made of: parameter sets in front of each keyframe, ADTS in front of each AAC frame, so that whoever
/// comes late can begin.
const FORMAT: FrameFormat = FrameFormat {
    h26x_framing: h26x::Framing::FourByteLength,
    parameter_set_insertion: ParameterSetInsertion::EachKeyFrame,
    aac_framing: aac::Framing::Adts,
};

/// Says why a camera is not pulled, without anything secret.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The name of its host has no address.
    #[error("the host name leads to no address")]
    NoAddress,
    /// Its host has an address that the API may not pull from.
    #[error("the camera's address {0} is not within rtsp.allow")]
    NotAllowed(IpAddr),
    /// The API may not pull it over UDP: the camera itself would say which host the datagrams go to.
    #[error("a camera within rtsp.allow is pulled over TCP only")]
    OnlyTcp,
    /// It refuses us (RTSP 401 or 403).
    #[error("the camera wants a user and password, or refuses those that it was given")]
    Login,
    /// It does not know the path (RTSP 404).
    #[error("the camera has no such stream")]
    NoStream,
    /// It said something else, or nothing.
    #[error("{0}")]
    Camera(String),
    /// Nothing of what it offers can be carried.
    #[error("nothing that the camera offers can be carried: {0}")]
    NothingUsable(String),
    /// The room does not take it.
    #[error(transparent)]
    Room(#[from] AdmitError),
    /// There is no room to be had.
    #[error("the server shuts down or holds as many rooms as it may")]
    NoRoom,
}

/// A camera that plays, and the room that takes it.
pub(super) struct Connected {
    pub(super) demuxed: Demuxed,
    /// By the number of the stream.
    pub(super) tracks: Vec<(usize, PulledTrack)>,
    /// Names what is left out of what it offers.
    pub(super) skipped: Vec<String>,
    pub(super) room: RoomHandle,
    pub(super) source: SourceId,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").field("source", &self.source).finish_non_exhaustive()
    }
}

impl PullError {
    /// Tells what a client's error says of a camera.
    pub(super) fn of(error: &retina::Error, camera: &Camera) -> Self {
        match error.status_code() {
            Some(401 | 403) => Self::Login,
            Some(404) => Self::NoStream,
            _ => Self::Camera(camera.url.scrub(&error.to_string())),
        }
    }
}

/// Connects to a camera, and has the room take it.
pub(super) async fn connect(
    camera: Arc<Camera>,
    group: Arc<SessionGroup>,
    room: RoomHandle,
    ousted: actix::Recipient<Ousted>,
) -> Result<Connected, PullError> {
    let failed = |error: retina::Error| PullError::of(&error, &camera);
    // What is not gone by then may be so for a minute: the camera itself says whether it minds.
    drop(tokio::time::timeout(STALE_PATIENCE, group.await_stale_sessions(&group.stale_sessions())).await);
    let url = match &camera.allow {
        Some(allow) => resolved(&camera, allow).await?,
        None => camera.url.url().clone(),
    };
    let login = camera.url.login();
    let creds = login.map(|it| Credentials { username: it.username.clone(), password: it.password.clone() });
    let options = SessionOptions::default().creds(creds).session_group(group).user_agent(PROGRAM.into());
    // Some cameras name another session with each track, and mean the first one.
    let options = options.session_id(SessionIdPolicy::UseFirst).teardown(camera.teardown());
    let mut session = Session::describe(url, options).await.map_err(failed)?;
    let Choice { tracks, skipped } = choose(session.streams());
    let skipped: Vec<_> = skipped.iter().map(|name| camera.url.scrub(name)).collect();
    if tracks.is_empty() {
        return Err(PullError::NothingUsable(camera.url.scrub(&skipped.join(", "))));
    }
    for (stream, _) in &tracks {
        let setup = SetupOptions::default().transport(camera.transport.of_rtp()).frame_format(FORMAT);
        session.setup(*stream, setup).await.map_err(failed)?;
    }
    // What the answer to PLAY says of timestamps and numbers is wrong with many a camera, and not needed.
    let play = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Permissive)
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::ProcessPackets);
    let demuxed = session.play(play).await.and_then(Session::demuxed).map_err(failed)?;
    let kinds: Vec<MediaKind> = tracks.iter().map(|(_, track)| track.codec().kind()).collect();
    let publish = PublishPulled { kinds, ousted, lease: room.lease.clone() };
    let source = room.addr.send(publish).await.map_err(|_| PullError::NoRoom)??;
    Ok(Connected { demuxed, tracks, skipped, room, source })
}

/// Finds the room of a camera, or makes it.
pub(super) async fn room_of(camera: &Camera, rooms: &actix::Addr<RoomManager>) -> Result<RoomHandle, PullError> {
    rooms.send(FindOrCreate(camera.room.clone())).await.ok().flatten().ok_or(PullError::NoRoom)
}

/// Returns the URL with an address for its host that is within `allow`: what was looked at is what is connected to.
///
/// # Errors
/// [`PullError::NoAddress`]; [`PullError::NotAllowed`] when any of the host's addresses lies elsewhere;
/// [`PullError::OnlyTcp`].
pub(super) async fn resolved(camera: &Camera, allow: &[Cidr]) -> Result<url::Url, PullError> {
    if camera.transport == Transport::Udp {
        return Err(PullError::OnlyTcp);
    }
    let mut url = camera.url.url().clone();
    let addresses: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        // Host names of other schemes than those of the web stay as they were written.
        Some(Host::Domain(name)) => match name.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = tokio::net::lookup_host((name, 0)).await.map_err(|_| PullError::NoAddress)?;
                found.map(|address: SocketAddr| address.ip()).collect()
            }
        },
        None => Vec::new(),
    };
    let is_allowed = |address: &IpAddr| allow.iter().any(|network| network.contains(*address));
    if let Some(elsewhere) = addresses.iter().find(|address| !is_allowed(address)) {
        return Err(PullError::NotAllowed(*elsewhere));
    }
    let address = addresses.first().ok_or(PullError::NoAddress)?;
    url.set_ip_host(*address).map_err(|()| PullError::NoAddress)?;
    Ok(url)
}

/// What is taken of a camera's streams, and what is not.
#[derive(Debug, Default)]
struct Choice {
    tracks: Vec<(usize, PulledTrack)>,
    skipped: Vec<String>,
}

/// Picks the first video and the first audio that we carry; what else there is does not keep a camera from being watched.
fn choose(streams: &[Stream]) -> Choice {
    let mut choice = Choice::default();
    for (index, stream) in streams.iter().enumerate() {
        let is_new =
            |track: &PulledTrack| choice.tracks.iter().all(|(_, other)| other.codec().kind() != track.codec().kind());
        match track_of(stream).filter(is_new) {
            Some(track) => choice.tracks.push((index, track)),
            None if choice.skipped.len() < SKIPPED_MAX => {
                choice.skipped.push(format!("{}/{}", stream.media(), stream.encoding_name()));
            }
            None => {}
        }
    }
    choice
}

fn track_of(stream: &Stream) -> Option<PulledTrack> {
    let codec = match (stream.media(), stream.encoding_name()) {
        ("video", "h264") => Codec::H264,
        ("video", "h265") => Codec::H265,
        _ => return None,
    };
    PulledTrack::new(codec, stream.clock_rate_hz())
}

impl Camera {
    /// How the last session is let go of. The client says goodbye over a new connection where the old one is gone, to the
    /// address that the camera's own answer named as its base: with a camera of the API that would lead anywhere.
    const fn teardown(&self) -> TeardownPolicy {
        match self.allow {
            Some(_) => TeardownPolicy::Never,
            None => TeardownPolicy::Auto,
        }
    }
}

impl Transport {
    fn of_rtp(self) -> RtpTransport {
        match self {
            Self::Tcp => RtpTransport::Tcp(TcpTransportOptions::default()),
            Self::Udp => RtpTransport::Udp(UdpTransportOptions::default()),
        }
    }
}
