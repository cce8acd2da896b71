//! Finds rooms, makes them, and lets go of those that nobody holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_media::RoomName;
use serde::Serialize;

use crate::limits::LimitsState;
use crate::mailbox::start_on;
use crate::observe::{Observe, observed};
use crate::room::{Room, Shutdown};
use crate::shared::Shared;

/// How often rooms that nobody holds are let go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps a room alive while it is held: by a request, a session, or the room's own unfinished business.
#[derive(Debug, Clone)]
pub struct Lease {
    _held: Arc<()>,
}

/// A room that stays while this is held.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    /// The room.
    pub addr: Addr<Room>,
    /// Keeps it.
    pub lease: Lease,
}

/// Finds a room. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Option<RoomHandle>")]
pub struct Find(pub RoomName);

/// Finds a room or makes it; `None` while the server shuts down or holds as many rooms as it may. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Option<RoomHandle>")]
pub struct FindOrCreate(pub RoomName);

/// Lists the rooms, by name. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Vec<RoomHandle>")]
pub struct List;

/// Ends every broadcast and admits no more. *Reliable.* Ask [`CountRooms`] until there are none.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ShutdownAll;

/// Counts the rooms that still live. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct CountRooms;

/// Owns the rooms of a process.
#[derive(Debug)]
pub struct RoomManager {
    shared: Arc<Shared>,
    rooms: HashMap<RoomName, Held>,
    /// Which worker carries the next room.
    next_worker: usize,
    shutting_down: bool,
}

#[derive(Debug)]
struct Held {
    addr: Addr<Room>,
    held: Arc<()>,
}

#[derive(Debug, Serialize)]
struct RoomManagerState {
    rooms: usize,
    shutting_down: bool,
    #[serde(flatten)]
    limits: LimitsState,
}

impl Held {
    fn handle(&self) -> RoomHandle {
        RoomHandle { addr: self.addr.clone(), lease: Lease { _held: Arc::clone(&self.held) } }
    }
}

impl RoomManager {
    /// Creates a manager without rooms.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, rooms: HashMap::new(), next_worker: 0, shutting_down: false }
    }

    /// Starts a room; the workers take turns.
    fn start_room(&mut self, name: RoomName) -> Held {
        let worker = &self.shared.workers[self.next_worker];
        self.next_worker = (self.next_worker + 1) % self.shared.workers.len();
        let shared = Arc::clone(&self.shared);
        Held { addr: start_on(&worker.arbiter, move || Room::new(name, shared)), held: Arc::default() }
    }

    /// Lets go of rooms whose only holder is this table. Every lease is handed out here, so nobody can take one
    /// between the look and the removal.
    fn sweep(&mut self) {
        self.rooms.retain(|_, room| {
            let is_held = Arc::strong_count(&room.held) > 1;
            if !is_held {
                room.addr.do_send(crate::room::Stop);
            }
            is_held
        });
    }
}

impl Actor for RoomManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP_INTERVAL, |manager, _| manager.sweep());
    }
}

impl Handler<Find> for RoomManager {
    type Result = Option<RoomHandle>;

    fn handle(&mut self, Find(name): Find, _: &mut Self::Context) -> Self::Result {
        self.rooms.get(&name).filter(|room| room.addr.connected()).map(Held::handle)
    }
}

impl Handler<FindOrCreate> for RoomManager {
    type Result = Option<RoomHandle>;

    fn handle(&mut self, FindOrCreate(name): FindOrCreate, _: &mut Self::Context) -> Self::Result {
        if self.shutting_down || (!self.rooms.contains_key(&name) && self.rooms.len() >= self.shared.limits.max_rooms())
        {
            return None;
        }
        // A room that a defect has ended makes way for a new one.
        if let Some(room) = self.rooms.get(&name).filter(|room| room.addr.connected()) {
            return Some(room.handle());
        }
        let room = self.start_room(name.clone());
        let handle = room.handle();
        self.rooms.insert(name, room);
        Some(handle)
    }
}

impl Handler<List> for RoomManager {
    type Result = MessageResult<List>;

    fn handle(&mut self, _: List, _: &mut Self::Context) -> Self::Result {
        let mut rooms: Vec<_> = self.rooms.iter().collect();
        rooms.sort_by_key(|(name, _)| *name);
        MessageResult(rooms.into_iter().map(|(_, room)| room.handle()).collect())
    }
}

impl Handler<ShutdownAll> for RoomManager {
    type Result = ();

    fn handle(&mut self, _: ShutdownAll, _: &mut Self::Context) {
        self.shutting_down = true;
        for room in self.rooms.values() {
            room.addr.do_send(Shutdown);
        }
    }
}

impl Handler<CountRooms> for RoomManager {
    type Result = usize;

    fn handle(&mut self, _: CountRooms, _: &mut Self::Context) -> Self::Result {
        self.sweep();
        self.rooms.len()
    }
}

impl Handler<Observe> for RoomManager {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let (rooms, shutting_down) = (self.rooms.len(), self.shutting_down);
        MessageResult(observed(&RoomManagerState { rooms, shutting_down, limits: self.shared.limits.state() }))
    }
}
