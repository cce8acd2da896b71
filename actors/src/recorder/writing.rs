//! Into the spool: what is cut and what happens is written in batches, away from the actors' threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_recorder::journal::Entry;
use onair_recorder::spool::off_thread;
use onair_recorder::{Cut, ObjectName, ObjectPath, RecordingEvent, SpoolError, SpoolWriter};
use tracing::{debug, error, warn};

use super::{Phase, Recorder};
use crate::packager::RecordingEnd;
use crate::uploader::with_cause;

/// How long after the journal could not be written it is tried again, if nothing comes to be written before that.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// Something to be written.
#[derive(Debug)]
pub(super) enum Note {
    /// Media.
    Cut(Cut),
    /// What happened to it.
    Entry(Entry),
}

/// What became of a batch.
struct Written {
    writer: SpoolWriter,
    /// What is in the journal since this batch: of it, and of those before it that the disk refused.
    entries: Vec<Entry>,
    cuts: u64,
    /// The first thing that went wrong.
    error: Option<String>,
}

/// Writes a batch; blocks.
fn write_all(mut writer: SpoolWriter, notes: Vec<Note>) -> Written {
    let (mut cuts, mut error) = (0, None);
    for note in notes {
        match note {
            Note::Cut(cut) => {
                cuts += 1;
                let outcome = writer.cut(&cut);
                error = error.or_else(|| outcome.err().map(|error| with_cause(&error)));
            }
            Note::Entry(entry) => writer.note(entry),
        }
    }
    let entries = writer.flush().unwrap_or_else(|failed| {
        error.get_or_insert_with(|| format!("write the journal: {failed}"));
        Vec::new()
    });
    Written { writer, entries, cuts, error }
}

impl Recorder {
    /// Opens the recording's folder in the spool.
    pub(super) fn begin(&self, ctx: &mut Context<Self>) {
        let (spool, begun) = (Arc::clone(&self.archive.spool), self.ledger.begun().clone());
        let create = off_thread(move || SpoolWriter::create(spool, &begun));
        ctx.spawn(create.into_actor(self).map(|created, recorder, ctx| match created.and_then(|created| created) {
            Ok(writer) => {
                recorder.publish(RecordingEvent::Started { tracks: Vec::new() });
                recorder.writer = Some(writer);
                recorder.go_on(ctx);
            }
            Err(error) => recorder.not_begun(&error, ctx),
        }));
    }

    /// Its packager says so: it knows what it tried before.
    fn not_begun(&mut self, error: &SpoolError, ctx: &mut Context<Self>) {
        debug!(recording = %self.id, error = with_cause(error), "not begun");
        self.end = RecordingEnd::NotBegun(format!("the spool cannot be used: {}", error.source));
        ctx.stop();
    }

    /// Writes what waits, unless the writer is away with what came before.
    pub(super) fn write(&mut self, ctx: &mut Context<Self>) {
        if self.inbox.is_empty() {
            return;
        }
        self.write_inbox(ctx);
    }

    fn write_inbox(&mut self, ctx: &mut Context<Self>) {
        let Some(writer) = self.writer.take() else { return };
        let notes = std::mem::take(&mut self.inbox);
        self.inbox_bytes = 0;
        let write = off_thread(move || write_all(writer, notes));
        ctx.spawn(write.into_actor(self).map(|written, recorder, ctx| match written {
            Ok(written) => recorder.written(written, ctx),
            Err(error) => recorder.give_up(&error, ctx),
        }));
    }

    fn written(&mut self, written: Written, ctx: &mut Context<Self>) {
        if !written.writer.is_flushed() && !self.retries_journal {
            self.retries_journal = true;
            ctx.run_later(JOURNAL_RETRY, |recorder, ctx| recorder.retry_journal(ctx));
        }
        self.writer = Some(written.writer);
        for entry in &written.entries {
            self.ledger.apply(entry);
            self.is_mp4_under_way &= !entry.is_mp4();
        }
        if written.cuts > 0 {
            self.spooled(written.cuts);
        }
        if let Some(error) = written.error {
            self.failures += 1;
            if let Some(withheld) = self.quiet.pass(Instant::now()) {
                error!(recording = %self.id, error, withheld, "not written to the spool");
            }
            self.last_error = Some(error);
        }
        self.let_go(&written.entries);
        self.go_on(ctx);
    }

    /// Writes what the journal did not take, if that did not go with what came later.
    fn retry_journal(&mut self, ctx: &mut Context<Self>) {
        self.retries_journal = false;
        if self.writer.as_ref().is_some_and(|writer| !writer.is_flushed()) {
            self.write_inbox(ctx);
        }
    }

    /// Lets the spool remove what nothing needs any more, and what only saves a way to the store.
    fn let_go(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Stored { object } = entry
                && let Ok(name) = ObjectName::parse(object)
                && name.segment_number().is_some()
            {
                self.archive.spool.may_evict(&self.path(name));
            }
        }
        let done: Vec<ObjectPath> = self.ledger.take_done().into_iter().map(|name| self.path(name)).collect();
        if done.is_empty() {
            return;
        }
        let spool = Arc::clone(&self.archive.spool);
        // Nothing waits for it: what stays is removed with the recording.
        actix::spawn(off_thread(move || {
            for object in done {
                if let Err(error) = spool.remove(&object) {
                    warn!(%object, error = with_cause(&error), "not removed from the spool");
                }
            }
        }));
    }

    /// Removes the recording from the spool and ends.
    pub(super) fn leave_spool(&mut self, ctx: &mut Context<Self>) {
        debug_assert_eq!(self.phase, Phase::Done);
        // Closes the journal.
        self.writer = None;
        let (spool, room, id) = (Arc::clone(&self.archive.spool), self.room.clone(), self.id.clone());
        let events = self.archive.events.clone();
        let remove = async move {
            // Until then a restart would find the recording and tell of it once more.
            events.settled().await;
            off_thread(move || spool.remove_recording(&room, &id)).await
        };
        ctx.spawn(remove.into_actor(self).map(|removed, recorder, ctx| {
            if let Err(error) = removed.and_then(|removed| removed) {
                error!(recording = %recorder.id, error = with_cause(&error), "the spool could not be cleaned up");
            }
            ctx.stop();
        }));
    }
}
