//! `onair publish`: a WHIP client that sends a media file in real time.

mod clip;
mod sender;
pub(crate) mod whip;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use onair_media::Codec;
use str0m::RtcError;
use tokio::net::{UdpSocket, lookup_host};
use tracing::{info, warn};
use url::Url;

use self::clip::{Clip, ClipError};
use self::sender::Sender;
use self::whip::{Endpoint, WhipError};
use crate::config::Secret;

/// How long the server may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the last packets may take to leave, and lost ones to be asked for.
const LAST_PACKETS: Duration = Duration::from_millis(300);

/// What to publish, and where.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// An MP4 file.
    pub(crate) file: PathBuf,
    /// The WHIP endpoint.
    pub(crate) to: Url,
    /// Whether to begin again at the end.
    pub(crate) looped: bool,
    /// The token that the endpoint asks for.
    pub(crate) token: Option<Secret>,
}

/// Says why publishing ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The file.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// The server's answer.
    #[error(transparent)]
    Whip(#[from] WhipError),
    /// The sockets of this machine.
    #[error("no network: {0}")]
    Io(#[from] io::Error),
    /// WebRTC.
    #[error("WebRTC failed: {0}")]
    Rtc(#[from] RtcError),
    /// The answer is not one that fits the offer.
    #[error("the server's SDP answer cannot be used: {0}")]
    Answer(String),
    /// ICE or DTLS did not get through.
    #[error("no connection to the server's media port within {} s: is UDP let through?", CONNECT_TIMEOUT.as_secs())]
    NotConnected,
    /// The connection is gone.
    #[error("the server ended the session")]
    Ended,
    /// The server speaks none of the file's codecs.
    #[error("the server does not accept {0:?}")]
    Codec(Codec),
}

/// Publishes a file until its end, or until something goes wrong.
pub(crate) async fn run(order: Order) -> Result<(), PublishError> {
    let mut clip = Clip::open(&order.file)?;
    for skipped in clip.skipped() {
        warn!(file = %order.file.display(), skipped, "track left out");
    }
    let socket = UdpSocket::bind(SocketAddr::new(local_address(&order.to).await?, 0)).await?;
    let mut sender = Sender::new(socket, clip.codecs())?;
    let endpoint = Endpoint::new(order.to.clone(), order.token.clone());
    let granted = endpoint.post(sender.offer()?).await?;
    let outcome = match sender.answer(&granted.answer) {
        Ok(()) => send(&mut sender, &mut clip, order.looped).await,
        Err(error) => Err(error),
    };
    if let Some(session) = granted.session {
        endpoint.delete(session).await;
    }
    outcome
}

async fn send(sender: &mut Sender, clip: &mut Clip, looped: bool) -> Result<(), PublishError> {
    sender.connect(Instant::now() + CONNECT_TIMEOUT).await?;
    info!("connected, sending");
    let started = Instant::now();
    let duration_us = clip.duration_us()?;
    let mut round_us = 0;
    loop {
        while let Some(sample) = clip.next()? {
            let due = started + Duration::from_micros((round_us + sample.decode_us).max(0) as u64);
            sender.wait_until(due).await?;
            sender.send(&sample, round_us as u64).await?;
        }
        if !looped {
            break;
        }
        round_us += duration_us;
        clip.rewind();
    }
    sender.wait_until(Instant::now() + LAST_PACKETS).await
}

/// Finds the address from which this machine reaches the server; connecting a UDP socket sends nothing.
pub(crate) async fn local_address(to: &Url) -> io::Result<IpAddr> {
    let host = to.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']).to_owned();
    let port = to.port_or_known_default().unwrap_or(80);
    let server = lookup_host((host, port)).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}
