//! The one media port: takes datagrams in batches, finds their session, and counts what it could not place.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use actix::prelude::*;
use futures_util::stream;
use serde::Serialize;
use tracing::{info, warn};

use crate::core::demux::Demux;
use crate::observe::{Observe, observed};
use crate::session_id::SessionId;

/// The most datagrams that are taken from the socket before sessions get their turn.
const RECEIVE_BATCH: usize = 64;

/// How many messages of peers may wait here: one for each datagram of a few batches.
const MAILBOX_MESSAGES: usize = 256;

/// The largest datagram that is taken whole; WebRTC stays below 1,500 bytes.
const DATAGRAM_MAX_BYTES: usize = 2048;

/// What the kernel may hold for us: a keyframe to a thousand viewers is about this much.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The sending half of the media port, shared by all peers. Never blocks.
#[derive(Debug)]
pub struct MediaSocket {
    socket: UdpSocket,
    is_ipv6: bool,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    refused: AtomicU64,
}

impl MediaSocket {
    /// Binds the port.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub fn bind(address: SocketAddr) -> io::Result<Arc<Self>> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        // The kernel caps these silently; smaller buffers work, they only drop earlier.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.bind(&address.into())?;
        let (sent, sent_bytes, refused) = Default::default();
        Ok(Arc::new(Self { socket: socket.into(), is_ipv6: address.is_ipv6(), sent, sent_bytes, refused }))
    }

    /// Returns the bound address, with the real port where 0 was asked for.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Writes an IPv4 address as a socket of both versions wants it (RFC 4291 §2.5.5.2).
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.is_ipv6 => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            other => other,
        }
    }

    /// Sends one datagram, or counts that the kernel would not take it: real-time media does not wait.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        match self.socket.send_to(datagram, self.reachable(to)) {
            Ok(bytes) => {
                self.sent.fetch_add(1, Relaxed);
                self.sent_bytes.fetch_add(bytes as u64, Relaxed);
            }
            Err(_) => {
                self.refused.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Datagrams of one session that left the socket together. *Lossy*: a full mailbox drops them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Datagrams {
    /// When they left the socket.
    pub received_at: Instant,
    /// In the order in which they came.
    pub datagrams: Vec<Datagram>,
}

/// Where a datagram came from, and its bytes.
pub type Datagram = (SocketAddr, Vec<u8>);

/// Announces a session by the user fragment of our side. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Register {
    /// Our ICE user fragment.
    pub ufrag: String,
    /// The session.
    pub session: SessionId,
    /// Who takes its datagrams.
    pub peer: Recipient<Datagrams>,
}

/// Confirms that a session checked the integrity of what came from an address. *At most once.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Confirm {
    /// The remote address.
    pub address: SocketAddr,
    /// The session it belongs to.
    pub session: SessionId,
}

/// Forgets a session. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unregister(pub SessionId);

/// Owns the receiving half of the media port.
#[derive(Debug)]
pub struct Udp {
    socket: Arc<MediaSocket>,
    demux: Demux<SessionId>,
    peers: HashMap<SessionId, Recipient<Datagrams>>,
    received: u64,
    unplaced: u64,
    dropped: u64,
}

/// Shows the port to people.
#[derive(Debug, Serialize)]
struct UdpState {
    received: u64,
    /// Datagrams that belong to no session.
    unplaced: u64,
    /// Datagrams dropped in front of a full mailbox.
    dropped: u64,
    sent: u64,
    sent_bytes: u64,
    /// Datagrams that the kernel would not take.
    refused: u64,
    sessions: usize,
    addresses: usize,
}

impl Udp {
    /// Creates the actor of a bound port.
    pub fn new(socket: Arc<MediaSocket>) -> Self {
        Self { socket, demux: Demux::new(), peers: HashMap::new(), received: 0, unplaced: 0, dropped: 0 }
    }

    fn state(&self) -> UdpState {
        let (sessions, addresses) = self.demux.len();
        UdpState {
            received: self.received,
            unplaced: self.unplaced,
            dropped: self.dropped,
            sent: self.socket.sent.load(Relaxed),
            sent_bytes: self.socket.sent_bytes.load(Relaxed),
            refused: self.socket.refused.load(Relaxed),
            sessions,
            addresses,
        }
    }
}

impl Actor for Udp {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        let receiver = self.socket.socket.try_clone().and_then(tokio::net::UdpSocket::from_std);
        match receiver {
            Ok(receiver) => {
                ctx.add_stream(batches(receiver));
                info!(address = ?self.socket.local_addr().ok(), "media port open");
            }
            Err(error) => {
                warn!(%error, "media port cannot be read");
                ctx.stop();
            }
        }
    }
}

/// Reads the socket until it is empty or the batch is full, again and again.
fn batches(socket: tokio::net::UdpSocket) -> impl Stream<Item = Datagrams> {
    stream::unfold((socket, vec![0; DATAGRAM_MAX_BYTES]), async |(socket, mut buffer)| {
        let mut datagrams = Vec::new();
        while datagrams.is_empty() {
            // An error here is one of an earlier send (ICMP); the socket itself goes on.
            let _ = socket.readable().await;
            while datagrams.len() < RECEIVE_BATCH {
                match socket.try_recv_from(&mut buffer) {
                    Ok((bytes, source)) => {
                        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
                        datagrams.push((source, buffer[..bytes].to_vec()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
        Some((Datagrams { received_at: Instant::now(), datagrams }, (socket, buffer)))
    })
}

impl StreamHandler<Datagrams> for Udp {
    fn handle(&mut self, batch: Datagrams, _: &mut Self::Context) {
        self.received += batch.datagrams.len() as u64;
        let mut by_session: Vec<(SessionId, Vec<Datagram>)> = Vec::new();
        for (source, datagram) in batch.datagrams {
            let Some(session) = self.demux.route(source, &datagram) else {
                self.unplaced += 1;
                continue;
            };
            match by_session.iter_mut().find(|(other, _)| other == session) {
                Some((_, datagrams)) => datagrams.push((source, datagram)),
                None => by_session.push((*session, vec![(source, datagram)])),
            }
        }
        for (session, datagrams) in by_session {
            let count = datagrams.len() as u64;
            let Some(peer) = self.peers.get(&session) else { continue };
            if peer.try_send(Datagrams { received_at: batch.received_at, datagrams }).is_err() {
                self.dropped += count;
            }
        }
    }
}

impl Handler<Register> for Udp {
    type Result = ();

    fn handle(&mut self, register: Register, _: &mut Self::Context) {
        self.demux.register(register.ufrag, register.session);
        self.peers.insert(register.session, register.peer);
    }
}

impl Handler<Confirm> for Udp {
    type Result = ();

    fn handle(&mut self, confirm: Confirm, _: &mut Self::Context) {
        self.demux.confirm(confirm.address, &confirm.session);
    }
}

impl Handler<Unregister> for Udp {
    type Result = ();

    fn handle(&mut self, Unregister(session): Unregister, _: &mut Self::Context) {
        self.demux.unregister(&session);
        self.peers.remove(&session);
    }
}

impl Handler<Observe> for Udp {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&self.state()))
    }
}
