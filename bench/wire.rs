//! Viewers' sockets on loopback, which take several datagrams in one call (GRO) as browsers' machines do, and the floor
//! under what sending to them costs.

use std::hint::black_box;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use onair_actors::core::egress::SendBuffer;
use onair_actors::media_socket::MediaSocket;
use quinn_udp::{RecvMeta, UdpSocketState};

use crate::cpu_time::{Cost, SAMPLES, WARM_UP};
use crate::stage::{HEADER_BYTES, Room};
use crate::thread_time::cpu_time;

/// How many viewers there are, a socket each.
pub(crate) const VIEWERS: usize = 100;

/// What one size of batches cost.
pub(crate) struct Measured {
    /// From the batch to the kernel's answer.
    pub(crate) whole: Cost,
    /// AES-GCM over the same bytes, and nothing else.
    pub(crate) seal: Cost,
    /// The send calls for the same bytes, and nothing else.
    pub(crate) send: Cost,
    /// The whole by the sum of the other two, sample by sample.
    pub(crate) ratio: Cost,
}

/// Measures batches of so many packets on their way to all viewers.
///
/// Whole and floor take turns, so that what disturbs the machine disturbs both. The sockets are emptied between samples
/// and by the same thread: nobody is woken by a packet, and none is lost.
pub(crate) fn measure(batch: u64) -> io::Result<Measured> {
    let receivers = (0..VIEWERS).map(|_| Receiver::bind()).collect::<io::Result<Vec<_>>>()?;
    let addresses = receivers.iter().map(|receiver| receiver.socket.local_addr()).collect::<io::Result<Vec<_>>>()?;
    let socket = MediaSocket::bind(([127, 0, 0, 1], 0).into())?;
    let mut room = Room::new(addresses.iter().copied());
    let drain = || receivers.iter().map(Receiver::drain).sum::<io::Result<u64>>();
    let expected = VIEWERS as u64 * batch;
    let per_packet = |work: &mut dyn FnMut()| cpu_time(work).as_nanos() as f64 / expected as f64;
    // Reports go out with the first batch; the second one is media alone.
    for _ in 0..2 {
        let filmed = room.film(batch);
        room.serve(&filmed, |to, buffer| socket.send_buffer(to, buffer));
        drain()?;
    }
    let mut floor = Floor::new(kept(&mut room, batch), addresses);
    let (mut whole, mut seal, mut send) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WARM_UP + SAMPLES {
        let filmed = room.film(batch);
        whole.push(per_packet(&mut || room.serve(&filmed, |to, buffer| socket.send_buffer(to, buffer))));
        let arrived = drain()?;
        seal.push(per_packet(&mut || floor.seal()));
        send.push(per_packet(&mut || floor.send(&socket)));
        if arrived < expected || drain()? != expected {
            return Err(io::Error::other(format!(
                "{arrived} of {expected} datagrams arrived: the sockets are too small"
            )));
        }
    }
    let counted = |samples: &[f64]| Cost::of(samples[WARM_UP..].to_vec());
    let ratio: Vec<f64> = whole.iter().zip(seal.iter().zip(&send)).map(|(all, (one, two))| all / (one + two)).collect();
    Ok(Measured { whole: counted(&whole), seal: counted(&seal), send: counted(&send), ratio: counted(&ratio) })
}

/// Serves a batch without sending it, and returns what one of the viewers would have got.
fn kept(room: &mut Room, batch: u64) -> SendBuffer {
    let mut kept = SendBuffer::default();
    let filmed = room.film(batch);
    room.serve(&filmed, |_, buffer| kept = buffer.clone());
    kept
}

/// What cannot be saved: encryption and the send call, both over datagrams that stand ready.
struct Floor {
    keys: Vec<LessSafeKey>,
    addresses: Vec<SocketAddr>,
    ready: SendBuffer,
    /// The bytes of `ready`, to be encrypted over and over.
    bytes: Vec<u8>,
    sizes: Vec<usize>,
}

impl Floor {
    fn new(ready: SendBuffer, addresses: Vec<SocketAddr>) -> Self {
        let key = |number: usize| UnboundKey::new(&AES_128_GCM, &[number as u8; 16]).expect("sixteen bytes are a key");
        let keys = (0..addresses.len()).map(|number| LessSafeKey::new(key(number))).collect();
        let sizes = ready.datagrams().map(<[u8]>::len).collect();
        Self { keys, addresses, bytes: ready.bytes().to_vec(), sizes, ready }
    }

    fn seal(&mut self) {
        for key in &self.keys {
            let mut rest = self.bytes.as_mut_slice();
            for (number, size) in self.sizes.iter().enumerate() {
                let (datagram, behind) = rest.split_at_mut(*size);
                let (header, sealed) = datagram.split_at_mut(HEADER_BYTES);
                let (payload, _) = sealed.split_at_mut(sealed.len() - AES_128_GCM.tag_len());
                let nonce = Nonce::assume_unique_for_key([number as u8; 12]);
                let _ = black_box(key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload));
                rest = behind;
            }
        }
    }

    fn send(&self, socket: &Arc<MediaSocket>) {
        for address in &self.addresses {
            socket.send_buffer(*address, &self.ready);
        }
    }
}

struct Receiver {
    socket: UdpSocket,
    io: UdpSocketState,
}

impl Receiver {
    fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        // Turns GRO on, and makes the socket non-blocking.
        let io = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, io })
    }

    /// Takes all that is there, and returns how many datagrams it was.
    fn drain(&self) -> io::Result<u64> {
        let mut buffer = vec![0; 65_536];
        let mut count = 0;
        loop {
            let mut meta = [RecvMeta::default()];
            match self.io.recv((&self.socket).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
                Ok(_) => count += meta[0].len.div_ceil(meta[0].stride.max(1)) as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    }
}
