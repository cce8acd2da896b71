//! Reads a stored recording again, all of it, and mends what its segments allow.
//!
//! One object at a time is in memory, and of an MP4 no more than a window; what is kept is one entry for each segment.

mod assemble;
mod fetch;
mod mend;
mod movie;
mod objects;
mod pictures;
mod playlists;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use onair_media::{Alignment, RecordingId, RoomName};

use self::fetch::{Fetched, Recording, SEGMENT_MAX_BYTES};
use self::playlists::read_playlists;
use super::list::MANIFEST_MAX_BYTES;
use super::{ObjectInfo, Store, StoreError};
use crate::manifest::{GUESSED_ALIGNMENT, GapReason, Manifest, RecordingState};
use crate::object::ObjectName;
use crate::playlist::Completeness;
use crate::verify::assembly::Assembly;
use crate::verify::entries::{ManifestFlaw, StoredManifest, manifest_difference};
use crate::verify::holes::{Covered, with_holes};
use crate::verify::ledger::{Ledger, StoredSegment, init_place, segment_name, segment_place};
use crate::verify::rebuild::{KINDS, Rebuild};
use crate::verify::{Clock, Problem, Remedy, Report};

/// How many numbers are fetched ahead: four segments are on their way, or one is looked at and three are.
const NUMBERS_AHEAD: usize = 2;

/// The largest initialisation segment that is read; ours have less than two kilobytes.
const INIT_MAX_BYTES: u64 = 1 << 20;

/// Says what to do about what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    LookOnly,
    /// Write anew what is wrong. A live recording is refused: its server writes to it.
    Ended,
    /// The same, and end a live recording: its server is gone for good.
    Interrupted,
}

/// Says what is expected of a recording whose manifest does not tell.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// What to do about what is wrong.
    pub repair: Repair,
    /// Name and version of the program, for a manifest that is written anew.
    pub server: String,
    /// [`crate::FragmenterSettings::target_duration_s`], for playlists when no other is left that tells.
    pub target_duration_s: u32,
    /// Whether a recording has an MP4.
    pub mp4: bool,
}

/// Says why a recording could not be looked at, or not mended.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store failed, or has no such recording.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recording that may still be written to is not mended.
    #[error("{room}/{recording} is live: it is written to, or its server was interrupted")]
    Live {
        /// The room.
        room: RoomName,
        /// The recording.
        recording: RecordingId,
    },
    /// The manifest is of a later version, which may mean something else by its keys.
    #[error("the manifest has schema {schema}, which is of a later version")]
    Later {
        /// Its schema.
        schema: u32,
    },
}

impl Store {
    /// Reads every object of a recording and says what is wrong; a repair writes playlists, MP4 and manifest anew from
    /// the segments and initialisation segments, where they are wrong, the manifest last.
    ///
    /// A segment that is missing or damaged becomes a gap. Nothing is removed.
    ///
    /// # Errors
    /// [`VerifyError`]; what was mended until then stays so.
    pub async fn verify(
        &self,
        room: &RoomName,
        recording: &RecordingId,
        settings: &VerifySettings,
    ) -> Result<Report, VerifyError> {
        let mut survey = Survey::begin(Recording { store: self, room, recording }, settings).await?;
        survey.read_segments().await?;
        survey.finish().await
    }
}

/// A recording while it is looked at.
struct Survey<'a> {
    recording: Recording<'a>,
    settings: &'a VerifySettings,
    objects: BTreeMap<ObjectName, ObjectInfo>,
    /// Whether it may be written to at this moment.
    live: bool,
    ledger: Ledger,
}

/// What playlists and manifest should say.
struct Wanted {
    manifest: Manifest,
    playlists: Vec<(ObjectName, String)>,
}

impl<'a> Survey<'a> {
    /// Reads everything but segments and the objects that the manifest lists beside them.
    ///
    /// The manifest first: of a live recording, all that it names is there when the rest is listed.
    async fn begin(recording: Recording<'a>, settings: &'a VerifySettings) -> Result<Self, VerifyError> {
        let (old, flaw) = read_manifest(recording).await?;
        let objects = recording.store.list_objects(recording.room, recording.recording).await?;
        let live = old.as_ref().is_some_and(StoredManifest::is_live) && settings.repair != Repair::Interrupted;
        if live && settings.repair == Repair::Ended {
            let (room, recording) = (recording.room.clone(), recording.recording.clone());
            return Err(VerifyError::Live { room, recording });
        }
        let playlists = read_playlists(recording).await?;
        let mut clock = Clock::new(old.as_ref().map(|old| &old.manifest));
        playlists.iter().for_each(|(kind, playlist)| clock.add(*kind, playlist));
        let told_s = playlists.values().map(|playlist| playlist.target_duration_s).max();
        let target_duration_s = told_s.unwrap_or(settings.target_duration_s);
        let rebuild = Rebuild::new(recording.room, recording.recording, &settings.server, clock, target_duration_s);
        // An MP4 is put together to be stored, or to be held against one of which nothing else is known.
        let assembles = !live && (settings.repair != Repair::LookOnly || old.is_none());
        let assembly = if assembles { Assembly::wanted() } else { Assembly::unwanted() };
        let mut survey = Self { recording, settings, objects, live, ledger: Ledger::new(old, rebuild, assembly) };
        survey.judge_manifest(flaw);
        survey.read_inits().await?;
        Ok(survey)
    }

    fn judge_manifest(&mut self, flaw: Option<(Problem, String)>) {
        if let Some((problem, detail)) = flaw {
            self.ledger.find(&ObjectName::manifest(), problem, Remedy::Mendable, detail);
            self.ledger.manifest_is_stale = true;
        }
        let Some(old) = &self.ledger.old else { return };
        let nameless = old.manifest.segments.iter().find(|entry| segment_place(&entry.name).is_none());
        let nameless = nameless.map(|entry| format!("lists {:?}, which names no segment", entry.name));
        let interrupted = (old.is_live() && !self.live).then(|| "says that the recording goes on".to_owned());
        if let Some(flaw) = nameless.or_else(|| old.twice()).or(interrupted) {
            self.ledger.find_in_manifest(flaw);
        }
    }

    async fn read_inits(&mut self) -> Result<(), StoreError> {
        for (name, info) in &self.objects {
            let Some((kind, index)) = init_place(name.as_str()) else { continue };
            let bytes = match self.recording.read(name, INIT_MAX_BYTES).await? {
                Fetched::Whole(bytes) => bytes,
                // What cannot be had is as good as empty: a segment that needs it will say so.
                Fetched::Missing | Fetched::TooLarge(_) => bytes::Bytes::new(),
            };
            self.ledger.add_init(kind, index, &bytes, info.last_modified);
        }
        self.ledger.judge_inits();
        Ok(())
    }

    /// Reads the segments that are listed or, unless more are being written, stored.
    async fn read_segments(&mut self) -> Result<(), StoreError> {
        let mut numbers = self.ledger.known_numbers();
        if !self.live {
            let stored = self.objects.keys().filter_map(|name| segment_place(name.as_str()));
            numbers.extend(stored.map(|(_, msn)| msn));
        }
        let (recording, objects) = (self.recording, &self.objects);
        let fetch = |msn| async move {
            let mut stored = [None, None];
            for (kind, stored) in KINDS.into_iter().zip(&mut stored) {
                let name = segment_name(kind, msn);
                let Some(info) = objects.get(&name) else { continue };
                *stored = match recording.read(&name, SEGMENT_MAX_BYTES).await? {
                    Fetched::Whole(bytes) => Some(StoredSegment { bytes, at: info.last_modified }),
                    Fetched::TooLarge(_) | Fetched::Missing => None,
                };
            }
            Ok::<_, StoreError>((msn, stored))
        };
        let mut fetched = stream::iter(numbers).map(fetch).buffered(NUMBERS_AHEAD);
        while let Some((msn, stored)) = fetched.try_next().await? {
            self.ledger.add_number(msn, stored);
        }
        Ok(())
    }

    /// Compares what is said with what is so, mends what is to be mended, and reports.
    async fn finish(mut self) -> Result<Report, VerifyError> {
        let mut state = self.ledger.old.as_ref().map(|old| old.manifest.state);
        if let Some(wanted) = self.wanted() {
            self.judge_playlists(&wanted).await?;
            let movie = self.judge_objects().await?;
            if self.settings.repair != Repair::LookOnly {
                state = Some(self.mend(wanted, movie).await?);
            }
        }
        Ok(Report {
            room: self.recording.room.clone(),
            recording: self.recording.recording.clone(),
            state,
            segments: self.ledger.rebuild.segments,
            bytes: self.ledger.rebuild.bytes,
            findings: self.ledger.findings,
        })
    }

    /// Returns what should be said; nothing if there is no segment left to say it of.
    fn wanted(&mut self) -> Option<Wanted> {
        let (mut manifest, holes) = self.ledger.rebuild.finish()?;
        let old = self.ledger.old.as_ref().map(|old| &old.manifest);
        let known = old.map(|old| old.gaps.clone()).unwrap_or_default();
        // What was lost just now is said already, and what a live recording lacks may come.
        let lost = self.ledger.lost.len() != old.map_or(0, |old| old.lost.len());
        let covered = Covered::by(&known);
        let unsaid = holes.iter().flat_map(|hole| covered.uncovered(hole)).next().filter(|_| !lost && !self.live);
        let settled = old.filter(|_| !lost && !self.live);
        let described = settled.and_then(|old| manifest_difference(old, &manifest));
        if old.is_none() && holes.iter().any(|hole| hole.reason != GapReason::Other) {
            manifest.guessed.push("gaps".into());
        }
        manifest.gaps = with_holes(&known, &holes);
        manifest.state = match old.map(|old| old.state) {
            Some(state) if self.live || state != RecordingState::Live => state,
            _ => RecordingState::Recovered,
        };
        let unsaid = unsaid.map(|gap| format!("does not say that nothing is there from {} ms on", gap.start_ms));
        if let Some(difference) = unsaid.or(described).filter(|_| self.ledger.old.is_some()) {
            self.ledger.find_in_manifest(difference);
        }
        manifest.lost = self.ledger.lost.clone();
        manifest.inits = self.ledger.wanted_inits();
        if self.ledger.old.as_ref().is_some_and(|old| old.manifest.alignment == Some(Alignment::Arrival)) {
            manifest.guessed.push(GUESSED_ALIGNMENT.into());
        }
        let playlists = self.wanted_playlists();
        Some(Wanted { manifest, playlists })
    }

    /// Renders the playlists, those that others name first.
    fn wanted_playlists(&self) -> Vec<(ObjectName, String)> {
        let playlists = self.ledger.rebuild.playlists();
        let completeness = if self.live { Completeness::Live } else { Completeness::Complete };
        let media = KINDS.map(|kind| (ObjectName::playlist(kind), playlists.media(kind, completeness)));
        let all = media.into_iter().chain([(ObjectName::multivariant(), playlists.multivariant())]);
        // What cannot be rendered is a defect of ours, and is left as it is stored.
        all.filter_map(|(name, text)| Some((name, text.ok().flatten()?))).collect()
    }
}

/// Reads the manifest, or says what is wrong with it.
async fn read_manifest(
    recording: Recording<'_>,
) -> Result<(Option<StoredManifest>, Option<(Problem, String)>), VerifyError> {
    let flaw = |problem, detail: String| Ok((None, Some((problem, detail))));
    let bytes = match recording.read(&ObjectName::manifest(), MANIFEST_MAX_BYTES).await? {
        Fetched::Whole(bytes) => bytes,
        Fetched::Missing => return flaw(Problem::Missing, "is missing".into()),
        Fetched::TooLarge(size) => return flaw(Problem::Unreadable, format!("has {size} bytes, as no manifest has")),
    };
    match StoredManifest::parse(&bytes, recording.room, recording.recording) {
        Ok(manifest) => Ok((Some(manifest), None)),
        Err(ManifestFlaw::Unreadable(detail)) => flaw(Problem::Unreadable, detail),
        Err(ManifestFlaw::Later(schema)) => Err(VerifyError::Later { schema }),
    }
}
