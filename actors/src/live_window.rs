//! The live window of a broadcast, shared between its packager, which fills it, and all who serve players of it.
//!
//! Players ask often and by thousands, so none of them goes through a mailbox: each playlist is rendered once a version,
//! and whoever waits for the next one is woken when it is there. A player that goes away takes its wait along.
//!
//! > A version is published after the window holds everything that it lists.

mod audience;
mod directory;
mod encoded;
mod waiting;

use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use onair_media::{MediaKind, RecordingId};
use onair_recorder::window::{LivePlaylist, MediaName, Next, Progress, Tail};
use onair_recorder::{Cut, Window, WindowSettings};
use tokio::sync::watch;
use tracing::error;

use self::audience::Audience;
pub use self::directory::{LiveWindows, OpenWindow};
pub use self::encoded::{Coding, Encoded};
pub use self::waiting::Waiter;

/// Holds what players of one broadcast may fetch.
#[derive(Debug)]
pub struct LiveWindow {
    id: RecordingId,
    settings: WindowSettings,
    shelf: RwLock<Shelf>,
    video: watch::Sender<Option<Arc<Version>>>,
    audio: watch::Sender<Option<Arc<Version>>>,
    audience: Mutex<Audience>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Shelf {
    window: Window,
    multivariant: Option<Bytes>,
}

/// Holds one state of a media playlist, as text and as it travels.
#[derive(Debug)]
pub struct Version {
    /// Counts the states of this playlist.
    pub number: u64,
    /// How far the playlist has come.
    pub progress: Progress,
    full: Encoded,
    delta: Option<Encoded>,
}

impl Version {
    fn new(number: u64, playlist: &LivePlaylist) -> Self {
        let encoded = |text: &str| Encoded::new(Bytes::copy_from_slice(text.as_bytes()));
        let delta = playlist.delta().as_deref().map(encoded);
        Self { number, progress: playlist.progress, full: encoded(&playlist.text), delta }
    }

    /// Returns the whole playlist.
    pub const fn full(&self) -> &Encoded {
        &self.full
    }

    /// Returns the playlist without what players have, if anything can be left out.
    pub const fn delta(&self) -> Option<&Encoded> {
        self.delta.as_ref()
    }
}

impl LiveWindow {
    fn new(id: RecordingId, settings: WindowSettings) -> Self {
        Self {
            id,
            settings,
            shelf: RwLock::new(Shelf { window: Window::new(settings), multivariant: None }),
            video: watch::Sender::new(None),
            audio: watch::Sender::new(None),
            audience: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Returns the id of the broadcast.
    pub const fn id(&self) -> &RecordingId {
        &self.id
    }

    /// Returns `EXT-X-TARGETDURATION`.
    pub const fn target_duration(&self) -> Duration {
        self.settings.target_duration()
    }

    /// Returns the multivariant playlist, once a segment is whole. What it leads to lies below the id of the broadcast.
    pub fn multivariant(&self) -> Option<Bytes> {
        self.read().multivariant.clone()
    }

    /// Tells whether players have been told that nothing more will come.
    pub fn has_ended(&self) -> bool {
        let has_ended = |kind| self.version(kind).is_some_and(|version| version.progress.ended);
        has_ended(MediaKind::Video) || has_ended(MediaKind::Audio)
    }

    /// Waits for the multivariant playlist of a broadcast that goes on.
    pub(super) async fn multivariant_when_there(&self) -> Bytes {
        let (mut video, mut audio) = (self.video.subscribe(), self.audio.subscribe());
        loop {
            if let Some(playlist) = self.multivariant().filter(|_| !self.has_ended()) {
                return playlist;
            }
            // The window outlives who waits, so that neither sender is dropped.
            tokio::select! {
                _ = video.changed() => {}
                _ = audio.changed() => {}
            }
        }
    }

    /// Returns an object of a rendition.
    pub fn object(&self, kind: MediaKind, name: MediaName) -> Option<Bytes> {
        self.read().window.object(kind, name)
    }

    /// Returns the newest state of a media playlist, once it lists a segment.
    pub fn version(&self, kind: MediaKind) -> Option<Arc<Version>> {
        self.versions(kind).borrow().clone()
    }

    /// Waits for a state of a media playlist that is as wanted. What is wanted must come true when the broadcast ends.
    pub async fn version_when(&self, kind: MediaKind, wanted: impl Fn(&Version) -> bool) -> Option<Arc<Version>> {
        let mut versions = self.versions(kind).subscribe();
        let found = versions.wait_for(|version| version.as_deref().is_some_and(&wanted)).await;
        found.ok().and_then(|version| version.clone())
    }

    /// Begins to read the stream as one file, from the newest keyframe on. Returns its header, or `None` while there is no
    /// media.
    pub fn tail(&self) -> Option<(Bytes, Tail)> {
        self.read().window.tail().unwrap_or_else(|error| {
            error!(broadcast = %self.id, %error, "the header of the live stream cannot be written");
            None
        })
    }

    /// Returns what a reader of the stream gets next, when there is something or nothing more will come.
    pub async fn follow(&self, tail: &mut Tail) -> Next {
        let (mut video, mut audio) = (self.video.subscribe(), self.audio.subscribe());
        loop {
            // What comes from here on is noticed below.
            video.mark_unchanged();
            audio.mark_unchanged();
            match self.read().window.follow(tail) {
                Next::Parts(parts) if parts.is_empty() => {}
                next => return next,
            }
            // The window outlives the reader, so that neither sender is dropped.
            tokio::select! {
                _ = video.changed() => {}
                _ = audio.changed() => {}
            }
        }
    }

    /// Lets a request of a client wait, unless too many do; the place is given back on drop.
    pub fn admit(self: Arc<Self>, windows: &LiveWindows, client: IpAddr) -> Option<Waiter> {
        Waiter::admit(self, windows.clients(), client)
    }

    /// Notes that a player asked for a playlist; `viewer` tells players apart, without saying who they are.
    pub fn seen(&self, viewer: u64, now: Instant) {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner).seen(viewer, now);
    }

    /// Counts the players that asked for a playlist lately.
    pub fn viewers(&self, now: Instant) -> usize {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner).count(now)
    }

    /// Counts the requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Takes the next cuts and lets players see them; `epoch` is the wall clock of pts 0.
    pub(crate) fn push(&self, cuts: &[Cut], epoch: DateTime<Utc>) {
        if cuts.is_empty() {
            return;
        }
        self.change(|shelf| {
            cuts.iter().for_each(|cut| shelf.window.push(cut, epoch));
            if cuts.iter().any(|cut| matches!(cut, Cut::Segment(_))) {
                shelf.renew_multivariant(&self.id);
            }
        });
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self) {
        self.change(|shelf| shelf.window.end());
    }

    fn change(&self, change: impl FnOnce(&mut Shelf)) {
        let playlists = {
            let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut shelf);
            [MediaKind::Video, MediaKind::Audio].map(|kind| (kind, shelf.window.media_playlist(kind)))
        };
        for (kind, playlist) in playlists {
            if let Some(playlist) = playlist {
                self.publish(kind, &playlist);
            }
        }
    }

    /// Replaces a playlist, and wakes who waits for it if it has come further: a new report of the other rendition alone
    /// is nothing that anybody waits for.
    fn publish(&self, kind: MediaKind, playlist: &LivePlaylist) {
        self.versions(kind).send_if_modified(|current| {
            if current.as_ref().is_some_and(|version| *version.full.plain() == *playlist.text.as_bytes()) {
                return false;
            }
            let number = current.as_ref().map_or(1, |version| version.number + 1);
            let has_progressed = current.as_ref().is_none_or(|version| version.progress != playlist.progress);
            *current = Some(Arc::new(Version::new(number, playlist)));
            has_progressed
        });
    }

    const fn versions(&self, kind: MediaKind) -> &watch::Sender<Option<Arc<Version>>> {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn renew_multivariant(&mut self, id: &RecordingId) {
        match self.window.multivariant(&format!("{id}/")) {
            Ok(playlist) => self.multivariant = playlist.map(Bytes::from),
            Err(error) => error!(broadcast = %id, %error, "no multivariant playlist"),
        }
    }
}

#[cfg(test)]
mod tests;
