//! Fans a room's packets out to the viewers of one worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_media::{MediaKind, PacketBatch};
use serde::Serialize;

use crate::core::egress::{EgressCounts, EgressGroup, EgressOrder, SendBuffer};
use crate::core::fanout::Delivery;
use crate::core::gather::Gather;
use crate::core::wall_clock::WallClock;
use crate::mailbox::Bounded;
use crate::media_socket::MediaSocket;
use crate::observe::{Observe, observed};
use crate::room::{Media, RequestKeyframe, Stop};
use crate::session_id::SessionId;

/// The shortest wait that pays: the runtime's timers know no less.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How many datagrams go out before others on this worker have their turn: about a millisecond's work.
const SLICE_DATAGRAMS: usize = 1024;

/// Tells the relay what a viewer's session wants of its media plane. *Reliable*, but for what the viewer reports and asks for:
/// it says that once more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ForViewer {
    /// The viewer's session.
    pub session: SessionId,
    /// What it wants.
    pub order: EgressOrder,
}

/// Brings what the room has kept since the last keyframe, to a relay that begins in mid-broadcast. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Prime(pub Vec<Arc<PacketBatch>>);

/// Holds the viewers of a room on one worker.
#[derive(Debug)]
pub struct Relay {
    worker: usize,
    group: EgressGroup<SessionId>,
    socket: Arc<MediaSocket>,
    keyframes: Recipient<RequestKeyframe>,
    buffer: SendBuffer,
    phase: Phase,
    gather: Gather,
    /// Whether the newest picture has yet to end.
    is_picture_open: bool,
    batches: u64,
    packets: u64,
}

/// What the relay is at.
#[derive(Debug)]
enum Phase {
    /// Everybody has what there is.
    Idle,
    /// Packets gather.
    Waiting(SpawnHandle),
    /// Slices of work follow each other.
    Serving,
}

#[derive(Debug, Serialize)]
struct RelayState {
    worker: usize,
    batches: u64,
    packets: u64,
    #[serde(flatten)]
    counts: EgressCounts,
}

impl Relay {
    /// Creates the relay of a worker. It sends through the worker's socket, lets packets gather for up to `gather_for`, and
    /// asks `keyframes` when a viewer needs one.
    pub fn new(
        worker: usize,
        clock: WallClock,
        socket: Arc<MediaSocket>,
        gather_for: Duration,
        keyframes: Recipient<RequestKeyframe>,
    ) -> Self {
        Self {
            worker,
            group: EgressGroup::new(clock),
            socket,
            keyframes,
            buffer: SendBuffer::default(),
            phase: Phase::Idle,
            gather: Gather::new(gather_for),
            is_picture_open: false,
            batches: 0,
            packets: 0,
        }
    }

    /// Begins to serve once the mailbox is empty; a busy worker waits a little for the rest of a picture.
    fn serve_soon(&mut self, ctx: &mut Context<Self>) {
        let wait = if self.is_picture_open { self.gather.wait() } else { Duration::ZERO };
        match self.phase {
            Phase::Idle if wait >= WAIT_MIN => self.phase = Phase::Waiting(ctx.run_later(wait, Self::begin)),
            Phase::Waiting(timer) if wait < WAIT_MIN => {
                ctx.cancel_future(timer);
                self.begin_soon(ctx);
            }
            Phase::Idle => self.begin_soon(ctx),
            Phase::Waiting(_) | Phase::Serving => {}
        }
    }

    fn begin_soon(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        ctx.spawn(async {}.into_actor(self).map(|(), relay, ctx| relay.begin(ctx)));
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        self.gather.begins(Instant::now());
        self.serve(ctx);
    }

    /// Serves viewers for a slice; if more is to be done, lets others on this worker go first.
    fn serve(&mut self, ctx: &mut Context<Self>) {
        let mut datagrams = 0;
        while datagrams < SLICE_DATAGRAMS {
            let Some(destination) = self.group.next(Instant::now(), &mut self.buffer) else {
                self.gather.ends(Instant::now());
                self.phase = Phase::Idle;
                return self.ask_if_wanted();
            };
            datagrams += self.buffer.len();
            self.socket.send_buffer(destination, &self.buffer);
        }
        self.ask_if_wanted();
        ctx.spawn(tokio::task::yield_now().into_actor(self).map(|(), relay, ctx| relay.serve(ctx)));
    }

    /// The wish goes through a bounded mailbox; a viewer that still waits says it again.
    fn ask_if_wanted(&mut self) {
        let encodings = self.group.take_keyframe_wish();
        if !encodings.is_empty() {
            drop(self.keyframes.try_send(RequestKeyframe(encodings)));
        }
    }
}

impl Bounded for Relay {
    /// How many messages may wait here: a batch is what left the publisher's socket together, so this is well over a second.
    const MAILBOX: usize = 256;
}

impl Actor for Relay {
    type Context = Context<Self>;
}

impl Handler<Media> for Relay {
    type Result = ();

    fn handle(&mut self, media: Media, ctx: &mut Self::Context) {
        self.batches += 1;
        self.packets += media.batch.packets.len() as u64;
        self.group.push(&media.batch, media.after_gap);
        let newest = media.batch.packets.iter().rfind(|packet| packet.codec.kind() == MediaKind::Video);
        self.is_picture_open = newest.map_or(self.is_picture_open, |packet| !packet.marker);
        self.serve_soon(ctx);
    }
}

impl Handler<Prime> for Relay {
    type Result = ();

    fn handle(&mut self, Prime(batches): Prime, _: &mut Self::Context) {
        batches.iter().for_each(|batch| self.group.push(batch, false));
    }
}

/// Offers media to a bounded mailbox.
pub(crate) fn deliver(to: &Recipient<Media>, media: Media) -> Delivery {
    match to.try_send(media) {
        Ok(()) => Delivery::Taken,
        Err(SendError::Full(_)) => Delivery::Full,
        Err(SendError::Closed(_)) => Delivery::Gone,
    }
}

impl Handler<ForViewer> for Relay {
    type Result = ();

    fn handle(&mut self, ForViewer { session, order }: ForViewer, ctx: &mut Self::Context) {
        // What a viewer reports makes nothing that is new for anybody.
        let is_report = matches!(order, EgressOrder::Arrivals(_) | EgressOrder::Lossy | EgressOrder::Known(_));
        if let Some(destination) = self.group.obey(session, order, Instant::now(), &mut self.buffer) {
            self.socket.send_buffer(destination, &self.buffer);
        }
        if !is_report {
            self.ask_if_wanted();
            self.serve_soon(ctx);
        }
    }
}

impl Handler<Stop> for Relay {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Observe> for Relay {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&RelayState {
            worker: self.worker,
            batches: self.batches,
            packets: self.packets,
            counts: self.group.counts(),
        }))
    }
}
