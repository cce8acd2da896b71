//! A worker's socket on the media port: takes many datagrams in one call, and sends several in one where the kernel can (GRO, GSO).

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use futures_util::{Stream, stream};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use serde::Serialize;
use socket2::SockRef;
use tokio::io::Interest;

use crate::core::egress::SendBuffer;
use crate::core::runs::run_length;
use crate::udp::{Datagram, Datagrams};

/// What the kernel may put together into one buffer: all of UDP's length field.
const BUFFER_BYTES: usize = 65_536;

/// What the kernel may hold for us: a keyframe to a thousand viewers is about this much.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    /// Where datagrams are put together: one buffer a thread, not one a viewer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Tells how a socket has its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// Alone.
    Whole,
    /// With the sockets of other workers (`SO_REUSEPORT`).
    Shared,
}

/// The sending half of a worker's socket, shared by its peers. Never blocks.
#[derive(Debug)]
pub struct MediaSocket {
    socket: UdpSocket,
    io: UdpSocketState,
    is_ipv6: bool,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    calls: AtomicU64,
    blocked: AtomicU64,
    refused: AtomicU64,
}

/// Counts what was sent.
#[derive(Debug, Serialize)]
pub(crate) struct SendCounts {
    sent: u64,
    sent_bytes: u64,
    /// Send calls; several datagrams may go in one.
    send_calls: u64,
    /// Datagrams for which the kernel had no room (`EAGAIN`): the network card or the receiver does not keep up.
    blocked: u64,
    /// Datagrams that the kernel would not take for another reason.
    refused: u64,
}

impl MediaSocket {
    /// Binds the port.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub fn bind(address: SocketAddr) -> io::Result<Arc<Self>> {
        Self::bind_socket(address, Port::Whole)
    }

    /// Binds one socket for each worker, at least one, all to the same port: the kernel gives what comes from one
    /// address to one of them, always the same.
    ///
    /// # Errors
    /// Those of the operating system, such as an address in use.
    pub fn bind_workers(address: SocketAddr, workers: usize) -> io::Result<Vec<Arc<Self>>> {
        if workers <= 1 {
            return Ok(vec![Self::bind(address)?]);
        }
        // A shared port is shared with every process of this user that wants to. So it must be nobody's first, even
        // where the system chose it: that a second server cannot have our port must remain an error.
        let address = Self::bind(address)?.local_addr()?;
        (0..workers).map(|_| Self::bind_socket(address, Port::Shared)).collect()
    }

    fn bind_socket(address: SocketAddr, port: Port) -> io::Result<Arc<Self>> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        if port == Port::Shared {
            socket.set_reuse_port(true)?;
        }
        // The kernel caps these silently; smaller buffers work, they only drop earlier.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        // Makes the socket non-blocking, too.
        let io = UdpSocketState::new((&socket).into())?;
        let (sent, sent_bytes, calls, blocked, refused) = Default::default();
        Ok(Arc::new(Self { socket, io, is_ipv6: address.is_ipv6(), sent, sent_bytes, calls, blocked, refused }))
    }

    /// Returns the bound address, with the real port where 0 was asked for.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns how many bytes the kernel holds for us until they are read, when that is less than we asked for.
    pub(crate) fn short_receive_buffer(&self) -> Option<usize> {
        // Linux tells twice what it grants, for its own bookkeeping.
        let granted = SockRef::from(&self.socket).recv_buffer_size().ok()? / 2;
        (granted < SOCKET_BUFFER_BYTES).then_some(granted)
    }

    /// Sends datagrams in order, or counts what the kernel would not take: real-time media does not wait.
    pub fn send(&self, datagrams: &[Datagram]) {
        let mut rest = datagrams;
        while let Some((to, first)) = rest.first() {
            let sizes = rest.iter().take_while(|(other, _)| other == to).map(|(_, datagram)| datagram.len());
            let (run, behind) = rest.split_at(run_length(sizes, self.io.max_gso_segments()));
            match run {
                [_] => self.send_run(*to, first, None, 1),
                _ => SCRATCH.with_borrow_mut(|scratch| {
                    scratch.clear();
                    run.iter().for_each(|(_, datagram)| scratch.extend_from_slice(datagram));
                    self.send_run(*to, scratch, Some(first.len()), run.len() as u64);
                }),
            }
            rest = behind;
        }
    }

    /// Sends what was put together for one destination, likewise.
    pub fn send_buffer(&self, to: SocketAddr, buffer: &SendBuffer) {
        for run in buffer.runs(self.io.max_gso_segments()) {
            let segment_size = (run.count > 1).then_some(run.segment_size);
            self.send_run(to, &buffer.bytes()[run.bytes], segment_size, run.count as u64);
        }
    }

    fn send_run(&self, to: SocketAddr, contents: &[u8], segment_size: Option<usize>, count: u64) {
        let destination = self.reachable(to);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.calls.fetch_add(1, Relaxed);
        match self.io.try_send((&self.socket).into(), &transmit) {
            Ok(()) => {
                self.sent.fetch_add(count, Relaxed);
                self.sent_bytes.fetch_add(contents.len() as u64, Relaxed);
            }
            Err(error) => {
                let is_full = matches!(error.kind(), io::ErrorKind::WouldBlock);
                let counter = if is_full { &self.blocked } else { &self.refused };
                counter.fetch_add(count, Relaxed);
            }
        }
    }

    /// Writes an IPv4 address as a socket of both versions wants it (RFC 4291 §2.5.5.2).
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.is_ipv6 => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            other => other,
        }
    }

    /// Returns the counters.
    pub(crate) fn counts(&self) -> SendCounts {
        SendCounts {
            sent: self.sent.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            send_calls: self.calls.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// Reads the socket, batch after batch, on the arbiter that calls it.
    ///
    /// # Errors
    /// Those of the operating system when the socket cannot be registered.
    pub(crate) fn batches(self: &Arc<Self>) -> io::Result<impl Stream<Item = Datagrams> + use<>> {
        let readable = tokio::net::UdpSocket::from_std(self.socket.try_clone()?)?;
        let state = Receiver { socket: Arc::clone(self), readable, buffers: vec![vec![0; BUFFER_BYTES]; BATCH_SIZE] };
        Ok(stream::unfold(state, async |mut receiver| {
            let batch = receiver.receive().await;
            Some((batch, receiver))
        }))
    }
}

struct Receiver {
    socket: Arc<MediaSocket>,
    /// The same socket, known to the runtime.
    readable: tokio::net::UdpSocket,
    buffers: Vec<Vec<u8>>,
}

impl Receiver {
    /// Waits for datagrams and takes what is there, up to one call's worth.
    async fn receive(&mut self) -> Datagrams {
        loop {
            // An error here is one of an earlier send (ICMP); the socket itself goes on.
            let _ = self.readable.readable().await;
            let mut slices: Vec<_> = self.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let receive = || self.socket.io.recv((&self.socket.socket).into(), &mut slices, &mut metas);
            if let Ok(count) = self.readable.try_io(Interest::READABLE, receive) {
                let received_at = Instant::now();
                let datagrams =
                    metas.iter().take(count).zip(&self.buffers).flat_map(|(meta, buffer)| cut(meta, buffer));
                return Datagrams { received_at, datagrams: datagrams.collect() };
            }
        }
    }
}

/// Cuts a buffer into the datagrams that the kernel put together.
fn cut<'a>(meta: &RecvMeta, buffer: &'a [u8]) -> impl Iterator<Item = Datagram> + use<'a> {
    let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
    let filled = &buffer[..meta.len.min(buffer.len())];
    filled.chunks(meta.stride.max(1)).map(move |datagram| (source, datagram.to_vec()))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_one_socket_sends_the_other_takes_in_order() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let (sender, receiver) = (MediaSocket::bind(loopback).unwrap(), MediaSocket::bind(loopback).unwrap());
        let to = receiver.local_addr().unwrap();
        let sizes = [1200, 1200, 1200, 700, 90, 1200, 1200, 1300, 20];
        let datagrams: Vec<_> = (1_u8..).zip(sizes).map(|(n, size)| (to, vec![n; size])).collect();
        sender.send(&datagrams);
        let mut batches = Box::pin(receiver.batches().unwrap());
        let mut got = Vec::new();
        while got.len() < sizes.len() {
            got.extend(batches.next().await.unwrap().datagrams);
        }
        let from = sender.local_addr().unwrap();
        assert_eq!(got, datagrams.into_iter().map(|(_, datagram)| (from, datagram)).collect::<Vec<_>>());
        let counts = sender.counts();
        assert_eq!((counts.sent, counts.refused), (9, 0));
        assert!(counts.send_calls <= 9, "{counts:?}");
    }

    #[test]
    fn workers_share_a_port_that_nobody_else_gets() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets = MediaSocket::bind_workers(loopback, 3).unwrap();
        let port = sockets[0].local_addr().unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == port));
        for workers in [1, 2] {
            let taken = MediaSocket::bind_workers(port, workers).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[tokio::test]
    async fn a_socket_of_both_versions_knows_peers_by_their_own() {
        let Ok(both) = MediaSocket::bind("[::]:0".parse().unwrap()) else { return };
        let v4 = MediaSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], both.local_addr().unwrap().port()));
        v4.send(&[(to, vec![1])]);
        let mut batches = Box::pin(both.batches().unwrap());
        let (source, _) = batches.next().await.unwrap().datagrams.remove(0);
        assert_eq!(source, v4.local_addr().unwrap());
        both.send(&[(source, vec![2])]);
        let mut back = Box::pin(v4.batches().unwrap());
        assert_eq!(back.next().await.unwrap().datagrams[0].1, [2]);
    }
}
