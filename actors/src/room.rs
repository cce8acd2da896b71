//! One broadcast name: at most one publisher, any number of readers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use onair_media::{MediaKind, PacketBatch, RoomName, SourceId};
use tracing::{info, warn};

use crate::core::fanout::Fanout;
use crate::core::meter::TrackMeter;
use crate::core::offer::{Offer, OfferError, Role};
use crate::core::session::{EndReason, Session};
use crate::core::throttle::KeyframeThrottle;
use crate::packager::{Finish, LINGER, Packager, SourceEnded, SourceStarted};
use crate::peer::{Close, Duty, Peer, Place};
use crate::relay::{Relay, deliver};
use crate::room_manager::Lease;
use crate::session_id::{ETag, SessionId, random};
use crate::shared::Shared;
use crate::udp::Register;

mod describe;
mod messages;

pub use describe::{Describe, RoomDescription, RoomState, TrackDescription, ViewerCounts};
pub use messages::*;

/// How many batches and other messages may wait here: well over a second of a publisher's batches.
const MAILBOX_MESSAGES: usize = 512;

/// How long viewers are kept when there is nothing to show, at least: a broadcaster's page reload, a changed encoder.
const VIEWER_GRACE: Duration = Duration::from_secs(30);

/// The most packagers that may still be finishing earlier broadcasts of a room.
const MAX_FINISHING: usize = 8;

/// Owns one room.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    shared: Arc<Shared>,
    /// Held while there is unfinished business besides sessions, which hold leases of their own.
    lease: Option<Lease>,
    publisher: Option<Publisher>,
    sessions: HashMap<SessionId, (Role, Addr<Peer>)>,
    readers: Fanout<Recipient<Media>>,
    relay: Option<Addr<Relay>>,
    packager: Option<Addr<Packager>>,
    /// Packagers of earlier broadcasts whose recordings are not stored yet.
    finishing: Vec<Addr<Packager>>,
    throttle: KeyframeThrottle,
    throttle_timer: bool,
    meters: HashMap<MediaKind, TrackMeter>,
    live_since: Option<SystemTime>,
    next_source: SourceId,
    shutting_down: bool,
}

#[derive(Debug)]
struct Publisher {
    session: SessionId,
    peer: Addr<Peer>,
    source: SourceId,
    kinds: Vec<MediaKind>,
    /// Whether media came, so that its packager knows of it.
    started: bool,
}

impl Room {
    /// Creates an empty room.
    pub fn new(name: RoomName, shared: Arc<Shared>) -> Self {
        Self {
            name,
            shared,
            lease: None,
            publisher: None,
            sessions: HashMap::new(),
            readers: Fanout::default(),
            relay: None,
            packager: None,
            finishing: Vec::new(),
            throttle: KeyframeThrottle::default(),
            throttle_timer: false,
            meters: HashMap::new(),
            live_since: None,
            next_source: SourceId(1),
            shutting_down: false,
        }
    }

    /// Accepts an offer and starts its peer.
    fn admit(
        &mut self,
        offer: Offer,
        lease: Lease,
        duty: impl FnOnce(&mut Self, &Context<Self>) -> Duty,
        ctx: &Context<Self>,
    ) -> Result<Joining, AdmitError> {
        let seat = self.shared.limits.take_seat().ok_or(AdmitError::Full)?;
        let role = offer.role;
        let (mut session, answer) =
            Session::accept(Arc::clone(&self.shared.identity), offer, random(), Instant::now())?;
        let (id, etag, ufrag, kinds) = (SessionId::random(), ETag::random(), session.local_ufrag(), session.kinds());
        self.check_common_codec(role, &session)?;
        let place = Place {
            room: ctx.address(),
            udp: self.shared.udp.clone(),
            socket: Arc::clone(&self.shared.socket),
            lease,
            seat,
        };
        let duty = duty(self, ctx);
        let peer = Peer::new(id, session, duty, place, etag.clone()).start();
        self.sessions.insert(id, (role, peer.clone()));
        info!(room = %self.name, session = %id.short(), ?role, "session accepted");
        let register = Register { ufrag, session: id, peer: peer.clone().recipient() };
        Ok(Joining { admitted: Admitted { session: id, answer, etag }, register, peer, kinds })
    }

    /// A viewer that can play nothing of what is live learns it now, not from a black picture.
    fn check_common_codec(&self, role: Role, session: &Session) -> Result<(), AdmitError> {
        let plays_any = self.meters.values().any(|meter| session.carries(meter.codec()));
        if role == Role::Viewer && self.publisher.is_some() && !self.meters.is_empty() && !plays_any {
            let live: Vec<_> = self.meters.values().map(|meter| format!("{:?}", meter.codec())).collect();
            let why = format!("the broadcast is {}, which the offer does not accept", live.join(" and "));
            return Err(OfferError::NotAcceptable(why).into());
        }
        Ok(())
    }

    fn relay(&mut self, ctx: &Context<Self>) -> Addr<Relay> {
        let readers = &mut self.readers;
        let relay = self.relay.get_or_insert_with(|| {
            let relay = Relay::new(ctx.address().recipient()).start();
            readers.add(relay.clone().recipient());
            relay
        });
        relay.clone()
    }

    /// Makes sure that a packager knows of the publisher, from its first media on.
    fn introduce_publisher(&mut self, ctx: &Context<Self>) {
        let Some(publisher) = self.publisher.as_mut().filter(|publisher| !publisher.started) else { return };
        publisher.started = true;
        let (source, tracks) = (publisher.source, publisher.kinds.clone());
        self.live_since.get_or_insert_with(SystemTime::now);
        info!(room = %self.name, ?source, "live");
        if self.packager.is_none() && self.finishing.len() < MAX_FINISHING {
            let (name, shared, room) = (self.name.clone(), Arc::clone(&self.shared), ctx.address());
            let packager =
                Packager::start_in_arbiter(&self.shared.packaging, move |_| Packager::new(name, shared, room));
            self.readers.add(packager.clone().recipient());
            self.packager = Some(packager);
        }
        match &self.packager {
            Some(packager) => packager.do_send(SourceStarted { source, tracks }),
            None => warn!(room = %self.name, "too many recordings are still being stored; this broadcast has no HLS"),
        }
    }

    /// The publisher is gone: its broadcast ends now, or when it does not come back in time.
    fn publisher_ended(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        self.publisher = None;
        self.meters.clear();
        if let Some(packager) = &self.packager {
            packager.do_send(SourceEnded);
        }
        let blinked = matches!(reason, EndReason::ConsentLost | EndReason::ClosedByPeer | EndReason::Failed);
        let wait = if blinked && !self.shutting_down { self.shared.record.reconnect } else { Duration::ZERO };
        let source = self.next_source;
        self.after(wait, ctx, move |room, ctx| {
            if room.publisher.is_none() && room.next_source == source {
                room.end_broadcast(ctx);
            }
        });
    }

    fn end_broadcast(&mut self, ctx: &mut Context<Self>) {
        if self.live_since.take().is_some() {
            info!(room = %self.name, "broadcast ended");
        }
        let linger = if self.shutting_down { Duration::ZERO } else { LINGER };
        if let Some(packager) = self.packager.take() {
            let reader = packager.clone().recipient();
            self.readers.remove(|other| *other == reader);
            packager.do_send(Finish { linger });
            self.finishing.push(packager);
        }
        let (source, grace) = (self.next_source, if self.shutting_down { Duration::ZERO } else { VIEWER_GRACE });
        self.after(grace, ctx, move |room, _| {
            if room.publisher.is_none() && room.next_source == source {
                room.close_all(Role::Viewer, EndReason::RoomEnded);
            }
        });
        self.let_go_if_idle();
    }

    fn close_all(&self, role: Role, reason: EndReason) {
        for (_, peer) in self.sessions.values().filter(|(other, _)| *other == role) {
            peer.do_send(Close(reason));
        }
    }

    fn after(
        &self,
        wait: Duration,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, &mut Context<Self>) + 'static,
    ) {
        ctx.run_later(wait, then);
    }

    /// Gives the room's own lease back when only sessions are left to hold it.
    fn let_go_if_idle(&mut self) {
        if self.publisher.is_none() && self.live_since.is_none() && self.packager.is_none() && self.finishing.is_empty()
        {
            self.lease = None;
        }
    }

    /// Sends a keyframe request when the throttle lets it, or sets the timer at which it will.
    fn flush_keyframe_request(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.throttle.poll(now) {
            if let Some(publisher) = &self.publisher {
                publisher.peer.do_send(RequestKeyframe);
            }
        } else if let Some(wait) = self.throttle.wait(now).filter(|_| !self.throttle_timer) {
            self.throttle_timer = true;
            self.after(wait, ctx, |room, ctx| {
                room.throttle_timer = false;
                room.flush_keyframe_request(ctx);
            });
        }
    }

    fn measure(&mut self, batch: &PacketBatch) {
        for packet in &batch.packets {
            let meter = self.meters.entry(packet.codec.kind()).or_insert_with(|| TrackMeter::new(packet));
            if meter.codec() != packet.codec {
                *meter = TrackMeter::new(packet);
            }
            meter.count(packet);
            if packet.starts_keyframe && packet.codec.kind() == MediaKind::Video {
                self.throttle.keyframe_came();
            }
        }
    }
}

/// A session on its way in: the port must know it before the client does.
struct Joining {
    admitted: Admitted,
    register: Register,
    peer: Addr<Peer>,
    kinds: Vec<MediaKind>,
}

impl Joining {
    fn registered(self, room: &Room) -> ResponseFuture<Result<Admitted, AdmitError>> {
        let udp = room.shared.udp.clone();
        Box::pin(async move {
            udp.send(self.register).await.map_err(|_| AdmitError::ShuttingDown)?;
            Ok(self.admitted)
        })
    }
}

fn refused(error: AdmitError) -> ResponseFuture<Result<Admitted, AdmitError>> {
    Box::pin(async { Err(error) })
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
    }
}

impl Handler<Publish> for Room {
    type Result = ResponseFuture<Result<Admitted, AdmitError>>;

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) -> Self::Result {
        if self.shutting_down {
            return refused(AdmitError::ShuttingDown);
        }
        if self.publisher.is_some() && !publish.takeover {
            return refused(AdmitError::HasPublisher);
        }
        let source = self.next_source;
        let joining = match self.admit(publish.offer, publish.lease.clone(), |_, _| Duty::Publish(source), ctx) {
            Ok(joining) => joining,
            Err(error) => return refused(error),
        };
        if let Some(old) = self.publisher.take() {
            old.peer.do_send(Close(EndReason::TakenOver));
            self.publisher_ended(EndReason::TakenOver, ctx);
        }
        self.next_source = SourceId(source.0 + 1);
        self.lease = Some(publish.lease);
        let (session, peer, kinds) = (joining.admitted.session, joining.peer.clone(), joining.kinds.clone());
        self.publisher = Some(Publisher { session, peer, source, kinds, started: false });
        joining.registered(self)
    }
}

impl Handler<Subscribe> for Room {
    type Result = ResponseFuture<Result<Admitted, AdmitError>>;

    fn handle(&mut self, subscribe: Subscribe, ctx: &mut Self::Context) -> Self::Result {
        if self.shutting_down {
            return refused(AdmitError::ShuttingDown);
        }
        let is_live = self.publisher.is_some() || self.live_since.is_some();
        let wait = match (is_live, subscribe.wait) {
            (true, _) => None,
            (false, Some(wait)) => Some(wait),
            (false, None) => return refused(AdmitError::NotLive),
        };
        let joining = match self.admit(subscribe.offer, subscribe.lease, |room, ctx| Duty::View(room.relay(ctx)), ctx) {
            Ok(joining) => joining,
            Err(error) => return refused(error),
        };
        if let Some(wait) = wait {
            let peer = joining.peer.clone();
            self.after(wait, ctx, move |room, _| {
                if room.publisher.is_none() && room.live_since.is_none() {
                    peer.do_send(Close(EndReason::RoomEnded));
                }
            });
        }
        joining.registered(self)
    }
}

impl Handler<Media> for Room {
    type Result = ();

    fn handle(&mut self, media: Media, ctx: &mut Self::Context) {
        // What a replaced publisher sent last is not the room's any more.
        if self.publisher.as_ref().is_none_or(|publisher| publisher.source != media.batch.source) {
            return;
        }
        self.introduce_publisher(ctx);
        self.measure(&media.batch);
        let fell_behind =
            self.readers.publish(&media.batch, |reader, batch, after_gap| deliver(reader, Media { batch, after_gap }));
        if fell_behind {
            warn!(room = %self.name, dropped = self.readers.dropped_packets(), "reader too slow, dropping to the next keyframe");
            ctx.notify(RequestKeyframe);
        }
    }
}

impl Handler<RequestKeyframe> for Room {
    type Result = ();

    fn handle(&mut self, _: RequestKeyframe, ctx: &mut Self::Context) {
        self.throttle.request();
        self.flush_keyframe_request(ctx);
    }
}

impl Handler<FindSession> for Room {
    type Result = Option<Addr<Peer>>;

    fn handle(&mut self, FindSession(id, role): FindSession, _: &mut Self::Context) -> Self::Result {
        self.sessions.get(&id).filter(|(other, _)| *other == role).map(|(_, peer)| peer.clone())
    }
}

impl Handler<FindPackager> for Room {
    type Result = Option<Addr<Packager>>;

    fn handle(&mut self, _: FindPackager, _: &mut Self::Context) -> Self::Result {
        self.packager.as_ref().or_else(|| self.finishing.last()).cloned()
    }
}

impl Handler<PeerEnded> for Room {
    type Result = ();

    fn handle(&mut self, ended: PeerEnded, ctx: &mut Self::Context) {
        self.sessions.remove(&ended.session);
        if self.publisher.as_ref().is_some_and(|publisher| publisher.session == ended.session) {
            self.publisher_ended(ended.reason, ctx);
        }
    }
}

impl Handler<PackagerDone> for Room {
    type Result = ();

    fn handle(&mut self, PackagerDone(packager): PackagerDone, _: &mut Self::Context) {
        self.finishing.retain(|other| *other != packager);
        self.let_go_if_idle();
    }
}

impl Handler<Shutdown> for Room {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.shutting_down = true;
        self.close_all(Role::Publisher, EndReason::ShuttingDown);
        self.close_all(Role::Viewer, EndReason::ShuttingDown);
        if self.publisher.is_none() {
            self.end_broadcast(ctx);
        }
        for packager in &self.finishing {
            packager.do_send(Finish { linger: Duration::ZERO });
        }
    }
}

impl Handler<Stop> for Room {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        if let Some(relay) = &self.relay {
            relay.do_send(Stop);
        }
        ctx.stop();
    }
}
