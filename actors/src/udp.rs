//! The one media port: takes datagrams in batches, finds their session, and counts what it could not place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use serde::Serialize;
use tracing::{info, warn};

use crate::core::demux::Demux;
use crate::media_socket::{MediaSocket, SendCounts};
use crate::observe::{Observe, observed};
use crate::session_id::SessionId;

/// How many messages of peers may wait here: one for each datagram of a few batches.
const MAILBOX_MESSAGES: usize = 256;

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
    received_batches: u64,
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
    /// Calls that brought them.
    received_batches: u64,
    #[serde(flatten)]
    sending: SendCounts,
    sessions: usize,
    addresses: usize,
}

impl Udp {
    /// Creates the actor of a bound port.
    pub fn new(socket: Arc<MediaSocket>) -> Self {
        Self {
            socket,
            demux: Demux::new(),
            peers: HashMap::new(),
            received: 0,
            received_batches: 0,
            unplaced: 0,
            dropped: 0,
        }
    }

    fn state(&self) -> UdpState {
        let (sessions, addresses) = self.demux.len();
        UdpState {
            received: self.received,
            unplaced: self.unplaced,
            dropped: self.dropped,
            received_batches: self.received_batches,
            sending: self.socket.counts(),
            sessions,
            addresses,
        }
    }
}

impl Actor for Udp {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        match self.socket.batches() {
            Ok(batches) => {
                ctx.add_stream(batches);
                info!(address = ?self.socket.local_addr().ok(), "media port open");
            }
            Err(error) => {
                warn!(%error, "media port cannot be read");
                ctx.stop();
            }
        }
    }
}

impl StreamHandler<Datagrams> for Udp {
    fn handle(&mut self, batch: Datagrams, _: &mut Self::Context) {
        self.received += batch.datagrams.len() as u64;
        self.received_batches += 1;
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
