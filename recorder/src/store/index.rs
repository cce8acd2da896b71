//! What is known of the recordings in the store, in memory: a cache, never the truth.
//!
//! It is filled by looking through the bucket, and follows what this process stores and removes. What others do to the
//! same bucket is seen when it is looked through again. A recording costs about half a kilobyte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use onair_media::{RecordingId, RoomName};

use super::ObjectInfo;
use super::list::{ListPage, RecordingQuery, RecordingSummary, cursor_of, is_before, skim};
use crate::manifest::RecordingState;

/// Names a recording so that names sort as lists do, the oldest first.
pub(super) type Place = (RecordingId, RoomName);

/// Fewer recordings are listed from the store itself: that takes no longer than anybody waits.
const SMALL: usize = 1_000;

/// After so long the index is refreshed behind the page that it serves.
const REFRESHED_EVERY: Duration = Duration::from_secs(30);

/// After so long it no longer serves: nobody asked, or the store could not be looked through.
const SERVES_FOR: Duration = Duration::from_secs(600);

/// How long own changes are remembered: no read of a manifest takes longer.
const CHANGES_KEPT: Duration = Duration::from_secs(600);

/// How many own changes are kept before old ones are looked for.
const CHANGES_SWEPT_AT: usize = 10_000;

/// More recordings are not indexed: half a gigabyte.
pub(super) const INDEXED_MAX: usize = 1_000_000;

/// Says whether the index may answer for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was not filled, or not lately.
    Unknown,
    /// The store holds so little that it is asked itself.
    Small,
    /// It answers.
    Fresh,
    /// It answers, and is to be refreshed.
    Stale,
}

/// Keeps a summary of each recording. Its lock is held for moments only, and never while the store is asked.
#[derive(Debug, Default)]
pub(super) struct Index {
    known: Mutex<Known>,
    /// Held while the store is looked through.
    pub(super) refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<Place, Entry>,
    filled_at: Option<Instant>,
    /// What this process stored or removed, and when: what was read before that is out of date.
    changed: HashMap<Place, Instant>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// Read from the store, where the manifest was this object.
    Read(Arc<RecordingSummary>, Option<ObjectInfo>),
    /// The manifest as this process wrote it: a live one is written again before anybody asks for it.
    Written(Bytes),
}

impl Index {
    /// Notes the manifest that was just stored.
    pub(super) fn note_written(&self, place: Place, manifest: Bytes) {
        let mut known = self.known();
        known.note_change(&place);
        known.entries.insert(place, Entry::Written(manifest));
    }

    /// Notes that a recording was removed.
    pub(super) fn forget(&self, place: &Place) {
        let mut known = self.known();
        known.note_change(place);
        known.entries.remove(place);
    }

    /// Notes what was read from the store, by a request that began at `asked_at`.
    pub(super) fn note_read(&self, place: Place, summary: &Arc<RecordingSummary>, info: ObjectInfo, asked_at: Instant) {
        let mut known = self.known();
        if !known.changed_since(&place, asked_at) {
            known.entries.insert(place, Entry::Read(Arc::clone(summary), Some(info)));
        }
    }

    /// Returns what is known of a recording that is no longer written, and the object that it was read from.
    pub(super) fn finished(&self, place: &Place) -> Option<(Arc<RecordingSummary>, ObjectInfo)> {
        match self.known().entries.get(place) {
            Some(Entry::Read(summary, Some(info))) if summary.state != RecordingState::Live => {
                Some((Arc::clone(summary), info.clone()))
            }
            _ => None,
        }
    }

    /// Returns those of the recordings that have to be read.
    pub(super) fn unread(&self, found: &[Place]) -> Vec<Place> {
        let known = self.known();
        let is_known = |place: &&Place| match known.entries.get(*place) {
            Some(Entry::Read(summary, _)) => summary.state != RecordingState::Live,
            Some(Entry::Written(_)) => true,
            None => false,
        };
        found.iter().filter(|place| !is_known(place)).cloned().collect()
    }

    /// Ends a look through the store that began at `began_at` and `found` these: others are gone.
    pub(super) fn fill(&self, found: Vec<Place>, began_at: Instant) {
        let found: BTreeSet<Place> = found.into_iter().collect();
        let mut known = self.known();
        let Known { entries, changed, .. } = &mut *known;
        entries.retain(|place, _| found.contains(place) || changed.get(place).is_some_and(|&at| at >= began_at));
        known.filled_at = Some(began_at);
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let known = self.known();
        match known.filled_at.map(|at| now.saturating_duration_since(at)) {
            Some(age) if age < SERVES_FOR && known.entries.len() < SMALL => Standing::Small,
            Some(age) if age < REFRESHED_EVERY => Standing::Fresh,
            Some(age) if age < SERVES_FOR => Standing::Stale,
            _ => Standing::Unknown,
        }
    }

    /// Lists recordings, newest first.
    pub(super) fn page(&self, query: &RecordingQuery) -> ListPage {
        let span = query.span();
        let limit = query.limit.max(1);
        let is_wanted = |place: &Place| {
            query.cursor.as_deref().is_none_or(|cursor| is_before(place, cursor))
                && span.covers(&place.0)
                && query.rooms.as_ref().is_none_or(|rooms| rooms.contains(&place.1))
        };
        // One more, which tells whether there is a next page.
        let mut wanted: Vec<(Place, Entry)> = {
            let known = self.known();
            let newest_first = known.entries.iter().rev().filter(|(place, _)| is_wanted(place));
            newest_first.take(limit + 1).map(|(place, entry)| (place.clone(), entry.clone())).collect()
        };
        let is_last = wanted.len() <= limit;
        wanted.truncate(limit);
        let next = wanted.last().filter(|_| !is_last).map(|(place, _)| cursor_of(place));
        let recordings = wanted.into_iter().filter_map(|(place, entry)| self.summary_of(place, entry));
        ListPage { recordings: recordings.map(Arc::unwrap_or_clone).collect(), next }
    }

    /// Returns everything that is known, the oldest first.
    pub(super) fn summaries(&self) -> Vec<Arc<RecordingSummary>> {
        let entries: Vec<_> =
            self.known().entries.iter().map(|(place, entry)| (place.clone(), entry.clone())).collect();
        entries.into_iter().filter_map(|(place, entry)| self.summary_of(place, entry)).collect()
    }

    /// Reads a manifest that nobody asked for so far, without the lock, and keeps what it says.
    fn summary_of(&self, place: Place, entry: Entry) -> Option<Arc<RecordingSummary>> {
        let written = match entry {
            Entry::Read(summary, _) => return Some(summary),
            Entry::Written(written) => written,
        };
        let summary = Arc::new(skim(&written, &place).ok()?);
        if let Some(entry) = self.known().entries.get_mut(&place)
            && matches!(entry, Entry::Written(latest) if latest.as_ptr() == written.as_ptr())
        {
            *entry = Entry::Read(Arc::clone(&summary), None);
        }
        Some(summary)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn note_change(&mut self, place: &Place) {
        let now = Instant::now();
        if self.changed.len() >= CHANGES_SWEPT_AT {
            self.changed.retain(|_, at| now.saturating_duration_since(*at) < CHANGES_KEPT);
        }
        self.changed.insert(place.clone(), now);
    }

    fn changed_since(&self, place: &Place, asked_at: Instant) -> bool {
        self.changed.get(place).is_some_and(|&at| at >= asked_at)
    }
}

#[cfg(test)]
mod tests;
