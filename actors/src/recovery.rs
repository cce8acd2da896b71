//! Finishes the recordings that were left in the spool, a few at a time: those of another process, and those of this one
//! that were ended while the store did not answer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use chrono::Utc;
use onair_media::{RecordingId, RoomName};
use onair_recorder::spool::off_thread;
use onair_recorder::{PART_BYTES, Resumed, SpoolError};
use tracing::{error, info};

use crate::archive::Archive;
use crate::mailbox::start_here;
use crate::packager::{RecordingDone, RecordingEnd};
use crate::recorder::Recorder;

/// How many recordings are finished side by side.
const AT_ONCE: usize = 4;

/// Asks how many recordings are not finished yet. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct CountLeft;

/// Has a recording finished that its recorder left. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TakeUp {
    /// Its room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// Who is told what became of it.
    pub done: Recipient<RecordingDone>,
}

/// Owns what was left.
#[derive(Debug)]
pub struct Recovery {
    archive: Arc<Archive>,
    left: VecDeque<Left>,
    /// Who is told, if somebody is.
    under_way: HashMap<RecordingId, Option<Recipient<RecordingDone>>>,
}

/// A recording that waits for its turn.
#[derive(Debug)]
struct Left {
    room: RoomName,
    id: RecordingId,
    done: Option<Recipient<RecordingDone>>,
}

impl Recovery {
    /// Takes over recordings, see [`onair_recorder::Spool::left`].
    pub fn new(archive: Arc<Archive>, left: Vec<(RoomName, RecordingId)>) -> Self {
        let left = left.into_iter().map(|(room, id)| Left { room, id, done: None }).collect();
        Self { archive, left, under_way: HashMap::new() }
    }

    fn take_over(&mut self, ctx: &mut Context<Self>) {
        while self.under_way.len() < AT_ONCE
            && let Some(Left { room, id, done }) = self.left.pop_front()
        {
            self.under_way.insert(id.clone(), done);
            let spool = Arc::clone(&self.archive.spool);
            let (of_room, of_id) = (room.clone(), id.clone());
            let resume = off_thread(move || spool.resume(&of_room, &of_id, Utc::now(), PART_BYTES));
            ctx.spawn(resume.into_actor(self).map(move |resumed, recovery, ctx| {
                recovery.resumed(&room, &id, resumed.and_then(|resumed| resumed), ctx);
            }));
        }
    }

    fn resumed(
        &mut self,
        room: &RoomName,
        id: &RecordingId,
        resumed: Result<Option<Resumed>, SpoolError>,
        ctx: &mut Context<Self>,
    ) {
        match resumed {
            Ok(Some(resumed)) => {
                info!(%room, recording = %id, "finishing what was interrupted");
                start_here(Recorder::resume(resumed, Arc::clone(&self.archive), ctx.address().recipient()));
            }
            // Its journal holds nothing, and there is nothing of it in the store.
            Ok(None) => self.done(id, RecordingEnd::Stored, ctx),
            Err(error) => {
                let cause = &error.source;
                error!(%room, recording = %id, %error, %cause, "cannot be finished, its files stay in the spool");
                self.done(id, RecordingEnd::GivenUp(error.to_string()), ctx);
            }
        }
    }

    fn done(&mut self, id: &RecordingId, end: RecordingEnd, ctx: &mut Context<Self>) {
        if let Some(done) = self.under_way.remove(id).flatten() {
            done.do_send(RecordingDone { recording: id.clone(), end });
        }
        self.take_over(ctx);
    }
}

impl Actor for Recovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.take_over(ctx);
    }
}

impl Handler<RecordingDone> for Recovery {
    type Result = ();

    fn handle(&mut self, RecordingDone { recording, end }: RecordingDone, ctx: &mut Self::Context) {
        self.done(&recording, end, ctx);
    }
}

impl Handler<TakeUp> for Recovery {
    type Result = ();

    fn handle(&mut self, TakeUp { room, recording, done }: TakeUp, ctx: &mut Self::Context) {
        self.left.push_back(Left { room, id: recording, done: Some(done) });
        self.take_over(ctx);
    }
}

impl Handler<CountLeft> for Recovery {
    type Result = usize;

    fn handle(&mut self, _: CountLeft, _: &mut Self::Context) -> Self::Result {
        self.left.len() + self.under_way.len()
    }
}
