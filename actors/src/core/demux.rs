//! Routes datagrams of the one media port to sessions: by remote address, else by the STUN user fragment (RFC 8445 §7.3).

use std::collections::HashMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

/// The most remote addresses that one session may occupy; a browser has a handful of candidates.
const MAX_ADDRESSES_PER_SESSION: usize = 16;

/// Maps addresses and user fragments to sessions `S`.
#[derive(Debug, Default)]
pub struct Demux<S> {
    by_ufrag: HashMap<String, S>,
    by_address: HashMap<SocketAddr, S>,
}

impl<S: Clone + PartialEq> Demux<S> {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self { by_ufrag: HashMap::new(), by_address: HashMap::new() }
    }

    /// Announces a session by the user fragment of our side.
    pub fn register(&mut self, ufrag: String, session: S) {
        self.by_ufrag.insert(ufrag, session);
    }

    /// Forgets everything about a session.
    pub fn unregister(&mut self, session: &S) {
        self.by_ufrag.retain(|_, other| other != session);
        self.by_address.retain(|_, other| other != session);
    }

    /// Confirms that an address belongs to a session, which checked the message integrity of what came from it.
    pub fn confirm(&mut self, address: SocketAddr, session: &S) {
        let taken = self.by_address.values().filter(|other| *other == session).count();
        if taken < MAX_ADDRESSES_PER_SESSION && self.by_ufrag.values().any(|other| other == session) {
            self.by_address.insert(address, session.clone());
        }
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
        (self.by_ufrag.len(), self.by_address.len())
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
    fn garbage_has_no_session() {
        let demux = Demux::<u32>::new();
        for garbage in [&[][..], &[0], &[1; 3], &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &[255; 1500], &[20; 64]] {
            assert_eq!(demux.route(address(1), garbage), None);
        }
    }
}
