//! Routes datagrams of the media port to sessions: by remote address, else by the STUN user fragment (RFC 8445 §7.3).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

/// The most remote addresses that one session may occupy; a browser has a handful of candidates.
const MAX_ADDRESSES_PER_SESSION: usize = 16;

/// Maps addresses and user fragments to sessions `S`.
#[derive(Debug, Default)]
pub struct Demux<S> {
    by_ufrag: HashMap<String, S>,
    by_address: HashMap<SocketAddr, S>,
    known: HashMap<S, Known>,
}

/// What leads to one session.
#[derive(Debug, Default)]
struct Known {
    ufrags: Vec<String>,
    addresses: Vec<SocketAddr>,
}

impl<S: Clone + Eq + Hash> Demux<S> {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self { by_ufrag: HashMap::new(), by_address: HashMap::new(), known: HashMap::new() }
    }

    /// Announces a session by the user fragment of our side; the fragments before an ICE restart are forgotten.
    pub fn register(&mut self, ufrag: String, session: S) {
        let known = self.known.entry(session.clone()).or_default();
        for old in known.ufrags.drain(..) {
            self.by_ufrag.remove(&old);
        }
        known.ufrags.push(ufrag.clone());
        self.by_ufrag.insert(ufrag, session);
    }

    /// Forgets everything about a session.
    pub fn unregister(&mut self, session: &S) {
        let Some(known) = self.known.remove(session) else { return };
        for ufrag in known.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for address in known.addresses {
            if self.by_address.get(&address) == Some(session) {
                self.by_address.remove(&address);
            }
        }
    }

    /// Confirms that an address belongs to a session, which checked the message integrity of what came from it.
    ///
    /// A session that takes more than a handful of addresses loses its oldest one.
    pub fn confirm(&mut self, address: SocketAddr, session: &S) {
        if self.is_confirmed(address, session) {
            return;
        }
        let Some(known) = self.known.get_mut(session) else { return };
        if known.addresses.len() == MAX_ADDRESSES_PER_SESSION {
            let oldest = known.addresses.remove(0);
            if self.by_address.get(&oldest) == Some(session) {
                self.by_address.remove(&oldest);
            }
        }
        known.addresses.push(address);
        self.by_address.insert(address, session.clone());
    }

    /// Tells whether an address is confirmed to belong to a session.
    pub fn is_confirmed(&self, address: SocketAddr, session: &S) -> bool {
        self.by_address.get(&address) == Some(session)
    }

    /// Finds the session of a datagram.
    ///
    /// STUN requests go by their user fragment, so that a new session may reuse an old one's address; everything else
    /// goes by address.
    pub fn route(&self, source: SocketAddr, datagram: &[u8]) -> Option<&S> {
        // RFC 7983: the first byte tells STUN (0..=3) from DTLS and SRTP.
        if matches!(datagram.first(), Some(0..=3)) {
            let by_ufrag = local_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(&ufrag));
            return by_ufrag.or_else(|| self.by_address.get(&source));
        }
        self.by_address.get(&source)
    }

    /// Returns how many sessions and addresses are known.
    pub fn len(&self) -> (usize, usize) {
        (self.known.len(), self.by_address.len())
    }
}

/// Reads our half of the USERNAME attribute: `ours:theirs` in a request to us.
fn local_ufrag(datagram: &[u8]) -> Option<String> {
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    message.split_username().map(|(local, _)| local.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn media_goes_by_confirmed_address() {
        let mut demux = Demux::new();
        demux.register("ours".into(), 7_u32);
        assert_eq!(demux.route(address(1), &[0x80; 20]), None);
        demux.confirm(address(1), &7);
        assert_eq!(demux.route(address(1), &[0x80; 20]), Some(&7));
        demux.unregister(&7);
        assert_eq!(demux.len(), (0, 0));
    }

    #[test]
    fn an_unknown_session_gets_no_address() {
        let mut demux = Demux::new();
        demux.confirm(address(1), &7_u32);
        assert_eq!(demux.len(), (0, 0));
    }

    #[test]
    fn addresses_per_session_are_bounded() {
        let mut demux = Demux::new();
        demux.register("ours".into(), 7_u32);
        for port in 1..1000 {
            demux.confirm(address(port), &7);
        }
        assert_eq!(demux.len(), (1, MAX_ADDRESSES_PER_SESSION));
    }

    #[test]
    fn an_address_may_move_to_a_newer_session() {
        let mut demux = Demux::new();
        for (ufrag, session) in [("old", 1_u32), ("new", 2)] {
            demux.register(ufrag.into(), session);
            demux.confirm(address(1), &session);
        }
        assert!(demux.is_confirmed(address(1), &2) && !demux.is_confirmed(address(1), &1));
        demux.unregister(&1);
        assert_eq!(demux.route(address(1), &[0x80; 20]), Some(&2));
        demux.unregister(&2);
        assert!(demux.by_ufrag.is_empty() && demux.by_address.is_empty() && demux.known.is_empty());
    }

    #[test]
    fn garbage_has_no_session() {
        let demux = Demux::<u32>::new();
        for garbage in [&[][..], &[0], &[1; 3], &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &[255; 1500], &[20; 64]] {
            assert_eq!(demux.route(address(1), garbage), None);
        }
    }
}
