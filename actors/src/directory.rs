//! Where each session is to be found: one table that all workers read, so that a datagram reaches its session from
//! whichever socket it came.
//!
//! Readers do not wait for each other. Nothing is sent while the lock is held.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use actix::prelude::*;

use crate::core::demux::Demux;
use crate::session_id::SessionId;
use crate::udp::{Datagram, Datagrams};

/// Brings the first datagrams of a session that nobody runs yet, so that it is run where they came. *Lossy*: the peer
/// repeats its connectivity checks.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Adopt {
    /// The session.
    pub session: SessionId,
    /// The worker whose socket got them.
    pub worker: usize,
    /// What came.
    pub datagrams: Datagrams,
}

/// How a session is reached.
#[derive(Debug)]
pub enum Route {
    /// It waits in its room for the first connectivity check.
    Waiting(Recipient<Adopt>),
    /// A worker runs it.
    Running {
        /// Who takes its datagrams.
        peer: Recipient<Datagrams>,
        /// Where its peer runs.
        worker: usize,
    },
}

/// Knows the sessions of all workers by address and user fragment.
#[derive(Debug, Default)]
pub struct Directory {
    tables: RwLock<Tables>,
}

#[derive(Debug)]
struct Tables {
    demux: Demux<SessionId>,
    /// Shared, not cloned: each clone of a recipient would add a place to the mailbox behind it.
    routes: HashMap<SessionId, Arc<Route>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self { demux: Demux::new(), routes: HashMap::new() }
    }
}

/// The datagrams of one session, and how to reach it.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) session: SessionId,
    pub(crate) route: Arc<Route>,
    pub(crate) datagrams: Vec<Datagram>,
}

impl Directory {
    /// Announces a session by the user fragment of our side. It is known until what is returned is dropped.
    pub fn register(self: &Arc<Self>, ufrag: String, session: SessionId, route: Route) -> Registration {
        let mut tables = self.write();
        tables.demux.register(ufrag, session);
        tables.routes.insert(session, Arc::new(route));
        Registration { directory: Arc::clone(self), session }
    }

    /// Sorts datagrams by session, under one look into the tables. Returns their shares, in the order of their first
    /// datagrams, and how many datagrams belong to no session.
    pub(crate) fn share_out(&self, datagrams: Vec<Datagram>) -> (Vec<Share>, u64) {
        let (mut shares, mut unplaced): (Vec<Share>, _) = (Vec::new(), 0);
        let tables = self.read();
        for (source, datagram) in datagrams {
            let Some(session) = tables.demux.route(source, &datagram) else {
                unplaced += 1;
                continue;
            };
            if let Some(share) = shares.iter_mut().find(|share| share.session == *session) {
                share.datagrams.push((source, datagram));
            } else if let Some(route) = tables.routes.get(session) {
                let (session, route) = (*session, Arc::clone(route));
                shares.push(Share { session, route, datagrams: vec![(source, datagram)] });
            }
        }
        (shares, unplaced)
    }

    /// Returns how many sessions and addresses are known.
    pub fn len(&self) -> (usize, usize) {
        let tables = self.read();
        debug_assert_eq!(tables.demux.len().0, tables.routes.len(), "each session has one route");
        tables.demux.len()
    }

    /// Every change of the tables is whole before anything can fail, so a defect elsewhere leaves them usable.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a session known; whoever owns the session holds it. The session is forgotten on drop.
#[derive(Debug)]
pub struct Registration {
    directory: Arc<Directory>,
    session: SessionId,
}

impl Registration {
    /// Puts a new user fragment in the place of the one before an ICE restart.
    pub fn rename(&self, ufrag: String) {
        self.directory.write().demux.register(ufrag, self.session);
    }

    /// Puts another route in the place of the one so far.
    pub fn reroute(&self, route: Route) {
        let before = self.directory.write().routes.insert(self.session, Arc::new(route));
        // Not before the lock is free: who drops the last sender of a mailbox wakes its actor.
        drop(before);
    }

    /// Confirms that the session checked the integrity of what came from an address.
    ///
    /// Sessions say it with each connectivity check, and it is seldom new: readers are held up only then.
    pub fn confirm(&self, address: SocketAddr) {
        let is_known = self.directory.read().demux.is_confirmed(address, &self.session);
        if !is_known {
            self.directory.write().demux.confirm(address, &self.session);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut tables = self.directory.write();
        tables.demux.unregister(&self.session);
        let route = tables.routes.remove(&self.session);
        drop(tables);
        drop(route);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    /// Stands for a room and for a peer.
    struct Ear(UnboundedSender<&'static str>);

    impl Actor for Ear {
        type Context = Context<Self>;
    }

    impl Handler<Adopt> for Ear {
        type Result = ();

        fn handle(&mut self, _: Adopt, _: &mut Self::Context) {
            self.0.send("adopt").unwrap();
        }
    }

    impl Handler<Datagrams> for Ear {
        type Result = ();

        fn handle(&mut self, _: Datagrams, _: &mut Self::Context) {
            self.0.send("datagrams").unwrap();
        }
    }

    fn ear() -> (Addr<Ear>, UnboundedReceiver<&'static str>) {
        let (said, heard) = unbounded_channel();
        (Ear(said).start(), heard)
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn media(port: u16) -> Datagram {
        (address(port), vec![0x80; 20])
    }

    /// A connectivity check (RFC 8489 §5, RFC 8445 §7.1): header, USERNAME, PRIORITY, and a MESSAGE-INTEGRITY that only
    /// the session would look at.
    fn check(port: u16, username: &[u8; 8]) -> Datagram {
        let head = [0, 1, 0, 44, 0x21, 0x12, 0xa4, 0x42];
        let (username_is, priority_is, integrity_is) = ([0, 6, 0, 8], [0, 0x24, 0, 4, 1, 1, 1, 1], [0, 8, 0, 20]);
        let parts: [&[u8]; 7] = [&head, &[7; 12], &username_is, username, &priority_is, &integrity_is, &[9; 20]];
        (address(port), parts.concat())
    }

    fn send(share: &Share) {
        let datagrams = Datagrams { received_at: Instant::now(), datagrams: share.datagrams.clone() };
        match &*share.route {
            Route::Waiting(room) => {
                room.try_send(Adopt { session: share.session, worker: 0, datagrams }).unwrap();
            }
            Route::Running { peer, .. } => peer.try_send(datagrams).unwrap(),
        }
    }

    #[actix::test]
    async fn a_session_waits_is_run_and_is_forgotten() {
        let directory = Arc::new(Directory::default());
        let ((room, mut room_heard), (peer, mut peer_heard)) = (ear(), ear());
        let session = SessionId::random();
        let waiting = Route::Waiting(room.recipient());
        let registration = directory.register("ours".into(), session, waiting);
        let (shares, unplaced) =
            directory.share_out(vec![check(1, b"ours:the"), media(1), check(2, b"ours:the"), check(1, b"none:the")]);
        // Media comes by confirmed addresses only, and the last check is for nobody.
        assert_eq!((shares.len(), unplaced, shares[0].datagrams.len()), (1, 2, 2));
        send(&shares[0]);
        assert_eq!(room_heard.recv().await, Some("adopt"));

        registration.reroute(Route::Running { peer: peer.recipient(), worker: 1 });
        registration.confirm(address(1));
        registration.confirm(address(1));
        let (shares, unplaced) = directory.share_out(vec![check(1, b"ours:the"), media(1)]);
        assert_eq!((shares.len(), unplaced, shares[0].datagrams.len()), (1, 0, 2));
        assert!(matches!(*shares[0].route, Route::Running { worker: 1, .. }));
        send(&shares[0]);
        assert_eq!(peer_heard.recv().await, Some("datagrams"));

        assert_eq!(directory.len(), (1, 1));
        drop(registration);
        assert_eq!(directory.len(), (0, 0));
        assert!(directory.read().routes.is_empty());
        assert_eq!(directory.share_out(vec![check(1, b"ours:the"), media(1)]).1, 2);
    }

    #[actix::test]
    async fn a_confirmed_address_moves_and_a_restart_renames() {
        let directory = Arc::new(Directory::default());
        let (room, _heard) = ear();
        let (old, new) = (SessionId::random(), SessionId::random());
        let register =
            |ufrag: &str, session| directory.register(ufrag.into(), session, Route::Waiting(room.clone().recipient()));
        let (first, second) = (register("old1", old), register("new1", new));
        first.confirm(address(1));
        second.confirm(address(1));
        assert_eq!(directory.share_out(vec![media(1)]).0[0].session, new);
        second.rename("new2".into());
        assert_eq!(directory.share_out(vec![check(9, b"new1:the")]).1, 1);
        assert_eq!(directory.share_out(vec![check(9, b"new2:the")]).0[0].session, new);
        drop(first);
        assert_eq!(directory.share_out(vec![media(1)]).0[0].session, new);
        drop(second);
        assert_eq!(directory.len(), (0, 0));
    }
}
