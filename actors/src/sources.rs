//! The RTSP sources of the process: at most one for each room.

mod on_demand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use onair_media::RoomName;
use serde::Serialize;
use tracing::error;

use crate::observe::{Observe, PATIENCE, observed};
use crate::rtsp::{Around, Camera, DescribeSource, Remove, RtspSource, SourceDescription};

pub use self::on_demand::OnDemand;

/// The most sources: each costs a connection and some megabytes while its camera plays.
pub const MAX_SOURCES: usize = 1_000;

/// How often is looked for sources that a defect has ended.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Begins to pull a camera. Returns why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<(), AddSourceError>")]
pub struct AddSource(pub Camera);

/// Ends the source of a room. Returns whether there was one. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct RemoveSource(pub RoomName);

/// Describes the sources, by room. *Reliable.* One that is too busy is left out.
#[derive(Debug, Message)]
#[rtype(result = "Vec<SourceDescription>")]
pub struct ListSources;

/// Ends all sources, and takes no more. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopSources;

/// Says why a source is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddSourceError {
    /// The room has one already.
    #[error("the room has a source")]
    RoomHasSource,
    /// There are as many as there may be.
    #[error("there are {MAX_SOURCES} sources already")]
    Full,
    /// The server shuts down.
    #[error("the server shuts down")]
    ShuttingDown,
}

/// Owns the sources.
#[derive(Debug)]
pub struct Sources {
    around: Around,
    on_demand: Arc<OnDemand>,
    /// Where they run, in turns.
    workers: Vec<ArbiterHandle>,
    next_worker: usize,
    sources: BTreeMap<RoomName, Entry>,
    shutting_down: bool,
}

#[derive(Debug)]
struct Entry {
    camera: Arc<Camera>,
    source: Addr<RtspSource>,
}

#[derive(Debug, Serialize)]
struct SourcesState {
    sources: usize,
    on_demand: usize,
}

impl Sources {
    /// Creates it without sources. `workers` is not empty.
    pub fn new(around: Around, on_demand: Arc<OnDemand>, workers: Vec<ArbiterHandle>) -> Self {
        Self { around, on_demand, workers, next_worker: 0, sources: BTreeMap::new(), shutting_down: false }
    }

    fn start(&mut self, camera: Arc<Camera>) {
        let (runs, around) = (Arc::clone(&camera), self.around.clone());
        let source =
            RtspSource::start_in_arbiter(&self.workers[self.next_worker], move |_| RtspSource::new(runs, around));
        self.next_worker = (self.next_worker + 1) % self.workers.len();
        if camera.on_demand {
            self.on_demand.register(camera.room.clone(), source.clone().recipient());
        }
        self.sources.insert(camera.room.clone(), Entry { camera, source });
    }

    /// Starts those anew that a defect has ended: a camera sends what it likes, and its client is not ours.
    fn sweep(&mut self) {
        let ended = self.sources.values().filter(|entry| !entry.source.connected());
        for camera in ended.map(|entry| Arc::clone(&entry.camera)).collect::<Vec<_>>() {
            error!(room = %camera.room, url = %camera.url, "a source ended that should not have, starting it anew");
            self.start(camera);
        }
    }
}

impl Actor for Sources {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP_EVERY, |sources, _| sources.sweep());
    }
}

impl Handler<AddSource> for Sources {
    type Result = Result<(), AddSourceError>;

    fn handle(&mut self, AddSource(camera): AddSource, _: &mut Self::Context) -> Self::Result {
        if self.shutting_down {
            return Err(AddSourceError::ShuttingDown);
        }
        if self.sources.contains_key(&camera.room) {
            return Err(AddSourceError::RoomHasSource);
        }
        if self.sources.len() >= MAX_SOURCES {
            return Err(AddSourceError::Full);
        }
        self.start(Arc::new(camera));
        Ok(())
    }
}

impl Handler<RemoveSource> for Sources {
    type Result = bool;

    fn handle(&mut self, RemoveSource(room): RemoveSource, _: &mut Self::Context) -> Self::Result {
        let Some(entry) = self.sources.remove(&room) else { return false };
        self.on_demand.forget(&room);
        entry.source.do_send(Remove);
        true
    }
}

impl Handler<ListSources> for Sources {
    type Result = ResponseFuture<Vec<SourceDescription>>;

    fn handle(&mut self, _: ListSources, _: &mut Self::Context) -> Self::Result {
        let asked: Vec<_> = self.sources.values().map(|entry| entry.source.send(DescribeSource)).collect();
        let asked = asked.into_iter().map(|answer| answer.timeout(PATIENCE));
        let answers = join_all(asked);
        Box::pin(async move { answers.await.into_iter().filter_map(Result::ok).collect() })
    }
}

impl Handler<StopSources> for Sources {
    type Result = ();

    fn handle(&mut self, _: StopSources, _: &mut Self::Context) {
        self.shutting_down = true;
        for (room, entry) in std::mem::take(&mut self.sources) {
            self.on_demand.forget(&room);
            entry.source.do_send(Remove);
        }
    }
}

impl Handler<Observe> for Sources {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(observed(&SourcesState { sources: self.sources.len(), on_demand: self.on_demand.len() }))
    }
}
