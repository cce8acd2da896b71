//! One broadcast name: at most one publisher, any number of readers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use onair_media::{EncodingId, EncodingSet, MediaKind, PacketBatch, RoomName, SourceId};
use onair_recorder::Protocol;
use tracing::{info, warn};

use crate::core::encodings::Encodings;
use crate::core::fanout::Fanout;
use crate::core::gop::GroupOfPictures;
use crate::core::meter::TrackMeter;
use crate::core::offer::Role;
use crate::core::report::PublisherReport;
use crate::core::session::EndReason;
use crate::core::throttle::KeyframeThrottle;

use crate::mailbox::{Bounded, start_on};
use crate::packager::{Finish, LINGER, LetGo, Packager, SourceEnded, SourceStarted};
use crate::relay::{Relay, deliver};
use crate::room_manager::Lease;
use crate::session_id::SessionId;
use crate::shared::Shared;

mod describe;
mod messages;
mod sessions;

pub use describe::{Describe, RoomDescription, RoomState, TrackDescription, ViewerCounts};
pub use messages::*;

use self::sessions::{Joining, Member};

/// How long viewers are kept when there is nothing to show, at least: a broadcaster's page reload, a changed encoder.
const VIEWER_GRACE: Duration = Duration::from_secs(30);

/// How many packagers of earlier broadcasts of a room are kept for their players and while their recordings are being
/// stored. The oldest one lets go of what it holds when there are more; its recordings wait in the spool then.
const MAX_FINISHING: usize = 64;

/// After this long without a packet, another publisher need not ask for the room: an encoder that crashed and is back
/// must not wait until its old session's consent is lost.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// Owns one room.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    shared: Arc<Shared>,
    /// Held while there is unfinished business besides sessions, which hold leases of their own.
    lease: Option<Lease>,
    publisher: Option<Publisher>,
    sessions: HashMap<SessionId, Member>,
    /// The publisher session whose connection went last, for a DELETE that comes after that.
    last_publisher: Option<SessionId>,
    readers: Fanout<Recipient<Media>>,
    /// By worker, for those with viewers.
    relays: BTreeMap<usize, Addr<Relay>>,
    packager: Option<Addr<Packager>>,
    /// Packagers of earlier broadcasts whose recordings are not stored yet.
    finishing: Vec<Addr<Packager>>,
    /// What a relay that begins in mid-broadcast is given first.
    kept: GroupOfPictures,
    throttle: KeyframeThrottle,
    throttle_timer: bool,
    /// Whether the timer for sessions that wait in vain is set.
    deadline_timer: bool,
    meters: HashMap<(MediaKind, EncodingId), TrackMeter>,
    /// What the publisher's encodings are like.
    encodings: Encodings,
    report: PublisherReport,
    live_since: Option<SystemTime>,
    next_source: SourceId,
    shutting_down: bool,
}

#[derive(Debug)]
struct Publisher {
    session: SessionId,
    source: SourceId,
    kinds: Vec<MediaKind>,
    /// The names of its encodings, by their numbers; empty where there is one.
    encodings: Vec<String>,
    /// Whether media came, so that its packager knows of it.
    started: bool,
    /// When media came last; at first, when the session was accepted.
    heard_at: Instant,
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
            last_publisher: None,
            readers: Fanout::default(),
            relays: BTreeMap::new(),
            packager: None,
            finishing: Vec::new(),
            kept: GroupOfPictures::default(),
            throttle: KeyframeThrottle::default(),
            throttle_timer: false,
            deadline_timer: false,
            meters: HashMap::new(),
            encodings: Encodings::default(),
            report: PublisherReport::default(),
            live_since: None,
            next_source: SourceId(1),
            shutting_down: false,
        }
    }

    /// Makes sure that a packager knows of the publisher, from its first media on.
    fn introduce_publisher(&mut self, at: Instant, ctx: &Context<Self>) {
        let Some(publisher) = self.publisher.as_mut().filter(|publisher| !publisher.started) else { return };
        publisher.started = true;
        let (source, tracks) = (publisher.source, publisher.kinds.clone());
        self.live_since.get_or_insert_with(SystemTime::now);
        info!(room = %self.name, ?source, "live");
        let packager = self.packager.get_or_insert_with(|| {
            let (name, shared, room) = (self.name.clone(), Arc::clone(&self.shared), ctx.address());
            let packager = start_on(&self.shared.packaging, move || Packager::new(name, shared, room));
            // Ahead of all viewers: what they miss can be sent again, what a recording misses is gone.
            self.readers.add_first(packager.clone().recipient());
            packager
        });
        packager.do_send(SourceStarted { source, protocol: Protocol::Whip, tracks, at });
    }

    /// The publisher is gone: its broadcast ends now, or when it does not come back in time.
    fn publisher_ended(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        let ended = self.publisher.take();
        self.kept.clear();
        self.meters.clear();
        self.encodings.clear();
        self.report.clear();
        if let Some(packager) = &self.packager {
            packager.do_send(SourceEnded);
        }
        let blinked = matches!(reason, EndReason::ConsentLost | EndReason::ClosedByPeer | EndReason::Failed);
        self.last_publisher = ended.filter(|_| blinked).map(|publisher| publisher.session);
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
            if self.finishing.len() > MAX_FINISHING {
                self.finishing.remove(0).do_send(LetGo);
            }
        }
        let (source, grace) = (self.next_source, if self.shutting_down { Duration::ZERO } else { VIEWER_GRACE });
        self.after(grace, ctx, move |room, ctx| {
            if room.publisher.is_none() && room.next_source == source {
                room.close_those_who_do_not_wait(Instant::now(), ctx);
            }
        });
        self.let_go_if_idle();
    }

    /// Ends the viewers of a broadcast that is over; whoever asked to wait for the next one stays until then.
    fn close_those_who_do_not_wait(&mut self, now: Instant, ctx: &mut Context<Self>) {
        self.close_all(EndReason::RoomEnded, ctx, |member| {
            let waits = member.waits_until.is_some_and(|until| now < until);
            member.role == Role::Viewer && !waits
        });
    }

    /// Tells whether somebody publishes, or is about to. One that has been silent for long is as good as gone.
    fn has_publisher(&self, now: Instant) -> bool {
        let is_heard = |publisher: &Publisher| now.saturating_duration_since(publisher.heard_at) < SILENT_AFTER;
        self.publisher.as_ref().is_some_and(is_heard)
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
        let due = self.throttle.poll(now);
        let publisher = self.publisher.as_ref().and_then(|publisher| self.peer(publisher.session));
        if let Some(peer) = publisher.filter(|_| !due.is_empty()) {
            peer.do_send(RequestKeyframe(due));
            self.report.asked_for_keyframes(due, now);
        }
        if let Some(wait) = self.throttle.wait(now).filter(|_| !self.throttle_timer) {
            self.throttle_timer = true;
            self.after(wait, ctx, |room, ctx| {
                room.throttle_timer = false;
                room.flush_keyframe_request(ctx);
            });
        }
    }

    fn measure(&mut self, batch: &PacketBatch) {
        for packet in &batch.packets {
            self.encodings.note(packet);
            self.report.note(packet);
            let meter =
                self.meters.entry((packet.codec.kind(), packet.encoding)).or_insert_with(|| TrackMeter::new(packet));
            if !meter.measures(packet) {
                *meter = TrackMeter::new(packet);
            }
            meter.count(packet);
            if packet.starts_keyframe && packet.codec.kind() == MediaKind::Video {
                self.throttle.keyframe_came(packet.encoding);
            }
        }
    }
}

impl Bounded for Room {
    /// How many batches and other messages may wait here: well over a second of a publisher's batches.
    const MAILBOX: usize = 512;
}

impl Actor for Room {
    type Context = Context<Self>;
}

impl Handler<Publish> for Room {
    type Result = Result<Admitted, AdmitError>;

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        if self.shutting_down {
            return Err(AdmitError::ShuttingDown);
        }
        if self.has_publisher(now) && !publish.takeover {
            return Err(AdmitError::HasPublisher);
        }
        let source = self.next_source;
        let Joining { admitted, kinds, encodings } = self.admit(publish.offer, publish.lease.clone(), None, ctx)?;
        if let Some(old) = self.publisher.as_ref().map(|publisher| publisher.session) {
            self.publisher_ended(EndReason::TakenOver, ctx);
            self.close(old, EndReason::TakenOver, ctx);
            // Out of the table at once: its URL is gone before the new one is known (W20).
            self.sessions.remove(&old);
        }
        self.next_source = SourceId(source.0 + 1);
        self.lease = Some(publish.lease);
        let session = admitted.session;
        self.publisher = Some(Publisher { session, source, kinds, encodings, started: false, heard_at: now });
        Ok(admitted)
    }
}

impl Handler<Subscribe> for Room {
    type Result = Result<Admitted, AdmitError>;

    fn handle(&mut self, subscribe: Subscribe, ctx: &mut Self::Context) -> Self::Result {
        if self.shutting_down {
            return Err(AdmitError::ShuttingDown);
        }
        let is_live = self.publisher.is_some() || self.live_since.is_some();
        let wait = match (is_live, subscribe.wait) {
            (true, _) => None,
            (false, Some(wait)) => Some(wait),
            (false, None) => return Err(AdmitError::NotLive),
        };
        let waits_until = wait.and_then(|wait| Instant::now().checked_add(wait));
        let Joining { admitted, .. } = self.admit(subscribe.offer, subscribe.lease, waits_until, ctx)?;
        if let Some(wait) = wait {
            let session = admitted.session;
            self.after(wait, ctx, move |room, ctx| {
                if room.publisher.is_none() && room.live_since.is_none() {
                    room.close(session, EndReason::RoomEnded, ctx);
                }
            });
        }
        Ok(admitted)
    }
}

impl Handler<Media> for Room {
    type Result = ();

    fn handle(&mut self, media: Media, ctx: &mut Self::Context) {
        // What a replaced publisher sent last is not the room's any more.
        let is_current = |publisher: &&mut Publisher| publisher.source == media.batch.source;
        let Some(publisher) = self.publisher.as_mut().filter(is_current) else { return };
        let Some(at) = media.batch.packets.first().map(|packet| packet.received_at) else { return };
        publisher.heard_at = at;
        self.introduce_publisher(at, ctx);
        self.measure(&media.batch);
        self.kept.push(&media.batch, media.after_gap);
        let fell_behind = self.readers.publish(&media.batch, |reader, batch, after_gap| {
            deliver(reader, Media { batch, after_gap: after_gap || media.after_gap })
        });
        if fell_behind {
            warn!(room = %self.name, dropped = self.readers.dropped_packets(), "reader too slow, dropping to the next keyframe");
            ctx.notify(RequestKeyframe(EncodingSet::ALL));
        }
    }
}

impl Handler<RequestKeyframe> for Room {
    type Result = ();

    fn handle(&mut self, RequestKeyframe(encodings): RequestKeyframe, ctx: &mut Self::Context) {
        let sent = self.publisher.as_ref().map_or(0, |publisher| publisher.encodings.len());
        self.throttle.request(encodings.both(EncodingSet::first(sent)));
        self.flush_keyframe_request(ctx);
    }
}

impl Handler<FindPackager> for Room {
    type Result = Option<Addr<Packager>>;

    fn handle(&mut self, _: FindPackager, _: &mut Self::Context) -> Self::Result {
        self.packager.clone()
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
        self.close_all(EndReason::ShuttingDown, ctx, |_| true);
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
        for relay in self.relays.values() {
            relay.do_send(Stop);
        }
        ctx.stop();
    }
}
