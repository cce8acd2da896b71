//! One worker's socket on the media port: takes datagrams in batches, brings them to their sessions, and counts what it
//! could not place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use serde::Serialize;
use tracing::{info, warn};

use crate::directory::{Adopt, Directory, Route, Share};
use crate::load::{Gauge, SAMPLE_EVERY, Sampler};
use crate::media_socket::{MediaSocket, SendCounts};
use crate::observe::{Observe, observed};

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

/// Owns the receiving half of a worker's socket.
#[derive(Debug)]
pub struct Udp {
    worker: usize,
    socket: Arc<MediaSocket>,
    directory: Arc<Directory>,
    sampler: Sampler,
    received: u64,
    received_batches: u64,
    unplaced: u64,
    strays: u64,
    adopts: u64,
    dropped: u64,
}

/// Shows a worker's socket to people.
#[derive(Debug, Serialize)]
struct UdpState {
    worker: usize,
    /// The share of time for which the worker is on a core.
    busy_percent: u32,
    /// How late it is for its own timers.
    lag_ms: u32,
    received: u64,
    /// Datagrams that belong to no session.
    unplaced: u64,
    /// Datagrams whose session another worker runs.
    strays: u64,
    /// Datagrams of sessions that nobody ran yet.
    adopts: u64,
    /// Datagrams dropped in front of a full mailbox.
    dropped: u64,
    /// Calls that brought them.
    received_batches: u64,
    #[serde(flatten)]
    sending: SendCounts,
    /// Sessions of all workers.
    sessions: usize,
    /// Addresses of all workers' sessions.
    addresses: usize,
}

impl Udp {
    /// Creates the actor of a worker's bound socket.
    pub fn new(worker: usize, socket: Arc<MediaSocket>, directory: Arc<Directory>, gauge: Arc<Gauge>) -> Self {
        let (received, received_batches, unplaced, strays, adopts, dropped) = Default::default();
        let sampler = Sampler::new(gauge);
        Self { worker, socket, directory, sampler, received, received_batches, unplaced, strays, adopts, dropped }
    }

    /// Sends a session its share; to a peer of another worker as directly as to one of our own.
    fn deliver(&mut self, share: Share, received_at: Instant) {
        let count = share.datagrams.len() as u64;
        let datagrams = Datagrams { received_at, datagrams: share.datagrams };
        let is_taken = match &*share.route {
            Route::Waiting(room) => {
                self.adopts += count;
                room.try_send(Adopt { session: share.session, worker: self.worker, datagrams }).is_ok()
            }
            Route::Running { peer, worker } => {
                self.strays += if *worker == self.worker { 0 } else { count };
                peer.try_send(datagrams).is_ok()
            }
        };
        self.dropped += if is_taken { 0 } else { count };
    }

    fn state(&self) -> UdpState {
        let (sessions, addresses) = self.directory.len();
        UdpState {
            worker: self.worker,
            busy_percent: self.sampler.gauge().busy_percent(),
            lag_ms: self.sampler.gauge().lag_ms(),
            received: self.received,
            unplaced: self.unplaced,
            strays: self.strays,
            adopts: self.adopts,
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
        if let Some(bytes) = self.socket.short_receive_buffer().filter(|_| self.worker == 0) {
            warn!(
                bytes,
                "the kernel's receive buffer for media is small: with many viewers their reports may push out packets of \
                 publishers; raise net.core.rmem_max to 4194304"
            );
        }
        ctx.run_interval(SAMPLE_EVERY, |udp, _| udp.sampler.sample());
        match self.socket.batches() {
            Ok(batches) => {
                ctx.add_stream(batches);
                info!(worker = self.worker, address = ?self.socket.local_addr().ok(), "media port open");
            }
            Err(error) => {
                warn!(worker = self.worker, %error, "media port cannot be read");
                ctx.stop();
            }
        }
    }
}

impl StreamHandler<Datagrams> for Udp {
    fn handle(&mut self, batch: Datagrams, _: &mut Self::Context) {
        self.received += batch.datagrams.len() as u64;
        self.received_batches += 1;
        let (shares, unplaced) = self.directory.share_out(batch.datagrams);
        self.unplaced += unplaced;
        for share in shares {
            self.deliver(share, batch.received_at);
        }
    }
}

impl Handler<Observe> for Udp {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&self.state()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::session_id::SessionId;

    /// Stands for the room and the peer: says on which worker it was asked to adopt, and what came as a peer's.
    struct Ear(UnboundedSender<Heard>);

    #[derive(Debug, PartialEq, Eq)]
    enum Heard {
        Adopt { worker: usize },
        Datagrams(Vec<Datagram>),
    }

    impl Actor for Ear {
        type Context = Context<Self>;
    }

    impl Handler<Adopt> for Ear {
        type Result = ();

        fn handle(&mut self, adopt: Adopt, _: &mut Self::Context) {
            self.0.send(Heard::Adopt { worker: adopt.worker }).unwrap();
        }
    }

    impl Handler<Datagrams> for Ear {
        type Result = ();

        fn handle(&mut self, batch: Datagrams, _: &mut Self::Context) {
            self.0.send(Heard::Datagrams(batch.datagrams)).unwrap();
        }
    }

    async fn next(heard: &mut UnboundedReceiver<Heard>) -> Heard {
        tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap()
    }

    #[actix::test]
    async fn a_stray_reaches_its_peer() {
        let directory = Arc::new(Directory::default());
        let sockets = MediaSocket::bind_workers(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        let port = sockets[0].local_addr().unwrap();
        assert_eq!(sockets[1].local_addr().unwrap(), port);
        let workers =
            (0..).zip(sockets).map(|(n, socket)| Udp::new(n, socket, Arc::clone(&directory), Arc::default()).start());
        let workers: Vec<Addr<Udp>> = workers.collect();
        let (said, mut heard) = unbounded_channel();
        let ear = Ear(said).start();

        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = client.local_addr().unwrap();
        let registration =
            directory.register("ours".into(), SessionId::random(), Route::Waiting(ear.clone().recipient()));
        registration.confirm(from);
        client.send_to(&[0x80; 20], port).unwrap();
        let Heard::Adopt { worker } = next(&mut heard).await else { panic!("it waits") };

        // The kernel goes on giving this client's datagrams to that worker; the peer runs on the other.
        registration.reroute(Route::Running { peer: ear.recipient(), worker: 1 - worker });
        client.send_to(&[0x90; 20], port).unwrap();
        assert_eq!(next(&mut heard).await, Heard::Datagrams(vec![(from, vec![0x90; 20])]));
        let state = workers[worker].send(Observe).await.unwrap();
        assert_eq!((&state["received"], &state["adopts"], &state["strays"]), (&2.into(), &1.into(), &1.into()));
        assert_eq!(workers[1 - worker].send(Observe).await.unwrap()["received"], 0);
    }
}
