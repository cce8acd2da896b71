//! The sockets of viewers. One carries many: each viewer is a local address of its own, which the kernel notes with what
//! it receives and takes for what we send. Where there are too few addresses, each viewer has a socket.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;

/// What the kernel may put together into one buffer: all of UDP's length field.
const BUFFER_BYTES: usize = 65_536;

/// What the kernel may hold for a socket; it caps this at `net.core.rmem_max`.
const SOCKET_BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// The same for a socket that carries one viewer.
const SINGLE_BUFFER_BYTES: usize = 2 * 1024 * 1024;

thread_local! {
    /// Where datagrams are read to: the sockets of a thread are read one after the other.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES * BATCH_SIZE]);
}

/// A UDP socket, which never blocks.
pub(crate) struct Port {
    /// Known to the runtime, which says when there is something to read.
    socket: tokio::net::UdpSocket,
    io: UdpSocketState,
    local: SocketAddr,
}

/// Several datagrams of one sender to one local address, of the same length but for the last.
pub(crate) struct Run<'a> {
    /// Who sent them.
    pub(crate) source: SocketAddr,
    /// Which local address they came to.
    pub(crate) to: IpAddr,
    /// When the kernel got them, in microseconds of the system's clock.
    pub(crate) at_us: Option<u64>,
    contents: &'a [u8],
    stride: usize,
}

impl Run<'_> {
    /// Returns the datagrams.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.contents.chunks(self.stride.max(1))
    }
}

impl Port {
    /// Opens a socket that carries the viewers of all local IPv4 addresses.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn shared() -> io::Result<Self> {
        Self::bind(Ipv4Addr::UNSPECIFIED.into(), SOCKET_BUFFER_BYTES)
    }

    /// Opens a socket for one viewer.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn single(local: IpAddr) -> io::Result<Self> {
        Self::bind(local, SINGLE_BUFFER_BYTES)
    }

    fn bind(local: IpAddr, buffer_bytes: usize) -> io::Result<Self> {
        let address = SocketAddr::new(local, 0);
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
        // Smaller buffers work, too; what they drop is reported.
        let _capped = socket.set_recv_buffer_size(buffer_bytes);
        let _capped = socket.set_send_buffer_size(buffer_bytes);
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        // Makes the socket non-blocking, too.
        let io = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)?, io, local })
    }

    /// Returns the address that it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a datagram from a local address. What the kernel does not take is lost like any datagram.
    pub(crate) fn send(&self, from: IpAddr, destination: SocketAddr, contents: &[u8]) {
        let src_ip = self.local.ip().is_unspecified().then_some(from);
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
        let _lost = self.io.try_send((&self.socket).into(), &transmit);
    }

    /// Waits until there is something to read.
    pub(crate) async fn readable(&self) {
        // An error here is one of an earlier send (ICMP); the socket itself goes on.
        let _ = self.socket.readable().await;
    }

    /// Hands out what is there, up to one call's worth. Returns whether there was anything.
    pub(crate) fn receive(&self, mut each: impl FnMut(Run<'_>)) -> bool {
        BUFFER.with_borrow_mut(|buffer| {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut pieces = buffer.chunks_exact_mut(BUFFER_BYTES);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(pieces.next().expect("one for each of the batch")));
            let receive = || self.io.recv((&self.socket).into(), &mut slices, &mut metas);
            let Ok(count) = self.socket.try_io(Interest::READABLE, receive) else { return false };
            for (meta, contents) in metas.iter().take(count).zip(&slices) {
                each(Run {
                    source: meta.addr,
                    to: meta.dst_ip.unwrap_or_else(|| self.local.ip()),
                    at_us: meta.timestamp.map(super::stamp::micros),
                    contents: contents.get(..meta.len).unwrap_or_default(),
                    stride: meta.stride,
                });
            }
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_socket_is_many_hosts() {
        let shared = Port::shared().unwrap();
        let peer = Port::single(Ipv4Addr::LOCALHOST.into()).unwrap();
        let hosts = [Ipv4Addr::new(127, 1, 0, 1), Ipv4Addr::new(127, 1, 0, 2)].map(IpAddr::from);
        for (index, host) in hosts.into_iter().enumerate() {
            shared.send(host, peer.local(), &[index as u8]);
            peer.readable().await;
            peer.receive(|run| {
                assert_eq!(run.source, SocketAddr::new(host, shared.local().port()));
                peer.send(peer.local().ip(), run.source, &[index as u8, 9]);
            });
            shared.readable().await;
            let mut got = Vec::new();
            shared.receive(|run| {
                assert!(run.at_us.is_some());
                got.extend(run.datagrams().map(|datagram| (run.to, run.source, datagram.to_vec())));
            });
            assert_eq!(got, [(host, peer.local(), vec![index as u8, 9])]);
        }
    }
}
