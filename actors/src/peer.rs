//! The shell around one WHIP or WHEP session: its mailbox, its timer, its way to the socket and to the room.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use onair_media::{PacketBatch, RtpPacket, SourceId};
use serde::Serialize;
use tracing::{info, warn};

use crate::core::egress::EgressOrder;
use crate::core::offer::{IceFragment, OfferError, Role};
use crate::core::session::{EndReason, Output, Session, SessionState};
use crate::media_socket::MediaSocket;
use crate::observe::{Observe, observed};
use crate::relay::{ForViewer, Relay};
use crate::room::{Media, PeerEnded, RequestKeyframe, Room};
use crate::room_manager::Lease;
use crate::session_id::{ETag, SessionId};
use crate::shared::Seat;
use crate::udp::{Confirm, Datagram, Datagrams, Register, Udp, Unregister};

/// How many messages may wait here: batches of media or datagrams, each of up to 64.
const MAILBOX_MESSAGES: usize = 64;

/// Trickles candidates or restarts ICE. Returns the answer, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Patched, PatchError>")]
pub struct Patch {
    /// The body, parsed.
    pub fragment: IceFragment,
    /// The `If-Match` header.
    pub if_match: Option<String>,
}

/// The answer to a [`Patch`].
#[derive(Debug)]
pub enum Patched {
    /// Candidates were taken in.
    Trickled,
    /// ICE restarted: the fragment of our side and the new tag.
    Restarted {
        /// `application/trickle-ice-sdpfrag`.
        fragment: String,
        /// Names the new ICE generation.
        etag: ETag,
    },
}

/// Says why a [`Patch`] was refused; the session goes on.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// No `If-Match` (RFC 6585 §3).
    #[error("If-Match is missing")]
    TagMissing,
    /// `If-Match` names another ICE generation.
    #[error("If-Match names another ICE generation")]
    TagMismatch {
        /// The tag of the present one.
        current: ETag,
    },
    /// The fragment was refused.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

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
    /// The media port's receiving half.
    pub udp: Addr<Udp>,
    /// The media port's sending half.
    pub socket: Arc<MediaSocket>,
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

#[derive(Debug, Serialize)]
struct PeerState<'a> {
    session: SessionId,
    #[serde(flatten)]
    state: &'a SessionState,
    dropped_packets: u64,
}

impl Peer {
    /// Creates the shell of a session that was just accepted.
    pub fn new(id: SessionId, session: Session, duty: Duty, place: Place, etag: ETag) -> Self {
        Self {
            id,
            session,
            duty,
            place,
            etag,
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
                // What the network can cause without end goes through bounded mailboxes; it will be said again.
                Output::KeyframeWanted => drop(self.place.room.try_send(RequestKeyframe)),
                Output::AddressConfirmed(address) => {
                    drop(self.place.udp.try_send(Confirm { address, session: self.id }));
                }
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
            self.session.request_keyframe(Instant::now());
        }
        self.is_room_behind = refused;
    }

    /// What the network can cause without end goes through the bounded mailbox; it will be said again.
    fn tell_relay(&self, order: EgressOrder) {
        let Duty::View(relay) = &self.duty else { return };
        let is_asked_again = matches!(order, EgressOrder::Resend(_));
        let message = ForViewer { session: self.id, order };
        if is_asked_again {
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
    /// Lets go of every place that knows the session, so that not even a defect leaves it occupied.
    fn drop(&mut self) {
        if let Duty::View(relay) = &self.duty {
            relay.do_send(ForViewer { session: self.id, order: EgressOrder::Detach });
        }
        self.place.udp.do_send(Unregister(self.id));
        self.place.room.do_send(PeerEnded { session: self.id, reason: self.reason });
    }
}

impl Actor for Peer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
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

    fn handle(&mut self, _: RequestKeyframe, ctx: &mut Self::Context) {
        self.session.request_keyframe(Instant::now());
        self.settle(ctx);
    }
}

impl Handler<Patch> for Peer {
    type Result = Result<Patched, PatchError>;

    fn handle(&mut self, patch: Patch, ctx: &mut Self::Context) -> Self::Result {
        let if_match = patch.if_match.ok_or(PatchError::TagMissing)?;
        if !self.etag.is_matched_by(&if_match) {
            return Err(PatchError::TagMismatch { current: self.etag.clone() });
        }
        let restarted = self.session.patch(patch.fragment, Instant::now())?;
        let patched = match restarted {
            None => Patched::Trickled,
            Some(fragment) => {
                self.etag = ETag::random();
                let (ufrag, peer) = (self.session.local_ufrag(), ctx.address().recipient());
                self.place.udp.do_send(Register { ufrag, session: self.id, peer });
                Patched::Restarted { fragment, etag: self.etag.clone() }
            }
        };
        self.settle(ctx);
        Ok(patched)
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
        MessageResult(observed(&PeerState { session: self.id, state, dropped_packets: self.dropped_packets }))
    }
}
