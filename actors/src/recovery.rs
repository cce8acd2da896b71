//! Finishes the recordings that another process left in the spool, a few at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::prelude::*;
use chrono::Utc;
use onair_media::{RecordingId, RoomName};
use onair_recorder::spool::off_thread;
use onair_recorder::{PART_BYTES, Resumed, SpoolError};
use tracing::{error, info};

use crate::archive::Archive;
use crate::mailbox::start_here;
use crate::packager::RecordingDone;
use crate::recorder::Recorder;

/// How many recordings are finished side by side.
const AT_ONCE: usize = 4;

/// Asks how many recordings are not finished yet. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct CountLeft;

/// Owns what was left.
#[derive(Debug)]
pub struct Recovery {
    archive: Arc<Archive>,
    left: VecDeque<(RoomName, RecordingId)>,
    under_way: usize,
}

impl Recovery {
    /// Takes over recordings, see [`onair_recorder::Spool::left`].
    pub fn new(archive: Arc<Archive>, left: Vec<(RoomName, RecordingId)>) -> Self {
        Self { archive, left: left.into(), under_way: 0 }
    }

    fn take_over(&mut self, ctx: &mut Context<Self>) {
        while self.under_way < AT_ONCE
            && let Some((room, id)) = self.left.pop_front()
        {
            self.under_way += 1;
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
            Ok(None) => self.done(ctx),
            Err(error) => {
                let cause = &error.source;
                error!(%room, recording = %id, %error, %cause, "cannot be finished, its files stay in the spool");
                self.done(ctx);
            }
        }
    }

    fn done(&mut self, ctx: &mut Context<Self>) {
        self.under_way -= 1;
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

    fn handle(&mut self, _: RecordingDone, ctx: &mut Self::Context) {
        self.done(ctx);
    }
}

impl Handler<CountLeft> for Recovery {
    type Result = usize;

    fn handle(&mut self, _: CountLeft, _: &mut Self::Context) -> Self::Result {
        self.left.len() + self.under_way
    }
}
