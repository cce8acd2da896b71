//! The manifest that is stored, and how it differs from what it should be.

use std::collections::HashMap;

use onair_media::{MediaKind, RecordingId, RoomName};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::cut::Segment;
use crate::manifest::{Manifest, RecordingState, SCHEMA, SegmentEntry, TrackEntry};
use crate::object::ObjectName;
use crate::ticks::to_millis;

/// How far times may be apart: both ends are rounded to the millisecond.
const SLACK_MS: u64 = 2;

/// Holds a manifest that could be read, with what later versions may have added.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub(crate) manifest: Manifest,
    /// All keys but those whose values are long.
    json: Map<String, Value>,
    segments: HashMap<String, SegmentEntry>,
    lost: HashMap<String, SegmentEntry>,
}

/// Says why a manifest is not taken for what it says.
#[derive(Debug)]
pub(crate) enum ManifestFlaw {
    /// It cannot be read, or is another recording's.
    Unreadable(String),
    /// It has a later schema.
    Later(u32),
}

/// The keys of a manifest, without those whose values are long.
#[derive(Deserialize)]
struct ShortKeys {
    schema: u32,
    #[serde(rename = "segments")]
    _segments: IgnoredAny,
    #[serde(rename = "lost", default)]
    _lost: IgnoredAny,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl StoredManifest {
    /// Reads a manifest of this recording, or returns what is wrong with it.
    pub(crate) fn parse(bytes: &[u8], room: &RoomName, recording: &RecordingId) -> Result<Self, ManifestFlaw> {
        let unreadable = |error: serde_json::Error| ManifestFlaw::Unreadable(format!("cannot be read: {error}"));
        let ShortKeys { schema, rest: json, .. } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if schema > SCHEMA {
            return Err(ManifestFlaw::Later(schema));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(unreadable)?;
        if (&manifest.room, &manifest.recording) != (room, recording) {
            let detail = format!("is that of {}/{}", manifest.room, manifest.recording);
            return Err(ManifestFlaw::Unreadable(detail));
        }
        let by_name =
            |entries: &[SegmentEntry]| entries.iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
        Ok(Self { segments: by_name(&manifest.segments), lost: by_name(&manifest.lost), json, manifest })
    }

    /// Returns what is said of a segment.
    pub(crate) fn segment(&self, name: &ObjectName) -> Option<&SegmentEntry> {
        self.segments.get(name.as_str())
    }

    /// Returns what was said of a segment that has been missing or damaged since an earlier repair.
    pub(crate) fn lost(&self, name: &ObjectName) -> Option<&SegmentEntry> {
        self.lost.get(name.as_str())
    }

    /// Says which names the manifest gives to more than one segment.
    pub(crate) fn twice(&self) -> Option<String> {
        let differs = self.segments.len() != self.manifest.segments.len();
        differs.then(|| "lists a segment more than once".to_owned())
    }

    /// Renders a manifest that takes the place of this one: keys that are not known here stay.
    pub(crate) fn replaced_by(&self, manifest: &Manifest) -> Vec<u8> {
        // Left out where they are empty, so their absence says something.
        const OPTIONAL: [&str; 2] = ["guessed", "inits"];
        let mut json = serde_json::to_value(manifest).expect("a manifest holds nothing that JSON cannot");
        if let Value::Object(new) = &mut json {
            for (key, value) in self.json.iter().filter(|(key, _)| !OPTIONAL.contains(&key.as_str())) {
                new.entry(key).or_insert_with(|| value.clone());
            }
        }
        serde_json::to_vec_pretty(&json).expect("a JSON value is JSON")
    }

    /// Tells whether more is to come, or was when the server was interrupted.
    pub(crate) fn is_live(&self) -> bool {
        self.manifest.state == RecordingState::Live
    }
}

/// Says how a segment differs from its entry; `start_ms` counts from the manifest's start, as the entry's does. What lies
/// before that start is in no entry.
pub(crate) fn segment_difference(segment: &Segment, start_ms: i64, entry: &SegmentEntry) -> Option<String> {
    let end_ms = start_ms.saturating_add(to_millis(segment.kind, segment.duration_ticks.cast_signed()));
    let [start_ms, end_ms] = [start_ms, end_ms].map(|ms| u64::try_from(ms).unwrap_or_default());
    let duration_ms = end_ms.saturating_sub(start_ms);
    let name = &entry.name;
    if start_ms.abs_diff(entry.start_ms) > SLACK_MS {
        return Some(format!("says that {name} begins at {} ms instead of {start_ms} ms", entry.start_ms));
    }
    if duration_ms.abs_diff(entry.duration_ms) > SLACK_MS {
        return Some(format!("says that {name} lasts {} ms instead of {duration_ms} ms", entry.duration_ms));
    }
    None
}

/// Says how the manifest differs in what it says of the recording as a whole.
///
/// Frame rates are left out: they are measured. When it began is what the times of the segments are held against.
pub(crate) fn manifest_difference(said: &Manifest, wanted: &Manifest) -> Option<String> {
    let of = |manifest: &Manifest, kind| {
        let track = manifest.tracks.iter().find(|track| track.name == kind).cloned();
        track.map(|track| TrackEntry { frame_rate: None, ..track })
    };
    let kinds = [MediaKind::Video, MediaKind::Audio];
    if let Some(kind) = kinds.into_iter().find(|kind| of(said, *kind) != of(wanted, *kind)) {
        return Some(format!("describes the track {} as it is not", kind.as_str()));
    }
    let spanned_ms = u64::try_from((said.end - said.start).num_milliseconds()).unwrap_or_default();
    let differs = |said_ms: u64| said_ms.abs_diff(wanted.duration_ms) > SLACK_MS;
    let wrong = [said.duration_ms, spanned_ms].into_iter().find(|said_ms| differs(*said_ms));
    wrong.map(|said_ms| format!("says that the recording lasts {said_ms} ms instead of {} ms", wanted.duration_ms))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cut::Part;

    /// A recording that began by hand was not whole to `onair verify` where its sound began some milliseconds before its
    /// pictures.
    #[test]
    fn what_lies_before_the_start_is_not_missed() {
        let part = Part {
            kind: MediaKind::Audio,
            msn: 7,
            index: 0,
            init: 1,
            discontinuity: false,
            independent: true,
            start_ticks: 0,
            duration_ticks: 2 * 48_000,
            bytes: Bytes::new(),
            payload_offset: 0,
            samples: Vec::new(),
        };
        let segment = Segment::of_parts(vec![part.into()]).unwrap();
        let entry = |start_ms, duration_ms| {
            let name = ObjectName::segment(&segment).as_str().to_owned();
            SegmentEntry { name, start_ms, duration_ms, bytes: 0, sha256: String::new() }
        };
        assert_eq!(segment_difference(&segment, -14, &entry(0, 1_986)), None);
        assert_eq!(segment_difference(&segment, 5, &entry(5, 2_000)), None);
        assert!(segment_difference(&segment, -14, &entry(0, 2_000)).is_some());
        assert!(segment_difference(&segment, 5, &entry(0, 2_000)).is_some());
    }
}
