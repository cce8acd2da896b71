//! Which rooms have a source that waits for viewers. Whoever serves viewers says here that one came; nobody else has to
//! know of sources.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use actix::Recipient;
use onair_media::RoomName;

use crate::rtsp::Wanted;

/// How often a source is told at most: players ask several times a second.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Finds the sources on demand, by room. To ask for a room leaves nothing behind.
#[derive(Debug, Default)]
pub struct OnDemand {
    rooms: RwLock<HashMap<RoomName, Interest>>,
}

#[derive(Debug)]
struct Interest {
    source: Recipient<Wanted>,
    told_at: Mutex<Option<Instant>>,
}

impl OnDemand {
    /// Says that somebody wants to watch a room. Returns whether it has a source that comes for that.
    pub fn want(&self, room: &RoomName, now: Instant) -> bool {
        let rooms = self.read();
        let Some(interest) = rooms.get(room) else { return false };
        if interest.is_to_be_told(now) {
            interest.source.do_send(Wanted);
        }
        true
    }

    pub(super) fn register(&self, room: RoomName, source: Recipient<Wanted>) {
        self.write().insert(room, Interest { source, told_at: Mutex::default() });
    }

    pub(super) fn forget(&self, room: &RoomName) {
        self.write().remove(room);
    }

    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<RoomName, Interest>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<RoomName, Interest>> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interest {
    fn is_to_be_told(&self, now: Instant) -> bool {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_some_and(|at| now.saturating_duration_since(at) < TELL_EVERY) {
            return false;
        }
        *told_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use actix::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Counter(usize);

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct Total;

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Handler<Wanted> for Counter {
        type Result = ();

        fn handle(&mut self, _: Wanted, _: &mut Self::Context) {
            self.0 += 1;
        }
    }

    impl Handler<Total> for Counter {
        type Result = usize;

        fn handle(&mut self, _: Total, _: &mut Self::Context) -> usize {
            self.0
        }
    }

    #[actix::test]
    async fn a_crowd_of_players_costs_a_message_a_second() {
        let (on_demand, start) = (OnDemand::default(), Instant::now());
        let [room, other] = ["cam", "studio"].map(|name| RoomName::parse(name).unwrap());
        let counter = Counter::default().start();
        on_demand.register(room.clone(), counter.clone().recipient());
        // At 0, 1,000 and 2,000 ms.
        for ms in 0..2_500 {
            assert!(on_demand.want(&room, start + Duration::from_millis(ms)));
        }
        assert!(!on_demand.want(&other, start));
        on_demand.forget(&room);
        assert!(!on_demand.want(&room, start + Duration::from_secs(9)));
        assert_eq!(counter.send(Total).await.unwrap(), 3);
    }
}
