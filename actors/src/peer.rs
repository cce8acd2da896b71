//! The shell around one WHIP or WHEP session: its mailbox, its timer, its way to the socket and to the room.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use onair_media::{EncodingSet, PacketBatch, RtpPacket, SourceId};
use serde::Serialize;
use tracing::{info, warn};

use crate::core::egress::EgressOrder;
use crate::core::offer::Role;
use crate::core::session::{EndReason, Output, Session, SessionState};
use crate::directory::{Registration, Route};
use crate::limits::Seat;
use crate::mailbox::Bounded;
use crate::media_socket::MediaSocket;
use crate::observe::{Observe, observed};
use crate::patch::{Patch, PatchError, Patched};
use crate::relay::{ForViewer, Relay};
use crate::room::{Media, PeerEnded, RequestKeyframe, Room};
use crate::room_manager::Lease;
use crate::session_id::{ETag, SessionId};
use crate::udp::{Datagram, Datagrams};

/// Ends the session. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close(pub EndReason);

/// What a peer does with media.
#[derive(Debug)]
pub enum Duty {
    /// Sends packets to the room, under this source number.
    Publish(SourceId),
    /// Speaks to the relay on behalf of a viewer, who gets the room's packets from it.
    View(Addr<Relay>),
}

/// Where a peer belongs.
#[derive(Debug)]
pub struct Place {
    /// Its room.
    pub room: Addr<Room>,
    /// Its worker.
    pub worker: usize,
    /// The sending half of its worker's socket.
    pub socket: Arc<MediaSocket>,
}

/// A session that was accepted, and what moves with it from the room, where it waits, to its peer.
#[derive(Debug)]
pub struct Accepted {
    /// Its id.
    pub id: SessionId,
    /// The session itself.
    pub session: Session,
    /// Names its ICE generation.
    pub etag: ETag,
    /// Keeps it known to the workers.
    pub registration: Registration,
    /// Keeps the room alive.
    pub lease: Lease,
    /// Counts the session.
    pub seat: Seat,
}

/// Owns one session.
#[derive(Debug)]
pub struct Peer {
    id: SessionId,
    session: Session,
    duty: Duty,
    place: Place,
    etag: ETag,
    registration: Registration,
    /// Keep the room alive, and count the session.
    _held: (Lease, Seat),
    timer: Option<(Instant, SpawnHandle)>,
    /// Datagrams that go out together.
    outgoing: Vec<Datagram>,
    /// Packets that the room's full mailbox refused.
    dropped_packets: u64,
    /// Whether the room misses what was just refused.
    is_room_behind: bool,
    /// Said to the room when the actor goes, in whatever way it goes.
    reason: EndReason,
}

/// Shows a session to people.
#[derive(Debug, Serialize)]
pub(crate) struct PeerState<'a> {
    pub(crate) session: SessionId,
    /// Which worker runs it; none while it waits for the first connectivity check.
    pub(crate) worker: Option<usize>,
    #[serde(flatten)]
    pub(crate) state: &'a SessionState,
    pub(crate) dropped_packets: u64,
}

impl Peer {
    /// Creates the shell of a session whose first connectivity check came.
    pub fn new(accepted: Accepted, duty: Duty, place: Place) -> Self {
        let Accepted { id, session, etag, registration, lease, seat } = accepted;
        Self {
            id,
            session,
            duty,
            place,
            etag,
            registration,
            _held: (lease, seat),
            timer: None,
            outgoing: Vec::new(),
            dropped_packets: 0,
            is_room_behind: false,
            reason: EndReason::Failed,
        }
    }

    /// Does what the session asks for, then sets the timer that it asks for.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        let mut packets = Vec::new();
        while let Some(output) = self.session.poll() {
            match output {
                Output::Transmit(to, datagram) => self.outgoing.push((to, datagram)),
                Output::Packet(packet) => packets.push(packet),
                Output::AddressConfirmed(address) => self.registration.confirm(address),
                Output::Egress(order) => self.tell_relay(order),
                Output::Connected => {
                    info!(session = %self.id.short(), role = ?self.session.state().role, "peer connected");
                }
                Output::Ended(reason) => self.ended(reason, ctx),
            }
        }
        self.place.socket.send(&self.outgoing);
        self.outgoing.clear();
        self.publish(packets);
        self.set_timer(ctx);
    }

    fn publish(&mut self, packets: Vec<RtpPacket>) {
        let Duty::Publish(source) = self.duty else { return };
        if packets.is_empty() {
            return;
        }
        let count = packets.len() as u64;
        let batch = Arc::new(PacketBatch { source, packets });
        let refused = self.place.room.try_send(Media { batch, after_gap: self.is_room_behind }).is_err();
        if refused {
            self.dropped_packets += count;
            self.session.request_keyframe(EncodingSet::ALL, Instant::now());
        }
        self.is_room_behind = refused;
    }

    /// What the network can cause at will goes through the bounded mailbox, and will be said again. The rest is said once for
    /// all that came together, and the peer's own mailbox bounds that.
    fn tell_relay(&self, order: EgressOrder) {
        let Duty::View(relay) = &self.duty else { return };
        let is_said_again = matches!(
            order,
            EgressOrder::Resend(_) | EgressOrder::KeyframeWanted | EgressOrder::Arrivals(_) | EgressOrder::Lossy
        );
        let message = ForViewer { session: self.id, order };
        if is_said_again {
            drop(relay.try_send(message));
        } else {
            relay.do_send(message);
        }
    }

    fn ended(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        let error = self.session.state().error.as_deref();
        if let Some(error) = error {
            warn!(session = %self.id.short(), error, "peer failed");
        }
        info!(session = %self.id.short(), role = ?self.session.state().role, ?reason, "peer ended");
        self.reason = reason;
        ctx.stop();
    }

    /// Keeps one timer; it is set anew only for an earlier time, for it sets itself again when it fires.
    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let due = self.session.next_timeout();
        if let Some((at, handle)) = self.timer {
            if at <= due {
                return;
            }
            ctx.cancel_future(handle);
        }
        let wait = due.saturating_duration_since(Instant::now());
        let handle = ctx.run_later(wait, |peer, ctx| {
            peer.timer = None;
            peer.session.timeout(Instant::now());
            peer.settle(ctx);
        });
        self.timer = Some((due, handle));
    }
}

impl Drop for Peer {
    /// Lets go of every place that knows the session, so that not even a defect leaves it occupied. The registration
    /// does so by itself.
    fn drop(&mut self) {
        if let Duty::View(relay) = &self.duty {
            relay.do_send(ForViewer { session: self.id, order: EgressOrder::Detach });
        }
        self.place.room.do_send(PeerEnded { session: self.id, reason: self.reason });
    }
}

impl Bounded for Peer {
    /// How many messages may wait here: batches of media or datagrams, each of up to 64.
    const MAILBOX: usize = 64;
}

impl Actor for Peer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let peer = ctx.address().recipient();
        self.registration.reroute(Route::Running { peer, worker: self.place.worker });
        self.settle(ctx);
    }
}

impl Handler<Datagrams> for Peer {
    type Result = ();

    fn handle(&mut self, batch: Datagrams, ctx: &mut Self::Context) {
        for (source, datagram) in &batch.datagrams {
            self.session.receive(batch.received_at, *source, datagram);
        }
        self.settle(ctx);
    }
}

impl Handler<RequestKeyframe> for Peer {
    type Result = ();

    fn handle(&mut self, RequestKeyframe(encodings): RequestKeyframe, ctx: &mut Self::Context) {
        self.session.request_keyframe(encodings, Instant::now());
        self.settle(ctx);
    }
}

impl Handler<Patch> for Peer {
    type Result = Result<Patched, PatchError>;

    fn handle(&mut self, patch: Patch, ctx: &mut Self::Context) -> Self::Result {
        let patched = patch.apply(&mut self.session, &mut self.etag, &self.registration, Instant::now());
        self.settle(ctx);
        patched
    }
}

impl Handler<Close> for Peer {
    type Result = ();

    fn handle(&mut self, Close(reason): Close, ctx: &mut Self::Context) {
        self.session.close(reason, Instant::now());
        self.settle(ctx);
    }
}

impl Handler<Observe> for Peer {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let state = self.session.state();
        debug_assert!(matches!(
            (state.role, &self.duty),
            (Role::Publisher, Duty::Publish(_)) | (Role::Viewer, Duty::View(_))
        ));
        let (session, worker, dropped_packets) = (self.id, Some(self.place.worker), self.dropped_packets);
        MessageResult(observed(&PeerState { session, worker, state, dropped_packets }))
    }
}
