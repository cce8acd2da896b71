//! The wall clock of a recording whose beginning has to be found out.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use onair_media::{MediaKind, RecordingId};

use super::listed::MediaPlaylist;
use crate::cut::Segment;
use crate::manifest::Manifest;
use crate::object::ObjectName;
use crate::ticks::to_millis;

/// Knows what is still said of when the segments were taken.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// By the manifest.
    manifest: HashMap<String, DateTime<Utc>>,
    /// By a playlist.
    playlists: HashMap<String, DateTime<Utc>>,
}

impl Clock {
    /// Begins with what a manifest says.
    pub(crate) fn new(manifest: Option<&Manifest>) -> Self {
        let Some(manifest) = manifest else { return Self::default() };
        let entries = manifest.segments.iter().filter_map(|entry| {
            let since = i64::try_from(entry.start_ms).ok().and_then(TimeDelta::try_milliseconds)?;
            Some((entry.name.clone(), manifest.start.checked_add_signed(since)?))
        });
        Self { manifest: entries.collect(), playlists: HashMap::new() }
    }

    /// Adds what a playlist says.
    pub(crate) fn add(&mut self, kind: MediaKind, playlist: &MediaPlaylist) {
        let dates = playlist.lines.iter().filter(|line| !line.gap);
        let dates = dates.filter_map(|line| Some((format!("{}/{}", kind.as_str(), line.uri), line.date?)));
        self.playlists.extend(dates);
    }

    /// Returns the wall clock of pts 0 by a segment, if anything tells.
    pub(crate) fn epoch(&self, segment: &Segment) -> Option<DateTime<Utc>> {
        let name = ObjectName::segment(segment);
        let start = self.manifest.get(name.as_str()).or_else(|| self.playlists.get(name.as_str()))?;
        let since = TimeDelta::try_milliseconds(to_millis(segment.kind, segment.start_ticks))?;
        start.checked_sub_signed(since)
    }
}

/// Returns the wall clock of pts 0 by the recording's name, to the second: the name is made of it.
pub(crate) fn named_epoch(recording: &RecordingId) -> DateTime<Utc> {
    let stamp = recording.as_str().split('-').next().unwrap_or_default();
    NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").map_or(DateTime::UNIX_EPOCH, |time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_second() {
        let named = |id| named_epoch(&RecordingId::parse(id).unwrap()).to_rfc3339();
        assert_eq!(named("20261122T063000Z-7f3a9c"), "2026-11-22T06:30:00+00:00");
        // A name of the right form need not be a date.
        assert_eq!(named("99999999T999999Z-7f3a9c"), "1970-01-01T00:00:00+00:00");
    }
}
