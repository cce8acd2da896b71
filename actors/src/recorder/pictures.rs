//! Poster and storyboard: made at the end.
//!
//! Nothing of them is kept while the recording goes on, so that whoever takes one over makes the same ones. They are an
//! extra: what takes too long or cannot be had is left out, and the manifest says so.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_recorder::ObjectName;
use onair_recorder::manifest::Pictures;
use tracing::info;

use super::{Phase, Recorder};
use crate::gallery::{Made, Material, video_segments};
use crate::uploader::{Outcome, PutFailure, StoredObject};

/// How long the end of a recording waits for its pictures; less than a shutdown waits for the recording.
const PATIENCE: Duration = Duration::from_secs(10);

impl Recorder {
    /// Makes the pictures, away from this thread.
    pub(super) fn make_pictures(&self, ctx: &mut Context<Self>) {
        debug_assert_eq!(self.phase, Phase::Picturing { made: false });
        let manifest = self.ledger.manifest();
        let material = Material {
            pictures: Arc::clone(&self.archive.pictures),
            store: Arc::clone(&self.archive.store),
            spool: Some(Arc::clone(&self.archive.spool)),
            path: self.path(ObjectName::poster()),
            configs: self.ledger.video_configs(),
            segments: video_segments(manifest),
            duration_ms: manifest.duration_ms,
        };
        ctx.spawn(material.make(PATIENCE).into_actor(self).map(|made, recorder, ctx| recorder.pictured(made, ctx)));
    }

    fn pictured(&mut self, made: Made, ctx: &mut Context<Self>) {
        if let Some(reason) = &made.said.unavailable {
            info!(recording = %self.id, reason, "not all pictures were made");
        }
        self.ledger.set_pictures(made.said);
        for (name, bytes) in made.objects {
            self.put_next(name, bytes, ctx);
        }
        self.phase = Phase::Picturing { made: true };
        self.go_on(ctx);
    }

    /// A picture is stored, and listed then; or refused, and what is said of pictures is that.
    pub(super) fn picture_done(&mut self, name: &ObjectName, outcome: Result<Outcome, PutFailure>) {
        match outcome {
            Ok(Outcome::Stored(StoredObject { bytes, sha256 })) => self.ledger.list_picture(name, bytes, sha256),
            Ok(_) => {}
            Err(failure) => {
                self.note_failure(name.as_str(), &failure.to_string());
                let unavailable = Some("the store did not take them".into());
                self.ledger.set_pictures(Pictures { unavailable, ..Pictures::default() });
            }
        }
    }
}
