//! Says how the spool stands, when that changes: in the log, and as an event.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use onair_recorder::spool::{Pressure, SpaceState};
use onair_recorder::{PressureState, SpoolPressure};
use tracing::{error, info, warn};

use crate::archive::Archive;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Owns what was said last.
#[derive(Debug)]
pub struct SpoolWatch {
    archive: Arc<Archive>,
    said: PressureState,
    evicted: u64,
}

impl SpoolWatch {
    /// Begins with a spool that has room.
    pub const fn new(archive: Arc<Archive>) -> Self {
        Self { archive, said: PressureState::Ok, evicted: 0 }
    }

    fn look(&mut self) {
        let space = self.archive.spool.space();
        let state = state_of(&space, self.evicted);
        self.evicted = space.evicted;
        if state == self.said {
            return;
        }
        self.said = state;
        let SpaceState { used_bytes, max_bytes, free_bytes, .. } = space;
        match state {
            PressureState::Ok => info!(used_bytes, max_bytes, free_bytes, "the spool has room again"),
            PressureState::Evicting => {
                warn!(used_bytes, max_bytes, free_bytes, "the spool is full: what the store has is let go early");
            }
            PressureState::Refusing => {
                error!(used_bytes, max_bytes, free_bytes, "the spool is nearly full: no new recording begins");
            }
            PressureState::Dropping => {
                error!(used_bytes, max_bytes, free_bytes, "the spool is full: recordings have gaps")
            }
        }
        self.archive.events.publish_pressure(SpoolPressure { used_bytes, max_bytes, free_bytes, state });
    }
}

/// Puts the state of the spool in one word; `evicted` is how many files had been let go early at the last look.
fn state_of(space: &SpaceState, evicted: u64) -> PressureState {
    match space.pressure {
        Pressure::Dropping => PressureState::Dropping,
        Pressure::Refusing => PressureState::Refusing,
        Pressure::None if space.evicted > evicted => PressureState::Evicting,
        Pressure::None => PressureState::Ok,
    }
}

impl Actor for SpoolWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK_INTERVAL, |watch, _| watch.look());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_said() {
        let space = |pressure, evicted| SpaceState { used_bytes: 9, max_bytes: 10, free_bytes: 1, evicted, pressure };
        for (pressure, evicted, said) in [
            (Pressure::None, 3, PressureState::Ok),
            (Pressure::None, 4, PressureState::Evicting),
            (Pressure::Refusing, 4, PressureState::Refusing),
            (Pressure::Dropping, 3, PressureState::Dropping),
        ] {
            assert_eq!(state_of(&space(pressure, evicted), 3), said);
        }
    }
}
