//! The MP4: its parts go up while the recording grows, the header goes last.

use std::sync::Arc;

use actix::prelude::*;
use onair_recorder::journal::Entry;
use onair_recorder::spool::off_thread;
use onair_recorder::{Finish, Mp4Step, ObjectName, PART_BYTES, PartId};
use tracing::{info, warn};

use super::writing::Note;
use super::{Phase, Recorder};
use crate::uploader::{Content, Outcome, PutFailure, StoredObject};

impl Recorder {
    /// Takes the MP4's next step, one at a time.
    pub(super) fn go_on_with_mp4(&mut self, ctx: &mut Context<Self>) {
        if self.is_mp4_under_way || !self.ledger.makes_mp4() {
            return;
        }
        if self.ledger.needs_chunks_again() {
            return self.find_pieces_again(ctx);
        }
        let content = match self.ledger.mp4_step() {
            Some(Mp4Step::Begin) => Some(Content::Upload),
            Some(Mp4Step::Put { upload, index, from }) => Some(Content::Part { upload, index, from }),
            None if self.phase == Phase::Finishing => self.finishing_step(ctx),
            None => None,
        };
        if let Some(content) = content {
            self.is_mp4_under_way = true;
            self.put(ObjectName::progressive(), content, ctx);
        }
    }

    /// Returns what is to be put next when all full parts are up.
    fn finishing_step(&mut self, ctx: &mut Context<Self>) -> Option<Content> {
        let Some(finish) = &self.finish else {
            self.plan_the_end(ctx);
            return None;
        };
        if finish.is_whole {
            let part = finish.parts.first()?;
            return Some(Content::Whole(part.from.clone(), part.bytes));
        }
        let Some((upload, uploaded)) = self.ledger.upload() else { return Some(Content::Upload) };
        let upload = upload.clone();
        // A process before this one may have put them all, and even have completed the upload.
        if let Some(part) = finish.parts.first().filter(|_| !self.ledger.has_every_part(finish.file_bytes)) {
            return Some(Content::Part { upload, index: part.index, from: part.from.clone() });
        }
        let parts: Vec<PartId> = uploaded.values().map(|part| part.id.clone()).collect();
        Some(Content::Complete { upload, parts, bytes: finish.file_bytes })
    }

    /// Builds the header and finds out which parts are left.
    fn plan_the_end(&mut self, ctx: &mut Context<Self>) {
        // Nobody else takes the recording up while its header is written.
        let Some(writer) = self.writer.take_if(|writer| writer.is_flushed()) else { return };
        self.is_mp4_under_way = true;
        let (spool, room, id) = (Arc::clone(&self.archive.spool), self.room.clone(), self.id.clone());
        let uploaded = self.ledger.uploaded_parts();
        let plan = off_thread(move || spool.finish_mp4(&room, &id, PART_BYTES, uploaded));
        ctx.spawn(plan.into_actor(self).map(|planned, recorder, ctx| {
            recorder.writer = Some(writer);
            recorder.is_mp4_under_way = false;
            match planned.map_err(|error| error.to_string()).and_then(|plan| plan.map_err(|error| error.to_string())) {
                Ok(Some(finish)) => recorder.finish = Some(finish),
                Ok(None) => recorder.enter(Entry::Mp4GivenUp("there is nothing in it".into())),
                Err(error) => recorder.give_up_mp4(error),
            }
            recorder.go_on(ctx);
        }));
    }

    /// The store has lost the upload: everything is put again, from the spool and from what is stored.
    fn find_pieces_again(&mut self, ctx: &mut Context<Self>) {
        // Nothing is written in the meantime, and what is written is applied: no piece may be missed, and none counted twice.
        let Some(writer) = self.writer.take_if(|writer| writer.is_flushed()) else { return };
        self.is_mp4_under_way = true;
        let (spool, room, id) = (Arc::clone(&self.archive.spool), self.room.clone(), self.id.clone());
        let find = off_thread(move || spool.pieces(&room, &id));
        ctx.spawn(find.into_actor(self).map(|found, recorder, ctx| {
            recorder.writer = Some(writer);
            recorder.is_mp4_under_way = false;
            match found.and_then(|found| found) {
                Ok(pieces) => recorder.ledger.chunks_again(pieces),
                Err(error) => recorder.give_up_mp4(error.to_string()),
            }
            recorder.go_on(ctx);
        }));
    }

    /// A step is done, or failed for good.
    pub(super) fn mp4_done(&mut self, outcome: Result<Outcome, PutFailure>) {
        self.is_mp4_under_way = false;
        match outcome {
            Ok(Outcome::Begun(upload)) => self.enter(Entry::UploadBegun(upload)),
            Ok(Outcome::Part { index, id, bytes, sha256 }) => {
                if let Some(Finish { parts, .. }) = &mut self.finish {
                    parts.retain(|part| part.index != index);
                }
                self.enter(Entry::UploadPart { index, id, bytes, sha256 });
            }
            Ok(Outcome::Stored(StoredObject { bytes, sha256 })) => {
                self.enter(Entry::Mp4Stored { bytes, sha256: Some(sha256) });
            }
            Ok(Outcome::Completed { bytes }) => self.enter(Entry::Mp4Stored { bytes, sha256: None }),
            Err(PutFailure::UploadGone) => {
                warn!(recording = %self.id, "the store has lost the upload of the MP4, it begins again");
                self.finish = None;
                // It is still there if only a part of it is gone.
                self.abort_upload();
                self.enter(Entry::UploadLost);
            }
            Err(failure) => self.give_up_mp4(failure.to_string()),
        }
    }

    fn give_up_mp4(&mut self, error: String) {
        self.note_failure(ObjectName::progressive().as_str(), &error);
        info!(recording = %self.id, "goes on without an MP4: its segments have everything");
        self.abort_upload();
        self.enter(Entry::Mp4GivenUp(error));
    }

    /// Has the store forget the upload, if it can be reached: nothing waits for that.
    pub(super) fn abort_upload(&self) {
        if let Some((upload, _)) = self.ledger.upload() {
            let (store, upload) = (Arc::clone(&self.archive.store), upload.clone());
            let object = self.path(ObjectName::progressive());
            actix::spawn(async move {
                if let Err(error) = store.abort_upload(&object, &upload).await {
                    warn!(%object, %error, "the parts of the MP4 may stay in the store");
                }
            });
        }
    }

    fn enter(&mut self, entry: Entry) {
        // Nothing of the MP4 goes on before it is written and applied.
        self.is_mp4_under_way = true;
        self.inbox.push(Note::Entry(entry));
    }
}
