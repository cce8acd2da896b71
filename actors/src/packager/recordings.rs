//! A broadcast's recordings, as its packager sees them: which recorder gets the cuts, and which cuts wait for it.
//!
//! Nothing is announced to players before it is in the spool, so that a crash takes nothing from a recording that a
//! viewer has seen. But players do not wait for ever: a disk that is stuck costs the recording, not the broadcast.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use onair_media::{MediaKind, RecordingId};
use onair_recorder::journal::Begun;
use onair_recorder::{Cut, Init};
use tracing::{info, warn};

use super::Spooled;
use crate::archive::Archive;
use crate::core::quiet::OncePerSecond;
use crate::mailbox::start_here;
use crate::observe::{Observe, observe};
use crate::recorder::{Listeners, Record, Recorder, StopRecording};

/// How long a cut waits for the spool before it is announced all the same.
const SPOOL_PATIENCE: Duration = Duration::from_secs(1);

/// Owns what a packager knows of its recordings.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    current: Option<Current>,
    /// The ids of those that are not stored yet, the current one included.
    unfinished: Vec<RecordingId>,
    /// The newest one, whatever became of it.
    newest: Option<RecordingId>,
    /// The initialisation segments in force, for a recording that begins later.
    inits: HashMap<MediaKind, Init>,
    /// The newest media sequence number of which a part was cut.
    newest_msn: u64,
    waiting: VecDeque<Waiting>,
    /// Cuts that a recorder's full mailbox refused: the recording has a gap there.
    pub(super) dropped_cuts: u64,
    /// Cuts that were announced before they were in the spool.
    pub(super) announced_early: u64,
    quiet: OncePerSecond,
}

#[derive(Debug)]
struct Current {
    id: RecordingId,
    recorder: Addr<Recorder>,
}

/// A cut on its way to the spool.
#[derive(Debug)]
struct Waiting {
    cut: Cut,
    /// The recording that it is written for.
    recording: Option<RecordingId>,
    since: Instant,
    spooled: bool,
    announced: bool,
}

impl Recordings {
    /// Begins a recording; it gets what is cut from now on.
    pub(super) fn begin(&mut self, begun: Begun, archive: &Arc<Archive>, listeners: Listeners) {
        info!(room = %begun.room, recording = %begun.recording, "recording");
        let id = begun.recording.clone();
        let recorder = start_here(Recorder::new(begun, Arc::clone(archive), listeners));
        self.unfinished.push(id.clone());
        self.newest = Some(id.clone());
        self.current = Some(Current { id, recorder });
        let inits: Vec<_> = self.inits.values().cloned().collect();
        for init in inits {
            // Players know these already.
            self.send(Cut::Init(init), true);
        }
    }

    /// Ends the current recording, if there is one.
    pub(super) fn stop(&mut self) {
        if let Some(Current { recorder, .. }) = self.current.take() {
            recorder.do_send(StopRecording);
        }
    }

    /// Tells whether something is being recorded.
    pub(super) const fn is_recording(&self) -> bool {
        self.current.is_some()
    }

    /// Tells whether everything of every recording is stored, or given up.
    pub(super) fn are_done(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// Returns the newest recording.
    pub(super) const fn newest(&self) -> Option<&RecordingId> {
        self.newest.as_ref()
    }

    /// Tells whether a cut is the first of a segment of both renditions: a recording may begin or end before it.
    pub(super) fn begins_number(&mut self, cut: &Cut) -> bool {
        match cut {
            Cut::Part(part) if part.msn > self.newest_msn => {
                self.newest_msn = part.msn;
                true
            }
            _ => false,
        }
    }

    /// Takes a cut. It comes out of [`Recordings::announce`] when players may see it.
    pub(super) fn push(&mut self, cut: Cut) {
        if let Cut::Init(init) = &cut {
            self.inits.insert(init.kind, init.clone());
        }
        self.send(cut, false);
    }

    /// Hears from a recorder's writer.
    pub(super) fn spooled(&mut self, Spooled { recording, cuts }: &Spooled) {
        let of_it =
            self.waiting.iter_mut().filter(|waiting| !waiting.spooled && waiting.recording.as_ref() == Some(recording));
        for waiting in of_it.take(usize::try_from(*cuts).unwrap_or(usize::MAX)) {
            waiting.spooled = true;
        }
    }

    /// Hears that a recorder is gone.
    pub(super) fn done(&mut self, id: &RecordingId) {
        self.unfinished.retain(|other| other != id);
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.recording.as_ref() == Some(id)) {
            waiting.spooled = true;
        }
        if self.current.as_ref().is_some_and(|current| current.id == *id) {
            warn!(recording = %id, "the recording has ended before its broadcast");
            self.current = None;
        }
    }

    /// Returns the next cut that players may see.
    pub(super) fn announce(&mut self, now: Instant) -> Option<Cut> {
        while self.waiting.front().is_some_and(|front| front.announced && front.spooled) {
            self.waiting.pop_front();
        }
        let next = self.waiting.iter_mut().find(|waiting| !waiting.announced)?;
        let is_late = now.saturating_duration_since(next.since) > SPOOL_PATIENCE;
        if !next.spooled && !is_late {
            return None;
        }
        next.announced = true;
        self.announced_early += u64::from(!next.spooled);
        Some(next.cut.clone())
    }

    /// Lets players see everything: the broadcast is over.
    pub(super) fn announce_all(&mut self) -> Vec<Cut> {
        let rest = self.waiting.iter_mut().filter(|waiting| !waiting.announced);
        rest.map(|waiting| {
            waiting.announced = true;
            waiting.cut.clone()
        })
        .collect()
    }

    /// Shows the current recorder's state.
    pub(super) fn observe(&self) -> impl Future<Output = serde_json::Value> + 'static {
        let recorder = self.current.as_ref().map(|current| current.recorder.clone().recipient::<Observe>());
        async move {
            match recorder {
                Some(recorder) => observe(&recorder).await,
                None => serde_json::Value::Null,
            }
        }
    }

    /// Gives a cut to the recorder; without one nothing has to be waited for.
    fn send(&mut self, cut: Cut, announced: bool) {
        let now = Instant::now();
        let (recording, spooled) = match &self.current {
            None => (None, true),
            Some(Current { id, recorder }) => {
                let is_refused = recorder.try_send(Record(cut.clone())).is_err();
                if is_refused {
                    self.dropped_cuts += 1;
                    if let Some(withheld) = self.quiet.pass(now) {
                        warn!(recording = %id, withheld, "the recorder is too slow, the recording has a gap");
                    }
                }
                (Some(id.clone()), is_refused)
            }
        };
        self.waiting.push_back(Waiting { cut, recording, since: now, spooled, announced });
    }
}
