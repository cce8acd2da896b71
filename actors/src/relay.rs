//! Fans a room's packets out to the viewers of one worker.

use actix::prelude::*;
use serde::Serialize;

use crate::core::fanout::{Delivery, Fanout};
use crate::observe::{Observe, observed};
use crate::room::{Media, RequestKeyframe, Stop};
use crate::session_id::SessionId;

/// How many batches may wait here: a batch is what left the publisher's socket together, so this is well over a second.
const MAILBOX_BATCHES: usize = 256;

/// Takes a viewer in. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// The viewer's session.
    pub session: SessionId,
    /// Who takes its packets.
    pub to: Recipient<Media>,
}

/// Lets a viewer go. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Detach(pub SessionId);

/// Holds the viewers of a room on one worker.
#[derive(Debug)]
pub struct Relay {
    worker: usize,
    viewers: Fanout<(SessionId, Recipient<Media>)>,
    keyframes: Recipient<RequestKeyframe>,
    batches: u64,
    packets: u64,
}

#[derive(Debug, Serialize)]
struct RelayState {
    worker: usize,
    viewers: usize,
    batches: u64,
    packets: u64,
    dropped_packets: u64,
}

impl Relay {
    /// Creates the relay of a worker; it asks `keyframes` when a viewer fell behind.
    pub fn new(worker: usize, keyframes: Recipient<RequestKeyframe>) -> Self {
        Self { worker, viewers: Fanout::default(), keyframes, batches: 0, packets: 0 }
    }
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_BATCHES);
    }
}

impl Handler<Media> for Relay {
    type Result = ();

    fn handle(&mut self, media: Media, _: &mut Self::Context) {
        self.batches += 1;
        self.packets += media.batch.packets.len() as u64;
        let fell_behind = self.viewers.publish(&media.batch, |(_, to), batch, after_gap| {
            let after_gap = after_gap || media.after_gap;
            deliver(to, Media { batch, after_gap })
        });
        if fell_behind {
            self.keyframes.do_send(RequestKeyframe);
        }
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

impl Handler<Attach> for Relay {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        self.viewers.add((attach.session, attach.to));
        self.keyframes.do_send(RequestKeyframe);
    }
}

impl Handler<Detach> for Relay {
    type Result = ();

    fn handle(&mut self, Detach(session): Detach, _: &mut Self::Context) {
        self.viewers.remove(|(other, _)| *other == session);
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
            viewers: self.viewers.len(),
            batches: self.batches,
            packets: self.packets,
            dropped_packets: self.viewers.dropped_packets(),
        }))
    }
}
