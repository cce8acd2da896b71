//! How much room the spool has, and what goes first when there is none.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::SpoolSettings;

/// From this share of the limit on no new recordings begin: those that run need the rest.
const REFUSE_FROM_PERCENT: u64 = 90;

/// Counts bytes, and lets go of what the store has when others need its room.
#[derive(Debug)]
pub(super) struct Space {
    directory: PathBuf,
    settings: SpoolSettings,
    used: AtomicU64,
    evicted: AtomicU64,
    /// Whether the last part that was to be written found no room.
    is_dropping: AtomicBool,
    /// Files that the store has, oldest first.
    evictable: Mutex<VecDeque<PathBuf>>,
}

/// Says how full the spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SpaceState {
    /// Bytes that wait.
    pub used_bytes: u64,
    /// The most that may wait.
    pub max_bytes: u64,
    /// Bytes that the disk has left, those included that are left alone.
    pub free_bytes: u64,
    /// Files removed before their time, for the store has them.
    pub evicted: u64,
    /// What comes of it.
    pub pressure: Pressure,
}

/// Says what becomes of recordings for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// There is room.
    None,
    /// New recordings do not begin.
    Refusing,
    /// Recordings get gaps.
    Dropping,
}

impl Space {
    pub(super) const fn new(directory: PathBuf, settings: SpoolSettings, used: u64) -> Self {
        Self {
            directory,
            settings,
            used: AtomicU64::new(used),
            evicted: AtomicU64::new(0),
            is_dropping: AtomicBool::new(false),
            evictable: Mutex::new(VecDeque::new()),
        }
    }

    /// Takes room for some bytes, removing what the store has if need be.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`] when there is none.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        while !self.has_room(bytes) {
            if !self.evict_one()? {
                self.is_dropping.store(true, Ordering::Relaxed);
                return Err(ErrorKind::StorageFull.into());
            }
        }
        self.is_dropping.store(false, Ordering::Relaxed);
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Counts bytes that are written whatever room there is: a few beside the media.
    pub(super) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives room back.
    pub(super) fn give(&self, bytes: u64) {
        // Never below zero: files may have been removed by hand.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    pub(super) fn may_evict(&self, path: PathBuf) {
        let mut evictable = self.evictable();
        if !evictable.contains(&path) {
            evictable.push_back(path);
        }
    }

    /// Leaves the files below a folder alone: somebody counts them.
    pub(super) fn keep(&self, folder: &Path) {
        self.evictable().retain(|path| !path.starts_with(folder));
    }

    /// Removes a file; a missing one is fine.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.evictable().retain(|other| other != path);
        self.remove_file(path).map(drop)
    }

    pub(super) fn state(&self) -> SpaceState {
        let (used_bytes, free_bytes) = (self.used.load(Ordering::Relaxed), self.free_bytes());
        let SpoolSettings { max_bytes, min_free_bytes, .. } = self.settings;
        let is_tight = used_bytes >= max_bytes / 100 * REFUSE_FROM_PERCENT || free_bytes <= min_free_bytes;
        let pressure = match (self.is_dropping.load(Ordering::Relaxed), is_tight) {
            (true, true) => Pressure::Dropping,
            (false, true) => Pressure::Refusing,
            (_, false) => Pressure::None,
        };
        SpaceState { used_bytes, max_bytes, free_bytes, evicted: self.evicted.load(Ordering::Relaxed), pressure }
    }

    fn has_room(&self, bytes: u64) -> bool {
        let SpoolSettings { max_bytes, min_free_bytes, .. } = self.settings;
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= max_bytes
            && self.free_bytes() >= min_free_bytes.saturating_add(bytes)
    }

    /// Asks the disk; one that does not answer is taken for empty, and writing will tell.
    fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.directory);
        stat.map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// A thread that panicked while it held the list left it whole.
    fn evictable(&self) -> MutexGuard<'_, VecDeque<PathBuf>> {
        self.evictable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the oldest file that the store has, and says whether there was one.
    fn evict_one(&self) -> io::Result<bool> {
        loop {
            let oldest = self.evictable().pop_front();
            let Some(oldest) = oldest else { return Ok(false) };
            if self.remove_file(&oldest)? {
                self.evicted.fetch_add(1, Ordering::Relaxed);
                return Ok(true);
            }
        }
    }

    /// Removes a file, and says whether it was there.
    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        let removed = fs::metadata(path).and_then(|metadata| fs::remove_file(path).map(|()| metadata.len()));
        match removed {
            Ok(bytes) => {
                self.give(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
