//! The sessions of a room: they wait for their first connectivity check, and are run by the worker where it came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_media::MediaKind;
use serde_json::Value;
use tracing::info;

use super::messages::{AdmitError, Admitted, DeleteSession, PatchSession, PeerEnded};
use super::{Publisher, Room};
use crate::core::offer::{Offer, OfferError, Role};
use crate::core::session::{CONSENT_TIMEOUT, EndReason, Session};
use crate::directory::{Adopt, Route};
use crate::mailbox::start_on;
use crate::observe::observed;
use crate::patch::{Patch, PatchError, Patched};
use crate::peer::{Accepted, Close, Duty, Peer, PeerState, Place};
use crate::relay::{Prime, Relay};
use crate::room_manager::Lease;
use crate::session_id::{ETag, SessionId, random};

/// The least time between two looks for sessions that wait in vain: many that came one after another end together.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One session of the room.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) stage: Stage,
    /// Until when a viewer waits for a publisher, if it said so.
    pub(super) waits_until: Option<Instant>,
}

/// How far a session is.
#[derive(Debug)]
pub(super) enum Stage {
    /// No connectivity check came yet.
    Waiting(Box<Waiting>),
    /// A worker runs it.
    Running(Addr<Peer>),
}

/// A session for which no connectivity check came yet.
#[derive(Debug)]
pub(super) struct Waiting {
    accepted: Accepted,
    /// When the last one may come at the latest (RFC 7675 §5.1); an ICE restart begins anew.
    deadline: Instant,
}

/// A session that was just accepted.
pub(super) struct Joining {
    pub(super) admitted: Admitted,
    pub(super) kinds: Vec<MediaKind>,
    /// The names of a publisher's encodings; empty where there is one.
    pub(super) encodings: Vec<String>,
}

impl Room {
    /// Accepts an offer; the session waits for its first connectivity check.
    pub(super) fn admit(
        &mut self,
        offer: Offer,
        lease: Lease,
        waits_until: Option<Instant>,
        ctx: &mut Context<Self>,
    ) -> Result<Joining, AdmitError> {
        let (role, now) = (offer.role, Instant::now());
        let seat = match role {
            Role::Publisher => self.shared.limits.admit_publisher()?,
            Role::Viewer => self.shared.limits.admit_viewer(self.viewers())?,
        };
        let (mut session, answer) = Session::accept(Arc::clone(&self.shared.identity), offer, random(), now)?;
        self.check_common_codec(role, &session)?;
        let (id, etag) = (SessionId::random(), ETag::random());
        let (kinds, encodings) = (session.kinds(), session.encoding_names());
        // Ahead of the answer: the workers know the session before the client does.
        let route = Route::Waiting(ctx.address().recipient());
        let registration = self.shared.directory.register(session.local_ufrag(), id, route);
        let accepted = Accepted { id, session, etag: etag.clone(), registration, lease, seat };
        let waiting = Waiting { accepted, deadline: now + CONSENT_TIMEOUT };
        self.sessions.insert(id, Member { role, stage: Stage::Waiting(Box::new(waiting)), waits_until });
        self.watch_deadlines(now, ctx);
        info!(room = %self.name, session = %id.short(), ?role, "session accepted");
        Ok(Joining { admitted: Admitted { session: id, answer, etag }, kinds, encodings })
    }

    /// A viewer that can play nothing of what is live learns it now, not from a black picture.
    fn check_common_codec(&self, role: Role, session: &Session) -> Result<(), AdmitError> {
        if role == Role::Publisher || self.publisher.is_none() {
            return Ok(());
        }
        let wanted = session.kinds();
        let mut live =
            self.meters.iter().filter(|((kind, _), _)| wanted.contains(kind)).map(|(_, meter)| meter.codec());
        match live.find(|codec| !session.carries(*codec)) {
            Some(codec) => {
                let why = format!("the broadcast is {codec:?}, which the offer does not accept");
                Err(OfferError::NotAcceptable(why).into())
            }
            None => Ok(()),
        }
    }

    /// Returns the peer of a session that a worker runs.
    pub(super) fn peer(&self, id: SessionId) -> Option<&Addr<Peer>> {
        self.sessions.get(&id).and_then(Member::peer)
    }

    /// Has a waiting session run by a worker.
    fn run(&mut self, waiting: Waiting, worker: usize, ctx: &Context<Self>) -> Addr<Peer> {
        let duty = self.duty(waiting.accepted.id, worker, ctx);
        let runs_on = &self.shared.workers[worker];
        let place = Place { room: ctx.address(), worker, socket: Arc::clone(&runs_on.socket) };
        start_on(&runs_on.arbiter, move || Peer::new(waiting.accepted, duty, place))
    }

    fn duty(&mut self, id: SessionId, worker: usize, ctx: &Context<Self>) -> Duty {
        match &self.publisher {
            Some(publisher) if publisher.session == id => Duty::Publish(publisher.source),
            _ => Duty::View(self.relay(worker, ctx)),
        }
    }

    /// Returns the relay of a worker, from its first viewer on.
    fn relay(&mut self, worker: usize, ctx: &Context<Self>) -> Addr<Relay> {
        let (readers, workers, clock) = (&mut self.readers, &self.shared.workers, self.shared.identity.clock());
        let (kept, gather_for) = (&self.kept, self.shared.gather_for);
        // One that a defect has ended makes way for a new one.
        if self.relays.get(&worker).is_some_and(|relay| !relay.connected()) {
            self.relays.remove(&worker);
        }
        let relay = self.relays.entry(worker).or_insert_with(|| {
            let (room, socket) = (ctx.address().recipient(), Arc::clone(&workers[worker].socket));
            let make = move || Relay::new(worker, clock, socket, gather_for, room);
            let relay = start_on(&workers[worker].arbiter, make);
            // Ahead of all media, so that its first viewer can begin with the last keyframe, too.
            relay.do_send(Prime(kept.batches()));
            readers.add(relay.clone().recipient());
            relay
        });
        relay.clone()
    }

    /// Ends a session, if there is such a one.
    pub(super) fn close(&mut self, id: SessionId, reason: EndReason, ctx: &mut Context<Self>) {
        match self.sessions.get(&id).map(|member| &member.stage) {
            Some(Stage::Running(peer)) => peer.do_send(Close(reason)),
            Some(Stage::Waiting(_)) => {
                info!(room = %self.name, session = %id.short(), ?reason, "session ended before it began");
                self.session_ended(id, reason, ctx);
            }
            None => {}
        }
    }

    /// Ends the sessions that `is_meant` picks.
    pub(super) fn close_all(&mut self, reason: EndReason, ctx: &mut Context<Self>, is_meant: impl Fn(&Member) -> bool) {
        let meant = self.sessions.iter().filter(|(_, member)| is_meant(member)).map(|(id, _)| *id);
        for id in meant.collect::<Vec<_>>() {
            self.close(id, reason, ctx);
        }
    }

    fn session_ended(&mut self, id: SessionId, reason: EndReason, ctx: &mut Context<Self>) {
        self.sessions.remove(&id);
        if self.publishes(id) {
            self.publisher_ended(reason, ctx);
        }
    }

    fn publishes(&self, id: SessionId) -> bool {
        self.publisher.as_ref().is_some_and(|Publisher { session, .. }| *session == id)
    }

    /// Sets the one timer at which sessions that wait in vain are looked for.
    fn watch_deadlines(&mut self, now: Instant, ctx: &mut Context<Self>) {
        if self.deadline_timer {
            return;
        }
        let waiting = self.sessions.values().filter_map(Member::waiting);
        let Some(next) = waiting.map(|waiting| waiting.deadline).min() else { return };
        self.deadline_timer = true;
        self.after(next.saturating_duration_since(now).max(LOOK_EVERY), ctx, |room, ctx| {
            room.deadline_timer = false;
            let now = Instant::now();
            room.close_all(EndReason::ConsentLost, ctx, |member| {
                member.waiting().is_some_and(|waiting| waiting.deadline <= now)
            });
            room.watch_deadlines(now, ctx);
        });
    }
}

impl Member {
    pub(super) fn peer(&self) -> Option<&Addr<Peer>> {
        match &self.stage {
            Stage::Running(peer) => Some(peer),
            Stage::Waiting(_) => None,
        }
    }

    pub(super) fn waiting(&self) -> Option<&Waiting> {
        match &self.stage {
            Stage::Waiting(waiting) => Some(waiting),
            Stage::Running(_) => None,
        }
    }
}

impl Handler<Adopt> for Room {
    type Result = ();

    fn handle(&mut self, adopt: Adopt, ctx: &mut Self::Context) {
        // Whoever is out of the table has been told to end.
        let Some(member) = self.sessions.remove(&adopt.session) else { return };
        let Member { role, stage, waits_until } = member;
        let peer = match stage {
            Stage::Waiting(waiting) => self.run(*waiting, adopt.worker, ctx),
            Stage::Running(peer) => peer,
        };
        // What the mailbox does not take, the peer sends again.
        drop(peer.try_send(adopt.datagrams));
        self.sessions.insert(adopt.session, Member { role, stage: Stage::Running(peer), waits_until });
    }
}

impl Handler<PatchSession> for Room {
    type Result = ResponseFuture<Result<Patched, PatchError>>;

    fn handle(&mut self, PatchSession { session, role, patch }: PatchSession, _: &mut Self::Context) -> Self::Result {
        let member = self.sessions.get_mut(&session).filter(|member| member.role == role);
        match member.map(|member| &mut member.stage) {
            None => Box::pin(async { Err(PatchError::NoSession) }),
            Some(Stage::Waiting(waiting)) => {
                let patched = waiting.patch(patch, Instant::now());
                Box::pin(async { patched })
            }
            Some(Stage::Running(peer)) => {
                let patched = peer.send(patch);
                Box::pin(async { patched.await.unwrap_or(Err(PatchError::NoSession)) })
            }
        }
    }
}

impl Waiting {
    /// Returns the state of the session as its peer will show it.
    pub(super) fn observed(&self) -> Value {
        let Accepted { id: session, session: core, .. } = &self.accepted;
        observed(&PeerState { session: *session, worker: None, state: core.state(), dropped_packets: 0 })
    }

    fn patch(&mut self, patch: Patch, now: Instant) -> Result<Patched, PatchError> {
        let Accepted { session, etag, registration, .. } = &mut self.accepted;
        let patched = patch.apply(session, etag, registration, now)?;
        if matches!(patched, Patched::Restarted { .. }) {
            self.deadline = now + CONSENT_TIMEOUT;
        }
        Ok(patched)
    }
}

impl Handler<DeleteSession> for Room {
    type Result = bool;

    fn handle(&mut self, DeleteSession(id, role): DeleteSession, ctx: &mut Self::Context) -> Self::Result {
        if self.sessions.get(&id).is_some_and(|member| member.role == role) {
            self.close(id, EndReason::Deleted, ctx);
            // Out of the table at once: a second DELETE finds nothing (W20).
            self.sessions.remove(&id);
            return true;
        }
        // Clients that close their connection before they say goodbye mean it all the same.
        let is_late_goodbye = role == Role::Publisher && self.publisher.is_none() && self.last_publisher == Some(id);
        if is_late_goodbye {
            self.last_publisher = None;
            self.end_broadcast(ctx);
        }
        is_late_goodbye
    }
}

impl Handler<PeerEnded> for Room {
    type Result = ();

    fn handle(&mut self, ended: PeerEnded, ctx: &mut Self::Context) {
        self.session_ended(ended.session, ended.reason, ctx);
    }
}
