//! The two doors of the server: the HTTP listener and the media port, and the addresses that clients are told.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use onair_actors::media_socket::MediaSocket;
use socket2::SockRef;
use url::Host;

use crate::config::Config;

/// How often another port is tried when the system's choice for HTTP is taken for media.
const PORT_TRIES: usize = 16;

/// How many connections may wait to be accepted; the system may allow fewer. The standard library's 128 are full in a
/// moment when thousands of players come back at once, and who finds no place tries again after a second.
const HTTP_BACKLOG: i32 = 4096;

/// The bound sockets.
pub(crate) struct Sockets {
    /// For HTTP.
    pub(crate) http: TcpListener,
    /// For media: one for each worker, at least one, all on the same port.
    pub(crate) media: Vec<Arc<MediaSocket>>,
    /// The addresses of the media port as clients see it.
    pub(crate) candidates: Vec<SocketAddr>,
}

/// Says which socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The HTTP port.
    #[error("HTTP cannot listen on {0}: {1} (http.listen)")]
    Http(SocketAddr, io::Error),
    /// The media port.
    #[error("media cannot listen on {0} over UDP: {1} (media.listen)")]
    Media(SocketAddr, io::Error),
    /// A name of `media.advertise`.
    #[error("{0} cannot be resolved: {1} (media.advertise)")]
    Advertise(Host, io::Error),
    /// No address to tell clients.
    #[error("no address to tell clients was found; set media.advertise")]
    NoCandidate,
}

impl Sockets {
    /// Binds both, and media once for each of `workers`. With port 0 both get the same port of the system's choice.
    ///
    /// # Errors
    /// [`SocketError`], which names the key to change.
    pub(crate) fn bind(config: &Config, workers: usize) -> Result<Self, SocketError> {
        let (http, media) = bind_both(config.http.listen, config.media.listen, workers)?;
        let bound = media[0].local_addr().map_err(|error| SocketError::Media(config.media.listen, error))?;
        let candidates = match config.media.advertise.as_slice() {
            [] => local_candidates(bound),
            hosts => resolve(hosts, bound.port())?,
        };
        if candidates.is_empty() {
            return Err(SocketError::NoCandidate);
        }
        Ok(Self { http, media, candidates })
    }
}

fn bind_both(
    http: SocketAddr,
    media: SocketAddr,
    workers: usize,
) -> Result<(TcpListener, Vec<Arc<MediaSocket>>), SocketError> {
    let follows = media.port() == 0 && http.port() == 0;
    for last in (0..PORT_TRIES).rev() {
        let listener = listen(http).map_err(|error| SocketError::Http(http, error))?;
        let bound = listener.local_addr().map_err(|error| SocketError::Http(http, error))?;
        let media = if follows { SocketAddr::new(media.ip(), bound.port()) } else { media };
        match MediaSocket::bind_workers(media, workers) {
            Ok(sockets) => return Ok((listener, sockets)),
            Err(error) if follows && last > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(SocketError::Media(media, error)),
        }
    }
    unreachable!("the last round returns")
}

fn listen(http: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(http)?;
    // It listens already; to say it again makes the queue longer.
    SockRef::from(&listener).listen(HTTP_BACKLOG)?;
    Ok(listener)
}

/// The bound address, or those of all interfaces when it is the unspecified one.
fn local_candidates(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .filter(|ip| ip.is_ipv4() || bound.is_ipv6())
        .collect();
    if addresses.is_empty() {
        addresses.extend(interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| ip.is_ipv4() == bound.is_ipv4()));
    }
    // The address that reaches the world stands for the socket: it comes first.
    let default = default_route();
    addresses.sort_by_key(|ip| (Some(*ip) != default, ip.is_ipv6()));
    addresses.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Finds the address that packets to the world leave from; connecting a UDP socket sends nothing (RFC 5737 address).
fn default_route() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn resolve(hosts: &[Host], port: u16) -> Result<Vec<SocketAddr>, SocketError> {
    let mut candidates = Vec::new();
    for host in hosts {
        match host {
            Host::Ipv4(ip) => candidates.push(SocketAddr::new((*ip).into(), port)),
            Host::Ipv6(ip) => candidates.push(SocketAddr::new((*ip).into(), port)),
            Host::Domain(name) => {
                let found = (name.as_str(), port).to_socket_addrs();
                candidates.extend(found.map_err(|error| SocketError::Advertise(host.clone(), error))?);
            }
        }
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn port_zero_is_the_same_port_for_both() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (http, media) = bind_both(any, any, 2).unwrap();
        for socket in media {
            let address = socket.local_addr().unwrap();
            assert_eq!(http.local_addr().unwrap().port(), address.port());
            assert_eq!(local_candidates(address), [address]);
        }
    }

    /// Players that come back all at once are not sent away, though nobody has accepted any yet.
    #[test]
    fn a_burst_of_connections_is_taken() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, within) = (listener.local_addr().unwrap(), Duration::from_millis(900));
        let burst: Result<Vec<_>, _> = (0..300).map(|_| TcpStream::connect_timeout(&address, within)).collect();
        assert_eq!(burst.unwrap().len(), 300);
    }

    #[test]
    fn a_taken_port_names_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let Err(error) = bind_both(address, address, 1) else { panic!("the port is taken") };
        assert!(error.to_string().contains("http.listen"));
    }

    #[test]
    fn advertised_addresses_get_the_media_port() {
        let hosts = [Host::parse("203.0.113.7").unwrap(), Host::parse("localhost").unwrap()];
        let candidates = resolve(&hosts, 99).unwrap();
        assert_eq!(candidates[0], "203.0.113.7:99".parse().unwrap());
        assert!(candidates[1..].iter().all(|address| address.ip().is_loopback() && address.port() == 99));
    }
}
