//! How much is let in. Whoever is let in keeps what it has: newcomers are turned away first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::load::{Gauge, is_memory_short, is_overloaded};
use crate::room::AdmitError;

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// The most rooms.
    pub max_rooms: usize,
    /// The most sessions, publishers and viewers together.
    pub max_sessions: usize,
    /// The most WebRTC viewers of one room; `None` for as many as there are sessions.
    pub max_viewers_per_room: Option<usize>,
    /// How busy the workers may be for another viewer to be let in, in percent; 100 for any.
    pub max_load_percent: u32,
}

/// Decides who is let in.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    sessions: Arc<Semaphore>,
    workers: Vec<Arc<Gauge>>,
    refused: Refused,
}

/// Counts those who were turned away.
#[derive(Debug, Default)]
struct Refused {
    full: AtomicU64,
    room_full: AtomicU64,
    busy: AtomicU64,
}

/// Shows the limits to people.
#[derive(Debug, Serialize)]
pub struct LimitsState {
    sessions_left: usize,
    refused_full: u64,
    refused_room_full: u64,
    refused_busy: u64,
}

/// The right to be one of the sessions; given back on drop.
#[derive(Debug)]
pub struct Seat {
    _permit: OwnedSemaphorePermit,
}

impl Limits {
    /// Sets the limits; `workers` tell how busy they are.
    pub fn new(settings: LimitSettings, workers: Vec<Arc<Gauge>>) -> Self {
        let sessions = Arc::new(Semaphore::new(settings.max_sessions.min(Semaphore::MAX_PERMITS)));
        Self { settings, sessions, workers, refused: Refused::default() }
    }

    /// Returns the most rooms.
    pub const fn max_rooms(&self) -> usize {
        self.settings.max_rooms
    }

    /// Lets a publisher in, when there is a seat. A busy server takes publishers none the less: they are few, and a
    /// broadcast that is refused is lost.
    ///
    /// # Errors
    /// [`AdmitError::Full`].
    pub fn admit_publisher(&self) -> Result<Seat, AdmitError> {
        let permit = Arc::clone(&self.sessions).try_acquire_owned();
        permit.map(|permit| Seat { _permit: permit }).map_err(|_| counted(&self.refused.full, AdmitError::Full))
    }

    /// Lets a viewer into a room that has `viewers` already.
    ///
    /// # Errors
    /// [`AdmitError::RoomFull`], [`AdmitError::Busy`] or [`AdmitError::Full`].
    pub fn admit_viewer(&self, viewers: usize) -> Result<Seat, AdmitError> {
        if self.settings.max_viewers_per_room.is_some_and(|most| viewers >= most) {
            return Err(counted(&self.refused.room_full, AdmitError::RoomFull));
        }
        if is_overloaded(&self.workers, self.settings.max_load_percent) || is_memory_short() {
            return Err(counted(&self.refused.busy, AdmitError::Busy));
        }
        self.admit_publisher()
    }

    /// Shows what is left, and who was turned away.
    pub fn state(&self) -> LimitsState {
        LimitsState {
            sessions_left: self.sessions.available_permits(),
            refused_full: self.refused.full.load(Relaxed),
            refused_room_full: self.refused.room_full.load(Relaxed),
            refused_busy: self.refused.busy.load(Relaxed),
        }
    }
}

fn counted(counter: &AtomicU64, error: AdmitError) -> AdmitError {
    counter.fetch_add(1, Relaxed);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_turned_away_and_counted() {
        let gauge = Arc::<Gauge>::default();
        let settings =
            LimitSettings { max_rooms: 1, max_sessions: 2, max_viewers_per_room: Some(5), max_load_percent: 90 };
        let limits = Limits::new(settings, vec![Arc::clone(&gauge)]);
        let first = limits.admit_viewer(4).unwrap();
        assert!(matches!(limits.admit_viewer(5), Err(AdmitError::RoomFull)));
        gauge.set(95, 0);
        assert!(matches!(limits.admit_viewer(0), Err(AdmitError::Busy)));
        let _publisher = limits.admit_publisher().unwrap();
        gauge.set(50, 0);
        assert!(matches!(limits.admit_viewer(0), Err(AdmitError::Full)));
        drop(first);
        limits.admit_viewer(0).unwrap();
        let LimitsState { refused_full, refused_room_full, refused_busy, .. } = limits.state();
        assert_eq!((refused_full, refused_room_full, refused_busy), (1, 1, 1));
    }
}
