//! Where the live windows of all rooms are found.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use onair_media::{RecordingId, RoomName};
use onair_recorder::WindowSettings;
use tokio::sync::Notify;

use super::LiveWindow;
use super::waiting::Clients;

/// Finds the live window of a broadcast. To ask for one that is not there leaves nothing behind.
#[derive(Debug, Default)]
pub struct LiveWindows {
    /// The broadcasts of each room, the newest last; no room is without one.
    rooms: RwLock<HashMap<RoomName, Vec<Arc<LiveWindow>>>>,
    clients: Arc<Clients>,
    /// Wakes who waits for a broadcast to begin.
    opened: Notify,
}

/// A live window that is filled. It ends, and is found no more, when this is dropped.
#[derive(Debug)]
pub struct OpenWindow {
    windows: Arc<LiveWindows>,
    room: RoomName,
    window: Arc<LiveWindow>,
}

impl LiveWindows {
    /// Returns the window of the newest broadcast of a room.
    pub fn newest(&self, room: &RoomName) -> Option<Arc<LiveWindow>> {
        self.read().get(room)?.last().cloned()
    }

    /// Returns the window of a broadcast.
    pub fn find(&self, room: &RoomName, broadcast: &RecordingId) -> Option<Arc<LiveWindow>> {
        self.read().get(room)?.iter().find(|window| window.id() == broadcast).cloned()
    }

    /// Opens the window of a broadcast that begins.
    pub fn open(self: &Arc<Self>, room: RoomName, broadcast: RecordingId, settings: WindowSettings) -> OpenWindow {
        let window = Arc::new(LiveWindow::new(broadcast, settings));
        self.write().entry(room.clone()).or_default().push(Arc::clone(&window));
        self.opened.notify_waiters();
        OpenWindow { windows: Arc::clone(self), room, window }
    }

    /// Waits until a room has a broadcast that goes on and that players can begin with, and returns its multivariant
    /// playlist. It may never come, so that the caller sets a limit.
    pub async fn multivariant_when_there(&self, room: &RoomName) -> Bytes {
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            // One that opens from here on wakes us.
            opened.as_mut().enable();
            match self.newest(room) {
                None => opened.await,
                Some(window) => tokio::select! {
                    playlist = window.multivariant_when_there() => return playlist,
                    () = opened => {}
                },
            }
        }
    }

    pub(super) const fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<RoomName, Vec<Arc<LiveWindow>>>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<RoomName, Vec<Arc<LiveWindow>>>> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for OpenWindow {
    type Target = LiveWindow;

    fn deref(&self) -> &LiveWindow {
        &self.window
    }
}

impl Drop for OpenWindow {
    fn drop(&mut self) {
        // Nobody must wait for a packager that is gone, whatever ended it.
        self.window.end();
        let mut rooms = self.windows.write();
        if let Some(windows) = rooms.get_mut(&self.room) {
            windows.retain(|window| !Arc::ptr_eq(window, &self.window));
            if windows.is_empty() {
                rooms.remove(&self.room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: WindowSettings = WindowSettings {
        window: Duration::from_secs(60),
        target_duration_s: 6,
        part_target: Duration::from_millis(500),
    };

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn id(name: &str) -> RecordingId {
        RecordingId::parse(name).unwrap()
    }

    #[test]
    fn a_broadcast_is_found_while_its_window_is_open() {
        let windows = Arc::new(LiveWindows::default());
        let (old, new) = (id("20261122T063000Z-7f3a9c"), id("20261122T063100Z-7f3a9c"));
        let first = windows.open(room("studio"), old.clone(), SETTINGS);
        let second = windows.open(room("studio"), new.clone(), SETTINGS);
        assert_eq!(windows.newest(&room("studio")).unwrap().id(), &new);
        assert_eq!(windows.find(&room("studio"), &old).unwrap().id(), &old);
        assert!(windows.find(&room("other"), &old).is_none());
        drop(first);
        assert!(windows.find(&room("studio"), &old).is_none());
        drop(second);
        assert!(windows.newest(&room("studio")).is_none());
        assert!(windows.read().is_empty());
    }

    /// Who polls rooms that do not exist costs nothing.
    #[test]
    fn to_ask_leaves_nothing_behind() {
        let windows = LiveWindows::default();
        for number in 0..1000 {
            let name = room(&format!("room-{number}"));
            assert!(windows.newest(&name).is_none());
            assert!(windows.find(&name, &id("20261122T063000Z-7f3a9c")).is_none());
        }
        assert_eq!(windows.read().capacity(), 0);
    }
}
